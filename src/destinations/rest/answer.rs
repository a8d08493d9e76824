//! What an answer means: pure.
//!
//! Invariant: an answer of success that says it failed is a failure; what may have been written is never taken for
//! refused. No problem holds more of the remote's text than `scrub` lets through.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use super::config::{Exists, Says, Send};
use crate::destinations::Outcome;
use crate::net::{TransportError, retry_after};
use crate::problem::{self, Problem, scrub};

/// A whole answer.
pub struct Answer {
    /// The destination, by its name: problems tell whose words they hold.
    pub from: Arc<str>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// `None` where it is no JSON.
    pub json: Option<Value>,
    /// As it came.
    pub text: String,
}

impl Answer {
    pub fn of(from: Arc<str>, response: http::Response<Bytes>) -> Answer {
        let (parts, bytes) = response.into_parts();
        let json = serde_json::from_slice(&bytes).ok();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { from, status: parts.status, headers: parts.headers, json, text }
    }

    /// Null where it is no JSON.
    pub fn body(&self) -> &Value {
        self.json.as_ref().unwrap_or(&Value::Null)
    }

    /// Whether it has no text, or one that programs write for programs.
    pub fn is_data(&self) -> bool {
        self.json.is_some() || self.text.trim().is_empty()
    }

    /// Whether it is written for people: by a gateway, a login, a front end.
    fn is_page(&self) -> bool {
        let text = self.text.trim_start();
        let begins = |mark: &str| text.get(..mark.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(mark));
        begins("<!doctype html") || begins("<html")
    }

    /// The first of `places` that holds something: JSON pointers, or `header:NAME`.
    pub fn first(&self, places: &[String]) -> Option<String> {
        places.iter().find_map(|place| match place.strip_prefix("header:") {
            Some(name) => self.headers.get(name)?.to_str().ok().map(id_in),
            None => at(self.body(), place),
        })
    }

    /// Whether one of `places` holds more than nothing: an error, in an answer of success.
    fn has_something(&self, places: &[String]) -> bool {
        places.iter().any(|place| match place.strip_prefix("header:") {
            Some(name) => self.headers.get(name).is_some_and(|value| !value.is_empty()),
            None => match self.body().pointer(place) {
                None | Some(Value::Null | Value::Bool(false)) => false,
                Some(Value::Bool(true)) => true,
                Some(Value::Number(number)) => number.as_f64() != Some(0.0),
                Some(Value::String(text)) => !text.trim().is_empty(),
                Some(Value::Array(items)) => !items.is_empty(),
                Some(Value::Object(members)) => !members.is_empty(),
            },
        })
    }

    /// Whether an answer of success to a question says that it was not answered after all.
    pub fn says_no(&self) -> bool {
        said_no(self.body()) || self.has_something(&["/error".to_owned(), "/errors".to_owned()])
    }

    /// `None` where nothing stands in the place.
    fn says(&self, says: &Says) -> Option<bool> {
        at(self.body(), &says.pointer).map(|found| found == says.is)
    }

    /// The remote's own words, shortened and without anybody's address.
    pub fn words(&self, places: &[String]) -> String {
        let text = self.first(places).unwrap_or_else(|| self.text.clone());
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            format!("HTTP {}", self.status.as_u16())
        } else {
            format!("HTTP {}: {}", self.status.as_u16(), scrub(&text))
        }
    }
}

/// An OData address ends in the id: `https://…/phonecalls(ID)`.
fn id_in(header: &str) -> String {
    match header.rsplit_once('(') {
        Some((_, rest)) => rest.trim_end_matches(')').to_owned(),
        None => header.to_owned(),
    }
}

/// A text, number or boolean at a JSON pointer, as text; the empty pointer is the value itself.
pub fn at(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// One write.
pub struct Written<'a> {
    pub send: &'a Send,
    /// A new record was asked for.
    pub created: bool,
    /// Stands in where an answer names no id.
    pub own_id: &'a str,
    /// Method and address, without what an address may ask.
    pub place: &'a str,
}

/// What a write came to.
pub fn of_write(result: Result<Answer, TransportError>, write: &Written<'_>, now: Timestamp) -> Outcome {
    let Written { send, created, own_id, place } = *write;
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return of_transport(&error, true),
    };
    if let Some(remote_id) = send.exists.as_ref().and_then(|exists| existing(&answer, exists, own_id)) {
        return Outcome::Exists { remote_id };
    }
    if answer.status.is_success() {
        return of_success(&answer, send, created, own_id);
    }
    match answer.status.as_u16() {
        401 | 403 => Outcome::Hold { problem: denied(&answer, send) },
        // The path of a create is the same for every call: most likely it leads nowhere.
        404 | 405 if created => Outcome::Reject { problem: nowhere(&answer, send, place) },
        // Refused before anything was looked at.
        425 | 429 => busy(&answer, now),
        // Something took it, and names where to look for what it made of it.
        303 if created => unknown("answers with another address", &answer, send),
        300..=399 => Outcome::Hold { problem: elsewhere(&answer, send, place) },
        408 | 500..=599 => unknown("failed in the middle of a request", &answer, send),
        _ => Outcome::Reject { problem: refused(&answer, send) },
    }
}

/// An answer of success by its status. What the table says of such answers decides: `ok` where it is there, else the
/// places of an error and of the record's id.
fn of_success(answer: &Answer, send: &Send, created: bool, own_id: &str) -> Outcome {
    if said_no(answer.body()) {
        return Outcome::Reject { problem: refused(answer, send) };
    }
    if answer.is_page() {
        return unknown("answers with a page", answer, send);
    }
    let id = answer.first(&send.id);
    match &send.ok {
        Some(says) => match answer.says(says).or((says.or_absent && answer.is_data()).then_some(true)) {
            Some(true) => {}
            Some(false) => return Outcome::Reject { problem: refused(answer, send) },
            // Of success by its status, but not the answer of an API that says what became of the record.
            None => return unknown("answers with what does not say what became of the record", answer, send),
        },
        None if answer.has_something(&send.error) => {
            // A record that was made all the same is never sent a second time on the word of an error.
            return match created && (id.is_some() || answer.status == StatusCode::CREATED) {
                true => unknown("answers with a record and an error at once", answer, send),
                false => Outcome::Reject { problem: refused(answer, send) },
            };
        }
        None if created && !send.id.is_empty() && id.is_none() => {
            return unknown("answers without the record's id", answer, send);
        }
        None => {}
    }
    Outcome::Delivered { remote_id: id.unwrap_or_else(|| own_id.to_owned()), created }
}

/// Never settled: what stands in front of a server gives up on it while it is still at work, and a look-up may lag behind.
fn unknown(what: &str, answer: &Answer, send: &Send) -> Outcome {
    let what = format!("{} {what}: {}", answer.from, answer.words(&send.error));
    Outcome::Unknown { problem: Problem::new(problem::OUTCOME_UNKNOWN, what, LOOKED_UP), settled: false }
}

/// `{"success": false}` is no success whatever the status says.
fn said_no(body: &Value) -> bool {
    body.get("success") == Some(&Value::Bool(false)) || body.get("ok") == Some(&Value::Bool(false))
}

fn existing(answer: &Answer, exists: &Exists, own_id: &str) -> Option<String> {
    let told = exists.status.contains(&answer.status.as_u16())
        || exists.says.as_ref().is_some_and(|says| answer.says(says) == Some(true));
    told.then(|| answer.first(&exists.id).unwrap_or_else(|| own_id.to_owned()))
}

/// A question that was not answered with success: it had no effect, so it can be asked again.
pub fn of_question(answer: &Answer, places: &[String], now: Timestamp) -> Outcome {
    match answer.status.as_u16() {
        401 | 403 => Outcome::Hold {
            problem: Problem::new(
                problem::LOGIN_REFUSED,
                format!("{} refuses the credentials: {}", answer.from, answer.words(places)),
                CREDENTIALS,
            ),
        },
        408 | 425 | 429 | 500..=599 => busy(answer, now),
        _ => Outcome::Hold {
            problem: Problem::new(
                problem::ORG_CONFIGURATION,
                format!("{} does not take a question: {}", answer.from, answer.words(places)),
                "check base_url and the question's path in the destination's table, then run `trunkline retry`",
            ),
        },
    }
}

/// No whole answer. A question (`writes` false) had no effect in any case.
pub fn of_transport(error: &TransportError, writes: bool) -> Outcome {
    match error {
        TransportError::Unanswered { .. } if writes => Outcome::Unknown {
            problem: Problem::new(problem::OUTCOME_UNKNOWN, error.to_string(), LOOKED_UP),
            settled: false,
        },
        _ => Outcome::Retry {
            after: None,
            problem: Problem::new(
                problem::REMOTE_UNREACHABLE,
                error.to_string(),
                "check base_url and the network; nothing is lost, the next run goes on",
            ),
            smaller: false,
        },
    }
}

/// Where it can be asked; otherwise what follows has a text of its own.
const LOOKED_UP: &str = "nothing to do: what came of it is settled before anything is sent again";
const CREDENTIALS: &str = "check the token or the login in the destination's table, then run `trunkline retry`";

fn denied(answer: &Answer, send: &Send) -> Problem {
    let what = format!("{} refuses the credentials: {}", answer.from, answer.words(&send.error));
    Problem::new(problem::LOGIN_REFUSED, what, CREDENTIALS)
}

fn busy(answer: &Answer, now: Timestamp) -> Outcome {
    let problem = Problem::new(
        problem::REMOTE_BUSY,
        format!("{} asks for a pause: {}", answer.from, answer.words(&[])),
        "nothing to do: it is tried again after a pause",
    );
    Outcome::Retry { after: retry_after(&answer.headers, now), problem, smaller: false }
}

fn nowhere(answer: &Answer, send: &Send, place: &str) -> Problem {
    Problem::new(
        problem::ORG_CONFIGURATION,
        format!("{} has nothing that takes {place}: {}", answer.from, answer.words(&send.error)),
        "check base_url, and method and path of create in the destination's table, then run `trunkline retry`",
    )
}

fn elsewhere(answer: &Answer, send: &Send, place: &str) -> Problem {
    Problem::new(
        problem::ORG_CONFIGURATION,
        format!("{} sends {place} elsewhere, which is not followed: {}", answer.from, answer.words(&send.error)),
        "check base_url, and whether a login or a gateway stands in front of the API, then run `trunkline retry`",
    )
}

fn refused(answer: &Answer, send: &Send) -> Problem {
    Problem::new(
        problem::ROW_REFUSED,
        format!("{} refuses the record: {}", answer.from, answer.words(&send.error)),
        "mend what it names, in the record's template or in the CRM, then run `trunkline retry`",
    )
}

#[cfg(test)]
#[path = "tests/answer.rs"]
mod tests;

//! Turns refusals and row errors into outcomes: pure functions over the table in `rules`.
//!
//! Invariant: an outcome that says "nothing was written" is given only where Salesforce's answer proves it; every other
//! failed write is `Unknown`. Remote text passes `scrub`, and texts that repeat a record's value are not passed on.

use std::time::Duration;

use super::refusal::{Fault, Refusal};
use super::rules::{self, Verdict};
use crate::destinations::Outcome;
use crate::net::TransportError;
use crate::problem as p;
use crate::problem::{Code, Problem, scrub};

/// Whether a request can have changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write,
}

/// What is known of the row that an error belongs to.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub key_field: &'a str,
    pub key: &'a str,
    pub update: bool,
    /// How many rows the request carried.
    pub rows: usize,
    /// Whether a field that cannot be written is so for all records, not for this one only.
    pub shut: bool,
}

const HELP_WAIT: &str = "Nothing to do: it is tried again by itself.";
const HELP_LOOK_UP: &str = "Nothing to do: the record is looked up before anything is sent again.";
const HELP_NETWORK: &str =
    "Check the network, a proxy or a firewall between this machine and Salesforce, and status.salesforce.com.";

/// A request that got no answer.
pub fn of_transport(error: &TransportError, effect: Effect) -> Outcome {
    let text = scrub(&error.to_string());
    match (error, effect) {
        (TransportError::Unanswered { .. }, Effect::Write) => {
            Outcome::Unknown { problem: Problem::new(p::OUTCOME_UNKNOWN, text, HELP_LOOK_UP), settled: false }
        }
        _ => retry(Problem::new(p::REMOTE_UNREACHABLE, text, HELP_NETWORK)),
    }
}

/// A successful answer that makes no sense.
pub fn of_nonsense(what: &str, effect: Effect) -> Outcome {
    match effect {
        Effect::Read => retry(Problem::new(p::REMOTE_UNREACHABLE, what, HELP_NETWORK)),
        Effect::Write => {
            Outcome::Unknown { problem: Problem::new(p::OUTCOME_UNKNOWN, what, HELP_LOOK_UP), settled: true }
        }
    }
}

/// A request that was refused as a whole. `row` describes the row if it carried rows.
pub fn of_refusal(refusal: &Refusal, effect: Effect, row: Option<Row>) -> Outcome {
    let status = refusal.status;
    if matches!(status, 413 | 414 | 431) {
        return smaller(Problem::new(p::REMOTE_BUSY, refusal.text(), HELP_WAIT));
    }
    let known = refusal.faults.iter().find_map(|fault| rules::find(fault).map(|rule| (fault, rule)));
    let Some((fault, rule)) = known else { return by_status(refusal, effect) };
    let about = |code: Code| Problem::new(code, describe(fault), rule.help);
    match rule.verdict {
        Verdict::Locked => smaller(about(p::ROW_LOCKED)),
        Verdict::DailyLimit => hold(about(p::API_LIMIT)),
        Verdict::Busy(seconds) => Outcome::Retry {
            after: refusal.retry_after.or(Some(Duration::from_secs(seconds))),
            problem: about(p::REMOTE_BUSY),
            smaller: false,
        },
        Verdict::Smaller(code) if status < 500 || effect == Effect::Read => smaller(about(code)),
        _ if status >= 500 => by_status(refusal, effect),
        Verdict::ServerFailed => server_failed(refusal, effect),
        Verdict::Smaller(code) => smaller(about(code)),
        Verdict::HoldOrReject(code, _) | Verdict::Hold(code) => hold(about(code)),
        Verdict::Field => hold(about(p::FIELD_MISSING)),
        Verdict::Gone if fault.code == "NOT_FOUND" => hold(about(p::API_VERSION)),
        _ => match row {
            Some(row) if row.rows == 1 => of_fault(fault, row),
            Some(_) => smaller(about(p::ROW_REFUSED)),
            None => hold(about(p::ORG_CONFIGURATION)),
        },
    }
}

fn by_status(refusal: &Refusal, effect: Effect) -> Outcome {
    let text = refusal.text();
    match refusal.status {
        401 => {
            hold(Problem::new(p::LOGIN_REFUSED, text, "Check the integration user and the app that it logs in with."))
        }
        404 | 410 => hold(Problem::new(p::API_VERSION, text, rules::HELP_API_VERSION)),
        408 | 409 | 420 | 425 | 429 => Outcome::Retry {
            after: refusal.retry_after,
            problem: Problem::new(p::REMOTE_BUSY, text, HELP_WAIT),
            smaller: false,
        },
        300..=399 => hold(Problem::new(
            p::ORG_CONFIGURATION,
            format!("{text}; the host sends us elsewhere"),
            "Use the org's own My Domain address as login URL; check whether the org was moved.",
        )),
        500.. => server_failed(refusal, effect),
        _ => hold(Problem::new(p::ORG_CONFIGURATION, text, rules::HELP_ORG)),
    }
}

fn server_failed(refusal: &Refusal, effect: Effect) -> Outcome {
    match effect {
        Effect::Read => Outcome::Retry {
            after: refusal.retry_after,
            problem: Problem::new(p::REMOTE_UNREACHABLE, refusal.text(), HELP_NETWORK),
            smaller: false,
        },
        Effect::Write => Outcome::Unknown {
            problem: Problem::new(p::OUTCOME_UNKNOWN, refusal.text(), HELP_LOOK_UP),
            settled: refusal.is_salesforces_own(),
        },
    }
}

/// All errors of one row; the one that a person must see wins over those that heal.
pub fn of_row(faults: &[Fault], row: Row) -> Outcome {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Exists { .. } => 0,
        Outcome::Hold { .. } => 1,
        Outcome::Reject { .. } => 2,
        Outcome::Rematch { .. } => 3,
        Outcome::Unknown { .. } => 4,
        _ => 5,
    };
    let outcomes = faults.iter().map(|fault| of_fault(fault, row));
    outcomes.min_by_key(weight).unwrap_or_else(|| Outcome::Reject {
        problem: Problem::new(p::ROW_REFUSED, "Salesforce refuses the record and gives no reason", rules::HELP_UNKNOWN),
    })
}

/// One error of one row.
pub fn of_fault(fault: &Fault, row: Row) -> Outcome {
    let Some(rule) = rules::find(fault) else {
        return reject(Problem::new(p::ROW_REFUSED, describe(fault), rules::HELP_UNKNOWN));
    };
    let about = |code: Code| Problem::new(code, describe(fault), rule.help);
    match rule.verdict {
        Verdict::Locked => smaller(about(p::ROW_LOCKED)),
        Verdict::Smaller(code) => smaller(about(code)),
        Verdict::Busy(seconds) => {
            Outcome::Retry { after: Some(Duration::from_secs(seconds)), problem: about(p::REMOTE_BUSY), smaller: false }
        }
        Verdict::DailyLimit => hold(about(p::API_LIMIT)),
        Verdict::ServerFailed => {
            Outcome::Unknown { problem: Problem::new(p::OUTCOME_UNKNOWN, describe(fault), HELP_LOOK_UP), settled: true }
        }
        Verdict::Hold(code) => hold(about(code)),
        Verdict::Field if row.shut => hold(about(p::FIELD_MISSING)),
        Verdict::Field => {
            let what = format!("a field of this record cannot be written ({})", quoted(fault));
            reject(Problem::new(p::ROW_ACCESS, what, rules::HELP_SHUT))
        }
        Verdict::HoldOrReject(_, code) | Verdict::Reject(code) => reject(about(code)),
        Verdict::Rematch => Outcome::Rematch { problem: about(p::ROW_REFERENCE) },
        Verdict::Gone => of_gone(fault, row),
        Verdict::Trigger if row.rows > 1 => smaller(about(p::ROW_TRIGGER)),
        Verdict::Trigger => reject(about(p::ROW_TRIGGER)),
        Verdict::DuplicateValue => of_duplicate_value(fault, row),
    }
}

/// Whether an update's error leaves open which record is gone: the Task, or the person that it was to point at.
pub fn is_gone_without_a_name(fault: &Fault) -> bool {
    let gone = rules::find(fault).is_some_and(|rule| rule.verdict == Verdict::Gone);
    gone && fault.fields.is_empty() && !fault.message.to_lowercase().contains("whoid")
}

/// The outcome where the Task of an update turns out to be there still.
pub fn of_gone_person(fault: &Fault) -> Outcome {
    Outcome::Rematch {
        problem: Problem::new(
            p::ROW_REFERENCE,
            format!("the person that the record points at is gone ({})", describe(fault)),
            HELP_WAIT,
        ),
    }
}

/// Which record is gone: the person, the Task itself, or another that the mapping names.
fn of_gone(fault: &Fault, row: Row) -> Outcome {
    let about_person = fault.names_field("WhoId") || fault.message.to_lowercase().contains("whoid");
    let about_other = !about_person && fault.fields.iter().any(|name| !name.eq_ignore_ascii_case("Id"));
    if about_other {
        return reject(Problem::new(
            p::ROW_REFERENCE,
            describe(fault),
            "Correct the mapping of the field it names, then run `trunkline retry` for this call.",
        ));
    }
    if row.update && !about_person {
        return reject(Problem::new(
            p::ROW_REFERENCE,
            format!("the Task was deleted in the org ({})", describe(fault)),
            "If the Task should stand there after all, run `trunkline retry --recreate` for this call.",
        ));
    }
    of_gone_person(fault)
}

fn of_duplicate_value(fault: &Fault, row: Row) -> Outcome {
    let message = fault.message.to_lowercase();
    let ours = fault.names_field(row.key_field)
        || message.contains(&row.key_field.to_lowercase())
        || (!row.key.is_empty() && message.contains(&row.key.to_lowercase()));
    if !ours {
        return reject(Problem::new(p::ROW_DUPLICATE, describe(fault), rules::HELP_DUPLICATE));
    }
    match record_id(&fault.message) {
        Some(remote_id) => Outcome::Exists { remote_id },
        None => {
            Outcome::Unknown { problem: Problem::new(p::ROW_DUPLICATE, describe(fault), HELP_LOOK_UP), settled: true }
        }
    }
}

/// The org refuses our key as a double, and shows no record that holds it: none was written, and a new try may see it.
pub fn of_unseen_holder(what: &str) -> Outcome {
    smaller(Problem::new(p::ROW_DUPLICATE, format!("{what}; no record with this key can be seen"), rules::HELP_UNSEEN))
}

/// The id in `… duplicates value on record with id: 00T…`.
fn record_id(message: &str) -> Option<String> {
    let after = message.rsplit("id:").next()?.trim_start();
    let id: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
    (message.contains("id:") && matches!(id.len(), 15 | 18)).then(|| long_id(id))
}

/// The 18-character form, which every other answer uses: messages may name a record by the 15-character one. The three
/// last characters tell which of the others are capitals, five at a time.
fn long_id(mut id: String) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    if id.len() == 15 {
        let bits =
            |group: &[u8]| (0..5).filter(|place| group[*place].is_ascii_uppercase()).map(|place| 1 << place).sum();
        let ends: Vec<usize> = id.as_bytes().chunks_exact(5).map(bits).collect();
        id.extend(ends.into_iter().map(|end| char::from(DIGITS[end])));
    }
    id
}

/// Code and message without a record's own values and without the query's echo.
fn describe(fault: &Fault) -> String {
    let fields = fault.fields.join(", ");
    match fault.code.as_str() {
        "STRING_TOO_LONG" => {
            let limit = fault.message.rsplit_once("max length=").map_or("?", |(_, rest)| rest.trim_end_matches(')'));
            let label = fault.message.split(':').next().unwrap_or_default();
            let field = if fields.is_empty() { label } else { &fields };
            format!("STRING_TOO_LONG: {} takes at most {} characters", scrub(field), scrub(limit))
        }
        "INVALID_EMAIL_ADDRESS" if !fields.is_empty() => format!("INVALID_EMAIL_ADDRESS in {}", scrub(&fields)),
        "INVALID_FIELD" | "INVALID_FIELD_FOR_INSERT_UPDATE" => {
            format!("a field is missing or not visible to the integration user ({})", quoted(fault))
        }
        _ => quoted(fault),
    }
}

/// Code and message without the query's echo.
fn quoted(fault: &Fault) -> String {
    Fault { message: without_echo(&fault.message).to_owned(), ..fault.clone() }.text()
}

/// A query error repeats a piece of the query, where addresses stand, before the reason: only the reason is kept.
fn without_echo(message: &str) -> &str {
    match message.split_once("ERROR at Row:") {
        Some((_, rest)) => rest.split_once('\n').map_or("", |(_, reason)| reason),
        None => message,
    }
}

fn retry(problem: Problem) -> Outcome {
    Outcome::Retry { after: None, problem, smaller: false }
}

fn smaller(problem: Problem) -> Outcome {
    Outcome::Retry { after: None, problem, smaller: true }
}

pub fn hold(problem: Problem) -> Outcome {
    Outcome::Hold { problem }
}

fn reject(problem: Problem) -> Outcome {
    Outcome::Reject { problem }
}

#[cfg(test)]
#[path = "tests/outcome.rs"]
mod tests;

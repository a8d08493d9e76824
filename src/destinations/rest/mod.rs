//! Any CRM with a REST API, told in a table of the configuration: requests as templates, answers by JSON pointers.
//!
//! The ready configurations in `presets/` (call-data API, HubSpot, Pipedrive, Zoho, Dynamics) are such tables, and nothing
//! else. Once-ness comes from the API where it refuses doubles; else a lost request is looked up before it is sent again;
//! where that cannot be asked either, the configured policy decides.

mod answer;
mod check;
mod client;
pub mod config;
mod found;
mod questions;
mod request;
mod round;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::client::Client;
use self::config::{DoublesRule, LostAnswer, Settings};
use self::request::Requests;
use self::round::Said;
use super::{
    Advice, Answers, Destination, DestinationKind, Doubles, Existing, Mapped, Match, Operation, Outcome, Person,
    Readiness, Record, Usage, Verdict, Write,
};
use crate::net::Transport;
use crate::problem::{ANSWER_UNREADABLE, Problem};
use crate::redact::RedactedCall;

pub const KIND: DestinationKind = DestinationKind {
    name: "rest",
    about: "any REST API: the call-data API, HubSpot, Pipedrive, Zoho, Dynamics, your own",
};

/// Tells the time; passed in.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// One REST API as a destination.
pub struct Rest {
    name: String,
    settings: Arc<Settings>,
    client: Client,
    requests: Requests,
    zone: TimeZone,
    clock: Clock,
    /// Whether the look-up was found to be offered.
    looks_up: AtomicBool,
    people: questions::Asked,
    records: questions::Asked,
}

impl Rest {
    /// Compiles the templates; sends nothing.
    pub fn new(
        name: &str,
        settings: Settings,
        zone: TimeZone,
        transport: Arc<dyn Transport>,
        clock: Clock,
    ) -> Result<Rest, Problem> {
        let settings = Arc::new(settings);
        Ok(Rest {
            name: name.to_owned(),
            requests: Requests::new(name, &settings.section)?,
            client: Client::new(name, transport, settings.clone()),
            settings,
            zone,
            clock,
            looks_up: AtomicBool::new(false),
            people: questions::Asked::default(),
            records: questions::Asked::default(),
        })
    }

    /// Whether a look-up is configured and answered as one. Asked until it is: what comes from in front of the API says
    /// nothing, and what an API does not offer today it may offer tomorrow.
    async fn offers_look_up(&self) -> Result<bool, Outcome> {
        if self.settings.section.look_up.is_none() {
            return Ok(false);
        }
        if self.looks_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let offers = match self.probed().await? {
            None => true,
            Some(Said::Known(offers) | Said::Answered(offers)) => offers,
            Some(Said::Refused { problem, .. } | Said::Keyless(problem) | Said::Unaskable(problem)) => {
                return Err(Outcome::Hold { problem });
            }
            Some(Said::Trouble(outcome) | Said::Busy(outcome) | Said::All(outcome)) => return Err(outcome),
            Some(Said::NotAsked) => return Err(Outcome::Hold { problem: self.cannot_ask() }),
        };
        self.looks_up.store(offers, Ordering::Relaxed);
        Ok(offers)
    }

    async fn readiness(&self) -> Result<Readiness, Outcome> {
        let section = &self.settings.section;
        let resend = section.lost_answer == LostAnswer::Resend;
        let unseen = Doubles::Unseen { resend };
        let doubles = match section.doubles {
            DoublesRule::Refused => Doubles::Refused,
            rule if !self.offers_look_up().await? => match rule {
                // To send without asking is what was ruled out.
                DoublesRule::LookUpFirst => return Err(Outcome::Hold { problem: self.cannot_ask() }),
                _ => unseen,
            },
            rule => Doubles::LookedUp { first: rule == DoublesRule::LookUpFirst },
        };
        let key_advice = (doubles == unseen).then(|| Advice {
            what: format!("{} cannot be asked whether a call arrived", self.name),
            help: match resend {
                true => "a request without an answer is sent again, which can double a call",
                false => "a request without an answer becomes a dead letter: look there, then `trunkline retry`",
            }
            .to_owned(),
        });
        Ok(Readiness { doubles, key_advice, warnings: Vec::new() })
    }

    fn cannot_ask(&self) -> Problem {
        Problem::new(
            ANSWER_UNREADABLE,
            format!("{} is to be asked before each first request, but does not answer the look-up", self.name),
            "mend the look-up or its probe; or take look_up_first out, and accept doubles after a lost ledger; then run \
             `trunkline retry`",
        )
    }

    fn date(&self, call: &RedactedCall) -> Option<Date> {
        call.call().date_in(&self.zone)
    }

    async fn write_one(&self, write: &Write) -> Outcome {
        let section = &self.settings.section;
        let headers = &self.settings.headers;
        let (send, headers, remote_id) = match (&write.operation, &section.update) {
            (Operation::Create, _) => (&section.create, &headers.create, None),
            (Operation::Update { remote_id }, Some(update)) => (update, &headers.update, Some(remote_id.as_str())),
            (Operation::Update { remote_id }, None) => {
                return Outcome::Delivered { remote_id: remote_id.clone(), created: false };
            }
        };
        let path = match self.requests.path(&write.key, remote_id) {
            Ok(path) => path,
            Err(problem) => return Outcome::Hold { problem },
        };
        let body = Value::Object(write.record.clone()).to_string().into_bytes();
        let call = client::Call { method: &send.method, path: &path, body: Some(body), headers };
        let own_id = remote_id.unwrap_or(write.key.as_str());
        match self.client.send(&call).await {
            Err(outcome) => outcome,
            Ok(result) => {
                let place = self.settings.place(&send.method, &path);
                let written = answer::Written { send, created: remote_id.is_none(), own_id, place: &place };
                answer::of_write(result, &written, (self.clock)())
            }
        }
    }
}

/// Stands for everybody of whom the destination wants no record.
fn no_person() -> Person {
    Person { object: String::new(), id: String::new() }
}

fn nobody(rule: &str, verdict: Verdict) -> Match {
    Match { verdict, rule: rule.to_owned(), candidates: Vec::new(), candidates_total: 0 }
}

#[async_trait]
impl Destination for Rest {
    fn name(&self) -> &str {
        &self.name
    }

    async fn prepare(&self) -> Result<Readiness, Outcome> {
        self.readiness().await
    }

    fn batch_max(&self) -> usize {
        1
    }

    fn reads_whole_calls(&self) -> bool {
        self.requests.reads_whole_calls()
    }

    async fn match_people(&self, calls: &[&RedactedCall]) -> Answers<Match> {
        self.people_of(calls).await
    }

    fn can_update(&self) -> bool {
        self.settings.section.update.is_some()
    }

    fn map(&self, call: &RedactedCall, person: &Person) -> Result<Mapped, Problem> {
        self.requests.map(call, person, self.date(call), self.settings.section.keep_nulls)
    }

    async fn look_up(&self, calls: &[&RedactedCall]) -> Answers<Option<Existing>> {
        self.records_of(calls).await
    }

    /// What an API gives back has a form of its own: it is not compared.
    fn stands(&self, _held: &Record, _mapped: &Mapped) -> bool {
        false
    }

    fn call_date(&self, call: &RedactedCall) -> Option<Date> {
        self.date(call)
    }

    async fn write(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(self.write_one(write).await);
        }
        outcomes
    }

    fn link(&self, _remote_id: &str) -> Option<String> {
        None
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

#[cfg(test)]
mod tests;

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
mod request;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::answer::Answer;
use self::client::Client;
use self::config::{Ask, DoublesRule, HeaderLines, LostAnswer, Settings, Unmatched};
use self::found::{Question, found};
use self::request::Requests;
use super::{
    Advice, Candidate, Destination, DestinationKind, Doubles, Existing, Mapped, Match, Operation, Outcome, Person,
    Readiness, Record, Usage, Verdict, Write,
};
use crate::model::CallKey;
use crate::net::Transport;
use crate::problem::{ANSWER_UNREADABLE, ORG_CONFIGURATION, Problem};
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
    /// Whether the look-up was found to be offered, once it was asked.
    looks_up: std::sync::OnceLock<bool>,
    /// Whether a question about a person was ever answered.
    has_answered: AtomicBool,
    /// Whether a person that was answered had the places of its key.
    has_keys: AtomicBool,
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
            looks_up: std::sync::OnceLock::new(),
            has_answered: AtomicBool::new(false),
            has_keys: AtomicBool::new(false),
        })
    }

    /// Asks a question; `Ok(None)` if the answer says that there is nothing.
    async fn ask(
        &self,
        ask: &Ask,
        headers: &HeaderLines,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Option<Answer>, Outcome> {
        let call = client::Call { method: &ask.method, path, body, headers };
        let answer = self.client.send(&call).await?.map_err(|error| answer::of_transport(&error, false))?;
        if ask.none.contains(&answer.status.as_u16()) {
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(answer::of_question(&answer, &[], (self.clock)()));
        }
        Ok(Some(answer))
    }

    /// Whether a look-up is configured and answered as one; asked once.
    async fn offers_look_up(&self) -> Result<bool, Outcome> {
        let Some(ask) = &self.settings.section.look_up else { return Ok(false) };
        if let Some(known) = self.looks_up.get() {
            return Ok(*known);
        }
        let Some(path) = self.requests.probe()? else { return Ok(true) };
        let headers = &self.settings.headers.look_up;
        let call = client::Call { method: &ask.method, path: &path, body: None, headers };
        let answer = self.client.send(&call).await?.map_err(|error| answer::of_transport(&error, false))?;
        let offers = match answer.status.as_u16() {
            408 | 425 | 429 | 500 | 502..=599 | 401 | 403 => {
                return Err(answer::of_question(&answer, &[], (self.clock)()));
            }
            _ => answer.status.is_success() && answer.body().pointer(&ask.items).is_some_and(Value::is_array),
        };
        Ok(*self.looks_up.get_or_init(|| offers))
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

    async fn person_of(&self, call: &RedactedCall) -> Result<Match, Outcome> {
        let Some(ask) = &self.settings.section.person else {
            return Ok(nobody("no-person", Verdict::Found(no_person())));
        };
        let question = self.requests.person(call, self.date(call)).map_err(|problem| Outcome::Hold { problem })?;
        let Some((path, body, is)) = question else { return Ok(self.unmatched("unmatched", Verdict::NoEmail)) };
        let answer = self.ask(ask, &self.settings.headers.person, &path, body).await?;
        let found = self.people_in(ask, &is, answer.as_ref()).map_err(|problem| Outcome::Hold { problem })?;
        self.has_answered.store(true, Ordering::Relaxed);
        let Some(first) = found.first() else { return Ok(self.unmatched("unmatched", Verdict::NoMatch)) };
        let object = ask.object.clone();
        let candidates = found.iter().take(super::CANDIDATES_MAX).enumerate();
        let candidates = candidates
            .map(|(place, id)| Candidate {
                object: object.clone(),
                id: id.clone(),
                modified_at: None,
                remark: if place == 0 { "the first that the CRM names" } else { "not the first" }.to_owned(),
            })
            .collect();
        let verdict = Verdict::Found(Person { object, id: first.clone() });
        Ok(Match { verdict, rule: "person".to_owned(), candidates, candidates_total: found.len() })
    }

    /// Who was found. Somebody may lack what others are told apart by, such as an address; that nobody has it is a mistake
    /// in the table.
    fn people_in(&self, ask: &Ask, is: &str, answer: Option<&Answer>) -> Result<Vec<String>, Problem> {
        let Some(answer) = answer else { return Ok(Vec::new()) };
        if found::has_key(answer, ask) {
            self.has_keys.store(true, Ordering::Relaxed);
        }
        found(answer, &Question { name: "person", ask, is, keyless: self.has_keys.load(Ordering::Relaxed) })
    }

    /// For a call whose person is not known.
    fn unmatched(&self, rule: &str, verdict: Verdict) -> Match {
        match self.settings.section.unmatched {
            Unmatched::Deliver => nobody(rule, Verdict::Found(no_person())),
            Unmatched::Skip => nobody(rule, verdict),
        }
    }

    /// What was answered about one call. Of a question that is right for others, only the one caller's address is refused.
    fn told(&self, answer: Result<Match, Outcome>) -> Result<Match, Outcome> {
        match answer {
            Err(Outcome::Hold { problem })
                if problem.code == ORG_CONFIGURATION && self.has_answered.load(Ordering::Relaxed) =>
            {
                Ok(self.unmatched("question-refused", Verdict::NoMatch))
            }
            answer => answer,
        }
    }

    async fn record_of(&self, ask: &Ask, call: &RedactedCall) -> Result<Option<Existing>, Outcome> {
        let (path, body, is) =
            self.requests.look_up(call, self.date(call)).map_err(|problem| Outcome::Hold { problem })?;
        let headers = &self.settings.headers.look_up;
        let Some(answer) = self.ask(ask, headers, &path, body).await? else { return Ok(None) };
        let question = Question { name: "look_up", ask, is: &is, keyless: false };
        let found = found(&answer, &question).map_err(|problem| Outcome::Hold { problem })?;
        Ok(found.into_iter().next().map(|remote_id| Existing {
            remote_id,
            adopted: false,
            person_id: None,
            record: None,
        }))
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

    async fn match_people(&self, calls: &[&RedactedCall]) -> Result<Vec<Match>, Outcome> {
        let at_once = usize::from(self.settings.section.requests_in_flight);
        let asked: Vec<_> = calls.iter().map(|call| self.person_of(call)).collect();
        let found: Vec<Result<Match, Outcome>> = stream::iter(asked).buffered(at_once).collect().await;
        found.into_iter().map(|answer| self.told(answer)).collect()
    }

    fn can_update(&self) -> bool {
        self.settings.section.update.is_some()
    }

    fn map(&self, call: &RedactedCall, person: &Person) -> Result<Mapped, Problem> {
        self.requests.map(call, person, self.date(call), self.settings.section.keep_nulls)
    }

    async fn look_up(&self, calls: &[&RedactedCall]) -> Result<HashMap<CallKey, Existing>, Outcome> {
        let Some(ask) = &self.settings.section.look_up else { return Ok(HashMap::new()) };
        let at_once = usize::from(self.settings.section.requests_in_flight);
        let asked: Vec<_> = calls.iter().map(|call| self.record_of(ask, call)).collect();
        let found: Vec<Result<Option<Existing>, Outcome>> = stream::iter(asked).buffered(at_once).collect().await;
        let found: Result<Vec<Option<Existing>>, Outcome> = found.into_iter().collect();
        let keys = calls.iter().map(|call| call.call().key.clone());
        let by_key =
            |found: Vec<Option<Existing>>| keys.zip(found).filter_map(|(key, one)| Some((key, one?))).collect();
        found.map(by_key)
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

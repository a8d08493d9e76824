//! Salesforce: calls become Tasks on the caller's Contact or Lead.
//!
//! Each call is on one Task because the org refuses a second with the same key (`Call_Key__c`, External ID and Unique);
//! where that field is not there, CallObject and a look-up before each resend stand in. This file wires the parts
//! together: `login` and `session`, `client` and `soql`, then `describe`, `people`, `existing`, `task`, `write`, `lead`;
//! `answers`, `rules`, `outcome` and `blame` say what each answer means.

mod answers;
mod blame;
mod client;
mod compare;
pub mod config;
mod describe;
mod existing;
mod lead;
mod login;
mod login_help;
mod outcome;
mod people;
mod refusal;
mod rules;
mod session;
mod soap;
mod soql;
mod task;
pub mod template;
mod time;
mod wire;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::sync::Mutex;

use self::client::Client;
use self::config::{LoginFlow, NoMatchRule, Settings};
use self::describe::Facts;
use self::template::Mapping;
pub use self::wire::Clock;
use self::wire::Wire;
use super::{
    Answers, CreatesPeople, Destination, DestinationKind, Existing, Mapped, Match, Outcome, Person, Readiness, Record,
    Usage, Write,
};
use crate::model::Call;
use crate::net::Transport;
use crate::problem::{CONFIG_BAD_VALUE, Problem};
use crate::redact::RedactedCall;

pub const KIND: DestinationKind =
    DestinationKind { name: "salesforce", about: "Tasks (and Leads) in a Salesforce org" };

/// One Salesforce org as a destination.
pub struct Salesforce {
    name: String,
    settings: Arc<Settings>,
    client: Client,
    mapping: Mapping,
    /// What the org last said; stays in use for mapping while a hold lasts.
    facts: RwLock<Arc<Facts>>,
    /// Emptied by every hold, so that the next question asks the org again.
    ready: Mutex<Option<Readiness>>,
    held: std::sync::atomic::AtomicBool,
}

impl Salesforce {
    /// Checks the settings and compiles the mapping; sends nothing.
    pub fn new(
        name: &str,
        settings: Settings,
        transport: Arc<dyn Transport>,
        clock: Clock,
    ) -> Result<Salesforce, Problem> {
        settings.check()?;
        check_login(&settings)?;
        let mapping = Mapping::new(&settings.mapping, &settings.key_field)?;
        let settings = Arc::new(settings);
        Ok(Salesforce {
            name: name.to_owned(),
            client: Client::new(Wire::new(transport, clock), settings.clone()),
            mapping,
            facts: RwLock::new(Arc::new(Facts::documented(&settings.key_field))),
            ready: Mutex::new(None),
            held: std::sync::atomic::AtomicBool::new(false),
            settings,
        })
    }

    fn facts(&self) -> Arc<Facts> {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn make_ready(&self) -> Result<Readiness, Outcome> {
        let mut ready = self.ready.lock().await;
        if self.held.swap(false, std::sync::atomic::Ordering::AcqRel) {
            *ready = None;
        }
        if let Some(readiness) = ready.as_ref() {
            return Ok(readiness.clone());
        }
        self.client.wire().forget_allowance();
        self.client.connect().await?;
        let facts = describe::read_task(&self.client, &self.settings.key_field).await?;
        let readiness = facts.readiness(&self.settings.key_field, self.mapping.fields())?;
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
        self.client.check_allowance()?;
        *ready = Some(readiness.clone());
        Ok(readiness)
    }

    /// Remembers a hold, so that the org is asked anew after it.
    fn note(&self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Hold { .. }) {
            self.held.store(true, std::sync::atomic::Ordering::Release);
        }
    }

    /// Remembers how long texts may be where the org's description did not tell, so that the next try is cut to fit.
    fn learn(&self, lengths: &[(String, usize)]) {
        if lengths.is_empty() {
            return;
        }
        let mut facts = Facts::clone(&self.facts());
        lengths.iter().for_each(|(field, length)| facts.shorten(field, *length));
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
    }

    fn noted<T>(&self, result: Result<T, Outcome>) -> Result<T, Outcome> {
        result.inspect_err(|outcome| self.note(outcome))
    }
}

fn check_login(settings: &Settings) -> Result<(), Problem> {
    match &settings.login {
        LoginFlow::Jwt { private_key_pem, .. } if login::read_private_key(private_key_pem).is_none() => {
            Err(Problem::new(
                CONFIG_BAD_VALUE,
                "the private key for the Salesforce login is not an RSA key in PEM form",
                login_help::PRIVATE_KEY,
            ))
        }
        _ => Ok(()),
    }
}

fn calls_of<'a>(calls: &[&'a RedactedCall]) -> Vec<&'a Call> {
    calls.iter().map(|call| call.call()).collect()
}

#[async_trait]
impl Destination for Salesforce {
    fn name(&self) -> &str {
        &self.name
    }

    async fn prepare(&self) -> Result<Readiness, Outcome> {
        self.noted(self.make_ready().await)
    }

    fn batch_max(&self) -> usize {
        write::RECORDS_MAX
    }

    fn reads_whole_calls(&self) -> bool {
        self.mapping.reads_whole_calls()
    }

    async fn match_people(&self, calls: &[&RedactedCall]) -> Answers<Match> {
        self.prepare().await?;
        let matches = people::match_people(&self.client, self.settings.several, &calls_of(calls)).await;
        Ok(self.noted(matches)?.into_iter().map(Ok).collect())
    }

    fn people(&self) -> Option<&dyn CreatesPeople> {
        (self.settings.no_match == NoMatchRule::CreateLead).then_some(self)
    }

    fn map(&self, call: &RedactedCall, person: &Person) -> Result<Mapped, Problem> {
        task::map(&self.settings, &self.facts(), &self.mapping, call.call(), person)
    }

    async fn look_up(&self, calls: &[&RedactedCall]) -> Answers<Option<Existing>> {
        self.prepare().await?;
        let facts = self.facts();
        let read = self.mapping.fields();
        let found = existing::look_up(&self.client, &self.settings, &facts, read, &calls_of(calls)).await;
        let mut found = self.noted(found)?;
        Ok(calls.iter().map(|call| Ok(found.remove(&call.call().key))).collect())
    }

    fn stands(&self, held: &Record, mapped: &Mapped) -> bool {
        compare::stands(&self.facts(), held, &mapped.update)
    }

    async fn adoptable(&self, dates: &[Date]) -> Result<HashMap<String, Existing>, Outcome> {
        if !self.settings.adoption.enabled {
            return Ok(HashMap::new());
        }
        self.prepare().await?;
        self.noted(existing::adoptable(&self.client, &self.settings, &self.facts(), dates).await)
    }

    fn adoption_stamp(&self, call: &RedactedCall) -> Record {
        task::identity(&self.settings, &self.facts(), call.call())
    }

    fn call_date(&self, call: &RedactedCall) -> Option<Date> {
        call.call().date_in(&self.settings.time_zone)
    }

    async fn write(&self, writes: &[Write]) -> Vec<Outcome> {
        if let Err(outcome) = self.prepare().await {
            return vec![outcome; writes.len()];
        }
        let written = write::write(&self.client, &self.settings.key_field, &self.facts(), writes).await;
        written.outcomes.iter().for_each(|outcome| self.note(outcome));
        self.learn(&written.lengths);
        written.outcomes
    }

    fn link(&self, remote_id: &str) -> Option<String> {
        self.client.instance().map(|instance| format!("{instance}/{remote_id}"))
    }

    fn usage(&self) -> Usage {
        self.client.usage()
    }
}

#[async_trait]
impl CreatesPeople for Salesforce {
    async fn create_person(&self, call: &RedactedCall) -> Result<Person, Outcome> {
        self.prepare().await?;
        self.noted(lead::create_person(&self.client, call.call()).await)
    }

    fn new_person(&self, call: &RedactedCall) -> Option<(String, Record)> {
        Some((lead::OBJECT.to_owned(), lead::lead_of(call.call())?))
    }
}

#[cfg(test)]
mod tests;

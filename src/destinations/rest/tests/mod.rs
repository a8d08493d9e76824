//! The REST destination: its ready configurations and what it makes of a table.

mod config;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::config as tables;
use super::*;
use crate::net::TransportError;

/// Nothing is sent in these tests.
struct NoNetwork;

#[async_trait]
impl Transport for NoNetwork {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: std::time::Duration,
    ) -> Result<http::Response<Bytes>, TransportError> {
        Err(TransportError::NotSent { host: "nowhere".into(), cause: "a test".into() })
    }
}

fn rest(name: &str, table: &str) -> Result<Rest, Problem> {
    let table: toml::Table = table.parse().expect("TOML");
    let section = tables::section(name, table)?;
    let settings = Settings::of(name, section, &|_, text| Ok(SecretString::from(text.to_owned())))?;
    let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    Rest::new(name, settings, TimeZone::UTC, Arc::new(NoNetwork), clock)
}

#[test]
fn every_ready_configuration_is_complete() {
    let own = "base_url = \"https://crm.example\"\n[values]\ncampaign_id = \"1\"\nvoice_agent_id = \"2\"\nown_phone = \"+15550100900\"\nclient_id = \"3\"\ntenant = \"t\"\n";
    for (name, _) in tables::PRESETS {
        let table = format!("preset = \"{name}\"\n{own}");
        let made = rest(name, &table).map(|_| ()).map_err(|problem| problem.to_string());
        assert_eq!(made, Ok(()), "{name}");
    }
}

/// Each question takes half a minute.
struct Slow(std::sync::Mutex<jiff::Timestamp>);

#[async_trait]
impl Transport for Slow {
    async fn send(
        &self,
        _: http::Request<Bytes>,
        _: std::time::Duration,
    ) -> Result<http::Response<Bytes>, TransportError> {
        *self.0.lock().expect("no test panics while it holds this") += jiff::SignedDuration::from_secs(30);
        Ok(http::Response::new(Bytes::from_static(b"[]")))
    }
}

#[tokio::test]
async fn questions_are_begun_only_as_long_as_their_answers_can_be_used() {
    let table = "base_url = \"https://crm.example\"\nrequests_in_flight = 1\n[create]\nmethod = \"POST\"\npath = \"/calls\"\n\
                 body = \"{}\"\n[person]\nmethod = \"GET\"\npath = \"/people?q={{ call.email }}\"\n[look_up]\n\
                 method = \"GET\"\npath = \"/calls?ref={{ call.key }}\"\n";
    let section = tables::section("crm", table.parse().expect("TOML")).unwrap_or_else(|misread| panic!("{misread:?}"));
    let resolve = |_: &str, text: &str| Ok(SecretString::from(text.to_owned()));
    let settings = Settings::of("crm", section, &resolve).unwrap_or_else(|problem| panic!("{problem}"));
    let slow = Arc::new(Slow(std::sync::Mutex::new(jiff::Timestamp::UNIX_EPOCH)));
    let told = Arc::clone(&slow);
    let clock: Clock = Arc::new(move || *told.0.lock().expect("no test panics while it holds this"));
    let rest = Rest::new("crm", settings, TimeZone::UTC, slow, clock).unwrap_or_else(|problem| panic!("{problem}"));
    let calls: Vec<RedactedCall> = (0..10)
        .map(|number| {
            let mut call = crate::model::Call::new("sessions", &format!("s{number}"));
            call.caller.email = Some(format!("s{number}@example.com"));
            crate::redact::redact(call)
        })
        .collect();
    let calls: Vec<&RedactedCall> = calls.iter().collect();
    let not_asked = |answered: Vec<bool>| (answered.iter().take_while(|one| **one).count(), answered.len());
    let people = rest.match_people(&calls).await.expect("nothing that concerns all");
    assert_eq!(not_asked(people.iter().map(Result::is_ok).collect()), (4, 10), "100 s at 30 s each");
    assert_eq!(people[4], Err(crate::destinations::Unanswered::NotAsked));
    let found = rest.look_up(&calls).await.expect("nothing that concerns all");
    assert_eq!(not_asked(found.iter().map(Result::is_ok).collect()), (4, 10), "a round of its own");
}

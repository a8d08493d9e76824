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

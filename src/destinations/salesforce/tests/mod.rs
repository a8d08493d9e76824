//! Tests of the destination as the engine uses it, against a scripted network.

mod batches;
mod flow;
mod net;
mod org;

use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

use super::config::{LoginFlow, Settings};
use super::{Clock, Salesforce};
use crate::destinations::{Operation, Record, Write};
use crate::model::Call;
use crate::redact::{RedactedCall, redact};
pub use net::{Net, reply, reply_text, task_describe};

pub const NOW: &str = "2026-11-20T10:00:00Z";

pub fn clock() -> Clock {
    let now: Timestamp = NOW.parse().unwrap();
    Arc::new(move || now)
}

pub fn settings() -> Settings {
    Settings::new(LoginFlow::ClientCredentials { client_id: "app".into(), client_secret: SecretString::from("secret") })
}

pub fn destination(net: &Arc<Net>) -> Salesforce {
    destination_with(net, |_| {})
}

pub fn destination_with(net: &Arc<Net>, change: impl FnOnce(&mut Settings)) -> Salesforce {
    let mut settings = settings();
    change(&mut settings);
    Salesforce::new("salesforce", settings, net.clone(), clock()).unwrap()
}

/// A call from `email` with this session id.
pub fn call(id: &str, email: &str) -> RedactedCall {
    let mut call = Call::new("sessions", id);
    call.caller.email = Some(email.to_owned());
    call.started_at = Some("2026-11-19T12:00:00Z".parse().unwrap());
    redact(call)
}

pub fn create(id: &str) -> Write {
    let mut record = Record::new();
    record.insert("Subject".into(), "Voice AI Call".into());
    Write { key: call(id, "").call().key.clone(), object: "Task".into(), operation: Operation::Create, record }
}

pub fn update(id: &str, remote_id: &str) -> Write {
    Write { operation: Operation::Update { remote_id: remote_id.into() }, ..create(id) }
}

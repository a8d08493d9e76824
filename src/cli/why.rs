//! `trunkline why <session>`: the whole account of one call, from the raw file to the record in the CRM, or the place
//! where it stopped.

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Exit, Failure, Output, why_text};
use crate::destinations::Match;
use crate::model::CallKey;
use crate::redact::RedactedCall;
use crate::store::{AttemptRow, DeliveryFilter, DeliveryRow, RawFilter, RawRow, ReadStore, RevisionRow, StoreError};

#[derive(Args)]
pub struct Arguments {
    /// A session id as the source gives it, a call key, or a part of a quarantined file's address.
    session: String,
}

/// The whole answer. Written as it is: what a call holds may be nested deeper than a JSON value here can be.
#[derive(Serialize)]
struct Answer<'a> {
    calls: &'a [Account],
    quarantined: &'a [RawRow],
}

/// What is known of one call.
#[derive(Serialize)]
pub struct Account {
    pub session_id: String,
    pub call_key: String,
    pub revision: u32,
    pub first_seen_ms: i64,
    pub changed_at_ms: i64,
    pub raw: Vec<RawRow>,
    pub revisions: Vec<RevisionRow>,
    pub call: RedactedCall,
    pub deliveries: Vec<DeliveryAccount>,
}

#[derive(Serialize)]
pub struct DeliveryAccount {
    #[serde(flatten)]
    pub row: DeliveryRow,
    #[serde(rename = "match")]
    pub decision: Option<Match>,
    pub record: Option<serde_json::Value>,
    pub attempts_made: Vec<AttemptRow>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    let store = context.open_store_to_read(&settings.store_path)?;
    let mut accounts = Vec::new();
    for key in store.find_calls(&arguments.session).await? {
        accounts.extend(account(store.as_ref(), &key).await?);
    }
    let filter = RawFilter {
        state: Some("quarantined"),
        url_part: Some(arguments.session.clone()),
        limit: Some(20),
        ..RawFilter::default()
    };
    let quarantined = store.raws(&filter).await?;
    if context.global.json {
        output.json(&Answer { calls: &accounts, quarantined: &quarantined })?;
    } else {
        for account in &accounts {
            why_text::account(account, &settings.time_zone, output)?;
        }
        for raw in &quarantined {
            why_text::quarantined(raw, &settings.time_zone, output)?;
        }
    }
    if accounts.is_empty() && quarantined.is_empty() {
        why_text::unknown(&arguments.session, &settings.store_path, output);
        return Ok(Exit::Person);
    }
    Ok(Exit::Done)
}

async fn account(store: &dyn ReadStore, key: &CallKey) -> Result<Option<Account>, Failure> {
    let Some(stored) = store.call(key).await? else { return Ok(None) };
    let by_call = RawFilter { call_key: Some(key.as_str().to_owned()), ..RawFilter::default() };
    let of_call = DeliveryFilter { call_key: Some(key.as_str().to_owned()), ..DeliveryFilter::default() };
    let mut deliveries = Vec::new();
    for row in store.deliveries(&of_call).await? {
        let attempts_made = store.attempts(row.id).await?;
        let decision = read_back(&row, "match", row.match_json.as_deref())?;
        let record = read_back(&row, "record", row.record_json.as_deref())?;
        deliveries.push(DeliveryAccount { row, decision, record, attempts_made });
    }
    Ok(Some(Account {
        session_id: stored.call.call().source_id.clone(),
        call_key: key.as_str().to_owned(),
        revision: stored.revision.0,
        first_seen_ms: stored.first_seen_ms,
        changed_at_ms: stored.changed_at_ms,
        raw: store.raws(&by_call).await?,
        revisions: stored.revisions,
        call: stored.call,
        deliveries,
    }))
}

/// What the ledger holds as JSON; that it does not read back is damage, and not the same as nothing.
fn read_back<T: DeserializeOwned>(row: &DeliveryRow, what: &str, json: Option<&str>) -> Result<Option<T>, StoreError> {
    let place = || format!("the {what} of delivery {} (call {})", row.id, row.call_key);
    let damaged = |error: serde_json::Error| StoreError::Damaged { place: place(), cause: error.to_string() };
    json.map(serde_json::from_str).transpose().map_err(damaged)
}

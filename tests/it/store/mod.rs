//! Contract: what the engine relies on when it keeps calls and deliveries. Written against the traits, run on SQLite.

mod arrivals;
mod claims;
mod file;
mod outcomes;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use trunkline::model::{Call, CallKey, Digest, Direction, Revision, Role, Turn};
use trunkline::problem::{Problem, RAW_EMPTY};
use trunkline::redact::redact;
use trunkline::sources::RawRef;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{
    Change, Claimed, DeliveryFilter, DeliveryStore, IntakeCall, IntakeFate, IntakeItem, IntakeResult, IntakeStore,
    Intent, IntentFate, Matching, OldestSince, Order, Parts, Place, RawFilter, ReadStore, Rearm, Scope, Seen,
    Settlement, StoreError, StoredProblem, Window,
};

pub const CRM: &str = "salesforce";
pub const LEASE_MS: i64 = 600_000;

pub fn open(folder: &Path, owner: &str) -> SqliteStore {
    SqliteStore::open(&folder.join("calls.db"), owner, 0).unwrap_or_else(|error| panic!("{error}"))
}

pub fn item(id: &str, started_s: i64, duration_s: f64, modified_s: i64) -> IntakeItem {
    let mut call = Call::new("sessions", id);
    call.started_at = Timestamp::from_second(started_s).ok();
    call.duration_s = Some(duration_s);
    call.turns.push(Turn::new(Role::User, "Is it green?".to_owned(), None));
    let digest = Digest::of(format!("{id} {duration_s}").as_bytes());
    let fate = IntakeCall::of(redact(call), digest, Vec::new()).expect("a call that can be encoded");
    IntakeItem { raw: raw(id, modified_s), day: Some(date(2026, 11, 20)), fate: IntakeFate::Call(Box::new(fate)) }
}

fn raw(id: &str, modified_s: i64) -> RawRef {
    RawRef {
        url: format!("file:///sessions/{id}.json"),
        version: modified_s.to_string(),
        bytes: 1,
        modified_at: Timestamp::from_second(modified_s).expect("a time"),
    }
}

pub async fn ingest(store: &SqliteStore, items: Vec<IntakeItem>) -> Vec<IntakeResult> {
    let to = [CRM.to_owned()];
    store.ingest("sessions", &to, &TimeZone::UTC, items, 0).await.expect("a store that works")
}

pub fn window(count: usize, parts: Parts) -> Window {
    Window { count, parts, order: Order::OldestFirst, replayed: false }
}

pub async fn claim(store: &SqliteStore, count: usize, now_ms: i64) -> Vec<Claimed> {
    store.claim(CRM, None, window(count, Parts::Whole), now_ms, now_ms + LEASE_MS).await.expect("a store that works")
}

async fn rearm(store: &SqliteStore, which: &Rearm, now_ms: i64) -> usize {
    let ids = store.find_to_rearm(CRM, which).await.expect("a store that works");
    store.rearm(&ids, which, now_ms).await.expect("a store that works")
}

fn delivered(one: &Claimed, remote_id: &str) -> Settlement {
    let change = Change::Delivered {
        remote_id: remote_id.to_owned(),
        revision: one.revision,
        digest: Digest::of(b"content"),
        adopted: false,
        written: true,
        matching: None,
    };
    Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None }
}

pub fn again(one: &Claimed, next_at_ms: i64, intent: IntentFate) -> Settlement {
    let change = Change::Again {
        next_at_ms,
        problem: None,
        counts: true,
        isolate: false,
        rematch: false,
        remote_id: None,
        intent,
    };
    Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None }
}

fn intent(one: &Claimed, content: &[u8]) -> Intent {
    Intent {
        delivery_id: one.delivery_id,
        fence: one.fence,
        revision: one.revision,
        digest: Digest::of(content),
        matching: Matching { person: ("Contact".into(), "003".into()), matched_by: None, match_json: "{}".into() },
        record_json: "{}".into(),
    }
}

async fn state_of(store: &SqliteStore, id: &str) -> String {
    let rows = store.deliveries(&DeliveryFilter::default()).await.expect("a store that works");
    rows.into_iter().find(|row| row.source_id == id).map(|row| row.state).unwrap_or_default()
}

//! What happened so far, for tests that must know which states a run reached.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// All requests below `/services/data/` that named a version; what the daily allocation counts, faulted ones too.
    pub api_calls: u64,
    /// Requests by kind: `query`, `query_more`, `describe`, `collection_upsert`, `create`, `login_jwt`, …
    pub calls: BTreeMap<String, u64>,
    /// Records created through the API, by object.
    pub created: BTreeMap<String, u64>,
    /// Records updated through the API, by object.
    pub updated: BTreeMap<String, u64>,
    /// Of the updates, those that changed no field.
    pub updated_without_change: BTreeMap<String, u64>,
    /// Records deleted through the API, by object.
    pub deleted: BTreeMap<String, u64>,
    /// Rows refused, by error code.
    pub rows_refused: BTreeMap<String, u64>,
    /// Whole requests answered with an error, by error code.
    pub requests_refused: BTreeMap<String, u64>,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Most data requests in flight at once.
    pub in_flight_max: u64,
}

impl Counters {
    /// How many requests of a kind there were.
    pub fn calls_of(&self, kind: &str) -> u64 {
        self.calls.get(kind).copied().unwrap_or_default()
    }

    /// How many faults of a kind were injected.
    pub fn faults_of(&self, kind: super::FaultKind) -> u64 {
        self.faults.get(kind.name()).copied().unwrap_or_default()
    }
}

/// Adds one to the count under `name`.
pub(super) fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(number) => *number += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

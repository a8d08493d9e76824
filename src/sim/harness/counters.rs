//! What happened so far, for tests that must know which states a run reached.

use std::collections::BTreeMap;

use serde::Serialize;

use super::FaultKind;

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// All requests but the administrator's; those that met a fault too.
    pub requests: u64,
    /// What was done, by the system's own names: `create`, `update`, `search`, `token`, …
    pub operations: BTreeMap<String, u64>,
    /// Answers, by status.
    pub answers: BTreeMap<String, u64>,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Most requests in flight at once.
    pub in_flight_max: u64,
}

impl Counters {
    /// How often something was done.
    pub fn of(&self, operation: &str) -> u64 {
        self.operations.get(operation).copied().unwrap_or_default()
    }

    /// How many answers had this status.
    pub fn answered(&self, status: u16) -> u64 {
        self.answers.get(&status.to_string()).copied().unwrap_or_default()
    }

    /// How many faults of a kind were injected.
    pub fn faults_of(&self, kind: FaultKind) -> u64 {
        self.faults.get(kind.name()).copied().unwrap_or_default()
    }
}

/// Adds one to the count under `name`.
pub(super) fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    *counts.entry(name.to_owned()).or_default() += 1;
}

//! What a check of a whole ledger found.

use serde::Serialize;

/// Findings, and notes, that are named; beyond that they are counted.
pub const FINDINGS_NAMED_MAX: usize = 1_000;

/// Something that is not as it was written or contradicts something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule that is broken, a word or two with hyphens.
    pub rule: &'static str,
    /// The call, file or place that it is about.
    pub place: String,
    pub what: String,
    /// What to do next.
    pub help: String,
}

/// How many rows were looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    pub calls: u64,
    pub deliveries: u64,
    pub files: u64,
    pub attempts: u64,
    /// Of the calls, those that were written before there were checksums: proved by their content digest.
    pub without_checksum: u64,
}

/// The deliveries of one destination; together they are all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conserved {
    pub destination: String,
    pub calls: u64,
    pub delivered: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Due or leased.
    pub waiting: u64,
}

/// The result of a check.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Soundness {
    pub schema: u32,
    pub checked: Checked,
    pub conservation: Vec<Conserved>,
    /// All of them, also those that are not named.
    pub findings_total: u64,
    pub notes_total: u64,
    /// The first [`FINDINGS_NAMED_MAX`].
    pub findings: Vec<Finding>,
    /// What is no damage, but worth knowing.
    pub notes: Vec<Finding>,
}

impl Soundness {
    pub fn is_sound(&self) -> bool {
        self.findings_total == 0
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_NAMED_MAX {
            self.findings.push(finding);
        }
    }

    pub(super) fn note(&mut self, finding: Finding) {
        self.notes_total += 1;
        if self.notes.len() < FINDINGS_NAMED_MAX {
            self.notes.push(finding);
        }
    }
}

/// How far a check is: what it looks at, how many rows of it are done, of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    pub done: u64,
    pub of: u64,
}

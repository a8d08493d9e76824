//! What a run did, by reason, in numbers and in the sentence that ends it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use crate::problem::{self, Problem};
use crate::sources::RawRef;
use crate::store::Suspicion;

/// Quarantined files that a summary names; the rest is in `trunkline quarantine`.
pub const QUARANTINE_NAMED_MAX: usize = 20;

/// A listed file that a process died with, and the day of its folder.
#[derive(Clone, Debug)]
pub struct SuspectFile {
    pub day: Option<Date>,
    pub raw: RawRef,
    pub suspicion: Suspicion,
}

/// What was read.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IntakeSummary {
    pub files: u64,
    /// In the ledger already, in the same version.
    pub files_known: u64,
    pub new_calls: u64,
    pub new_revisions: u64,
    /// Files that added nothing: the same session again, or older evidence.
    pub nothing_new: u64,
    /// Files that made a damaged call whole again.
    pub mended: u64,
    pub quarantined: u64,
    /// The first few quarantined files with their reason.
    pub quarantine: Vec<(String, String)>,
    /// Files that stood in quarantine and are no longer at the source.
    pub gone: u64,
    /// The first few of them.
    pub gone_files: Vec<String>,
    /// Files that a process died with, which are still to be read.
    #[serde(skip)]
    pub suspects: Vec<SuspectFile>,
    /// Why reading ended early, if it did.
    #[serde(skip)]
    pub stopped: Option<Problem>,
}

impl IntakeSummary {
    pub fn add(&mut self, other: IntakeSummary) {
        self.files += other.files;
        self.files_known += other.files_known;
        self.new_calls += other.new_calls;
        self.new_revisions += other.new_revisions;
        self.nothing_new += other.nothing_new;
        self.mended += other.mended;
        self.quarantined += other.quarantined;
        self.quarantine.extend(other.quarantine);
        self.quarantine.truncate(QUARANTINE_NAMED_MAX);
        self.gone += other.gone;
        self.gone_files.extend(other.gone_files);
        self.gone_files.truncate(QUARANTINE_NAMED_MAX);
        self.suspects.extend(other.suspects);
        self.stopped = self.stopped.take().or(other.stopped);
    }
}

/// What became of the deliveries that this run settled; each delivery counts once, by its last outcome.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DeliverySummary {
    pub delivered: u64,
    pub updated: u64,
    pub adopted: u64,
    /// Delivered before with the same content; nothing was sent.
    pub unchanged: u64,
    /// Of those unchanged: delivered before with other content, at a destination that cannot change a record.
    #[serde(skip)]
    pub not_updated: u64,
    /// Of those unchanged: found there, at a destination that cannot change a record; what it holds is not known.
    #[serde(skip)]
    pub not_compared: u64,
    pub skipped: BTreeMap<String, u64>,
    pub dead: BTreeMap<String, u64>,
    /// Still due: will be tried by the next run.
    pub waiting: u64,
    /// Dead letters of earlier runs, of the days of this one.
    pub dead_before: u64,
    pub people_created: u64,
    /// Files that were read again because a record was to be changed on their word.
    #[serde(skip)]
    pub reread: IntakeSummary,
    #[serde(skip)]
    pub hold: Option<Problem>,
    /// The remote's trouble, if it outlasted the patience and ended the run.
    #[serde(skip)]
    pub gave_up: Option<Problem>,
    /// Until when the destination is better left alone, if it had trouble.
    #[serde(skip)]
    pub cool_until_ms: Option<i64>,
    /// Why calls wait, each cause once.
    #[serde(skip)]
    pub waiting_for: Vec<Problem>,
}

/// What one destination was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    pub destination: String,
    pub requests: u64,
    #[serde(flatten)]
    pub delivery: DeliverySummary,
}

/// A whole run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunSummary {
    pub intake: IntakeSummary,
    /// Of all destinations together.
    pub delivery: DeliverySummary,
    /// Of each, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Delivered>,
    pub requests: u64,
    pub took_ms: i64,
    pub stopped: bool,
}

impl DeliverySummary {
    /// Deliveries that came to their end.
    pub fn settled(&self) -> u64 {
        let by_code: u64 = self.skipped.values().chain(self.dead.values()).sum();
        self.delivered + self.updated + self.adopted + self.unchanged + by_code
    }

    /// A further round of the same run at the same destination.
    pub(super) fn goes_on(&mut self, mut later: DeliverySummary) {
        // What waited after the first round may be delivered by now.
        (self.waiting, self.hold, self.gave_up) = (0, None, None);
        self.reread.add(std::mem::take(&mut later.reread));
        self.add(&later);
    }

    fn add(&mut self, other: &DeliverySummary) {
        self.delivered += other.delivered;
        self.updated += other.updated;
        self.adopted += other.adopted;
        self.unchanged += other.unchanged;
        self.not_updated += other.not_updated;
        self.not_compared += other.not_compared;
        self.waiting += other.waiting;
        self.dead_before += other.dead_before;
        self.people_created += other.people_created;
        for (sum, more) in [(&mut self.skipped, &other.skipped), (&mut self.dead, &other.dead)] {
            for (code, count) in more {
                *sum.entry(code.clone()).or_default() += count;
            }
        }
        self.hold = self.hold.take().or_else(|| other.hold.clone());
        self.gave_up = self.gave_up.take().or_else(|| other.gave_up.clone());
        self.waiting_for.extend(other.waiting_for.iter().cloned());
    }

    /// "1,521 delivered, 84 without e-mail".
    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let mut part = |count: u64, words: &str| {
            if count > 0 {
                parts.push(format!("{} {words}", thousands(count)));
            }
        };
        part(self.delivered, "delivered");
        part(self.updated, "updated");
        part(self.adopted, "adopted");
        part(self.unchanged, "unchanged");
        for (code, count) in &self.skipped {
            part(*count, reason(code));
        }
        for (code, count) in &self.dead {
            part(*count, &format!("dead-lettered ({code})"));
        }
        let letters =
            if self.dead_before == 1 { "dead letter of before stands" } else { "dead letters of before stand" };
        part(self.dead_before, letters);
        let waiting = if self.hold.is_some() { "held" } else { "waiting for the next run" };
        part(self.waiting, waiting);
        parts
    }
}

impl RunSummary {
    pub fn of(intake: IntakeSummary, delivered: Vec<Delivered>, took_ms: i64, stopped: bool) -> RunSummary {
        let mut delivery = DeliverySummary::default();
        delivered.iter().for_each(|one| delivery.add(&one.delivery));
        let requests = delivered.iter().map(|one| one.requests).sum();
        let destinations = if delivered.len() > 1 { delivered } else { Vec::new() };
        RunSummary { intake, delivery, destinations, requests, took_ms, stopped }
    }

    /// "1,521 delivered, 84 without e-mail, 395 without a match, 6 files in quarantine"; `nothing` if no file was read
    /// and nothing was due.
    pub fn sentence(&self, nothing: &str) -> String {
        let mut parts = match self.destinations.as_slice() {
            [] => self.delivery.parts(),
            several => {
                let told = |one: &Delivered| {
                    let parts = one.delivery.parts();
                    (!parts.is_empty()).then(|| format!("{}: {}", one.destination, parts.join(", ")))
                };
                let each: Vec<String> = several.iter().filter_map(told).collect();
                if each.is_empty() { Vec::new() } else { vec![each.join("; ")] }
            }
        };
        let mut part = |count: u64, words: &str| {
            if count > 0 {
                parts.push(format!("{} {words}", thousands(count)));
            }
        };
        let mended = self.intake.mended;
        part(mended, if mended == 1 { "damaged call mended" } else { "damaged calls mended" });
        let quarantined = self.intake.quarantined;
        part(quarantined, if quarantined == 1 { "file in quarantine" } else { "files in quarantine" });
        let gone = self.intake.gone;
        part(gone, if gone == 1 { "file no longer at the source" } else { "files no longer at the source" });
        // Nothing was done, whatever stands from before.
        let standing = self.delivery.settled() == 0 && self.delivery.waiting == 0 && quarantined == 0 && gone == 0;
        match self.intake.files {
            0 if parts.is_empty() => nothing.to_owned(),
            0 => parts.join(", "),
            files if standing => {
                parts.insert(0, format!("nothing new in {}", counted(files, "file", "files")));
                parts.join(", ")
            }
            _ => parts.join(", "),
        }
    }

    /// Whether somebody has to look at something.
    pub fn needs_a_person(&self) -> bool {
        self.intake.quarantined > 0
            || self.intake.stopped.is_some()
            || self.delivery.hold.is_some()
            || !self.delivery.dead.is_empty()
            || self.delivery.dead_before > 0
            || self.delivery.waiting > 0
    }
}

/// A skip's reason in a few words.
pub fn reason(code: &str) -> &'static str {
    match code {
        code if code == problem::NO_EMAIL.0 => "without e-mail",
        code if code == problem::NO_MATCH.0 => "without a match",
        code if code == problem::AMBIGUOUS.0 => "with several matches",
        _ => "skipped",
    }
}

/// "1 call", "2,000 calls".
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// 1521 -> "1,521".
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_none_are_many() {
        let check = |number, expected: &str| assert_eq!(counted(number, "delivery", "deliveries"), expected);
        check(0, "0 deliveries");
        check(1, "1 delivery");
        check(2000, "2,000 deliveries");
    }

    #[test]
    fn a_run_ends_with_what_it_did_by_reason() {
        let mut summary = RunSummary::default();
        assert_eq!(summary.sentence("nothing is due"), "nothing is due");
        summary.intake.files = 2006;
        assert_eq!(summary.sentence(""), "nothing new in 2,006 files");
        let again = DeliverySummary { dead_before: 2, ..DeliverySummary::default() };
        let again = RunSummary { delivery: again, ..summary.clone() };
        assert_eq!(again.sentence(""), "nothing new in 2,006 files, 2 dead letters of before stand");
        assert!(again.needs_a_person());
        summary.delivery.delivered = 1521;
        summary.delivery.skipped.insert(problem::NO_EMAIL.0.into(), 84);
        summary.delivery.skipped.insert(problem::NO_MATCH.0.into(), 395);
        assert!(!summary.needs_a_person());
        summary.intake.quarantined = 6;
        assert_eq!(
            summary.sentence(""),
            "1,521 delivered, 84 without e-mail, 395 without a match, 6 files in quarantine"
        );
        assert!(summary.needs_a_person());
    }
}

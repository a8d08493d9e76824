//! What a serving process shows of itself: how each source and destination does, and what was done since the start.
//!
//! Invariant: it grows with the number of sources, destinations and reasons, never with the number of calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{DeliverySummary, IntakeSummary};
use crate::problem::Problem;

/// Upper bounds of the latency histogram, in milliseconds; what took longer stands in the last bucket, which has none.
pub const LATENCY_BOUNDS_MS: [i64; 11] = [100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 3_600_000];

/// How a source or a destination does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It was not asked yet.
    #[default]
    Unknown,
    Usable,
    /// It has trouble that may pass.
    Failing(Problem),
    /// Somebody has to act.
    Held(Problem),
}

impl Condition {
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Condition::Failing(problem) | Condition::Held(problem) => Some(problem),
            Condition::Unknown | Condition::Usable => None,
        }
    }

    /// Whether a person who knows of `self` has nothing new to hear.
    pub(super) fn is_like(&self, other: &Condition) -> bool {
        let code = |condition: &Condition| condition.problem().map(|problem| problem.code);
        std::mem::discriminant(self) == std::mem::discriminant(other) && code(self) == code(other)
    }
}

/// What one source gave since the start.
#[derive(Clone, Debug, Default)]
pub struct SourceFigures {
    pub name: String,
    pub condition: Condition,
    /// When the last look that met no trouble began.
    pub polled_at_ms: Option<i64>,
    pub new_calls: u64,
    pub new_revisions: u64,
    pub nothing_new: u64,
}

/// What one destination took since the start.
#[derive(Clone, Debug, Default)]
pub struct RouteFigures {
    pub name: String,
    pub condition: Condition,
    pub requests: u64,
    /// By outcome and, where there is one, reason.
    pub outcomes: BTreeMap<(&'static str, String), u64>,
    pub latency: Latency,
}

/// How long deliveries took from the commit of a call's content to its record.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// One for each bound and one more, each without those below.
    pub counts: [u64; LATENCY_BOUNDS_MS.len() + 1],
    pub sum_ms: i64,
}

impl Latency {
    fn add(&mut self, waited_ms: i64) {
        let waited_ms = waited_ms.max(0);
        let bucket = LATENCY_BOUNDS_MS.partition_point(|bound| *bound < waited_ms);
        self.counts[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(waited_ms);
    }
}

/// Shared by the loops that write it and by whoever looks.
#[derive(Default)]
pub struct Board {
    sources: Mutex<Vec<SourceFigures>>,
    routes: Mutex<Vec<RouteFigures>>,
}

impl Board {
    pub(super) fn of(sources: Vec<String>, routes: Vec<String>) -> Board {
        let sources = sources.into_iter().map(|name| SourceFigures { name, ..SourceFigures::default() }).collect();
        let routes = routes.into_iter().map(|name| RouteFigures { name, ..RouteFigures::default() }).collect();
        Board { sources: Mutex::new(sources), routes: Mutex::new(routes) }
    }

    pub fn sources(&self) -> Vec<SourceFigures> {
        lock(&self.sources).clone()
    }

    pub fn routes(&self) -> Vec<RouteFigures> {
        lock(&self.routes).clone()
    }

    /// Books a look at a source; answers how it did before.
    pub(super) fn read(&self, index: usize, summary: &IntakeSummary, began_ms: i64) -> Condition {
        let figures = &mut lock(&self.sources)[index];
        figures.new_calls += summary.new_calls;
        figures.new_revisions += summary.new_revisions;
        figures.nothing_new += summary.nothing_new;
        let condition = summary.stopped.clone().map_or(Condition::Usable, Condition::Failing);
        if condition == Condition::Usable {
            figures.polled_at_ms = Some(began_ms);
        }
        std::mem::replace(&mut figures.condition, condition)
    }

    pub(super) fn condition(&self, index: usize) -> Condition {
        lock(&self.routes)[index].condition.clone()
    }

    /// Books what came of a round of deliveries.
    pub(super) fn delivered(&self, index: usize, summary: &DeliverySummary) {
        let outcomes = &mut lock(&self.routes)[index].outcomes;
        let mut add = |outcome: &'static str, code: &str, count: u64| {
            if count > 0 {
                *outcomes.entry((outcome, code.to_owned())).or_default() += count;
            }
        };
        add("delivered", "", summary.delivered);
        add("updated", "", summary.updated);
        add("adopted", "", summary.adopted);
        add("unchanged", "", summary.unchanged);
        summary.skipped.iter().for_each(|(code, count)| add("skipped", code, *count));
        summary.dead.iter().for_each(|(code, count)| add("dead", code, *count));
    }

    /// Answers how the destination did before.
    pub(super) fn found(&self, index: usize, condition: Condition) -> Condition {
        std::mem::replace(&mut lock(&self.routes)[index].condition, condition)
    }

    /// All sources and destinations do so, for a reason that is none of theirs.
    pub(super) fn all(&self, condition: &Condition) {
        lock(&self.sources).iter_mut().for_each(|source| source.condition = condition.clone());
        lock(&self.routes).iter_mut().for_each(|route| route.condition = condition.clone());
    }

    pub(super) fn waited(&self, index: usize, waited_ms: i64) {
        lock(&self.routes)[index].latency.add(waited_ms);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_stands_in_the_first_bucket_that_holds_it() {
        let check = |waited_ms, bucket: usize| {
            let mut latency = Latency::default();
            latency.add(waited_ms);
            assert_eq!(latency.counts.iter().position(|count| *count == 1), Some(bucket), "{waited_ms}");
        };
        check(-5, 0);
        check(100, 0);
        check(101, 1);
        check(3_600_000, 10);
        check(3_600_001, 11);
    }
}

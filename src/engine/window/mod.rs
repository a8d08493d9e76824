//! One window of claimed deliveries on its way: match, look up, map, intend, write, settle.
//!
//! Invariant: each claimed delivery is settled exactly once, whatever happens to its neighbours.

mod one;
mod people;
mod plan;
mod unanswered;
mod write;

use crate::destinations::{Match, Operation, Outcome, Person, Write};
use crate::engine::Event;
use crate::engine::dispatch::{Dispatcher, unexpected};
use crate::engine::outcome::{Decision, Follow, Sent};
use crate::model::{CallKey, Digest};
use crate::problem::Problem;
use crate::redact::RedactedCall;
use crate::store::{Attempt, Change, Claimed, IntentFate, Settlement, StoreError, StoredProblem};

/// Dates whose earlier records are kept in memory, unless one window has more.
const ADOPTABLE_DATES_MAX: usize = 60;
/// Longest record that the ledger keeps beside the call that it was made of, as JSON.
const RECORD_KEPT_BYTES_MAX: usize = 64 * 1024;
/// Unknown outcomes in a row before a record goes in a smaller batch.
const UNKNOWN_BEFORE_ISOLATION: u32 = 3;
/// Tries of a record at a refusal that time seldom mends: the first two are in batches that get smaller.
const STUBBORN_ATTEMPTS_MAX: u32 = 5;

/// A delivery whose person is known.
struct Matched {
    claimed: Claimed,
    decision: Match,
    person: Person,
}

/// A delivery that is ready to be written.
struct Planned {
    claimed: Claimed,
    decision: Match,
    person: Person,
    sent: Sent,
    write: Write,
}

impl Dispatcher<'_> {
    pub(super) async fn window(&mut self, claimed: Vec<Claimed>) -> Result<(), StoreError> {
        let Some(matched) = self.match_people(claimed).await? else { return Ok(()) };
        let Some(planned) = self.plan(matched).await? else { return Ok(()) };
        let planned = self.intend(planned).await?;
        let created = planned.iter().filter(|plan| plan.sent.operation == Operation::Create);
        let created: Vec<CallKey> = created.map(|plan| plan.write.key.clone()).collect();
        self.twins += self.engine.store.twins(self.destination.name(), &created).await?;
        self.write(planned).await
    }

    fn count(&mut self, (sent, decision): &(Sent, Decision)) {
        match &decision.change {
            Change::Delivered { adopted: true, .. } => self.summary.adopted += 1,
            Change::Delivered { .. } if sent.operation == Operation::Create => self.summary.delivered += 1,
            Change::Delivered { .. } => self.summary.updated += 1,
            other => self.count_dead(other),
        }
        if matches!(decision.change, Change::Delivered { .. } | Change::Dead { .. }) {
            self.progressed();
        }
    }

    fn count_dead(&mut self, change: &Change) {
        if let Change::Dead { problem, .. } = change {
            *self.summary.dead.entry(problem.code.clone()).or_default() += 1;
        }
    }

    async fn follow(&mut self, decision: &Decision) -> Result<(), StoreError> {
        match (&decision.follow, &decision.problem) {
            (Follow::Hold(problem), _) if self.summary.hold.is_none() => self.hold(problem.clone()).await,
            (Follow::Cool, Some(problem)) => {
                self.cool(problem);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Waits for the answer to a question, unless a stop is asked for: what is still asked then has no effect.
    async fn unless_stopped<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.engine.stop.asked() => None,
            answer = answer => Some(answer),
        }
    }

    /// Settles all of `claimed` as if they had not been taken up.
    async fn put_back(&mut self, claimed: Vec<Claimed>) -> Result<(), StoreError> {
        let now_ms = self.engine.clock.now_ms();
        self.settle(claimed.iter().map(|one| again(one, now_ms, None)).collect()).await
    }

    /// Settles all of `claimed` after the destination could not answer a question about them.
    async fn give_back(&mut self, claimed: Vec<Claimed>, outcome: Outcome) -> Result<(), StoreError> {
        let now_ms = self.engine.clock.now_ms();
        let problem = unexpected(&outcome);
        if let Outcome::Retry { after, .. } = outcome {
            self.trouble(&problem, after);
        } else {
            self.hold(problem.clone()).await?;
        }
        let back = claimed.iter().map(|one| again(one, now_ms, Some(&problem))).collect();
        self.settle(back).await
    }

    async fn settle(&mut self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        if settlements.is_empty() {
            return Ok(());
        }
        let ended = settlements.iter().any(|one| !matches!(one.change, Change::Again { .. }));
        let count = settlements.len() as u64;
        self.engine.store.settle(settlements, self.engine.clock.now_ms()).await?;
        if ended {
            self.progressed();
            self.engine.progress.event(Event::Settled(count));
        }
        Ok(())
    }
}

/// Of the caller's address, without case and blanks around it.
fn address_digest(call: &RedactedCall) -> Option<[u8; 32]> {
    let email = call.call().caller.email.as_deref()?.trim().to_lowercase();
    (!email.is_empty()).then(|| Digest::of(email.as_bytes()).0)
}

fn sent_of(claimed: &Claimed, digest: Digest, operation: Operation) -> Sent {
    Sent {
        operation,
        revision: claimed.revision,
        digest,
        stamps: false,
        unresolved: claimed.intent.map(|intent| intent.digest),
        attempts: claimed.attempts,
        rematched: claimed.rematched,
    }
}

fn settlement(one: &Claimed, change: Change, attempt: Option<Attempt>) -> Settlement {
    Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt }
}

fn again(one: &Claimed, next_at_ms: i64, problem: Option<&Problem>) -> Settlement {
    let change = Change::Again {
        next_at_ms,
        problem: problem.map(StoredProblem::from),
        counts: false,
        isolate: false,
        rematch: false,
        remote_id: None,
        intent: IntentFate::Leave,
    };
    settlement(one, change, None)
}

fn operation_name(sent: &Sent) -> &'static str {
    match (&sent.operation, sent.stamps) {
        (Operation::Create, _) => "create",
        (Operation::Update { .. }, true) => "adopt",
        (Operation::Update { .. }, false) => "update",
    }
}

/// Digests are made of this: an empty text for a value that cannot be written would make different records equal.
fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| panic!("a map with text keys and plain values cannot be written as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unwritable;

    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }

    #[test]
    #[should_panic(expected = "cannot be written as JSON: no")]
    fn a_value_that_cannot_be_written_is_never_an_empty_text() {
        to_json(&Unwritable);
    }
}

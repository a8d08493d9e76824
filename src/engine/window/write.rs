//! Sends what was planned, lane by lane, and settles each batch before the next of its lane goes out.
//!
//! Invariant: no write starts that could outlive its lease.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::{Planned, STUBBORN_ATTEMPTS_MAX, UNKNOWN_BEFORE_ISOLATION, again, operation_name, settlement};
use crate::destinations::{Operation, Outcome, Write};
use crate::engine::Event;
use crate::engine::dispatch::Dispatcher;
use crate::engine::lanes::{Load, pack};
use crate::engine::outcome::{Decision, Follow, Sent, decide, later};
use crate::problem::{ORG_CONFIGURATION, ROW_DUPLICATE, ROW_TRIGGER};
use crate::proof::{self, Step};
use crate::store::{Attempt, Change, Claimed, IntentFate, Settlement, StoreError, StoredProblem};

impl Dispatcher<'_> {
    pub(super) async fn write(&mut self, planned: Vec<Planned>) -> Result<(), StoreError> {
        let loads: Vec<Load<'_>> = planned
            .iter()
            .map(|plan| Load {
                // Those of nobody need no order among them.
                person: if plan.person.id.is_empty() { plan.write.key.as_str() } else { &plan.person.id },
                kind: u8::from(plan.write.operation != Operation::Create),
                isolation: plan.claimed.isolation,
            })
            .collect();
        let lanes = pack(&loads, self.destination.batch_max(), self.lanes);
        let stopped = AtomicBool::new(false);
        let this: &Dispatcher<'_> = self;
        let results = join_all(lanes.into_iter().map(|lane| this.lane(&planned, lane, &stopped))).await;
        for result in results {
            for decision in result? {
                self.count(&decision);
                self.follow(&decision.1).await?;
            }
        }
        Ok(())
    }

    /// Sends the batches of one lane, each settled before the next goes out.
    async fn lane(
        &self,
        planned: &[Planned],
        lane: Vec<Vec<usize>>,
        stopped: &AtomicBool,
    ) -> Result<Vec<(Sent, Decision)>, StoreError> {
        let mut decisions = Vec::new();
        for batch in lane {
            let rows: Vec<&Planned> = batch.iter().map(|&index| &planned[index]).collect();
            let at_ms = self.engine.clock.now_ms();
            let fits = rows.iter().all(|plan| later(at_ms, self.limits.write) < plan.claimed.lease_until_ms);
            if stopped.load(Ordering::SeqCst) || self.engine.stop.is_asked() || !fits {
                let back = rows.iter().map(|plan| unsent(plan, at_ms)).collect();
                self.engine.store.settle(back, at_ms).await?;
                continue;
            }
            let writes: Vec<Write> = rows.iter().map(|plan| plan.write.clone()).collect();
            proof::reached("send", Step::Before);
            let outcomes = self.destination.write(&writes).await;
            proof::reached("send", Step::After);
            let now_ms = self.engine.clock.now_ms();
            let mut settlements = Vec::with_capacity(rows.len());
            for (plan, outcome) in rows.iter().zip(outcomes) {
                let outcome = self.in_doubt(outcome).await?;
                let mut decision = decide(&plan.sent, outcome, now_ms, self.engine.chance());
                self.temper(&plan.claimed, &mut decision);
                if matches!(decision.follow, Follow::Hold(_)) {
                    stopped.store(true, Ordering::SeqCst);
                }
                let attempt = Attempt {
                    operation: operation_name(&plan.sent),
                    batch_rows: writes.len(),
                    revision: plan.sent.revision,
                    outcome: decision.label,
                    problem: decision.problem.as_ref().map(StoredProblem::from),
                    at_ms,
                    took_ms: now_ms - at_ms,
                };
                settlements.push(settlement(&plan.claimed, decision.change.clone(), Some(attempt)));
                decisions.push((plan.sent.clone(), decision));
            }
            let count = settlements.len() as u64;
            let delivered: Vec<i64> = rows
                .iter()
                .zip(&settlements)
                .filter(|(_, one)| matches!(one.change, Change::Delivered { .. }))
                .map(|(plan, _)| now_ms - plan.claimed.changed_at_ms)
                .collect();
            self.engine.store.settle(settlements, now_ms).await?;
            for waited_ms in delivered {
                self.engine.progress.event(Event::Delivered { waited_ms });
            }
            self.engine.progress.event(Event::Settled(count));
        }
        Ok(decisions)
    }

    /// A destination that never took a record and whose settings are the cause of a refusal refuses every record: it is held,
    /// and no call is refused for it.
    async fn in_doubt(&self, outcome: Outcome) -> Result<Outcome, StoreError> {
        let taken = matches!(outcome, Outcome::Delivered { .. } | Outcome::Exists { .. });
        if taken {
            self.has_delivered.store(true, Ordering::Relaxed);
        }
        match outcome {
            Outcome::Reject { problem } if problem.code == ORG_CONFIGURATION => {
                let known = self.has_delivered.load(Ordering::Relaxed);
                let ever = known || self.engine.store.ever_delivered(self.destination.name()).await?;
                self.has_delivered.fetch_or(ever, Ordering::Relaxed);
                Ok(if ever { Outcome::Reject { problem } } else { Outcome::Hold { problem } })
            }
            outcome => Ok(outcome),
        }
    }

    /// Turns endless tries into smaller batches, and at last into a dead letter.
    pub(super) fn temper(&self, claimed: &Claimed, decision: &mut Decision) {
        let Change::Again { counts: true, isolate, intent, .. } = &mut decision.change else { return };
        let intent = *intent;
        let attempts = claimed.attempts + 1;
        if decision.label == "unknown" && attempts >= UNKNOWN_BEFORE_ISOLATION {
            *isolate = true;
        }
        let alone = claimed.isolation >= 2;
        let most = match &decision.problem {
            // What a trigger needs depends on the batch, and alone it will not become less; a key that nobody can be seen
            // to hold is seldom held for a moment only.
            Some(problem) if [ROW_TRIGGER, ROW_DUPLICATE].contains(&problem.code) => {
                self.limits.attempts_max.min(STUBBORN_ATTEMPTS_MAX)
            }
            _ => self.limits.attempts_max,
        };
        if let (true, true, Some(problem)) = (alone, attempts >= most, &decision.problem) {
            decision.change = Change::Dead { problem: StoredProblem::from(problem), intent };
            decision.label = "rejected";
        }
    }
}

/// A planned write that was not sent after all: its intent is taken back, an older unknown one stays.
fn unsent(plan: &Planned, now_ms: i64) -> Settlement {
    let mut back = again(&plan.claimed, now_ms, None);
    if let (Change::Again { intent, .. }, None) = (&mut back.change, plan.sent.unresolved) {
        *intent = IntentFate::Clear;
    }
    back
}

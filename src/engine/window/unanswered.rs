//! What follows for calls of which a question told nothing.
//!
//! Invariant: what is the matter of one call alone is counted, and at last a dead letter that keeps what was sent before;
//! for what concerns the destination no call is counted.

use std::time::Duration;

use super::{again, settlement};
use crate::destinations::{Outcome, Unanswered};
use crate::engine::backoff;
use crate::engine::dispatch::{Dispatcher, unexpected};
use crate::engine::outcome::later;
use crate::store::{Attempt, Change, Claimed, IntentFate, Settlement, StoredProblem};

/// Added to the pause that the remote has, so that those that were not asked go first: whose question it does not answer
/// is not the first again.
const BEHIND: Duration = Duration::from_secs(1);

impl Dispatcher<'_> {
    /// `question` is how the attempt is booked.
    pub(super) fn unanswered(&mut self, back: Vec<(Claimed, Unanswered)>, question: &'static str) -> Vec<Settlement> {
        let pauses = back.iter().filter_map(|(_, why)| match why {
            Unanswered::Pause(Outcome::Retry { after, problem, .. }) => Some((*after, problem.clone())),
            _ => None,
        });
        // However many questions met it, it is one trouble.
        if let Some((after, problem)) = pauses.max_by_key(|(after, _)| *after) {
            self.trouble(&problem, after);
        }
        let now_ms = self.engine.clock.now_ms();
        let each = |(one, why): (Claimed, Unanswered)| match why {
            Unanswered::NotAsked => again(&one, now_ms, None),
            Unanswered::Pause(outcome) => {
                again(&one, later(self.paused_until_ms(), BEHIND), Some(&unexpected(&outcome)))
            }
            Unanswered::Failed(outcome) => self.failed(&one, &outcome, question),
        };
        back.into_iter().map(each).collect()
    }

    /// The question of this call alone has no answer.
    fn failed(&mut self, one: &Claimed, outcome: &Outcome, question: &'static str) -> Settlement {
        let now_ms = self.engine.clock.now_ms();
        let problem = unexpected(outcome);
        let ends = matches!(outcome, Outcome::Reject { .. }) || one.attempts + 1 >= self.limits.attempts_max;
        let stored = StoredProblem::from(&problem);
        let change = if ends {
            if let Some(preview) = self.preview {
                preview.refused(&one.call, &problem);
            }
            Change::Dead { problem: stored.clone(), intent: IntentFate::Leave }
        } else {
            self.waits_for(&problem);
            Change::Again {
                next_at_ms: later(now_ms, backoff::wait(one.attempts + 1, None, self.engine.chance())),
                problem: Some(stored.clone()),
                counts: true,
                isolate: false,
                rematch: false,
                remote_id: None,
                intent: IntentFate::Leave,
            }
        };
        self.count_dead(&change);
        let attempt = Attempt {
            operation: question,
            batch_rows: 0,
            revision: one.revision,
            outcome: if ends { "rejected" } else { "retry" },
            problem: Some(stored),
            at_ms: now_ms,
            took_ms: 0,
        };
        settlement(one, change, Some(attempt))
    }
}

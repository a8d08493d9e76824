//! What follows an outcome: a pure decision from what the destination answered to what the ledger records.

use std::time::Duration;

use super::backoff;
use crate::destinations::{Operation, Outcome};
use crate::model::{Digest, Revision};
use crate::problem::Problem;
use crate::store::{Change, IntentFate, StoredProblem};

/// How long a request without an answer may still take effect at the remote, unless configured otherwise.
pub const SETTLE_DEFAULT: Duration = Duration::from_secs(30);

/// What is known of a delivery when its outcome arrives.
#[derive(Clone, Debug)]
pub struct Sent {
    pub operation: Operation,
    pub revision: Revision,
    pub digest: Digest,
    /// An adopted record gets our identity only.
    pub stamps: bool,
    /// The digest of an earlier send whose outcome is still unknown.
    pub unresolved: Option<Digest>,
    pub attempts: u32,
    pub rematched: bool,
}

/// What the decision means for the rest of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    Nothing,
    /// The remote as a whole has trouble: wait before asking anything more.
    Cool,
    Hold(Problem),
}

/// A decision and how the attempt is booked.
pub struct Decision {
    pub change: Change,
    pub label: &'static str,
    pub problem: Option<Problem>,
    pub follow: Follow,
}

/// Decides. `chance` (0..1) is jitter.
pub fn decide(sent: &Sent, outcome: Outcome, now_ms: i64, chance: f64) -> Decision {
    match outcome {
        Outcome::Delivered { remote_id, .. } => delivered(sent, remote_id),
        Outcome::Exists { remote_id } if sent.unresolved == Some(sent.digest) => delivered(sent, remote_id),
        Outcome::Exists { remote_id } => Decision {
            change: again(now_ms, None, Again { remote_id: Some(remote_id), ..Again::default() }),
            label: "exists",
            problem: None,
            follow: Follow::Nothing,
        },
        Outcome::Retry { after, problem, smaller } => {
            let wait = backoff::wait(sent.attempts + 1, after, chance);
            let wait = if smaller && sent.attempts == 0 { Duration::ZERO } else { wait };
            let options = Again { counts: true, isolate: smaller, intent: refused(sent), ..Again::default() };
            let follow = if smaller { Follow::Nothing } else { Follow::Cool };
            Decision {
                change: again(later(now_ms, wait), Some(&problem), options),
                label: "retry",
                problem: Some(problem),
                follow,
            }
        }
        Outcome::Unknown { problem, settled } => {
            let wait = backoff::wait(sent.attempts + 1, None, chance);
            let options = Again { counts: true, intent: IntentFate::Keep { settled }, ..Again::default() };
            Decision {
                change: again(later(now_ms, wait), Some(&problem), options),
                label: "unknown",
                problem: Some(problem),
                follow: Follow::Cool,
            }
        }
        Outcome::Rematch { problem } if sent.rematched => dead(sent, problem),
        Outcome::Rematch { problem } => Decision {
            change: again(now_ms, Some(&problem), Again { rematch: true, ..Again::default() }),
            label: "rematch",
            problem: Some(problem),
            follow: Follow::Nothing,
        },
        Outcome::Reject { problem } => dead(sent, problem),
        Outcome::Hold { problem } => Decision {
            change: again(now_ms, Some(&problem), Again { intent: refused(sent), ..Again::default() }),
            label: "hold",
            follow: Follow::Hold(problem.clone()),
            problem: Some(problem),
        },
    }
}

fn delivered(sent: &Sent, remote_id: String) -> Decision {
    Decision {
        change: Change::Delivered {
            remote_id,
            revision: sent.revision,
            digest: sent.digest,
            adopted: sent.stamps,
            written: true,
            matching: None,
        },
        label: "delivered",
        problem: None,
        follow: Follow::Nothing,
    }
}

/// A refusal forgets what was refused, not an older send whose outcome is unknown.
fn refused(sent: &Sent) -> IntentFate {
    if sent.unresolved.is_some() { IntentFate::Leave } else { IntentFate::Clear }
}

fn dead(sent: &Sent, problem: Problem) -> Decision {
    Decision {
        change: Change::Dead { problem: StoredProblem::from(&problem), intent: refused(sent) },
        label: "rejected",
        problem: Some(problem),
        follow: Follow::Nothing,
    }
}

#[derive(Default)]
struct Again {
    counts: bool,
    isolate: bool,
    rematch: bool,
    remote_id: Option<String>,
    intent: IntentFate,
}

fn again(next_at_ms: i64, problem: Option<&Problem>, options: Again) -> Change {
    Change::Again {
        next_at_ms,
        problem: problem.map(StoredProblem::from),
        counts: options.counts,
        isolate: options.isolate,
        rematch: options.rematch,
        remote_id: options.remote_id,
        intent: options.intent,
    }
}

/// `now_ms` and a wait, in milliseconds.
pub fn later(now_ms: i64, wait: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{OUTCOME_UNKNOWN, ROW_LOCKED, ROW_REFERENCE, ROW_VALIDATION};

    fn sent() -> Sent {
        Sent {
            operation: Operation::Create,
            revision: Revision(2),
            digest: Digest::of(b"new"),
            stamps: false,
            unresolved: None,
            attempts: 0,
            rematched: false,
        }
    }

    fn problem(code: crate::problem::Code) -> Problem {
        Problem::new(code, "what", "help")
    }

    #[test]
    fn a_record_that_exists_counts_as_delivered_only_if_it_is_what_we_sent() {
        let exists = || Outcome::Exists { remote_id: "00T1".into() };
        let same = Sent { unresolved: Some(Digest::of(b"new")), ..sent() };
        assert!(matches!(decide(&same, exists(), 0, 0.5).change, Change::Delivered { .. }));
        for unresolved in [None, Some(Digest::of(b"old"))] {
            let other = Sent { unresolved, ..sent() };
            let Change::Again { remote_id, counts, .. } = decide(&other, exists(), 0, 0.5).change else {
                panic!("an existing record with other content is to be updated");
            };
            assert_eq!((remote_id.as_deref(), counts), (Some("00T1"), false));
        }
    }

    #[test]
    fn an_unknown_outcome_keeps_the_intent_and_a_known_failure_does_not_forget_an_older_unknown() {
        let fate = |sent: &Sent, outcome| match decide(sent, outcome, 0, 0.5).change {
            Change::Again { intent, .. } | Change::Dead { intent, .. } => intent,
            other => panic!("{other:?}"),
        };
        let unknown = |settled| Outcome::Unknown { problem: problem(OUTCOME_UNKNOWN), settled };
        let retry = || Outcome::Retry { after: None, problem: problem(ROW_LOCKED), smaller: true };
        assert_eq!(fate(&sent(), unknown(true)), IntentFate::Keep { settled: true });
        assert_eq!(fate(&sent(), unknown(false)), IntentFate::Keep { settled: false });
        assert_eq!(fate(&sent(), retry()), IntentFate::Clear);
        let open = Sent { unresolved: Some(Digest::of(b"old")), ..sent() };
        assert_eq!(fate(&open, retry()), IntentFate::Leave);
        let reject = || Outcome::Reject { problem: problem(ROW_VALIDATION) };
        assert_eq!(fate(&sent(), reject()), IntentFate::Clear);
        assert_eq!(fate(&open, reject()), IntentFate::Leave);
        let hold = || Outcome::Hold { problem: problem(ROW_VALIDATION) };
        assert_eq!(fate(&sent(), hold()), IntentFate::Clear);
        assert_eq!(fate(&open, hold()), IntentFate::Leave);
    }

    #[test]
    fn what_failed_for_a_while_counts_and_waits_longer_each_time() {
        let told = |sent: &Sent, outcome| {
            let Decision { change, label, follow, .. } = decide(sent, outcome, 1_000, 0.5);
            match change {
                Change::Again { next_at_ms, counts, isolate, .. } => (next_at_ms, counts, isolate, label, follow),
                other => panic!("{other:?}"),
            }
        };
        let retry = |smaller, after| Outcome::Retry { after, problem: problem(ROW_LOCKED), smaller };
        let unknown = || Outcome::Unknown { problem: problem(OUTCOME_UNKNOWN), settled: false };
        let second = Sent { attempts: 1, ..sent() };
        assert_eq!(told(&sent(), retry(false, None)), (1_500, true, false, "retry", Follow::Cool));
        assert_eq!(told(&second, retry(false, None)), (2_000, true, false, "retry", Follow::Cool));
        let asked = Some(Duration::from_secs(30));
        assert_eq!(told(&second, retry(false, asked)), (31_000, true, false, "retry", Follow::Cool));
        assert_eq!(told(&sent(), unknown()), (1_500, true, false, "unknown", Follow::Cool));
        assert_eq!(told(&second, unknown()), (2_000, true, false, "unknown", Follow::Cool));
        // In smaller company at once, and only the first time.
        assert_eq!(told(&sent(), retry(true, None)), (1_000, true, true, "retry", Follow::Nothing));
        assert_eq!(told(&second, retry(true, None)), (2_000, true, true, "retry", Follow::Nothing));
    }

    #[test]
    fn a_person_who_is_gone_is_matched_again_once() {
        let gone = || Outcome::Rematch { problem: problem(ROW_REFERENCE) };
        assert!(matches!(decide(&sent(), gone(), 0, 0.5).change, Change::Again { rematch: true, .. }));
        let twice = Sent { rematched: true, ..sent() };
        assert!(matches!(decide(&twice, gone(), 0, 0.5).change, Change::Dead { .. }));
    }

    #[test]
    fn a_refused_record_is_dead_and_a_hold_keeps_it_due() {
        let refused = decide(&sent(), Outcome::Reject { problem: problem(ROW_VALIDATION) }, 0, 0.5);
        assert!(matches!(refused.change, Change::Dead { .. }));
        let held = decide(&sent(), Outcome::Hold { problem: problem(ROW_VALIDATION) }, 7, 0.5);
        assert!(matches!(held.change, Change::Again { next_at_ms: 7, counts: false, .. }));
        assert!(matches!(held.follow, Follow::Hold(_)));
    }
}

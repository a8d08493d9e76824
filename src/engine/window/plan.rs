//! What is to be written for each matched delivery: looks up what exists, maps, and records the intent.
//!
//! Invariant: nothing leaves this stage to be sent before it is committed what will be sent; what was sent before without a
//! known outcome is resolved first, unless the destination itself refuses doubles.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;

use jiff::civil::Date;

use super::one::matching;
use super::{ADOPTABLE_DATES_MAX, Matched, Planned, RECORD_KEPT_BYTES_MAX, again, settlement, to_json};
use crate::destinations::{Doubles, Existing, Mapped, Operation, Outcome, Record, Unanswered};
use crate::engine::backoff;
use crate::engine::dispatch::{Adoptable, Dispatcher};
use crate::engine::evidence::Look;
use crate::engine::outcome::later;
use crate::model::CallKey;
use crate::problem::{MAPPING_FAILED, Problem};
use crate::proof::{self, Protection, Step};
use crate::redact::RedactedCall;
use crate::store::{Change, Claimed, Intent, IntentFate, StoreError, StoredProblem};

/// What stands at the destination, or why that is not known.
type Standing = HashMap<CallKey, Result<Existing, Unanswered>>;

impl Dispatcher<'_> {
    /// Maps everything and finds what exists already; settles what needs no write.
    pub(super) async fn plan(&mut self, matched: Vec<Matched>) -> Result<Option<Vec<Planned>>, StoreError> {
        // Before the look-up: what it did not find had not taken effect by then.
        let looked_at_ms = self.engine.clock.now_ms();
        let mut existing = match self.existing(&matched).await {
            Ok(Some(existing)) => existing,
            stopped_or_failed => {
                let claimed = matched.into_iter().map(|one| one.claimed).collect();
                match stopped_or_failed {
                    Err(outcome) => self.give_back(claimed, outcome).await?,
                    Ok(_) => self.put_back(claimed).await?,
                }
                return Ok(None);
            }
        };
        let (mut planned, mut done, mut back) = (Vec::with_capacity(matched.len()), Vec::new(), Vec::new());
        for one in matched {
            let found = match existing.remove(&one.claimed.call.call().key).transpose() {
                Ok(found) => found,
                Err(unanswered) => {
                    back.push((one.claimed, unanswered));
                    continue;
                }
            };
            proof::reached("map", Step::Before);
            let mapped = self.map_one(&one);
            proof::reached("map", Step::After);
            match mapped {
                Ok(mapped) => match self.plan_one(one, found.as_ref(), mapped, looked_at_ms) {
                    Ok(plan) => planned.push(*plan),
                    Err(settlement) => done.push(*settlement),
                },
                Err(problem) => {
                    if let Some(preview) = self.preview {
                        preview.refused(&one.claimed.call, &problem);
                    }
                    let change = Change::Dead { problem: StoredProblem::from(&problem), intent: IntentFate::Leave };
                    self.count_dead(&change);
                    done.push(settlement(&one.claimed, change, None));
                }
            }
        }
        done.extend(self.unanswered(back, "look-up"));
        self.settle(done).await?;
        self.current(planned).await.map(Some)
    }

    /// A mapping that panics on one call is that call's problem alone.
    fn map_one(&self, one: &Matched) -> Result<Mapped, Problem> {
        let call = &one.claimed.call;
        let map = || {
            proof::touched("map", |text| to_json(call.call()).contains(text));
            self.destination.map(call, &one.person)
        };
        std::panic::catch_unwind(AssertUnwindSafe(map)).unwrap_or_else(|_| {
            let what = "the mapping broke on this call";
            let help = "keep the session's file and the mapping, and report this as a defect";
            Err(Problem::new(MAPPING_FAILED, what, help))
        })
    }

    /// Gives back what would change a record on the word of a file that is not the newest, or of which that is unsure.
    async fn current(&mut self, planned: Vec<Planned>) -> Result<Vec<Planned>, StoreError> {
        let changes = |plan: &&Planned| plan.sent.operation != Operation::Create && !plan.sent.stamps;
        let keys: Vec<CallKey> = planned.iter().filter(changes).map(|plan| plan.write.key.clone()).collect();
        if keys.is_empty() {
            return Ok(planned);
        }
        proof::reached("look again", Step::Before);
        let looks = self.look_again(&keys).await?;
        proof::reached("look again", Step::After);
        let now_ms = self.engine.clock.now_ms();
        let (mut current, mut back) = (Vec::with_capacity(planned.len()), Vec::new());
        for plan in planned {
            match looks.get(&plan.write.key) {
                None => current.push(plan),
                Some(Look::Superseded) => back.push(again(&plan.claimed, now_ms, None)),
                Some(Look::Unsure(problem)) => {
                    let wait = backoff::wait(plan.claimed.attempts + 1, None, self.engine.chance());
                    back.push(again(&plan.claimed, later(now_ms, wait), Some(problem)));
                }
            }
        }
        self.settle(back).await?;
        Ok(current)
    }

    /// The records that stand there already: for calls of which we know none, and for what was found but is not known to
    /// be ours; or why nothing is known of a call. `None` where a stop was asked for.
    async fn existing(&mut self, matched: &[Matched]) -> Result<Option<Standing>, Outcome> {
        let mut found = Standing::new();
        let asks = |claimed: &&Claimed| match (self.readiness.doubles, &claimed.remote_id) {
            (Doubles::Unseen { .. }, _) => false,
            (Doubles::LookedUp { .. }, None) if proof::is_off(Protection::LookUp) => false,
            (Doubles::Refused, None) => self.preview.is_some(),
            (Doubles::LookedUp { first }, None) => first || claimed.intent.is_some() || had_record(claimed),
            (_, Some(_)) => is_found(claimed),
        };
        let ask: Vec<&RedactedCall> =
            matched.iter().map(|one| &one.claimed).filter(asks).map(|claimed| &claimed.call).collect();
        if !ask.is_empty() {
            proof::reached("look up", Step::Before);
            let answers = self.unless_stopped(self.destination.look_up(&ask)).await;
            proof::reached("look up", Step::After);
            let Some(answers) = answers.transpose()? else { return Ok(None) };
            let keys = ask.iter().map(|call| call.call().key.clone());
            found.extend(keys.zip(answers).filter_map(|(key, answer)| Some((key, answer.transpose()?))));
        }
        let open = matched.iter().map(|one| &one.claimed).filter(|claimed| claimed.remote_id.is_none());
        let open: Vec<&RedactedCall> =
            open.map(|claimed| &claimed.call).filter(|call| !found.contains_key(&call.call().key)).collect();
        self.read_adoptable(&open).await?;
        for call in open.iter().map(|call| call.call()) {
            if let Some(existing) = self.adoptable.records.get(&call.source_id) {
                found.insert(call.key.clone(), Ok(existing.clone()));
            }
        }
        Ok(Some(found))
    }

    /// Makes sure that what an earlier script left on the dates of `calls` is known.
    async fn read_adoptable(&mut self, calls: &[&RedactedCall]) -> Result<(), Outcome> {
        let dates: BTreeSet<Date> = calls.iter().filter_map(|call| self.destination.call_date(call)).collect();
        let mut ask: BTreeSet<Date> = dates.difference(&self.adoptable.dates).copied().collect();
        if self.adoptable.dates.len() + ask.len() > ADOPTABLE_DATES_MAX && !ask.is_empty() {
            self.adoptable = Adoptable::default();
            ask = dates;
        }
        if !ask.is_empty() {
            let dates: Vec<Date> = ask.iter().copied().collect();
            proof::reached("adopt", Step::Before);
            self.adoptable.records.extend(self.destination.adoptable(&dates).await?);
            proof::reached("adopt", Step::After);
            self.adoptable.dates.extend(ask);
        }
        Ok(())
    }

    /// Commits what is about to be sent; whoever lost the lease is left out.
    pub(super) async fn intend(&self, planned: Vec<Planned>) -> Result<Vec<Planned>, StoreError> {
        let intents = planned
            .iter()
            .map(|plan| Intent {
                delivery_id: plan.claimed.delivery_id,
                fence: plan.claimed.fence,
                revision: plan.sent.revision,
                digest: plan.sent.digest,
                matching: matching(&plan.claimed, &plan.decision, &plan.person),
                record_json: kept(&plan.write.record),
            })
            .collect::<Vec<_>>();
        if intents.is_empty() {
            return Ok(planned);
        }
        let held = self.engine.store.intend(intents, self.engine.clock.now_ms()).await?;
        let held: std::collections::HashSet<i64> = held.into_iter().collect();
        Ok(planned.into_iter().filter(|plan| held.contains(&plan.claimed.delivery_id)).collect())
    }
}

/// What the ledger keeps of a record, for `why`: a long one can be made again from the call.
fn kept(record: &Record) -> String {
    let json = to_json(record);
    match json.len() {
        0..=RECORD_KEPT_BYTES_MAX => json,
        bytes => to_json(&serde_json::json!({ "(not kept)": format!("{bytes} bytes as JSON") })),
    }
}

/// Whether its record was found at the destination, and what it holds was never ours to know.
fn is_found(claimed: &Claimed) -> bool {
    claimed.remote_id.is_some() && claimed.delivered_digest.is_none()
}

/// Whether a record of it stood there, of which a person has the ledger forget the id (`retry --recreate`). A call that was
/// not sent after all looks alike, and can be looked up as well.
fn had_record(claimed: &Claimed) -> bool {
    claimed.delivered_person.is_some() || (claimed.person.is_some() && claimed.attempts == 0)
}

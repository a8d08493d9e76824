//! What is to be written for each matched delivery: looks up what exists, maps, and records the intent.
//!
//! Invariant: nothing leaves this stage to be sent before it is committed what will be sent; what was sent before without a
//! known outcome is resolved first, unless the destination itself refuses doubles.

use std::collections::HashMap;

use super::{
    ADOPTABLE_DATES_MAX, Matched, Planned, address_digest, again, operation_name, sent_of, settlement, to_json,
};
use crate::destinations::{Doubles, Existing, Mapped, Operation, Outcome, Record, Write};
use crate::engine::backoff;
use crate::engine::dispatch::{Dispatcher, Sketch};
use crate::engine::evidence::Look;
use crate::engine::outcome::{Sent, later};
use crate::model::{CallKey, Digest};
use crate::problem::{self, Problem};
use crate::redact::RedactedCall;
use crate::store::{Attempt, Change, Claimed, Intent, PriorIntent, Settlement, StoreError, StoredProblem};

impl Dispatcher<'_> {
    /// Maps everything and finds what exists already; settles what needs no write.
    pub(super) async fn plan(&mut self, matched: Vec<Matched>) -> Result<Option<Vec<Planned>>, StoreError> {
        // Before the look-up: what it did not find had not taken effect by then.
        let looked_at_ms = self.engine.clock.now_ms();
        let existing = match self.existing(&matched).await {
            Ok(existing) => existing,
            Err(outcome) => {
                let claimed = matched.into_iter().map(|one| one.claimed).collect();
                self.give_back(claimed, outcome).await?;
                return Ok(None);
            }
        };
        let (mut planned, mut done) = (Vec::with_capacity(matched.len()), Vec::new());
        for one in matched {
            let found = existing.get(&one.claimed.call.call().key);
            match self.destination.map(&one.claimed.call, &one.person) {
                Ok(mapped) => match self.plan_one(one, found, mapped, looked_at_ms) {
                    Ok(plan) => planned.push(*plan),
                    Err(settlement) => done.push(*settlement),
                },
                Err(problem) => {
                    if let Some(preview) = self.preview {
                        preview.refused(&one.claimed.call, &problem);
                    }
                    let change = Change::Dead { problem: StoredProblem::from(&problem) };
                    self.count_dead(&change);
                    done.push(settlement(&one.claimed, change, None));
                }
            }
        }
        self.settle(done).await?;
        self.current(planned).await.map(Some)
    }

    /// Gives back what would change a record on the word of a file that is not the newest, or of which that is unsure.
    async fn current(&mut self, planned: Vec<Planned>) -> Result<Vec<Planned>, StoreError> {
        let changes = |plan: &&Planned| plan.sent.operation != Operation::Create && !plan.sent.stamps;
        let keys: Vec<CallKey> = planned.iter().filter(changes).map(|plan| plan.write.key.clone()).collect();
        if keys.is_empty() {
            return Ok(planned);
        }
        let looks = self.look_again(&keys).await?;
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
    /// be ours.
    async fn existing(&mut self, matched: &[Matched]) -> Result<HashMap<CallKey, Existing>, Outcome> {
        let mut found = HashMap::new();
        let asks = |claimed: &&Claimed| match (self.readiness.doubles, &claimed.remote_id) {
            (Doubles::Unseen { .. }, _) => false,
            (Doubles::Refused, None) => self.preview.is_some(),
            (Doubles::LookedUp { first }, None) => first || claimed.intent.is_some(),
            (_, Some(_)) => is_found(claimed),
        };
        let ask: Vec<&RedactedCall> =
            matched.iter().map(|one| &one.claimed).filter(asks).map(|claimed| &claimed.call).collect();
        if !ask.is_empty() {
            found = self.destination.look_up(&ask).await?;
        }
        for claimed in matched.iter().map(|one| &one.claimed).filter(|claimed| claimed.remote_id.is_none()) {
            let call = claimed.call.call();
            let Some(date) = self.destination.call_date(&claimed.call).filter(|_| !found.contains_key(&call.key))
            else {
                continue;
            };
            if !self.adoptable.contains_key(&date) {
                if self.adoptable.len() >= ADOPTABLE_DATES_MAX {
                    self.adoptable.clear();
                }
                let left = self.destination.adoptable(date).await?;
                self.adoptable.insert(date, left);
            }
            // Only what does not carry an identity yet: a Task of ours may be another call's whose id reads the same.
            let left = self.adoptable.get(&date).and_then(|left| left.get(&call.source_id));
            if let Some(existing) = left.filter(|existing| existing.adopted) {
                found.insert(call.key.clone(), existing.clone());
            }
        }
        Ok(found)
    }

    /// What to do for one delivery: a write, or an end without one.
    fn plan_one(
        &mut self,
        one: Matched,
        found: Option<&Existing>,
        mapped: Mapped,
        looked_at_ms: i64,
    ) -> Result<Box<Planned>, Box<Settlement>> {
        let Matched { claimed, decision, person } = one;
        let digest = Digest::of(to_json(&mapped.create).as_bytes());
        let remote_id = claimed.remote_id.clone().or_else(|| found.map(|existing| existing.remote_id.clone()));
        let operation = match &remote_id {
            Some(remote_id) => Operation::Update { remote_id: remote_id.clone() },
            None => Operation::Create,
        };
        let mut sent = sent_of(&claimed, digest, operation.clone());
        sent.stamps = claimed.remote_id.is_none() && found.is_some_and(|existing| existing.adopted);
        let held = found.filter(|existing| remote_id.as_ref() == Some(&existing.remote_id));
        let stands = held
            .and_then(|existing| existing.record.as_ref())
            .is_some_and(|record| self.destination.stands(record, &mapped));
        if let Some(preview) = self.preview {
            if stands {
                self.summary.unchanged += 1;
                return Err(Box::new(again(&claimed, i64::MAX / 2, None)));
            }
            let notes = if sent.stamps { Vec::new() } else { mapped.notes.clone() };
            let object = mapped.object.clone();
            let (operation, record) = (operation_name(&sent), self.record(&claimed, &sent, mapped));
            preview.record(&claimed.call, &decision, Sketch { operation, object, record, notes });
            return Err(Box::new(again(&claimed, i64::MAX / 2, None)));
        }
        if let (Some(remote_id), None) = (&claimed.remote_id, claimed.intent)
            && claimed.delivered_digest == Some(digest)
            // With another address the new match goes on record, also where nobody has it and the person stays.
            && claimed.matched_by == address_digest(&claimed.call)
        {
            self.summary.unchanged += 1;
            return Err(Box::new(delivered(&claimed, remote_id, digest)));
        }
        if let Some(intent) = claimed.intent {
            let ours = found.is_some_and(|existing| !existing.adopted) && claimed.remote_id.is_none();
            if let (true, true, Some(remote_id)) = (ours, intent.digest == digest, &remote_id) {
                self.summary.delivered += 1;
                return Err(Box::new(delivered(&claimed, remote_id, digest)));
            }
            self.resolve(&claimed, intent, &mut sent, looked_at_ms)?;
        }
        if let Some(remote_id) = &remote_id {
            let settled = match (stands, self.destination.can_update()) {
                (true, _) => Some("unchanged"),
                (false, false) if !sent.stamps => Some("not updated"),
                _ => None,
            };
            if let Some(outcome) = settled {
                self.summary.unchanged += 1;
                return Err(Box::new(left_standing(&claimed, remote_id, digest, outcome, looked_at_ms)));
            }
        }
        let object = mapped.object.clone();
        let record = self.record(&claimed, &sent, mapped);
        let write = Write { key: claimed.call.call().key.clone(), object, operation, record };
        Ok(Box::new(Planned { claimed, decision, person, sent, write }))
    }

    /// What an earlier send of unknown outcome means for this one: waiting until it cannot take effect any more, a dead
    /// letter where nobody can tell, or nothing.
    fn resolve(
        &mut self,
        claimed: &Claimed,
        intent: PriorIntent,
        sent: &mut Sent,
        looked_at_ms: i64,
    ) -> Result<(), Box<Settlement>> {
        let may_still_land = !intent.settled && looked_at_ms < later(intent.at_ms, self.limits.settle);
        let creates = sent.operation == Operation::Create;
        if let (true, Doubles::Unseen { resend: false }) = (creates, self.readiness.doubles) {
            let change = Change::Dead { problem: StoredProblem::from(&nobody_can_tell(claimed)) };
            self.count_dead(&change);
            return Err(Box::new(settlement(claimed, change, None)));
        }
        let doubles = creates && self.readiness.doubles != Doubles::Refused;
        let overtakes = !creates && intent.digest != sent.digest;
        if may_still_land && (doubles || overtakes) {
            return Err(Box::new(again(claimed, later(intent.at_ms, self.limits.settle), None)));
        }
        if doubles {
            // The look-up is conclusive: the earlier request is over and left nothing. Or it was decided to send again.
            sent.unresolved = None;
        }
        Ok(())
    }

    /// The fields that go out.
    fn record(&self, claimed: &Claimed, sent: &Sent, mapped: Mapped) -> Record {
        match (&sent.operation, sent.stamps) {
            (Operation::Create, _) => mapped.create,
            (Operation::Update { .. }, true) => self.destination.adoption_stamp(&claimed.call),
            (Operation::Update { .. }, false) => mapped.update,
        }
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
                person: (plan.person.object.clone(), plan.person.id.clone()),
                matched_by: address_digest(&plan.claimed.call),
                match_json: to_json(&plan.decision),
                record_json: to_json(&plan.write.record),
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

/// Whether its record was found at the destination, and what it holds was never ours to know.
fn is_found(claimed: &Claimed) -> bool {
    claimed.remote_id.is_some() && claimed.delivered_digest.is_none()
}

fn delivered(one: &Claimed, remote_id: &str, digest: Digest) -> Settlement {
    let change = Change::Delivered {
        remote_id: remote_id.to_owned(),
        revision: one.revision,
        digest,
        adopted: false,
        written: one.delivered_digest != Some(digest),
    };
    settlement(one, change, None)
}

fn nobody_can_tell(one: &Claimed) -> Problem {
    let id = &one.call.call().source_id;
    Problem::new(
        problem::OUTCOME_UNKNOWN,
        format!("session {id} was sent, the answer was lost, and the destination cannot be asked whether it arrived"),
        format!("look there; if it is missing, run `trunkline retry {id}`"),
    )
}

/// The record says already what would be sent, or cannot be changed: it is left as it is, and `why` can tell so.
fn left_standing(one: &Claimed, remote_id: &str, digest: Digest, outcome: &'static str, at_ms: i64) -> Settlement {
    let (remote_id, revision) = (remote_id.to_owned(), one.revision);
    let change = Change::Delivered { remote_id, revision, digest, adopted: false, written: false };
    let attempt = Attempt { operation: "look-up", batch_rows: 0, revision, outcome, problem: None, at_ms, took_ms: 0 };
    settlement(one, change, Some(attempt))
}

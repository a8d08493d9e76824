//! What to do for one delivery: a write, or an end without one.
//!
//! Invariant: what was sent before without a known outcome is resolved before anything is sent again, and a record that
//! says already what would be sent is left alone.

use super::{Matched, Planned, address_digest, again, operation_name, sent_of, settlement, to_json};
use crate::destinations::{Doubles, Existing, Mapped, Match, Operation, Person, Record, Write};
use crate::engine::dispatch::{Dispatcher, Sketch};
use crate::engine::outcome::{Sent, later};
use crate::model::Digest;
use crate::problem::{self, Problem};
use crate::proof::{self, Protection};
use crate::store::{Attempt, Change, Claimed, IntentFate, Matching, PriorIntent, Settlement, StoredProblem};

/// What is known of the record of one delivery.
struct Stand {
    remote_id: Option<String>,
    /// It is on its person already, or was until somebody moved it.
    on_person: bool,
    /// It was read, and holds what would be sent.
    says_the_same: bool,
}

impl Dispatcher<'_> {
    /// A write, or an end without one.
    pub(super) fn plan_one(
        &mut self,
        one: Matched,
        found: Option<&Existing>,
        mapped: Mapped,
        looked_at_ms: i64,
    ) -> Result<Box<Planned>, Box<Settlement>> {
        let digest = Digest::of(to_json(&mapped.create).as_bytes());
        let stand = self.stand(&one, found, &mapped);
        let operation = match &stand.remote_id {
            Some(remote_id) => Operation::Update { remote_id: remote_id.clone() },
            None => Operation::Create,
        };
        let mut sent = sent_of(&one.claimed, digest, operation.clone());
        sent.stamps = one.claimed.remote_id.is_none() && found.is_some_and(|existing| existing.adopted);
        if self.preview.is_some() {
            return Err(Box::new(self.show(&one, &stand, &sent, mapped)));
        }
        self.resolve(&one, found, &mut sent, looked_at_ms)?;
        self.leave(&one, &stand, &sent, looked_at_ms)?;
        let Matched { claimed, decision, person } = one;
        let object = mapped.object.clone();
        let record = self.record(&claimed, &sent, mapped, stand.on_person);
        let write = Write { key: claimed.call.call().key.clone(), object, operation, record };
        Ok(Box::new(Planned { claimed, decision, person, sent, write }))
    }

    fn stand(&self, one: &Matched, found: Option<&Existing>, mapped: &Mapped) -> Stand {
        let claimed = &one.claimed;
        // What was only told by a refusal may be no id at all; what was found by a look-up is one.
        let told = claimed.remote_id.as_ref().filter(|_| claimed.delivered_digest.is_some() || found.is_none());
        let remote_id = told.or(found.map(|existing| &existing.remote_id)).cloned();
        let on_person = is_on(claimed, found, &one.person);
        let says_the_same = found
            .filter(|existing| on_person && remote_id.as_ref() == Some(&existing.remote_id))
            .and_then(|existing| existing.record.as_ref())
            .is_some_and(|record| self.destination.stands(record, mapped));
        Stand { remote_id, on_person, says_the_same }
    }

    /// Shows what would be sent; the delivery is out of the way of this run.
    fn show(&mut self, one: &Matched, stand: &Stand, sent: &Sent, mapped: Mapped) -> Settlement {
        let updates = sent.operation != Operation::Create && !sent.stamps;
        if stand.says_the_same || (updates && !self.destination.can_update()) {
            self.summary.unchanged += 1;
        } else if let Some(preview) = self.preview {
            let notes = if sent.stamps { Vec::new() } else { mapped.notes.clone() };
            let object = mapped.object.clone();
            let (operation, record) = (operation_name(sent), self.record(&one.claimed, sent, mapped, stand.on_person));
            preview.record(&one.claimed.call, &one.decision, Sketch { operation, object, record, notes });
        }
        again(&one.claimed, i64::MAX / 2, None)
    }

    /// Ends what needs no write: the record holds it, by our own books or by its own word, or cannot be changed.
    fn leave(&mut self, one: &Matched, stand: &Stand, sent: &Sent, looked_at_ms: i64) -> Result<(), Box<Settlement>> {
        let Some(remote_id) = &stand.remote_id else { return Ok(()) };
        let claimed = &one.claimed;
        let delivered = claimed.delivered_digest == Some(sent.digest) && claimed.intent.is_none();
        let outcome = if delivered || stand.says_the_same {
            "unchanged"
        } else if !sent.stamps && !self.destination.can_update() {
            "not updated"
        } else {
            return Ok(());
        };
        self.summary.unchanged += 1;
        let matching = Box::new(matching(claimed, &one.decision, &one.person));
        let (remote_id, revision) = (remote_id.clone(), claimed.revision);
        let change = if outcome == "unchanged" {
            let (digest, matching) = (sent.digest, Some(matching));
            Change::Delivered { remote_id, revision, digest, adopted: false, written: false, matching }
        } else {
            match claimed.delivered_digest {
                Some(_) => self.summary.not_updated += 1,
                None => self.summary.not_compared += 1,
            }
            Change::Kept { remote_id, revision, matching }
        };
        let attempt = Attempt {
            operation: "look-up",
            batch_rows: 0,
            revision: claimed.revision,
            outcome,
            problem: None,
            at_ms: looked_at_ms,
            took_ms: 0,
        };
        Err(Box::new(settlement(claimed, change, Some(attempt).filter(|_| !delivered))))
    }

    /// What an earlier send of unknown outcome means for this one: the proof of delivery, waiting until it cannot take
    /// effect any more, a dead letter where nobody can tell, or nothing.
    fn resolve(
        &mut self,
        one: &Matched,
        found: Option<&Existing>,
        sent: &mut Sent,
        looked_at_ms: i64,
    ) -> Result<(), Box<Settlement>> {
        let claimed = &one.claimed;
        let Some(intent) = claimed.intent else { return Ok(()) };
        let ours = found.filter(|existing| !existing.adopted && claimed.remote_id.is_none());
        if let Some(existing) = ours.filter(|_| intent.digest == sent.digest) {
            self.summary.delivered += 1;
            return Err(Box::new(arrived(claimed, &existing.remote_id, sent.digest)));
        }
        let creates = sent.operation == Operation::Create;
        // Who made it due again has looked, and decided that it is to be sent; unless the destination itself can tell.
        let asks_a_person = self.readiness.doubles == Doubles::Unseen { resend: false } && !intent.left_to_person;
        if creates && asks_a_person {
            let problem = StoredProblem::from(&nobody_can_tell(claimed, self.destination.name()));
            let change = Change::Dead { problem, intent: IntentFate::LeaveToPerson };
            self.count_dead(&change);
            return Err(Box::new(settlement(claimed, change, None)));
        }
        let doubles = creates && self.readiness.doubles != Doubles::Refused;
        let overtakes = !creates && intent.digest != sent.digest;
        let waits = !proof::is_off(Protection::LookUp) && self.may_still_land(intent, looked_at_ms);
        if waits && (doubles || overtakes) {
            return Err(Box::new(again(claimed, later(intent.at_ms, self.limits.settle), None)));
        }
        if doubles {
            // The look-up is conclusive: the earlier request is over and left nothing. Or it was decided to send again.
            sent.unresolved = None;
        }
        Ok(())
    }

    fn may_still_land(&self, intent: PriorIntent, looked_at_ms: i64) -> bool {
        !intent.settled && looked_at_ms < later(intent.at_ms, self.limits.settle)
    }

    /// The fields that go out. `on_person`: the record is on its person already.
    fn record(&self, claimed: &Claimed, sent: &Sent, mapped: Mapped, on_person: bool) -> Record {
        match (&sent.operation, sent.stamps) {
            (Operation::Create, _) => mapped.create,
            (Operation::Update { .. }, true) => self.destination.adoption_stamp(&claimed.call),
            (Operation::Update { .. }, false) if on_person => mapped.update,
            (Operation::Update { .. }, false) => {
                let mut record = mapped.update;
                record.extend(mapped.person);
                record
            }
        }
    }
}

/// Whether the record is on this person already, or was by our own last delivery: somebody may have moved it since.
fn is_on(claimed: &Claimed, found: Option<&Existing>, person: &Person) -> bool {
    let before = claimed.delivered_person.as_ref().or(found.and_then(|existing| existing.person_id.as_ref()));
    let is_nobody = person.object.is_empty();
    is_nobody || (before == Some(&person.id) && claimed.intent.is_none())
}

pub(super) fn matching(claimed: &Claimed, decision: &Match, person: &Person) -> Matching {
    Matching {
        person: (person.object.clone(), person.id.clone()),
        matched_by: address_digest(&claimed.call),
        match_json: to_json(decision),
    }
}

/// What was sent without an answer is there.
fn arrived(claimed: &Claimed, remote_id: &str, digest: Digest) -> Settlement {
    let (remote_id, revision) = (remote_id.to_owned(), claimed.revision);
    let change = Change::Delivered { remote_id, revision, digest, adopted: false, written: true, matching: None };
    settlement(claimed, change, None)
}

fn nobody_can_tell(claimed: &Claimed, destination: &str) -> Problem {
    let id = &claimed.call.call().source_id;
    Problem::new(
        problem::OUTCOME_UNKNOWN,
        format!("session {id} was sent, the answer was lost, and {destination} cannot be asked whether it arrived"),
        format!("look there; only if it is missing, run `trunkline retry {id}`"),
    )
}

//! One window of claimed deliveries on its way: match, look up, map, intend, write, settle.
//!
//! Invariant: each claimed delivery is settled exactly once, whatever happens to its neighbours.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::Event;
use super::dispatch::{Dispatcher, Sketch, unexpected};
use super::lanes::{Load, pack};
use super::outcome::{Decision, Follow, Sent, decide, later};
use crate::destinations::{Existing, Mapped, Match, Operation, Outcome, Person, Record, Verdict, Write};
use crate::model::{CallKey, Digest};
use crate::problem::{self, Problem};
use crate::redact::RedactedCall;
use crate::store::{Attempt, Change, Claimed, Intent, IntentFate, Settlement, StoreError, StoredProblem};

/// Dates whose earlier records are kept in memory.
const ADOPTABLE_DATES_MAX: usize = 4;
/// Unknown outcomes in a row before a record goes in a smaller batch.
const UNKNOWN_BEFORE_ISOLATION: u32 = 3;

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
        self.write(planned).await
    }

    /// Finds everybody's person; settles those without one. `None` if the destination could not be asked.
    async fn match_people(&mut self, claimed: Vec<Claimed>) -> Result<Option<Vec<Matched>>, StoreError> {
        let ask: Vec<&RedactedCall> = claimed.iter().filter(|one| !keeps_person(one)).map(|one| &one.call).collect();
        let answers = if ask.is_empty() { Ok(Vec::new()) } else { self.destination.match_people(&ask).await };
        let answers = match answers {
            Ok(answers) => answers,
            Err(outcome) => {
                self.give_back(claimed, outcome).await?;
                return Ok(None);
            }
        };
        let mut answers = answers.into_iter();
        let (mut matched, mut done) = (Vec::with_capacity(claimed.len()), Vec::new());
        for one in claimed {
            let decision = if keeps_person(&one) { kept(&one) } else { answers.next() };
            let Some(decision) = decision else {
                done.push(again(&one, self.engine.clock.now_ms(), None));
                continue;
            };
            let known = one.person.clone().filter(|_| one.remote_id.is_some());
            match (&decision.verdict, known) {
                (Verdict::Found(person), _) => {
                    let person = person.clone();
                    matched.push(Matched { claimed: one, decision, person });
                }
                // It stands on somebody already; that nobody matches today does not take it away.
                (_, Some((object, id))) => {
                    matched.push(Matched { claimed: one, decision, person: Person { object, id } });
                }
                (Verdict::NoMatch, None) if self.destination.creates_people() && self.preview.is_some() => {
                    done.push(self.sketch_person(&one, &decision));
                }
                // An org that is held or in trouble is not asked once more for each of many.
                (Verdict::NoMatch, None) if self.creates_people() && self.is_stopped() => {
                    done.push(again(&one, self.engine.clock.now_ms(), None));
                }
                (Verdict::NoMatch, None) if self.creates_people() => match self.create_person(&one).await? {
                    Ok((decision, person)) => matched.push(Matched { claimed: one, decision, person }),
                    Err(settlement) => done.push(*settlement),
                },
                _ => done.push(self.skip(&one, &decision)),
            }
        }
        self.settle(done).await?;
        Ok(Some(matched))
    }

    fn creates_people(&self) -> bool {
        self.destination.creates_people() && self.preview.is_none()
    }

    fn skip(&mut self, one: &Claimed, decision: &Match) -> Settlement {
        let problem = skip_problem(&one.call, decision);
        if let Some(preview) = self.preview {
            preview.skipped(&one.call, decision, &problem);
        }
        *self.summary.skipped.entry(problem.code.0.to_owned()).or_default() += 1;
        let change = Change::Skipped { problem: StoredProblem::from(&problem), match_json: to_json(decision) };
        settlement(one, change, None)
    }

    /// Shows the person that would be made.
    fn sketch_person(&mut self, one: &Claimed, decision: &Match) -> Settlement {
        match (self.preview, self.destination.new_person(&one.call)) {
            (Some(preview), Some((object, record))) => {
                preview.person(&one.call, decision, object, record);
                again(one, i64::MAX / 2, None)
            }
            _ => self.skip(one, decision),
        }
    }

    /// Makes a person, one process and one call at a time for each address; the match is asked again first.
    async fn create_person(&mut self, one: &Claimed) -> Result<Result<(Match, Person), Box<Settlement>>, StoreError> {
        let now_ms = self.engine.clock.now_ms();
        let Some(address) = address_digest(&one.call) else {
            return Ok(Err(Box::new(again(one, now_ms, None))));
        };
        let name = self.destination.name();
        let settled_ms = now_ms - i64::try_from(self.limits.settle.as_millis()).unwrap_or(i64::MAX);
        if !self.engine.store.claim_person(name, address, now_ms, settled_ms).await? {
            return Ok(Err(Box::new(again(one, now_ms + 2_000, None))));
        }
        let outcome = match self.destination.match_people(&[&one.call]).await {
            Ok(answers) => match answers.into_iter().next() {
                Some(Match { verdict: Verdict::NoMatch, rule, candidates, candidates_total }) => {
                    let made = self.destination.create_person(&one.call).await;
                    made.map(|person| {
                        self.summary.people_created += 1;
                        let verdict = Verdict::Found(person.clone());
                        (Match { verdict, rule: format!("{rule}, created"), candidates, candidates_total }, person)
                    })
                }
                Some(decision) => match decision.verdict.clone() {
                    Verdict::Found(person) => Ok((decision, person)),
                    _ => Err(Outcome::Rematch { problem: skip_problem(&one.call, &decision) }),
                },
                None => Err(Outcome::Hold { problem: unexpected(&Outcome::Exists { remote_id: String::new() }) }),
            },
            Err(outcome) => Err(outcome),
        };
        let now_ms = self.engine.clock.now_ms();
        // An unknown outcome may still take effect: nobody makes this person again before it is certain.
        let unsettled = matches!(&outcome, Err(Outcome::Unknown { settled: false, .. }));
        if unsettled {
            self.engine.store.abandon_person(name, address, now_ms).await?;
        } else {
            self.engine.store.release_person(name, address).await?;
        }
        match outcome {
            Ok(found) => Ok(Ok(found)),
            Err(outcome) => {
                let sent = sent_of(one, Digest::of(b""), Operation::Create);
                let mut decision = decide(&sent, outcome, now_ms, self.engine.chance());
                if let (Change::Again { next_at_ms, intent, .. }, true) = (&mut decision.change, unsettled) {
                    *next_at_ms = later(now_ms, self.limits.settle);
                    *intent = IntentFate::Leave;
                }
                self.follow(&decision).await?;
                self.count_dead(&decision.change);
                Ok(Err(Box::new(settlement(one, decision.change, None))))
            }
        }
    }

    /// Maps everything and finds what exists already; settles what needs no write.
    async fn plan(&mut self, matched: Vec<Matched>) -> Result<Option<Vec<Planned>>, StoreError> {
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
                Ok(mapped) => match self.plan_one(one, found, mapped) {
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
        Ok(Some(planned))
    }

    /// The records that stand there already for calls that we know of none.
    async fn existing(&mut self, matched: &[Matched]) -> Result<HashMap<CallKey, Existing>, Outcome> {
        let mut found = HashMap::new();
        let open: Vec<&Claimed> =
            matched.iter().map(|one| &one.claimed).filter(|claimed| claimed.remote_id.is_none()).collect();
        if !self.readiness.unique_key && !open.is_empty() {
            let calls: Vec<&RedactedCall> = open.iter().map(|claimed| &claimed.call).collect();
            found = self.destination.look_up(&calls).await?;
        }
        for claimed in open {
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
            if let Some(existing) = self.adoptable.get(&date).and_then(|left| left.get(&call.source_id)) {
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
    ) -> Result<Box<Planned>, Box<Settlement>> {
        let Matched { claimed, decision, person } = one;
        let digest = Digest::of(to_json(&mapped.create).as_bytes());
        let now_ms = self.engine.clock.now_ms();
        let remote_id = claimed.remote_id.clone().or_else(|| found.map(|existing| existing.remote_id.clone()));
        let operation = match &remote_id {
            Some(remote_id) => Operation::Update { remote_id: remote_id.clone() },
            None => Operation::Create,
        };
        let mut sent = sent_of(&claimed, digest, operation.clone());
        sent.stamps = claimed.remote_id.is_none() && found.is_some_and(|existing| existing.adopted);
        if let Some(preview) = self.preview {
            let notes = if sent.stamps { Vec::new() } else { mapped.notes.clone() };
            let object = mapped.object.clone();
            let (operation, record) = (operation_name(&sent), self.record(&claimed, &sent, mapped));
            preview.record(&claimed.call, &decision, Sketch { operation, object, record, notes });
            return Err(Box::new(again(&claimed, i64::MAX / 2, None)));
        }
        if let (Some(remote_id), None) = (&claimed.remote_id, claimed.intent)
            && claimed.delivered_digest == Some(digest)
        {
            self.summary.unchanged += 1;
            return Err(Box::new(delivered(&claimed, remote_id, digest)));
        }
        if let Some(intent) = claimed.intent {
            let may_still_land = !intent.settled && now_ms < later(intent.at_ms, self.limits.settle);
            let ours = found.is_some_and(|existing| !existing.adopted) && claimed.remote_id.is_none();
            if let (true, true, Some(remote_id)) = (ours, intent.digest == digest, &remote_id) {
                self.summary.delivered += 1;
                return Err(Box::new(delivered(&claimed, remote_id, digest)));
            }
            let doubles = operation == Operation::Create && !self.readiness.unique_key;
            let overtakes = operation != Operation::Create && intent.digest != digest;
            if may_still_land && (doubles || overtakes) {
                return Err(Box::new(again(&claimed, later(intent.at_ms, self.limits.settle), None)));
            }
            if doubles {
                // The look-up above is conclusive: the earlier request is over and left nothing.
                sent.unresolved = None;
            }
        }
        let object = mapped.object.clone();
        let record = self.record(&claimed, &sent, mapped);
        let write = Write { key: claimed.call.call().key.clone(), object, operation, record };
        Ok(Box::new(Planned { claimed, decision, person, sent, write }))
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
    async fn intend(&self, planned: Vec<Planned>) -> Result<Vec<Planned>, StoreError> {
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

    async fn write(&mut self, planned: Vec<Planned>) -> Result<(), StoreError> {
        let loads: Vec<Load<'_>> = planned
            .iter()
            .map(|plan| Load {
                person: &plan.person.id,
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
            let outcomes = self.destination.write(&writes).await;
            let now_ms = self.engine.clock.now_ms();
            let mut settlements = Vec::with_capacity(rows.len());
            for (plan, outcome) in rows.iter().zip(outcomes) {
                let mut decision = decide(&plan.sent, outcome, now_ms, self.engine.chance());
                self.temper(plan, &mut decision);
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
            self.engine.store.settle(settlements, now_ms).await?;
            self.engine.progress.event(Event::Settled(count));
        }
        Ok(decisions)
    }

    /// Turns endless tries into smaller batches, and at last into a dead letter.
    fn temper(&self, plan: &Planned, decision: &mut Decision) {
        let Change::Again { counts: true, isolate, .. } = &mut decision.change else { return };
        let attempts = plan.claimed.attempts + 1;
        if decision.label == "unknown" && attempts >= UNKNOWN_BEFORE_ISOLATION {
            *isolate = true;
        }
        let alone = plan.claimed.isolation >= 2;
        if let (true, true, Some(problem)) = (alone, attempts >= self.limits.attempts_max, &decision.problem) {
            decision.change = Change::Dead { problem: StoredProblem::from(problem) };
            decision.label = "rejected";
        }
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
        if let Change::Dead { problem } = change {
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

/// Whether a delivery stays with the person that it was matched to: it was sent to them, and the address is the same.
fn keeps_person(one: &Claimed) -> bool {
    let sent = one.remote_id.is_some() || one.intent.is_some();
    sent && one.person.is_some() && one.matched_by.is_some() && one.matched_by == address_digest(&one.call)
}

/// The decision that was stored with the person.
fn kept(one: &Claimed) -> Option<Match> {
    let (object, id) = one.person.clone()?;
    let stored = one.match_json.as_deref().and_then(|json| serde_json::from_str::<Match>(json).ok());
    let (rule, candidates, candidates_total) = stored
        .map_or_else(|| ("kept".to_owned(), Vec::new(), 1), |old| (old.rule, old.candidates, old.candidates_total));
    Some(Match { verdict: Verdict::Found(Person { object, id }), rule, candidates, candidates_total })
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

/// A planned write that was not sent after all: its intent is taken back, an older unknown one stays.
fn unsent(plan: &Planned, now_ms: i64) -> Settlement {
    let mut back = again(&plan.claimed, now_ms, None);
    if let (Change::Again { intent, .. }, None) = (&mut back.change, plan.sent.unresolved) {
        *intent = IntentFate::Clear;
    }
    back
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

fn operation_name(sent: &Sent) -> &'static str {
    match (&sent.operation, sent.stamps) {
        (Operation::Create, _) => "create",
        (Operation::Update { .. }, true) => "adopt",
        (Operation::Update { .. }, false) => "update",
    }
}

fn skip_problem(call: &RedactedCall, decision: &Match) -> Problem {
    let id = &call.call().source_id;
    match decision.verdict {
        Verdict::NoEmail => Problem::new(
            problem::NO_EMAIL,
            format!("session {id} has no e-mail address"),
            "have the agent ask for it; a later export with the address is delivered by itself",
        ),
        Verdict::Ambiguous => Problem::new(
            problem::AMBIGUOUS,
            format!("session {id} matches {} people and the rule for several is to skip", decision.candidates_total),
            "merge the duplicates in the CRM or choose another rule, then run `trunkline retry --reason several-matches`",
        ),
        Verdict::NoMatch | Verdict::Found(_) => Problem::new(
            problem::NO_MATCH,
            format!("nobody in the CRM has the e-mail address of session {id}"),
            "add the address to a Contact or Lead, then run `trunkline sync` for that day again or \
             `trunkline retry --reason no-match`",
        ),
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    // Maps with text keys and plain values: serialising them cannot fail.
    serde_json::to_string(value).unwrap_or_default()
}

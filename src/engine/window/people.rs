//! Finds everybody's person, and ends the deliveries of those who have none.
//!
//! Invariant: a call that stands on somebody stays there; a person is made by one process and for one call of an address
//! at a time, and the match is asked again first.

use super::{Matched, address_digest, again, sent_of, settlement, to_json};
use crate::destinations::{CreatesPeople, Match, Operation, Outcome, Person, Unanswered, Verdict};
use crate::engine::dispatch::{DispatchLimits, Dispatcher, unexpected};
use crate::engine::outcome::{decide, later};
use crate::model::Digest;
use crate::problem::{self, Problem};
use crate::proof::{self, Step};
use crate::redact::RedactedCall;
use crate::store::{Change, Claimed, IntentFate, Settlement, StoreError, StoredProblem};

impl Dispatcher<'_> {
    /// Finds everybody's person; settles those without one. `None` if the destination could not be asked.
    pub(super) async fn match_people(&mut self, claimed: Vec<Claimed>) -> Result<Option<Vec<Matched>>, StoreError> {
        let ask: Vec<&RedactedCall> = claimed.iter().filter(|one| !keeps_person(one)).map(|one| &one.call).collect();
        proof::reached("match", Step::Before);
        let answers = match ask.is_empty() {
            true => Some(Ok(Vec::new())),
            false => self.unless_stopped(self.destination.match_people(&ask)).await,
        };
        proof::reached("match", Step::After);
        let answers = match answers {
            Some(Ok(answers)) => answers,
            None => {
                self.put_back(claimed).await?;
                return Ok(None);
            }
            Some(Err(outcome)) => {
                self.give_back(claimed, outcome).await?;
                return Ok(None);
            }
        };
        let mut answers = answers.into_iter();
        // Making people takes a request or two for each: what is matched is still to be written under its lease.
        let DispatchLimits { lease, write, .. } = self.limits;
        let make_until_ms = later(self.engine.clock.now_ms(), lease.saturating_sub(write) / 2);
        let (mut matched, mut done, mut back) = (Vec::with_capacity(claimed.len()), Vec::new(), Vec::new());
        for one in claimed {
            let decision = match keeps_person(&one) {
                true => kept(&one).ok_or(Unanswered::NotAsked),
                false => answers.next().unwrap_or(Err(Unanswered::NotAsked)),
            };
            let decision = match decision {
                Ok(decision) => decision,
                Err(unanswered) => {
                    back.push((one, unanswered));
                    continue;
                }
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
                (Verdict::NoMatch, None) => match self.destination.people() {
                    Some(people) if self.preview.is_some() => done.push(self.sketch_person(people, &one, &decision)),
                    // An org that is held or in trouble is not asked once more for each of many.
                    Some(_) if self.is_stopped() || self.engine.clock.now_ms() >= make_until_ms => {
                        done.push(again(&one, self.engine.clock.now_ms(), None))
                    }
                    Some(people) => match self.create_person(people, &one).await? {
                        Ok((decision, person)) => matched.push(Matched { claimed: one, decision, person }),
                        Err(settlement) => done.push(*settlement),
                    },
                    None => done.push(self.skip(&one, &decision)),
                },
                _ => done.push(self.skip(&one, &decision)),
            }
        }
        done.extend(self.unanswered(back, "match"));
        self.settle(done).await?;
        Ok(Some(matched))
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
    fn sketch_person(&mut self, people: &dyn CreatesPeople, one: &Claimed, decision: &Match) -> Settlement {
        match (self.preview, people.new_person(&one.call)) {
            (Some(preview), Some((object, record))) => {
                preview.person(&one.call, decision, object, record);
                again(one, i64::MAX / 2, None)
            }
            _ => self.skip(one, decision),
        }
    }

    /// Makes a person, one process and one call at a time for each address; the match is asked again first.
    async fn create_person(
        &mut self,
        people: &dyn CreatesPeople,
        one: &Claimed,
    ) -> Result<Result<(Match, Person), Box<Settlement>>, StoreError> {
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
            Ok(answers) => match answers.into_iter().next().transpose() {
                Err(Unanswered::Failed(outcome) | Unanswered::Pause(outcome)) => Err(outcome),
                Ok(Some(Match { verdict: Verdict::NoMatch, rule, candidates, candidates_total })) => {
                    proof::reached("make person", Step::Before);
                    let made = people.create_person(&one.call).await;
                    proof::reached("make person", Step::After);
                    made.map(|person| {
                        self.summary.people_created += 1;
                        self.progressed();
                        let verdict = Verdict::Found(person.clone());
                        (Match { verdict, rule: format!("{rule}, created"), candidates, candidates_total }, person)
                    })
                }
                Ok(Some(decision)) => match decision.verdict.clone() {
                    Verdict::Found(person) => Ok((decision, person)),
                    _ => Err(Outcome::Rematch { problem: skip_problem(&one.call, &decision) }),
                },
                Ok(None) | Err(Unanswered::NotAsked) => {
                    Err(Outcome::Hold { problem: unexpected(&Outcome::Exists { remote_id: String::new() }) })
                }
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
                self.temper(one, &mut decision);
                if let Change::Again { next_at_ms, intent, .. } = &mut decision.change {
                    // What became of the person says nothing of what was sent for the call before.
                    *intent = IntentFate::Leave;
                    if unsettled {
                        *next_at_ms = later(now_ms, self.limits.settle);
                    }
                }
                self.follow(&decision).await?;
                self.count_dead(&decision.change);
                Ok(Err(Box::new(settlement(one, decision.change, None))))
            }
        }
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

//! The questions of a REST destination: who the callers are, which calls are there already, and whether that can be asked.
//!
//! Invariant: only an answer that was understood says that somebody or something is not there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::StatusCode;

use super::answer::{self, Answer};
use super::config::{Ask, HeaderLines, Unmatched};
use super::found::{self, Question, found, has_key};
use super::request::Put;
use super::round::{self, Said};
use super::{Rest, client, no_person, nobody};
use crate::destinations::{Answers, CANDIDATES_MAX, Candidate, Existing, Match, Outcome, Person, Verdict};
use crate::model::CallKey;
use crate::problem::{CONFIG_BAD_VALUE, LOGIN_REFUSED, Problem};
use crate::redact::RedactedCall;

/// Questions that are kept for want of one that was answered: one of them is of another call than that which was not.
const SPARE_MAX: usize = 2;

/// What is known of one kind of question.
#[derive(Default)]
pub struct Asked {
    /// The last one that was answered. Asked again, it tells whether another that was not is at fault itself.
    control: Mutex<Option<Put>>,
    /// For want of that: those of calls that need not be asked for.
    spare: Mutex<Vec<(CallKey, Put)>>,
    /// Whether an item that was answered had the places of its key.
    has_keys: AtomicBool,
}

impl Asked {
    fn keep(&self, put: &Put) {
        *self.control.lock().unwrap_or_else(PoisonError::into_inner) = Some(put.clone());
    }

    /// A question of none of `calls`, unless one of theirs was answered before.
    fn control(&self, calls: &[&RedactedCall]) -> Option<Put> {
        let answered = self.control.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_other = |key: &CallKey| calls.iter().all(|call| call.call().key != *key);
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        answered.or_else(|| spare.iter().find(|(key, _)| is_other(key)).map(|(_, put)| put.clone()))
    }
}

/// A question as the table has it.
struct Kind<'a> {
    name: &'static str,
    ask: &'a Ask,
    headers: &'a HeaderLines,
    asked: &'a Asked,
}

impl Rest {
    pub(super) async fn people_of(&self, calls: &[&RedactedCall]) -> Answers<Match> {
        self.spare_look_ups(calls);
        let Some(ask) = &self.settings.section.person else {
            return Ok(calls.iter().map(|_| Ok(nobody("no-person", Verdict::Found(no_person())))).collect());
        };
        let kind = Kind { name: "person", ask, headers: &self.settings.headers.person, asked: &self.people };
        let questions: Vec<_> = calls.iter().map(|call| self.person_of(&kind, call)).collect();
        let said = round::put_all(questions, self.at_once(), self.is_time()).await?;
        let said = said.into_iter().map(|one| self.without_key(&kind, one)).collect();
        self.judged(said, &kind, calls).await
    }

    pub(super) async fn records_of(&self, calls: &[&RedactedCall]) -> Answers<Option<Existing>> {
        let Some(ask) = &self.settings.section.look_up else { return Ok(calls.iter().map(|_| Ok(None)).collect()) };
        let kind = Kind { name: "look_up", ask, headers: &self.settings.headers.look_up, asked: &self.records };
        let questions: Vec<_> = calls.iter().map(|call| self.record_of(&kind, call)).collect();
        let said = round::put_all(questions, self.at_once(), self.is_time()).await?;
        self.judged(said, &kind, calls).await
    }

    /// Few calls are looked up where that is done after a lost answer alone: often one, with nobody beside it.
    fn spare_look_ups(&self, calls: &[&RedactedCall]) {
        if self.settings.section.look_up.is_none() {
            return;
        }
        let put =
            |call: &&RedactedCall| Some((call.call().key.clone(), self.requests.look_up(call, self.date(call)).ok()?));
        let mut puts: Vec<_> = calls.iter().filter_map(put).take(SPARE_MAX).collect();
        let mut spare = self.records.spare.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a window of one, the call before it stays.
        puts.extend(spare.drain(..).filter(|(key, _)| calls.iter().all(|call| call.call().key != *key)));
        puts.truncate(SPARE_MAX);
        *spare = puts;
    }

    /// Whether a question may still be begun in a round that begins now.
    fn is_time(&self) -> impl Fn() -> bool {
        let began = (self.clock)();
        move || (self.clock)().duration_since(began).unsigned_abs() < self.settings.round
    }

    fn at_once(&self) -> usize {
        usize::from(self.settings.section.requests_in_flight)
    }

    /// What a round means, with a question that is known to be right beside those that had no answer.
    async fn judged<T>(&self, said: Vec<Said<T>>, kind: &Kind<'_>, calls: &[&RedactedCall]) -> Answers<T> {
        let control = match round::is_open(&said) {
            true => self.control(kind, calls, &said).await?,
            false => None,
        };
        round::judge(said, control)
    }

    async fn control<T>(
        &self,
        kind: &Kind<'_>,
        calls: &[&RedactedCall],
        said: &[Said<T>],
    ) -> Result<Option<Said<()>>, Outcome> {
        if let Some(put) = kind.asked.control(calls) {
            return Ok(Some(self.put(kind, &put).await.map(|_| ())));
        }
        // That the probe can be read says nothing of how the answers to other questions look.
        if kind.name == "person" || round::is_unreadable(said) {
            return Ok(None);
        }
        // An API that offers no look-up today tells nothing of one that was not answered.
        let said = self.probed().await?.filter(|said| !matches!(said, Said::Answered(false)));
        Ok(said.map(|said| said.map(|_| ())))
    }

    /// Whether the API offers the look-up, by its answer to the probe; `None` where there is no probe.
    pub(super) async fn probed(&self) -> Result<Option<Said<bool>>, Outcome> {
        let (Some(ask), Some(path)) = (&self.settings.section.look_up, self.requests.probe()?) else { return Ok(None) };
        let headers = &self.settings.headers.look_up;
        let call = client::Call { method: &ask.method, path: &path, body: None, headers };
        let answer = match self.client.send(&call).await? {
            Ok(answer) => answer,
            Err(error) => return Ok(Some(Said::Trouble(answer::of_transport(&error, false)))),
        };
        Ok(Some(match answer.status.as_u16() {
            // An API's own word; a page is that of something in front of it, or behind the wrong address.
            404 | 405 | 501 if answer.is_data() => Said::Answered(false),
            404 | 405 => Said::refused(found::no_probe(&answer)),
            _ if answer.status.is_success() => match found::lists(&answer, ask) {
                Ok(()) => Said::Answered(true),
                Err(problem) => Said::refused(problem),
            },
            _ => self.refusal(&answer),
        }))
    }

    async fn person_of(&self, kind: &Kind<'_>, call: &RedactedCall) -> Said<Match> {
        let put = match self.requests.person(call, self.date(call)) {
            Ok(Some(put)) => put,
            Ok(None) => return Said::Known(self.unmatched("unmatched", Verdict::NoEmail)),
            Err(problem) => return Said::Unaskable(problem),
        };
        match self.put(kind, &put).await {
            Said::Refused { problem, instead } => {
                let nobody = |_| self.unmatched("question-refused", Verdict::NoMatch);
                Said::Refused { problem, instead: instead.map(nobody) }
            }
            said => said.map(|ids| self.matched(&kind.ask.object, &ids)),
        }
    }

    fn matched(&self, object: &str, found: &[String]) -> Match {
        let Some(first) = found.first() else { return self.unmatched("unmatched", Verdict::NoMatch) };
        let candidates = found.iter().take(CANDIDATES_MAX).enumerate();
        let candidates = candidates
            .map(|(place, id)| Candidate {
                object: object.to_owned(),
                id: id.clone(),
                modified_at: None,
                remark: if place == 0 { "the first that the CRM names" } else { "not the first" }.to_owned(),
            })
            .collect();
        let verdict = Verdict::Found(Person { object: object.to_owned(), id: first.clone() });
        Match { verdict, rule: "person".to_owned(), candidates, candidates_total: found.len() }
    }

    /// For a call whose person is not known.
    fn unmatched(&self, rule: &str, verdict: Verdict) -> Match {
        match self.settings.section.unmatched {
            Unmatched::Deliver => nobody(rule, Verdict::Found(no_person())),
            Unmatched::Skip => nobody(rule, verdict),
        }
    }

    /// Somebody may lack what others are told apart by, such as an address; that nobody has it is a mistake in the table.
    fn without_key(&self, kind: &Kind<'_>, said: Said<Match>) -> Said<Match> {
        match said {
            Said::Keyless(_) if kind.asked.has_keys.load(Ordering::Relaxed) => {
                Said::Answered(self.unmatched("unmatched", Verdict::NoMatch))
            }
            Said::Keyless(problem) => Said::refused(problem),
            said => said,
        }
    }

    async fn record_of(&self, kind: &Kind<'_>, call: &RedactedCall) -> Said<Option<Existing>> {
        let put = match self.requests.look_up(call, self.date(call)) {
            Ok(put) => put,
            Err(problem) => return Said::Unaskable(problem),
        };
        let existing = |remote_id| Existing { remote_id, adopted: false, person_id: None, record: None };
        self.put(kind, &put).await.map(|ids| ids.into_iter().next().map(existing))
    }

    /// Asks; the ids of what was found.
    async fn put(&self, kind: &Kind<'_>, put: &Put) -> Said<Vec<String>> {
        let Put { path, body, is } = put;
        let call = client::Call { method: &kind.ask.method, path, body: body.clone(), headers: kind.headers };
        let answer = match self.client.send(&call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Said::Trouble(answer::of_transport(&error, false)),
            // A request that cannot be built.
            Err(Outcome::Hold { problem }) if problem.code == CONFIG_BAD_VALUE => return Said::refused(problem),
            Err(outcome) => return Said::All(outcome),
        };
        let said = self.read(kind, is, &answer);
        if let Said::Answered(_) = &said {
            kind.asked.keep(put);
        }
        said
    }

    fn read(&self, kind: &Kind<'_>, is: &str, answer: &Answer) -> Said<Vec<String>> {
        let is_person = kind.name == "person";
        let question = |keyless| Question { name: kind.name, ask: kind.ask, is, keyless, is_of_one: !is_person };
        if kind.ask.none.contains(&answer.status.as_u16()) {
            return found::none(answer, &question(false)).map_or_else(Said::refused, Said::Answered);
        }
        if !answer.status.is_success() {
            let said = self.refusal(answer);
            return match said {
                Said::Refused { problem, .. } if is_person && is_of_one(answer.status) => {
                    Said::Refused { problem, instead: Some(Vec::new()) }
                }
                said => said,
            };
        }
        if has_key(answer, kind.ask) {
            kind.asked.has_keys.store(true, Ordering::Relaxed);
        }
        match found(answer, &question(false)) {
            Ok(ids) => Said::Answered(ids),
            Err(problem) if is_person && found(answer, &question(true)).is_ok() => Said::Keyless(problem),
            Err(problem) => Said::refused(problem),
        }
    }

    /// What the status says of a question that was not answered with success.
    fn refusal<T>(&self, answer: &Answer) -> Said<T> {
        let outcome = answer::of_question(answer, &[], (self.clock)());
        match (answer.status.as_u16(), outcome) {
            (_, outcome @ Outcome::Hold { problem: Problem { code: LOGIN_REFUSED, .. } }) => Said::All(outcome),
            (425 | 429, outcome) => Said::Busy(outcome),
            (_, Outcome::Hold { problem }) => Said::refused(problem),
            (_, outcome) => Said::Trouble(outcome),
        }
    }
}

/// Of a question that is right for others, a status that refuses what this one asks for: nobody has such an address. Any
/// other can be that of a path that leads nowhere, and says nothing of anybody.
fn is_of_one(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
}

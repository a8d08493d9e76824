//! A destination for dry runs: asks the real one as long as it answers, and goes on without an answer where it does not.
//!
//! Invariant: nothing is ever written through it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use jiff::civil::Date;

use super::{
    Answers, Destination, Doubles, Existing, Mapped, Match, Outcome, Person, Readiness, Record, Unanswered, Usage,
    Verdict, Write,
};
use crate::problem::Problem;
use crate::redact::RedactedCall;

/// Stands in front of a destination whose mapping needs no answer of it.
pub struct Unasked {
    inner: Arc<dyn Destination>,
    /// Why it could not be asked; from then on it is left alone.
    why: OnceLock<Problem>,
}

impl Unasked {
    pub fn new(inner: Arc<dyn Destination>) -> Unasked {
        Unasked { inner, why: OnceLock::new() }
    }

    /// Why a question had no answer, if one had none.
    pub fn why(&self) -> Option<&Problem> {
        self.why.get()
    }

    fn answer<T>(&self, answer: Result<T, Outcome>, without: impl FnOnce() -> T) -> T {
        match answer {
            Ok(answer) => answer,
            Err(outcome) => {
                if let Outcome::Retry { problem, .. } | Outcome::Hold { problem } = outcome {
                    _ = self.why.set(problem);
                }
                without()
            }
        }
    }

    /// The answers for all of `calls`; `without` stands for each that has none. Only what concerns all ends the asking.
    fn each<T>(
        &self,
        calls: &[&RedactedCall],
        answers: Answers<T>,
        without: impl Fn() -> T,
    ) -> Vec<Result<T, Unanswered>> {
        let none = || calls.iter().map(|_| Ok(without())).collect();
        self.answer(answers, none).into_iter().map(|one| Ok(one.unwrap_or_else(|_| without()))).collect()
    }
}

fn ready_without() -> Readiness {
    Readiness { doubles: Doubles::Unseen { resend: false }, key_advice: None, warnings: Vec::new() }
}

fn nobody() -> Match {
    let verdict = Verdict::Found(Person { object: String::new(), id: String::new() });
    Match { verdict, rule: "not-asked".to_owned(), candidates: Vec::new(), candidates_total: 0 }
}

#[async_trait]
impl Destination for Unasked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn prepare(&self) -> Result<Readiness, Outcome> {
        if self.why().is_some() {
            return Ok(ready_without());
        }
        Ok(self.answer(self.inner.prepare().await, ready_without))
    }

    fn batch_max(&self) -> usize {
        self.inner.batch_max()
    }

    fn reads_whole_calls(&self) -> bool {
        self.inner.reads_whole_calls()
    }

    async fn match_people(&self, calls: &[&RedactedCall]) -> Answers<Match> {
        if self.why().is_some() {
            return Ok(calls.iter().map(|_| Ok(nobody())).collect());
        }
        Ok(self.each(calls, self.inner.match_people(calls).await, nobody))
    }

    fn can_update(&self) -> bool {
        self.inner.can_update()
    }

    fn map(&self, call: &RedactedCall, person: &Person) -> Result<Mapped, Problem> {
        self.inner.map(call, person)
    }

    async fn look_up(&self, calls: &[&RedactedCall]) -> Answers<Option<Existing>> {
        if self.why().is_some() {
            return Ok(calls.iter().map(|_| Ok(None)).collect());
        }
        Ok(self.each(calls, self.inner.look_up(calls).await, || None))
    }

    fn stands(&self, held: &Record, mapped: &Mapped) -> bool {
        self.inner.stands(held, mapped)
    }

    async fn adoptable(&self, dates: &[Date]) -> Result<HashMap<String, Existing>, Outcome> {
        if self.why().is_some() {
            return Ok(HashMap::new());
        }
        Ok(self.answer(self.inner.adoptable(dates).await, HashMap::new))
    }

    fn adoption_stamp(&self, call: &RedactedCall) -> Record {
        self.inner.adoption_stamp(call)
    }

    fn call_date(&self, call: &RedactedCall) -> Option<Date> {
        self.inner.call_date(call)
    }

    async fn write(&self, writes: &[Write]) -> Vec<Outcome> {
        panic!("a dry run came to {} writes", writes.len());
    }

    fn link(&self, remote_id: &str) -> Option<String> {
        self.inner.link(remote_id)
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }
}

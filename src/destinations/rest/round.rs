//! One round of questions, one for each call: how far a question that is not answered concerns the others.
//!
//! Invariant: what is wrong with the question of one call alone stops no other, and no call pays for what is wrong with the
//! destination. Which of the two it is, only another question that was answered tells.

use std::future::Future;

use futures_util::{StreamExt, stream};

use crate::destinations::{Answers, Outcome, Unanswered};
use crate::problem::{ANSWER_UNREADABLE, Problem};

/// Questions in a row without an answer after which the others wait: the remote as a whole has trouble.
const TROUBLES_MAX: usize = 3;

/// What one question came to.
pub enum Said<T> {
    /// Without asking.
    Known(T),
    /// It was understood, whatever was found.
    Answered(T),
    /// The remote is at work, but does not take this question, or its answer cannot be read. `instead` holds where the
    /// same question of others was answered.
    Refused {
        problem: Problem,
        instead: Option<T>,
    },
    /// The answer names somebody without what tells one from another.
    Keyless(Problem),
    /// The question cannot be made of this call.
    Unaskable(Problem),
    /// No whole answer, or that the remote failed.
    Trouble(Outcome),
    /// The remote wants a pause.
    Busy(Outcome),
    /// It concerns every question, such as refused credentials.
    All(Outcome),
    NotAsked,
}

impl<T> Said<T> {
    pub fn refused(problem: Problem) -> Said<T> {
        Said::Refused { problem, instead: None }
    }

    pub fn map<U>(self, known: impl Fn(T) -> U) -> Said<U> {
        match self {
            Said::Known(value) => Said::Known(known(value)),
            Said::Answered(value) => Said::Answered(known(value)),
            Said::Refused { problem, instead } => Said::Refused { problem, instead: instead.map(known) },
            Said::Keyless(problem) => Said::Keyless(problem),
            Said::Unaskable(problem) => Said::Unaskable(problem),
            Said::Trouble(outcome) => Said::Trouble(outcome),
            Said::Busy(outcome) => Said::Busy(outcome),
            Said::All(outcome) => Said::All(outcome),
            Said::NotAsked => Said::NotAsked,
        }
    }

    fn is_answered(&self) -> bool {
        matches!(self, Said::Answered(_))
    }
}

/// Puts the questions, `at_once` of them at a time, as far as the remote answers and as long as there `is_time`; in their
/// order. `Err` concerns all.
pub async fn put_all<T, F>(
    questions: Vec<F>,
    at_once: usize,
    is_time: impl Fn() -> bool,
) -> Result<Vec<Said<T>>, Outcome>
where
    F: Future<Output = Said<T>>,
{
    let mut said: Vec<Said<T>> = questions.iter().map(|_| Said::NotAsked).collect();
    let numbered = questions.into_iter().enumerate().map(|(place, question)| async move { (place, question.await) });
    // Taken one by one and never beyond the first reason to stop; what is on its way then has no effect.
    let mut waiting = numbered.into_iter();
    let mut asked = stream::FuturesUnordered::new();
    let (mut troubles, mut goes_on) = (0, true);
    loop {
        while goes_on && asked.len() < at_once && is_time() {
            let Some(next) = waiting.next() else { break };
            asked.push(next);
        }
        let Some((place, one)) = asked.next().await else { return Ok(said) };
        match &one {
            Said::All(_) => {}
            Said::Trouble(_) => troubles += 1,
            Said::Busy(_) => goes_on = false,
            Said::Answered(_) | Said::Refused { .. } | Said::Keyless(_) => troubles = 0,
            Said::Known(_) | Said::Unaskable(_) | Said::NotAsked => {}
        }
        if let Said::All(outcome) = one {
            return Err(outcome);
        }
        said[place] = one;
        if troubles >= TROUBLES_MAX {
            return Ok(said);
        }
    }
}

/// Whether a question went without an answer, and no other tells whose fault that is.
pub fn is_open<T>(said: &[Said<T>]) -> bool {
    let failed = said.iter().any(|one| matches!(one, Said::Refused { .. } | Said::Keyless(_) | Said::Trouble(_)));
    failed && !said.iter().any(|one| one.is_answered() || matches!(one, Said::Busy(_)))
}

/// Whether an answer could not be read.
pub fn is_unreadable<T>(said: &[Said<T>]) -> bool {
    said.iter().any(|one| match one {
        Said::Refused { problem, .. } | Said::Keyless(problem) => problem.code == ANSWER_UNREADABLE,
        _ => false,
    })
}

/// What the round means for each call. `control` is what came of a question that was answered before, where the round
/// itself is open and there is one.
pub fn judge<T>(said: Vec<Said<T>>, control: Option<Said<()>>) -> Answers<T> {
    let others = said.iter().any(Said::is_answered) || control.as_ref().is_some_and(Said::is_answered);
    match control {
        Some(Said::All(outcome)) => return Err(outcome),
        Some(Said::Refused { problem, .. } | Said::Keyless(problem)) => return Err(Outcome::Hold { problem }),
        _ => {}
    }
    let trouble = said.iter().find_map(|one| match one {
        Said::Trouble(outcome) | Said::Busy(outcome) => Some(outcome.clone()),
        _ => None,
    });
    let trouble = match control {
        Some(Said::Trouble(outcome) | Said::Busy(outcome)) => Some(outcome),
        _ => trouble,
    };
    let one = |one: Said<T>| match one {
        Said::Known(value) | Said::Answered(value) => Ok(Ok(value)),
        Said::NotAsked => Ok(Err(Unanswered::NotAsked)),
        Said::Unaskable(problem) => Ok(Err(Unanswered::Failed(Outcome::Reject { problem }))),
        Said::Busy(outcome) => Ok(Err(Unanswered::Pause(outcome))),
        Said::All(outcome) => Err(outcome),
        Said::Refused { instead: Some(instead), .. } if others => Ok(Ok(instead)),
        Said::Refused { problem, .. } if others => Ok(Err(Unanswered::Failed(Outcome::Hold { problem }))),
        Said::Trouble(outcome) if others => Ok(Err(Unanswered::Failed(outcome))),
        Said::Trouble(outcome) => Ok(Err(Unanswered::Pause(outcome))),
        Said::Keyless(problem) if others => Ok(Err(Unanswered::Failed(Outcome::Hold { problem }))),
        // While the remote has trouble, its refusals say little.
        Said::Refused { problem, .. } | Said::Keyless(problem) => match trouble.clone() {
            Some(trouble) => Ok(Err(Unanswered::Pause(trouble))),
            None => Err(Outcome::Hold { problem }),
        },
    };
    said.into_iter().map(one).collect()
}

#[cfg(test)]
#[path = "tests/round.rs"]
mod tests;

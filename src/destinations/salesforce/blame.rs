//! Decides from all answers of a request what one row alone does not show: whether a field is shut for everybody or for
//! this record only, and whether a text was longer than we were told that it may be.
//!
//! Invariant: pure. A record that was written proves that its fields can be written.

use super::answers::{RowAnswer, fields_named};
use super::describe::Facts;
use super::rules::Verdict;
use crate::destinations::{Operation, Outcome, Write};
use crate::problem::{Problem, ROW_REFUSED};

/// For each record whether a field that Salesforce does not let us write is shut for the integration user (true) or, as
/// far as is known, for this record only.
pub fn shut_for_all(facts: &Facts, writes: &[&Write], answers: &[RowAnswer]) -> Vec<bool> {
    let refused: Vec<Option<Vec<String>>> =
        answers.iter().map(|answer| answer.fault(Verdict::Field).map(fields_named)).collect();
    let judge = |index: usize| {
        let Some(named) = &refused[index] else { return false };
        let carries_none = !writes.iter().any(|write| carries(write, named));
        let mut peers = (0..writes.len()).filter(|&other| carries_none || carries(writes[other], named));
        let several = peers.clone().count() > 1;
        if peers.clone().any(|other| answers[other].success == Some(true)) {
            return false;
        }
        (several && peers.all(|other| refused[other].is_some())) || is_shut(facts, writes[index], named)
    };
    (0..writes.len()).map(judge).collect()
}

fn carries(write: &Write, named: &[String]) -> bool {
    write.record.keys().any(|field| named.iter().any(|name| name.eq_ignore_ascii_case(field)))
}

/// Whether the org's own description says that a named field is missing or cannot be written.
fn is_shut(facts: &Facts, write: &Write, named: &[String]) -> bool {
    let update = matches!(write.operation, Operation::Update { .. });
    named
        .iter()
        .any(|name| facts.field(name).is_none_or(|field| !if update { field.updateable } else { field.createable }))
}

/// The fields whose texts were longer than the org says now that they may be; their records go again, cut to fit.
pub fn lengths_told(
    facts: &Facts,
    writes: &[&Write],
    answers: &[RowAnswer],
    outcomes: &mut [Outcome],
) -> Vec<(String, usize)> {
    let mut told = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let [fault] = answer.faults.as_slice() else { continue };
        if fault.code != "STRING_TOO_LONG" || !answer.failed() {
            continue;
        }
        let longest = fault.message.rsplit_once("max length=").and_then(|(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<usize>().ok().filter(|length| *length > 0)
        });
        let label = fault.message.split(':').next().unwrap_or_default().to_owned();
        let name = fault.fields.first().unwrap_or(&label);
        let value = writes[index].record.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        let (Some(length), Some((field, value))) = (longest, value) else { continue };
        let sent = value.as_str().map_or(0, |text| text.encode_utf16().count());
        let is_news = facts.field(field).is_some_and(|field| field.length == 0 || field.length > length);
        if sent > length
            && is_news
            && let Outcome::Reject { problem } = &outcomes[index]
        {
            let problem = Problem::new(ROW_REFUSED, problem.what.clone(), "Nothing to do: it is cut and sent again.");
            outcomes[index] = Outcome::Retry { after: None, problem, smaller: true };
            told.push((field.clone(), length));
        }
    }
    told
}

#[cfg(test)]
#[path = "tests/blame.rs"]
mod tests;

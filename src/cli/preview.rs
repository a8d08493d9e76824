//! What a dry run shows: every record as it would be written.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Mutex;

use serde::Serialize;

use super::output::{Output, visible, visible_lines};
use crate::destinations::{Match, Person, Record, Verdict};
use crate::engine::{Preview, Sketch, counted};
use crate::problem::Problem;
use crate::redact::RedactedCall;

/// Records kept for showing; beyond that only counted.
const SHOWN_MAX: usize = 10_000;

/// Collects what would be sent.
pub struct Shown {
    json: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    /// Of people who would be made, in small letters: a second call of the same one makes no second person.
    made: BTreeSet<String>,
    unshown: u64,
}

#[derive(Serialize)]
struct Row {
    session_id: String,
    operation: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<Person>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Record>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Shown {
    pub fn new(json: bool) -> Shown {
        Shown { json, state: Mutex::new(State::default()) }
    }

    fn push(&self, row: Row) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.rows.len() < SHOWN_MAX {
            state.rows.push(row);
        } else {
            state.unshown += 1;
        }
    }

    pub fn print(self, output: &mut Output) -> std::io::Result<()> {
        let state = self.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.json {
            output.json(&state.rows)?;
        } else {
            for row in &state.rows {
                print_row(row, output)?;
            }
        }
        if state.unshown > 0 {
            output.say(counted(state.unshown, "more record is not shown", "more records are not shown"));
        }
        Ok(())
    }
}

fn print_row(row: &Row, output: &mut Output) -> std::io::Result<()> {
    let person = row.person.as_ref().map_or_else(String::new, |person| format!(" on {} {}", person.object, person.id));
    let rule = row.rule.as_ref().map_or_else(String::new, |rule| format!(" ({rule})"));
    output.line(format!("{} session {}{person}{rule}", row.operation, visible(&row.session_id)))?;
    if let Some(reason) = &row.reason {
        output.line(format!("  {}", visible(reason)))?;
    }
    for (name, value) in row.record.iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let text = visible_lines(&text).replace('\n', "\n    | ");
        output.line(format!("  {name}: {}{text}", if text.contains('\n') { "\n    | " } else { "" }))?;
    }
    for note in &row.notes {
        output.line(format!("  note: {note}"))?;
    }
    Ok(())
}

impl Preview for Shown {
    fn record(&self, call: &RedactedCall, decision: &Match, sketch: Sketch) {
        let person = match &decision.verdict {
            Verdict::Found(person) => Some(person.clone()),
            _ => None,
        };
        self.push(Row {
            session_id: call.call().source_id.clone(),
            operation: sketch.operation.into(),
            person,
            rule: Some(decision.rule.clone()),
            object: Some(sketch.object),
            record: Some(sketch.record),
            notes: sketch.notes,
            reason: None,
        });
    }

    fn person(&self, call: &RedactedCall, decision: &Match, object: String, record: Record) {
        let address = call.call().caller.email.as_deref().unwrap_or_default().trim().to_lowercase();
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_new = state.made.insert(address);
        drop(state);
        let noun = object.to_lowercase();
        let reason = if is_new {
            format!("nobody in the CRM has the e-mail address: this {noun} is made, and the call's record put on it")
        } else {
            format!("nobody in the CRM has the e-mail address: the record goes on the {noun} of an earlier call")
        };
        self.push(Row {
            session_id: call.call().source_id.clone(),
            operation: if is_new { format!("create {noun}").into() } else { "create".into() },
            person: None,
            rule: Some(decision.rule.clone()),
            object: is_new.then_some(object),
            record: is_new.then_some(record),
            notes: Vec::new(),
            reason: Some(reason),
        });
    }

    fn skipped(&self, call: &RedactedCall, _decision: &Match, problem: &Problem) {
        self.push(without_record(call, "skip", problem));
    }

    fn refused(&self, call: &RedactedCall, problem: &Problem) {
        self.push(without_record(call, "refuse", problem));
    }
}

fn without_record(call: &RedactedCall, operation: &'static str, problem: &Problem) -> Row {
    Row {
        session_id: call.call().source_id.clone(),
        operation: operation.into(),
        person: None,
        rule: None,
        object: None,
        record: None,
        notes: Vec::new(),
        reason: Some(problem.what.clone()),
    }
}

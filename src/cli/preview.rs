//! What a dry run shows: every record as it would be written.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde::Serialize;

use super::output::{Output, visible, visible_lines};
use crate::destinations::{Match, Person, Record, Verdict};
use crate::engine::{IntakeSummary, Preview, Sketch, counted, reason, thousands};
use crate::problem::Problem;
use crate::redact::RedactedCall;

/// Records kept for showing; beyond that only counted.
const SHOWN_MAX: usize = 10_000;

/// Collects what would be sent.
pub struct Shown {
    json: bool,
    state: Mutex<State>,
}

/// What the run would have done, in numbers.
#[derive(Default, Serialize)]
struct Totals {
    create: u64,
    update: u64,
    /// Records of an earlier script that would be taken over.
    adopt: u64,
    /// People who would be made, by object in small letters.
    people: BTreeMap<String, u64>,
    /// Calls without a record, by code.
    skipped: BTreeMap<String, u64>,
    /// Calls of which no record can be made, by code.
    refused: BTreeMap<String, u64>,
    /// Files of which no call can be made.
    quarantined: u64,
}

/// The whole answer.
#[derive(Serialize)]
struct Answer<'a> {
    records: &'a [Row],
    totals: &'a Totals,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    totals: Totals,
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

    /// Takes a row and counts it.
    fn push(&self, row: Row, count: impl FnOnce(&mut Totals)) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        count(&mut state.totals);
        if state.rows.len() < SHOWN_MAX {
            state.rows.push(row);
        } else {
            state.unshown += 1;
        }
    }

    /// Every record, and what they come to.
    pub fn print(self, intake: &IntakeSummary, output: &mut Output) -> std::io::Result<()> {
        let mut state = self.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.totals.quarantined = intake.quarantined;
        if self.json {
            output.json(&Answer { records: &state.rows, totals: &state.totals })?;
        } else {
            for row in &state.rows {
                print_row(row, output)?;
            }
        }
        if state.unshown > 0 {
            output.say(counted(state.unshown, "more record is not shown", "more records are not shown"));
        }
        if !self.json {
            output.line(state.totals.sentence())?;
        }
        Ok(())
    }
}

impl Totals {
    /// "would create 12, update 3, adopt 1; 2 without a match, 1 file in quarantine".
    fn sentence(&self) -> String {
        let verbs = [("create", self.create), ("update", self.update), ("adopt", self.adopt)];
        let verbs = verbs.into_iter().filter(|(_, count)| *count > 0);
        let records = verbs.map(|(verb, count)| format!("{verb} {}", thousands(count)));
        let make =
            |(object, count): (&String, &u64)| format!("make {}", counted(*count, object, &format!("{object}s")));
        let done: Vec<String> = records.chain(self.people.iter().map(make)).collect();
        let done = if done.is_empty() { "write nothing".to_owned() } else { done.join(", ") };
        let skipped = self.skipped.iter().map(|(code, count)| format!("{} {}", thousands(*count), reason(code)));
        let refused = self.refused.iter().map(|(code, count)| format!("{} not mapped ({code})", thousands(*count)));
        let files = counted(self.quarantined, "file in quarantine", "files in quarantine");
        let files = (self.quarantined > 0).then_some(files);
        let without: Vec<String> = skipped.chain(refused).chain(files).collect();
        if without.is_empty() { format!("would {done}") } else { format!("would {done}; {}", without.join(", ")) }
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
            Verdict::Found(person) if !person.id.is_empty() => Some(person.clone()),
            _ => None,
        };
        let count = |totals: &mut Totals| match sketch.operation {
            "create" => totals.create += 1,
            "update" => totals.update += 1,
            _ => totals.adopt += 1,
        };
        let row = Row {
            session_id: call.call().source_id.clone(),
            operation: sketch.operation.into(),
            person,
            rule: Some(decision.rule.clone()),
            object: Some(sketch.object),
            record: Some(sketch.record),
            notes: sketch.notes,
            reason: None,
        };
        self.push(row, count);
    }

    fn person(&self, call: &RedactedCall, decision: &Match, object: String, record: Record) {
        let address = call.call().caller.email.as_deref().unwrap_or_default().trim().to_lowercase();
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_new = state.made.insert(address);
        drop(state);
        let noun = object.to_lowercase();
        let why = if is_new {
            format!("nobody in the CRM has the e-mail address: this {noun} is made, and the call's record put on it")
        } else {
            format!("nobody in the CRM has the e-mail address: the record goes on the {noun} of an earlier call")
        };
        let row = Row {
            session_id: call.call().source_id.clone(),
            operation: if is_new { format!("create {noun}").into() } else { "create".into() },
            person: None,
            rule: Some(decision.rule.clone()),
            object: is_new.then_some(object),
            record: is_new.then_some(record),
            notes: Vec::new(),
            reason: Some(why),
        };
        self.push(row, |totals| {
            totals.create += 1;
            if is_new {
                *totals.people.entry(noun).or_default() += 1;
            }
        });
    }

    fn skipped(&self, call: &RedactedCall, _decision: &Match, problem: &Problem) {
        let code = problem.code.0.to_owned();
        self.push(without_record(call, "skip", problem), |totals| *totals.skipped.entry(code).or_default() += 1);
    }

    fn refused(&self, call: &RedactedCall, problem: &Problem) {
        let code = problem.code.0.to_owned();
        self.push(without_record(call, "refuse", problem), |totals| *totals.refused.entry(code).or_default() += 1);
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

//! The judge: compares the org's Tasks with what was planted, and knows nothing of the engine or its ledger.
//!
//! A Task belongs to the session that its Description names, because that is what a person reads.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use trunkline::sim::sessions::{Plan, PlantedSession, Truth, Who};

use super::world::{KeyField, Seeded, World, text};

/// What the org must hold once a day is delivered.
pub struct Oracle<'a> {
    world: &'a World,
    zone: TimeZone,
    expected: BTreeMap<String, Expected>,
    key_field: KeyField,
}

struct Expected {
    truth: Truth,
    /// `None`: no Task may be there.
    person: Option<String>,
}

impl<'a> Oracle<'a> {
    pub fn new(world: &'a World, key_field: KeyField) -> Oracle<'a> {
        Oracle { world, zone: TimeZone::UTC, expected: BTreeMap::new(), key_field }
    }

    /// A plan as first written.
    pub fn of(world: &'a World, key_field: KeyField, plan: &Plan, seeded: &Seeded) -> Oracle<'a> {
        Oracle::new(world, key_field).expect(plan.sessions(), seeded)
    }

    pub fn in_zone(mut self, name: &str) -> Oracle<'a> {
        self.zone = TimeZone::get(name).expect("a zone");
        self
    }

    /// Adds sessions; a later version of one takes the earlier one's place.
    pub fn expect(mut self, sessions: impl Iterator<Item = PlantedSession>, seeded: &Seeded) -> Oracle<'a> {
        for session in sessions {
            let person = person(&session.truth.who, seeded);
            self.expected.insert(session.session_id, Expected { truth: session.truth, person });
        }
        self
    }

    pub fn deliverable(&self) -> usize {
        self.expected.values().filter(|expected| expected.person.is_some()).count()
    }

    /// Everything that is not as planted.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut by_session: BTreeMap<String, Vec<Map<String, Value>>> = BTreeMap::new();
        for task in self.world.tasks() {
            by_session.entry(session_of(&task)).or_default().push(task);
        }
        for (session_id, tasks) in &by_session {
            match self.expected.get(session_id) {
                None => faults.push(format!("a Task for `{session_id}`, which nobody planted")),
                Some(Expected { person: None, truth }) => {
                    faults.push(format!("a Task for {session_id}, which is to be skipped ({:?})", truth.who));
                }
                Some(_) if tasks.len() > 1 => faults.push(format!("{} Tasks for {session_id}", tasks.len())),
                Some(_) => {}
            }
        }
        for (session_id, expected) in self.expected.iter().filter(|(_, expected)| expected.person.is_some()) {
            match by_session.get(session_id).and_then(|tasks| tasks.first()) {
                None => faults.push(format!("no Task for {session_id} ({:?})", expected.truth.who)),
                Some(task) => self.compare(session_id, expected, task, &mut faults),
            }
        }
        faults
    }

    /// Panics with the first few differences.
    pub fn holds(&self) {
        self.holds_after("");
    }

    pub fn holds_after(&self, what: &str) {
        let faults = self.faults();
        assert!(
            faults.is_empty(),
            "{what}: {} of {} sessions are not in the org as planted:\n  {}",
            faults.len(),
            self.expected.len(),
            faults.iter().take(12).cloned().collect::<Vec<_>>().join("\n  ")
        );
    }

    fn compare(&self, session_id: &str, expected: &Expected, task: &Map<String, Value>, faults: &mut Vec<String>) {
        let truth = &expected.truth;
        let date = truth.started_at.to_zoned(self.zone.clone()).date().to_string();
        let fields = [
            ("WhoId", expected.person.clone().unwrap_or_default()),
            ("Subject", format!("Voice AI Call - {date}")),
            ("ActivityDate", date),
            ("Status", "Completed".to_owned()),
            ("TaskSubtype", "Call".to_owned()),
            ("CallObject", session_id.to_owned()),
        ];
        for (field, value) in fields {
            if text(task, field) != value {
                faults.push(format!("{session_id}: {field} is `{}`, not `{value}`", text(task, field)));
            }
        }
        let seconds = task.get("CallDurationInSeconds").and_then(Value::as_i64);
        if seconds != Some(truth.duration_s.round() as i64) {
            faults.push(format!("{session_id}: {seconds:?} seconds, not {}", truth.duration_s.round()));
        }
        if self.key_field == KeyField::There && text(task, "Call_Key__c").is_empty() {
            faults.push(format!("{session_id}: no key"));
        }
        self.compare_description(session_id, truth, text(task, "Description"), faults);
    }

    fn compare_description(&self, session_id: &str, truth: &Truth, found: &str, faults: &mut Vec<String>) {
        let seconds = truth.duration_s as u64;
        let (count, unit) = if seconds < 60 { (seconds, "second") } else { (seconds / 60, "minute") };
        let plural = if count == 1 { "" } else { "s" };
        let head = format!("Voice AI Call Summary\nDuration: {count} {unit}{plural}\nSession ID: {session_id}");
        if !found.starts_with(&head) {
            faults.push(format!("{session_id}: the Description does not begin with {head:?}: {found:?}"));
        }
        let listed = |label: &str, value: Option<String>| (format!("• {label}: "), value);
        let pains = Some(truth.pain_points.join(", ")).filter(|text| !text.is_empty());
        let lines = [
            listed("Use Case", truth.use_case.clone()),
            listed("Team Size", truth.team_size.clone()),
            listed("Pain Points", pains),
        ];
        for (label, value) in lines {
            let line = found.lines().find_map(|line| line.strip_prefix(&label));
            if line != value.as_deref() {
                faults.push(format!("{session_id}: {label}{line:?}, not {value:?}"));
            }
        }
        let booked = found.lines().any(|line| line.starts_with("✓ Booked sales meeting"));
        if booked != truth.meeting_booked {
            faults.push(format!("{session_id}: a meeting booked: {booked}, not {}", truth.meeting_booked));
        }
    }
}

/// Whom the documented rules name: a Contact before a Lead, the last changed of several.
fn person(who: &Who, seeded: &Seeded) -> Option<String> {
    match who {
        Who::Contact(index) | Who::ConvertedLead { contact: index, .. } => Some(seeded.contacts[*index].clone()),
        Who::Lead(index) => Some(seeded.leads[*index].clone()),
        Who::Several { contacts, leads } => match contacts.iter().max() {
            Some(contact) => Some(seeded.contacts[*contact].clone()),
            None => leads.iter().max().map(|lead| seeded.leads[*lead].clone()),
        },
        Who::Nobody | Who::NoEmail => None,
    }
}

fn session_of(task: &Map<String, Value>) -> String {
    let line = text(task, "Description").lines().find_map(|line| line.strip_prefix("Session ID: "));
    line.unwrap_or("(no session)").to_owned()
}

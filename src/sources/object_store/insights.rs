//! `discovered_signals` to insights.
//!
//! Invariant: every text is one line, because a caller controls it and a record's layout must not be; an empty default
//! (`0`, `""`, `[]`, null) counts as absent.

use super::convert::Notes;
use super::wire::{Fields, Kind, Value, one_line};
use crate::model::Insights;

const FIELD: &str = "discovered_signals";

/// What the signals say about the caller's needs.
pub(super) fn read(fields: &Fields<'_>, notes: &mut Notes) -> Insights {
    let mut insights = Insights::default();
    let (mut needs, mut decision) = (None, None);
    for (name, value) in fields {
        match name.as_ref() {
            "use_case" => insights.use_case = line(*value, name, notes),
            "team_size" => insights.team_size = line(*value, name, notes),
            "pain_points" => insights.pain_points = lines(*value, name, notes),
            "integration_interest" => insights.integration_interest = interest(*value, name, notes),
            "integration_needs" => needs = interest(*value, name, notes),
            "timeline" => insights.timeline = line(*value, name, notes),
            "decision_timeline" => decision = line(*value, name, notes),
            _ => {
                if let Some(text) = other(*value, notes) {
                    insights.other.insert(one_line(name), text);
                }
            }
        }
    }
    insights.integration_interest = insights.integration_interest.or(needs);
    insights.timeline = insights.timeline.or(decision);
    insights
}

/// A scalar, or a list joined, on one line.
fn line(value: Value<'_>, name: &str, notes: &mut Notes) -> Option<String> {
    match value.kind() {
        Kind::Text | Kind::Number => scalar(value),
        Kind::List => joined(value, name, notes),
        Kind::Null => None,
        kind => {
            notes.wrong_type(&format!("{FIELD}.{name}"), kind);
            None
        }
    }
}

fn scalar(value: Value<'_>) -> Option<String> {
    if value.kind() == Kind::Number && value.number() == Some(0.0) {
        return None;
    }
    value.scalar().map(|text| one_line(&text)).filter(|text| !text.is_empty() && text != "0")
}

fn joined(value: Value<'_>, name: &str, notes: &mut Notes) -> Option<String> {
    Some(lines(value, name, notes).join(", ")).filter(|text| !text.is_empty())
}

fn lines(value: Value<'_>, name: &str, notes: &mut Notes) -> Vec<String> {
    let wrong = |kind: Kind, notes: &mut Notes| notes.wrong_type(&format!("{FIELD}.{name}"), kind);
    match value.kind() {
        Kind::Text | Kind::Number => scalar(value).into_iter().collect(),
        Kind::List => {
            let items = value.items().unwrap_or_default();
            let mut lines = Vec::with_capacity(items.len());
            for item in items {
                match item.kind() {
                    Kind::Object | Kind::List => notes.wrong_item(&format!("{FIELD}.{name}"), item.kind()),
                    _ => lines.extend(item.scalar().map(|text| one_line(&text)).filter(|text| !text.is_empty())),
                }
            }
            lines
        }
        Kind::Null => Vec::new(),
        kind => {
            wrong(kind, notes);
            Vec::new()
        }
    }
}

fn interest(value: Value<'_>, name: &str, notes: &mut Notes) -> Option<String> {
    match value.boolean().filter(|_| value.kind() == Kind::Boolean) {
        Some(true) => Some("yes".to_owned()),
        Some(false) => Some("no".to_owned()),
        None => line(value, name, notes),
    }
}

/// A further signal, whose name is the source's own and may be anything: notes do not repeat it.
fn other(value: Value<'_>, notes: &mut Notes) -> Option<String> {
    match value.kind() {
        Kind::Boolean => value.scalar().map(|text| text.into_owned()),
        Kind::Text | Kind::Number => scalar(value),
        Kind::List => joined(value, "a further signal", notes),
        Kind::Object => {
            notes.wrong_item(FIELD, Kind::Object);
            None
        }
        Kind::Null => None,
    }
}

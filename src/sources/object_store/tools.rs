//! `tool_calls` to actions, in both shapes that exporters write: details beside the tool's name, or in `arguments` and
//! `result`.
//!
//! Invariant: an action has succeeded or failed only where the file says so; a failure told anywhere counts.

use jiff::tz::TimeZone;

use super::convert::Notes;
use super::time;
use super::wire::{Fields, Kind, Value, one_line, said, with_object};
use crate::model::Action;

const FIELD: &str = "tool_calls";

/// The actions of a list of tool calls.
pub(super) fn read(value: Value<'_>, zone: &TimeZone, notes: &mut Notes) -> Vec<Action> {
    let Some(items) = value.items() else {
        if !value.is_null() {
            notes.wrong_type(FIELD, value.kind());
        }
        return Vec::new();
    };
    let mut actions = Vec::with_capacity(items.len());
    for item in items {
        match item.fields() {
            Some(fields) => actions.push(action(&fields, zone)),
            None => notes.wrong_item(FIELD, item.kind()),
        }
    }
    actions
}

fn action(fields: &Fields<'_>, zone: &TimeZone) -> Action {
    let tool = ["tool", "name"].iter().find_map(|name| line(fields, name)).unwrap_or_default();
    let mut action = Action { tool, ..Action::default() };
    action.at = fields.get("timestamp").and_then(|value| time::read(*value, zone));
    fill(&mut action, fields);
    if let Some(arguments) = fields.get("arguments") {
        with_object(*arguments, |arguments| fill(&mut action, arguments));
    }
    action.succeeded = verdict(fields);
    action
}

fn fill(action: &mut Action, fields: &Fields<'_>) {
    let places = [
        (&mut action.preferred_date, "preferred_date"),
        (&mut action.preferred_time, "preferred_time"),
        (&mut action.customer_name, "customer_name"),
        (&mut action.customer_email, "customer_email"),
    ];
    for (place, name) in places {
        if place.is_none() {
            *place = line(fields, name);
        }
    }
}

fn verdict(fields: &Fields<'_>) -> Option<bool> {
    let mut told = told_in(fields);
    if let Some(result) = fields.get("result") {
        match result.boolean() {
            Some(verdict) => told.push(verdict),
            None => told.extend(with_object(*result, told_in).unwrap_or_default()),
        }
    }
    if told.contains(&false) {
        return Some(false);
    }
    let failed = fields.get("error").is_some_and(|error| match error.kind() {
        Kind::Text => error.text().is_some_and(|text| said(&text).is_some()),
        Kind::Object => true,
        _ => false,
    });
    if failed && told.is_empty() { Some(false) } else { told.first().copied() }
}

fn told_in(fields: &Fields<'_>) -> Vec<bool> {
    ["success", "meeting_booked"].iter().filter_map(|name| fields.get(*name)?.boolean()).collect()
}

fn line(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.get(name)?.scalar().map(|text| one_line(&text)).filter(|text| !text.is_empty())
}

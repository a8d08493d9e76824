//! `transcript` to turns.
//!
//! Invariant: what was said is kept as it is; a turn that says nothing is left out.

use std::borrow::Cow;

use jiff::tz::TimeZone;

use super::convert::Notes;
use super::time;
use super::wire::{Fields, Kind, Value};
use crate::model::{Role, Turn};

const FIELD: &str = "transcript";
const TIMES: [&str; 3] = ["timestamp", "created_at", "time"];

/// The turns of a transcript.
pub(super) fn read(value: Value<'_>, zone: &TimeZone, notes: &mut Notes) -> Vec<Turn> {
    let Some(items) = value.objects() else {
        if !value.is_null() {
            notes.wrong_type(FIELD, value.kind());
        }
        return Vec::new();
    };
    let mut turns = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Ok(fields) => turns.extend(turn(&fields, zone, notes)),
            Err(kind) => notes.wrong_item(FIELD, kind),
        }
    }
    turns
}

fn turn(fields: &Fields<'_>, zone: &TimeZone, notes: &mut Notes) -> Option<Turn> {
    let content = ["content", "text"].iter().find_map(|name| fields.get(name).filter(|value| !value.is_null()))?;
    let text = spoken(content, notes)?;
    let role = ["role", "speaker"].iter().find_map(|name| fields.get(name)?.text());
    let at = TIMES.iter().find_map(|name| time::read(fields.get(name)?, zone));
    Some(Turn::new(role.map_or(Role::Other, |role| role_of(&role)), text, at))
}

/// A string, or a list of strings (or of objects with a `text`), one below the other.
fn spoken(content: Value<'_>, notes: &mut Notes) -> Option<String> {
    let text = match content.kind() {
        Kind::List => content.items()?.into_iter().filter_map(part).collect::<Vec<_>>().join("\n"),
        Kind::Text => content.text()?.into_owned(),
        kind => {
            notes.wrong_item(FIELD, kind);
            return None;
        }
    };
    (!text.trim().is_empty()).then_some(text)
}

fn part(item: Value<'_>) -> Option<Cow<'_, str>> {
    item.text().or_else(|| item.fields()?.get("text")?.text())
}

fn role_of(name: &str) -> Role {
    let is = |names: &[&str]| names.iter().any(|other| name.trim().eq_ignore_ascii_case(other));
    if is(&["user", "caller", "customer"]) {
        Role::User
    } else if is(&["assistant", "agent", "bot"]) {
        Role::Assistant
    } else if is(&["system", "developer"]) {
        Role::System
    } else if is(&["tool"]) {
        Role::Tool
    } else {
        Role::Other
    }
}

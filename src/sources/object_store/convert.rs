//! One session file to a call.
//!
//! Invariant: only a missing identity refuses a session; a field of the wrong type is noted (its name and what was
//! found, never its value) and counts as absent. Pure: the same bytes and settings give the same call.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::config::Settings;
use super::decode::{self, Refused};
use super::inflate::{self, Fault};
use super::stream::Flaw;
use super::wire::{Fields, Kind, Value, one_line, said, with_object};
use super::{answers, insights, large, time, tools, turns};
use crate::model::{Call, Digest, Direction};
use crate::problem::{self, Problem};
use crate::sources::Converted;

/// A larger document is read block by block, which is slower and takes less memory.
const WHOLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many notes one file may have.
const NOTES_MAX: usize = 20;

/// Fields that have a place in the call; all others are kept as they came.
const PLACED: &[&str] = &[
    "session_id",
    "user_email",
    "start_time",
    "end_time",
    "duration_seconds",
    "discovered_signals",
    "tool_calls",
    "transcript",
    "caller_phone",
    "phone_number",
    "direction",
    "call_direction",
];

/// What was odd about one file.
#[derive(Default)]
pub(super) struct Notes(Vec<String>);

impl Notes {
    pub(super) fn add(&mut self, note: String) {
        if self.0.len() < NOTES_MAX && !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.0
    }

    pub(super) fn wrong_type(&mut self, field: &str, kind: Kind) {
        self.add(format!("{field} is {kind}: left out"));
    }

    pub(super) fn wrong_item(&mut self, field: &str, kind: Kind) {
        self.add(format!("{field} has an item that is {kind}: left out"));
    }
}

/// Converts the stored bytes of the file at `url`; inflating stops at `limit` bytes.
pub(super) fn convert(settings: &Settings, url: &str, bytes: Bytes, limit: usize) -> Result<Converted, Problem> {
    let digest = Digest::of(&bytes);
    let whole = limit.min(WHOLE_BYTES_MAX);
    let converted = match inflate::with_inflated(&bytes, whole, |bytes| document(settings, digest, bytes)) {
        Err(Fault::TooLarge) if whole < limit => large::document(settings, digest, bytes.into(), limit),
        small => small.map_err(Flaw::Inflate),
    };
    match converted {
        Ok(Ok(converted)) => Ok(converted),
        Ok(Err(refused)) => Err(quarantine(url, &refused)),
        Err(Flaw::NotText) => Err(quarantine(url, &decode::not_text())),
        Err(Flaw::Inflate(Fault::TooLarge)) => Err(answers::too_large(url, limit)),
        Err(Flaw::Inflate(Fault::Damaged(why))) => Err(Problem::new(
            problem::RAW_DAMAGED,
            format!("{url} is gzip, but {why}"),
            "Export or upload the file again; it is read again when it changes.",
        )),
    }
}

fn quarantine(url: &str, refused: &Refused) -> Problem {
    Problem::new(
        refused.code,
        format!("{url} {}", refused.what),
        "Correct the file at its source; it is read again when it changes.",
    )
}

fn document(settings: &Settings, digest: Digest, bytes: &[u8]) -> Result<Converted, Refused> {
    let text = decode::text_of(bytes)?;
    decode::with_fields(text, |fields, note| {
        let mut notes = Notes::default();
        notes.0.extend(note.map(str::to_owned));
        let mut call = call(settings, fields, &mut notes)?;
        if let Some(value) = fields.get(turns::FIELD) {
            call.turns = turns::read(value, &settings.time_zone, &mut notes);
        }
        call.extra = extra(fields);
        Ok(Converted { call, digest, inflated_bytes: bytes.len() as u64, notes: notes.0 })
    })?
}

/// The call without its bulk: what was said, and the fields without a place.
pub(super) fn call(settings: &Settings, fields: &Fields<'_>, notes: &mut Notes) -> Result<Call, Refused> {
    let mut call = Call::new(&settings.name, &session_id(fields)?);
    let zone = &settings.time_zone;
    call.started_at = time_of(fields, "start_time", settings, notes);
    call.ended_at = time_of(fields, "end_time", settings, notes);
    call.duration_s = duration(fields, &call, notes);
    call.direction = direction(fields, notes);
    caller(fields, &mut call, notes);
    if let Some(value) = present(fields, "discovered_signals") {
        match with_object(value, |signals| insights::read(signals, notes)) {
            Some(insights) => call.insights = insights,
            None => notes.wrong_type("discovered_signals", value.kind()),
        }
    }
    if let Some(value) = fields.get("tool_calls") {
        call.actions = tools::read(value, zone, notes);
    }
    if call.caller.name.is_none() {
        call.caller.name = call.actions.iter().find_map(|action| action.customer_name.clone());
    }
    Ok(call)
}

/// A field that is there and not null.
fn present<'a>(fields: &Fields<'a>, name: &str) -> Option<Value<'a>> {
    fields.get(name).filter(|value| !value.is_null())
}

fn session_id(fields: &Fields<'_>) -> Result<String, Refused> {
    let no_id = |what: String| Err(Refused { code: problem::RAW_NO_ID, what });
    let Some(value) = present(fields, "session_id").or_else(|| present(fields, "_session_id")) else {
        return no_id("has no session_id".to_owned());
    };
    let whole = |text: &str| text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    match value.kind() {
        Kind::Text => match value.text().filter(|text| !text.trim().is_empty()) {
            Some(text) => Ok(text.into_owned()),
            None => no_id("has a session_id that is blank".to_owned()),
        },
        Kind::Number if whole(value.0.get()) => Ok(value.0.get().to_owned()),
        kind => no_id(format!("has a session_id that is {kind}, not a text or a whole number")),
    }
}

fn time_of(fields: &Fields<'_>, name: &str, settings: &Settings, notes: &mut Notes) -> Option<jiff::Timestamp> {
    let value = present(fields, name)?;
    let at = time::read(value, &settings.time_zone);
    if at.is_none() {
        unreadable(name, value, "a time", notes);
    }
    at
}

/// Notes a value that has no use, unless it is only blank.
fn unreadable(name: &str, value: Value<'_>, wanted: &str, notes: &mut Notes) {
    match value.kind() {
        Kind::Text if value.text().is_some_and(|text| text.trim().is_empty()) => {}
        Kind::Text | Kind::Number => notes.add(format!("{name} is not {wanted}: left out")),
        kind => notes.wrong_type(name, kind),
    }
}

fn duration(fields: &Fields<'_>, call: &Call, notes: &mut Notes) -> Option<f64> {
    if let Some(value) = present(fields, "duration_seconds") {
        match value.number().filter(|seconds| *seconds >= 0.0) {
            Some(seconds) => return Some(seconds.abs()),
            None => unreadable("duration_seconds", value, "a duration", notes),
        }
    }
    let seconds = call.ended_at?.duration_since(call.started_at?).as_secs_f64();
    (seconds >= 0.0).then_some(seconds)
}

fn direction(fields: &Fields<'_>, notes: &mut Notes) -> Option<Direction> {
    let (name, value) =
        ["direction", "call_direction"].iter().find_map(|name| Some((*name, present(fields, name)?)))?;
    let text = value.text().unwrap_or_default();
    let found = match text.trim().to_ascii_lowercase().as_str() {
        "inbound" => Some(Direction::Inbound),
        "outbound" => Some(Direction::Outbound),
        "internal" => Some(Direction::Internal),
        _ => None,
    };
    if found.is_none() {
        unreadable(name, value, "a direction", notes);
    }
    found
}

fn caller(fields: &Fields<'_>, call: &mut Call, notes: &mut Notes) {
    call.caller.email = text_of(fields, "user_email", notes);
    call.caller.phone = ["caller_phone", "phone_number"].iter().find_map(|name| text_of(fields, name, notes));
    let Some(value) = present(fields, "user_metadata") else { return };
    let read = with_object(value, |metadata| {
        let text = |name: &str| metadata.get(name).and_then(|value| said(&value.text()?));
        call.caller.email = call.caller.email.take().or_else(|| text("user_email"));
        call.caller.phone = text("phone").or_else(|| call.caller.phone.take());
        call.caller.name = ["name", "user_name"].iter().find_map(|name| text(name)).map(|name| one_line(&name));
    });
    if read.is_none() {
        unreadable("user_metadata", value, "an object", notes);
    }
}

fn text_of(fields: &Fields<'_>, name: &str, notes: &mut Notes) -> Option<String> {
    let value = present(fields, name)?;
    match value.text() {
        Some(text) => said(&text),
        None => {
            notes.wrong_type(name, value.kind());
            None
        }
    }
}

/// Whether a field is kept as it came.
pub(super) fn has_no_place(name: &str) -> bool {
    !PLACED.contains(&name)
}

fn extra(fields: &Fields<'_>) -> BTreeMap<String, Box<RawValue>> {
    fields
        .iter()
        .filter(|(name, _)| has_no_place(name))
        .map(|(name, value)| (name.to_owned(), value.0.to_owned()))
        .collect()
}

//! What a transcript file holds: one object with a list of items, or one event a line.
//!
//! Invariant: a file is one call. Lines that are no object are left out and told; a file in which nothing is an object is
//! refused.

use crate::problem;
use crate::sources::decode::{self, Refused};
use crate::sources::wire::{Fields, ITEMS_MAX, Kind, Value, said};

use super::naming;

/// Where an object keeps its items, the best first.
pub(super) const LISTS: &[&str] = &["items", "conversation_items", "conversation", "transcript", "messages"];
/// Objects that hold such a list one level down: a session report, a chat context.
pub(super) const HOLDERS: &[&str] = &["chat_history", "history", "chat_ctx", "transcription"];
const NOTES_MAX: usize = 20;

/// What was odd about one file.
#[derive(Default)]
pub(super) struct Notes(pub Vec<String>);

impl Notes {
    pub(super) fn add(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.0.len() < NOTES_MAX && !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    pub(super) fn wrong_type(&mut self, field: &str, kind: Kind) {
        self.add(format!("{field} is {kind}: left out"));
    }
}

pub(super) enum Shape<'a> {
    Object(&'a Fields<'a>),
    Lines(Vec<Fields<'a>>),
}

impl<'a> Shape<'a> {
    /// The items, each an object or the kind of what is none.
    pub(super) fn items(&self, notes: &mut Notes) -> Vec<Result<Fields<'a>, Kind>> {
        let Shape::Object(fields) = self else { return Vec::new() };
        let Some((name, value)) = list(fields) else { return Vec::new() };
        value.objects().unwrap_or_else(|| {
            if !value.is_null() {
                notes.wrong_type(name, value.kind());
            }
            Vec::new()
        })
    }
}

/// The first list that has items, else the first that is there at all.
fn list<'a>(fields: &Fields<'a>) -> Option<(&'static str, Value<'a>)> {
    let own = LISTS.iter().filter_map(|name| Some((*name, fields.get(name)?)));
    let inner = HOLDERS.iter().filter_map(|holder| {
        let inner = fields.get(holder)?.fields()?;
        LISTS.iter().find_map(|name| Some((*name, inner.get(name)?)))
    });
    let found: Vec<_> = own.chain(inner).collect();
    let has_items = |value: &Value<'_>| {
        value.kind() == Kind::List
            && value.0.get()[1..].trim_start().as_bytes().first().is_some_and(|byte| *byte != b']')
    };
    found.iter().find(|(_, value)| has_items(value)).or(found.first()).copied()
}

/// Gives what the file `name` holds to `read`.
pub(super) fn with_shape<T>(
    name: &str,
    text: &str,
    notes: &mut Notes,
    read: impl FnOnce(&Shape<'_>, &mut Notes) -> Result<T, Refused>,
) -> Result<T, Refused> {
    let mut read = Some(read);
    let whole = decode::with_fields(text, |fields, note| {
        notes.0.extend(note.map(str::to_owned));
        let is_line = is_event(fields) && list(fields).is_none();
        let line =
            is_line.then(|| serde_json::from_str::<Fields<'_>>(text.trim_start_matches('\u{feff}')).ok()).flatten();
        let shape = line.map_or(Shape::Object(fields), |line| Shape::Lines(vec![line]));
        read.take().map(|read| read(&shape, notes))
    });
    let refused = match whole {
        Ok(Some(read)) => return read,
        Ok(None) => Refused { code: problem::RAW_NOT_JSON, what: "was read twice".to_owned() },
        Err(refused) => refused,
    };
    let Some(read) = read else { return Err(refused) };
    let (lines, broken) = lines(text);
    let is_lines = naming::has_lines(name) || (broken == 0 && lines.len() > 1 && lines.iter().all(is_event));
    if !is_lines || lines.is_empty() {
        return Err(refused);
    }
    if broken > 0 {
        notes.add(format!("lines that are no JSON object: {broken}, left out"));
    }
    read(&Shape::Lines(lines), notes)
}

fn lines(text: &str) -> (Vec<Fields<'_>>, usize) {
    let mut lines = Vec::new();
    let mut broken = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match serde_json::from_str::<Fields<'_>>(line) {
            Ok(fields) if lines.len() < ITEMS_MAX => lines.push(fields),
            _ => broken += 1,
        }
    }
    (lines, broken)
}

fn is_event(fields: &Fields<'_>) -> bool {
    fields.get("role").is_some() && ["content", "text", "raw"].iter().any(|name| fields.get(name).is_some())
}

/// A field that is there and not null, out of the wrapping that a Mongo export puts around numbers, dates and ids.
pub(super) fn present<'a>(fields: &Fields<'a>, name: &str) -> Option<Value<'a>> {
    fields.get(name).map(plain).filter(|value| !value.is_null())
}

/// The value inside `{"$date": {"$numberLong": "…"}}` and the like; any other as it is.
pub(super) fn plain(value: Value<'_>) -> Value<'_> {
    let mut value = value;
    for _ in 0..3 {
        // A wrapped value is short; a long object is not worth reading for this.
        if value.kind() != Kind::Object || value.0.get().len() > 200 {
            break;
        }
        let Some(fields) = value.fields() else { break };
        let mut inside = fields.iter();
        match (inside.next(), inside.next()) {
            (Some((name, inner)), None) if name.starts_with('$') => value = inner,
            _ => break,
        }
    }
    value
}

/// The first of these fields that is a text or number and says something.
pub(super) fn line(fields: &Fields<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let value = present(fields, name)?;
        if value.kind() == Kind::Boolean { None } else { said(&value.scalar()?) }
    })
}

//! Makes a Task of a call: identity, person, and the mapped fields as the org's fields want them.
//!
//! Invariant: pure. Identity and person are never cut or left out, nulls are never sent, and everything that was cut or
//! left out is noted without its value.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Number, Value};

use super::config::Settings;
use super::describe::{Facts, Field, Kind};
use super::template::Mapping;
use crate::destinations::{Mapped, Person, Record};
use crate::map::{PersonView, build, crm_id};
use crate::model::Call;
use crate::problem::{MAPPING_FAILED, Problem};

/// The object that calls become.
pub const OBJECT: &str = "Task";
/// The end of a text that was cut.
const CUT_MARK: char = '…';

/// The fields that carry a call's identity in this org.
pub fn identity(settings: &Settings, facts: &Facts, call: &Call) -> Record {
    let mut record = Record::new();
    if facts.field("CallObject").is_some_and(|field| field.createable) {
        record.insert("CallObject".to_owned(), Value::from(crm_id(call)));
    }
    if facts.key_use(&settings.key_field).usable {
        record.insert(settings.key_field.clone(), Value::from(call.key.as_str()));
    }
    record
}

/// The Task that `call` becomes.
pub fn map(
    settings: &Settings,
    facts: &Facts,
    mapping: &Mapping,
    call: &Call,
    person: &Person,
) -> Result<Mapped, Problem> {
    check_key_fits(settings, facts, call)?;
    let view = PersonView { object: person.object.clone(), id: person.id.clone() };
    let context = build(call, view, call.date_in(&settings.time_zone), mapping.wanted());
    let mut create = identity(settings, facts, call);
    let mut on_person = Record::new();
    on_person.insert("WhoId".to_owned(), Value::from(person.id.as_str()));
    create.extend(on_person.clone());
    let mut create_only = vec![settings.key_field.clone(), "WhoId".to_owned()];
    let mut notes = Vec::new();
    for (name, text) in mapping.render(&context)? {
        if person.object == "Lead" && name.eq_ignore_ascii_case("WhatId") {
            notes.push("WhatId: left out, because a Task on a Lead cannot have one".to_owned());
            continue;
        }
        let Some(field) = facts.field(name) else {
            create.insert(name.to_owned(), Value::from(text));
            continue;
        };
        match convert(field, &text) {
            Ok((value, note)) => {
                create.insert(field.name.clone(), value);
                notes.extend(note.map(|note| format!("{}: {note}", field.name)));
            }
            Err(reason) => notes.push(format!("{}: left out, {reason}", field.name)),
        }
        if !field.updateable || field.name.eq_ignore_ascii_case("TaskSubtype") {
            create_only.push(field.name.clone());
        }
    }
    let mut update = create.clone();
    update.retain(|name, _| !create_only.contains(name));
    Ok(Mapped { object: OBJECT.to_owned(), create, update, person: on_person, notes })
}

fn check_key_fits(settings: &Settings, facts: &Facts, call: &Call) -> Result<(), Problem> {
    let length = facts.field(&settings.key_field).map_or(0, |field| field.length);
    if length == 0 || call.key.as_str().len() <= length || !facts.key_use(&settings.key_field).usable {
        return Ok(());
    }
    Err(Problem::new(
        MAPPING_FAILED,
        format!("{} takes {length} characters, too few for the key {}", settings.key_field, call.key),
        "Make the field longer in Setup (100 characters), then run `trunkline retry`.",
    ))
}

/// The text as a value of the field's type, with a note if it was changed; or why it has to stay out.
fn convert(field: &Field, text: &str) -> Result<(Value, Option<String>), String> {
    let plain = |value: Value| Ok((value, None));
    match field.kind {
        Kind::Text => Ok(cut(text, field.length)),
        Kind::Picklist if field.restricted && !field.values.is_empty() => {
            let active = field.values.iter().find(|value| value.to_lowercase() == text.to_lowercase());
            plain(Value::from(active.ok_or("the value is not an active one of the picklist")?.as_str()))
        }
        Kind::Picklist => Ok(cut(text, field.length)),
        Kind::Whole if field.length > 0 && utf16_len(text) > field.length => {
            Err(format!("longer than the field's {} characters", field.length))
        }
        Kind::Whole => plain(Value::from(text)),
        Kind::Integer => {
            let number = parse_number(text).ok_or("not a number")?.round();
            let fits = number.abs() < 10f64.powi(i32::try_from(field.digits).unwrap_or(0).clamp(0, 15));
            if field.digits > 0 && !fits {
                return Err(format!("more than the field's {} digits", field.digits));
            }
            plain(Value::from(number as i64))
        }
        Kind::Double => {
            let number = parse_number(text).and_then(Number::from_f64).ok_or("not a number")?;
            plain(Value::Number(number))
        }
        Kind::Boolean => match text.to_lowercase().as_str() {
            "true" | "yes" | "1" => plain(Value::Bool(true)),
            "false" | "no" | "0" => plain(Value::Bool(false)),
            _ => Err("neither true nor false".to_owned()),
        },
        Kind::Date => {
            let date: Date = text.get(..10).unwrap_or(text).parse().map_err(|_| "not a date")?;
            plain(Value::from(date.to_string()))
        }
        Kind::DateTime => {
            let time: Timestamp = text.parse().map_err(|_| "not a time with a zone")?;
            plain(Value::from(time.to_string()))
        }
    }
}

fn parse_number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Salesforce counts UTF-16 units.
fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn cut(text: &str, length: usize) -> (Value, Option<String>) {
    if length == 0 || text.len() <= length {
        return (Value::from(text), None);
    }
    let whole = utf16_len(text);
    if whole <= length {
        return (Value::from(text), None);
    }
    let mut left = length - CUT_MARK.len_utf16();
    let fits = |c: &char| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(if fits { c.len_utf16() } else { left });
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push(CUT_MARK);
    (Value::from(short), Some(format!("cut from {whole} to {length} characters")))
}

#[cfg(test)]
#[path = "tests/task.rs"]
mod tests;

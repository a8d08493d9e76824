//! The fields the server computes: ids, defaults, names, and everything a Task derives from its status and parents.

use jiff::Timestamp;
use serde_json::Value;

use super::ids;
use super::org::State;
use super::schema::{Field, Kind, Object};
use super::table::Record;
use super::value::instant_text;

/// Days after which a closed Task is archived.
const ARCHIVE_DAYS: i64 = 365;

/// A field's value as the API shows it: a checkbox is never null.
pub(super) fn read<'a>(field: &Field, record: &'a Record) -> &'a Value {
    const FALSE: &Value = &Value::Bool(false);
    let value = record.get(&field.name);
    if field.kind == Kind::Boolean && value.is_null() { FALSE } else { value }
}

/// Gives a new record its id, system fields and defaults, as far as they are not set.
pub(super) fn complete(state: &mut State, object: &Object, record: &mut Record) {
    if record.get("Id").is_null() {
        let table = state.table_mut(object);
        let mut serial = table.next_serial();
        while table.find(&ids::make(object.prefix, serial)).is_some() {
            serial = table.next_serial();
        }
        record.put(object, "Id", Value::from(ids::make(object.prefix, serial)));
        if object.name == "Case" {
            record.put(object, "CaseNumber", Value::from(format!("{serial:08}")));
        }
    }
    let now = instant_text(state.now);
    let user = state.user_id.clone();
    fill(object, record, "CreatedDate", &now);
    fill(object, record, "LastModifiedDate", &now);
    let modified = record.text("LastModifiedDate").to_owned();
    fill(object, record, "SystemModstamp", &modified);
    for name in ["CreatedById", "LastModifiedById", "OwnerId"] {
        fill(object, record, name, &user);
    }
    for field in &object.fields {
        if let Some(default) = field.default {
            fill(object, record, &field.name, default);
        }
    }
}

fn fill(object: &Object, record: &mut Record, name: &str, text: &str) {
    if record.get(name).is_null() {
        record.put(object, name, Value::from(text));
    }
}

/// Computes the read-only fields anew after any write.
pub(super) fn derive(state: &State, object: &Object, record: &mut Record) {
    match object.name {
        "Contact" | "Lead" | "User" => {
            let name = [record.text("FirstName"), record.text("LastName")].join(" ").trim().to_owned();
            record.put(object, "Name", Value::from(name));
        }
        "Case" => {
            let is_closed = record.text("Status") == "Closed";
            record.put(object, "IsClosed", Value::Bool(is_closed));
        }
        "Task" => derive_task(state, object, record),
        "Event" => {
            let account = account_of(state, record);
            record.put(object, "AccountId", account);
        }
        _ => {}
    }
}

fn derive_task(state: &State, object: &Object, record: &mut Record) {
    let is_closed = is_closed_status(state, record.text("Status"));
    if is_closed && record.get("CompletedDateTime").is_null() {
        record.put(object, "CompletedDateTime", Value::from(instant_text(state.now)));
    } else if !is_closed {
        record.put(object, "CompletedDateTime", Value::Null);
    }
    let is_high = record.text("Priority") == "High";
    let account = account_of(state, record);
    record.put(object, "IsClosed", Value::Bool(is_closed));
    record.put(object, "IsHighPriority", Value::Bool(is_high));
    record.put(object, "AccountId", account);
    if state.settings.archive_immediately && is_archivable(record, state.now) {
        record.put(object, "IsArchived", Value::Bool(true));
    }
}

/// Whether the org's statuses call this one closed; an unknown status is open.
fn is_closed_status(state: &State, status: &str) -> bool {
    state
        .tables
        .get("TaskStatus")
        .is_some_and(|table| table.iter().any(|known| known.flag("IsClosed") && known.text("ApiName") == status))
}

/// The account of an activity: that of its What, else that of its Contact.
fn account_of(state: &State, record: &Record) -> Value {
    let parent = |id: &str, object: &str| state.tables.get(object).and_then(|table| table.by_id(id));
    let what = record.text("WhatId");
    match ids::prefix(what) {
        "001" => return Value::from(what),
        "006" => {
            if let Some(opportunity) = parent(what, "Opportunity") {
                return opportunity.get("AccountId").clone();
            }
        }
        _ => {}
    }
    parent(record.text("WhoId"), "Contact").map_or(Value::Null, |contact| contact.get("AccountId").clone())
}

/// Whether the archive job would take this Task.
pub(super) fn is_archivable(record: &Record, now: Timestamp) -> bool {
    let Ok(limit) = now.checked_sub(jiff::SignedDuration::from_hours(24 * ARCHIVE_DAYS)) else { return false };
    let limit = instant_text(limit);
    let day = match record.text("ActivityDate") {
        "" => record.text("CreatedDate"),
        day => day,
    };
    record.flag("IsClosed") && day.get(..10) <= limit.get(..10)
}

//! Records that come in past the API: the standard ones of every org, and those that tests, the demo and the
//! administrator put there.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Credentials;
use super::derive::{complete, derive, is_archivable};
use super::ids;
use super::org::State;
use super::schema::{Kind, Object};
use super::table::{Record, Table};
use super::value::{instant_text, parse_date, parse_instant};

/// The user, the organization and the task statuses that every org has; present ones are kept.
pub(super) fn standard_records(state: &mut State, credentials: &Credentials) {
    state.user_id = ids::make("005", 1);
    state.org_id = ids::make("00D", 1);
    let user = json!({
        "Id": state.user_id, "Username": credentials.username, "FirstName": "Integration", "LastName": "User",
        "Email": credentials.username, "Alias": "integ", "IsActive": true,
    });
    let organization = json!({ "Id": state.org_id, "Name": "Simulated Org" });
    put_standard(state, "User", user);
    put_standard(state, "Organization", organization);
    let statuses = ["Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"];
    for (index, name) in statuses.into_iter().enumerate() {
        let status = json!({
            "Id": ids::make("01J", index as u64 + 1), "ApiName": name, "MasterLabel": name, "SortOrder": index + 1,
            "IsClosed": name == "Completed", "IsDefault": index == 0,
        });
        put_standard(state, "TaskStatus", status);
    }
}

fn put_standard(state: &mut State, object: &str, fields: Value) {
    let is_present = fields["Id"].as_str().is_some_and(|id| state.locate(id).is_some());
    if !is_present {
        insert(state, object, fields).unwrap_or_else(|mistake| panic!("standard record of {object}: {mistake}"));
    }
}

/// Puts a record in and returns its id; the error names the mistake.
pub(super) fn insert(state: &mut State, object: &str, fields: Value) -> Result<String, String> {
    let object = state.schema.object(object).cloned().ok_or_else(|| format!("no object '{object}' in the org"))?;
    let mut record = Record::default();
    assign(&object, &mut record, &fields)?;
    if state.table(&object).find(record.id()).is_some() {
        return Err(format!("record {} exists already", record.id()));
    }
    complete(state, &object, &mut record);
    derive(state, &object, &mut record);
    assign(&object, &mut record, &fields)?;
    let id = record.id().to_owned();
    state.table_mut(&object).push(record);
    state.revision += 1;
    Ok(id)
}

/// Changes a record; `LastModifiedDate` and `SystemModstamp` move unless they are given.
pub(super) fn update(state: &mut State, id: &str, fields: Value) -> Result<(), String> {
    let id = ids::normalise(id).ok_or_else(|| format!("'{id}' is no record id"))?;
    let (object, row) = state.locate(&id).ok_or_else(|| format!("no record {id}"))?;
    let mut record = state.table(&object).row(row).cloned().unwrap_or_default();
    let now = Value::from(instant_text(state.now));
    record.put(&object, "LastModifiedDate", now.clone());
    record.put(&object, "SystemModstamp", now);
    assign(&object, &mut record, &fields)?;
    derive(state, &object, &mut record);
    assign(&object, &mut record, &fields)?;
    state.table_mut(&object).replace(row, record);
    state.revision += 1;
    Ok(())
}

/// Empties all tables and puts the standard records back; ids go on counting.
pub(super) fn clear(state: &mut State, credentials: &Credentials) {
    for table in state.tables.values_mut() {
        *table = Table::with_serial(table.serial());
    }
    state.cursors.clear();
    state.settings_changed();
    standard_records(state, credentials);
    state.revision += 1;
}

/// Runs the archive job and returns how many Tasks it took.
pub(super) fn archive(state: &mut State) -> usize {
    let Some(object) = state.schema.object("Task").cloned() else { return 0 };
    let now = state.now;
    let is_due = |record: &&Record| !record.flag("IsArchived") && is_archivable(record, now);
    let due: Vec<String> = state.table(&object).iter().filter(is_due).map(|record| record.id().to_owned()).collect();
    for id in &due {
        let table = state.table_mut(&object);
        let Some(row) = table.find(id) else { continue };
        if let Some(mut record) = table.row(row).cloned() {
            record.put(&object, "IsArchived", Value::Bool(true));
            table.replace(row, record);
        }
    }
    state.revision += 1;
    due.len()
}

fn assign(object: &Arc<Object>, record: &mut Record, fields: &Value) -> Result<(), String> {
    let fields = fields.as_object().ok_or_else(|| format!("the fields of a {} must be a JSON object", object.name))?;
    for (name, value) in fields.iter().filter(|(name, _)| *name != "attributes") {
        let field = object.stored_field(name).ok_or_else(|| {
            format!("no field '{name}' on {}; custom fields are declared in the settings", object.name)
        })?;
        let stored = match (field.kind, value) {
            (_, Value::Null) => Some(Value::Null),
            (Kind::Id | Kind::Reference, Value::String(text)) => ids::normalise(text).map(Value::from),
            (Kind::Date, Value::String(text)) => parse_date(text).map(Value::from),
            (Kind::DateTime, Value::String(text)) => parse_instant(text).map(Value::from),
            (Kind::Boolean, Value::Bool(_)) | (Kind::Int | Kind::Double, Value::Number(_)) => Some(value.clone()),
            (kind, Value::String(text)) if kind.is_text() => {
                Some(if text.trim().is_empty() { Value::Null } else { Value::from(text.trim()) })
            }
            _ => None,
        };
        let stored = stored.ok_or_else(|| format!("{}.{} cannot hold {value}", object.name, field.name))?;
        record.set(&field.name, stored);
    }
    Ok(())
}

//! The checks of a write, one function a rule, each answering with the documented code and text.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::ids;
use super::super::org::State;
use super::super::problem::Problem;
use super::super::schema::{Field, Object};
use super::super::settings::Trigger;
use super::super::table::{Record, RowNumber};
use super::super::value::{Refusal, accept};
use super::Values;
use super::upsert::find;

/// Reads the body of a write: names known, fields writable, values of the right type.
pub(super) fn values(
    state: &State,
    object: &Object,
    body: &Map<String, Value>,
    is_insert: bool,
) -> Result<Values, Refusal> {
    let settings = &state.settings;
    let mut values = Vec::with_capacity(body.len());
    for (name, value) in body.iter().filter(|(name, _)| *name != "attributes") {
        let Some(field) = object.field(name) else {
            let problem = Problem::no_such_column(name, object.name);
            return Err(if settings.unknown_field_fails_request {
                Refusal::Body(problem)
            } else {
                Refusal::Row(Problem { fields: Some(vec![name.clone()]), ..problem })
            });
        };
        if !(if is_insert { field.createable } else { field.updateable }) {
            if &*field.name == "TaskSubtype" && !settings.task_subtype_update_refused {
                continue;
            }
            return Err(Refusal::Row(Problem::field_not_writable(&field.name)));
        }
        let accepted = accept(field, value, settings).map_err(|refusal| match refusal {
            Refusal::Body(problem) if !settings.bad_value_fails_request => Refusal::Row(problem),
            other => other,
        })?;
        values.push((Arc::clone(&field.name), accepted));
    }
    Ok(values)
}

pub(super) fn writable(state: &State, object: &Object) -> Result<(), Problem> {
    let is_read_only = state.settings.read_only_objects.iter().any(|name| name.eq_ignore_ascii_case(object.name));
    if is_read_only || !object.writable { Err(Problem::read_only()) } else { Ok(()) }
}

pub(super) fn required(object: &Object, record: &Record) -> Result<(), Problem> {
    let is_missing = |field: &&Field| field.required && record.get(&field.name).is_null();
    let missing: Vec<&str> = object.fields.iter().filter(is_missing).map(|field| &*field.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("Required fields are missing: [{}]", missing.join(", "));
    Err(Problem::row("REQUIRED_FIELD_MISSING", message, &missing))
}

/// Each reference that is new must lead to a live record of an allowed object; then the rules of Who and What.
pub(super) fn references(
    state: &State,
    object: &Object,
    record: &Record,
    before: Option<&Record>,
) -> Result<(), Problem> {
    for field in object.fields.iter().filter(|field| !field.targets.is_empty()) {
        let value = record.get(&field.name);
        let is_unchanged = before.is_some_and(|before| before.get(&field.name) == value);
        match value.as_str() {
            Some(id) if !is_unchanged => reference(state, field, id)?,
            _ => {}
        }
    }
    let is_activity = matches!(object.name, "Task" | "Event");
    if is_activity && ids::prefix(record.text("WhoId")) == "00Q" && !record.get("WhatId").is_null() {
        return Err(Problem::row("FIELD_INTEGRITY_EXCEPTION", "cannot specify whatID with lead whoID", &["WhatId"]));
    }
    Ok(())
}

fn reference(state: &State, field: &Field, id: &str) -> Result<(), Problem> {
    let target = state.schema.object_of(id);
    if !target.is_some_and(|target| field.targets.contains(&target.name)) {
        let code = if &*field.name == "WhoId" { "FIELD_INTEGRITY_EXCEPTION" } else { "MALFORMED_ID" };
        let message = format!("{}: id value of incorrect type: {id}", field.label);
        return Err(Problem::row(code, message, &[&field.name]));
    }
    match target.and_then(|target| state.table(target).by_id(id)) {
        None => Err(Problem::row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[&field.name])),
        Some(record) if record.is_deleted() => {
            Err(Problem::row("ENTITY_IS_DELETED", "entity is deleted", &[&field.name]))
        }
        Some(record) if &*field.name == "WhoId" && record.flag("IsConverted") => Err(converted_lead()),
        Some(record) if &*field.name == "OwnerId" && record.get("IsActive") == &Value::Bool(false) => {
            let message = format!("operation performed with inactive user [{id}] as owner of task");
            Err(Problem::row("INACTIVE_OWNER_OR_USER", message, &[&field.name]))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn converted_lead() -> Problem {
    Problem::row("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", &[])
}

pub(super) fn validation_rules(state: &State, object: &Object, record: &Record) -> Result<(), Problem> {
    let broken = state.settings.validation_rules.iter().find(|rule| {
        let text = shown(record, object, &rule.field);
        applies(&rule.object, object)
            && if rule.contains.is_empty() { text.is_empty() } else { text.contains(&rule.contains) }
    });
    match broken {
        Some(rule) => Err(Problem::row("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message.as_str(), &[])),
        None => Ok(()),
    }
}

pub(super) fn triggers(state: &State, object: &Object, record: &Record) -> Result<(), Problem> {
    let text = |field: &str| shown(record, object, field);
    match state.settings.triggers.iter().find(|trigger| throws(trigger, object, text)) {
        Some(trigger) => Err(trigger_problem(trigger)),
        None => Ok(()),
    }
}

/// The failure of a whole chunk, if one of its rows makes such a trigger throw.
pub(super) fn chunk_trigger<'a>(
    state: &State,
    object: &Object,
    mut rows: impl Iterator<Item = &'a Values>,
) -> Option<Problem> {
    let of_chunks = || state.settings.triggers.iter().filter(|trigger| trigger.whole_chunk);
    of_chunks().next()?;
    rows.find_map(|values| {
        let text = |field: &str| {
            let found = values.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
            found.map_or_else(String::new, |(_, value)| plain(value))
        };
        of_chunks().find(|trigger| throws(trigger, object, text)).map(trigger_problem)
    })
}

fn throws(trigger: &Trigger, object: &Object, text: impl Fn(&str) -> String) -> bool {
    applies(&trigger.object, object) && text(&trigger.field).contains(&trigger.contains)
}

fn trigger_problem(trigger: &Trigger) -> Problem {
    Problem::row("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", trigger.message.as_str(), &[])
}

fn applies(wanted: &str, object: &Object) -> bool {
    let wanted = if wanted.is_empty() { "Task" } else { wanted };
    wanted.eq_ignore_ascii_case(object.name)
}

fn shown(record: &Record, object: &Object, field: &str) -> String {
    object.stored_field(field).map_or_else(String::new, |field| plain(record.get(&field.name)))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// No other live record may have the same value in a unique field.
pub(super) fn unique(state: &State, object: &Object, record: &Record, row: Option<RowNumber>) -> Result<(), Problem> {
    for field in object.fields.iter().filter(|field| field.unique) {
        let value = record.get(&field.name);
        if value.is_null() {
            continue;
        }
        let holders = find(state, object, field, value, true);
        if let Some(holder) = holders.into_iter().find(|holder| Some(*holder) != row) {
            let id = state.table(object).row(holder).map_or("", Record::id);
            let id = if state.settings.duplicate_value_id_18 { id } else { id.get(..15).unwrap_or(id) };
            let name = &field.name;
            let message = format!("duplicate value found: {name} duplicates value on record with id: {id}");
            return Err(Problem::row("DUPLICATE_VALUE", message, &[]));
        }
    }
    Ok(())
}

/// The optional duplicate rule: a new Lead whose e-mail an unconverted Lead has.
pub(super) fn lead_duplicates(
    state: &State,
    object: &Object,
    record: &Record,
    allows_duplicates: bool,
) -> Result<(), Problem> {
    let Some(rule) = state.settings.lead_duplicate_rule.as_ref().filter(|_| object.name == "Lead") else {
        return Ok(());
    };
    let email = record.text("Email");
    if email.is_empty() || rule.allow_save && allows_duplicates {
        return Ok(());
    }
    let table = state.table(object);
    let rows = table.lookup("Email", email).unwrap_or_default();
    let matches: Vec<Value> = rows
        .iter()
        .filter_map(|row| table.row(*row))
        .filter(|lead| !lead.is_deleted() && !lead.flag("IsConverted"))
        .map(|lead| {
            let url = format!("/services/data/v66.0/sobjects/Lead/{}", lead.id());
            json!({
                "additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0,
                "record": { "attributes": { "type": "Lead", "url": url }, "Id": lead.id() },
            })
        })
        .collect();
    if matches.is_empty() {
        return Ok(());
    }
    let message = "Use one of these records?";
    let result = json!({
        "allowSave": rule.allow_save, "duplicateRule": rule.name, "duplicateRuleEntityType": "Lead",
        "errorMessage": message,
        "matchResults": [{
            "entityType": "Lead", "errors": [], "matchEngine": "FuzzyMatchEngine", "size": matches.len(),
            "matchRecords": matches, "rule": "Standard_Lead_Match_Rule_v1_0", "success": true,
        }],
    });
    let problem = Problem::new(400, "DUPLICATES_DETECTED", message);
    Err(Problem { extra: Some(Box::new(("duplicateResut", result))), ..problem })
}

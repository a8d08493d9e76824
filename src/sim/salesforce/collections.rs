//! `/composite/sobjects`: up to 200 rows in one request, answered row by row in the order they came.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::{Answer, saved};
use super::data::{Call, known_object};
use super::ids;
use super::org::State;
use super::problem::Problem;
use super::schema::Object;
use super::soql;
use super::write::{self, Action, KeyRow, Lookup, Planned, RowResult};

const ROWS_MAX: usize = 200;
const CHUNKS_MAX: usize = 10;

struct Rows {
    records: Vec<Map<String, Value>>,
    all_or_none: bool,
}

fn rows(state: &State, call: &Call) -> Result<Rows, Problem> {
    let mut body = call.object()?;
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    let Some(Value::Array(records)) = body.remove("records") else {
        return Err(Problem::json("Cannot deserialize request: it may be missing the required field 'records'"));
    };
    check_count(state, records.len())?;
    let records: Option<Vec<_>> = records
        .into_iter()
        .map(|record| match record {
            Value::Object(record) => Some(record),
            _ => None,
        })
        .collect();
    let records = records.ok_or_else(|| Problem::json("Cannot deserialize instance of sobject"))?;
    Ok(Rows { records, all_or_none })
}

fn check_count(state: &State, count: usize) -> Result<(), Problem> {
    if count <= ROWS_MAX {
        return Ok(());
    }
    let message = format!("record limit reached. cannot submit more than {ROWS_MAX} records into this call");
    Err(Problem::new(state.settings.too_many_rows_http_status, "EXCEEDED_ID_LIMIT", message))
}

fn type_of(record: &Map<String, Value>) -> Option<&str> {
    record.get("attributes")?.get("type")?.as_str()
}

/// The object of each row, by its attributes; a chunk ends where the object changes.
fn objects(state: &State, records: &[Map<String, Value>]) -> Result<Vec<Arc<Object>>, Problem> {
    let mut objects: Vec<Arc<Object>> = Vec::with_capacity(records.len());
    for record in records {
        let name = type_of(record)
            .ok_or_else(|| Problem::json("Cannot deserialize instance of sobject: attributes.type is missing"))?;
        let object = state
            .schema
            .object(name)
            .cloned()
            .ok_or_else(|| Problem::new(400, "INVALID_TYPE", format!("sObject type '{name}' is not supported.")))?;
        objects.push(object);
    }
    if objects.chunk_by(|left, right| left.name == right.name).count() > CHUNKS_MAX {
        let message = format!(
            "Cannot have more than {CHUNKS_MAX} chunks in a single operation. Please rearrange the data to reduce chunking."
        );
        return Err(Problem::new(400, "LIMIT_EXCEEDED", message));
    }
    Ok(objects)
}

fn answer(results: Vec<RowResult>, shows_created: bool) -> Answer {
    let rows: Vec<Value> = results
        .into_iter()
        .map(|result| match result {
            Ok((id, created)) => saved(&id, shows_created.then_some(created)),
            Err(problem) => json!({ "success": false, "errors": [problem.to_row_json()] }),
        })
        .collect();
    Answer::json(200, &rows)
}

/// POST: creates each row.
pub(super) fn create(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let rows = rows(state, call)?;
    let objects = objects(state, &rows.records)?;
    let planned = rows
        .records
        .into_iter()
        .zip(objects)
        .map(|(body, object)| Planned { object, body, action: Action::Insert })
        .collect();
    Ok(answer(write::run(state, &call.origin, planned, rows.all_or_none)?, false))
}

/// PATCH: updates each row by its id.
pub(super) fn update(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let rows = rows(state, call)?;
    let objects = objects(state, &rows.records)?;
    let planned = rows
        .records
        .into_iter()
        .zip(objects)
        .map(|(mut body, object)| {
            let action = match take(&mut body, "id") {
                Some(Value::String(id)) => target(state, &object, &id).map_or_else(Action::Refuse, Action::Update),
                _ => {
                    let message = "Id not specified in an update call";
                    Action::Refuse(Problem::row("MISSING_ARGUMENT", message, &[]))
                }
            };
            Planned { object, body, action }
        })
        .collect();
    Ok(answer(write::run(state, &call.origin, planned, rows.all_or_none)?, false))
}

/// DELETE `?ids=`: deletes each row.
pub(super) fn delete(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let ids: Vec<&str> = call.parameter("ids").unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect();
    check_count(state, ids.len())?;
    let all_or_none = call.parameter("allOrNone") == Some("true");
    let mut planned = Vec::with_capacity(ids.len());
    for id in ids {
        let object = ids::normalise(id).and_then(|id| state.schema.object_of(&id).cloned());
        let object = object.ok_or_else(|| malformed(id))?;
        let action = target(state, &object, id).map_or_else(Action::Refuse, Action::Delete);
        planned.push(Planned { object, body: Map::new(), action });
    }
    Ok(answer(write::run(state, &call.origin, planned, all_or_none)?, false))
}

fn malformed(id: &str) -> Problem {
    Problem::row("MALFORMED_ID", format!("Record ID: id value of incorrect type: {id}"), &["Id"])
}

fn target(state: &State, object: &Object, id: &str) -> Result<u32, Problem> {
    let id = ids::normalise(id).filter(|id| ids::prefix(id) == object.prefix).ok_or_else(|| malformed(id))?;
    state
        .table(object)
        .find(&id)
        .ok_or_else(|| Problem::row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]))
}

fn take(body: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let known = body.keys().find(|known| known.eq_ignore_ascii_case(name))?.clone();
    body.remove(&known)
}

/// GET `?ids=&fields=` or POST `{"ids":[…],"fields":[…]}`: reads rows, null for a missing one.
pub(super) fn retrieve(state: &State, call: &Call, object: &str) -> Result<Answer, Problem> {
    let object = known_object(state, object)?;
    let (ids, names) = if call.body.is_empty() {
        let list = |name: &str| -> Vec<String> {
            call.parameter(name).unwrap_or_default().split(',').map(|part| part.trim().to_owned()).collect()
        };
        (list("ids"), list("fields"))
    } else {
        let body = call.object()?;
        let list = |name: &str| -> Vec<String> {
            let values = body.get(name).and_then(Value::as_array).into_iter().flatten();
            values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        (list("ids"), list("fields"))
    };
    let mut fields = Vec::new();
    for name in names {
        let field = object.field(&name).ok_or_else(|| Problem::no_such_column(&name, object.name))?;
        fields.push(field.name.to_string());
    }
    let (root, table) = (call.root(), state.table(&object));
    let records: Vec<Option<soql::Record<'_>>> = ids
        .iter()
        .map(|id| {
            let row = ids::normalise(id).and_then(|id| table.find(&id))?;
            let is_live = table.row(row).is_some_and(|record| !record.is_deleted());
            is_live.then_some(soql::Record { state, object: &object, row, root: &root, fields: &fields })
        })
        .collect();
    Ok(Answer::json(200, &records))
}

/// A collection upsert between its two steps.
pub(super) struct Upsert {
    object: Arc<Object>,
    field: String,
    rows: Vec<KeyRow>,
    found: Vec<Lookup>,
    all_or_none: bool,
}

/// First step of PATCH `/composite/sobjects/<object>/<field>`.
pub(super) fn look_up(state: &State, call: &Call, object: &str, field: &str) -> Result<Upsert, Problem> {
    let object = known_object(state, object)?;
    let field = write::upsert_field(&object, field)?;
    let Rows { records, all_or_none } = rows(state, call)?;
    let mut strangers = Vec::new();
    let mut rows = Vec::with_capacity(records.len());
    for (index, mut body) in records.into_iter().enumerate() {
        if type_of(&body).is_some_and(|name| !name.eq_ignore_ascii_case(object.name)) {
            strangers.push(index);
        }
        let key = take(&mut body, &field.name).unwrap_or_default();
        rows.push(KeyRow { key, body });
    }
    let mut found = write::look_up(state, &object, field, &rows);
    for index in strangers {
        let message = format!("record type does not match the type in the URL: {}", object.name);
        found[index] = Lookup::Refused(Problem::row("INVALID_TYPE_ON_FIELD_IN_RECORD", message, &[]));
    }
    let field = field.name.to_string();
    Ok(Upsert { object, field, rows, found, all_or_none })
}

/// Second step: writes what the first one found.
pub(super) fn upsert(state: &mut State, call: &Call, step: Upsert) -> Result<Answer, Problem> {
    let field = write::upsert_field(&step.object, &step.field)?;
    let planned = write::plan_upsert(&step.object, field, step.rows, step.found);
    Ok(answer(write::run(state, &call.origin, planned, step.all_or_none)?, true))
}

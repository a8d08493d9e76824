//! The administrator's door under `/sim/`: seeding, looking, switches, faults. JSON, without authentication.
//!
//! Nothing here counts as an API call, and no fault or latency touches it.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::faults::Fault;
use super::org::Org;
use super::problem::Problem;
use super::seed;
use super::service::Incoming;
use super::table::Record;
use super::target::Target;

/// Answers a request below `/sim/`.
pub(super) fn handle(org: &Org, request: &Incoming) -> Answer {
    let target = Target::parse(&request.target);
    let segments: Vec<&str> = target.segments.iter().skip(1).map(String::as_str).collect();
    let done = |result: Result<Value, Problem>| match result {
        Ok(body) => Answer::json(200, &body),
        Err(problem) => Answer::problem(&problem),
    };
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["state"]) => Answer::json(200, &state(org, target.parameters.get("object").map(String::as_str))),
        ("POST", ["records", object]) => done(insert(org, object, request)),
        ("PATCH", ["records", id]) => done(update(org, id, request)),
        ("DELETE", ["records"]) => {
            org.clear_records();
            Answer::empty(204)
        }
        ("GET", ["counters"]) => Answer::json(200, &org.counters()),
        ("POST", ["counters", "reset"]) => {
            org.reset_counters();
            Answer::empty(204)
        }
        ("GET", ["settings"]) => Answer::json(200, &org.lock().settings.clone()),
        ("PUT" | "PATCH", ["settings"]) => done(settings(org, request)),
        ("GET", ["faults"]) => Answer::json(200, &org.lock().faults.list()),
        ("POST", ["faults"]) => done(add_faults(org, request)),
        ("DELETE", ["faults"]) => {
            org.clear_faults();
            Answer::empty(204)
        }
        ("POST", ["archive"]) => Answer::json(200, &json!({ "archived": org.archive() })),
        ("POST", ["sessions", "expire"]) => {
            org.expire_sessions();
            Answer::empty(204)
        }
        ("POST", ["save"]) => match org.save() {
            Ok(()) => Answer::empty(204),
            Err(error) => Answer::problem(&Problem::new(500, "STATE", error.to_string())),
        },
        _ => Answer::problem(&Problem::not_found()),
    }
}

fn bad(message: impl ToString) -> Problem {
    Problem::new(400, "BAD_REQUEST", message.to_string())
}

fn body(request: &Incoming) -> Result<Value, Problem> {
    serde_json::from_slice(&request.body).map_err(bad)
}

/// All records that are not deleted, by object; standard ones are left out unless their object is asked for.
fn state(org: &Org, wanted: Option<&str>) -> Value {
    let state = org.lock();
    let is_wanted = |name: &str| match wanted {
        Some(wanted) => wanted.eq_ignore_ascii_case(name),
        None => !matches!(name, "TaskStatus" | "Organization"),
    };
    let objects: Map<String, Value> = state
        .schema
        .objects
        .iter()
        .filter(|object| is_wanted(object.name))
        .map(|object| {
            let live = state.table(object).iter().filter(|record| !record.is_deleted());
            let records: Vec<_> = live.map(Record::to_map).collect();
            (object.name.to_owned(), json!(records))
        })
        .collect();
    Value::Object(objects)
}

fn insert(org: &Org, object: &str, request: &Incoming) -> Result<Value, Problem> {
    let records = match body(request)? {
        Value::Array(records) => records,
        record => vec![record],
    };
    let mut state = org.lock();
    let mut ids = Vec::with_capacity(records.len());
    for record in records {
        ids.push(seed::insert(&mut state, object, record).map_err(bad)?);
    }
    drop(state);
    org.touched();
    Ok(json!({ "ids": ids }))
}

fn update(org: &Org, id: &str, request: &Incoming) -> Result<Value, Problem> {
    seed::update(&mut org.lock(), id, body(request)?).map_err(bad)?;
    org.touched();
    Ok(json!({ "id": id }))
}

fn settings(org: &Org, request: &Incoming) -> Result<Value, Problem> {
    let change = body(request)?;
    let mut state = org.lock();
    state.settings = state.settings.merged(change).map_err(bad)?;
    state.settings_changed();
    serde_json::to_value(&state.settings).map_err(bad)
}

fn add_faults(org: &Org, request: &Incoming) -> Result<Value, Problem> {
    let body = body(request)?;
    let faults: Vec<Fault> = match &body {
        Value::Array(_) => serde_json::from_value(body).map_err(bad)?,
        _ => vec![serde_json::from_value(body).map_err(bad)?],
    };
    let mut state = org.lock();
    faults.into_iter().for_each(|fault| state.faults.add(fault));
    Ok(json!({ "active": state.faults.list() }))
}

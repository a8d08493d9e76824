//! The administrator's door under `/sim/`: looking, seeding, switches, faults. JSON, without authentication.
//!
//! Nothing here is counted, and no fault or latency touches it.

use serde_json::{Value, json};

use super::{Answer, Api, Counters, Fault, Remote, Request};

/// Answers a request below `/sim/`.
pub(super) fn handle<R: Remote>(api: &Api<R>, request: &Request) -> Answer {
    let segments = request.segments();
    let done = |result: Result<Value, String>| match result {
        Ok(body) => Answer::json(200, &body),
        Err(message) => Answer::json(400, &json!({ "error": message })),
    };
    match (request.method.as_str(), &segments[1..]) {
        ("GET", ["counters"]) => done(serde_json::to_value(api.counters()).map_err(|error| error.to_string())),
        ("POST", ["counters", "reset"]) => {
            api.lock().counters = Counters::default();
            Answer::empty(204)
        }
        ("GET", ["settings"]) => done(settings(api)),
        ("PUT" | "PATCH" | "POST", ["settings"]) => done(change(api, request)),
        ("GET", ["faults"]) => done(serde_json::to_value(api.lock().faults.list()).map_err(|error| error.to_string())),
        ("POST", ["faults"]) => done(add_faults(api, request)),
        ("DELETE", ["faults"]) => {
            api.clear_faults();
            Answer::empty(204)
        }
        ("POST", ["release"]) => {
            api.release();
            Answer::empty(204)
        }
        ("POST", ["records", table]) => done(insert(api, table, request)),
        ("DELETE", [] | ["records"]) => {
            api.clear();
            Answer::empty(204)
        }
        ("GET", ["records", table] | [table]) => known(api.lock().remote.records(table)),
        ("DELETE", [table]) => {
            let is_known = api.lock().remote.records(table).is_some();
            if !is_known {
                return known(None);
            }
            api.clear();
            Answer::empty(204)
        }
        _ => known(None),
    }
}

/// A page with the policy that none of its content can act.
pub(super) fn page(page: String) -> Answer {
    Answer::html(200, page)
        .header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
        )
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
}

fn known(records: Option<Vec<Value>>) -> Answer {
    match records {
        Some(records) => Answer::json(200, &Value::Array(records)),
        None => Answer::json(404, &json!({ "error": "there is no such door" })),
    }
}

fn body(request: &Request) -> Result<Value, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

fn many(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        value => vec![value],
    }
}

fn settings<R: Remote>(api: &Api<R>) -> Result<Value, String> {
    serde_json::to_value(&api.lock().settings).map_err(|error| error.to_string())
}

fn change<R: Remote>(api: &Api<R>, request: &Request) -> Result<Value, String> {
    let mut merged = settings(api)?;
    merge(&mut merged, body(request)?);
    let changed = serde_json::from_value(merged.clone()).map_err(|error| error.to_string())?;
    api.settings(|settings| *settings = changed);
    Ok(merged)
}

/// Objects are merged member by member, all else is replaced.
fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (name, value) in change {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}

fn add_faults<R: Remote>(api: &Api<R>, request: &Request) -> Result<Value, String> {
    let faults: Vec<Fault> =
        serde_json::from_value(Value::Array(many(body(request)?))).map_err(|error| error.to_string())?;
    let mut state = api.lock();
    for fault in faults {
        state.faults.add(fault);
    }
    serde_json::to_value(state.faults.list()).map_err(|error| error.to_string())
}

fn insert<R: Remote>(api: &Api<R>, table: &str, request: &Request) -> Result<Value, String> {
    let mut ids = Vec::new();
    for record in many(body(request)?) {
        ids.push(api.lock().remote.insert(table, record)?);
    }
    Ok(json!({ "ids": ids }))
}

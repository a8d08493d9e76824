//! `/composite` and `/composite/batch`: several calls in one request, the first with references between them.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::data::{self, Call};
use super::org::State;
use super::problem::Problem;
use super::route::Route;
use super::target::Target;

const CALLS_MAX: usize = 25;
const QUERIES_MAX: usize = 5;

/// POST `/composite`.
pub(super) fn composite(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let mut body = call.object()?;
    let all_or_none = body.get("allOrNone").and_then(Value::as_bool).unwrap_or(false);
    if all_or_none {
        return Err(Problem::new(400, "INVALID_OPERATION", "allOrNone of /composite is not simulated"));
    }
    let requests = list(&mut body, "compositeRequest")?;
    let mut answers: Map<String, Value> = Map::new();
    let mut responses = Vec::with_capacity(requests.len());
    let mut queries = 0;
    for request in requests {
        let reference = request["referenceId"].as_str().unwrap_or_default().to_owned();
        let answer = match resolve(&request, &answers) {
            None => {
                let message = "Invalid reference specified. No value for the reference, or its request failed";
                Answer::problem(&Problem::new(400, "PROCESSING_HALTED", message))
            }
            Some(request) => {
                let inner = inner_call(call, &request, "body");
                queries += usize::from(inner.as_ref().is_ok_and(|inner| is_heavy(&inner.route)));
                match inner {
                    Ok(_) if queries > QUERIES_MAX => {
                        let message = format!("Cannot have more than {QUERIES_MAX} query or collection subrequests");
                        Answer::problem(&Problem::new(400, "LIMIT_EXCEEDED", message))
                    }
                    inner => inner.and_then(|inner| data::now(state, &inner)).into(),
                }
            }
        };
        if answer.status < 300 {
            answers.insert(reference.clone(), answer.body());
        }
        let headers: Map<String, Value> =
            answer.headers.iter().map(|(_, value)| ("Location".to_owned(), Value::from(value.as_str()))).collect();
        responses.push(json!({
            "body": answer.body(), "httpHeaders": headers, "httpStatusCode": answer.status, "referenceId": reference,
        }));
    }
    Ok(Answer::json(200, &json!({ "compositeResponse": responses })))
}

/// POST `/composite/batch`.
pub(super) fn batch(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let mut body = call.object()?;
    let halts = body.get("haltOnError").and_then(Value::as_bool).unwrap_or(false);
    let mut results = Vec::new();
    let mut has_errors = false;
    for mut request in list(&mut body, "batchRequests")? {
        if has_errors && halts {
            let problem = Problem::new(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request");
            results.push(json!({ "statusCode": 412, "result": [problem.to_request_json()] }));
            continue;
        }
        if let Some(url) = request["url"].as_str().filter(|url| url.starts_with('v')) {
            request["url"] = Value::from(format!("/services/data/{url}"));
        }
        let answer: Answer = inner_call(call, &request, "richInput").and_then(|inner| data::now(state, &inner)).into();
        has_errors |= answer.status >= 400;
        results.push(json!({ "statusCode": answer.status, "result": answer.body() }));
    }
    Ok(Answer::json(200, &json!({ "hasErrors": has_errors, "results": results })))
}

fn list(body: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, Problem> {
    match body.remove(name) {
        Some(Value::Array(requests)) if requests.len() <= CALLS_MAX => Ok(requests),
        Some(Value::Array(_)) => {
            let message = format!("Cannot have more than {CALLS_MAX} subrequests");
            Err(Problem::new(400, "LIMIT_EXCEEDED", message))
        }
        _ => Err(Problem::json(format!("the required field '{name}' is missing"))),
    }
}

fn is_heavy(route: &Route) -> bool {
    matches!(
        route,
        Route::Query { .. }
            | Route::CollectionCreate
            | Route::CollectionUpdate
            | Route::CollectionUpsert { .. }
            | Route::CollectionDelete
    )
}

fn inner_call(outer: &Call, request: &Value, body: &str) -> Result<Call, Problem> {
    let method = request["method"].as_str().unwrap_or("GET").to_ascii_uppercase();
    let target = Target::parse(request["url"].as_str().unwrap_or_default());
    let ["services", "data", version, ..] = target.segments.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
        return Err(Problem::not_found());
    };
    let route = Route::parse(&method, &target.segments[3..])?;
    if matches!(route, Route::Composite | Route::Batch) {
        return Err(Problem::new(400, "INVALID_OPERATION", "a composite request cannot hold another"));
    }
    let bytes = match &request[body] {
        Value::Null => Bytes::new(),
        value => Bytes::from(value.to_string()),
    };
    let version = version.to_owned();
    Ok(Call { route, version, parameters: target.parameters, body: bytes, ..outer.clone() })
}

/// The request with every `@{reference.path}` replaced, `None` if one leads nowhere.
fn resolve(request: &Value, answers: &Map<String, Value>) -> Option<Value> {
    Some(match request {
        Value::String(text) => Value::from(resolve_text(text, answers)?),
        Value::Array(items) => items.iter().map(|item| resolve(item, answers)).collect::<Option<_>>()?,
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| Some((name.clone(), resolve(value, answers)?)))
            .collect::<Option<Map<_, _>>>()?
            .into(),
        other => other.clone(),
    })
}

fn resolve_text(text: &str, answers: &Map<String, Value>) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        let (path, after) = after.split_once('}')?;
        let (reference, path) = path.split_once('.')?;
        let mut value = answers.get(reference)?;
        for part in path.split(['.', '[']) {
            let part = part.trim_end_matches(']');
            value = match part.parse::<usize>() {
                Ok(index) => value.get(index)?,
                Err(_) => value.get(part)?,
            };
        }
        result.push_str(before);
        result.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        rest = after;
    }
    result.push_str(rest);
    Some(result)
}

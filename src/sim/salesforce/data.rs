//! The REST resources of one API version: what each route answers, given the state.
//!
//! Everything here is synchronous and happens under the org's lock, except that an upsert may be held between its two
//! steps.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{Answer, saved};
use super::org::{Org, State};
use super::problem::Problem;
use super::route::Route;
use super::schema::Object;
use super::table::RowNumber;
use super::write::{Action, KeyRow, Lookup, Origin, Planned, RowResult};
use super::{collections, composite, describe, ids, query, soql, write};

/// A request for data, past transport and authentication.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) route: Route,
    /// `v66.0`.
    pub(super) version: String,
    pub(super) parameters: HashMap<String, String>,
    pub(super) body: Bytes,
    pub(super) origin: Origin,
    /// `Sforce-Query-Options: batchSize=`.
    pub(super) page_rows: Option<usize>,
}

impl Call {
    /// The path all resources of this version begin with.
    pub(super) fn root(&self) -> String {
        format!("/services/data/{}", self.version)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The body as a JSON object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Problem> {
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Problem::json("The HTTP entity body is required to be a JSON object")),
            Err(_) if self.body.is_empty() => {
                Err(Problem::json("The HTTP entity body is required, but this request has no entity body."))
            }
            Err(error) => Err(Problem::json(format!(
                "Unexpected character or end of input at [line:{}, column:{}]",
                error.line(),
                error.column()
            ))),
        }
    }
}

/// Answers a call; an upsert waits `race` between looking up and writing.
pub(super) async fn dispatch(org: &Org, call: &Call, race: Duration) -> Answer {
    if race.is_zero() {
        return now(&mut org.lock(), call).into();
    }
    match &call.route {
        Route::Upsert { object, field, value } => {
            let looked_up = single_lookup(&org.lock(), call, object, field, value);
            tokio::time::sleep(race).await;
            looked_up.and_then(|step| single_upsert(&mut org.lock(), call, step)).into()
        }
        Route::CollectionUpsert { object, field } => {
            let looked_up = collections::look_up(&org.lock(), call, object, field);
            tokio::time::sleep(race).await;
            looked_up.and_then(|step| collections::upsert(&mut org.lock(), call, step)).into()
        }
        _ => now(&mut org.lock(), call).into(),
    }
}

/// Answers a call at once.
pub(super) fn now(state: &mut State, call: &Call) -> Result<Answer, Problem> {
    let root = call.root();
    match &call.route {
        Route::Resources => Ok(Answer::json(200, &resources(&root))),
        Route::Limits => Ok(Answer::json(200, &state.usage.to_json(&state.settings))),
        Route::Query { is_all } => {
            let statement = call.parameter("q").filter(|statement| !statement.trim().is_empty());
            let statement =
                statement.ok_or_else(|| Problem::new(400, "MALFORMED_QUERY", "A query string has to be specified"))?;
            query::first_page(state, statement, *is_all, call.page_rows, &root)
        }
        Route::QueryMore { locator } => query::next_page(state, locator, &root),
        Route::DescribeGlobal => Ok(Answer::json(200, &describe::global(&state.schema, &root))),
        Route::ObjectInformation { object } => {
            Ok(Answer::json(200, &describe::information(&*known_object(state, object)?, &root)))
        }
        Route::Describe { object } => Ok(Answer::json(200, &describe::full(&*known_object(state, object)?, &root))),
        Route::Create { object } => create(state, call, object),
        Route::Retrieve { object, id } => {
            let (object, row) = known_row(state, object, id, Problem::not_found)?;
            record(state, call, &object, row)
        }
        Route::Update { object, id } => {
            let (object, row) = known_row(state, object, id, missing_row)?;
            let planned = Planned { object, body: call.object()?, action: Action::Update(row) };
            one(state, call, planned)?.map(|_| Answer::empty(204))
        }
        Route::Delete { object, id } => {
            let (object, row) = known_row(state, object, id, missing_row)?;
            delete(state, call, object, row)
        }
        Route::RetrieveByKey { object, field, value } => retrieve_by_key(state, call, object, field, value),
        Route::Upsert { object, field, value } => {
            let step = single_lookup(state, call, object, field, value)?;
            single_upsert(state, call, step)
        }
        Route::DeleteByKey { object, field, value } => {
            let object = known_object(state, object)?;
            let rows = rows_by_key(state, &object, field, value)?;
            match rows.as_slice() {
                [] => Err(Problem::not_found()),
                [row] => delete(state, call, object, *row),
                several => Ok(choices(state, &object, several, &root)),
            }
        }
        Route::CollectionCreate => collections::create(state, call),
        Route::CollectionUpdate => collections::update(state, call),
        Route::CollectionDelete => collections::delete(state, call),
        Route::CollectionRetrieve { object } => collections::retrieve(state, call, object),
        Route::CollectionUpsert { object, field } => {
            let step = collections::look_up(state, call, object, field)?;
            collections::upsert(state, call, step)
        }
        Route::Composite => composite::composite(state, call),
        Route::Batch => composite::batch(state, call),
    }
}

fn resources(root: &str) -> Value {
    let names = ["sobjects", "query", "queryAll", "limits", "composite"];
    names.into_iter().map(|name| (name.to_owned(), Value::from(format!("{root}/{name}")))).collect::<Map<_, _>>().into()
}

pub(super) fn known_object(state: &State, name: &str) -> Result<Arc<Object>, Problem> {
    state.schema.object(name).cloned().ok_or_else(Problem::not_found)
}

fn missing_row() -> Problem {
    Problem::new(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
}

/// The row an id names, which must be of this object; a deleted one is `ENTITY_IS_DELETED`.
fn known_row(
    state: &State,
    object: &str,
    id: &str,
    missing: fn() -> Problem,
) -> Result<(Arc<Object>, RowNumber), Problem> {
    let object = known_object(state, object)?;
    let Some(id) = ids::normalise(id) else {
        let message = format!("Provided external ID field does not exist or is not accessible: {id}");
        return Err(Problem::new(404, "NOT_FOUND", message));
    };
    let table = state.table(&object);
    let row = table.find(&id).ok_or_else(missing)?;
    if table.row(row).is_some_and(|record| record.is_deleted()) {
        return Err(Problem::row("ENTITY_IS_DELETED", "entity is deleted", &[]).with_status(404));
    }
    Ok((object, row))
}

fn record(state: &State, call: &Call, object: &Arc<Object>, row: RowNumber) -> Result<Answer, Problem> {
    let mut fields = Vec::new();
    for name in call.parameter("fields").into_iter().flat_map(|names| names.split(',')).map(str::trim) {
        let field = object.field(name).ok_or_else(|| Problem::no_such_column(name, object.name))?;
        fields.push(field.name.to_string());
    }
    let root = call.root();
    Ok(Answer::json(200, &soql::Record { state, object, row, root: &root, fields: &fields }))
}

fn create(state: &mut State, call: &Call, object: &str) -> Result<Answer, Problem> {
    let object = known_object(state, object)?;
    let planned = Planned { object: Arc::clone(&object), body: call.object()?, action: Action::Insert };
    let (id, _) = one(state, call, planned)??;
    let location = format!("{}/sobjects/{}/{id}", call.root(), object.name);
    Ok(Answer::json(201, &saved(&id, None)).header("location", location))
}

fn delete(state: &mut State, call: &Call, object: Arc<Object>, row: RowNumber) -> Result<Answer, Problem> {
    let planned = Planned { object, body: Map::new(), action: Action::Delete(row) };
    one(state, call, planned)?.map(|_| Answer::empty(204))
}

/// Writes a single row.
fn one(state: &mut State, call: &Call, planned: Planned) -> Result<RowResult, Problem> {
    let results = write::run(state, &call.origin, vec![planned], false)?;
    Ok(results.into_iter().next().unwrap_or_else(|| Err(Problem::unknown_exception())))
}

fn rows_by_key(state: &State, object: &Arc<Object>, field: &str, value: &str) -> Result<Vec<RowNumber>, Problem> {
    let field = write::upsert_field(object, field)?;
    let rows = write::find(state, object, field, &Value::from(value), false);
    if rows.is_empty() && value.contains('+') {
        // Some clients encode a space in the path as a form does.
        return Ok(write::find(state, object, field, &Value::from(value.replace('+', " ")), false));
    }
    Ok(rows)
}

fn retrieve_by_key(state: &State, call: &Call, object: &str, field: &str, value: &str) -> Result<Answer, Problem> {
    let object = known_object(state, object)?;
    match rows_by_key(state, &object, field, value)?.as_slice() {
        [] => Err(Problem::not_found()),
        [row] => record(state, call, &object, *row),
        several => Ok(choices(state, &object, several, &call.root())),
    }
}

/// 300: the URLs of all records that match a key.
fn choices(state: &State, object: &Object, rows: &[RowNumber], root: &str) -> Answer {
    let table = state.table(object);
    let urls: Vec<String> = rows
        .iter()
        .filter_map(|row| table.row(*row))
        .map(|record| format!("{root}/sobjects/{}/{}", object.name, record.id()))
        .collect();
    Answer::json(300, &urls)
}

/// A single upsert between its two steps.
struct SingleUpsert {
    object: Arc<Object>,
    field: String,
    row: KeyRow,
    found: Lookup,
}

fn single_lookup(state: &State, call: &Call, object: &str, field: &str, value: &str) -> Result<SingleUpsert, Problem> {
    let object = known_object(state, object)?;
    let field = write::upsert_field(&object, field)?;
    let body = call.object()?;
    let forbidden = body.keys().find(|name| name.eq_ignore_ascii_case("Id") || name.eq_ignore_ascii_case(&field.name));
    if let Some(name) = forbidden {
        let message = format!("The {name} field should not be specified in the sobject data.");
        return Err(Problem::row("INVALID_FIELD", message, &[name]));
    }
    let row = KeyRow { key: Value::from(value), body };
    let found = write::look_up(state, &object, field, std::slice::from_ref(&row)).pop();
    let found = found.unwrap_or_else(|| Lookup::Refused(Problem::unknown_exception()));
    let field = field.name.to_string();
    Ok(SingleUpsert { object, field, row, found })
}

fn single_upsert(state: &mut State, call: &Call, step: SingleUpsert) -> Result<Answer, Problem> {
    let SingleUpsert { object, field, row, found } = step;
    match &found {
        Lookup::Several(rows) => return Ok(choices(state, &object, rows, &call.root())),
        Lookup::New if call.parameter("updateOnly") == Some("true") => return Err(Problem::not_found()),
        _ => {}
    }
    let field = write::upsert_field(&object, &field)?;
    let mut planned = write::plan_upsert(&object, field, vec![row], vec![found]);
    let Some(planned) = planned.pop() else { return Err(Problem::unknown_exception()) };
    let (id, created) = one(state, call, planned)??;
    let is_old = call.version.trim_start_matches('v').parse::<f32>().is_ok_and(|version| version < 46.0);
    match (created, is_old) {
        (false, true) => Ok(Answer::empty(204)),
        (true, true) => Ok(Answer::json(201, &saved(&id, None))),
        (created, false) => Ok(Answer::json(if created { 201 } else { 200 }, &saved(&id, Some(created)))),
    }
}

/// The versions the org answers, newest last, as `GET /services/data/` lists them.
pub(super) fn versions(newest: u32) -> Value {
    let seasons = ["Spring", "Summer", "Winter"];
    (super::VERSION_MIN..=newest)
        .map(|version| {
            // Version 66 is Spring '26; three releases a year, Winter carrying the next year's number.
            let releases = i64::from(version) - 66;
            let season = seasons[releases.rem_euclid(3) as usize];
            let year = 26 + releases.div_euclid(3) + i64::from(season == "Winter");
            let url = format!("/services/data/v{version}.0");
            json!({ "label": format!("{season} '{year:02}"), "url": url, "version": format!("{version}.0") })
        })
        .collect::<Vec<_>>()
        .into()
}

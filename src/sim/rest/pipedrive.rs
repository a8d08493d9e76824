//! A simulated Pipedrive company: call logs, activities of type call, recordings, and the search of persons.
//!
//! Nothing here refuses doubles: a client must look, or keep a table of its own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::harness::check::{
    Check, Rule, Wrong, civil, count, digits, filled, kind, object, one_of, optional, required, text,
};
use super::harness::{self, Answer, Context, Remote, Request, Switches, Traffic};
use super::table::{Record, Table};

/// A running simulator.
pub type Simulator = harness::Simulator<Pipedrive>;
/// How one is made.
pub type Options = harness::Options<Pipedrive>;
/// The company behind it.
pub type Api = harness::Api<Pipedrive>;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 500;
const TIME: &str = "%Y-%m-%d %H:%M:%S";
const OUTCOMES: [&str; 6] = ["connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy"];

const CALL_LOG: &[Rule] = &[
    required("to_phone_number", filled),
    required("outcome", |value| one_of(value, &OUTCOMES)),
    required("start_time", utc),
    required("end_time", utc),
    optional("duration", digits),
    optional("from_phone_number", filled),
    optional("subject", text),
    optional("user_id", count),
    optional("person_id", count),
    optional("org_id", count),
    optional("deal_id", count),
    optional("lead_id", guid),
    optional("activity_id", count),
    optional("note", text),
];

const ACTIVITY: &[Rule] = &[
    required("subject", filled),
    required("type", |value| one_of(value, &["call", "meeting", "task", "deadline", "email", "lunch"])),
    optional("due_date", |value| clock(value, "%Y-%m-%d")),
    optional("due_time", |value| clock(value, "%H:%M")),
    optional("duration", |value| clock(value, "%H:%M")),
    optional("user_id", count),
    optional("person_id", count),
    optional("org_id", count),
    optional("deal_id", count),
    optional("lead_id", guid),
    optional("note", text),
    optional("public_description", text),
    optional("done", flag),
    optional("busy_flag", harness::check::boolean),
];

/// Every switch of the company.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The token of the API, taken as `api_token` or `x-api-token`.
    pub token: String,
    /// The status of a record that was made.
    pub create_status: u16,
    /// A second call log of one activity is a 409, one of a deleted activity a 410.
    pub call_log_conflicts: bool,
    /// Persons, organisations and deals that a record names must be there.
    pub links_checked: bool,
    /// A search by phone compares digits only, not the number as it is written.
    pub phone_search_normalises: bool,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            token: "sim-token".to_owned(),
            create_status: 200,
            call_log_conflicts: true,
            links_checked: true,
            phone_search_normalises: false,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// The simulated company.
#[derive(Debug, Default)]
pub struct Pipedrive {
    persons: Table,
    organizations: Table,
    deals: Table,
    activities: Table,
    call_logs: Table,
    recordings: Vec<Value>,
    serial: u64,
}

type Asked<'a> = Context<'a, Settings>;
type Answered = Result<Answer, Answer>;

fn refused(status: u16, message: &str) -> Answer {
    let body = json!({
        "success": false, "error": message, "error_info": "see the reference of the API", "data": null,
        "additional_data": null,
    });
    Answer::json(status, &body)
}

fn bad(wrong: impl ToString) -> Answer {
    refused(400, &wrong.to_string())
}

fn utc(value: &Value) -> Check {
    clock(value, TIME)
}

fn clock(value: &Value, form: &str) -> Check {
    text(value)?;
    let sent = value.as_str().unwrap_or_default();
    // A time alone is no date and time: any day does.
    let is_good = match form {
        TIME => civil(sent, TIME).is_some(),
        "%H:%M" => civil(&format!("2000-01-01 {sent}"), "%Y-%m-%d %H:%M").is_some(),
        _ => civil(&format!("{sent} 00:00"), "%Y-%m-%d %H:%M").is_some(),
    };
    if is_good { Ok(()) } else { Wrong::here(format!("`{sent}` is not in the form {form}")) }
}

fn guid(value: &Value) -> Check {
    text(value)?;
    let is_good = value.as_str().is_some_and(harness::check::is_guid);
    if is_good { Ok(()) } else { Wrong::here("expected a UUID") }
}

/// 0 or 1, as the first version of the API documents it, or true or false.
fn flag(value: &Value) -> Check {
    let is_good = value.is_boolean() || *value == 0 || *value == 1;
    if is_good { Ok(()) } else { Wrong::here(format!("expected 0 or 1, got {}", kind(value))) }
}

fn shown(record: &Record) -> Value {
    let mut fields = record.fields.clone();
    let id = record.id.parse::<u64>().map_or_else(|_| json!(record.id), |number| json!(number));
    fields.insert("id".to_owned(), id);
    fields.insert("add_time".to_owned(), json!(record.created.strftime(TIME).to_string()));
    Value::Object(fields)
}

fn done(status: u16, data: &Value) -> Answer {
    Answer::json(status, &json!({ "success": true, "data": data }))
}

impl Pipedrive {
    fn next_id(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// What a record says of others: they are there, and a deal and a lead are not both named.
    fn check_links(&self, sent: &Value, settings: &Settings) -> Check {
        if sent.get("deal_id").is_some() && sent.get("lead_id").is_some() {
            return Wrong::at("lead_id", "cannot be set together with deal_id");
        }
        let links = [("person_id", &self.persons), ("org_id", &self.organizations), ("deal_id", &self.deals)];
        for (name, table) in links {
            let id = sent.get(name).map(Value::to_string);
            if settings.links_checked && id.as_ref().is_some_and(|id| table.get(id).is_none()) {
                return Wrong::at(name, format!("{} is not there", id.unwrap_or_default()));
            }
        }
        Ok(())
    }

    fn log_call(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let sent = read(request)?;
        object(&sent, CALL_LOG).map_err(bad)?;
        let time = |name: &str| sent[name].as_str().and_then(|text| civil(text, TIME));
        if time("end_time") < time("start_time") {
            return Err(bad("end_time: is before start_time"));
        }
        let mut fields = sent.as_object().cloned().unwrap_or_default();
        let activity = sent.get("activity_id").map(Value::to_string);
        match &activity {
            Some(id) => {
                self.check_activity(id, context.settings)?;
                // With an activity the other links are ignored.
                for name in ["person_id", "org_id", "deal_id", "lead_id"] {
                    fields.remove(name);
                }
            }
            None => self.check_links(&sent, context.settings).map_err(bad)?,
        }
        context.count("create_call_log");
        // Ids of call logs are no numbers, unlike all others.
        let id = format!("ca11{:028x}", self.next_id());
        let answer = shown(self.call_logs.add(id, fields, context.now));
        Ok(done(context.settings.create_status, &answer))
    }

    fn check_activity(&self, id: &str, settings: &Settings) -> Result<(), Answer> {
        if self.activities.has_deleted(id) && settings.call_log_conflicts {
            return Err(refused(410, "activity_id: the activity is deleted"));
        }
        if self.activities.get(id).is_none() {
            return Err(bad(format!("activity_id: {id} is not there")));
        }
        let mut logs = self.call_logs.live();
        let is_taken =
            logs.any(|log| log.fields.get("activity_id").is_some_and(|taken| taken.as_u64() == id.parse().ok()));
        match is_taken && settings.call_log_conflicts {
            true => Err(refused(409, "activity_id: the activity has a call log already")),
            false => Ok(()),
        }
    }

    fn add_activity(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let sent = read(request)?;
        object(&sent, ACTIVITY).map_err(bad)?;
        self.check_links(&sent, context.settings).map_err(bad)?;
        context.count("create_activity");
        let id = self.next_id().to_string();
        let answer = shown(self.activities.add(id, with_done(&sent), context.now));
        Ok(done(context.settings.create_status, &answer))
    }

    fn change_activity(&mut self, context: &mut Asked<'_>, request: &Request, id: &str) -> Answered {
        let sent = read(request)?;
        let relaxed: Vec<Rule> = ACTIVITY.iter().map(|rule| Rule { is_required: false, ..*rule }).collect();
        object(&sent, &relaxed).map_err(bad)?;
        self.check_links(&sent, context.settings).map_err(bad)?;
        let record = self.activities.get_mut(id).ok_or_else(|| refused(404, "the activity is not there"))?;
        let mut changes = with_done(&sent);
        if sent.get("done").is_none() {
            changes.remove("done");
        }
        record.merge(changes, context.now);
        context.count("update_activity");
        Ok(done(200, &shown(record)))
    }

    fn remove(&mut self, context: &mut Asked<'_>, kind: &str, id: &str) -> Answered {
        let table = if kind == "activities" { &mut self.activities } else { &mut self.call_logs };
        if table.has_deleted(id) {
            return Err(refused(410, "it is deleted already"));
        }
        table.get_mut(id).ok_or_else(|| refused(404, "it is not there"))?.is_deleted = true;
        context.count("delete");
        Ok(done(200, &json!({ "id": id })))
    }

    fn record_call(&mut self, context: &mut Asked<'_>, request: &Request, id: &str) -> Answered {
        if self.call_logs.has_deleted(id) {
            return Err(refused(410, "the call log is deleted"));
        }
        self.call_logs.get(id).ok_or_else(|| refused(404, "the call log is not there"))?;
        let file = request.file("file").map_err(bad)?;
        if !file.content_type.starts_with("audio/") {
            return Err(bad(format!("file: expected audio, got `{}`", file.content_type)));
        }
        context.count("recording");
        self.recordings.push(json!({ "call_log": id, "name": file.name, "size": file.bytes.len() }));
        Ok(Answer::json(200, &json!({ "success": true })))
    }

    fn search_persons(&self, context: &mut Asked<'_>, request: &Request) -> Answered {
        only(request, &["term", "fields", "exact_match", "organization_id", "include_fields", "start", "limit"])?;
        let term = request.parameter("term").unwrap_or_default().to_lowercase();
        let is_exact = match request.parameter("exact_match").unwrap_or("false") {
            "true" | "1" => true,
            "false" | "0" => false,
            other => return Err(bad(format!("exact_match: `{other}` is neither true nor false"))),
        };
        if term.chars().count() < if is_exact { 1 } else { 2 } {
            return Err(bad("term: is too short"));
        }
        let fields: Vec<&str> = request.parameter("fields").unwrap_or("name,email,phone").split(',').collect();
        if let Some(other) =
            fields.iter().find(|field| !["name", "email", "phone", "notes", "custom_fields"].contains(*field))
        {
            return Err(bad(format!("fields: `{other}` is no field of the search")));
        }
        context.count("search");
        let fits = |record: &&Record| {
            fields.iter().flat_map(|field| values(record, field).into_iter().map(move |value| (*field, value))).any(
                |(field, value)| {
                    let by_digits = field == "phone" && context.settings.phone_search_normalises;
                    let (value, term) = match by_digits {
                        true => (only_digits(&value), only_digits(&term)),
                        false => (value.to_lowercase(), term.clone()),
                    };
                    if is_exact { value == term } else { !term.is_empty() && value.contains(&term) }
                },
            )
        };
        let found: Vec<Value> = self
            .persons
            .live()
            .filter(fits)
            .map(|record| {
                let id = record.id.parse::<u64>().unwrap_or_default();
                let item = json!({
                    "id": id, "type": "person", "name": record.text("name"), "emails": values(record, "email"),
                    "phones": values(record, "phone"), "organization": null, "owner": { "id": 1 },
                });
                json!({ "result_score": 1.0, "item": item })
            })
            .collect();
        let (page, pagination) = paged(found, request)?;
        let body = json!({
            "success": true, "data": { "items": page }, "additional_data": { "pagination": pagination },
        });
        Ok(Answer::json(200, &body))
    }

    fn list(&self, context: &mut Asked<'_>, request: &Request, kind: &str) -> Answered {
        context.count("list");
        let table = if kind == "activities" { &self.activities } else { &self.call_logs };
        if kind == "activities" {
            only(request, &["type", "user_id", "start_date", "end_date", "done", "start", "limit"])?;
        } else {
            only(request, &["start", "limit"])?;
        }
        let fits = |record: &&Record| {
            let due = record.text("due_date");
            let done = request.parameter("done").map(|done| done == "1");
            request.parameter("type").is_none_or(|types| types.split(',').any(|kind| kind == record.text("type")))
                && request.parameter("start_date").is_none_or(|from| !due.is_empty() && due >= from)
                && request.parameter("end_date").is_none_or(|to| !due.is_empty() && due <= to)
                && done.is_none_or(|done| record.fields.get("done") == Some(&json!(done)))
        };
        let found: Vec<Value> = table.live().filter(fits).map(shown).collect();
        let (page, pagination) = paged(found, request)?;
        let body = json!({ "success": true, "data": page, "additional_data": { "pagination": pagination } });
        Ok(Answer::json(200, &body))
    }

    fn route(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let segments = request.segments();
        // Some clients write the long form of the address.
        let rest = match segments.as_slice() {
            ["v1", rest @ ..] | ["api", "v1", rest @ ..] => rest,
            _ => return Err(refused(404, "there is no such path")),
        };
        match (request.method.as_str(), rest) {
            ("POST", ["callLogs"]) => self.log_call(context, request),
            ("POST", ["callLogs", id, "recordings"]) => self.record_call(context, request, id),
            ("POST", ["activities"]) => self.add_activity(context, request),
            ("PUT", ["activities", id]) => self.change_activity(context, request, id),
            ("DELETE", [kind @ ("activities" | "callLogs"), id]) => self.remove(context, kind, id),
            ("GET", [kind @ ("activities" | "callLogs")]) => self.list(context, request, kind),
            ("GET", ["persons", "search"]) => self.search_persons(context, request),
            ("GET", [kind @ ("activities" | "callLogs" | "persons"), id]) => {
                context.count("read");
                let table = match *kind {
                    "activities" => &self.activities,
                    "callLogs" => &self.call_logs,
                    _ => &self.persons,
                };
                match table.get(id) {
                    Some(record) => Ok(done(200, &shown(record))),
                    None if table.has_deleted(id) => Err(refused(410, "it is deleted")),
                    None => Err(refused(404, "it is not there")),
                }
            }
            ("GET", ["users", "me"]) => Ok(done(200, &json!({ "id": 1, "name": "Sim", "email": "sim@example.com" }))),
            _ => Err(refused(404, "there is no such path")),
        }
    }
}

fn read(request: &Request) -> Result<Value, Answer> {
    request.json().map_err(|(status, message)| refused(status, &message))
}

/// The fields of an activity, with `done` as the company shows it.
fn with_done(sent: &Value) -> Map<String, Value> {
    let mut fields = sent.as_object().cloned().unwrap_or_default();
    let is_done = sent["done"] == true || sent["done"] == 1;
    fields.insert("done".to_owned(), json!(is_done));
    fields
}

fn only(request: &Request, known: &[&str]) -> Result<(), Answer> {
    match request.parameter_beyond(known).filter(|name| *name != "api_token") {
        Some(name) => Err(bad(format!("{name}: is not a known parameter"))),
        None => Ok(()),
    }
}

fn paged(found: Vec<Value>, request: &Request) -> Result<(Vec<Value>, Value), Answer> {
    let number = |name: &str, default: usize| match request.parameter(name) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| bad(format!("{name}: `{text}` is no number"))),
    };
    let (start, limit) = (number("start", 0)?, number("limit", LIMIT_DEFAULT)?);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(bad(format!("limit: is not from 1 to {LIMIT_MAX}")));
    }
    let total = found.len();
    let page: Vec<Value> = found.into_iter().skip(start).take(limit).collect();
    let mut pagination =
        json!({ "start": start, "limit": limit, "more_items_in_collection": start + page.len() < total });
    if start + page.len() < total {
        pagination["next_start"] = json!(start + page.len());
    }
    Ok((page, pagination))
}

/// A field of a person, which may be a text, a list of texts, or a list of objects with a `value`.
fn values(record: &Record, field: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().or_else(|| value["value"].as_str()).map(str::to_owned);
    match record.fields.get(field) {
        Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn only_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

impl Remote for Pipedrive {
    type Settings = Settings;

    fn serve(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        let token = request.header("x-api-token").or_else(|| request.parameter("api_token"));
        if token != Some(context.settings.token.as_str()) {
            return Self::refusal(401, "unauthorized access");
        }
        self.route(context, request).unwrap_or_else(|refusal| refusal)
    }

    fn refusal(status: u16, message: &str) -> Answer {
        match status {
            401 => Answer::json(
                401,
                &json!({ "success": false, "error": message, "errorCode": 401, "error_info": "check the token" }),
            ),
            status => refused(status, message),
        }
    }

    fn records(&self, table: &str) -> Option<Vec<Value>> {
        let table = match table {
            "recordings" => return Some(self.recordings.clone()),
            "records" => {
                let all = [("callLogs", &self.call_logs), ("activities", &self.activities)];
                let shown = |(kind, table): (&str, &Table)| {
                    table.live().map(|record| json!({ "table": kind, "record": shown(record) })).collect::<Vec<_>>()
                };
                return Some(all.into_iter().flat_map(shown).collect());
            }
            "callLogs" => &self.call_logs,
            "activities" => &self.activities,
            "persons" => &self.persons,
            "organizations" => &self.organizations,
            "deals" => &self.deals,
            _ => return None,
        };
        Some(table.live().map(shown).collect())
    }

    fn insert(&mut self, table: &str, record: Value) -> Result<String, String> {
        let id = self.next_id().to_string();
        let table = match table {
            "persons" => &mut self.persons,
            "organizations" => &mut self.organizations,
            "deals" => &mut self.deals,
            "activities" => &mut self.activities,
            "callLogs" => &mut self.call_logs,
            _ => return Err("there is no such table".to_owned()),
        };
        table.seed(record, "id", id)
    }

    fn clear(&mut self) {
        *self = Pipedrive { serial: self.serial, ..Pipedrive::default() };
    }
}

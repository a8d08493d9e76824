//! A simulated Zoho organisation: token refresh, calls in batches with a status for each row, and searches.
//!
//! Rows fail inside answers of success; a unique custom field is what keeps doubles out, and its refusal names the
//! record that is there. Tokens expire by the clock that was passed in.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::fields::{KNOWN, field};
pub use self::settings::Settings;
use super::harness::check::{Check, Wrong, instant, kind};
use super::harness::{self, Answer, Context, Remote, Request, form_value};
use super::table::{Record, Table};

mod fields;
mod search;
mod settings;

/// A running simulator.
pub type Simulator = harness::Simulator<Zoho>;
/// How one is made.
pub type Options = harness::Options<Zoho>;
/// The organisation behind it.
pub type Api = harness::Api<Zoho>;

const ROWS_MAX: usize = 100;

/// The simulated organisation.
#[derive(Debug, Default)]
pub struct Zoho {
    calls: Table,
    contacts: Table,
    leads: Table,
    accounts: Table,
    deals: Table,
    tokens: Vec<(String, Timestamp)>,
    serial: u64,
}

type Asked<'a> = Context<'a, Settings>;
type Answered = Result<Answer, Answer>;

/// A row or a request that is refused.
struct Refusal {
    code: String,
    message: String,
    details: Value,
}

impl Refusal {
    fn new(code: &str, message: impl Into<String>, details: Value) -> Refusal {
        Refusal { code: code.to_owned(), message: message.into(), details }
    }

    fn to_json(&self) -> Value {
        json!({ "code": self.code, "details": self.details, "message": self.message, "status": "error" })
    }

    fn answer(&self, status: u16) -> Answer {
        Answer::json(status, &self.to_json())
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Refusal {
        let (name, missing) = (wrong.at.clone(), wrong.why == "missing");
        let code = if missing { "MANDATORY_NOT_FOUND" } else { "INVALID_DATA" };
        Refusal::new(code, wrong.to_string(), json!({ "api_name": name }))
    }
}

fn invalid(message: impl ToString) -> Answer {
    Refusal::new("INVALID_DATA", message.to_string(), json!({})).answer(400)
}

fn not_found() -> Answer {
    Refusal::new("INVALID_URL_PATTERN", "there is no such path", json!({})).answer(404)
}

fn succeeded(id: &str, message: &str, now: Timestamp) -> Value {
    let time = now.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
    let details = json!({ "id": id, "Created_Time": time, "Modified_Time": time });
    json!({ "code": "SUCCESS", "details": details, "message": message, "status": "success" })
}

fn shown(record: &Record) -> Value {
    let mut fields = record.fields.clone();
    fields.insert("id".to_owned(), json!(record.id));
    Value::Object(fields)
}

impl Zoho {
    fn next_id(&mut self) -> String {
        self.serial += 1;
        format!("365239700000{:07}", self.serial)
    }

    fn table(&self, name: &str) -> Option<&Table> {
        match name {
            "Calls" => Some(&self.calls),
            "Contacts" => Some(&self.contacts),
            "Leads" => Some(&self.leads),
            "Accounts" => Some(&self.accounts),
            "Deals" => Some(&self.deals),
            _ => None,
        }
    }

    /// All that is wrong with a row but what the record itself decides.
    fn check(&self, row: &Map<String, Value>, context: &Asked<'_>) -> Check {
        for (name, value) in row.iter().filter(|(name, _)| *name != "id") {
            match field(name, value, context.settings) {
                Some(check) => check.map_err(|wrong| wrong.below(name))?,
                None if context.settings.unknown_fields_refused => return Wrong::at(name, "is not a known field"),
                None => {}
            }
        }
        let id_of = |name: &str| row.get(name).and_then(|value| value["id"].as_str());
        if id_of("Who_Id").is_some_and(|id| self.contacts.get(id).is_none()) {
            return Wrong::at("Who_Id", "there is no such Contact");
        }
        if let Some(id) = id_of("What_Id") {
            let Some(module) = row.get("$se_module").and_then(Value::as_str) else {
                return Wrong::at("$se_module", "missing");
            };
            if self.table(module).is_none_or(|table| table.get(id).is_none()) {
                return Wrong::at("What_Id", format!("there is no such record among the {module}"));
            }
        }
        let start = row.get("Call_Start_Time").and_then(Value::as_str).and_then(instant);
        if context.settings.future_calls_refused && start.is_some_and(|start| start > context.now) {
            return Wrong::at("Outgoing_Call_Status", "missing");
        }
        Ok(())
    }

    /// The record that has the row's unique value already.
    fn refuse_taken(&self, row: &Map<String, Value>, own: Option<&str>, settings: &Settings) -> Result<(), Refusal> {
        let Some(name) = settings.unique_field.as_deref() else { return Ok(()) };
        let value = row.get(name).and_then(Value::as_str).unwrap_or_default();
        match self.calls.with(name, value) {
            Some(known) if own != Some(known.id.as_str()) => {
                let details = json!({ "api_name": name, "id": known.id });
                Err(Refusal::new("DUPLICATE_DATA", "duplicate data", details))
            }
            _ => Ok(()),
        }
    }

    fn create(&mut self, context: &mut Asked<'_>, row: &Value) -> Result<Value, Refusal> {
        let Some(row) = row.as_object() else {
            return Err(Refusal::new("INVALID_DATA", "the row is no object", json!({})));
        };
        if row.contains_key("id") {
            return Err(Wrong { at: "id".to_owned(), why: "is not set by the client".to_owned() }.into());
        }
        if let Some(name) =
            ["Subject", "Call_Type", "Call_Start_Time"].into_iter().find(|name| !row.contains_key(*name))
        {
            return Err(Wrong { at: name.to_owned(), why: "missing".to_owned() }.into());
        }
        self.check(row, context)?;
        self.refuse_taken(row, None, context.settings)?;
        let id = self.next_id();
        self.calls.add(id.clone(), row.clone(), context.now);
        context.count("create");
        Ok(succeeded(&id, "record added", context.now))
    }

    fn update(&mut self, context: &mut Asked<'_>, id: Option<&str>, row: &Value) -> Result<Value, Refusal> {
        let Some(row) = row.as_object() else {
            return Err(Refusal::new("INVALID_DATA", "the row is no object", json!({})));
        };
        let id = id.or_else(|| row.get("id").and_then(Value::as_str));
        let id = id.ok_or_else(|| Refusal::from(Wrong { at: "id".to_owned(), why: "missing".to_owned() }))?;
        self.check(row, context)?;
        if self.calls.get(id).is_none() {
            return Err(Refusal::new("INVALID_DATA", "the id given seems to be invalid", json!({ "api_name": "id" })));
        }
        self.refuse_taken(row, Some(id), context.settings)?;
        let mut changes = row.clone();
        changes.remove("id");
        if let Some(record) = self.calls.get_mut(id) {
            record.merge(changes, context.now);
        }
        context.count("update");
        Ok(succeeded(id, "record updated", context.now))
    }

    fn write(&mut self, context: &mut Asked<'_>, request: &Request, id: Option<&str>) -> Answered {
        let sent = request.json().map_err(|(status, message)| {
            Refusal::new("INVALID_DATA", message, json!({ "expected_data_type": "jsonobject" })).answer(status)
        })?;
        let known = ["data", "trigger", "process", "apply_feature_execution"];
        if let Some(name) = sent.as_object().and_then(|sent| sent.keys().find(|name| !known.contains(&name.as_str()))) {
            return Err(invalid(format!("{name}: is not a known field")));
        }
        let rows = match sent.get("data") {
            Some(Value::Array(rows)) => rows,
            Some(other) => return Err(invalid(format!("data: expected a list, got {}", kind(other)))),
            None => return Err(Refusal::from(Wrong { at: "data".to_owned(), why: "missing".to_owned() }).answer(400)),
        };
        if sent.get("trigger").is_some_and(|trigger| !trigger.is_array()) {
            return Err(invalid("trigger: expected a list"));
        }
        if rows.is_empty() || rows.len() > ROWS_MAX || id.is_some() && rows.len() != 1 {
            return Err(invalid(format!("data: {} rows are not taken, at most {ROWS_MAX}", rows.len())));
        }
        let is_create = request.method == "POST";
        let mut failed = 0;
        let mut results = Vec::new();
        for row in rows {
            let result = match context.row_fault(request) {
                Some((code, message)) => Err(Refusal::new(&code, message, json!({}))),
                None if is_create => self.create(context, row),
                None => self.update(context, id, row),
            };
            results.push(result.unwrap_or_else(|refusal| {
                failed += 1;
                context.count(&refusal.code);
                refusal.to_json()
            }));
        }
        let settings = context.settings;
        let status = match failed {
            0 if is_create => settings.created_status,
            0 => 200,
            all if all == rows.len() => settings.failed_status,
            _ => settings.mixed_status,
        };
        Ok(Answer::json(status, &json!({ "data": results })))
    }

    fn token(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        context.count("token");
        // The parameters come in the query or in a form.
        let mut sent = request.query().to_vec();
        sent.extend(request.form().unwrap_or_default());
        let settings = context.settings;
        let error = if form_value(&sent, "grant_type") != "refresh_token" {
            "unsupported_grant_type"
        } else if form_value(&sent, "client_id") != settings.client_id {
            "invalid_client"
        } else if form_value(&sent, "client_secret") != settings.client_secret {
            "invalid_client_secret"
        } else if form_value(&sent, "refresh_token") != settings.refresh_token {
            "invalid_code"
        } else {
            ""
        };
        if !error.is_empty() {
            return Answer::json(settings.token_error_status, &json!({ "error": error }));
        }
        self.serial += 1;
        let token = format!("1000.sim{:028x}", self.serial);
        self.tokens.push((token.clone(), context.now));
        let body = json!({
            "access_token": token, "api_domain": request.base_url(), "token_type": "Bearer",
            "scope": "ZohoCRM.modules.ALL", "expires_in": settings.token_s,
        });
        Answer::json(200, &body)
    }

    fn is_let_in(&self, context: &Asked<'_>, request: &Request) -> bool {
        let Some(token) = request.credential("Zoho-oauthtoken") else { return false };
        let is_young = |since: &Timestamp| age(*since, context.now) < context.settings.token_s;
        self.tokens.iter().any(|(known, since)| known == token && is_young(since))
    }

    fn route(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let segments = request.segments();
        let ["crm", "v8", rest @ ..] = segments.as_slice() else { return Err(not_found()) };
        match (request.method.as_str(), rest) {
            ("POST", ["Calls"]) => self.write(context, request, None),
            ("PUT", ["Calls"]) => self.write(context, request, None),
            ("PUT", ["Calls", id]) => self.write(context, request, Some(id)),
            ("GET", [module @ ("Calls" | "Contacts" | "Leads"), "search"]) => {
                context.count("search");
                let lag = if *module == "Calls" { context.settings.search_lag_s } else { 0 };
                let visible = |record: &&Record| age(record.updated, context.now) >= lag;
                let table = self.table(module).into_iter().flat_map(Table::live).filter(visible);
                search::answer(&table.collect::<Vec<_>>(), request)
            }
            ("GET", ["settings", "fields"]) if request.parameter("module") == Some("Calls") => {
                let own = context.settings.unique_field.iter().map(|name| {
                    json!({ "api_name": name, "data_type": "text", "custom_field": true, "unique": { "casesensitive": false } })
                });
                let known = KNOWN.iter().map(|name| json!({ "api_name": name, "custom_field": false, "unique": {} }));
                Ok(Answer::json(200, &json!({ "fields": own.chain(known).collect::<Vec<_>>() })))
            }
            ("GET", [module, id]) => {
                context.count("read");
                match self.table(module).and_then(|table| table.get(id)) {
                    Some(record) => Ok(Answer::json(200, &json!({ "data": [shown(record)] }))),
                    None => Ok(Answer::empty(204)),
                }
            }
            _ => Err(not_found()),
        }
    }
}

fn age(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - then.as_second()).unwrap_or_default()
}

impl Remote for Zoho {
    type Settings = Settings;

    fn serve(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        if request.path() == "/oauth/v2/token" {
            return match request.method.as_str() {
                "POST" => self.token(context, request),
                _ => Self::refusal(405, "not by this method"),
            };
        }
        if !self.is_let_in(context, request) {
            return Self::refusal(401, "invalid oauth token");
        }
        self.route(context, request).unwrap_or_else(|refusal| refusal)
    }

    fn refusal(status: u16, message: &str) -> Answer {
        let code = match status {
            401 => "INVALID_TOKEN",
            403 => "NO_PERMISSION",
            429 => "TOO_MANY_REQUESTS",
            400..=499 => "INVALID_DATA",
            _ => "INTERNAL_ERROR",
        };
        Refusal::new(code, message, json!({})).answer(status)
    }

    fn records(&self, table: &str) -> Option<Vec<Value>> {
        self.table(if table == "records" { "Calls" } else { table }).map(|table| table.shown("id"))
    }

    fn insert(&mut self, table: &str, record: Value) -> Result<String, String> {
        let id = self.next_id();
        let table = match table {
            "Calls" => &mut self.calls,
            "Contacts" => &mut self.contacts,
            "Leads" => &mut self.leads,
            "Accounts" => &mut self.accounts,
            "Deals" => &mut self.deals,
            _ => return Err("there is no such table".to_owned()),
        };
        table.seed(record, "id", id)
    }

    fn clear(&mut self) {
        *self = Zoho { serial: self.serial, tokens: std::mem::take(&mut self.tokens), ..Zoho::default() };
    }
}

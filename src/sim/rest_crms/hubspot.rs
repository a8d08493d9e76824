//! A simulated HubSpot portal: calls, upserts by a unique property, associations, and searches of contacts.
//!
//! Property values are texts and strictly checked. The search sees a call only some time after it was made, as the real
//! one does; reading by a unique property sees it at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::harness::check::{
    Check, Wrong, address, digits, filled, instant, list, map, object, one_of, optional, required, text, text_of,
};
use super::harness::{self, Answer, Context, Remote, Request, Switches, Traffic};
use super::table::{Record, Table};

mod search;

/// A running simulator.
pub type Simulator = harness::Simulator<HubSpot>;
/// How one is made.
pub type Options = harness::Options<HubSpot>;
/// The portal behind it.
pub type Api = harness::Api<HubSpot>;

const INPUTS_MAX: usize = 100;
const BODY_CHARS_MAX: usize = 65_536;

const DISPOSITIONS: [&str; 6] = [
    "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    "9d9162e7-6cf3-4944-bf63-4dff82258764",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
    "b2cf5968-551e-4856-9783-52b3da59a7d0",
    "73a0d17f-1163-4015-bdd5-ec830791da20",
    "17b47fee-58de-441e-a44c-c6300d46f273",
];

const STATUSES: [&str; 10] = [
    "BUSY",
    "CALLING_CRM_USER",
    "CANCELED",
    "COMPLETED",
    "CONNECTING",
    "FAILED",
    "IN_PROGRESS",
    "NO_ANSWER",
    "QUEUED",
    "RINGING",
];

/// What a call can be associated with: the type's id and the table.
const ASSOCIATIONS: [(u64, &str); 4] = [(194, "contacts"), (182, "companies"), (206, "deals"), (220, "tickets")];

/// Every switch of the portal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The token of the private app.
    pub token: String,
    /// Custom properties of calls, all of them texts.
    pub custom_properties: Vec<CustomProperty>,
    /// Objects are also found under `/crm/objects/2026-03/`.
    pub dated_paths: bool,
    /// Associations in an upsert are ignored instead of refused.
    pub upsert_ignores_associations: bool,
    /// The status of a create whose unique value is taken.
    pub duplicate_status: u16,
    /// `hs_call_status` must be one of the believed values.
    pub strict_status: bool,
    /// How long a new or changed call stays out of searches.
    pub search_lag_s: u64,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            token: "pat-sim".to_owned(),
            custom_properties: vec![CustomProperty { name: "call_key".to_owned(), is_unique: true }],
            dated_paths: true,
            upsert_ignores_associations: true,
            duplicate_status: 409,
            strict_status: true,
            search_lag_s: 5,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// A property that an administrator has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomProperty {
    /// Its internal name.
    pub name: String,
    /// `hasUniqueValue`: no two calls share a value, and calls can be named by it.
    pub is_unique: bool,
}

/// The simulated portal.
#[derive(Debug, Default)]
pub struct HubSpot {
    calls: Table,
    contacts: Table,
    companies: Table,
    deals: Table,
    tickets: Table,
    associations: Vec<(String, &'static str, String)>,
    serial: u64,
}

type Asked<'a> = Context<'a, Settings>;
type Answered = Result<Answer, Answer>;

fn refused(status: u16, category: &str, message: &str) -> Answer {
    let body = json!({
        "status": "error", "message": message, "category": category,
        "correlationId": "00000000-0000-4000-8000-000000000000",
    });
    Answer::json(status, &body)
}

fn invalid(wrong: impl ToString) -> Answer {
    refused(400, "VALIDATION_ERROR", &wrong.to_string())
}

fn not_found() -> Answer {
    refused(404, "OBJECT_NOT_FOUND", "resource not found")
}

impl From<Wrong> for Answer {
    fn from(wrong: Wrong) -> Answer {
        invalid(wrong)
    }
}

fn body(request: &Request) -> Result<Value, Answer> {
    request.json().map_err(|(status, message)| refused(status, "VALIDATION_ERROR", &message))
}

/// Why a value is not one of this property; the portal lists the property beside it.
fn property(name: &str, value: &Value, settings: &Settings) -> Check {
    if value.is_null() || *value == "" {
        return if name == "hs_timestamp" { Wrong::here("is required") } else { Ok(()) };
    }
    match name {
        "hs_timestamp" => moment(value),
        "hs_call_title" | "hs_call_from_number" | "hs_call_to_number" | "hs_call_callee_object_type_id" => {
            text_of(value, BODY_CHARS_MAX)
        }
        "hs_call_body" => text_of(value, BODY_CHARS_MAX),
        "hs_call_direction" => one_of(value, &["INBOUND", "OUTBOUND"]),
        "hs_call_status" if settings.strict_status => one_of(value, &STATUSES),
        "hs_call_status" => filled(value),
        "hs_call_duration" | "hubspot_owner_id" | "hs_call_callee_object_id" => digits(value),
        "hs_call_recording_url" => address(value),
        "hs_call_disposition" => one_of(value, &DISPOSITIONS),
        name if settings.custom_properties.iter().any(|custom| custom.name == name) => text(value),
        _ => Wrong::here("PROPERTY_DOESNT_EXIST: there is no such property"),
    }
}

/// ISO with a zone, or milliseconds since 1970.
fn moment(value: &Value) -> Check {
    let is_good = match value {
        Value::String(text) => instant(text).is_some() || text.len() == 13 && digits(value).is_ok(),
        Value::Number(number) => number.as_u64().is_some_and(|number| number >= 1_000_000_000_000),
        _ => false,
    };
    if is_good { Ok(()) } else { Wrong::here("is neither an ISO time with a zone nor milliseconds since 1970") }
}

fn properties(value: &Value, settings: &Settings) -> Check {
    for (name, value) in map(value)? {
        property(name, value, settings).map_err(|wrong| wrong.below(name))?;
    }
    Ok(())
}

fn is_unique(settings: &Settings, name: &str) -> bool {
    settings.custom_properties.iter().any(|custom| custom.is_unique && custom.name == name)
}

fn shown(record: &Record, wanted: &[&str]) -> Value {
    let mut properties: Map<String, Value> =
        wanted.iter().map(|name| ((*name).to_owned(), record.fields.get(*name).cloned().unwrap_or_default())).collect();
    properties.insert("hs_object_id".to_owned(), json!(record.id));
    properties.insert("hs_createdate".to_owned(), json!(record.created.to_string()));
    properties.insert("hs_lastmodifieddate".to_owned(), json!(record.updated.to_string()));
    json!({
        "id": record.id, "properties": properties, "createdAt": record.created.to_string(),
        "updatedAt": record.updated.to_string(), "archived": false,
    })
}

fn whole(record: &Record) -> Value {
    let names: Vec<&str> = record.fields.keys().map(String::as_str).collect();
    shown(record, &names)
}

/// The one or more objects that an input is to be tied to: the table and the id.
fn ties(value: &Value) -> Result<Vec<(&'static str, String)>, Wrong> {
    let mut found = Vec::new();
    list(value, |tie| {
        object(tie, &[required("to", |to| object(to, &[required("id", object_id)])), required("types", kinds)])
    })?;
    for (index, tie) in value.as_array().into_iter().flatten().enumerate() {
        let id = tie["to"]["id"].as_str().map_or_else(|| tie["to"]["id"].to_string(), str::to_owned);
        for (at, kind) in tie["types"].as_array().into_iter().flatten().enumerate() {
            let known = ASSOCIATIONS.iter().find(|(number, _)| kind["associationTypeId"] == *number);
            let Some((_, table)) = known else {
                return Wrong::at(
                    &format!("[{index}].types[{at}].associationTypeId"),
                    format!("{} is no type of a call's association", kind["associationTypeId"]),
                );
            };
            found.push((*table, id.clone()));
        }
    }
    Ok(found)
}

fn object_id(value: &Value) -> Check {
    if value.is_u64() { Ok(()) } else { digits(value) }
}

fn kinds(value: &Value) -> Check {
    list(value, |kind| {
        object(
            kind,
            &[
                required("associationCategory", |value| one_of(value, &["HUBSPOT_DEFINED"])),
                required("associationTypeId", harness::check::count),
            ],
        )
    })?;
    if value.as_array().is_some_and(Vec::is_empty) { Wrong::here("is empty") } else { Ok(()) }
}

impl HubSpot {
    fn next_id(&mut self) -> String {
        self.serial += 1;
        (7_000_000_000 + self.serial).to_string()
    }

    fn table(&self, name: &str) -> Option<&Table> {
        match name {
            "calls" | "call" => Some(&self.calls),
            "contacts" | "contact" => Some(&self.contacts),
            "companies" | "company" => Some(&self.companies),
            "deals" | "deal" => Some(&self.deals),
            "tickets" | "ticket" => Some(&self.tickets),
            _ => None,
        }
    }

    fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        match name {
            "calls" => Some(&mut self.calls),
            "contacts" => Some(&mut self.contacts),
            "companies" => Some(&mut self.companies),
            "deals" => Some(&mut self.deals),
            "tickets" => Some(&mut self.tickets),
            _ => None,
        }
    }

    /// The call that has a unique value of these properties already, unless it is `own`.
    fn taken(&self, values: &Value, own: Option<&str>, settings: &Settings) -> Option<(String, String)> {
        let unique = settings.custom_properties.iter().filter(|custom| custom.is_unique);
        unique.filter_map(|custom| Some((custom, values.get(&custom.name)?.as_str()?))).find_map(|(custom, value)| {
            let known = self.calls.with(&custom.name, value)?;
            (own != Some(known.id.as_str())).then(|| (custom.name.clone(), known.id.clone()))
        })
    }

    fn refuse_taken(&self, values: &Value, own: Option<&str>, settings: &Settings) -> Result<(), Answer> {
        let Some((name, id)) = self.taken(values, own, settings) else { return Ok(()) };
        let message = format!("{name}: another call already has that value. Existing ID: {id}");
        Err(refused(settings.duplicate_status, "CONFLICT", &message))
    }

    fn tie(&mut self, call: &str, ties: Vec<(&'static str, String)>) {
        for (table, id) in ties {
            let tie = (call.to_owned(), table, id);
            if !self.associations.contains(&tie) {
                self.associations.push(tie);
            }
        }
    }

    fn create(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let sent = body(request)?;
        object(&sent, &[required("properties", harness::check::any_object), optional("associations", |_| Ok(()))])?;
        properties(&sent["properties"], context.settings).map_err(|wrong| wrong.below("properties"))?;
        if sent["properties"].get("hs_timestamp").is_none() {
            return Err(invalid("properties.hs_timestamp: missing"));
        }
        let ties = match sent.get("associations") {
            Some(sent) => ties(sent).map_err(|wrong| wrong.below("associations"))?,
            None => Vec::new(),
        };
        if let Some((table, id)) = ties.iter().find(|(table, id)| self.table(table).is_none_or(|t| t.get(id).is_none()))
        {
            return Err(invalid(format!("associations.to.id: there is no {id} among the {table}")));
        }
        self.refuse_taken(&sent["properties"], None, context.settings)?;
        context.count("create");
        let id = self.next_id();
        self.tie(&id, ties);
        let values = sent["properties"].as_object().cloned().unwrap_or_default();
        let answer = whole(self.calls.add(id, values, context.now));
        Ok(Answer::json(201, &answer))
    }

    /// The call that a path or an input names, by its id or by a unique property.
    fn named(&self, id: &str, by: Option<&str>, settings: &Settings) -> Result<Option<&Record>, Answer> {
        match by {
            None => Ok(self.calls.get(id)),
            Some("hs_object_id") => Ok(self.calls.get(id)),
            Some(name) if is_unique(settings, name) => Ok(self.calls.with(name, id)),
            Some(name) => Err(invalid(format!("idProperty: {name} is no property with unique values"))),
        }
    }

    fn change(&mut self, context: &mut Asked<'_>, request: &Request, id: &str) -> Answered {
        let sent = body(request)?;
        object(&sent, &[required("properties", harness::check::any_object)])?;
        properties(&sent["properties"], context.settings).map_err(|wrong| wrong.below("properties"))?;
        let found = self.named(id, request.parameter("idProperty"), context.settings)?;
        let id = found.ok_or_else(not_found)?.id.clone();
        self.refuse_taken(&sent["properties"], Some(&id), context.settings)?;
        let record = self.calls.get_mut(&id).ok_or_else(not_found)?;
        record.merge(sent["properties"].as_object().cloned().unwrap_or_default(), context.now);
        context.count("update");
        Ok(Answer::json(200, &whole(record)))
    }

    /// All inputs are checked before one is written, as one bad input fails the batch.
    fn upsert(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let sent = body(request)?;
        object(&sent, &[required("inputs", |value| list(value, harness::check::any_object))])?;
        let inputs = sent["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
        if inputs.is_empty() || inputs.len() > INPUTS_MAX {
            return Err(invalid(format!("inputs: expected 1 to {INPUTS_MAX}, got {}", inputs.len())));
        }
        for (index, input) in inputs.iter().enumerate() {
            self.check_input(input, context.settings).map_err(|wrong| wrong.below(&format!("inputs[{index}]")))?;
            let key = |input: &Value| (input["idProperty"].clone(), input["id"].clone());
            if inputs[..index].iter().any(|earlier| key(earlier) == key(input)) {
                return Err(invalid(format!("inputs[{index}].id: is there twice")));
            }
        }
        let mut results = Vec::new();
        for input in inputs {
            let (by, id) = (input["idProperty"].as_str().unwrap_or_default(), input["id"].as_str().unwrap_or_default());
            let mut values = input["properties"].as_object().cloned().unwrap_or_default();
            values.insert(by.to_owned(), json!(id));
            let known = self.calls.with(by, id).map(|record| record.id.clone());
            let is_new = known.is_none();
            context.count(if is_new { "create" } else { "update" });
            let mut result = match known.and_then(|id| self.calls.get_mut(&id)) {
                Some(record) => {
                    record.merge(values, context.now);
                    whole(record)
                }
                None => {
                    let id = self.next_id();
                    whole(self.calls.add(id, values, context.now))
                }
            };
            result["new"] = json!(is_new);
            results.push(result);
        }
        let now = context.now.to_string();
        let body = json!({ "status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now });
        Ok(Answer::json(200, &body))
    }

    fn check_input(&self, input: &Value, settings: &Settings) -> Check {
        let rules = [
            required("idProperty", filled),
            required("id", filled),
            required("properties", harness::check::any_object),
            optional("objectWriteTraceId", text),
            optional("associations", |_| Ok(())),
        ];
        object(input, &rules)?;
        let by = input["idProperty"].as_str().unwrap_or_default();
        if !is_unique(settings, by) {
            return Wrong::at("idProperty", format!("{by} is no property with unique values"));
        }
        if !settings.upsert_ignores_associations && input.get("associations").is_some() {
            return Wrong::at("associations", "is not a known field");
        }
        properties(&input["properties"], settings).map_err(|wrong| wrong.below("properties"))?;
        if input["properties"].get(by).is_some_and(|value| *value != input["id"]) {
            return Wrong::at(&format!("properties.{by}"), "is not the id of the input");
        }
        let known = self.calls.with(by, input["id"].as_str().unwrap_or_default());
        if known.is_none() && input["properties"].get("hs_timestamp").is_none() {
            return Wrong::at("properties.hs_timestamp", "missing");
        }
        match self.taken(&input["properties"], known.map(|record| record.id.as_str()), settings) {
            Some((name, id)) => Wrong::at(&format!("properties.{name}"), format!("call {id} has that value")),
            None => Ok(()),
        }
    }

    fn read(&self, context: &mut Asked<'_>, request: &Request, table: &str, id: &str) -> Answered {
        context.count("read");
        let found = match (table, request.parameter("idProperty")) {
            ("calls", by) => self.named(id, by, context.settings)?,
            ("contacts", Some("email")) => self.contacts.live().find(|one| one.text("email").eq_ignore_ascii_case(id)),
            (table, None) => self.table(table).and_then(|table| table.get(id)),
            (_, Some(by)) => return Err(invalid(format!("idProperty: {by} is no property with unique values"))),
        };
        let record = found.ok_or_else(not_found)?;
        let wanted: Vec<&str> =
            request.parameter("properties").unwrap_or_default().split(',').filter(|name| !name.is_empty()).collect();
        let mut body = shown(record, &wanted);
        if let Some(table) = request.parameter("associations") {
            let ties = self.associations.iter().filter(|(call, to, _)| *call == record.id && *to == table);
            let results: Vec<Value> = ties.map(|(_, _, id)| json!({ "id": id, "type": "call_to_contact" })).collect();
            body["associations"] = json!({ table: { "results": results } });
        }
        Ok(Answer::json(200, &body))
    }

    /// The default association, which needs no type.
    fn associate(&mut self, context: &mut Asked<'_>, call: &str, to: &str, id: &str) -> Answered {
        let known = ASSOCIATIONS.iter().find(|(_, table)| *table == to || table.strip_suffix('s') == Some(to));
        let Some((number, table)) = known else { return Err(invalid(format!("{to}: no call is associated with it"))) };
        if self.calls.get(call).is_none() || self.table(table).is_none_or(|table| table.get(id).is_none()) {
            return Err(not_found());
        }
        context.count("associate");
        self.tie(call, vec![(table, id.to_owned())]);
        let result = json!({
            "from": { "id": call }, "to": { "id": id },
            "associationSpec": { "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number },
        });
        Ok(Answer::json(200, &json!({ "status": "COMPLETE", "results": [result] })))
    }

    fn object(&mut self, context: &mut Asked<'_>, request: &Request, rest: &[&str]) -> Answered {
        match (request.method.as_str(), rest) {
            ("POST", ["calls"]) => self.create(context, request),
            ("POST", ["calls", "batch", "upsert"]) => self.upsert(context, request),
            ("POST", [table @ ("calls" | "contacts"), "search"]) => {
                context.count("search");
                let lag = if *table == "calls" { context.settings.search_lag_s } else { 0 };
                let visible = |record: &&Record| age(record.updated, context.now) >= lag;
                let records: Vec<&Record> =
                    self.table(table).into_iter().flat_map(Table::live).filter(visible).collect();
                search::answer(&records, table, context.settings, &body(request)?)
            }
            ("PATCH", ["calls", id]) => self.change(context, request, id),
            ("GET", [table, id]) => self.read(context, request, table, id),
            _ => Err(not_found()),
        }
    }

    fn route(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let segments = request.segments();
        match (request.method.as_str(), segments.as_slice()) {
            (_, ["crm", "v3", "objects", rest @ ..]) => self.object(context, request, rest),
            (_, ["crm", "objects", "2026-03", rest @ ..]) if context.settings.dated_paths => {
                self.object(context, request, rest)
            }
            ("PUT", ["crm", "v4", "objects", "call" | "calls", call, "associations", "default", to, id]) => {
                self.associate(context, call, to, id)
            }
            ("GET", ["crm", "v4", "associations", "calls" | "call", to, "labels"]) => {
                let known = ASSOCIATIONS.iter().find(|(_, table)| table == to || table.strip_suffix('s') == Some(to));
                let (number, _) = known.ok_or_else(not_found)?;
                let label = json!({ "category": "HUBSPOT_DEFINED", "typeId": number, "label": null });
                Ok(Answer::json(200, &json!({ "results": [label] })))
            }
            ("GET", ["crm", "v3", "properties", "calls", name]) => {
                let custom = context.settings.custom_properties.iter().find(|custom| custom.name == *name);
                let is_known = custom.is_some()
                    || property(name, &json!({}), context.settings)
                        .is_err_and(|wrong| !wrong.why.starts_with("PROPERTY"));
                let unique = custom.is_some_and(|custom| custom.is_unique);
                let body = json!({ "name": name, "type": "string", "hasUniqueValue": unique });
                if is_known { Ok(Answer::json(200, &body)) } else { Err(not_found()) }
            }
            ("GET", ["calling", "v1", "dispositions"]) => {
                let all: Vec<Value> = DISPOSITIONS.iter().map(|id| json!({ "id": id, "deleted": false })).collect();
                Ok(Answer::json(200, &Value::Array(all)))
            }
            _ => Err(not_found()),
        }
    }
}

fn age(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - then.as_second()).unwrap_or_default()
}

impl Remote for HubSpot {
    type Settings = Settings;

    fn serve(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        if request.credential("Bearer") != Some(context.settings.token.as_str()) {
            return refused(401, "INVALID_AUTHENTICATION", "Authentication credentials not found or not valid");
        }
        self.route(context, request).unwrap_or_else(|refusal| refusal)
    }

    fn refusal(status: u16, message: &str) -> Answer {
        let category = match status {
            401 => "INVALID_AUTHENTICATION",
            403 => "MISSING_SCOPES",
            409 => "CONFLICT",
            429 => "RATE_LIMITS",
            400..=499 => "VALIDATION_ERROR",
            _ => "INTERNAL_ERROR",
        };
        refused(status, category, message)
    }

    fn records(&self, table: &str) -> Option<Vec<Value>> {
        if table == "associations" {
            let shown = |(call, table, id): &(String, &str, String)| json!({ "call": call, "to": table, "id": id });
            return Some(self.associations.iter().map(shown).collect());
        }
        self.table(if table == "records" { "calls" } else { table }).map(|table| table.shown("id"))
    }

    fn insert(&mut self, table: &str, record: Value) -> Result<String, String> {
        let id = self.next_id();
        self.table_mut(table).ok_or("there is no such table")?.seed(record, "id", id)
    }

    fn clear(&mut self) {
        *self = HubSpot { serial: self.serial, ..HubSpot::default() };
    }
}

//! A simulated HubSpot portal: calls, upserts by a unique property, associations, and searches of contacts.
//!
//! Property values are texts and strictly checked. The search sees a call only some time after it was made, as the real
//! one does; reading by a unique property sees it at once.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::properties::{ASSOCIATIONS, DISPOSITIONS, properties, property, ties};
pub use self::settings::{CustomProperty, Settings};
use super::harness::check::{Check, Wrong, filled, list, object, optional, required, text};
use super::harness::{self, Answer, Context, Remote, Request};
use super::table::{Record, Table};

mod properties;
mod search;
mod settings;

/// A running simulator.
pub type Simulator = harness::Simulator<HubSpot>;
/// How one is made.
pub type Options = harness::Options<HubSpot>;
/// The portal behind it.
pub type Api = harness::Api<HubSpot>;

const INPUTS_MAX: usize = 100;
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

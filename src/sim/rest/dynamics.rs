//! A simulated Dynamics 365 organisation: client credentials, phone calls with ids of the client's own, and queries of
//! people by e-mail and phone.
//!
//! Values are typed as the service types them; a property that phone calls do not have, or a value of another type,
//! refuses the request by name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::harness::check::{Check, Wrong, boolean, is_guid, kind, list, object, optional, required, text_of, time};
use super::harness::{self, Answer, Context, Remote, Request, Switches, Traffic, form_value};
use super::table::{Record, Table};

mod query;

/// A running simulator.
pub type Simulator = harness::Simulator<Dynamics>;
/// How one is made.
pub type Options = harness::Options<Dynamics>;
/// The organisation behind it.
pub type Api = harness::Api<Dynamics>;

/// Every switch of the organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The tenant in the path of token requests.
    pub tenant: String,
    /// The id of the client.
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: String,
    /// How long an access token is good.
    pub token_s: u64,
    /// Custom text columns of phone calls.
    pub custom_columns: Vec<String>,
    /// Requests must carry `OData-Version: 4.0`.
    pub odata_version_required: bool,
    /// The most characters of `description`.
    pub description_chars_max: usize,
    /// A call can be made completed, not only completed by a later change.
    pub create_completed: bool,
    /// A completed call cannot be changed.
    pub completed_read_only: bool,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            tenant: "sim-tenant".to_owned(),
            client_id: "sim-client".to_owned(),
            client_secret: "sim-secret".to_owned(),
            token_s: 3_599,
            custom_columns: vec!["new_callkey".to_owned()],
            odata_version_required: true,
            description_chars_max: 2_000,
            create_completed: false,
            completed_read_only: false,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// The simulated organisation.
#[derive(Debug, Default)]
pub struct Dynamics {
    calls: Table,
    contacts: Table,
    leads: Table,
    accounts: Table,
    opportunities: Table,
    users: Table,
    tokens: Vec<(String, Timestamp)>,
    serial: u64,
}

type Asked<'a> = Context<'a, Settings>;
type Answered = Result<Answer, Answer>;

fn refused(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": message } })).header("odata-version", "4.0")
}

fn invalid(wrong: impl ToString) -> Answer {
    refused(400, "0x80048d19", &format!("Error identified in Payload provided by the user: {}", wrong.to_string()))
}

fn not_found(what: &str) -> Answer {
    refused(404, "0x80040217", &format!("{what} Does Not Exist"))
}

/// The value of one column of a phone call; the links are checked apart.
fn column(name: &str, value: &Value, settings: &Settings) -> Check {
    if value.is_null() && !name.contains('@') {
        return Ok(());
    }
    match name {
        "subject" | "phonenumber" => text_of(value, 200),
        "category" | "subcategory" => text_of(value, 250),
        "description" => text_of(value, settings.description_chars_max),
        "directioncode" | "leftvoicemail" => boolean(value),
        "actualdurationminutes" | "scheduleddurationminutes" | "prioritycode" | "statecode" | "statuscode" => {
            whole(value)
        }
        "actualstart" | "actualend" | "scheduledstart" | "scheduledend" => time(value),
        "phonecall_activity_parties" => list(value, party),
        name if settings.custom_columns.iter().any(|own| own == name) => text_of(value, 4_000),
        name if linked(name).is_some() => link(value),
        _ => Wrong::here("the property does not exist on type 'Microsoft.Dynamics.CRM.phonecall'"),
    }
}

fn whole(value: &Value) -> Check {
    match value.as_i64() {
        Some(number) if i32::try_from(number).is_ok_and(|number| number >= 0) => Ok(()),
        Some(_) => Wrong::here("is out of range"),
        None => Wrong::here(format!("cannot convert {} to the expected type 'Edm.Int32'", kind(value))),
    }
}

/// The set of records that a binding property points into.
fn linked(name: &str) -> Option<&'static str> {
    let target = name.strip_suffix("@odata.bind")?;
    match target {
        "regardingobjectid_contact" | "partyid_contact" | "regardingobjectid_contact_phonecall" => Some("contacts"),
        "regardingobjectid_lead" | "partyid_lead" | "regardingobjectid_lead_phonecall" => Some("leads"),
        "regardingobjectid_account" | "partyid_account" | "regardingobjectid_account_phonecall" => Some("accounts"),
        "regardingobjectid_opportunity" | "regardingobjectid_opportunity_phonecall" => Some("opportunities"),
        "partyid_systemuser" | "ownerid" => Some("systemusers"),
        _ => None,
    }
}

/// The set and the id of `/contacts(guid)`.
fn target(value: &Value) -> Option<(&str, &str)> {
    let path = value.as_str()?;
    let (set, id) = path.trim_start_matches('/').strip_suffix(')')?.split_once('(')?;
    is_guid(id).then_some((set, id))
}

fn link(value: &Value) -> Check {
    match target(value) {
        Some(_) => Ok(()),
        None => Wrong::here(format!("{value} is not in the form /set(guid)")),
    }
}

fn party(value: &Value) -> Check {
    let mask = |value: &Value| match value.as_u64() {
        Some(1..=11) => Ok(()),
        _ => Wrong::here(format!("{value} is no kind of participation")),
    };
    let rules = [
        required("participationtypemask", mask),
        optional("partyid_contact@odata.bind", link),
        optional("partyid_lead@odata.bind", link),
        optional("partyid_account@odata.bind", link),
        optional("partyid_systemuser@odata.bind", link),
        optional("addressused", |value| text_of(value, 320)),
    ];
    object(value, &rules)?;
    let named = value.as_object().map_or(0, |party| party.keys().filter(|name| name.ends_with("@odata.bind")).count());
    let by_address = value.get("addressused").is_some();
    match named {
        1 => Ok(()),
        0 if by_address => Ok(()),
        _ => Wrong::here("needs one partyid or an addressused"),
    }
}

/// The states that a call can have, with the reasons of each.
fn check_state(fields: &Map<String, Value>) -> Check {
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    match (number("statecode"), number("statuscode")) {
        (None, None) | (Some(0), None | Some(1)) | (Some(1), None | Some(2 | 4)) | (Some(2), None | Some(3)) => Ok(()),
        (None, Some(1..=4)) => Ok(()),
        (Some(0..=2) | None, Some(reason)) => Wrong::at("statuscode", format!("{reason} is no reason of that state")),
        (Some(state), _) => Wrong::at("statecode", format!("{state} is no state of a phone call")),
    }
}

impl Dynamics {
    fn next_guid(&mut self) -> String {
        self.serial += 1;
        format!("5f0e0000-0000-4000-8000-{:012x}", self.serial)
    }

    fn table(&self, set: &str) -> Option<&Table> {
        match set {
            "phonecalls" => Some(&self.calls),
            "contacts" => Some(&self.contacts),
            "leads" => Some(&self.leads),
            "accounts" => Some(&self.accounts),
            "opportunities" => Some(&self.opportunities),
            "systemusers" => Some(&self.users),
            _ => None,
        }
    }

    /// The payload, when it is one that this organisation takes.
    fn payload(&self, request: &Request, settings: &Settings) -> Result<Map<String, Value>, Answer> {
        let sent = request.json().map_err(|(status, message)| refused(status, "0x80048d19", &message))?;
        let fields = harness::check::map(&sent).map_err(invalid)?;
        for (name, value) in fields {
            column(name, value, settings).map_err(|wrong| invalid(wrong.below(name)))?;
            self.check_link(name, value)?;
        }
        for party in fields.get("phonecall_activity_parties").and_then(Value::as_array).into_iter().flatten() {
            for (name, value) in party.as_object().into_iter().flatten() {
                self.check_link(name, value)?;
            }
        }
        check_state(fields).map_err(invalid)?;
        Ok(fields.clone())
    }

    fn check_link(&self, name: &str, value: &Value) -> Result<(), Answer> {
        let (Some(wanted), Some((set, id))) = (linked(name), target(value)) else { return Ok(()) };
        if set != wanted {
            return Err(invalid(format!("{name}: {set} is not {wanted}")));
        }
        match self.table(set).and_then(|table| table.get(id)) {
            Some(_) => Ok(()),
            None => Err(not_found(&format!("{name}: {set} With Id = {id}"))),
        }
    }

    fn create(&mut self, context: &mut Asked<'_>, request: &Request, id: Option<&str>) -> Answered {
        let mut fields = self.payload(request, context.settings)?;
        if fields.get("subject").is_none_or(|subject| subject.is_null() || *subject == "") {
            return Err(invalid("subject: missing"));
        }
        let is_open = fields.get("statecode").is_none_or(|state| *state == 0);
        if !is_open && !context.settings.create_completed {
            return Err(invalid("statecode: a phone call is open when it is made"));
        }
        fields.entry("directioncode").or_insert(json!(true));
        fields.entry("statecode").or_insert(json!(0));
        fields.entry("statuscode").or_insert(json!(1));
        let id = id.map_or_else(|| self.next_guid(), str::to_lowercase);
        context.count("create");
        let record = self.calls.add(id.clone(), fields, context.now);
        let place = format!("{}/api/data/v9.2/phonecalls({id})", request.base_url());
        let wants_body = request.header("prefer").is_some_and(|prefer| prefer.contains("return=representation"));
        let answer =
            if wants_body { Answer::json(201, &query::shown(record, "activityid", &[])) } else { Answer::empty(204) };
        Ok(answer.header("odata-version", "4.0").header("odata-entityid", place))
    }

    /// PATCH: an update, a create with the client's own id, or either, as the conditions say.
    fn patch(&mut self, context: &mut Asked<'_>, request: &Request, id: &str) -> Answered {
        let id = id.to_lowercase();
        let conditions = (request.header("if-none-match"), request.header("if-match"));
        let is_there = self.calls.get(&id).is_some();
        match conditions {
            (Some("*"), None) if is_there => {
                context.count("already_there");
                return Err(refused(412, "0x80060882", "A record with matching key values already exists."));
            }
            (Some("*"), None) => return self.create(context, request, Some(&id)),
            (None, Some("*")) if !is_there => return Err(not_found(&format!("phonecall With Id = {id}"))),
            (None, None) if !is_there => return self.create(context, request, Some(&id)),
            (None, None | Some("*")) => {}
            _ => return Err(refused(400, "0x80060890", "If-Match, If-None-Match: only one of them, and only with *")),
        }
        let fields = self.payload(request, context.settings)?;
        let read_only = context.settings.completed_read_only;
        let record = self.calls.get_mut(&id).ok_or_else(|| not_found("phonecall"))?;
        if read_only && record.fields.get("statecode") == Some(&json!(1)) {
            return Err(refused(400, "0x80045031", "statecode: the phone call is completed and cannot be changed"));
        }
        record.merge(fields, context.now);
        context.count("update");
        let place = format!("{}/api/data/v9.2/phonecalls({id})", request.base_url());
        Ok(Answer::empty(204).header("odata-version", "4.0").header("odata-entityid", place))
    }

    fn token(&mut self, context: &mut Asked<'_>, request: &Request, tenant: &str) -> Answer {
        context.count("token");
        let error = |status: u16, code: &str, text: &str| {
            Answer::json(status, &json!({ "error": code, "error_description": text }))
        };
        let form = match request.form() {
            Ok(form) => form,
            Err((_, message)) => return error(400, "invalid_request", &message),
        };
        let settings = context.settings;
        if tenant != settings.tenant {
            return error(400, "invalid_request", "AADSTS90002: the tenant was not found");
        }
        if form_value(&form, "grant_type") != "client_credentials" {
            return error(400, "unsupported_grant_type", "grant_type: expected client_credentials");
        }
        if form_value(&form, "client_id") != settings.client_id {
            return error(400, "unauthorized_client", "AADSTS700016: the application was not found");
        }
        if form_value(&form, "client_secret") != settings.client_secret {
            return error(401, "invalid_client", "AADSTS7000215: invalid client secret provided");
        }
        let resource = format!("{}/.default", request.base_url());
        if form_value(&form, "scope") != resource {
            return error(400, "invalid_scope", &format!("scope: expected {resource}"));
        }
        self.serial += 1;
        let token = format!("sim.{:032x}", self.serial);
        self.tokens.push((token.clone(), context.now));
        let seconds = settings.token_s;
        let body = json!({
            "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
        });
        Answer::json(200, &body)
    }

    fn is_let_in(&self, context: &Asked<'_>, request: &Request) -> bool {
        let Some(token) = request.credential("Bearer") else { return false };
        let age = |since: &Timestamp| u64::try_from(context.now.as_second() - since.as_second()).unwrap_or_default();
        self.tokens.iter().any(|(known, since)| known == token && age(since) < context.settings.token_s)
    }

    fn route(&mut self, context: &mut Asked<'_>, request: &Request) -> Answered {
        let segments = request.segments();
        let ["api", "data", "v9.2", resource] = segments.as_slice() else {
            return Err(refused(404, "0x8006088a", "there is no such path"));
        };
        if context.settings.odata_version_required && request.header("odata-version") != Some("4.0") {
            return Err(refused(400, "0x80060888", "OData-Version: expected 4.0"));
        }
        let (set, id) = match resource.strip_suffix(')').and_then(|resource| resource.split_once('(')) {
            Some((set, id)) if is_guid(id) => (set, Some(id)),
            Some((_, id)) => return Err(refused(400, "0x80060888", &format!("{id}: expected a GUID"))),
            None => (*resource, None),
        };
        match (request.method.as_str(), set, id) {
            ("POST", "phonecalls", None) => self.create(context, request, None),
            ("PATCH", "phonecalls", Some(id)) => self.patch(context, request, id),
            ("GET", "WhoAmI", None) => {
                let own = |last: u8| format!("00000000-0000-4000-8000-0000000000{last:02}");
                let body = json!({ "BusinessUnitId": own(1), "UserId": own(2), "OrganizationId": own(3) });
                Ok(Answer::json(200, &body))
            }
            ("GET", set, id) => {
                context.count(if id.is_some() { "read" } else { "query" });
                let missing = || refused(404, "0x80060888", &format!("{set}: there is no such set of records"));
                let table = self.table(set).ok_or_else(missing)?;
                query::answer(table, set, id, request)
            }
            _ => Err(refused(405, "0x8006088a", "not by this method")),
        }
    }
}

impl Remote for Dynamics {
    type Settings = Settings;

    fn serve(&mut self, context: &mut Asked<'_>, request: &Request) -> Answer {
        if let (Some((tenant, "oauth2", "v2.0", "token")), "POST") =
            (four(&request.segments()), request.method.as_str())
        {
            return self.token(context, request, tenant);
        }
        if !self.is_let_in(context, request) {
            return Answer::empty(401).header("www-authenticate", "Bearer error=\"invalid_token\"");
        }
        self.route(context, request).unwrap_or_else(|refusal| refusal)
    }

    fn refusal(status: u16, message: &str) -> Answer {
        let code = match status {
            401 => return Answer::empty(401).header("www-authenticate", "Bearer error=\"invalid_token\""),
            403 => "0x80040220",
            412 => "0x80060882",
            429 => "0x80072322",
            _ => "0x80040216",
        };
        refused(status, code, message)
    }

    fn records(&self, table: &str) -> Option<Vec<Value>> {
        let set = if table == "records" { "phonecalls" } else { table };
        self.table(set).map(|table| table.shown(query::id_of(set)))
    }

    fn insert(&mut self, table: &str, record: Value) -> Result<String, String> {
        let id = self.next_guid();
        let records = match table {
            "phonecalls" => &mut self.calls,
            "contacts" => &mut self.contacts,
            "leads" => &mut self.leads,
            "accounts" => &mut self.accounts,
            "opportunities" => &mut self.opportunities,
            "systemusers" => &mut self.users,
            _ => return Err("there is no such table".to_owned()),
        };
        records.seed(record, query::id_of(table), id)
    }

    fn clear(&mut self) {
        *self = Dynamics { serial: self.serial, tokens: std::mem::take(&mut self.tokens), ..Dynamics::default() };
    }
}

fn four<'a>(segments: &[&'a str]) -> Option<(&'a str, &'a str, &'a str, &'a str)> {
    match segments {
        [a, b, c, d] => Some((a, b, c, d)),
        _ => None,
    }
}

/// One record as the service shows it.
fn fields_of(record: &Record, id_name: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("@odata.etag".to_owned(), json!(format!("W/\"{}\"", record.updated.as_second())));
    fields.insert(id_name.to_owned(), json!(record.id));
    for (name, value) in &record.fields {
        match (name.strip_suffix("@odata.bind"), target(value)) {
            (Some(link), Some((_, id))) => {
                let short = link.split('_').next().unwrap_or(link);
                fields.insert(format!("_{short}_value"), json!(id));
            }
            _ if name == "phonecall_activity_parties" => {}
            _ => _ = fields.insert(name.clone(), value.clone()),
        }
    }
    fields
}

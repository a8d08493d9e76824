//! What the org says about Task: which fields there are, what they take, and whether the org is ready for us.
//!
//! Invariant: pure apart from the one request in [`read_task`]. All missing fields are told at once, so that an admin
//! needs one round. Standard lengths stand in until the org has been asked.

use std::collections::HashMap;

use http::Method;
use serde::Deserialize;

use super::client::{Ask, Client, read_json};
use super::outcome::{Effect, hold};
use super::rules;
use crate::destinations::{Advice, Doubles, Outcome, Readiness};
use crate::problem::{FIELD_MISSING, OBJECT_ACCESS, Problem};

/// A key field shorter than this cannot hold every call key.
const KEY_LENGTH_WANTED: usize = 80;

/// How a field wants its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Free text that may be cut.
    Text,
    /// Text that means nothing when cut: ids, addresses, URLs, phones.
    Whole,
    Picklist,
    Integer,
    Double,
    Boolean,
    Date,
    DateTime,
}

/// What is known of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub kind: Kind,
    /// Most UTF-16 units of a text; 0 if there is no limit.
    pub length: usize,
    /// Most digits of an integer; 0 if not told.
    pub digits: u32,
    pub createable: bool,
    pub updateable: bool,
    pub filterable: bool,
    pub unique: bool,
    pub external_id: bool,
    /// Whether only `values` are taken.
    pub restricted: bool,
    /// The active picklist values.
    pub values: Vec<String>,
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub createable: bool,
    pub updateable: bool,
    fields: HashMap<String, Field>,
}

/// How Tasks are told apart in this org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The field can be written and asked for.
    pub usable: bool,
    /// The org refuses a second record with the same value.
    pub unique: bool,
}

impl Facts {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(&name.to_ascii_lowercase())
    }

    fn insert(&mut self, field: Field) {
        self.fields.insert(field.name.to_ascii_lowercase(), field);
    }

    /// Task as Salesforce documents it, for a preview before the org has been asked.
    pub fn documented(key_field: &str) -> Facts {
        let mut facts = Facts { createable: true, updateable: true, fields: HashMap::new() };
        let mut add = |name: &str, kind: Kind, length: usize, values: &[&str]| {
            facts.insert(Field {
                name: name.to_owned(),
                kind,
                length,
                digits: 8,
                createable: true,
                updateable: name != "TaskSubtype",
                filterable: name != "Description",
                unique: name == key_field,
                external_id: name == key_field,
                restricted: !values.is_empty(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            });
        };
        add("Subject", Kind::Text, 255, &[]);
        add("Description", Kind::Text, 32_000, &[]);
        add("WhoId", Kind::Whole, 18, &[]);
        add("ActivityDate", Kind::Date, 0, &[]);
        add("Status", Kind::Picklist, 255, &[]);
        add("TaskSubtype", Kind::Picklist, 40, &["Task", "Email", "Call"]);
        add("CallType", Kind::Picklist, 40, &["Internal", "Inbound", "Outbound"]);
        add("CallDurationInSeconds", Kind::Integer, 0, &[]);
        add("CallObject", Kind::Whole, 255, &[]);
        add(key_field, Kind::Whole, 100, &[]);
        facts
    }

    /// How the key field can be used.
    pub fn key_use(&self, key_field: &str) -> KeyUse {
        let field = self.field(key_field).filter(|field| field.createable && field.filterable);
        KeyUse { usable: field.is_some(), unique: field.is_some_and(|field| field.unique && field.external_id) }
    }

    /// Whether the org is ready for records with these fields. `mapped` are the fields that the mapping writes.
    pub fn readiness(&self, key_field: &str, mapped: &[String]) -> Result<Readiness, Outcome> {
        if !self.createable {
            let what = "the integration user may not create Tasks";
            return Err(hold(Problem::new(OBJECT_ACCESS, what, rules::HELP_ACCESS)));
        }
        let key_use = self.key_use(key_field);
        let is_identity = |name: &str| name.eq_ignore_ascii_case("CallObject") || name.eq_ignore_ascii_case(key_field);
        let writable = |name: &str| self.field(name).is_some_and(|field| field.createable);
        let mut missing: Vec<&str> =
            mapped.iter().map(String::as_str).filter(|name| !is_identity(name) && !writable(name)).collect();
        if !key_use.unique && !self.field("CallObject").is_some_and(|field| field.createable && field.filterable) {
            missing.push("CallObject");
        }
        if !missing.is_empty() {
            return Err(hold(missing_fields(&missing)));
        }
        Ok(Readiness {
            doubles: if key_use.unique { Doubles::Refused } else { Doubles::LookedUp { first: true } },
            key_advice: self.key_advice(key_field),
            warnings: self.warnings(key_field, key_use),
        })
    }

    /// Why the org does not refuse doubles, if so, and what the admin can do.
    fn key_advice(&self, key_field: &str) -> Option<Advice> {
        const AT: &str = "Setup > Object Manager > Activity > Fields & Relationships";
        const APART: &str =
            "so CallObject tells Tasks apart: slower, and a sync with another ledger at the same time could double one";
        let advice = |what: String, help: String| Some(Advice { what, help });
        let Some(field) = self.field(key_field) else {
            return advice(
                format!("{key_field} is missing or not visible to the integration user, {APART}"),
                "deploy the package in `salesforce/` and assign its permission set to that user".to_owned(),
            );
        };
        if !field.createable {
            return advice(
                format!("{key_field} is there, but the integration user may not write it, {APART}"),
                format!("make it editable for that user: {AT} > {key_field} > Set Field-Level Security"),
            );
        }
        if !field.filterable {
            return advice(
                format!("{key_field} is of a type that cannot be asked for, {APART}"),
                "make it a Text field of 100 characters, as in the package in `salesforce/`".to_owned(),
            );
        }
        let lacks = match (field.external_id, field.unique) {
            (true, true) => return None,
            (false, true) => "External ID",
            (true, false) => "Unique",
            (false, false) => "External ID and not Unique",
        };
        advice(
            format!("{key_field} is there, but it is not {lacks}, so the org does not refuse a doubled Task"),
            format!("tick External ID and Unique on the field: {AT} > {key_field} > Edit"),
        )
    }

    fn warnings(&self, key_field: &str, key_use: KeyUse) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(field) =
            self.field(key_field).filter(|f| key_use.usable && f.length < KEY_LENGTH_WANTED && f.length > 0)
        {
            warnings.push(format!("{key_field} takes {} characters; make it 100", field.length));
        }
        if key_use.unique && !self.field("CallObject").is_some_and(|field| field.createable) {
            warnings.push("CallObject is not visible to the integration user and is left out".to_owned());
        }
        if !self.updateable {
            warnings
                .push("the integration user may not edit Tasks: calls that change later will be refused".to_owned());
        }
        warnings
    }
}

fn missing_fields(missing: &[&str]) -> Problem {
    let (noun, verb) = if missing.len() == 1 { ("field", "is") } else { ("fields", "are") };
    Problem::new(
        FIELD_MISSING,
        format!("{noun} {} of Task {verb} missing or not visible to the integration user", missing.join(", ")),
        rules::HELP_FIELD,
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireObject {
    #[serde(default = "yes")]
    createable: bool,
    #[serde(default = "yes")]
    updateable: bool,
    fields: Vec<WireField>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireField {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default)]
    digits: u32,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default = "yes")]
    filterable: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Option<Vec<WireValue>>,
}

#[derive(Deserialize)]
struct WireValue {
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    value: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<WireField> for Field {
    fn from(wire: WireField) -> Field {
        let values = wire.picklist_values.unwrap_or_default();
        let active = values.into_iter().filter(|value| value.active);
        Field {
            kind: match wire.kind.as_str() {
                "string" | "textarea" | "combobox" | "encryptedstring" => Kind::Text,
                "picklist" => Kind::Picklist,
                "int" | "long" => Kind::Integer,
                "double" | "currency" | "percent" => Kind::Double,
                "boolean" => Kind::Boolean,
                "date" => Kind::Date,
                "datetime" => Kind::DateTime,
                _ => Kind::Whole,
            },
            name: wire.name,
            length: wire.length,
            digits: wire.digits,
            createable: wire.createable,
            updateable: wire.updateable,
            filterable: wire.filterable,
            unique: wire.unique,
            external_id: wire.external_id,
            restricted: wire.restricted_picklist,
            values: active.filter_map(|value| value.value).collect(),
        }
    }
}

/// Asks the org about Task.
pub async fn read_task(client: &Client) -> Result<Facts, Outcome> {
    let ask = Ask {
        method: Method::GET,
        path: "/sobjects/Task/describe",
        body: None,
        effect: Effect::Read,
        counted: false,
        header: None,
    };
    let response = client.send(&ask).await.map_err(|failure| failure.into_outcome(Effect::Read, None))?;
    let object: WireObject = read_json(&response, Effect::Read)?;
    let mut facts = Facts { createable: object.createable, updateable: object.updateable, fields: HashMap::new() };
    object.fields.into_iter().map(Field::from).for_each(|field| facts.insert(field));
    Ok(facts)
}

#[cfg(test)]
#[path = "tests/describe.rs"]
mod tests;

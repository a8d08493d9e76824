//! HubSpot's search: groups of filters over the properties of calls and contacts, in pages.

use serde_json::{Value, json};

use super::super::harness::Answer;
use super::super::harness::check::{
    Check, Wrong, any_object, count, filled, list, object, one_of, optional, required, text,
};
use super::super::table::Record;
use super::properties::property;
use super::{Settings, shown};

const LIMIT_DEFAULT: usize = 10;
const LIMIT_MAX: u64 = 200;
const GROUPS_MAX: usize = 5;
const FILTERS_MAX: usize = 6;

const CONTACT_PROPERTIES: [&str; 13] = [
    "email",
    "firstname",
    "lastname",
    "phone",
    "mobilephone",
    "company",
    "jobtitle",
    "lifecyclestage",
    "createdate",
    "lastmodifieddate",
    "hubspot_owner_id",
    "hs_object_id",
    "hs_searchable_calculated_phone_number",
];

const OPERATORS: [&str; 6] = ["EQ", "NEQ", "IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN"];

/// Answers a search of these records, or says what is wrong with it.
pub(super) fn answer(records: &[&Record], table: &str, settings: &Settings, sent: &Value) -> Result<Answer, Answer> {
    check(sent, table, settings)?;
    let groups = sent["filterGroups"].as_array().map(Vec::as_slice).unwrap_or_default();
    let query = sent["query"].as_str().unwrap_or_default().to_lowercase();
    let fits = |record: &&&Record| {
        let in_group = groups.is_empty() || groups.iter().any(|group| all_fit(group, record));
        let in_text = query.is_empty() || record.fields.values().any(|value| lower(value).contains(&query));
        in_group && in_text
    };
    let found: Vec<&&Record> = records.iter().filter(fits).collect();
    let limit = sent["limit"].as_u64().map_or(LIMIT_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let after: usize = match &sent["after"] {
        Value::String(text) => text.parse().map_err(|_| super::invalid("after: is no place in a list"))?,
        Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or_default(),
        _ => 0,
    };
    let names: Vec<&str> = sent["properties"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let results: Vec<Value> = found.iter().skip(after).take(limit).map(|record| shown(record, &names)).collect();
    let next = after + results.len();
    let mut body = json!({ "total": found.len(), "results": results });
    if next < found.len() {
        body["paging"] = json!({ "next": { "after": next.to_string() } });
    }
    Ok(Answer::json(200, &body))
}

fn check(sent: &Value, table: &str, settings: &Settings) -> Check {
    let rules = [
        optional("filterGroups", |value| {
            list(value, |group| object(group, &[required("filters", |value| list(value, filter))]))
        }),
        optional("properties", |value| list(value, filled)),
        optional("limit", count),
        optional("after", |_| Ok(())),
        optional("sorts", |value| list(value, any_object)),
        optional("query", text),
    ];
    object(sent, &rules)?;
    if sent["limit"].as_u64().is_some_and(|limit| limit == 0 || limit > LIMIT_MAX) {
        return Wrong::at("limit", format!("is not from 1 to {LIMIT_MAX}"));
    }
    let groups = sent["filterGroups"].as_array().map(Vec::as_slice).unwrap_or_default();
    if groups.len() > GROUPS_MAX {
        return Wrong::at("filterGroups", format!("has more than {GROUPS_MAX}"));
    }
    for (at, group) in groups.iter().enumerate() {
        let filters = group["filters"].as_array().map(Vec::as_slice).unwrap_or_default();
        if filters.is_empty() || filters.len() > FILTERS_MAX {
            return Wrong::at(&format!("filterGroups[{at}].filters"), format!("has not 1 to {FILTERS_MAX}"));
        }
        for (index, filter) in filters.iter().enumerate() {
            let name = filter["propertyName"].as_str().unwrap_or_default();
            if !is_known(name, table, settings) {
                let place = format!("filterGroups[{at}].filters[{index}].propertyName");
                return Wrong::at(&place, format!("there is no property {name}"));
            }
        }
    }
    Ok(())
}

fn is_known(name: &str, table: &str, settings: &Settings) -> bool {
    if table == "contacts" {
        return CONTACT_PROPERTIES.contains(&name);
    }
    // A value of no property's type tells a known property from an unknown one.
    name == "hs_object_id"
        || property(name, &json!({}), settings).is_err_and(|wrong| !wrong.why.starts_with("PROPERTY_DOESNT_EXIST"))
}

fn filter(value: &Value) -> Check {
    let rules = [
        required("propertyName", filled),
        required("operator", |value| one_of(value, &OPERATORS)),
        optional("value", filled),
        optional("values", |value| list(value, filled)),
    ];
    object(value, &rules)?;
    let needed = match value["operator"].as_str() {
        Some("HAS_PROPERTY" | "NOT_HAS_PROPERTY") => return Ok(()),
        Some("IN") => "values",
        _ => "value",
    };
    if value.get(needed).is_none() { Wrong::at(needed, "missing") } else { Ok(()) }
}

fn all_fit(group: &Value, record: &Record) -> bool {
    group["filters"].as_array().into_iter().flatten().all(|filter| fits(filter, record))
}

fn fits(filter: &Value, record: &Record) -> bool {
    let name = filter["propertyName"].as_str().unwrap_or_default();
    let stored = match name {
        "hs_object_id" => record.id.clone(),
        "hs_searchable_calculated_phone_number" => searchable(record.text("phone")),
        name => record.fields.get(name).map(lower).unwrap_or_default(),
    };
    let wanted = filter["value"].as_str().unwrap_or_default().to_lowercase();
    match filter["operator"].as_str() {
        Some("EQ") => stored == wanted,
        Some("NEQ") => !stored.is_empty() && stored != wanted,
        // Values of IN are compared as they are: the documentation asks for lower case.
        Some("IN") => filter["values"].as_array().into_iter().flatten().any(|value| *value == *stored),
        Some("HAS_PROPERTY") => !stored.is_empty(),
        Some("NOT_HAS_PROPERTY") => stored.is_empty(),
        _ => stored.contains(wanted.trim_matches('*')),
    }
}

fn lower(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_lowercase)
}

/// Digits without the country's code of North America, as the portal keeps numbers for searching.
fn searchable(phone: &str) -> String {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('1') {
        Some(national) if national.len() == 10 => national.to_owned(),
        _ => digits,
    }
}

//! What the properties and associations of a call may be.
//!
//! Values are texts, as the portal documents them; numbers are taken where a time is counted in milliseconds.

use serde_json::Value;

use super::super::harness::check::{
    Check, Wrong, address, count, digits, filled, instant, list, map, object, one_of, required, text, text_of,
};
use super::Settings;

const BODY_CHARS_MAX: usize = 65_536;

pub(super) const DISPOSITIONS: [&str; 6] = [
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
pub(super) const ASSOCIATIONS: [(u64, &str); 4] =
    [(194, "contacts"), (182, "companies"), (206, "deals"), (220, "tickets")];

/// Why a value is not one of this property; the portal lists the property beside it.
pub(super) fn property(name: &str, value: &Value, settings: &Settings) -> Check {
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

pub(super) fn properties(value: &Value, settings: &Settings) -> Check {
    for (name, value) in map(value)? {
        property(name, value, settings).map_err(|wrong| wrong.below(name))?;
    }
    Ok(())
}

/// The one or more objects that an input is to be tied to: the table and the id.
pub(super) fn ties(value: &Value) -> Result<Vec<(&'static str, String)>, Wrong> {
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
                required("associationTypeId", count),
            ],
        )
    })?;
    if value.as_array().is_some_and(Vec::is_empty) { Wrong::here("is empty") } else { Ok(()) }
}

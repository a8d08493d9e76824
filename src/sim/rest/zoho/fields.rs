//! What the fields of a call may be.

use serde_json::Value;

use super::super::harness::check::{
    Check, Wrong, any_object, digits, filled, instant, kind, list, one_of, text, text_of,
};
use super::Settings;

/// Whether a value is one of this field of a call; `None` for a field that calls do not have.
pub(super) fn field(name: &str, value: &Value, settings: &Settings) -> Option<Check> {
    let is_custom =
        settings.unique_field.as_deref() == Some(name) || settings.custom_fields.iter().any(|own| own == name);
    let is_cleared = value.is_null() && !["Subject", "Call_Type", "Call_Start_Time"].contains(&name);
    let check = match name {
        "Call_Duration_in_seconds" | "Created_Time" | "Modified_Time" => Wrong::here("is read-only"),
        _ if is_custom && is_cleared => Ok(()),
        _ if is_custom => text_of(value, 255),
        "Subject" => filled_of(value, 255),
        "Call_Type" => one_of(value, &["Inbound", "Outbound", "Missed"]),
        "Call_Start_Time" => start(value, settings),
        _ if is_cleared && KNOWN.contains(&name) => Ok(()),
        "Call_Duration" => duration(value, settings),
        "Description" => text_of(value, 32_000),
        "Call_Result" | "Call_Purpose" | "Call_Agenda" | "Dialled_Number" | "Caller_ID" | "Voice_Recording__s" => {
            text_of(value, 255)
        }
        "Who_Id" | "What_Id" | "Owner" => reference(value),
        "$se_module" => one_of(value, &["Leads", "Deals", "Accounts"]),
        "Tag" => list(value, any_object),
        _ => return None,
    };
    Some(check)
}

pub(super) const KNOWN: [&str; 13] = [
    "Call_Duration",
    "Description",
    "Call_Result",
    "Call_Purpose",
    "Call_Agenda",
    "Dialled_Number",
    "Caller_ID",
    "Voice_Recording__s",
    "Who_Id",
    "What_Id",
    "Owner",
    "$se_module",
    "Tag",
];

fn filled_of(value: &Value, most: usize) -> Check {
    filled(value)?;
    text_of(value, most)
}

/// `YYYY-MM-DDTHH:MM:SS±HH:MM`, to the second.
fn start(value: &Value, settings: &Settings) -> Check {
    text(value)?;
    let sent = value.as_str().unwrap_or_default();
    let has_zone = sent.len() == 25 || settings.accepts_z && sent.len() == 20 && sent.ends_with('Z');
    if has_zone && instant(sent).is_some() && !sent.contains('.') {
        return Ok(());
    }
    Wrong::here(format!("`{sent}` is no time like 2025-03-04T10:00:00+00:00"))
}

fn duration(value: &Value, settings: &Settings) -> Check {
    text(value)?;
    let sent = value.as_str().unwrap_or_default();
    let parts: Vec<&str> = sent.split(':').collect();
    let two_digits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    // The minutes of MM:SS go on beyond 59.
    let is_good = match parts.as_slice() {
        [minutes, seconds] => {
            (2..=4).contains(&minutes.len())
                && minutes.bytes().all(|byte| byte.is_ascii_digit())
                && two_digits(seconds)
                && *seconds < "60"
        }
        [hours, minutes, seconds] if settings.accepts_hours => {
            [hours, minutes, seconds].into_iter().all(two_digits) && *minutes < "60" && *seconds < "60"
        }
        _ => false,
    };
    if is_good { Ok(()) } else { Wrong::here(format!("`{sent}` is not in the form MM:SS")) }
}

fn reference(value: &Value) -> Check {
    let Some(members) = value.as_object() else {
        return Wrong::here(format!("expected an object with an id, got {}", kind(value)));
    };
    match members.get("id") {
        Some(id) => digits(id).map_err(|wrong| wrong.below("id")),
        None => Wrong::at("id", "missing"),
    }
}

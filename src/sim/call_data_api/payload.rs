//! What a payload must be, field by field, in both generations.
//!
//! Invariant: the first wrong field is named by its path, in the order in which the fields are documented.

use serde_json::Value;

use super::settings::{Generation, Settings};
use crate::sim::harness::check::{
    Check, Rule, Wrong, address, amount, any_object, boolean, civil, count, filled, instant, list, loose_instant,
    loose_time, object, one_of, optional, required, text, time,
};

const PAYLOAD: &[Rule] = &[
    required("campaignId", object_id),
    required("voiceAgentId", object_id),
    required("client", object_id),
    required("callDetails", call_details),
    required("caller", caller),
    required("transcription", transcription),
    required("lead", lead),
];

const CALL_DETAILS: &[Rule] = &[
    required("callId", filled),
    required("direction", |value| one_of(value, &["inbound", "outbound"])),
    required("startTime", time),
    required("endTime", time),
    required("duration", count),
    required("status", |value| one_of(value, &["completed", "failed", "missed"])),
    required("callerNumber", text),
    optional("recordingUrl", |value| or_null(value, address)),
    optional("recordingDuration", |value| or_null(value, count)),
    optional("recordingSize", |value| or_null(value, count)),
];

const TRANSCRIPTION: &[Rule] = &[
    required("session_id", filled),
    required("start_time", loose_time),
    required("end_time", loose_time),
    required("duration_seconds", amount),
    required("total_items", count),
    required("conversation_items", |value| list(value, item)),
    required("lead_generated", boolean),
    required("metadata", any_object),
];

const ITEM: &[Rule] = &[
    required("role", filled),
    required("content", text_or_texts),
    optional("timestamp", time),
    optional("source", filled),
    optional("transcript_confidence", |value| or_null(value, confidence)),
    optional("interrupted", boolean),
];

const LEAD: &[Rule] = &[
    required("name", text),
    required("email", text),
    required("company", text),
    required("interest", text),
    required("phone", text),
    required("job_title", text),
    required("budget", text),
    required("timeline", text),
    required("timestamp", lead_time),
    required("source", text),
    required("status", text),
];

const RECORDING: [&str; 3] = ["recordingUrl", "recordingDuration", "recordingSize"];

/// Whether the payload is one that the API takes.
pub(super) fn check(payload: &Value, settings: &Settings) -> Check {
    object(payload, PAYLOAD)?;
    let transcription = &payload["transcription"];
    let items = transcription["conversation_items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let generation = match settings.generation {
        Generation::Either => looks_like(payload, items),
        generation => generation,
    };
    recording(&payload["callDetails"], generation)?;
    for (index, item) in items.iter().enumerate() {
        of_generation(item, generation, settings)
            .map_err(|wrong| wrong.below(&format!("[{index}]")).below("conversation_items").below("transcription"))?;
    }
    if transcription["total_items"].as_u64().is_some_and(|total| total < items.len() as u64) {
        return Wrong::at("transcription.total_items", "is less than there are conversation_items");
    }
    let has_lead = payload["lead"].as_object().is_some_and(|lead| !lead.is_empty());
    if settings.lead_needs_lead_generated && has_lead && transcription["lead_generated"] == false {
        return Wrong::at("lead", "is filled although transcription.lead_generated is false");
    }
    Ok(())
}

/// What only the second generation sends decides; then what only the first can leave out.
fn looks_like(payload: &Value, items: &[Value]) -> Generation {
    let details = &payload["callDetails"];
    let has_null = RECORDING.iter().any(|name| details.get(name).is_some_and(Value::is_null));
    if has_null || items.iter().any(|item| !is_of_speaker(item)) {
        return Generation::V2;
    }
    let lacks = |item: &Value| {
        item.get("source").is_none() || item.get("transcript_confidence").is_none() || item["content"].is_array()
    };
    let is_first = RECORDING.iter().any(|name| details.get(name).is_none()) || items.iter().any(lacks);
    if is_first { Generation::V1 } else { Generation::V2 }
}

fn is_of_speaker(item: &Value) -> bool {
    item["role"] == "user" || item["role"] == "assistant"
}

fn recording(details: &Value, generation: Generation) -> Check {
    for name in RECORDING {
        let at = format!("callDetails.{name}");
        match (details.get(name), generation) {
            (None, Generation::V2) => return Wrong::at(&at, "missing, which the second generation never is"),
            (Some(value), Generation::V1) if value.is_null() || *value == 0 || *value == "" => {
                return Wrong::at(&at, "is empty, which the first generation leaves out");
            }
            _ => {}
        }
    }
    let length = &details["recordingDuration"];
    if generation == Generation::V2 && !length.is_null() && *length != details["duration"] {
        return Wrong::at("callDetails.recordingDuration", "is not the duration, as it is in the second generation");
    }
    Ok(())
}

fn of_generation(item: &Value, generation: Generation, settings: &Settings) -> Check {
    if settings.item_timestamp_required && item.get("timestamp").is_none() {
        return Wrong::at("timestamp", "missing");
    }
    if generation == Generation::V1 {
        return match is_of_speaker(item) {
            true => Ok(()),
            false => Wrong::at("role", "is neither user nor assistant, the only roles of the first generation"),
        };
    }
    if !item["content"].is_string() {
        return Wrong::at("content", "expected a text, into which the second generation joins lists");
    }
    for name in ["source", "transcript_confidence"] {
        if item.get(name).is_none() {
            return Wrong::at(name, "missing, which the second generation never is");
        }
    }
    let is_bare = item["role"] == "unknown" || item["role"] == "persona_applied";
    if is_bare && item["content"] == "" {
        return Wrong::at("content", "is empty in an item that the second generation skips");
    }
    Ok(())
}

fn or_null(value: &Value, check: fn(&Value) -> Check) -> Check {
    if value.is_null() { Ok(()) } else { check(value) }
}

/// 24 hexadecimal digits.
pub(super) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn object_id(value: &Value) -> Check {
    text(value)?;
    let is_good = value.as_str().is_some_and(is_object_id);
    if is_good { Ok(()) } else { Wrong::here("expected 24 hexadecimal digits") }
}

fn call_details(value: &Value) -> Check {
    object(value, CALL_DETAILS)?;
    let at = |name: &str| value[name].as_str().and_then(instant);
    if at("endTime") < at("startTime") {
        return Wrong::at("endTime", "is before startTime");
    }
    Ok(())
}

fn caller(value: &Value) -> Check {
    object(value, &[required("phoneNumber", text)])
}

fn transcription(value: &Value) -> Check {
    object(value, TRANSCRIPTION)?;
    let at = |name: &str| value[name].as_str().and_then(loose_instant);
    if at("end_time") < at("start_time") {
        return Wrong::at("end_time", "is before start_time");
    }
    Ok(())
}

fn item(value: &Value) -> Check {
    object(value, ITEM)
}

fn text_or_texts(value: &Value) -> Check {
    if value.is_array() { list(value, text) } else { text(value) }
}

fn confidence(value: &Value) -> Check {
    amount(value)?;
    if value.as_f64().is_some_and(|number| number > 1.0) { Wrong::here("is more than 1") } else { Ok(()) }
}

/// Empty, or whole.
fn lead(value: &Value) -> Check {
    if value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(());
    }
    object(value, LEAD)?;
    let email = value["email"].as_str().unwrap_or_default();
    if !email.is_empty() && !email.contains('@') {
        return Wrong::at("email", "is no e-mail address");
    }
    Ok(())
}

/// Leads carry local times, mostly without a zone.
fn lead_time(value: &Value) -> Check {
    text(value)?;
    let text = value.as_str().unwrap_or_default();
    let (whole, _) = text.split_once('.').unwrap_or((text, ""));
    let is_good = instant(text).is_some()
        || civil(whole, "%Y-%m-%dT%H:%M:%S").is_some() && text.parse::<jiff::civil::DateTime>().is_ok();
    if is_good { Ok(()) } else { Wrong::here(format!("`{text}` is no ISO time")) }
}

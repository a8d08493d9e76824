//! The bytes of a transcript in each form.
//!
//! Invariant: a form holds what the agents that write it hold, and no more: the bare ones have neither times nor ids.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Form;
use super::cast::{Call, session};

const SAID: [(&str, &str); 4] = [
    ("assistant", "Good morning, this is the assistant of Example Company. How can I help?"),
    ("user", "It's about a demo for our team, we're \"somewhat\" in a hurry."),
    ("assistant", "Gladly. May I take down how we reach you?"),
    ("user", "Yes, please do."),
];

/// A file's name without its ending.
pub(super) fn stem(call: &Call) -> String {
    match call.form {
        Form::Older => format!("conversation_{}_{}", call.start.strftime("%Y%m%d%H%M%S"), call.index),
        Form::Lines | Form::Node => format!("transcripts_{:06}", call.index),
        Form::Session if call.index.is_multiple_of(3) => {
            format!("transcript_session_64b0c0ffee00_64b0c0ffee00_{:016x}", call.index)
        }
        _ => format!("transcript_session_{}.{:06}", call.start.strftime("%Y-%m-%dT%H-%M-%S"), call.index),
    }
}

pub(super) fn name(call: &Call) -> String {
    let ending = if matches!(call.form, Form::Lines | Form::Node) { "jsonl" } else { "json" };
    format!("{}.{ending}{}", stem(call), if call.gzip { ".gz" } else { "" })
}

pub(super) fn document(call: &Call) -> String {
    match call.form {
        Form::Session => session_document(call).to_string(),
        Form::Bare => json!({ "items": items(call) }).to_string(),
        Form::Older => json!({ "conversation": items(call) }).to_string(),
        Form::Mongo => mongo(call).to_string(),
        Form::Lines => lines(call, "session", &spoken(call)),
        Form::Node => lines(call, "transcription_node", &tokens()),
    }
}

/// `str(datetime)`: a blank, and an offset or none.
fn python(at: Timestamp, offset: bool) -> String {
    format!("{}{}", at.strftime("%Y-%m-%d %H:%M:%S%.6f"), if offset { "+00:00" } else { "" })
}

fn items(call: &Call) -> Vec<Value> {
    let mut items: Vec<Value> = SAID
        .iter()
        .enumerate()
        .map(|(index, (role, text))| {
            json!({ "id": format!("item_{index}"), "type": "message", "role": role, "content": [text], "interrupted": false })
        })
        .collect();
    if let Some(email) = &call.created {
        let arguments = json!({ "name": format!("Person {}", call.index), "email": email }).to_string();
        items.push(json!({ "id": "item_8", "type": "function_call", "name": "create_lead", "arguments": arguments, "call_id": "call_1" }));
        items.push(json!({ "id": "item_9", "type": "function_call_output", "call_id": "call_1", "output": "saved", "is_error": false }));
    }
    items
}

fn campaign(call: &Call) -> Value {
    let mut campaign = json!({
        "campaignId": "64b0c0ffee00000000000001", "voiceAgentId": "64b0c0ffee00000000000002",
        "clientId": "64b0c0ffee00000000000003", "dialedNumber": "+15550109999", "sessionId": session(call),
    });
    if call.recorded {
        campaign["egressId"] = egress_id(call).into();
    }
    campaign
}

pub(super) fn egress_id(call: &Call) -> String {
    format!("EG_{:08x}", call.index)
}

fn session_document(call: &Call) -> Value {
    let offset = call.index.is_multiple_of(2);
    let items = items(call);
    let mut document = json!({
        "session_id": session(call),
        "start_time": python(call.start, offset),
        "end_time": python(call.end, offset),
        "duration_seconds": call.end.duration_since(call.start).as_secs_f64(),
        "total_items": items.len(),
        "metadata": {
            "auto_saved": true, "campaign_metadata": campaign(call),
            "participant_attributes": { "sip.phoneNumber": call.phone, "sip.ruleID": "SDR_demo" },
        },
    });
    document[if call.index.is_multiple_of(5) { "conversation_items" } else { "items" }] = items.into();
    if let Some(generated) = call.generated {
        document["lead_generated"] = generated.into();
    }
    document
}

/// What became of a session in Mongo: an id, dates as objects, and texts that only a `repr` holds.
fn mongo(call: &Call) -> Value {
    let mut document = session_document(call);
    document["_id"] = json!({ "$oid": format!("64b0c0ffee{:014x}", call.index) });
    document["start_time"] = json!({ "$date": call.start.to_string() });
    document["end_time"] = json!({ "$date": { "$numberLong": call.end.as_millisecond().to_string() } });
    document.as_object_mut().map(|fields| fields.remove("conversation_items"));
    let mut items = vec![json!({ "type": "persona_applied", "content": "", "role": "unknown" })];
    for item in self::items(call) {
        let (Some(role), Some(text)) = (item["role"].as_str(), item["content"][0].as_str()) else {
            items.push(item);
            continue;
        };
        let raw = format!("id='item_x' type='message' role='{role}' content=[{}] interrupted=False", quoted(text));
        items.push(json!({ "role": "unknown", "content": "", "raw": raw }));
    }
    document["items"] = items.into();
    document
}

/// A string as Python's `repr` writes it.
fn quoted(text: &str) -> String {
    if text.contains('\'') && !text.contains('"') {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

fn spoken(call: &Call) -> Vec<(&'static str, String)> {
    SAID.iter().take(2 + call.index % 3).map(|(role, text)| (*role, (*text).to_owned())).collect()
}

/// The agent's speech, labelled as the user's.
fn tokens() -> Vec<(&'static str, String)> {
    let text = SAID[0].1;
    text.split_inclusive(' ').map(|token| ("user", token.to_owned())).collect()
}

fn lines(call: &Call, source: &str, events: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (index, (role, text)) in events.iter().enumerate() {
        let at = call.start + SignedDuration::from_millis(400 * index as i64);
        let mut event = json!({ "role": role, "content": text, "timestamp": at.to_string(), "source": source });
        if call.form == Form::Lines && call.index.is_multiple_of(2) {
            event["meta"] = json!({ "session_id": session(call) });
        }
        out.push_str(&event.to_string());
        out.push('\n');
    }
    out
}

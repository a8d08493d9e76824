//! The simulator seen from outside: every test talks HTTP to a port that the system chose.

mod faults;
mod lookups;
mod payloads;

use serde_json::{Value, json};

use super::CallDataApi;
use crate::sim::harness::testing;

const PATH: &str = "/apis/api/public/call-data";

type Desk = testing::Desk<CallDataApi>;

/// A payload of the second generation.
fn payload(call_id: &str) -> Value {
    json!({
        "campaignId": "64b0c0ffee0000000000abcd", "voiceAgentId": "64b0c0ffee0000000000beef",
        "client": "64b0c0ffee0000000000f00d",
        "callDetails": {
            "callId": call_id, "direction": "inbound", "startTime": "2026-01-04T10:00:00Z",
            "endTime": "2026-01-04T10:02:05Z", "duration": 125, "status": "completed", "callerNumber": "+15550100200",
            "recordingUrl": "https://rec.example.com/1.ogg", "recordingDuration": 125, "recordingSize": 48213,
        },
        "caller": { "phoneNumber": "+15550100200" },
        "transcription": {
            "session_id": "session_20260104_100000_0a1b2c3d", "start_time": "2026-01-04 10:00:00.120000+00:00",
            "end_time": "2026-01-04 10:02:05.400000+00:00", "duration_seconds": 125.28, "total_items": 2,
            "conversation_items": [
                { "role": "assistant", "content": "Hello", "timestamp": "2026-01-04T10:00:01Z", "source": "session",
                  "transcript_confidence": null, "interrupted": false },
                { "role": "user", "content": "Hi", "timestamp": "2026-01-04T10:00:03Z", "source": "session",
                  "transcript_confidence": 0.97 },
            ],
            "lead_generated": true, "metadata": {},
        },
        "lead": {
            "name": "Ada Moreau", "email": "ada@example.com", "company": "Example", "interest": "demo",
            "phone": "+15550100200", "job_title": "", "budget": "", "timeline": "", "timestamp": "2026-01-04T10:02:00",
            "source": "Assistant", "status": "new",
        },
    })
}

/// A payload of the first generation: speakers only, no empty recording fields, no defaults in items.
fn first_generation(call_id: &str) -> Value {
    let mut payload = payload(call_id);
    for name in ["recordingUrl", "recordingDuration", "recordingSize"] {
        payload["callDetails"].as_object_mut().expect("an object").remove(name);
    }
    payload["transcription"]["conversation_items"] = json!([
        { "role": "user", "content": ["Hi", "there"], "timestamp": "2026-01-04T10:00:03Z" },
    ]);
    payload["lead"] = json!({});
    payload
}

/// The payload with the value at this JSON pointer set, or removed for a null named `REMOVED`.
fn with(mut payload: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = payload.pointer_mut(parent).expect("the parent is there");
    match parent {
        Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
        Value::Object(members) if value == "REMOVED" => _ = members.remove(name),
        Value::Object(members) => _ = members.insert(name.to_owned(), value),
        other => panic!("{other} has no members"),
    }
    payload
}

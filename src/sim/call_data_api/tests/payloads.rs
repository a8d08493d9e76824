//! What is taken and what is refused, with the name of the wrong field.

use serde_json::{Value, json};

use super::super::Generation;
use super::{Desk, PATH, first_generation, payload, with};

#[tokio::test]
async fn both_generations_are_taken_and_kept_as_they_were_sent() {
    let desk = Desk::open().await;
    let of_tool = json!({ "role": "function_call", "content": "", "timestamp": "2026-01-04T10:00:04Z",
                          "source": "unknown", "transcript_confidence": null });
    let mut second = with(payload("CALL-2"), "/transcription/conversation_items/1", of_tool);
    for name in ["recordingUrl", "recordingDuration", "recordingSize"] {
        second["callDetails"][name] = Value::Null;
    }
    let sent = [first_generation("CALL-1"), second, payload("CALL-3")];
    for payload in &sent {
        let reply = desk.send("POST", PATH, payload.clone()).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["success"], true);
    }
    assert_eq!(desk.api.calls(), sent);
    assert_eq!(desk.api.counters().of("stored"), 3);
}

#[tokio::test]
async fn the_first_wrong_field_is_named() {
    let desk = Desk::open().await;
    desk.api.settings(|settings| settings.item_timestamp_required = true);
    let item = "/transcription/conversation_items/0";
    for (pointer, value, said) in [
        ("/campaignId", json!("64b0c0ffee"), "campaignId: expected 24 hexadecimal digits"),
        ("/client", json!("REMOVED"), "client: missing"),
        ("/voiceAgentId", json!(7), "voiceAgentId: expected a text, got a whole number"),
        ("/extra", json!(1), "extra: is not a known field"),
        ("/callDetails/callId", json!(""), "callDetails.callId: is empty"),
        ("/callDetails/direction", json!("Inbound"), "callDetails.direction: `Inbound` is none of inbound, outbound"),
        ("/callDetails/status", json!("ended"), "callDetails.status"),
        ("/callDetails/startTime", json!("2026-01-04T10:00:00+00:00Z"), "callDetails.startTime"),
        ("/callDetails/startTime", json!("2026-01-04T10:00:00"), "callDetails.startTime"),
        ("/callDetails/endTime", json!("2026-01-04T09:00:00Z"), "callDetails.endTime: is before startTime"),
        ("/callDetails/duration", json!(125.0), "callDetails.duration: expected a whole number"),
        ("/callDetails/duration", json!("125"), "callDetails.duration"),
        ("/callDetails/callerNumber", Value::Null, "callDetails.callerNumber"),
        ("/callDetails/recordingUrl", json!("1.ogg"), "callDetails.recordingUrl"),
        ("/callDetails/recordingDuration", json!(1), "callDetails.recordingDuration: is not the duration"),
        ("/callDetails/note", json!(1), "callDetails.note: is not a known field"),
        ("/caller", json!({}), "caller.phoneNumber: missing"),
        ("/transcription/start_time", json!("2026-01-04 10:00:00"), "transcription.start_time"),
        ("/transcription/duration_seconds", json!("1"), "transcription.duration_seconds"),
        ("/transcription/total_items", json!(1), "transcription.total_items"),
        ("/transcription/lead_generated", json!(1), "transcription.lead_generated"),
        ("/transcription/lead_generated", json!(false), "lead: is filled although"),
        ("/transcription/metadata", Value::Null, "transcription.metadata"),
        ("/lead/email", json!("nobody"), "lead.email"),
        ("/lead/budget", Value::Null, "lead.budget"),
        ("/lead/budget", json!("REMOVED"), "lead.budget: missing"),
        ("/lead/timestamp", json!("2026-01-04T10:02:00+00:00Z"), "lead.timestamp"),
        ("/lead/score", json!(1), "lead.score"),
        (&format!("{item}/timestamp"), json!("REMOVED"), "transcription.conversation_items[0].timestamp: missing"),
        (&format!("{item}/transcript_confidence"), json!("0.9"), "conversation_items[0].transcript_confidence"),
        (&format!("{item}/transcript_confidence"), json!(1.5), "conversation_items[0].transcript_confidence"),
        (&format!("{item}/id"), json!("x"), "conversation_items[0].id: is not a known field"),
    ] {
        let reply = desk.send("POST", PATH, with(payload("CALL-1"), pointer, value)).await;
        reply.says(400, said);
        assert_eq!(reply.json()["success"], false);
    }
    assert!(desk.api.calls().is_empty());
}

#[tokio::test]
async fn each_generation_is_held_to_its_own_rules() {
    let desk = Desk::open().await;
    let post = async |payload: Value| desk.send("POST", PATH, payload).await;
    desk.api.settings(|settings| settings.generation = Generation::V1);
    let role = "/transcription/conversation_items/0/role";
    post(with(payload("a"), role, json!("system"))).await.says(400, "[0].role: is neither user nor assistant");
    post(with(payload("a"), "/callDetails/recordingSize", Value::Null)).await.says(400, "callDetails.recordingSize");
    desk.api.settings(|settings| settings.generation = Generation::V2);
    post(first_generation("a")).await.says(400, "callDetails.recordingUrl: missing");
    let source = "/transcription/conversation_items/0/source";
    post(with(payload("a"), source, json!("REMOVED"))).await.says(400, "[0].source: missing");
    let mut skipped = with(payload("a"), role, json!("persona_applied"));
    skipped["transcription"]["conversation_items"][0]["content"] = json!("");
    post(skipped).await.says(400, "[0].content: is empty");
}

#[tokio::test]
async fn bodies_that_are_no_payloads_are_refused() {
    let desk = Desk::open().await;
    desk.send("POST", PATH, json!([])).await.says(400, "expected an object, got a list");
    desk.send("POST", PATH, json!("{}")).await.says(415, "Content-Type");
    let as_json = [("content-type", "application/json")];
    desk.send_with("POST", PATH, &as_json, json!("{")).await.says(400, "the body is not JSON");
    desk.send("POST", &format!("{PATH}?x=1"), payload("a")).await.says(400, "x: is not a known parameter");
    desk.send("PUT", PATH, payload("a")).await.says(405, "method");
    desk.send("POST", "/apis/call-data", payload("a")).await.says(404, "no such path");
}

#[tokio::test]
async fn recordings_are_taken_and_get_a_plain_address() {
    let desk = Desk::open().await;
    let kind = [("content-type", "multipart/form-data; boundary=xyz")];
    let part = |head: &str, content: &str| json!(format!("--xyz\r\n{head}\r\n\r\n{content}\r\n--xyz--\r\n"));
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"1.ogg\"\r\nContent-Type: audio/ogg";
    let path = "/apis/api/public/upload";
    let reply = desk.send_with("POST", path, &kind, part(head, "OggS")).await;
    let data = reply.json()["data"].clone();
    assert_eq!((&data["originalName"], &data["size"]), (&json!("1.ogg"), &json!(4)));
    assert!(data["url"].as_str().is_some_and(|url| url.starts_with("http://")), "{data}");
    assert_eq!(desk.api.uploads(), [data]);
    let other = head.replace("audio/ogg", "audio/wav");
    desk.send_with("POST", path, &kind, part(&other, "RIFF")).await.says(400, "file: expected audio/ogg");
    let other = head.replace("\"file\"", "\"audio\"");
    desk.send_with("POST", path, &kind, part(&other, "OggS")).await.says(400, "file: missing");
    desk.send("POST", path, json!({})).await.says(400, "multipart/form-data");
}

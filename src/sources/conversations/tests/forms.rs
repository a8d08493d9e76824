//! Every form of transcript gives the call that it holds.

use super::*;
use crate::model::Direction;

fn fixture(name: &str) -> Converted {
    let source = open(settings(&fixtures()));
    let calls = calls(&source);
    calls.into_iter().find(|(other, _)| other == name).map(|(_, converted)| converted).expect("the fixture")
}

fn at(text: Option<jiff::Timestamp>) -> Option<String> {
    text.map(|at| at.to_string())
}

#[test]
fn a_saved_session_gives_everything_it_says() {
    let converted = fixture("transcript_session_2025-03-04T10-00-00.120000.json");
    let call = &converted.call;
    assert_eq!(call.source_id, "session_20250304_100000_0a1b2c3d");
    assert_eq!(at(call.started_at).as_deref(), Some("2025-03-04T10:00:00.12Z"));
    assert_eq!(at(call.ended_at).as_deref(), Some("2025-03-04T10:02:05.4Z"));
    assert_eq!(call.duration_s, Some(125.28));
    assert_eq!((call.direction, call.status), (Some(Direction::Inbound), None));
    assert_eq!(call.dialled.as_deref(), Some("+15550109999"));
    assert_eq!(call.caller.phone.as_deref(), Some("+15550100200"));
    assert_eq!(call.caller.email.as_deref(), Some("t@example.com"));
    let campaign = call.campaign.as_ref().expect("a campaign");
    assert_eq!(campaign.id.as_deref(), Some("64b0c0ffee0000000000abcd"));
    assert_eq!(campaign.agent_id.as_deref(), Some("64b0c0ffee0000000000beef"));
    assert_eq!(campaign.client_id.as_deref(), Some("64b0c0ffee0000000000f00d"));
    let recording = call.recording.as_ref().expect("a recording");
    assert_eq!(recording.url.as_deref(), Some("https://recordings.example.com/demo1.ogg"));
    assert_eq!((recording.duration_s, recording.bytes), (Some(125.28), Some(48213)));
    let lead = call.lead.as_ref().expect("a lead");
    assert_eq!((lead.name.as_deref(), lead.company.as_deref()), (Some("Test Person"), Some("Acme")));
    assert_eq!(lead.job_title, None);
    let extra: Vec<_> = call.extra.iter().map(|(name, value)| format!("{name}={:.12}", value.get())).collect();
    assert_eq!(extra.len(), 4, "{extra:?}");
    assert!(extra.contains(&"lead_generated=true".to_owned()) && extra.contains(&"room_temperature=21.5".to_owned()));
    let actions: Vec<_> = call.actions.iter().map(|action| (action.tool.as_str(), action.succeeded)).collect();
    assert_eq!(actions, [("create_lead", Some(true)), ("end_call", Some(false))]);
    assert_eq!(
        told(call),
        [
            "system: You are the assistant of Example Company.",
            "assistant: Hello, how can I help?",
            "user: I would like a demo.",
            "tool[function_call]: create_lead({\"name\": \"Test Person\", \"email\": \"t@example.com\", \"phone\": \"+15550100200\"})",
            "tool[function_call_output]: saved",
            "tool[function_call]: end_call({})",
            "tool[function_call_output]: no such tool",
            "other[agent_handoff]: to closer",
        ]
    );
    assert_eq!(
        (call.turns[1].detail().interrupted, at(call.turns[1].at).as_deref()),
        (Some(true), Some("2025-03-04T10:00:01.5Z"))
    );
    assert_eq!(call.turns[2].detail().confidence, Some(0.97));
    assert!(converted.notes.is_empty(), "{:?}", converted.notes);
}

#[test]
fn a_bare_chat_context_is_known_by_its_name_and_completed_by_its_metadata() {
    let call = fixture("transcript_session_2025-03-04T11-00-00.000000.json").call;
    assert_eq!(call.source_id, "transcript_session_2025-03-04T11-00-00.000000");
    assert_eq!(told(&call)[..3], ["system[developer]: Be kind.", "assistant: Hello.", "user: Hi, is somebody there?"]);
    assert_eq!(at(call.started_at).as_deref(), Some("2025-03-04T11:00:00Z"));
    assert_eq!((call.duration_s, call.dialled.as_deref()), (Some(90.0), Some("+15550109998")));
    // Two evidences make the lead's: its address in the tool's arguments, and the time of the call in the metadata.
    assert_eq!(call.lead.and_then(|lead| lead.company).as_deref(), Some("Acme"));
    assert_eq!(call.recording.and_then(|recording| recording.url).as_deref(), Some("demo2.ogg"));
    assert_eq!(call.extra.get("lead_generated").map(|value| value.get()), Some("true"));
}

#[test]
fn a_bare_chat_context_alone_has_the_time_of_its_name_and_the_lead_of_its_tool() {
    let mut settings = Settings::new(fixtures().join("conversations"));
    settings.zone = jiff::tz::TimeZone::UTC;
    let calls = calls(&open(settings));
    let (_, converted) = &calls[calls.iter().position(|(name, _)| name.contains("T11-00-00")).expect("the fixture")];
    let call = &converted.call;
    assert_eq!(
        (call.started_at, at(call.ended_at).as_deref(), call.duration_s),
        (None, Some("2025-03-04T11:00:00Z"), None)
    );
    let lead = call.lead.as_ref().expect("the tool's arguments");
    assert_eq!((lead.name.as_deref(), lead.company.as_deref()), (Some("Other Person"), None));
    assert_eq!(call.caller.email.as_deref(), Some("other@example.com"));
}

/// The note with a call that has no times of its own.
const HEARD: &str = "the call's times are those of its first and last words: it has none of its own";

#[test]
fn an_older_conversation_is_read() {
    let call = fixture("conversation_20250304_120000.json").call;
    assert_eq!(call.source_id, "conversation_20250304_120000");
    assert_eq!(told(&call), ["assistant: Hello.", "user: Wrong number, sorry."]);
    assert_eq!(at(call.turns[1].at).as_deref(), Some("2025-03-04T12:00:04Z"));
    assert_eq!(
        (call.turns[0].detail().source.as_deref(), call.turns[1].detail().source.as_deref()),
        (None, Some("session"))
    );
    assert!(call.started_at.is_some() && call.lead.is_none());
    assert_eq!(at(call.ended_at).as_deref(), Some("2025-03-04T12:00:04Z"), "that of its last words");
}

#[test]
fn event_lines_are_one_call_and_a_broken_line_costs_only_itself() {
    let converted = fixture("transcripts.jsonl");
    assert_eq!(converted.call.source_id, "transcripts");
    assert_eq!(told(&converted.call), ["assistant: Hello.", "user: Hi."]);
    assert_eq!(at(converted.call.turns[1].at).as_deref(), Some("2025-03-04T13:00:03Z"));
    assert_eq!(converted.notes, ["lines that are no JSON object: 1, left out", HEARD]);
}

#[test]
fn a_mongo_export_gives_back_the_text_of_its_reprs() {
    let converted = fixture("mongo_export.json");
    let call = &converted.call;
    assert_eq!(call.source_id, "session_20250304_140000_00000001");
    assert_eq!(call.duration_s, Some(60.0));
    assert_eq!(
        told(call),
        [
            "other[persona_applied]: sales persona",
            "assistant: Hello, it's me Bea\u{301}t's \"assistant\"",
            "user: Hi",
            "other[narrator]: Music plays.",
        ]
    );
    assert_eq!((call.turns[1].detail().interrupted, call.turns[2].detail().confidence), (Some(true), Some(0.75)));
    assert_eq!(at(call.turns[3].at).as_deref(), Some("2025-03-04T14:00:20Z"));
    assert_eq!(converted.notes, ["items whose text was recovered from a Python repr: 2"]);
}

#[test]
fn fragments_of_a_transcription_node_become_the_agents_sentences() {
    let converted = fixture("transcription_node.jsonl");
    assert_eq!(told(&converted.call), ["assistant: Good morning.", "user: Hello?", "assistant: How are you?"]);
    assert_eq!(at(converted.call.turns[0].at).as_deref(), Some("2025-03-04T15:00:00Z"));
    assert_eq!(
        converted.notes,
        [
            "transcription-node fragments were joined: 8 items to 3",
            "the agent's speech was labelled user by its transcription node: 7 items corrected",
            HEARD,
        ]
    );
}

#[test]
fn a_session_id_in_the_lines_names_the_call_and_two_refuse_the_file() {
    let place = Place::new();
    let line =
        |id: &str| format!("{{\"role\": \"user\", \"content\": \"a\", \"meta\": {{\"session_id\": \"{id}\"}}}}\n");
    place
        .put("conversations/one.jsonl", &(line("s1") + &line("s1")))
        .put("conversations/two.jsonl", &(line("s1") + &line("s2")));
    let source = open(place.settings());
    let files = listed(&source);
    assert_eq!(converted(&source, &files[0]).call.source_id, "s1");
    let bytes = run(source.fetch(&files[1])).expect("read");
    let problem = source.convert(&files[1], bytes.clone(), 1 << 20).map(|_| ()).expect_err("refused");
    assert!(problem.code == crate::problem::RAW_NO_ID && problem.what.contains("two.jsonl"), "{problem}");
}

#[test]
fn a_call_from_a_campaign_id_or_a_session_report_is_known() {
    let place = Place::new();
    place
        .put("conversations/a.json", r#"{"items": [], "metadata": {"campaign_metadata": {"sessionId": "c1"}}}"#)
        .put("conversations/b.json", r#"{"job_id": "AJ_1", "chat_history": {"items": [{"type": "message", "role": "user", "content": ["Hi"]}]}}"#)
        .put("conversations/c.json", r#"{"conversation": [], "session_id": 17, "status": "missed"}"#);
    let calls = place.calls();
    let ids: Vec<_> = calls.iter().map(|(_, converted)| converted.call.source_id.as_str()).collect();
    assert_eq!(ids, ["c1", "b", "17"]);
    assert_eq!(told(&calls[1].1.call), ["user: Hi"]);
    assert_eq!(calls[2].1.call.status, Some(crate::model::Status::Missed));
}

#[test]
fn naive_times_are_of_the_configured_zone() {
    let place = Place::new();
    place.put("conversations/a.json", r#"{"items": [], "start_time": "2025-03-04 10:00:00.5", "end_time": "soon"}"#);
    let mut settings = place.settings();
    settings.zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(-5));
    let (_, converted) = calls(&open(settings)).remove(0);
    assert_eq!(at(converted.call.started_at).as_deref(), Some("2025-03-04T15:00:00.5Z"));
    assert_eq!(converted.notes, ["end_time is not a time: left out"]);
}

//! What the uploader that came before did wrong, and what must never happen again. The numbers are those of the list of
//! its bugs.

use super::*;

const PERSON: &str = r#""phone": "+15550100200", "name": "Test Person""#;

fn session(id: &str, phone: &str, start: &str, end: &str) -> String {
    format!(
        r#"{{"session_id": "{id}", "start_time": "2025-03-04 {start}", "end_time": "2025-03-04 {end}", "items": [],
            "metadata": {{"participant_attributes": {{"sip.phoneNumber": "{phone}"}}}}}}"#
    )
}

#[test]
fn bug_1_the_first_lead_is_not_attached_to_every_transcript_nor_one_caller_to_all() {
    let place = Place::new();
    place
        .put("conversations/a.json", &session("a", "+15550100100", "10:00:00", "10:02:00"))
        .put("conversations/b.json", &session("b", "+15550100200", "10:00:30", "10:02:00"))
        .put("conversations/c.json", r#"{"session_id": "c", "items": [], "lead_generated": false}"#)
        .put("leads/lead_20250304_100100.json", &format!("{{{PERSON}, \"timestamp\": \"2025-03-04T10:01:00\"}}"));
    let calls = place.calls();
    let leads: Vec<_> = calls.iter().map(|(_, converted)| converted.call.lead.is_some()).collect();
    assert_eq!(leads, [false, true, false]);
    let phones: Vec<_> = calls.iter().map(|(_, converted)| converted.call.caller.phone.as_deref()).collect();
    assert_eq!(phones, [Some("+15550100100"), Some("+15550100200"), None]);
    assert!(calls.iter().all(|(_, converted)| converted.call.direction.is_none()));
}

#[test]
fn bug_1_a_call_that_took_no_lead_down_gets_none_by_its_phone() {
    let place = Place::new();
    let said_no = session("a", "+15550100200", "10:00:00", "10:02:00")
        .replace("\"items\"", "\"lead_generated\": false, \"items\"");
    place
        .put("conversations/a.json", &said_no)
        .put("leads/lead_1.json", &format!("{{{PERSON}, \"timestamp\": \"2025-03-04T10:01:00\"}}"));
    assert!(place.lead_of("a.json").is_none());
}

#[test]
fn bug_2_the_newest_lead_does_not_cross_to_another_call() {
    let place = Place::new();
    place
        .put("conversations/a.json", &session("a", "+15550100100", "10:00:00", "10:02:00"))
        .put("conversations/b.json", &session("b", "+15550100200", "10:00:00", "10:02:00"))
        .put("leads/lead_1.json", r#"{"phone": "+15550100100", "timestamp": "2025-03-04T10:01:00"}"#)
        .put("leads/lead_2.json", r#"{"phone": "+15550100200", "timestamp": "2025-03-04T10:01:01"}"#)
        .put("leads/lead_3.json", r#"{"phone": "+15550100300", "timestamp": "2025-03-04T10:01:59"}"#);
    let phone = |name: &str| place.lead_of(name).and_then(|lead| lead.phone);
    assert_eq!(phone("a.json").as_deref(), Some("+15550100100"));
    assert_eq!(phone("b.json").as_deref(), Some("+15550100200"));
}

#[test]
fn bug_3_the_key_of_a_call_is_the_same_at_every_attempt() {
    let place = Place::new();
    place.put("conversations/a.json", &session("session_1", "", "10:00:00", "10:02:00"));
    let key = || place.calls()[0].1.call.key.clone();
    let first = key();
    place.put("leads/lead_1.json", r#"{"name": "Test Person", "metadata": {"sessionId": "session_1"}}"#);
    assert_eq!(key(), first);
    assert_eq!(first, crate::model::CallKey::from_source("conversations", "session_1"));
}

#[test]
fn bug_4_a_time_with_two_zones_is_read_and_a_missing_one_is_not_now() {
    let place = Place::new();
    place
        .put("conversations/a.json", r#"{"items": [], "start_time": "2025-03-04T10:00:00.120000+00:00Z"}"#)
        .put("conversations/b.json", r#"{"items": [], "start_time": null, "end_time": ""}"#);
    let calls = place.calls();
    let call = |index: usize| &calls[index].1.call;
    assert_eq!(call(0).started_at.map(|at| at.to_string()).as_deref(), Some("2025-03-04T10:00:00.12Z"));
    assert_eq!((call(0).ended_at, call(0).duration_s), (None, None));
    assert_eq!((call(1).started_at, call(1).ended_at, call(1).duration_s), (None, None, None));
}

#[test]
fn bug_5_a_recording_of_the_same_room_name_is_not_the_calls() {
    let place = Place::new();
    let egress = |id: &str| {
        format!(
            r#"{{"egress_id": "{id}", "room_name": "number-_15550100200", "files": [{{"location": "https://recordings.example.com/{id}.ogg"}}]}}"#
        )
    };
    let call = |id: &str| {
        format!(
            r#"{{"session_id": "{id}", "room": "number-_15550100200", "items": [], "metadata": {{"campaign_metadata": {{"egressId": "EG_{id}"}}}}}}"#
        )
    };
    place
        .put("conversations/a.json", &call("a"))
        .put("conversations/b.json", &call("b"))
        .put("conversations/c.json", r#"{"session_id": "c", "room": "number-_15550100200", "items": []}"#)
        .put("egress/EG_a.json", &egress("EG_a"))
        .put("egress/EG_b.json", &egress("EG_b"));
    let calls = place.calls();
    let url = |index: usize| calls[index].1.call.recording.as_ref().and_then(|recording| recording.url.as_deref());
    assert_eq!(url(0), Some("https://recordings.example.com/EG_a.ogg"));
    assert_eq!(url(1), Some("https://recordings.example.com/EG_b.ogg"));
    assert_eq!(url(2), None);
}

#[test]
fn bug_6_a_name_with_underscores_is_not_taken_for_metadata() {
    let place = Place::new();
    let body = r#"{"items": [], "metadata": {"campaign_metadata": {"campaignId": "64b0c0ffee0000000000abcd"}}}"#;
    place
        .put("conversations/transcript_session_2025_03_04_10_00.json", body)
        .put("conversations/transcript_session_64b0c0ffee00_64b0c0ffee01_ab12cd34ef56gh78.json", body)
        .put("conversations/transcript_session_ffffffffffff_64b0c0ffee01_ab12cd34ef56gh78.json", body);
    let calls = place.calls();
    for (name, converted) in &calls {
        assert_eq!(format!("{}.json", converted.call.source_id), *name);
        let campaign = converted.call.campaign.as_ref().expect("of the content");
        assert_eq!((campaign.id.as_deref(), campaign.agent_id.as_deref()), (Some("64b0c0ffee0000000000abcd"), None));
    }
    let notes: Vec<_> = calls.iter().map(|(_, converted)| converted.notes.len()).collect();
    assert_eq!(notes, [0, 0, 1]);
}

#[test]
fn bug_7_files_that_were_uploaded_are_not_read_again() {
    let place = Place::new();
    let body = r#"{"items": []}"#;
    place
        .put("conversations/a.json", body)
        .put("conversations/b.json.uploaded", body)
        .put("conversations/c.json.tmp", body)
        .put("conversations/.d.json", body)
        .put("conversations/below/e.json", body)
        .put("leads/lead_1.json.uploaded", "{}");
    let names: Vec<_> = place.calls().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.json"]);
    assert_eq!(open(place.settings()).prepare().expect("prepared").leads, 0);
    let mut settings = place.settings();
    settings.subfolders = true;
    let ids: Vec<_> = calls(&open(settings)).into_iter().map(|(_, converted)| converted.call.source_id).collect();
    assert_eq!(ids, ["a", "below/e"]);
}

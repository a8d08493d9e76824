//! Tables of session files and the calls that they become.

use bytes::Bytes;
use proptest::prelude::*;

use super::config::{INFLATED_BYTES_MAX, Settings};
use super::convert::convert;
use super::{decode, inflate, large, stream};
use crate::model::{Call, Direction, Role};
use crate::problem::{self, Code};
use crate::sim::sessions::{Fate, Plan, hostile_files};
use crate::sources::Converted;

const URL: &str = "file:///x/year=2025/month=10/day=29/a.json";

fn converted(json: &str) -> Converted {
    convert(&Settings::new("file:///x/"), URL, Bytes::copy_from_slice(json.as_bytes()), INFLATED_BYTES_MAX)
        .unwrap_or_else(|problem| panic!("{json}: {problem}"))
}

/// The call of a session with these further fields.
fn call(fields: &str) -> Call {
    converted(&format!("{{\"session_id\": \"s\", {fields}}}")).call
}

#[test]
fn a_whole_session_finds_its_places() {
    let json = r#"{
        "session_id": "trial_1", "user_email": " Ada@Example.com ", "user_metadata": {"phone": "+12025550123", "utm_source": "x"},
        "start_time": "2025-10-31T09:15:02.120344", "end_time": "2025-10-31T09:18:44.010200", "duration_seconds": 221.889856,
        "discovered_signals": {"team_size": 12, "monthly_volume": 0, "integration_needs": ["crm", "billing"], "urgency": null,
            "use_case": "quotes\nand more", "pain_points": ["slow", ""], "decision_timeline": "soon", "industry": "retail"},
        "tool_calls": [{"tool": "unleash_search_knowledge", "query": "q", "timestamp": "2025-10-31T09:16:10.100000"},
            {"tool": "book_sales_meeting", "customer_name": "Ada Abel", "customer_email": "ada@example.com",
             "preferred_date": "Tuesday", "preferred_time": "10:30", "success": true}],
        "metrics_summary": {}, "conversation_state": "GREETING",
        "transcript": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Hello"}],
        "transcript_text": "ASSISTANT: Hi\n", "consent_obtained": false, "direction": "Inbound"
    }"#;
    let Converted { call, notes, inflated_bytes, .. } = converted(json);
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(inflated_bytes, json.len() as u64);
    assert_eq!((call.source.as_str(), call.source_id.as_str()), ("sessions", "trial_1"));
    assert_eq!(call.caller.email.as_deref(), Some("Ada@Example.com"));
    assert_eq!(call.caller.phone.as_deref(), Some("+12025550123"));
    assert_eq!(call.caller.name.as_deref(), Some("Ada Abel"));
    assert_eq!(call.started_at.map(|at| at.to_string()).as_deref(), Some("2025-10-31T09:15:02.120344Z"));
    assert_eq!(call.duration_s, Some(221.889856));
    assert_eq!(call.direction, Some(Direction::Inbound));
    assert_eq!(call.insights.team_size.as_deref(), Some("12"));
    assert_eq!(call.insights.use_case.as_deref(), Some("quotes and more"));
    assert_eq!(call.insights.pain_points, ["slow"]);
    assert_eq!(call.insights.integration_interest.as_deref(), Some("crm, billing"));
    assert_eq!(call.insights.timeline.as_deref(), Some("soon"));
    assert_eq!(call.insights.other.iter().collect::<Vec<_>>(), [(&"industry".to_owned(), &"retail".to_owned())]);
    assert_eq!(call.actions.len(), 2);
    assert_eq!(call.actions[1].succeeded, Some(true));
    assert_eq!(call.turns.iter().map(|turn| turn.role).collect::<Vec<_>>(), [Role::Assistant, Role::User]);
    let extra: Vec<_> = call.extra.keys().map(String::as_str).collect();
    assert_eq!(
        extra,
        ["consent_obtained", "conversation_state", "metrics_summary", "transcript_text", "user_metadata"]
    );
    assert_eq!(call.extra["metrics_summary"].get(), "{}");
}

#[test]
fn identities_are_kept_byte_for_byte_or_refused() {
    let check = |json: &str, expected: Option<&str>| {
        let found =
            convert(&Settings::new("file:///x/"), URL, Bytes::copy_from_slice(json.as_bytes()), INFLATED_BYTES_MAX);
        match (found, expected) {
            (Ok(found), Some(expected)) => assert_eq!(found.call.source_id, expected),
            (Err(problem), None) => assert_eq!(problem.code, problem::RAW_NO_ID),
            (found, _) => panic!("{json}: {:?}", found.map(|found| found.call.source_id)),
        }
    };
    check(r#"{"session_id": " a b\u0000 "}"#, Some(" a b\u{0} "));
    check(r#"{"session_id": 42}"#, Some("42"));
    check(r#"{"session_id": null, "_session_id": "firehose"}"#, Some("firehose"));
    check(r#"{"session_id": "own", "_session_id": "firehose"}"#, Some("own"));
    for id in ["null", "\"\"", "\" \"", "{}", "[]", "true", "1.5", "1e3"] {
        check(&format!("{{\"session_id\": {id}}}"), None);
    }
    check("{}", None);
}

#[test]
fn the_caller_is_found_where_exporters_put_it() {
    let check = |fields: &str, email: Option<&str>| assert_eq!(call(fields).caller.email.as_deref(), email, "{fields}");
    check(r#""user_email": " a@example.com\n""#, Some("a@example.com"));
    check(r#""user_email": "", "user_metadata": {"user_email": "b@example.com"}"#, Some("b@example.com"));
    check(r#""user_email": null, "user_metadata": "{\"user_email\": \"c@example.com\"}""#, Some("c@example.com"));
    check(r#""user_email": " ", "user_metadata": {"user_email": " "}"#, None);
    check(r#""user_email": ["a@example.com"]"#, None);
    check(r#""user_metadata": 3"#, None);
    let phone = |fields: &str| call(fields).caller.phone;
    assert_eq!(phone(r#""caller_phone": "+1", "user_metadata": {"phone": "+2"}"#).as_deref(), Some("+2"));
    assert_eq!(phone(r#""phone_number": "+3""#).as_deref(), Some("+3"));
    assert_eq!(phone(r#""phone_number": 3"#), None);
    let direction = |fields: &str| call(fields).direction;
    assert_eq!(direction(r#""call_direction": "OUTBOUND""#), Some(Direction::Outbound));
    assert_eq!(direction(r#""direction": "sideways""#), None);
}

#[test]
fn durations_come_from_the_field_or_else_from_start_and_end() {
    let check = |value: &str, expected: Option<f64>| {
        let fields =
            format!(r#""start_time": "2025-10-31T09:00:00", "end_time": 1761901260, "duration_seconds": {value}"#);
        assert_eq!(call(&fields).duration_s, expected, "{value}");
    };
    check("12", Some(12.0));
    check("\"123.4\"", Some(123.4));
    check("0", Some(0.0));
    check("-0.0", Some(0.0));
    for odd in ["null", "-1", "\"soon\"", "\"NaN\"", "\"inf\"", "1e999", "NaN", "{}", "\"\"", "true"] {
        check(odd, Some(60.0));
    }
    assert_eq!(call(r#""start_time": "2025-10-31T09:01:00Z", "end_time": "2025-10-31T09:00:00Z""#).duration_s, None);
    assert_eq!(call(r#""end_time": "2025-10-31T09:00:00Z""#).duration_s, None);
}

#[test]
fn signals_are_one_line_each_and_defaults_count_as_absent() {
    let insights = |signals: &str| call(&format!("\"discovered_signals\": {{{signals}}}")).insights;
    let check = |team_size: &str, expected: Option<&str>| {
        assert_eq!(insights(&format!("\"team_size\": {team_size}")).team_size.as_deref(), expected, "{team_size}");
    };
    check("12", Some("12"));
    check("12.0", Some("12"));
    check("\"10-50\"", Some("10-50"));
    for absent in ["0", "0.0", "\"\"", "\"0\"", "null", "{}", "true", "[]"] {
        check(absent, None);
    }
    let interest = |signals: &str| insights(signals).integration_interest;
    assert_eq!(interest("\"integration_interest\": true").as_deref(), Some("yes"));
    assert_eq!(interest("\"integration_interest\": false").as_deref(), Some("no"));
    assert_eq!(interest(r#""integration_interest": [], "integration_needs": ["a\nb", 2]"#).as_deref(), Some("a b, 2"));
    assert_eq!(interest(r#""integration_interest": "x", "integration_needs": ["a"]"#).as_deref(), Some("x"));
    assert_eq!(insights("\"pain_points\": \"one\\r\\ntwo\"").pain_points, ["one two"]);
    assert_eq!(insights(r#""pain_points": ["a", 3, true, null, {}, " "]"#).pain_points, ["a", "3", "true"]);
    assert_eq!(insights(r#""timeline": "", "decision_timeline": "now""#).timeline.as_deref(), Some("now"));
    let other =
        insights(r#""urgency": "high", "monthly_volume": 0, "volume": 7, "tags": ["a", "b"], "deep": {}, "ok": true"#)
            .other;
    let other: Vec<_> = other.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(other, ["ok=true", "tags=a, b", "urgency=high", "volume=7"]);
}

#[test]
fn tool_calls_succeed_or_fail_only_where_the_file_says_so() {
    let check = |item: &str, expected: Option<bool>| {
        let call = call(&format!("\"tool_calls\": [{{\"tool\": \"t\", {item}}}]"));
        assert_eq!(call.actions[0].succeeded, expected, "{item}");
    };
    check("\"x\": 1", None);
    check("\"success\": true", Some(true));
    check("\"success\": \"False\"", Some(false));
    check("\"meeting_booked\": \"true\"", Some(true));
    check("\"success\": true, \"meeting_booked\": false", Some(false));
    check("\"success\": null, \"result\": {\"success\": true}", Some(true));
    check("\"success\": true, \"result\": \"{\\\"success\\\": false}\"", Some(false));
    check("\"result\": true", Some(true));
    check("\"result\": \"booked\"", None);
    check("\"error\": \"no calendar\"", Some(false));
    check("\"error\": \"\"", None);
}

#[test]
fn tool_calls_are_read_in_both_shapes() {
    let json = r#""tool_calls": [7, {"name": "book", "arguments": "{\"preferred_date\": \"Monday\", \"customer_name\": \"Bo\\nFox\"}",
        "timestamp": "2025-10-31T09:00:00Z"}, {"tool": "book", "preferred_time": 10, "arguments": {"preferred_time": "11"}}]"#;
    let converted = converted(&format!("{{\"session_id\": \"s\", {json}}}"));
    let actions = &converted.call.actions;
    assert_eq!(actions.len(), 2);
    assert_eq!((actions[0].tool.as_str(), actions[0].preferred_date.as_deref()), ("book", Some("Monday")));
    assert_eq!(actions[0].customer_name.as_deref(), Some("Bo Fox"));
    assert!(actions[0].at.is_some());
    assert_eq!(actions[1].preferred_time.as_deref(), Some("10"));
    assert_eq!(converted.call.caller.name.as_deref(), Some("Bo Fox"));
    assert_eq!(converted.notes, ["tool_calls has an item that is a number: left out"]);
}

#[test]
fn transcripts_are_read_in_both_shapes() {
    let turns = call(
        r#""transcript": [{"role": "Agent", "content": ["a", "b"], "timestamp": 1761901200}, {"speaker": "CUSTOMER", "text": " c\n"},
            {"role": "developer", "content": "d"}, {"role": "tool", "content": "e"}, {"role": "robot", "content": "f"},
            {"role": "user", "content": ""}, {"role": "user"}, {"content": [{"text": "g"}]}]"#,
    )
    .turns;
    let found: Vec<_> = turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
    let expected = [
        (Role::Assistant, "a\nb"),
        (Role::User, " c\n"),
        (Role::System, "d"),
        (Role::Tool, "e"),
        (Role::Other, "f"),
        (Role::Other, "g"),
    ];
    assert_eq!(found, expected);
    assert!(turns[0].at.is_some() && turns[1].at.is_none());
}

#[test]
fn notes_name_fields_and_kinds_and_nobodys_data() {
    let json = r#"{"session_id": "s", "user_email": {"secret": 1}, "start_time": "secret", "duration_seconds": [], "transcript": "secret",
        "tool_calls": ["secret", "secret"], "discovered_signals": {"secret": {"secret": 1}, "use_case": true}}"#;
    let notes = converted(json).notes;
    assert_eq!(
        notes,
        [
            "start_time is not a time: left out",
            "duration_seconds is a list: left out",
            "user_email is an object: left out",
            "discovered_signals has an item that is an object: left out",
            "discovered_signals.use_case is true or false: left out",
            "tool_calls has an item that is a text: left out",
            "transcript is a text: left out",
        ]
    );
}

/// Reads a document as a small file and as a large one: both ways come to the same.
fn both_ways(stored: &[u8], limit: usize) {
    let settings = Settings::new("file:///x/");
    let digest = crate::model::Digest::of(stored);
    let flat = |converted: Converted| {
        let call = serde_json::to_string(&converted.call).expect("JSON");
        (call, converted.notes, converted.digest, converted.inflated_bytes)
    };
    let small = convert(&settings, URL, Bytes::copy_from_slice(stored), limit).map(flat);
    let large = match large::document(&settings, digest, stored.to_vec(), limit) {
        Ok(Ok(converted)) => Ok(flat(converted)),
        Ok(Err(refused)) => Err(refused.code),
        Err(stream::Flaw::NotText) => Err(decode::not_text().code),
        Err(stream::Flaw::Inflate(inflate::Fault::TooLarge)) => Err(problem::RAW_TOO_LARGE),
        Err(stream::Flaw::Inflate(inflate::Fault::Damaged(_))) => Err(problem::RAW_DAMAGED),
    };
    assert_eq!(
        large,
        small.map_err(|problem| problem.code),
        "{:?}",
        String::from_utf8_lossy(&stored[..stored.len().min(300)])
    );
}

#[test]
fn a_document_becomes_the_same_call_however_large_it_is() {
    for file in hostile_files() {
        both_ways(&file.bytes, 1024 * 1024);
    }
    for session in Plan::new(6, jiff::civil::date(2025, 10, 29), 40).sessions() {
        both_ways(&session.bytes, INFLATED_BYTES_MAX);
        both_ways(&[&session.bytes[..], &[0; 40]].concat(), INFLATED_BYTES_MAX);
        both_ways(&[&session.bytes[..], &session.bytes].concat(), INFLATED_BYTES_MAX);
        both_ways(&session.bytes, session.truth.document_bytes - 1);
    }
    let turns = |count: usize| "{\"role\": \"user\", \"content\": \"caf\u{e9} \\ud83d\"},".repeat(count);
    let check = |json: String| both_ways(json.as_bytes(), INFLATED_BYTES_MAX);
    let short = "{\"text\": \"a\"},".repeat(100_001);
    check(format!("{{\"session_id\": \"s\", \"transcript\": [{short} 7]}}"));
    for count in [1, 3000] {
        check(format!(
            "{{\"session_id\": \"s\", \"transcript\": [{}1e999, \"x\", {{\"text\": \"end\"}}]}}",
            turns(count)
        ));
    }
    check(format!("\u{feff}\n {{\"session_id\": \"s\", \"a\": [{}-Infinity, \"\n\"]}} ", turns(3000)));
    for rest in [
        "",
        "]",
        "}",
        "} x",
        "} {}",
        "}\n\n",
        ", \"transcript\": null}",
        ", \"transcript\": \"\\ud800\", \"\\ud800\": 1}",
    ] {
        check(format!("{{\"session_id\": \"s\", \"transcript\": [{}{{}}], \"a\": 1, \"a\": 1e999{rest}", turns(2)));
    }
    for text in ["", " \n", "[1] [2]", "[1] x", "[", "7", "nul", "null", "\"a\"", "<html>"] {
        check(text.to_owned());
    }
}

#[test]
fn every_hostile_file_meets_its_fate() {
    let settings = Settings::new("file:///x/");
    for file in hostile_files() {
        let found = match convert(&settings, URL, Bytes::copy_from_slice(&file.bytes), settings.inflated_bytes_max) {
            Ok(found) => Fate::Call { session_id: found.call.source_id, email: found.call.caller.email },
            Err(problem) => {
                assert!(problem.what.starts_with(URL) && !problem.help.is_empty(), "{}: {problem}", file.name);
                let Code(code) = problem.code;
                Fate::Quarantine(code)
            }
        };
        assert_eq!(found, file.fate, "{}", file.name);
    }
}

#[test]
fn every_invented_session_becomes_the_call_that_was_planted() {
    let plan = Plan::new(5, jiff::civil::date(2025, 10, 29), 300);
    for session in plan.sessions().chain(plan.rewrites()) {
        let found =
            convert(&Settings::new("file:///x/"), URL, session.bytes.into(), INFLATED_BYTES_MAX).expect("a call");
        let (call, truth) = (found.call, session.truth);
        assert_eq!(found.notes, Vec::<String>::new());
        assert_eq!(found.inflated_bytes, truth.document_bytes as u64);
        assert_eq!(call.source_id, session.session_id);
        assert_eq!(call.caller.email.map(|email| email.to_lowercase()), truth.email);
        assert_eq!(call.started_at, Some(truth.started_at));
        assert_eq!(call.duration_s, Some(truth.duration_s));
        assert_eq!(call.actions.len(), truth.tool_calls);
        assert_eq!(
            call.actions.iter().any(|action| action.tool.starts_with("book") && action.succeeded == Some(true)),
            truth.meeting_booked
        );
        assert_eq!(call.turns.len(), truth.turns);
        assert_eq!(call.insights.use_case, truth.use_case);
        assert_eq!(call.insights.team_size, truth.team_size);
        assert_eq!(call.insights.pain_points, truth.pain_points);
    }
}

/// JSON of any shape, in which the known names turn up.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let names = prop::sample::select(vec![
        "session_id",
        "user_email",
        "user_metadata",
        "start_time",
        "duration_seconds",
        "discovered_signals",
        "tool_calls",
        "transcript",
        "role",
        "content",
        "tool",
        "arguments",
        "result",
        "team_size",
        "pain_points",
        "x\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("{\"a\": [")),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(names.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_ends_in_a_call_or_a_reason(json in any_json(), cut in 0usize..4000) {
        let text = json.to_string();
        let settings = Settings::new("file:///x/");
        for text in [&text, text.get(..cut).unwrap_or("")] {
            let _ = convert(&settings, URL, Bytes::copy_from_slice(text.as_bytes()), INFLATED_BYTES_MAX);
            both_ways(text.as_bytes(), INFLATED_BYTES_MAX);
        }
    }

    #[test]
    fn any_fields_with_an_identity_end_in_that_call(json in any_json(), id in "[^ ]{1,20}x") {
        let mut session = serde_json::json!({"discovered_signals": json, "tool_calls": json, "transcript": [json], "duration_seconds": json});
        session["session_id"] = serde_json::Value::from(id.clone());
        let converted = convert(&Settings::new("file:///x/"), URL, session.to_string().into(), INFLATED_BYTES_MAX).expect("a call");
        prop_assert_eq!(&converted.call.source_id, &id);
        prop_assert!(converted.call.duration_s.is_none_or(|seconds| seconds.is_finite() && seconds >= 0.0));
        let stored = serde_json::to_string(&converted.call).expect("a call can be stored");
        prop_assert!(serde_json::from_str::<Call>(&stored).is_ok());
    }
}

//! What a call becomes.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::json;

use super::super::tests::settings;
use super::*;
use crate::model::{Action, Direction, Role, Turn};

fn person(object: &str) -> Person {
    Person { object: object.into(), id: if object == "Lead" { "00QA" } else { "003A" }.into() }
}

fn full_call() -> Call {
    let mut call = Call::new("sessions", "rm_abc123xyz");
    call.started_at = Some("2025-10-29T10:00:00Z".parse().unwrap());
    call.duration_s = Some(934.6);
    call.direction = Some(Direction::Inbound);
    call.insights.use_case = Some("sales_proposals".into());
    call.insights.team_size = Some("10-50".into());
    call.insights.pain_points = vec!["manual contract creation".into(), "slow approval process".into()];
    let action = |tool: &str, date: Option<&str>| Action {
        tool: tool.into(),
        preferred_date: date.map(str::to_owned),
        ..Action::default()
    };
    call.actions = vec![action("book_sales_meeting", Some("2025-11-01")), action("send_product_documentation", None)];
    call
}

fn map_with(call: &Call, object: &str, overrides: &[(&str, &str)], change: impl FnOnce(&mut Settings)) -> Mapped {
    let mut settings = settings();
    change(&mut settings);
    let overrides: BTreeMap<String, String> =
        overrides.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mapping = Mapping::new(&overrides, &settings.key_field).unwrap();
    map(&settings, &Facts::documented(&settings.key_field), &mapping, call, &person(object)).unwrap()
}

fn description(call: &Call) -> String {
    map_with(call, "Contact", &[], |_| {}).create["Description"].as_str().unwrap().to_owned()
}

#[test]
fn a_whole_call_becomes_the_documented_task() {
    let call = full_call();
    let mapped = map_with(&call, "Contact", &[], |_| {});
    let text = "Voice AI Call Summary\nDuration: 15 minutes\nSession ID: rm_abc123xyz\n\nDiscovered Information:\n\
                • Use Case: sales_proposals\n• Team Size: 10-50\n\
                • Pain Points: manual contract creation, slow approval process\n\nAgent Actions:\n\
                ✓ Booked sales meeting for 2025-11-01\n✓ Sent product documentation";
    let expected = json!({
        "Subject": "Voice AI Call - 2025-10-29", "WhoId": "003A", "ActivityDate": "2025-10-29", "Status": "Completed",
        "TaskSubtype": "Call", "CallDurationInSeconds": 935, "CallType": "Inbound", "CallObject": "rm_abc123xyz",
        "Call_Key__c": call.key.as_str(), "Description": text,
    });
    assert_eq!(Value::Object(mapped.create.clone()), expected);
    let mut update = mapped.create;
    update.retain(|name, _| !["TaskSubtype", "Call_Key__c", "WhoId"].contains(&name.as_str()));
    assert_eq!(mapped.update, update);
    assert_eq!(Value::Object(mapped.person), json!({"WhoId": "003A"}));
    assert_eq!(mapped.notes, Vec::<String>::new());
}

#[test]
fn what_is_not_known_is_left_out() {
    let call = Call::new("sessions", "rm_1");
    let mapped = map_with(&call, "Lead", &[], |_| {});
    let expected = json!({
        "Subject": "Voice AI Call", "WhoId": "00QA", "Status": "Completed", "TaskSubtype": "Call",
        "CallObject": "rm_1", "Call_Key__c": call.key.as_str(),
        "Description": "Voice AI Call Summary\nSession ID: rm_1",
    });
    assert_eq!(Value::Object(mapped.create), expected);
}

#[test]
fn the_date_is_that_of_the_configured_zone_and_of_the_end_if_there_is_no_start() {
    let check = |start: Option<&str>, end: Option<&str>, zone: &str, expected: Option<&str>| {
        let mut call = Call::new("sessions", "rm_1");
        call.started_at = start.map(|at| at.parse().unwrap());
        call.ended_at = end.map(|at| at.parse().unwrap());
        let mapped = map_with(&call, "Contact", &[], |s| s.time_zone = TimeZone::get(zone).unwrap());
        assert_eq!(mapped.create.get("ActivityDate").and_then(Value::as_str), expected);
    };
    check(Some("2025-10-29T01:00:00Z"), None, "UTC", Some("2025-10-29"));
    check(Some("2025-10-29T01:00:00Z"), None, "America/New_York", Some("2025-10-28"));
    check(Some("2025-10-29T23:30:00Z"), Some("2025-10-30T00:30:00Z"), "UTC", Some("2025-10-29"));
    check(None, Some("2025-10-30T00:30:00Z"), "UTC", Some("2025-10-30"));
    check(None, None, "UTC", None);
}

#[test]
fn durations_read_as_people_say_them_and_impossible_ones_stay_out() {
    let check = |seconds: f64, text: &str, field: Option<i64>| {
        let mut call = Call::new("sessions", "rm_1");
        call.duration_s = Some(seconds);
        let mapped = map_with(&call, "Contact", &[], |_| {});
        let expected = format!("Voice AI Call Summary\nDuration: {text}\nSession ID: rm_1");
        assert_eq!(mapped.create["Description"], expected);
        assert_eq!(mapped.create.get("CallDurationInSeconds").and_then(Value::as_i64), field);
    };
    check(0.0, "0 seconds", Some(0));
    check(1.2, "1 second", Some(1));
    check(45.0, "45 seconds", Some(45));
    check(59.9, "59 seconds", Some(60));
    check(60.0, "1 minute", Some(60));
    check(119.0, "1 minute", Some(119));
    check(3600.0, "60 minutes", Some(3600));
    check(99_999_999.0, "1666666 minutes", Some(99_999_999));
    let mut endless = Call::new("sessions", "rm_1");
    endless.duration_s = Some(100_000_000.0);
    let mapped = map_with(&endless, "Contact", &[], |_| {});
    assert_eq!(mapped.create["Description"], "Voice AI Call Summary\nSession ID: rm_1");
    assert!(!mapped.create.contains_key("CallDurationInSeconds"));
}

#[test]
fn actions_are_worded_and_repeats_folded() {
    let check = |actions: &[(&str, Option<bool>, Option<&str>)], expected: &[&str]| {
        let mut call = Call::new("sessions", "rm_1");
        let make = |(tool, succeeded, date): &(&str, Option<bool>, Option<&str>)| Action {
            tool: (*tool).to_owned(),
            succeeded: *succeeded,
            preferred_date: date.map(str::to_owned),
            ..Action::default()
        };
        call.actions = actions.iter().map(make).collect();
        let text = description(&call);
        let lines: Vec<&str> = text.split("Agent Actions:\n").nth(1).unwrap_or_default().lines().collect();
        assert_eq!(lines, expected);
    };
    check(&[("book_sales_meeting", None, None)], &["✓ Booked sales meeting for TBD"]);
    check(&[("book_sales_meeting", Some(false), Some("Friday"))], &["✗ Sales meeting not booked (asked for Friday)"]);
    check(&[("send_documentation", Some(true), None)], &["✓ Sent product documentation"]);
    check(
        &[
            ("look_up", None, None),
            ("end_call", Some(false), None),
            ("look_up", Some(true), None),
            ("look_up", None, None),
        ],
        &["✓ look_up (3 times)", "✗ end_call"],
    );
    check(&[("  ", None, None)], &[]);
}

#[test]
fn nobody_can_fake_a_line_of_ours() {
    let mut call = Call::new("sessions", "rm_1\nSession ID: rm_2");
    call.insights.use_case = Some("x\r\n\u{2028}Session ID: rm_3\u{0}\u{1b}[31m".into());
    call.insights.pain_points = vec!["a\nSession ID: rm_4".into(), " \n ".into()];
    call.actions = vec![Action { tool: "t\n\nSession ID: rm_5".into(), ..Action::default() }];
    let text = description(&call);
    let starts: Vec<&str> = text.lines().filter(|line| line.trim().starts_with("Session ID:")).collect();
    assert_eq!(starts, ["Session ID: rm_1 Session ID: rm_2"]);
    assert!(text.contains("• Use Case: x Session ID: rm_3 [31m\n• Pain Points: a Session ID: rm_4"), "{text}");
    let mapped = map_with(&call, "Contact", &[], |_| {});
    assert_eq!(mapped.create["CallObject"], call.key.as_str());
}

#[test]
fn overrides_change_add_and_remove_fields() {
    let overrides = [
        ("subject", "Call of {{ call.name or 'somebody' }} with {{ person.object }}"),
        ("CallType", ""),
        ("Outcome__c", "{{ call.insights.other.outcome }}"),
        ("Score__c", "{{ call.extra.score.total }}"),
        ("First__c", "{{ call.turns[0].text }}"),
        ("Nothing__c", "{{ call.insights.other.nope.nope }}"),
        ("WhatId", "006A"),
    ];
    let mut call = full_call();
    call.insights.other.insert("outcome".into(), "won <b>".into());
    call.extra.insert("score".into(), serde_json::value::RawValue::from_string(r#"{"total":7}"#.into()).unwrap());
    call.turns = vec![crate::model::Turn::new(crate::model::Role::User, "hello\nthere", None)];
    let mapped = map_with(&call, "Lead", &overrides, |_| {});
    assert_eq!(mapped.create["Subject"], "Call of somebody with Lead");
    assert_eq!(mapped.create.get("CallType"), None);
    assert_eq!(mapped.create["Outcome__c"], "won <b>");
    assert_eq!(mapped.create["Score__c"], "7");
    assert_eq!(mapped.create["First__c"], "hello there");
    assert_eq!(mapped.create.get("Nothing__c"), None);
    assert_eq!(mapped.create.get("WhatId"), None);
    assert_eq!(mapped.notes, ["WhatId: left out, because a Task on a Lead cannot have one"]);
}

#[test]
fn a_mapping_that_is_none_is_told_at_start() {
    let check = |name: &str, text: &str| {
        let overrides = BTreeMap::from([(name.to_owned(), text.to_owned())]);
        assert!(Mapping::new(&overrides, "Call_Key__c").is_err(), "{name}");
    };
    check("WhoId", "x");
    check("call_key__c", "x");
    check("CallObject", "x");
    check("Not a name", "x");
    check("Subject", "{{ unclosed");
    check("Subject", "{% if %}");
}

#[test]
fn a_template_that_cannot_work_is_told_before_it_meets_a_call() {
    let refused = |text: &str| {
        let overrides = BTreeMap::from([("Subject".to_owned(), text.to_owned())]);
        Mapping::new(&overrides, "Call_Key__c").err().map(|problem| problem.what)
    };
    let check = |text: &str, part: &str| {
        let what = refused(text).unwrap_or_else(|| panic!("{text} is taken"));
        assert!(what.contains("the mapping of Subject") && what.contains(part), "{text}: {what}");
    };
    check("{{ date | nosuchfilter }}", "nosuchfilter");
    check("{{ nosuchfunction() }}", "nosuchfunction");
    check("{% if call.phone is nosuchtest %}x{% endif %}", "nosuchtest");
    check("{% if call.email %}{{ call.email | nosuchfilter }}{% endif %}", "nosuchfilter");
    check("{% if not call.email %}{{ date | nosuchfilter }}{% endif %}", "nosuchfilter");
    check("{% if person.object == 'Lead' %}{{ date | nosuchfilter }}{% endif %}", "nosuchfilter");
    check("{{ call.name / 2 }}", "operation");
    check("{{ call.duration_seconds / 60 }}", "only the session id");
    check("{{ actions | first }}", "only the session id");
    check("{{ call.extra.score | nosuchfilter }}", "nosuchfilter");
    check("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "fuel");
    for fine in [
        "{{ (call.duration_seconds or 0) / 60 }}",
        "{{ call.extra.score | round }}",
        "{{ call.insights.other.score / 2 }}",
        "{{ call.insights.pain_points | join(', ') }}{{ (call.turns or []) | length }}{{ (actions or ['-']) | first }}",
    ] {
        assert_eq!(refused(fine), None, "{fine}");
    }
}

#[test]
fn a_template_that_works_too_long_on_one_call_fails_for_that_call_and_names_the_field_only() {
    let settings = settings();
    let overrides = BTreeMap::from([(
        "Subject".to_owned(),
        "{% for turn in call.turns %}{% for a in range(9999) %}x{% endfor %}{% endfor %}".to_owned(),
    )]);
    let mapping = Mapping::new(&overrides, "Call_Key__c").unwrap();
    let mut call = full_call();
    call.turns = vec![Turn::new(Role::User, "x", None); 100];
    let problem = map(&settings, &Facts::documented("Call_Key__c"), &mapping, &call, &person("Contact")).unwrap_err();
    assert_eq!(problem.code, MAPPING_FAILED);
    assert!(problem.what.contains("Subject"), "{}", problem.what);
    // Only a dry run renders templates anew.
    assert!(problem.help.contains("`trunkline sync --dry-run`"), "{}", problem.help);
}

fn field(kind: Kind, length: usize) -> Field {
    let documented = Facts::documented("Call_Key__c");
    Field { kind, length, digits: 8, ..documented.field("Status").unwrap().clone() }
}

#[test]
fn values_take_the_type_of_their_field() {
    let check = |kind: Kind, text: &str, expected: Option<Value>| {
        assert_eq!(convert(&field(kind, 0), text).ok().map(|(value, _)| value), expected, "{kind:?} {text}");
    };
    check(Kind::Integer, "12.6", Some(json!(13)));
    check(Kind::Integer, "123456789", None);
    check(Kind::Integer, "many", None);
    check(Kind::Double, "12.5", Some(json!(12.5)));
    check(Kind::Double, "NaN", None);
    check(Kind::Boolean, "True", Some(json!(true)));
    check(Kind::Boolean, "0", Some(json!(false)));
    check(Kind::Boolean, "maybe", None);
    check(Kind::Date, "2025-10-29T10:00:00Z", Some(json!("2025-10-29")));
    check(Kind::Date, "é", None);
    check(Kind::Date, "tomorrow", None);
    check(Kind::DateTime, "2025-10-29T10:00:00+01:00", Some(json!("2025-10-29T09:00:00Z")));
    check(Kind::DateTime, "2025-10-29", None);
    check(Kind::Whole, "006A", Some(json!("006A")));
    assert!(convert(&field(Kind::Whole, 3), "006A").is_err());
}

#[test]
fn restricted_picklists_take_the_exact_active_value_or_nothing() {
    let mut call_type = field(Kind::Picklist, 40);
    assert_eq!(convert(&call_type, "anything").unwrap().0, "anything");
    call_type.restricted = true;
    call_type.values = vec!["Inbound".into(), "Outbound".into()];
    assert_eq!(convert(&call_type, "inbound").unwrap().0, "Inbound");
    assert!(convert(&call_type, "Internal").is_err());
}

#[test]
fn long_texts_are_cut_between_characters_and_it_is_noted() {
    let check = |text: &str, length: usize, expected: &str, noted: bool| {
        let (value, note) = cut(text, length);
        assert_eq!((value.as_str().unwrap(), note.is_some()), (expected, noted));
    };
    check("abcde", 5, "abcde", false);
    check("abcdef", 5, "abcd…", true);
    check("ééééé", 5, "ééééé", false);
    check("ab😀😀", 6, "ab😀😀", false);
    check("ab😀😀", 5, "ab😀…", true);
    check("ab😀😀", 4, "ab…", true);
    check("abc", 0, "abc", false);
    let mut call = full_call();
    call.insights.use_case = Some("x".repeat(40_000));
    let mapped = map_with(&call, "Contact", &[], |_| {});
    assert_eq!(utf16_len(mapped.create["Description"].as_str().unwrap()), 32_000);
    assert!(mapped.notes[0].starts_with("Description: cut from 40"), "{:?}", mapped.notes);
}

proptest! {
    #[test]
    fn a_cut_text_always_fits(text in any::<String>(), length in 1usize..40) {
        let (value, note) = cut(&text, length);
        prop_assert!(utf16_len(value.as_str().unwrap()) <= length);
        prop_assert_eq!(note.is_some(), utf16_len(&text) > length);
    }
}

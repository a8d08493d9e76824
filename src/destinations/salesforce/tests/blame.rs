//! Fields that are shut, texts that are too long.

use serde_json::{Value, json};

use super::super::answers;
use super::*;
use crate::problem::Code;

const SHUT: &str = "Unable to create/update fields: Status. Please check the security settings of this field";

fn writes(update: bool, records: &[Value]) -> Vec<Write> {
    let write = |record: &Value| {
        let operation = if update { Operation::Update { remote_id: "00T1".into() } } else { Operation::Create };
        let Value::Object(record) = record.clone() else { panic!("not an object") };
        let key = crate::model::Call::new("sessions", "rm_1").key;
        Write { key, object: "Task".into(), operation, record }
    };
    records.iter().map(write).collect()
}

fn shut(update: bool, rows: &[(Value, Option<(&str, &str)>)], change: fn(&mut Facts)) -> Vec<bool> {
    let records: Vec<Value> = rows.iter().map(|(record, _)| record.clone()).collect();
    let writes = writes(update, &records);
    let answer = |(_, error): &(Value, Option<(&str, &str)>)| match error {
        None => json!({"id": "00T1", "success": true, "errors": []}),
        Some((code, message)) => json!({"success": false, "errors": [{"statusCode": code, "message": message}]}),
    };
    let body = Value::Array(rows.iter().map(answer).collect());
    let mut facts = Facts::documented("Call_Key__c");
    change(&mut facts);
    let writes: Vec<&Write> = writes.iter().collect();
    shut_for_all(&facts, &writes, &answers::read(&body, rows.len()).expect("answers"))
}

#[test]
fn a_field_is_shut_for_all_if_no_record_that_carries_it_can_be_written() {
    let with = json!({"Status": "Completed", "Subject": "x"});
    let without = json!({"Subject": "x"});
    let refused = Some(("INVALID_FIELD_FOR_INSERT_UPDATE", SHUT));
    let missing = Some(("INVALID_FIELD", "No such column 'Status' on sobject of type Task"));
    let locked = Some(("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"));
    let unnamed = Some(("INVALID_FIELD", "what?"));
    let check = |rows: &[(Value, Option<(&str, &str)>)], expected: &[bool]| {
        for update in [false, true] {
            assert_eq!(shut(update, rows, |_| {}), expected, "{update} {rows:?}");
        }
    };
    check(&[(with.clone(), refused), (with.clone(), refused)], &[true, true]);
    check(&[(with.clone(), missing), (with.clone(), refused)], &[true, true]);
    check(&[(with.clone(), refused), (with.clone(), None), (with.clone(), refused)], &[false; 3]);
    check(&[(with.clone(), refused), (with.clone(), refused), (without.clone(), None)], &[true, true, false]);
    check(&[(with.clone(), refused), (with.clone(), locked)], &[false, false]);
    check(&[(with.clone(), unnamed), (with.clone(), None)], &[false, false]);
    check(&[(with.clone(), unnamed), (with.clone(), unnamed)], &[true, true]);
    check(&[(with.clone(), refused)], &[false]);
    check(&[(with, refused), (without, None)], &[false, false]);
}

#[test]
fn a_lone_record_is_to_blame_unless_the_org_describes_the_field_as_shut() {
    let row = |field: &str, message: &'static str| {
        [(json!({field: "x"}), Some(("INVALID_FIELD_FOR_INSERT_UPDATE", message)))]
    };
    let subtype = "Unable to create/update fields: TaskSubtype. Please check";
    let unheard = "No such column 'Gone__c' on sobject of type Task";
    assert_eq!(shut(true, &row("TaskSubtype", subtype), |_| {}), [true]);
    assert_eq!(shut(false, &row("TaskSubtype", subtype), |_| {}), [false]);
    assert_eq!(shut(false, &row("Gone__c", unheard), |_| {}), [true]);
}

#[test]
fn a_text_that_is_longer_than_we_were_told_goes_again_cut_and_any_other_does_not() {
    let check = |known: usize, sent: usize, message: &str, fields: &[&str], expected: Option<usize>| {
        let writes = writes(false, &[json!({"Subject": "x".repeat(sent), "Status": "Completed"})]);
        let error = json!({"statusCode": "STRING_TOO_LONG", "message": message, "fields": fields});
        let answers = answers::read(&json!([{"success": false, "errors": [error]}]), 1).expect("an answer");
        let problem = Problem::new(Code("TL0608"), "too long", "help");
        let mut outcomes = [Outcome::Reject { problem }];
        let mut facts = Facts::documented("Call_Key__c");
        facts.shorten("Subject", known);
        let told = lengths_told(&facts, &[&writes[0]], &answers, &mut outcomes);
        let expected_told: Vec<(String, usize)> =
            expected.map(|length| ("Subject".into(), length)).into_iter().collect();
        assert_eq!(told, expected_told, "{known} {sent} {message}");
        assert_eq!(matches!(outcomes[0], Outcome::Retry { smaller: true, .. }), expected.is_some());
    };
    let too_long = "Subject: data value too large: x (max length=100)";
    check(0, 150, too_long, &["Subject"], Some(100));
    check(255, 150, too_long, &[], Some(100));
    check(100, 150, too_long, &[], None);
    check(255, 100, too_long, &[], None);
    check(255, 150, "Betreff: data value too large: x (max length=100)", &[], None);
    check(255, 150, "Subject: data value too large", &[], None);
}

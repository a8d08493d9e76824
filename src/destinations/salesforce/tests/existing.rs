//! Finding Tasks that stand there already.

use serde_json::{Value, json};

use super::super::tests::{Net, call, destination, destination_with, reply, task_describe};
use super::*;
use crate::destinations::Destination;
use crate::redact::redact;

fn task(id: &str, created_day: u8, fields: &[(&str, &str)]) -> Value {
    let mut row = json!({"attributes": {"type": "Task", "url": "x"}, "Id": id, "WhoId": "003A",
                         "CreatedDate": format!("2026-11-{created_day:02}T00:00:00.000+0000")});
    for (name, value) in fields {
        row[*name] = json!(value);
    }
    row
}

fn page(records: Vec<Value>) -> Value {
    json!({"totalSize": records.len(), "done": true, "records": records})
}

#[tokio::test]
async fn identities_are_compared_byte_by_byte_and_the_oldest_wins() {
    let calls = [call("rm_a", "x"), call("rm_A", "x"), call("rm_b", "x")];
    let keys: Vec<String> = calls.iter().map(|call| call.call().key.as_str().to_owned()).collect();
    let (first, second, shouted) = (keys[0].clone(), keys[1].clone(), keys[2].to_uppercase());
    let net = Net::new(move |seen| {
        seen.query()?;
        reply(
            200,
            page(vec![
                task("00T3", 3, &[("Call_Key__c", &first)]),
                task("00T2", 2, &[("Call_Key__c", &first)]),
                task("00T1", 2, &[("Call_Key__c", &second)]),
                task("00T9", 1, &[("Call_Key__c", &shouted)]),
            ]),
        )
    });
    let found = destination(&net).look_up(&calls.iter().collect::<Vec<_>>()).await.unwrap();
    let found: Vec<_> = found.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(found.len(), 2);
    let oldest = &found[0];
    assert_eq!((oldest.remote_id.as_str(), oldest.adopted, oldest.person_id.as_deref()), ("00T2", false, Some("003A")));
    assert_eq!(found[1].remote_id, "00T1");
}

#[tokio::test]
async fn old_calls_are_asked_for_among_archived_tasks_and_without_the_field_by_call_object() {
    let net = Net::new(|seen| {
        let mut describe = task_describe();
        describe["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "Call_Key__c");
        if seen.path().ends_with("/describe") { reply(200, describe) } else { None }
    });
    let mut old = call("rm_old", "x").into_call();
    old.started_at = Some("2025-10-29T00:00:00Z".parse().unwrap());
    let calls = [call("rm_new", "x"), redact(old)];
    destination(&net).look_up(&calls.iter().collect::<Vec<_>>()).await.unwrap();
    let seen = net.seen("/query");
    assert_eq!(seen.len(), 2);
    assert!(seen[0].path().ends_with("/query"));
    let asked = seen[0].query().unwrap();
    assert!(asked.starts_with("SELECT Id, WhoId, CreatedDate, CallObject, ") && asked.contains(", Description"));
    assert!(asked.ends_with(" FROM Task WHERE CallObject IN ('rm_new')"), "{asked}");
    assert!(seen[1].path().ends_with("/queryAll"));
    assert!(seen[1].query().unwrap().ends_with("WHERE CallObject IN ('rm_old') AND IsDeleted = false"));
}

#[tokio::test]
async fn tasks_of_the_earlier_script_are_found_by_subject_and_their_session_line() {
    let net = Net::new(|seen| {
        seen.query()?;
        let text = "Voice AI Call Summary\nDuration: 1 minute\nSession ID: rm_1\nSession ID: rm_fake";
        reply(
            200,
            page(vec![
                task("00T1", 9, &[("Description", text)]),
                task("00T2", 5, &[("Description", "Voice AI Call Summary\r\n  session id:rm_1 \r\n")]),
                task("00T3", 5, &[("Description", "no id here")]),
                json!({"Id": "00T6", "Description": null}),
            ]),
        )
    });
    let found = destination(&net).adoptable(&["2026-11-19".parse().unwrap()]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found["rm_1"],
        Existing { remote_id: "00T2".into(), adopted: true, person_id: Some("003A".into()), record: None }
    );
}

#[tokio::test]
async fn tasks_that_carry_an_identity_are_not_read_again_with_their_texts() {
    let check = async |without_key: bool, identity: &str| {
        let net = Net::new(move |seen| {
            let mut describe = task_describe();
            if without_key {
                describe["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "Call_Key__c");
            }
            if seen.path().ends_with("/describe") { reply(200, describe) } else { None }
        });
        destination(&net).adoptable(&["2026-11-19".parse().unwrap()]).await.unwrap();
        let seen = &net.seen("/query")[0];
        assert!(seen.path().ends_with("/query"));
        let expected = format!(
            "SELECT Id, WhoId, Description, CreatedDate, {identity} FROM Task WHERE Subject IN ('Voice AI Call - 2026-11-18',\
             'Voice AI Call - 2026-11-19','Voice AI Call - 2026-11-20') AND {identity} = null"
        );
        assert_eq!(seen.query().unwrap(), expected);
    };
    check(false, "Call_Key__c").await;
    check(true, "CallObject").await;
}

#[tokio::test]
async fn a_query_that_times_out_is_narrowed_once() {
    for code in ["QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED"] {
        let net = Net::new(move |seen| {
            let query = seen.query()?;
            let refused = json!([{"errorCode": code, "message": "Your query request was running for too long."}]);
            if query.contains("CreatedDate >=") { None } else { reply(400, refused) }
        });
        let destination = destination(&net);
        assert!(destination.adoptable(&["2025-10-29".parse().unwrap()]).await.unwrap().is_empty());
        let seen = net.seen("/query");
        assert_eq!(seen.len(), 2);
        assert!(seen[1].path().ends_with("/queryAll"), "older than 300 days");
        assert!(
            seen[1]
                .query()
                .unwrap()
                .ends_with(" AND IsDeleted = false AND Call_Key__c = null AND CreatedDate >= 2025-10-28T00:00:00Z")
        );
        assert!(!seen.iter().any(|one| one.query().unwrap().contains("WHERE Description")));
    }
}

#[tokio::test]
async fn without_adoption_nothing_is_asked() {
    let net = Net::new(|_| None);
    let destination = destination_with(&net, |settings| settings.adoption.enabled = false);
    assert!(destination.adoptable(&["2026-11-19".parse().unwrap()]).await.unwrap().is_empty());
    assert!(net.seen("/").is_empty());
}

#[test]
fn the_stamp_holds_the_identity_only() {
    let net = Net::new(|_| None);
    let call = call("rm_1", "x");
    let stamp = destination(&net).adoption_stamp(&call);
    let expected = json!({"CallObject": "rm_1", "Call_Key__c": call.call().key.as_str()});
    assert_eq!(Value::Object(stamp), expected);
}

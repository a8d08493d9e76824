//! Upserts by key: statuses, duplicates inside a request, uniqueness, races and locks.

use serde_json::{Value, json};

use super::super::{CustomField, Fault, FaultKind};
use super::{Desk, row_error, task, until};

#[tokio::test]
async fn a_single_upsert_answers_201_then_200() {
    let desk = Desk::open().await;
    let path = "sobjects/Task/Call_Key__c/el-1";
    let first = desk.send("PATCH", path, json!({ "Subject": "a" })).await;
    let id = first.json()["id"].clone();
    assert_eq!(
        (first.status, first.json()),
        (201, json!({ "id": id, "success": true, "errors": [], "created": true }))
    );
    let second = desk.send("PATCH", "sobjects/task/call_key__C/EL-1", json!({ "Subject": "b" })).await;
    assert_eq!(
        (second.status, second.json()),
        (200, json!({ "id": id, "success": true, "errors": [], "created": false }))
    );
    let old = desk.send("PATCH", &format!("/services/data/v45.0/{path}"), json!({ "Subject": "c" })).await;
    assert_eq!((old.status, old.text.as_str()), (204, ""));
    assert_eq!(desk.get(path).await.json()["Subject"], "c");
    let unknown = desk.send("PATCH", "sobjects/Task/Call_Key__c/el-2?updateOnly=true", json!({})).await;
    assert_eq!(unknown.status, 404);
    for field in ["Id", "Call_Key__c"] {
        let reply = desk.send("PATCH", path, json!({ field: "x" })).await;
        let message = format!("The {field} field should not be specified in the sobject data.");
        assert_eq!(reply.problem(), (400, "INVALID_FIELD".to_owned(), message));
    }
    assert_eq!(desk.send("PATCH", "sobjects/Task/Call_Key__c/a.json", json!({})).await.status, 404);
    let missing = desk.send("PATCH", "sobjects/Task/Nope__c/1", json!({})).await;
    let message = "Provided external ID field does not exist or is not accessible: Nope__c";
    assert_eq!(missing.problem(), (404, "NOT_FOUND".to_owned(), message.to_owned()));
    assert_eq!(desk.org().counters().updated.get("Task"), Some(&2));
}

#[tokio::test]
async fn a_key_that_several_records_have_is_ambiguous() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| {
        let name = "Old_Key__c".to_owned();
        let field = CustomField { object: "Activity".to_owned(), name, external_id: true, ..CustomField::default() };
        settings.custom_fields.push(field);
    });
    let ids = [1, 2].map(|_| desk.org().insert("Task", json!({ "Old_Key__c": "x" })));
    let reply = desk.send("PATCH", "sobjects/Task/Old_Key__c/x", json!({ "Subject": "a" })).await;
    let urls = ids.map(|id| format!("/services/data/v66.0/sobjects/Task/{id}"));
    assert_eq!((reply.status, reply.json()), (300, json!(urls)));
    let body = json!({ "records": [task(json!({ "Old_Key__c": "x" }))] });
    let reply = desk.send("PATCH", "composite/sobjects/Task/Old_Key__c", body).await.json();
    assert_eq!(row_error(&reply[0]).0, "DUPLICATE_EXTERNAL_ID");
}

#[tokio::test]
async fn a_collection_answers_in_order_and_fails_every_row_that_shares_a_key() {
    let desk = Desk::open().await;
    let known = desk.org().insert("Task", json!({ "Call_Key__c": "known" }));
    let keys = ["b", "twice", "known", "TWICE", "a"];
    let mut rows: Vec<Value> = keys.iter().map(|key| task(json!({ "Call_Key__c": key }))).collect();
    rows.push(task(json!({ "Subject": "no key" })));
    let answer = desk.upsert(Value::from(rows)).await;
    let created: Vec<_> = answer.iter().map(|row| row["created"].as_bool()).collect();
    assert_eq!(created, [Some(true), None, Some(false), None, Some(true), None]);
    assert_eq!(answer[2]["id"], known.as_str());
    assert_eq!(row_error(&answer[1]), ("DUPLICATE_VALUE", "Duplicate external id specified: twice"));
    assert_eq!(row_error(&answer[3]), ("DUPLICATE_VALUE", "Duplicate external id specified: TWICE"));
    assert_eq!(row_error(&answer[5]), ("MISSING_ARGUMENT", "Call_Key__c not specified"));
    assert_eq!(desk.column("SELECT Call_Key__c FROM Task", "Call_Key__c").await, ["known", "b", "a"]);
}

#[tokio::test]
async fn a_unique_value_is_held_by_one_record_only() {
    let desk = Desk::open().await;
    let winner = desk.org().insert("Task", json!({ "Call_Key__c": "Key" }));
    let text = format!("duplicate value found: Call_Key__c duplicates value on record with id: {}", &winner[..15]);
    let reply = desk.send("POST", "sobjects/Task", json!({ "Call_Key__c": " kEY " })).await;
    assert_eq!(reply.problem(), (400, "DUPLICATE_VALUE".to_owned(), text.clone()));
    assert_eq!(reply.json()[0]["fields"], json!([]));
    let other = desk.org().insert("Task", json!({ "Call_Key__c": "other" }));
    let reply = desk.send("PATCH", &format!("sobjects/Task/{other}"), json!({ "Call_Key__c": "key" })).await;
    assert_eq!(reply.problem().2, text);
    desk.org().settings(|settings| {
        settings.duplicate_value_id_18 = true;
        settings.key_field.as_mut().expect("a key").case_sensitive = true;
    });
    assert_eq!(desk.send("POST", "sobjects/Task", json!({ "Call_Key__c": "KEY" })).await.status, 201);
    assert!(desk.send("POST", "sobjects/Task", json!({ "Call_Key__c": "Key" })).await.problem().2.ends_with(&winner));
}

#[tokio::test]
async fn an_org_without_the_key_field_says_so() {
    let desk = Desk::open().await;
    desk.org().settings(|settings| settings.key_field = None);
    let reply = desk.send("PATCH", "composite/sobjects/Task/Call_Key__c", json!({ "records": [] })).await;
    assert_eq!(reply.status, 404);
    let fields = desk.get("sobjects/Task/describe").await.json()["fields"].clone();
    assert!(fields.as_array().is_some_and(|fields| fields.iter().all(|field| field["name"] != "Call_Key__c")));
}

#[tokio::test]
async fn two_upserts_of_a_new_key_in_a_wide_race_window_give_one_record() {
    for path in ["sobjects/Task/Call_Key__c/k", "composite/sobjects/Task/Call_Key__c"] {
        let desk = Desk::open().await;
        desk.org().add_fault(Fault::new(FaultKind::WidenRace).delay_ms(500).times(1));
        let is_single = path.ends_with("/k");
        let body = if is_single { json!({}) } else { json!({ "records": [task(json!({ "Call_Key__c": "k" }))] }) };
        let slow = desk.send("PATCH", path, body.clone());
        let fast = async {
            until(|| desk.org().counters().api_calls == 1).await;
            desk.send("PATCH", path, body.clone()).await
        };
        let (loser, winner) = tokio::join!(slow, fast);
        let records = desk.org().records("Task");
        assert_eq!(records.len(), 1);
        let id = records[0]["Id"].as_str().expect("an id").get(..15).expect("15 characters");
        let text = format!("duplicate value found: Call_Key__c duplicates value on record with id: {id}");
        if is_single {
            assert_eq!((winner.status, loser.problem()), (201, (400, "DUPLICATE_VALUE".to_owned(), text)));
        } else {
            assert_eq!(winner.json()[0]["created"], true);
            assert_eq!(row_error(&loser.json()[0]), ("DUPLICATE_VALUE", text.as_str()));
        }
    }
}

#[tokio::test]
async fn an_update_locks_its_parents_while_it_is_in_flight_and_a_completed_insert_does_not() {
    let desk = Desk::open().await;
    let org = desk.org();
    let contact = org.insert("Contact", json!({ "LastName": "C" }));
    let one = org.insert("Task", json!({ "WhoId": contact, "Status": "Completed" }));
    let two = org.insert("Task", json!({ "WhoId": contact, "Status": "Completed" }));
    org.settings(|settings| settings.latency_ms = 60_000);
    let (path, body) = (format!("sobjects/Task/{one}"), json!({ "Subject": "held" }));
    let held = desk.try_send("PATCH", &path, &body);
    let others = async {
        until(|| org.counters().updated.contains_key("Task")).await;
        org.settings(|settings| settings.latency_ms = 0);
        let update = desk.send("PATCH", &format!("sobjects/Task/{two}"), json!({ "Subject": "x" })).await;
        let text = format!("unable to obtain exclusive access to this record or 1 records: {contact}");
        assert_eq!(update.problem(), (400, "UNABLE_TO_LOCK_ROW".to_owned(), text));
        let open = json!({ "WhoId": contact, "ActivityDate": "2026-01-16" });
        assert_eq!(desk.send("POST", "sobjects/Task", open).await.problem().1, "UNABLE_TO_LOCK_ROW");
        for free in [
            json!({ "WhoId": contact, "ActivityDate": "2026-01-16", "Status": "Completed" }),
            json!({ "WhoId": contact }),
        ] {
            assert_eq!(desk.send("POST", "sobjects/Task", free).await.status, 201);
        }
    };
    tokio::select! {
        _ = held => panic!("the first update was to be still in flight"),
        () = others => {}
    }
}

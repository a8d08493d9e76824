//! Pipedrive: strict call logs and activities, links, lists, the search of persons.

use serde_json::{Value, json};

use super::super::pipedrive::Pipedrive;
use super::{Desk, meets_faults, with};

async fn company() -> Desk<Pipedrive> {
    let desk = Desk::with(&[("x-api-token", "sim-token")]).await;
    let phones = json!([{ "value": "+15550100200", "primary": true }]);
    desk.api.insert("persons", json!({ "id": 501, "name": "Ada", "email": ["ada@example.com"], "phone": phones }));
    desk
}

fn log() -> Value {
    json!({
        "to_phone_number": "+15550100300", "from_phone_number": "+15550100200", "outcome": "connected",
        "start_time": "2026-01-04 10:00:00", "end_time": "2026-01-04 10:02:05", "duration": "125",
        "subject": "Voice AI call", "person_id": 501, "note": "Summary",
    })
}

fn activity() -> Value {
    json!({
        "subject": "Voice AI call", "type": "call", "due_date": "2026-01-04", "due_time": "10:00", "duration": "00:02",
        "person_id": 501, "done": 1, "note": "Summary",
    })
}

#[tokio::test]
async fn call_logs_are_taken_again_and_again_and_listed() {
    let desk = company().await;
    for _ in 0..2 {
        let made = desk.send("POST", "/v1/callLogs", log()).await;
        assert_eq!((made.status, &made.json()["success"]), (200, &json!(true)), "{}", made.text);
    }
    let page = desk.get("/v1/callLogs?start=1&limit=1").await.json();
    assert_eq!(page["data"][0]["subject"], "Voice AI call");
    assert_eq!(page["additional_data"]["pagination"]["more_items_in_collection"], false);
    let id = page["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(desk.get(&format!("/v1/callLogs/{id}")).await.status, 200);
    assert_eq!(desk.send("DELETE", &format!("/v1/callLogs/{id}"), Value::Null).await.status, 200);
    desk.get(&format!("/v1/callLogs/{id}")).await.says(410, "deleted");
    desk.get("/v1/callLogs?from=1").await.says(400, "from: is not a known parameter");
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let desk = company().await;
    for (name, value, said) in [
        ("to_phone_number", json!("REMOVED"), "to_phone_number: missing"),
        ("outcome", json!("answered"), "outcome: `answered` is none of connected"),
        ("start_time", json!("2026-01-04T10:00:00Z"), "start_time"),
        ("end_time", json!("2026-01-04 09:00:00"), "end_time: is before start_time"),
        ("duration", json!(125), "duration: expected a text"),
        ("person_id", json!("501"), "person_id: expected a whole number"),
        ("person_id", json!(502), "person_id: 502 is not there"),
        ("lead_id", json!("7"), "lead_id: expected a UUID"),
        ("direction", json!("in"), "direction: is not a known field"),
    ] {
        desk.send("POST", "/v1/callLogs", with(log(), name, value)).await.says(400, said);
    }
    desk.api.insert("deals", json!({ "id": 9 }));
    let both = with(with(log(), "deal_id", json!(9)), "lead_id", json!("00000000-0000-0000-0000-000000000001"));
    desk.send("POST", "/v1/callLogs", both).await.says(400, "lead_id: cannot be set together with deal_id");
    for (name, value, said) in [
        ("subject", json!("REMOVED"), "subject: missing"),
        ("type", json!("phone"), "type: `phone`"),
        ("due_date", json!("04.01.2026"), "due_date"),
        ("due_time", json!("10:00:00"), "due_time"),
        ("done", json!("1"), "done: expected 0 or 1"),
        ("key", json!("x"), "key: is not a known field"),
    ] {
        desk.send("POST", "/v1/activities", with(activity(), name, value)).await.says(400, said);
    }
    assert!(desk.api.records("records").is_empty());
}

#[tokio::test]
async fn an_activity_gets_one_call_log_and_can_be_found_and_changed() {
    let desk = company().await;
    let id = desk.send("POST", "/v1/activities", activity()).await.json()["data"]["id"].clone();
    let of_activity = with(log(), "activity_id", id.clone());
    let made = desk.send("POST", "/v1/callLogs", of_activity.clone()).await;
    assert!(made.status == 200 && made.json()["data"].get("person_id").is_none(), "{}", made.text);
    desk.send("POST", "/v1/callLogs", of_activity.clone()).await.says(409, "activity_id");
    for (query, count) in
        [("type=call&start_date=2026-01-04&end_date=2026-01-04", 1), ("type=meeting", 0), ("done=0", 0)]
    {
        let found = desk.get(&format!("/v1/activities?{query}")).await.json();
        assert_eq!(found["data"].as_array().map(Vec::len), Some(count), "{query}");
    }
    let path = format!("/v1/activities/{id}");
    let changed = desk.send("PUT", &path, json!({ "note": "Other" })).await.json();
    assert_eq!((&changed["data"]["note"], &changed["data"]["done"]), (&json!("Other"), &json!(true)));
    desk.send("DELETE", &path, Value::Null).await.says(200, "success");
    desk.send("POST", "/v1/callLogs", of_activity).await.says(410, "activity_id");
}

#[tokio::test]
async fn persons_are_found_by_address_and_number() {
    let desk = company().await;
    let count = async |query: &str| {
        let reply = desk.get(&format!("/v1/persons/search?{query}")).await.json();
        reply["data"]["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("term=ADA%40example.com&fields=email&exact_match=true").await, 1);
    assert_eq!(count("term=da%40example&fields=email").await, 1);
    assert_eq!(count("term=da%40example&fields=email&exact_match=true").await, 0);
    assert_eq!(count("term=%2B15550100200&fields=phone").await, 1);
    assert_eq!(count("term=1-555-010-0200&fields=phone").await, 0);
    desk.api.settings(|settings| settings.phone_search_normalises = true);
    assert_eq!(count("term=1-555-010-0200&fields=phone").await, 1);
    desk.get("/v1/persons/search?term=a").await.says(400, "term");
    desk.get("/v1/persons/search?term=ada&fields=mail").await.says(400, "fields: `mail`");
}

#[tokio::test]
async fn the_token_is_checked_and_faults_are_met() {
    let desk = company().await;
    let bare = Desk::<Pipedrive>::open().await;
    bare.send("POST", "/v1/callLogs", log()).await.says(401, "unauthorized access");
    assert_eq!(bare.get("/v1/callLogs?api_token=sim-token").await.status, 200);
    meets_faults(&desk, "/v1/callLogs", "callLogs", |_| log()).await;
}

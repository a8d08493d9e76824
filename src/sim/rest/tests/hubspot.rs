//! HubSpot: strict properties, associations, unique values, searches.

use serde_json::{Value, json};

use super::super::hubspot::HubSpot;
use super::{Desk, meets_faults, with};

const CALLS: &str = "/crm/v3/objects/calls";
const UPSERT: &str = "/crm/v3/objects/calls/batch/upsert";

async fn portal() -> Desk<HubSpot> {
    let desk = Desk::with(&[("authorization", "Bearer pat-sim")]).await;
    desk.api.insert("contacts", json!({ "id": "501", "email": "ada@example.com", "phone": "+1 555-010-0200" }));
    desk
}

fn properties(key: &str) -> Value {
    json!({
        "hs_timestamp": "2026-01-04T10:00:00Z", "hs_call_title": "Voice AI call", "hs_call_direction": "INBOUND",
        "hs_call_status": "COMPLETED", "hs_call_duration": "125000", "hs_call_from_number": "+15550100200",
        "hs_call_recording_url": "https://rec.example.com/1.mp3", "call_key": key,
        "hs_call_disposition": "f240bbac-87c9-4f6e-bf70-924b57d47db7",
    })
}

fn call(key: &str) -> Value {
    let types = json!([{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194 }]);
    json!({ "properties": properties(key), "associations": [{ "to": { "id": "501" }, "types": types }] })
}

#[tokio::test]
async fn a_call_is_made_with_its_contact_and_its_key_is_kept_unique() {
    let desk = portal().await;
    let made = desk.send("POST", CALLS, call("a")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(desk.api.records("associations"), [json!({ "call": id, "to": "contacts", "id": "501" })]);
    let again = desk.send("POST", CALLS, call("a")).await;
    again.says(409, "CONFLICT");
    again.says(409, &id);
    let read = desk.get(&format!("{CALLS}/a?idProperty=call_key&properties=hs_call_title")).await;
    assert_eq!(
        (&read.json()["id"], &read.json()["properties"]["hs_call_title"]),
        (&json!(id), &json!("Voice AI call"))
    );
    desk.get(&format!("{CALLS}/b?idProperty=call_key")).await.says(404, "OBJECT_NOT_FOUND");
    desk.get(&format!("{CALLS}/a?idProperty=hs_call_title")).await.says(400, "idProperty");
    let path = format!("{CALLS}/a?idProperty=call_key");
    let change = json!({ "properties": { "hs_call_title": "Changed" } });
    assert_eq!(desk.send("PATCH", &path, change).await.json()["properties"]["hs_call_title"], "Changed");
    desk.send("PATCH", &path, json!({ "properties": { "hs_call_duration": "2:05" } }))
        .await
        .says(400, "hs_call_duration");
    assert_eq!(desk.send("POST", "/crm/objects/2026-03/calls", call("b")).await.status, 201);
}

#[tokio::test]
async fn wrong_properties_are_named() {
    let desk = portal().await;
    for (name, value, said) in [
        ("hs_timestamp", json!("REMOVED"), "properties.hs_timestamp: missing"),
        ("hs_timestamp", json!("2026-01-04 10:00"), "properties.hs_timestamp"),
        ("hs_call_duration", json!(125), "properties.hs_call_duration: expected a text"),
        ("hs_call_duration", json!("125.5"), "properties.hs_call_duration"),
        ("hs_call_direction", json!("inbound"), "properties.hs_call_direction"),
        ("hs_call_status", json!("DONE"), "properties.hs_call_status"),
        ("hs_call_disposition", json!("f240bbac-87c9-4f6e-bf70-000000000000"), "properties.hs_call_disposition"),
        ("hs_call_recording_url", json!("1.mp3"), "properties.hs_call_recording_url"),
        ("call_kay", json!("a"), "properties.call_kay: PROPERTY_DOESNT_EXIST"),
    ] {
        let sent = json!({ "properties": with(properties("a"), name, value) });
        desk.send("POST", CALLS, sent).await.says(400, said);
    }
    let mut wrong = call("a");
    wrong["associations"][0]["types"][0]["associationTypeId"] = json!(196);
    desk.send("POST", CALLS, wrong).await.says(400, "associations[0].types[0].associationTypeId: 196");
    let mut wrong = call("a");
    wrong["associations"][0]["to"]["id"] = json!("502");
    desk.send("POST", CALLS, wrong).await.says(400, "there is no 502 among the contacts");
    desk.send("POST", CALLS, with(call("a"), "extra", json!(1))).await.says(400, "extra: is not a known field");
    assert!(desk.api.records("calls").is_empty());
}

#[tokio::test]
async fn an_upsert_makes_and_changes_by_the_unique_property() {
    let desk = portal().await;
    let input = |key: &str| json!({ "idProperty": "call_key", "id": key, "properties": properties(key) });
    let first = desk.send("POST", UPSERT, json!({ "inputs": [input("a"), input("b")] })).await.json();
    assert_eq!((&first["status"], &first["results"][1]["new"]), (&json!("COMPLETE"), &json!(true)));
    let second = desk.send("POST", UPSERT, json!({ "inputs": [input("b"), input("c")] })).await.json();
    assert_eq!((&second["results"][0]["new"], &second["results"][1]["new"]), (&json!(false), &json!(true)));
    assert_eq!(second["results"][0]["id"], first["results"][1]["id"]);
    for (inputs, said) in [
        (json!([]), "inputs: expected 1 to 100"),
        (json!([input("d"), input("d")]), "inputs[1].id: is there twice"),
        (json!([with(input("d"), "idProperty", json!("hs_call_title"))]), "inputs[0].idProperty"),
        (json!([with(input("d"), "properties", json!({ "call_key": "d" }))]), "inputs[0].properties.hs_timestamp"),
        (json!([input("e"), with(input("d"), "properties", properties("x"))]), "inputs[1].properties.call_key"),
    ] {
        desk.send("POST", UPSERT, json!({ "inputs": inputs })).await.says(400, said);
    }
    assert_eq!(desk.api.records("calls").len(), 3);
    let id = second["results"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/crm/v4/objects/call/{id}/associations/default/contact/501");
    desk.send("PUT", &path, Value::Null).await.says(200, "COMPLETE");
    assert_eq!(desk.api.records("associations").len(), 1);
}

#[tokio::test]
async fn searches_find_people_at_once_and_calls_late() {
    let desk = portal().await;
    let search = async |table: &str, name: &str, operator: &str, value: Value| {
        let field = if operator == "IN" { "values" } else { "value" };
        let filter = json!({ "propertyName": name, "operator": operator, field: value });
        let body = json!({ "filterGroups": [{ "filters": [filter] }], "properties": ["email"], "limit": 2 });
        desk.send("POST", &format!("/crm/v3/objects/{table}/search"), body).await
    };
    let total = async |name: &str, operator: &str, value: Value| {
        search("contacts", name, operator, value).await.json()["total"].clone()
    };
    assert_eq!(total("email", "EQ", json!("Ada@example.com")).await, 1);
    assert_eq!(total("email", "IN", json!(["ada@example.com", "b@example.com"])).await, 1);
    assert_eq!(total("email", "IN", json!(["Ada@example.com"])).await, 0);
    assert_eq!(total("hs_searchable_calculated_phone_number", "EQ", json!("5550100200")).await, 1);
    search("contacts", "mail", "EQ", json!("a")).await.says(400, "filterGroups[0].filters[0].propertyName");
    search("contacts", "email", "LIKE", json!("a")).await.says(400, "operator");

    desk.send("POST", CALLS, call("a")).await;
    assert_eq!(search("calls", "call_key", "EQ", json!("a")).await.json()["total"], 0);
    desk.pass(5);
    assert_eq!(search("calls", "call_key", "EQ", json!("a")).await.json()["total"], 1);
}

#[tokio::test]
async fn the_token_is_checked_and_faults_are_met() {
    let desk = portal().await;
    let other = Desk::<HubSpot>::with(&[("authorization", "Bearer pat-other")]).await;
    other.send("POST", CALLS, call("a")).await.says(401, "INVALID_AUTHENTICATION");
    meets_faults(&desk, CALLS, "calls", |number| call(&number.to_string())).await;
    desk.api.settings(|settings| (settings.traffic.requests_max, settings.traffic.window_s) = (Some(1), 10));
    desk.get(CALLS).await;
    let reply = desk.get(CALLS).await;
    reply.says(429, "RATE_LIMITS");
    assert_eq!(reply.header("retry-after"), "10");
}

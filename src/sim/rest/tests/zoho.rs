//! Zoho: tokens, rows that fail inside a success, unique values, criteria.

use serde_json::{Value, json};

use super::super::zoho::Zoho;
use super::super::{Fault, FaultKind};
use super::{Desk, meets_faults, with};

const CALLS: &str = "/crm/v8/Calls";
const REFRESH: &str =
    "grant_type=refresh_token&client_id=sim-client&client_secret=sim-secret&refresh_token=sim-refresh";

async fn organisation() -> Desk<Zoho> {
    let mut desk = Desk::<Zoho>::open().await;
    desk.api.insert("Contacts", json!({ "id": "501", "Email": "ada@example.com", "Phone": "+15550100200" }));
    let reply = desk.form("/oauth/v2/token", REFRESH).await.json();
    assert_eq!(reply["api_domain"], desk.simulator.url());
    let token = reply["access_token"].as_str().expect("a token");
    desk.headers = vec![("authorization", format!("Zoho-oauthtoken {token}"))];
    desk
}

fn call(key: &str) -> Value {
    json!({
        "Subject": "Voice AI call", "Call_Type": "Inbound", "Call_Start_Time": "2026-01-04T10:00:00+00:00",
        "Call_Duration": "02:05", "Description": "Summary", "Who_Id": { "id": "501" }, "Call_Key": key,
    })
}

#[tokio::test]
async fn rows_are_made_or_fail_one_by_one_inside_a_success() {
    let desk = organisation().await;
    let made = desk.send("POST", CALLS, json!({ "data": [call("a"), call("b")], "trigger": [] })).await;
    assert_eq!((made.status, &made.json()["data"][1]["code"]), (201, &json!("SUCCESS")), "{}", made.text);
    let id = made.json()["data"][0]["details"]["id"].clone();
    let bad = with(call("d"), "Call_Type", json!("inbound"));
    let mixed = desk.send("POST", CALLS, json!({ "data": [call("a"), call("c"), bad] })).await;
    let rows = mixed.json()["data"].clone();
    assert_eq!((mixed.status, &rows[1]["status"]), (207, &json!("success")));
    assert_eq!((&rows[0]["code"], &rows[0]["details"]["id"]), (&json!("DUPLICATE_DATA"), &id));
    assert_eq!((&rows[2]["status"], &rows[2]["details"]["api_name"]), (&json!("error"), &json!("Call_Type")));
    assert_eq!(desk.send("POST", CALLS, json!({ "data": [call("a")] })).await.status, 202);
    let path = format!("{CALLS}/{}", id.as_str().expect("an id"));
    let change = json!({ "data": [{ "Subject": "Changed", "Call_Key": "a" }] });
    desk.send("PUT", &path, change).await.says(200, "record updated");
    assert_eq!(desk.get(&path).await.json()["data"][0]["Subject"], "Changed");
    let taken = json!({ "data": [{ "id": id, "Call_Key": "b" }] });
    desk.send("PUT", CALLS, taken).await.says(202, "DUPLICATE_DATA");
    desk.send("PUT", &format!("{CALLS}/9"), json!({ "data": [{ "Subject": "x" }] })).await.says(202, "INVALID_DATA");
    assert_eq!(desk.api.records("Calls").len(), 3);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let desk = organisation().await;
    for (name, value, code, said) in [
        ("Subject", json!("REMOVED"), "MANDATORY_NOT_FOUND", "Subject: missing"),
        ("Call_Start_Time", json!("REMOVED"), "MANDATORY_NOT_FOUND", "Call_Start_Time: missing"),
        ("Call_Start_Time", json!("2026-01-04T10:00:00Z"), "INVALID_DATA", "Call_Start_Time"),
        ("Call_Start_Time", json!("2026-01-04T10:00:00.5+00:00"), "INVALID_DATA", "Call_Start_Time"),
        ("Call_Start_Time", json!("2027-01-04T10:00:00+00:00"), "MANDATORY_NOT_FOUND", "Outgoing_Call_Status"),
        ("Call_Duration", json!(125), "INVALID_DATA", "Call_Duration: expected a text"),
        ("Call_Duration", json!("2:75"), "INVALID_DATA", "Call_Duration"),
        ("Call_Duration", json!("00:02:05"), "INVALID_DATA", "Call_Duration"),
        ("Call_Duration_in_seconds", json!(125), "INVALID_DATA", "Call_Duration_in_seconds: is read-only"),
        ("Who_Id", json!("501"), "INVALID_DATA", "Who_Id: expected an object"),
        ("Who_Id", json!({ "id": "502" }), "INVALID_DATA", "Who_Id: there is no such Contact"),
        ("What_Id", json!({ "id": "501" }), "MANDATORY_NOT_FOUND", "$se_module: missing"),
        ("Call_Kay", json!("a"), "INVALID_DATA", "Call_Kay: is not a known field"),
    ] {
        let reply = desk.send("POST", CALLS, json!({ "data": [with(call("a"), name, value)] })).await;
        reply.says(202, said);
        assert_eq!(reply.json()["data"][0]["code"], code, "{said}");
    }
    let many: Vec<Value> = (0..101).map(|number| call(&number.to_string())).collect();
    desk.send("POST", CALLS, json!({ "data": many })).await.says(400, "data: 101 rows");
    desk.send("POST", CALLS, json!({ "rows": [] })).await.says(400, "rows: is not a known field");
    desk.send("POST", CALLS, json!({})).await.says(400, "data: missing");
    desk.api.add_fault(Fault::new(FaultKind::FailRow).failing_with("INTERNAL_ERROR", "boom").after(1).times(1));
    desk.send("POST", CALLS, json!({ "data": [call("a"), call("b")] })).await.says(207, "boom");
    assert_eq!(desk.api.records("Calls").len(), 1);
}

#[tokio::test]
async fn searches_answer_nothing_with_204() {
    let desk = organisation().await;
    desk.send("POST", CALLS, json!({ "data": [call("a:1")] })).await;
    let found = desk.get("/crm/v8/Calls/search?criteria=(Call_Key:equals:a:1)").await.json();
    assert_eq!((&found["data"][0]["Call_Key"], &found["info"]["more_records"]), (&json!("a:1"), &json!(false)));
    let nothing = desk.get("/crm/v8/Calls/search?criteria=(Call_Key:equals:b)").await;
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    assert_eq!(desk.get("/crm/v8/Contacts/search?email=ADA%40example.com").await.json()["data"][0]["id"], "501");
    assert_eq!(desk.get("/crm/v8/Contacts/search?phone=%2B15550100200").await.status, 200);
    assert_eq!(desk.get("/crm/v8/Leads/search?email=ada%40example.com").await.status, 204);
    desk.get("/crm/v8/Calls/search").await.says(400, "criteria");
    desk.get("/crm/v8/Calls/search?criteria=Call_Key:equals:b").await.says(400, "criteria: a bracket is missing");
    desk.api.settings(|settings| settings.search_lag_s = 5);
    assert_eq!(desk.get("/crm/v8/Calls/search?criteria=(Call_Key:equals:a:1)").await.status, 204);
}

#[tokio::test]
async fn tokens_are_refreshed_and_expire() {
    let desk = organisation().await;
    for (from, to, error) in [
        ("sim-refresh", "other", "invalid_code"),
        ("sim-secret", "other", "invalid_client_secret"),
        ("refresh_token&", "code&", "unsupported_grant_type"),
    ] {
        desk.form("/oauth/v2/token", &REFRESH.replacen(from, to, 1)).await.says(200, error);
    }
    desk.pass(3_599);
    assert_eq!(desk.get("/crm/v8/Leads/search?email=a%40example.com").await.status, 204);
    desk.pass(1);
    desk.get("/crm/v8/Leads/search?email=a%40example.com").await.says(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn faults_are_met() {
    let desk = organisation().await;
    meets_faults(&desk, CALLS, "Calls", |number| json!({ "data": [call(&number.to_string())] })).await;
}

//! Look-ups, and the switches that change what they show.

use serde_json::json;

use super::super::{LookUp, LookUpShape};
use super::{Desk, PATH, payload, with};

async fn three_calls() -> Desk {
    let desk = Desk::open().await;
    for (call_id, day) in [("CALL-1", "03"), ("CALL-2", "04"), ("CALL-3", "05")] {
        let mut sent = with(payload(call_id), "/callDetails/startTime", json!(format!("2026-01-{day}T10:00:00Z")));
        sent["callDetails"]["endTime"] = json!(format!("2026-01-{day}T10:02:05Z"));
        assert_eq!(desk.send("POST", PATH, sent).await.status, 200);
    }
    desk
}

#[tokio::test]
async fn calls_are_found_by_id_campaign_and_day_and_come_in_pages() {
    let desk = three_calls().await;
    for (query, total) in [
        ("", 3),
        ("?callId=CALL-2", 1),
        ("?callId=CALL-9", 0),
        ("?campaignId=64b0c0ffee0000000000abcd", 3),
        ("?campaignId=64b0c0ffee0000000000aaaa", 0),
        ("?startDate=2026-01-04", 2),
        ("?startDate=2026-01-04&endDate=2026-01-04", 1),
        ("?endDate=2026-01-04T09:00:00Z", 1),
    ] {
        let found = desk.get(&format!("{PATH}{query}")).await.json();
        assert_eq!((&found["pagination"]["total"], &found["success"]), (&json!(total), &json!(true)), "{query}");
    }
    let page = desk.get(&format!("{PATH}?limit=2&offset=0")).await.json();
    assert_eq!(page["pagination"], json!({ "total": 3, "limit": 2, "offset": 0, "has_more": true }));
    let rest = desk.get(&format!("{PATH}?limit=2&offset=2")).await.json();
    assert_eq!((rest["data"].as_array().map(Vec::len), &rest["pagination"]["has_more"]), (Some(1), &json!(false)));
    for (query, said) in [
        ("?limit=1001", "limit"),
        ("?limit=0", "limit"),
        ("?offset=-1", "offset"),
        ("?campaignId=x", "campaignId"),
        ("?startDate=yesterday", "startDate"),
        ("?callid=CALL-1", "callid: is not a known parameter"),
    ] {
        desk.get(&format!("{PATH}{query}")).await.says(400, said);
    }
}

#[tokio::test]
async fn the_shape_of_a_found_call_is_a_switch() {
    let desk = three_calls().await;
    let first = async || desk.get(&format!("{PATH}?callId=CALL-1")).await.json()["data"][0].clone();
    let documented = first().await;
    assert!(documented["transcription"]["items"].is_array() && documented["_id"].is_string(), "{documented}");
    assert!(documented["transcription"].get("conversation_items").is_none());
    desk.api.settings(|settings| settings.look_up_shape = LookUpShape::AsPosted);
    assert!(first().await["transcription"]["conversation_items"].is_array());
    desk.api.settings(|settings| settings.look_up_shape = LookUpShape::Flat);
    assert_eq!(first().await["callId"], "CALL-1");
}

#[tokio::test]
async fn a_look_up_may_be_missing_late_or_a_page() {
    let desk = three_calls().await;
    for (look_up, status, said) in [
        (LookUp::NotFound, 404, "no such path"),
        (LookUp::MethodNotAllowed, 405, "Method not allowed"),
        (LookUp::HtmlPage, 200, "<!doctype html>"),
    ] {
        desk.api.settings(|settings| settings.look_up = look_up);
        desk.get(PATH).await.says(status, said);
    }
    desk.api.settings(|settings| (settings.look_up, settings.look_up_lag_s) = (LookUp::Offered, 10));
    assert_eq!(desk.get(PATH).await.json()["pagination"]["total"], 0);
    desk.api.settings(|settings| settings.empty_is_404 = true);
    desk.get(PATH).await.says(404, "no call data found");
    desk.pass(10);
    assert_eq!(desk.get(PATH).await.json()["pagination"]["total"], 3);
}

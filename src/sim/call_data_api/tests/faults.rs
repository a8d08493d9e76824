//! Doubles, answers, faults, limits and the administrator's door.

use serde_json::{Value, json};

use super::super::{Fault, FaultKind, PostAnswer};
use super::{Desk, PATH, payload};
use crate::sim::harness::testing::until;

#[tokio::test]
async fn a_second_post_of_a_call_is_stored_again_unless_the_switch_says_otherwise() {
    let desk = Desk::open().await;
    for _ in 0..2 {
        desk.send("POST", PATH, payload("CALL-1")).await.says(200, "CALL-1");
    }
    assert_eq!(desk.api.calls().len(), 2);
    desk.api.settings(|settings| settings.deduplicate = true);
    desk.send("POST", PATH, payload("CALL-1")).await.says(200, "CALL-1");
    assert_eq!((desk.api.calls().len(), desk.api.counters().of("deduplicated")), (2, 1));
}

#[tokio::test]
async fn the_answer_to_a_payload_has_many_forms() {
    let desk = Desk::open().await;
    for (answer, body, stored) in
        [(PostAnswer::Empty, "", 1), (PostAnswer::Text, "OK", 2), (PostAnswer::SuccessFalse, "{\"success\":false}", 2)]
    {
        desk.api.settings(|settings| settings.post_answer = answer);
        let reply = desk.send("POST", PATH, payload("CALL-1")).await;
        assert_eq!((reply.status, reply.text.as_str(), desk.api.calls().len()), (200, body, stored), "{answer:?}");
    }
    desk.api.settings(|settings| settings.success_false_stores = true);
    desk.send("POST", PATH, payload("CALL-1")).await;
    assert_eq!(desk.api.calls().len(), 3);
}

#[tokio::test]
async fn a_token_is_asked_for_if_the_switch_says_so() {
    let desk = Desk::open().await;
    desk.api.settings(|settings| settings.token = Some("sim".to_owned()));
    desk.send("POST", PATH, payload("a")).await.says(401, "Unauthorized");
    for (sent, status) in [("Bearer other", 401), ("sim", 401), ("Bearer sim", 200)] {
        let reply = desk.send_with("POST", PATH, &[("authorization", sent)], payload("a")).await;
        assert_eq!(reply.status, status, "{sent}");
    }
}

#[tokio::test]
async fn every_fault_says_whether_the_call_is_stored() {
    let desk = Desk::open().await;
    for status in [400, 401, 403, 408, 413, 425, 429, 500, 502, 503, 504] {
        desk.api.add_fault(Fault::refuse(status).times(1));
        let reply = desk.send("POST", PATH, payload("a")).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.text.starts_with("<html>"), [502, 504].contains(&status), "{}", reply.text);
    }
    desk.api.add_fault(Fault::refuse(400).saying("callDetails.callId is taken").times(1));
    desk.send("POST", PATH, payload("a")).await.says(400, "callDetails.callId is taken");
    desk.api.add_fault(Fault::new(FaultKind::DropBeforeCommit).times(1));
    assert!(desk.try_send("POST", PATH, &[], &payload("a")).await.is_err());
    assert!(desk.api.calls().is_empty());
    for (number, fault) in [
        Fault::commit_then(500),
        Fault::commit_then(503),
        Fault::new(FaultKind::DropAfterCommit),
        Fault::new(FaultKind::TruncateBody),
    ]
    .into_iter()
    .enumerate()
    {
        desk.api.add_fault(fault.times(1));
        let reply = desk.try_send("POST", PATH, &[], &payload("a")).await;
        assert!(reply.is_err() || reply.is_ok_and(|reply| reply.status >= 500));
        assert_eq!(desk.api.calls().len(), number + 1);
    }
    assert_eq!(desk.send("POST", PATH, payload("a")).await.status, 200, "the faults are used up");
}

#[tokio::test]
async fn a_held_request_is_stored_after_the_client_has_left() {
    let desk = Desk::open().await;
    desk.api.add_fault(Fault::new(FaultKind::HoldBeforeCommit).times(1));
    let sent = payload("a");
    let request = desk.try_send("POST", PATH, &[], &sent);
    tokio::select! {
        _ = request => panic!("the client was to leave first"),
        () = until(|| desk.api.counters().faults_of(FaultKind::HoldBeforeCommit) == 1) => {}
    }
    assert!(desk.api.calls().is_empty());
    desk.api.release();
    until(|| desk.api.calls().len() == 1).await;
}

#[tokio::test]
async fn the_rate_is_limited_by_the_minute() {
    let desk = Desk::open().await;
    desk.api.settings(|settings| settings.traffic.requests_max = Some(2));
    assert_eq!(desk.send("POST", PATH, payload("a")).await.status, 200);
    desk.pass(20);
    assert_eq!(desk.get(PATH).await.status, 200);
    let reply = desk.get(PATH).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "40"));
    desk.pass(40);
    assert_eq!(desk.get(PATH).await.status, 200);
}

#[tokio::test]
async fn the_administrator_looks_switches_and_empties() {
    let desk = Desk::open().await;
    desk.send("POST", PATH, payload("a<b>")).await;
    assert_eq!(desk.get("/sim/calls").await.json(), json!([payload("a<b>")]));
    assert_eq!(desk.get("/sim/counters").await.json()["operations"]["stored"], 1);
    let page = desk.get("/").await;
    page.says(200, "a&lt;b&gt;");
    page.says(200, "2:05");
    page.says(200, "ada@example.com");
    let changed = desk.send("POST", "/sim/settings", json!({ "traffic": { "requests_max": 7 } })).await.json();
    assert_eq!((&changed["traffic"]["requests_max"], &changed["traffic"]["window_s"]), (&json!(7), &json!(60)));
    desk.send("PUT", "/sim/settings", json!({ "dedup": true })).await.says(400, "`dedup`");
    desk.send("POST", "/sim/faults", json!([{ "kind": "status_before_commit", "status": 425, "count": 1 }])).await;
    desk.send("POST", "/sim/faults", json!({ "kind": "nope" })).await.says(400, "nope");
    assert_eq!(desk.get(PATH).await.status, 425);
    desk.get("/sim/nothing").await.says(404, "no such door");
    assert_eq!(desk.send("DELETE", "/sim/calls", Value::Null).await.status, 204);
    assert_eq!(desk.get("/sim/calls").await.json(), json!([]));
}

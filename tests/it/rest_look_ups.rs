//! Promise: only an answer that was understood says that a call is not there, or that nobody can be asked; whatever else a
//! look-up or its probe is answered sends nothing twice and gives nothing up.

use axum::http::StatusCode;
use serde_json::{Value, json};
use trunkline::sim::call_data_api::CallDataApi;

use crate::rest_questions::{LOOK_UP, Scripted, key, row, taken};
use crate::rest_strict::CREATE;
use crate::support::rest_kits::{ForCallData, Kit};
use crate::support::rest_world::{RestWorld, told};
use crate::support::stub::Stub;

/// Answers to a look-up that say nothing of the call; whoever takes them for "not there" sends it twice.
async fn sends_nothing_on_the_word_of(status: u16, body: &'static str, more: &str, what: &str) {
    let table = format!("{CREATE}{LOOK_UP}items = \"/data\"\nnone = [404]\n{more}");
    let desk = Scripted::new(&table, move |request| match request.starts_with("GET") {
        true => (status, body.to_owned()),
        // Stored, but nobody hears of it.
        false => (502, String::new()),
    })
    .await;
    desk.put(&["one"]);
    let summary = desk.world.sync().await;
    let hold = summary.delivery.hold.unwrap_or_else(|| panic!("{body}: no hold"));
    assert_eq!(hold.code.0, "TL0509", "{body}");
    assert!(hold.what.contains(what), "{body}: {}", hold.what);
    assert_eq!(desk.posts(), 1, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_was_not_understood_never_says_that_a_call_is_not_there() {
    sends_nothing_on_the_word_of(404, "default backend - 404", "", "is not JSON").await;
    sends_nothing_on_the_word_of(404, "<html><h1>404 Not Found</h1></html>", "", "is not JSON").await;
    sends_nothing_on_the_word_of(200, r#"{"success": false, "data": []}"#, "", "says that it failed").await;
    let absent = "items_or_absent = true\n";
    sends_nothing_on_the_word_of(200, r#"{"error": {"code": "E_INDEX"}}"#, absent, "says that it failed").await;
    let others = r#"{"data": [{"ref": "x", "id": 1}, {"ref": "y", "id": 2}]}"#;
    sends_nothing_on_the_word_of(200, others, "", "names 2 records of other calls").await;
    sends_nothing_on_the_word_of(200, others, "page_max = 2\n", "may stand behind them").await;
}

/// A server that overlooks the filter gives the first thousand of all calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_data_api_that_does_not_filter_is_not_sent_a_call_twice() {
    let calls: Vec<Value> =
        (0..1000).map(|n| json!({ "_id": n, "callDetails": { "callId": format!("c{n}") } })).collect();
    let page = json!({ "success": true, "data": calls }).to_string();
    let crm = Stub::start(move |request| match request.starts_with("GET") {
        true => (StatusCode::OK, page.clone()),
        false => (StatusCode::BAD_GATEWAY, String::new()),
    })
    .await;
    let world = RestWorld::<CallDataApi>::start(Default::default(), |_| ForCallData::config(&crm.endpoint, "")).await;
    world.put("a.json", &told("s1", "ada@example.com"));
    let hold = world.sync().await.delivery.hold.expect("a hold");
    assert!(hold.what.contains("names 1000 records of other calls"), "{}", hold.what);
    assert_eq!(crm.requests().iter().filter(|request| request.starts_with("POST")).count(), 1);
}

const PROBE: &str = "probe = \"/calls?limit=1\"\n";

/// The CRM answers again, and has the call.
fn has_it(desk: &Scripted) {
    let key = key("one");
    desk.answers(move |request| match request.starts_with("GET") {
        true => (200, json!([{ "ref": key, "id": 7 }]).to_string()),
        false => taken(),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_answer_to_the_probe_wipes_no_unknown_outcome() {
    let odd = [
        (200, "<html>maintenance</html>", "TL0509"),
        (404, "default backend - 404", "TL0509"),
        (405, "<html>not allowed</html>", "TL0509"),
        (302, "", "TL0508"),
        (400, "{}", "TL0508"),
        (200, r#"{"success": false}"#, "TL0509"),
    ];
    for (status, body, code) in odd {
        let desk = Scripted::new(&format!("{CREATE}{LOOK_UP}{PROBE}"), lost).await;
        desk.put(&["one"]);
        // One request alone: the world stops before the outcome can be asked for.
        desk.world.sync_briefly().await;
        assert_eq!((desk.posts(), desk.row("one").await), (1, row("one", "unknown", "TL0702")));
        desk.answers(move |request| match request.starts_with("GET") {
            true => (status, body.to_owned()),
            false => taken(),
        });
        let summary = desk.world.sync().await;
        let hold = summary.delivery.hold.unwrap_or_else(|| panic!("{status} {body}: no hold"));
        assert_eq!((hold.code.0, summary.delivery.dead.len()), (code, 0), "{status} {body}");
        has_it(&desk);
        desk.world.sync().await;
        assert_eq!((desk.posts(), desk.row("one").await), (1, row("one", "delivered", "")), "{status} {body}");
    }
}

/// Questions are answered, writes are not.
fn lost(request: &str) -> (u16, String) {
    match request.starts_with("GET") {
        true => (200, "[]".to_owned()),
        false => (502, String::new()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_of_which_nobody_could_be_asked_is_asked_for_before_a_retry_sends_it() {
    for status in [404, 405] {
        let desk =
            Scripted::new(&format!("{CREATE}{LOOK_UP}{PROBE}"), move |request| match request.starts_with("GET") {
                true => (status, r#"{"message": "no such thing"}"#.to_owned()),
                false => (502, String::new()),
            })
            .await;
        desk.put(&["one"]);
        assert_eq!(desk.world.sync_to_the_end().await.delivery.dead.get("TL0702"), Some(&1));
        // The API offers it after all; that alone sends or asks nothing.
        has_it(&desk);
        assert_eq!(desk.world.sync().await.delivery.delivered, 0);
        desk.world.retry().await;
        assert_eq!((desk.posts(), desk.row("one").await), (1, row("one", "delivered", "")), "{status}");
    }
}

//! Promise: what a gateway, a login or a front end says in the place of an API is never taken for the API's word.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::http::StatusCode;
use serde_json::json;
use trunkline::sim::call_data_api::CallDataApi;
use trunkline::sim::harness::Remote;

use crate::rest_questions::{LOOK_UP, Scripted, key, taken};
use crate::rest_strict::CREATE;
use crate::support::rest_kits::{ForCallData, ForPipedrive, Kit};
use crate::support::rest_world::{RestWorld, told};
use crate::support::stub::Stub;

/// In front of a CRM: for the first write the page of a gateway with the status of a success, and nothing of it arrives.
async fn swallowed<K: Kit>() -> (RestWorld<K::Remote>, Stub) {
    let crm = Stub::start(|_| (StatusCode::OK, "<!doctype html><html>Please sign in</html>")).await;
    let world = K::world().await;
    world.configure(&K::config(&crm.endpoint, ""));
    (world, crm)
}

/// The state and the reason of the only delivery.
async fn only<R: Remote>(world: &RestWorld<R>) -> (String, String) {
    let row = world.deliveries().await.into_iter().next().expect("one");
    (row.state, row.problem.expect("a reason").code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_the_status_of_a_success_is_no_delivery() {
    // Pipedrive cannot be asked: a person is.
    let (world, crm) = swallowed::<ForPipedrive>().await;
    let mut nobody = told("s1", "");
    nobody["caller_phone"] = json!("");
    world.put("a.json", &nobody);
    let summary = world.sync().await;
    assert_eq!((summary.delivery.delivered, summary.delivery.dead.get("TL0702")), (0, Some(&1)));
    assert_eq!(crm.requests(), ["POST /v1/callLogs"]);
    world.configure(&ForPipedrive::config(&world.simulator.url(), ""));
    world.retry().await;
    assert_eq!(ForPipedrive::calls(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_gateway_swallowed_is_sent_again_once_the_api_says_that_it_is_not_there() {
    let down = std::sync::Arc::new(AtomicBool::new(true));
    let (told_down, is_down) = (down.clone(), down.clone());
    let crm = Stub::start(move |request| match request.starts_with("POST") {
        true if told_down.load(Ordering::SeqCst) => (StatusCode::OK, "<html>starting up</html>".to_owned()),
        true => (StatusCode::CREATED, json!({ "success": true, "data": { "_id": "7" } }).to_string()),
        false => (StatusCode::OK, json!({ "success": true, "data": [] }).to_string()),
    })
    .await;
    let world = RestWorld::<CallDataApi>::start(Default::default(), |_| ForCallData::config(&crm.endpoint, "")).await;
    world.put("a.json", &told("s1", "ada@example.com"));
    let summary = world.sync().await;
    assert_eq!(summary.delivery.delivered, 0, "a page is no delivery");
    assert_eq!(only(&world).await, ("unknown".to_owned(), "TL0702".to_owned()));
    is_down.store(false, Ordering::SeqCst);
    let posts = || crm.requests().iter().filter(|request| request.starts_with("POST")).count();
    let before = posts();
    assert_eq!(world.sync_to_the_end().await.delivery.delivered, 1);
    assert_eq!(posts(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_front_of_the_api_holds_every_call_and_refuses_none() {
    for status in [301, 302, 307, 308] {
        let desk = Scripted::new(CREATE, move |_| (status, "<html>sign in</html>".to_owned())).await;
        desk.put(&["one", "two", "three"]);
        let summary = desk.world.sync().await;
        let hold = summary.delivery.hold.unwrap_or_else(|| panic!("{status}: no hold"));
        assert!(hold.code.0 == "TL0508" && hold.what.contains("desk sends POST 127.0.0.1/api/calls"), "{hold:?}");
        assert_eq!((summary.delivery.waiting, summary.delivery.dead.len()), (3, 0), "{status}");
        desk.answers(|_| taken());
        assert_eq!(desk.world.sync().await.delivery.delivered, 3, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_answered_with_see_other_is_looked_up_before_it_is_sent_again() {
    for (is_there, posts) in [(true, 1), (false, 2)] {
        let posted = AtomicUsize::new(0);
        let key = key("one");
        let desk = Scripted::new(&format!("{CREATE}{LOOK_UP}"), move |request| match request.starts_with("GET") {
            true if is_there => (200, json!([{ "ref": key, "id": 7 }]).to_string()),
            true => (200, "[]".to_owned()),
            false if posted.fetch_add(1, Ordering::SeqCst) == 0 => (303, String::new()),
            false => taken(),
        })
        .await;
        desk.put(&["one"]);
        let summary = desk.world.sync_to_the_end().await;
        assert_eq!((summary.delivery.delivered, summary.delivery.dead.len()), (1, 0), "{:?}", desk.rows().await);
        assert_eq!(desk.posts(), posts);
    }
}

//! The CRMs seen from outside: every test talks HTTP to a port that the system chose, with a clock that stands still.

mod dynamics;
mod hubspot;
mod pipedrive;
mod zoho;

use serde_json::{Value, json};

use super::harness::testing::{Desk, until};
use super::harness::{Fault, FaultKind, Remote};

/// The object with this member set, or taken away for the text `REMOVED`.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    match value == "REMOVED" {
        true => _ = members.remove(name),
        false => _ = members.insert(name.to_owned(), value),
    }
    object
}

/// Every CRM meets the same faults in the same way: what is before the commit makes nothing, what is after it makes one.
async fn meets_faults<R: Remote>(desk: &Desk<R>, path: &str, table: &str, body: impl Fn(usize) -> Value) {
    let made = || desk.api.records(table).len();
    for status in [401, 403, 408, 429, 500, 502, 503, 504] {
        desk.api.add_fault(Fault::refuse(status).on_method("POST").times(1));
        let reply = desk.send("POST", path, body(0)).await;
        assert_eq!((reply.status, made()), (status, 0), "{}", reply.text);
        assert_eq!(reply.header("retry-after"), if status == 429 { "1" } else { "" });
    }
    desk.api.add_fault(Fault::refuse(429).retry_after(7).times(1));
    assert_eq!(desk.send("POST", path, body(0)).await.header("retry-after"), "7");
    desk.api.add_fault(Fault::new(FaultKind::DropBeforeCommit).times(1));
    assert!(desk.try_send("POST", path, &[], &body(0)).await.is_err() && made() == 0);
    desk.api.add_fault(Fault::new(FaultKind::DropAfterCommit).times(1));
    assert!(desk.try_send("POST", path, &[], &body(1)).await.is_err() && made() == 1);
    for (number, status) in [(2, 500), (3, 503)] {
        desk.api.add_fault(Fault::commit_then(status).times(1));
        assert_eq!((desk.send("POST", path, body(number)).await.status, made()), (status, number));
    }
    desk.api.add_fault(Fault::new(FaultKind::HoldBeforeCommit).times(1));
    let held = body(4);
    let request = desk.try_send("POST", path, &[], &held);
    tokio::select! {
        _ = request => panic!("the client was to leave first"),
        () = until(|| desk.api.counters().faults_of(FaultKind::HoldBeforeCommit) == 1) => {}
    }
    desk.api.release();
    until(|| made() == 4).await;
    assert_eq!(desk.get("/sim/records").await.json().as_array().map(Vec::len), Some(4));
    assert_eq!(desk.get("/sim/counters").await.json()["faults"]["hold_before_commit"], json!(1));
    desk.send("POST", "/sim/settings", json!({ "token_seconds": 1 })).await.says(400, "token_seconds");
}

#[test]
fn the_page_has_every_switch_and_every_fault() {
    let page = include_str!("../../../../docs/simulators.md");
    let of = |section: &str| {
        let (_, part) = page.split_once(&format!("## {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
        part.split("\n## ").next().unwrap_or_default()
    };
    let names = |settings: serde_json::Result<Value>| -> Vec<String> {
        settings.expect("JSON").as_object().expect("an object").keys().cloned().collect()
    };
    for (section, names) in [
        ("Call-data API", names(serde_json::to_value(crate::sim::call_data_api::Settings::default()))),
        ("HubSpot", names(serde_json::to_value(super::hubspot::Settings::default()))),
        ("Pipedrive", names(serde_json::to_value(super::pipedrive::Settings::default()))),
        ("Zoho", names(serde_json::to_value(super::zoho::Settings::default()))),
        ("Dynamics", names(serde_json::to_value(super::dynamics::Settings::default()))),
        ("Faults", names(serde_json::to_value(Fault::new(FaultKind::Slow)))),
        ("What all have in common", names(serde_json::to_value(super::Traffic::default()))),
    ] {
        for name in names.iter().filter(|name| *name != "traffic") {
            assert!(
                of(section).contains(&format!("`{name}`")),
                "docs/simulators.md does not tell of {name} in {section}"
            );
        }
    }
}

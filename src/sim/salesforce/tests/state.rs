//! Records that outlive the simulator.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::Options;
use super::{Desk, task};

/// A file of this test alone, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(std::env::temp_dir().join(format!("trunkline-sim-{name}-{}.json", std::process::id())))
    }

    fn options(&self) -> Options {
        Options { state_file: Some(self.0.clone()), ..Options::default() }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_restarted_simulator_has_the_same_records_under_the_same_ids() {
    let file = File::new("restart");
    let desk = Desk::with(file.options()).await;
    desk.upsert(json!([task(json!({ "Call_Key__c": "a", "Subject": "x" })), task(json!({ "Call_Key__c": "b" }))]))
        .await;
    let before = desk.org().records("Task");
    desk.simulator.stop().await.expect("saved");
    let desk = Desk::with(file.options()).await;
    assert_eq!(desk.org().records("Task"), before);
    assert_eq!(desk.org().records("User").len(), 1);
    let answer = desk.upsert(json!([task(json!({ "Call_Key__c": "A" })), task(json!({ "Call_Key__c": "c" }))])).await;
    assert_eq!((answer[0]["id"].clone(), answer[1]["created"].clone()), (before[0]["Id"].clone(), Value::Bool(true)));
    assert!(before.iter().all(|record| record["Id"] != answer[1]["id"]), "ids go on counting");
}

#[tokio::test]
async fn a_change_is_saved_soon_without_being_asked_and_at_once_when_asked() {
    let file = File::new("save");
    let desk = Desk::with(file.options()).await;
    desk.send("POST", "/sim/records/Contact", json!({ "LastName": "Soon" })).await;
    let saved = || std::fs::read_to_string(&file.0).unwrap_or_default();
    super::until(|| saved().contains("Soon")).await;
    desk.send("POST", "/sim/records/Contact", json!({ "LastName": "Now" })).await;
    assert_eq!(desk.send("POST", "/sim/save", Value::Null).await.status, 204);
    assert!(saved().contains("Now"));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let file = File::new("damaged");
    std::fs::write(&file.0, "{").expect("written");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let error = super::Simulator::start(listener, file.options()).await.err().expect("a refusal");
    assert!(error.to_string().contains("is damaged"), "{error}");
}

//! Promise: what the program says is what it does, in words that a person can act on.

use serde_json::json;

use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World};

/// A day with one call, of Ada, whom the org knows.
async fn one_call() -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    world
}

/// A Task that an earlier script made for a session of the day.
fn earlier_task(world: &World, session_id: &str) -> String {
    let description = format!("Voice AI Call Summary\nSession ID: {session_id}");
    let task =
        json!({ "Subject": format!("Voice AI Call - {DAY}"), "Status": "Completed", "Description": description });
    world.org.insert("Task", task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_an_earlier_task_as_adopted_with_its_stamp_and_nothing_else() {
    let world = one_call().await;
    let task = earlier_task(&world, "one");
    let shown = world.run_sync(&["--dry-run", "--json"]).await.exits(0).json();
    let fields: Vec<&str> = shown[0]["record"].as_object().expect("a record").keys().map(String::as_str).collect();
    assert_eq!((shown[0]["operation"].as_str(), fields), (Some("adopt"), vec!["CallObject", "Call_Key__c"]), "{shown}");

    world.run_sync(&[]).await.exits(0).says("1 adopted");
    assert_eq!(world.task("one")["Id"], task.as_str());
}

//! Promise: what only a person can mend holds or ends with a reason, takes no neighbour along, and is delivered once it
//! is mended.

use std::sync::Arc;

use serde_json::{Value, json};
use trunkline::clock::SystemClock;
use trunkline::engine::Days;
use trunkline::sim::salesforce::{Fault, FaultKind, Trigger, ValidationRule};

use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World, text};

/// `count` calls of one person; the ids of some begin with `bad`.
async fn world_of(count: usize, bad: usize) -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for index in 0..count {
        let id = format!("{}_{index}", if index < bad { "bad" } else { "good" });
        world.put(&format!("{id}.json"), &session(&id, "ada@example.com", "2026-11-20T09:00:00", 60));
    }
    world
}

fn delivered_ids(world: &World) -> Vec<String> {
    let mut ids: Vec<String> = world.tasks().iter().map(|task| text(task, "CallObject").to_owned()).collect();
    ids.sort();
    ids
}

fn assert_all_once(world: &World, count: usize) {
    let mut ids = delivered_ids(world);
    assert_eq!(ids.len(), count);
    ids.dedup();
    assert_eq!(ids.len(), count, "some are there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_field_holds_everything_and_names_the_field_until_it_is_opened() {
    let world = world_of(20, 0).await;
    world.set(|settings| _ = settings.hidden_fields.insert("Task.CallDurationInSeconds".to_owned()));
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says("20 held").tells("TL0503").tells("CallDurationInSeconds").tells("trunkline retry");
    assert!(world.tasks().is_empty());
    let why = world.run(&["why", "good_3"]).await.exits(0);
    why.says("to salesforce: held").says("TL0503").says("CallDurationInSeconds");
    let json = world.run(&["why", "good_3", "--json"]).await.exits(0).json();
    assert_eq!(json["calls"][0]["deliveries"][0]["problem"]["code"], "TL0503");
    world.run(&["report", "--to", "2026-11-20"]).await.exits(0).tells("held: salesforce TL0503");

    world.set(|settings| settings.hidden_fields.clear());
    world.run(&["retry"]).await.exits(0).says("20 delivered");
    assert_all_once(&world, 20);
    world.run(&["why", "good_3"]).await.exits(0).says("to salesforce: delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_validation_rule_refuses_are_dead_letters_and_their_neighbours_are_delivered() {
    let world = world_of(230, 3).await;
    world.set(|settings| {
        settings.validation_rules.push(ValidationRule {
            field: "CallObject".into(),
            contains: "bad".into(),
            message: "No calls of that kind".into(),
            ..ValidationRule::default()
        });
    });
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says("227 delivered, 3 dead-lettered (TL0601)").tells("3 dead letters TL0601");
    assert!(delivered_ids(&world).iter().all(|id| id.starts_with("good")));
    world
        .run(&["why", "bad_1"])
        .await
        .exits(0)
        .says("to salesforce: dead")
        .says("TL0601")
        .says("No calls of that kind");
    let dead = world.run(&["deliveries", "--state", "dead", "--json"]).await.exits(0).json();
    assert_eq!(dead.as_array().map(Vec::len), Some(3));
    // Nothing is tried again by itself.
    world.org.reset_counters();
    world.run_sync(&[]).await.exits(1).says("nothing new in 230 files, 3 dead letters of before stand");

    world.set(|settings| settings.validation_rules.clear());
    world.run(&["retry"]).await.exits(0).says("3 delivered");
    assert_all_once(&world, 230);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_throws_costs_only_the_rows_that_it_throws_on() {
    for whole_chunk in [false, true] {
        let world = world_of(230, 2).await;
        world.set(|settings| {
            settings.triggers.push(Trigger {
                field: "CallObject".into(),
                contains: "bad".into(),
                message: "System.NullPointerException".into(),
                whole_chunk,
                ..Trigger::default()
            });
        });
        let summary = world.sync().await;
        assert_eq!(summary.delivery.delivered, 228, "whole chunk: {whole_chunk}: {:?}", summary.delivery);
        assert_eq!(summary.delivery.dead.get("TL0606"), Some(&2), "whole chunk: {whole_chunk}");
        world.set(|settings| settings.triggers.clear());
        world.retry().await;
        assert_all_once(&world, 230);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_org_that_has_used_its_requests_up_holds_and_is_served_later() {
    for max in [1, 3, 4, 5] {
        let world = world_of(450, 0).await.configure("[salesforce]\napi_usage_percent_max = 100");
        world.set(|settings| settings.api_requests_max = max);
        let summary = world.sync().await;
        let hold = summary.delivery.hold.as_ref().unwrap_or_else(|| panic!("{max} requests: {:?}", summary.delivery));
        assert_eq!(hold.code.0, "TL0504");
        assert_eq!(summary.delivery.waiting + summary.delivery.delivered, 450);
        assert!(summary.delivery.dead.is_empty());
        world.set(|settings| settings.api_requests_max = 100_000);
        world.sync().await;
        assert_all_once(&world, 450);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_org_keeps_a_reserve_of_requests_for_others() {
    let world = world_of(20, 0).await.configure("[salesforce]\napi_usage_percent_max = 50");
    world.set(|settings| settings.api_requests_max = 4);
    let summary = world.sync().await;
    assert_eq!(summary.delivery.hold.map(|hold| hold.code.0), Some("TL0504"));
    assert!(world.org.counters().api_calls <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_revoked_in_mid_run_holds_and_the_rest_is_delivered_once_it_is_back() {
    let world = Arc::new(world_of(900, 0).await.configure("[delivery]\nrequests_in_flight = 1"));
    world.set(|settings| settings.latency_ms = 60);
    let running = world.clone();
    let run = tokio::spawn(async move { running.sync_as(Arc::new(SystemClock), Days { from: DAY, to: DAY }).await });
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(2));
    while world.tasks().is_empty() {
        ticks.tick().await;
    }
    world.set(|settings| settings.login_revoked = true);
    let summary = run.await.expect("the run does not panic");
    let (done, waiting) = (world.tasks().len() as u64, summary.delivery.waiting);
    assert_eq!(summary.delivery.hold.as_ref().map(|hold| hold.code.0), Some("TL0501"), "{:?}", summary.delivery);
    assert!(done > 0 && waiting > 0 && summary.delivery.dead.is_empty(), "{done} done, {waiting} waiting");
    world.run_sync(&[]).await.exits(3).tells("TL0501");

    world.set(|settings| (settings.login_revoked, settings.latency_ms) = (false, 0));
    world.run(&["retry"]).await.exits(0);
    assert_all_once(&world, 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_org_holds_after_a_request_or_two_and_is_served_later() {
    for no_match in ["skip", "create_lead"] {
        let world = world_of(30, 0).await.configure(&format!("[salesforce]\nno_match = \"{no_match}\""));
        for index in 0..20 {
            let id = format!("new_{index}");
            let email = format!("{id}@example.com");
            world.put(&format!("{id}.json"), &session(&id, &email, "2026-11-20T08:00:00", 60));
        }
        world.set(|settings| settings.storage_full = true);
        let summary = world.sync().await;
        assert_eq!(summary.delivery.hold.map(|hold| hold.code.0), Some("TL0505"), "{no_match}");
        assert!(summary.delivery.waiting >= 30 && summary.delivery.dead.is_empty(), "{no_match}");
        let calls = world.org.counters().api_calls;
        assert!(calls < 15, "{no_match}: {calls} requests to an org that is full: {:?}", world.org.counters().calls);
        world.set(|settings| settings.storage_full = false);
        world.sync().await;
        assert_all_once(&world, if no_match == "skip" { 30 } else { 50 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_gone_is_found_again_and_a_task_that_is_gone_is_told() {
    let world = world_of(1, 0).await;
    // Deleted between the question and the write: as far as the org is concerned, the id never was.
    let gone = "entity is deleted";
    world.fault(Fault::new(FaultKind::FailRow).times(1).failing_with("ENTITY_IS_DELETED", gone));
    let summary = world.sync().await;
    assert_eq!((summary.delivery.delivered, world.met(FaultKind::FailRow)), (1, 1));
    assert_all_once(&world, 1);
    world.put("good_0.json", &session("good_0", "ada@example.com", "2026-11-20T09:00:00", 90));
    world.org.update(text(&world.task("good_0"), "Id"), json!({ "IsDeleted": true }));
    let summary = world.sync().await;
    assert_eq!(summary.delivery.dead.get("TL0604"), Some(&1), "{:?}", summary.delivery);
    world.run(&["why", "good_0"]).await.exits(0).says("the Task was deleted").says("--recreate");
    assert!(world.tasks().is_empty());
    world.run(&["retry", "--recreate", "good_0"]).await.exits(0).says("1 delivered");
    assert_all_once(&world, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_answers_for_every_end_that_a_call_can_come_to() {
    let world = World::new(KeyField::There).await.configure("[salesforce]\nseveral_matches = \"skip\"");
    let ada = world.contact("ada@example.com");
    let desk = [world.contact("desk@example.com"), world.contact("desk@example.com")];
    let put = |id: &str, email: &str, seconds: i64| {
        world.put(&format!("{id}.json"), &session(id, email, "2026-11-20T09:00:00", seconds));
    };
    put("delivered", "ada@example.com", 60);
    put("updated", "ada@example.com", 60);
    put("no_address", "", 60);
    put("nobody", "nobody@example.com", 60);
    put("several", "desk@example.com", 60);
    put("refused", "ada@example.com", 60);
    put("twice", "ada@example.com", 60);
    world.put("twice_again.json", &session("twice", "ada@example.com", "2026-11-20T09:00:00", 60));
    world.put("damaged.json", &Value::Null);
    world.set(|settings| {
        let (field, contains) = ("CallObject".into(), "refused".into());
        settings.validation_rules.push(ValidationRule { field, contains, ..ValidationRule::default() });
    });
    world.run_sync(&[]).await.exits(1);
    put("updated", "ada@example.com", 90);
    // Its key is in the org already, because the answer to the first write was lost.
    put("key_there", "ada@example.com", 60);
    world.fault(Fault::new(FaultKind::DropAfterCommit).times(1).on_method("POST").on_path("/composite/sobjects"));
    world.run_sync(&[]).await.exits(1);
    assert_eq!(world.met(FaultKind::DropAfterCommit), 1);

    let cases: [(&str, &str, &[&str]); 9] = [
        ("delivered", "delivered", &["Contact", "written once", &ada, "Subject: Voice AI Call - 2026-11-20"]),
        ("updated", "delivered", &["revision 2", "written, then updated by later revisions"]),
        ("no_address", "skipped", &["nobody: the call has no e-mail address", "TL0401"]),
        ("nobody", "skipped", &["nobody has this e-mail address", "TL0402"]),
        ("several", "skipped", &["several people", "TL0403", &desk[0], &desk[1]]),
        ("twice", "delivered", &["twice.json", "twice_again.json", "written once"]),
        ("key_there", "delivered", &["unknown", "TL0702"]),
        ("refused", "dead", &["TL0601", "trunkline retry"]),
        ("damaged", "", &["in quarantine", "TL0304", "retry --quarantine"]),
    ];
    for (id, state, texts) in cases {
        let told = world.run(&["why", id]).await.exits(0);
        for text in texts {
            told.says(text);
        }
        let json = world.run(&["why", id, "--json"]).await.exits(0).json();
        if state.is_empty() {
            assert_eq!(json["quarantined"][0]["problem"]["code"], "TL0304");
        } else {
            told.says(&format!("to salesforce: {state}"));
            assert_eq!(json["calls"][0]["deliveries"][0]["state"], state, "{id}");
        }
    }
    let unknown = world.run(&["why", "never_was"]).await.exits(1);
    assert!(unknown.stdout.is_empty());
    unknown.tells("no call and no quarantined file never_was").tells("--from DAY");
    let json = world.run(&["why", "never_was", "--json"]).await.exits(1).json();
    assert_eq!(json["calls"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_bytes_rot_in_the_ledger_stops_none_of_the_others_and_heals_when_it_is_exported_again() {
    let world = world_of(5, 1).await;
    world.set(|settings| _ = settings.hidden_fields.insert("Task.CallDurationInSeconds".to_owned()));
    world.run_sync(&[]).await.exits(1);
    let ledger = rusqlite::Connection::open(world.store_path()).expect("a ledger");
    let key = "call_key = (SELECT call_key FROM call WHERE source_id = 'bad_0')";
    let select = format!("SELECT head FROM call_body WHERE {key}");
    let mut head: Vec<u8> = ledger.query_row(&select, (), |row| row.get(0)).expect("a head");
    let middle = head.len() / 2;
    head[middle] ^= 0x10;
    ledger.execute(&format!("UPDATE call_body SET head = ?1 WHERE {key}"), [head]).expect("works");
    drop(ledger);
    world.set(|settings| settings.hidden_fields.clear());
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says("4 delivered, 1 dead-lettered (TL0804)").tells("a stored call is damaged");
    ran.tells("1 dead letter TL0804");
    let dead = world.run(&["deliveries", "--state", "dead"]).await.exits(0);
    dead.says("bad_0").says("TL0804");
    world.put("bad_0.json", &session("bad_0", "ada@example.com", "2026-11-20T09:00:00", 61));
    world.run_sync(&[]).await.exits(0).says("1 delivered");
    assert_all_once(&world, 5);
}

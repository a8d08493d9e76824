//! Promise: delivered calls can be sent through a new mapping; no record is made, and none is touched that says the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use trunkline::clock::Clock;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{DeliveryStore, Order, Parts, Rearm, Window};

use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World, text};

const CALLS: usize = 300;
/// Every third call is a long one.
const LONG: &str = "[salesforce.task]\nPriority = \"{% if call.duration_seconds > 1000 %}High{% endif %}\"\n";

fn seconds(number: usize) -> i64 {
    if number.is_multiple_of(3) { 2000 } else { 60 }
}

async fn delivered_day(key_field: KeyField, calls: usize) -> World {
    let world = World::new(key_field).await;
    for person in 0..7 {
        world.contact(&format!("caller{person}@example.com"));
    }
    for number in 0..calls {
        let (id, email) = (format!("rm_{number}"), format!("caller{}@example.com", number % 7));
        world.put(&format!("{id}.json"), &session(&id, &email, "2026-11-20T09:00:00", seconds(number)));
    }
    world.sync().await;
    assert_eq!(world.tasks().len(), calls);
    world
}

fn by_id(world: &World) -> BTreeMap<String, Map<String, Value>> {
    world.tasks().into_iter().map(|task| (text(&task, "Id").to_owned(), task)).collect()
}

async fn replay(world: &World, further: &[&str]) -> Value {
    let source = world.source();
    world.run(&[&["replay", "--source", &source, "--json"], further].concat()).await.exits(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_change_of_the_mapping_a_replay_updates_what_is_different_now_and_nothing_else() {
    for key_field in [KeyField::There, KeyField::Missing] {
        let world = delivered_day(key_field, CALLS).await;
        let before = by_id(&world);
        let day = DAY.to_string();
        let same = replay(&world, &["--from", &day, "--to", &day]).await;
        assert_eq!(by_id(&world), before, "{key_field:?}: the same mapping touches nothing");
        assert_eq!(same["delivery"]["unchanged"], json!(CALLS), "{key_field:?}");

        let world = world.configure(LONG);
        let told = replay(&world, &["--from", &day, "--to", &day]).await;
        let after = by_id(&world);
        assert!(after.keys().eq(before.keys()), "{key_field:?}: no record was made");
        for (id, task) in &after {
            let is_long = task["CallDurationInSeconds"] == json!(2000);
            assert_eq!(text(task, "Priority") == "High", is_long, "{key_field:?}: {task:?}");
            assert_eq!(*task != before[id], is_long, "{key_field:?}: the others are left alone");
        }
        let counts = (&told["delivery"]["updated"], &told["delivery"]["unchanged"], &told["delivery"]["delivered"]);
        assert_eq!(counts, (&json!(CALLS / 3), &json!(CALLS - CALLS / 3), &json!(0)), "{key_field:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_takes_the_sessions_days_and_destination_that_it_was_told() {
    let world = delivered_day(KeyField::There, 4).await.configure(LONG);
    world.run(&["replay"]).await.exits(2).tells("nothing is said of which calls").tells("--from");
    let ran = world.run(&["replay", "rm_0", "--destination", "hubspot"]).await.exits(2);
    ran.tells("there is no destination `hubspot`").tells("one of: salesforce");
    replay(&world, &["--to", "2026-11-01"]).await;
    assert!(world.tasks().iter().all(|task| text(task, "Priority") != "High"), "no call is of these days");
    replay(&world, &["rm_3", "--destination", "salesforce"]).await;
    assert_eq!(text(&world.task("rm_3"), "Priority"), "High");
    assert_ne!(text(&world.task("rm_0"), "Priority"), "High");
    world.run(&["retry", "rm_3"]).await.exits(0).tells("trunkline replay rm_3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_replay_goes_out_with_the_next_run_and_an_older_process_leaves_it_alone() {
    let world = delivered_day(KeyField::There, 6).await;
    let asked_ms = world.clock.now_ms() + 60_000;
    let open = |owner, at_ms| SqliteStore::open(&world.store_path(), owner, at_ms).expect("a store that works");
    let (older, asking) = (open("older", asked_ms - 1), open("asking", asked_ms));
    let which = Rearm { states: vec!["delivered"], replay: true, ..Rearm::default() };
    assert_eq!(asking.rearm("salesforce", &which, asked_ms + 5).await.expect("works"), 6);
    let window = Window { count: 10, parts: Parts::Head, order: Order::OldestFirst };
    let claimed = older.claim("salesforce", None, window, asked_ms + 9, asked_ms + 99).await.expect("works");
    assert!(claimed.is_empty(), "it may have been started with the mapping of before");
    assert_eq!(older.next_due("salesforce", None).await.expect("works"), None, "nor does it wait for them");
    drop((older, asking));

    let world = world.configure(LONG);
    world.clock.advance(std::time::Duration::from_secs(120));
    let summary = world.sync().await;
    assert_eq!((summary.delivery.updated, summary.delivery.unchanged), (2, 4));
}

//! Promise: delivered calls can be sent through a new mapping; no record is made, and none is touched that says the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use trunkline::clock::Clock;
use trunkline::engine::{Event, Progress, Quiet, Stop};
use trunkline::sim::salesforce::ValidationRule;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{Claimed, Company, DeliveryStore, Order, Parts, ReadStore, Rearm, Window};

use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World, text};

const CALLS: usize = 1002;
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
    let ids = asking.find_to_rearm("salesforce", &which).await.expect("works");
    assert_eq!(asking.rearm(&ids, &which, asked_ms + 5).await.expect("works"), 6);
    let window = Window { count: 10, parts: Parts::Head, order: Order::OldestFirst, replayed: true };
    let claimed = older.claim("salesforce", None, window, asked_ms + 9, asked_ms + 99).await.expect("works");
    assert!(claimed.is_empty(), "it may have been started with the mapping of before");
    assert_eq!(older.next_due("salesforce", None).await.expect("works"), None, "nor does it wait for them");
    drop((older, asking));

    let world = world.configure(LONG);
    world.clock.advance(std::time::Duration::from_secs(120));
    let summary = world.sync().await;
    assert_eq!((summary.delivery.updated, summary.delivery.unchanged), (2, 4));
}

/// What a replay of everything is.
fn everything() -> Rearm {
    Rearm { states: vec!["delivered"], replay: true, ..Rearm::default() }
}

/// How many were settled at once; asks for a stop after the first.
#[derive(Default)]
struct Settled {
    counts: Mutex<Vec<u64>>,
    stops: Option<Stop>,
}

impl Progress for Settled {
    fn event(&self, event: Event) {
        if let Event::Settled(count) = event {
            self.counts.lock().expect("no test panics while it holds this").push(count);
            self.stops.iter().for_each(Stop::ask);
        }
    }
}

/// Another process that has one of the calls in hand.
async fn somebody_busy(world: &World) -> (SqliteStore, Claimed) {
    let now_ms = world.clock.now_ms();
    let other = SqliteStore::open(&world.store_path(), "other", now_ms).expect("a store that works");
    let which = Rearm { states: vec!["delivered"], ..Rearm::default() };
    let ids = other.find_to_rearm("salesforce", &which).await.expect("works");
    assert_eq!(other.rearm(&ids[..1], &which, now_ms).await.expect("works"), 1);
    let window = Window { count: 9, parts: Parts::Head, order: Order::OldestFirst, replayed: false };
    let mut claimed = other.claim("salesforce", None, window, now_ms, now_ms + 3_600_000).await.expect("works");
    assert_eq!(claimed.len(), 1);
    (other, claimed.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_another_process_a_replay_goes_in_small_steps_behind_what_that_one_has_in_hand() {
    let world = delivered_day(KeyField::There, 300).await;
    let replayed = async |world: &World| {
        let (settled, began_ms) = (Arc::new(Settled::default()), world.clock.now_ms());
        let summary = world.rearmed(&everything(), settled.clone(), Stop::default()).await;
        let counts = settled.counts.lock().expect("nobody panics").clone();
        (summary.delivery.unchanged, counts, world.clock.now_ms() - began_ms)
    };
    let (unchanged, counts, took_ms) = replayed(&world).await;
    assert_eq!((unchanged, counts, took_ms), (300, vec![300], 0), "alone nobody is waited for");

    let (other, _in_hand) = somebody_busy(&world).await;
    let (unchanged, counts, took_ms) = replayed(&world).await;
    assert_eq!((unchanged, counts), (299, vec![100, 100, 99]), "what is in other hands stays there");
    // Two steps to make due and three to deliver, each after a second in which the other one had its way.
    assert_eq!(took_ms, 5000, "it goes on all the same");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_knows_whether_it_is_alone_and_whether_others_are_busy() {
    let world = delivered_day(KeyField::There, 2).await;
    let me = SqliteStore::open(&world.store_path(), "me", world.clock.now_ms()).expect("a store that works");
    assert_eq!(me.company().await.expect("works"), Company::Alone);
    let (other, _in_hand) = somebody_busy(&world).await;
    assert_eq!(me.company().await.expect("works"), Company::Busy);
    assert_eq!(other.company().await.expect("works"), Company::Idle);
    drop(other);
    assert_eq!(me.company().await.expect("works"), Company::Alone, "what the gone left behind is nobody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_calls_go_out_before_all_that_is_replayed() {
    let world = delivered_day(KeyField::There, 20).await.configure(LONG);
    let store = SqliteStore::open(&world.store_path(), "asking", world.clock.now_ms()).expect("a store that works");
    let ids = store.find_to_rearm("salesforce", &everything()).await.expect("works");
    assert_eq!(store.rearm(&ids, &everything(), world.clock.now_ms()).await.expect("works"), 20);
    drop(store);
    world.put("fresh.json", &session("fresh", "caller1@example.com", "2026-11-20T23:00:00", 2000));
    world.clock.advance(Duration::from_secs(1));
    let summary = world.sync().await;
    assert_eq!((summary.delivery.delivered, summary.delivery.updated, summary.delivery.unchanged), (1, 7, 13));
    let writes: Vec<String> = deliveries_by_time(&world);
    assert_eq!(writes[0], "fresh", "although it is the latest: {writes:?}");
}

/// The sessions whose records were written in the last run, in the order of the attempts.
fn deliveries_by_time(world: &World) -> Vec<String> {
    let ledger = rusqlite::Connection::open(world.store_path()).expect("a ledger");
    let sql = "SELECT c.source_id FROM attempt a JOIN delivery d ON d.id = a.delivery_id JOIN call c USING (call_key)
               ORDER BY a.id";
    let mut statement = ledger.prepare(sql).expect("works");
    let ids = statement.query_map((), |row| row.get(0)).expect("works").collect::<Result<Vec<String>, _>>();
    ids.expect("works").split_off(20)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_was_interrupted_goes_on_and_doubles_nothing() {
    for key_field in [KeyField::There, KeyField::Missing] {
        let world = World::new(key_field).await.configure("[delivery]\nrequests_in_flight = 1\n");
        world.contact("caller@example.com");
        for number in 0..CALLS {
            let id = format!("rm_{number}");
            world.put(&format!("{id}.json"), &session(&id, "caller@example.com", "2026-11-20T09:00:00", 60));
        }
        let closed = ValidationRule {
            object: "Task".to_owned(),
            field: "Subject".to_owned(),
            contains: "Voice".to_owned(),
            message: "closed for stocktaking".to_owned(),
        };
        world.set(|settings| settings.validation_rules = vec![closed.clone()]);
        let refused = world.sync().await;
        assert_eq!(refused.delivery.dead.values().sum::<u64>(), CALLS as u64, "{key_field:?}");
        world.set(|settings| settings.validation_rules.clear());

        // The first process ends after 120 are due again, and so does the second after its first request.
        let store = SqliteStore::open(&world.store_path(), "first", world.clock.now_ms()).expect("works");
        let dead = Rearm { states: vec!["dead"], ..Rearm::default() };
        let ids = store.find_to_rearm("salesforce", &dead).await.expect("works");
        assert_eq!(store.rearm(&ids[..120], &dead, world.clock.now_ms()).await.expect("works"), 120);
        assert_eq!(
            store.rearm(&ids[..120], &dead, world.clock.now_ms()).await.expect("works"),
            0,
            "they are due already"
        );
        drop(store);
        let stop = Stop::default();
        let stopping = Settled { stops: Some(stop.clone()), ..Settled::default() };
        let summary = world.rearmed(&dead, Arc::new(stopping), stop).await;
        let between = world.tasks().len();
        assert!(0 < between && between < CALLS, "{key_field:?}: {between}");
        assert_eq!(summary.delivery.delivered, between as u64, "{key_field:?}");

        let summary = world.rearmed(&dead, Arc::new(Quiet), Stop::default()).await;
        assert_eq!(summary.delivery.delivered as usize, CALLS - between, "{key_field:?}");
        assert_eq!(world.tasks().len(), CALLS, "{key_field:?}");
        let store = SqliteStore::open(&world.store_path(), "last", world.clock.now_ms()).expect("works");
        assert_eq!(store.count("salesforce", "dead", None, None).await.expect("works"), 0);
        assert_eq!(store.count("salesforce", "delivered", None, None).await.expect("works"), CALLS as u64);
    }
}

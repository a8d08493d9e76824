//! Promise: what a process had in hand when it died is known whenever somebody looks, counts once, and is forgotten as
//! soon as a living process has got through with it; nothing else waits for it for long.

use std::fs;
use std::process::Command;

use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{
    DeliveryFilter, DeliveryRow, DeliveryStore, IntakeStore, IntentFate, Parts, ReadStore, StoreError,
};

use crate::store::{CRM, LEASE_MS, again, claim, ingest, item, open};
use crate::support::binary::finish;
use crate::support::session::session;
use crate::support::world::{KeyField, World, text};

const DAY_MS: i64 = 86_400_000;

/// The process of this name is killed: its lock file stays.
fn kill(folder: &std::path::Path, name: &str, store: SqliteStore) {
    drop(store);
    fs::write(folder.join(format!("calls.db-owner-{name}")), "").expect("a writable folder");
}

/// A process takes so many new calls in hand, and nothing else, and is killed.
async fn die_with(folder: &std::path::Path, name: &str, count: usize) {
    let dying = open(folder, name);
    dying.reclaim(0).await.expect("works");
    let calls = (0..count).map(|at| item(&format!("{name} {at}"), 100 + at as i64, 1.0, 1));
    ingest(&dying, calls.collect()).await;
    assert_eq!(claim(&dying, count, 0).await.len(), count);
    kill(folder, name, dying);
}

async fn row(store: &SqliteStore, id: &str) -> DeliveryRow {
    let rows = store.deliveries(&DeliveryFilter::default()).await.expect("a store that works");
    rows.into_iter().find(|row| row.source_id == id).expect("a delivery")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_counts_once_and_also_after_the_lease_has_run_out() {
    let folder = tempfile::tempdir().expect("a folder");
    die_with(folder.path(), "dying", 1).await;
    // The next one comes with the next night.
    let next = open(folder.path(), "next");
    for _ in 0..3 {
        next.reclaim(DAY_MS).await.expect("works");
    }
    assert_eq!(row(&next, "dying 0").await.deaths, 1);
    assert!(!folder.path().join("calls.db-owner-dying").exists(), "its death is on the disk");
    assert!(claim(&next, 1, DAY_MS).await.is_empty(), "it is not handed out with others");
    assert!(next.has_suspects(CRM, DAY_MS).await.expect("works"));
    let suspects = next.claim_suspects(CRM, None, Parts::Head, 1, DAY_MS, DAY_MS + LEASE_MS).await.expect("works");
    assert_eq!(suspects.len(), 1);
    // It was sent, and who sent it lives: whatever becomes of it, it is no suspect.
    next.settle(vec![again(&suspects[0], 0, IntentFate::Clear)], DAY_MS).await.expect("works");
    assert_eq!(row(&next, "dying 0").await.deaths, 0);
    assert!(!next.has_suspects(CRM, DAY_MS).await.expect("works"));
    assert_eq!(claim(&next, 1, DAY_MS).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_whose_entry_fails_is_not_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    die_with(folder.path(), "dying", 1).await;
    let next = open(folder.path(), "next");
    let raw = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    // As a disk may fail in mid-transaction, after the death was counted.
    let fails = "CREATE TRIGGER fails BEFORE UPDATE OF owner ON delivery BEGIN SELECT RAISE(ABORT, 'no'); END";
    raw.execute_batch(fails).expect("works");
    assert!(next.reclaim(DAY_MS).await.is_err());
    assert_eq!(row(&next, "dying 0").await.deaths, 0, "it was rolled back");
    raw.execute_batch("DROP TRIGGER fails").expect("works");
    next.reclaim(DAY_MS).await.expect("works");
    assert_eq!(row(&next, "dying 0").await.deaths, 1, "its lock file told it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_living_process_got_through_with_is_under_no_suspicion() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = item("read", 100, 1.0, 1);
    let files = [file.raw.clone()];
    let dying = open(folder.path(), "dying");
    dying.take_in_hand("sessions", &files).await.expect("works");
    kill(folder.path(), "dying", dying);
    let next = open(folder.path(), "next");
    next.reclaim(DAY_MS).await.expect("works");
    let deaths = async || next.suspicions("sessions", &files).await.expect("works")[0].deaths;
    assert_eq!(deaths().await, 1);
    ingest(&next, vec![file]).await;
    assert_eq!(deaths().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_comes_with_what_was_said_if_that_was_asked_for() {
    for (parts, turns) in [(Parts::Head, 0), (Parts::Whole, 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        die_with(folder.path(), "dying", 1).await;
        let next = open(folder.path(), "next");
        next.reclaim(DAY_MS).await.expect("works");
        let suspects = next.claim_suspects(CRM, None, parts, 1, DAY_MS, DAY_MS + LEASE_MS).await.expect("works");
        assert_eq!(suspects.iter().map(|one| one.call.call().turns.len()).collect::<Vec<_>>(), [turns], "{parts:?}");
    }
}

/// How many suspects are handed out at once, where groups have grown so far.
async fn suspects(store: &SqliteStore, growth: u32) -> usize {
    store.reclaim(DAY_MS).await.expect("works");
    let lease_until_ms = DAY_MS + LEASE_MS;
    store.claim_suspects(CRM, None, Parts::Head, growth, DAY_MS, lease_until_ms).await.expect("works").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_suspects_grow_but_never_to_what_was_in_hand() {
    let folder = tempfile::tempdir().expect("a folder");
    die_with(folder.path(), "dying", 70).await;
    let next = open(folder.path(), "next");
    assert_eq!(suspects(&next, 1).await, 2, "a 32nd of what was in hand");
    assert_eq!(suspects(&next, 4).await, 8);
    next.let_go(DAY_MS).await.expect("works");
    assert_eq!(suspects(&next, u32::MAX).await, 64);
    kill(folder.path(), "next", next);
    let last = open(folder.path(), "last");
    assert_eq!(suspects(&last, 1).await, 2, "after a death in company they begin as small as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_alone_with_a_death_stays_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    die_with(folder.path(), "one", 1).await;
    die_with(folder.path(), "two", 2).await;
    let next = open(folder.path(), "next");
    assert_eq!(suspects(&next, 32).await, 2, "those that died together");
    assert_eq!(suspects(&next, 32).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_decays_of_a_suspicion_stops_no_neighbour() {
    let folder = tempfile::tempdir().expect("a folder");
    die_with(folder.path(), "dying", 3).await;
    let next = open(folder.path(), "next");
    next.reclaim(DAY_MS).await.expect("works");
    let raw = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    raw.execute_batch(
        "UPDATE delivery SET deaths = 'x' WHERE id = 1; UPDATE delivery SET company = 1e300 WHERE id = 2",
    )
    .expect("works");
    for _ in 0..3 {
        assert_eq!(suspects(&next, 1).await, 1, "each is tried, and alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_is_not_brought_up_to_date_under_an_older_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = open(folder.path(), "old");
    let raw = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    let newest: u32 = raw.query_row("PRAGMA user_version", (), |row| row.get(0)).expect("a version");
    raw.pragma_update(None, "user_version", newest - 1).expect("works");
    let refused = SqliteStore::open(&folder.path().join("calls.db"), "new", 0).err();
    assert!(
        matches!(&refused, Some(StoreError::Unusable(cause)) if cause.contains("older version") && cause.contains("stop that one")),
        "{refused:?}"
    );
    drop(old);
}

async fn armed(mut command: Command, proof: &str) -> Option<i32> {
    command.env("TRUNKLINE_PROOF", proof);
    finish(command).await.code
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kills_a_sync_every_night_is_found_after_a_few_nights() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for (id, word) in [("good_1", "quotes"), ("bad", "hemlock"), ("good_2", "quotes")] {
        let mut document = session(id, "ada@example.com", "2026-11-20T09:00:00", 60);
        document["discovered_signals"]["use_case"] = word.into();
        world.put(&format!("{id}.json"), &document);
    }
    let clock = world.path("clock");
    let proof = format!("poison=map:hemlock clock={}", clock.display());
    let mut nights = 0;
    loop {
        fs::write(&clock, (nights * DAY_MS).to_string()).expect("a writable folder");
        if armed(world.sync_command(&[]), &proof).await.is_some() {
            break;
        }
        nights += 1;
        assert!(nights <= 5, "it dies every night");
    }
    assert_eq!((nights, world.tasks().len()), (4, 2), "once together, three times alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guilty_call_does_not_hide_for_long_in_groups_that_grow() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for evening in 0..2 {
        for at in 60 * evening..60 * (evening + 1) {
            let started = format!("2026-11-20T{:02}:{:02}:00", at / 60, at % 60);
            let mut document = session(&format!("s{at:03}"), "ada@example.com", &started, 60);
            document["discovered_signals"]["use_case"] = if at == 119 { "hemlock" } else { "quotes" }.into();
            world.put(&format!("s{at:03}.json"), &document);
        }
        let killed = armed(world.sync_command(&[]), "crash=claim/after:1").await;
        assert_eq!(killed, None, "it was killed with 60 calls in hand");
    }
    let mut deaths = 0;
    while armed(world.sync_command(&[]), "poison=map:hemlock").await.is_none() {
        deaths += 1;
        assert!(deaths <= 4, "it is not found");
    }
    assert_eq!((deaths, world.tasks().len()), (4, 119), "once in a group that had grown, and three times alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_suspect_has_a_turn_while_others_keep_coming() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let put = |id: &str, minute: usize| {
        let at = format!("2026-11-20T09:{minute:02}:00");
        world.put(&format!("{id}.json"), &session(id, "ada@example.com", &at, 60));
    };
    put("suspect", 59);
    assert_eq!(
        armed(world.sync_command(&[]), "crash=claim/after:1").await,
        None,
        "it was killed with the call in hand"
    );
    for minute in 0..40 {
        put(&format!("other_{minute}"), minute);
    }
    world.sync_with(|run| run.routes.iter_mut().for_each(|route| route.limits.window = 1)).await;
    let tasks = world.tasks();
    let at = tasks.iter().position(|task| text(task, "CallObject") == "suspect").expect("it was delivered");
    assert_eq!(tasks.len(), 41);
    assert!((1..=10).contains(&at), "not before all others and not behind them: {at}");
}

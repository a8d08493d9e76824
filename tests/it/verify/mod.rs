//! Promise: damage in the ledger is noticed, never delivered, told by `trunkline verify`, and mended from the source.
//!
//! `TRUNKLINE_NIGHTLY=1` makes the seeded runs long.

mod file;
mod log;
mod payloads;
mod sound;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use trunkline::engine::thousands;
use trunkline::sim::sessions::Plan;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{Soundness, StoreError};

use crate::support::binary::Ran;
use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World, names_in, text};

fn rounds(quick: usize, nightly: usize) -> usize {
    if std::env::var("TRUNKLINE_NIGHTLY").is_ok_and(|value| value == "1") { nightly } else { quick }
}

fn verify(path: &Path) -> Result<Soundness, StoreError> {
    SqliteStore::verify(path, &mut |_| {})
}

fn found(path: &Path) -> Soundness {
    verify(path).unwrap_or_else(|error| panic!("{error}"))
}

fn rules(found: &Soundness) -> Vec<&str> {
    found.findings.iter().map(|finding| finding.rule).collect()
}

fn ledger(world: &World) -> Connection {
    Connection::open(world.store_path()).expect("a ledger")
}

/// The bytes of the ledger and of what stands beside it.
fn files(world: &World) -> Vec<(String, Vec<u8>)> {
    let names = names_in(world.folder.path()).into_iter().filter(|name| name.starts_with("calls.db"));
    names.map(|name| (name.clone(), fs::read(world.path(&name)).expect("a readable file"))).collect()
}

/// Flips one bit of the payload of the call with this row, in its head or its tail. The same place again undoes it.
fn flip_payload(ledger: &Connection, row: i64, piece: &str, place: usize) {
    let select = format!("SELECT {piece} FROM call_body WHERE rowid = ?1");
    let mut bytes: Vec<u8> = ledger.query_row(&select, [row], |row| row.get(0)).expect("a body");
    let place = place % (bytes.len() * 8);
    bytes[place / 8] ^= 1 << (place % 8);
    ledger.execute(&format!("UPDATE call_body SET {piece} = ?1 WHERE rowid = ?2"), (bytes, row)).expect("works");
}

fn session_of(ledger: &Connection, row: i64) -> String {
    let sql = "SELECT source_id FROM call JOIN call_body b USING (call_key) WHERE b.rowid = ?1";
    ledger.query_row(sql, [row], |row| row.get(0)).expect("a call")
}

/// A ledger with a day of invented calls, all delivered.
async fn world_of_a_day(seed: u64, calls: usize) -> World {
    let world = World::new(KeyField::There).await;
    world.plan(&Plan::new(seed, DAY, calls));
    world.run_sync(&[]).await;
    assert!(!world.tasks().is_empty());
    world
}

/// `count` calls of different people, of which the org has version 1 and the ledger holds version 2, due. Nobody but the
/// test knows how long they are.
async fn world_of_updates(count: usize) -> World {
    let world = World::new(KeyField::There).await;
    for index in 0..count {
        world.contact(&format!("c{index}@example.com"));
    }
    put_all(&world, count, 1);
    world.run_sync(&[]).await.exits(0);
    put_all(&world, count, 2);
    world.set(|settings| _ = settings.hidden_fields.insert("Task.CallDurationInSeconds".to_owned()));
    world.run_sync(&[]).await.exits(1).says(&format!("{} held", thousands(count as u64)));
    world.set(|settings| settings.hidden_fields.clear());
    world
}

fn id_of(index: usize) -> String {
    format!("s_{index}")
}

fn seconds_of(index: usize, version: i64) -> i64 {
    100 * version + index as i64 % 50
}

fn put_all(world: &World, count: usize, version: i64) {
    for index in 0..count {
        let (id, email) = (id_of(index), format!("c{index}@example.com"));
        let mut document = session(&id, &email, "2026-11-20T09:00:00", seconds_of(index, version));
        document["transcript"][0]["content"] = format!("{id} says something in version {version}").into();
        world.put(&format!("{id}.json"), &document);
    }
}

/// Which version of each session the org holds; panics if there is anything that nobody exported.
fn versions(world: &World, count: usize) -> BTreeMap<String, i64> {
    let people: BTreeMap<String, String> = world
        .org
        .records("Contact")
        .iter()
        .map(|person| (text(person, "Email").to_owned(), text(person, "Id").to_owned()))
        .collect();
    let mut versions = BTreeMap::new();
    for task in world.tasks() {
        let id = text(&task, "CallObject").to_owned();
        let index: usize = id.strip_prefix("s_").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{task:#?}"));
        assert!(index < count, "{task:#?}");
        assert_eq!(text(&task, "WhoId"), people[&format!("c{index}@example.com")], "{id} is on somebody else");
        let seconds = task["CallDurationInSeconds"].as_i64();
        let version = (1..=3).find(|version| seconds == Some(seconds_of(index, *version)));
        let version = version.unwrap_or_else(|| panic!("{id} has {seconds:?} seconds"));
        assert!(text(&task, "Description").contains(&format!("Session ID: {id}")), "{task:#?}");
        assert_eq!(versions.insert(id.clone(), version), None, "two Tasks for {id}");
    }
    versions
}

/// Whatever happened, nobody sees a panic, and who gets no result is told what to do.
fn is_civil(ran: &Ran, what: &str) {
    assert!(!ran.stderr.contains("panicked"), "{what}:\n{}", ran.stderr);
    assert!(matches!(ran.code, Some(0 | 1 | 3)), "{what}: {:?}\n{}", ran.code, ran.stderr);
    assert!(ran.code != Some(3) || ran.stderr.contains("help: "), "{what}:\n{}", ran.stderr);
}

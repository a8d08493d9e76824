//! Promise: damage in the ledger is noticed, never delivered, told by `trunkline verify`, and mended from the source.
//!
//! `TRUNKLINE_NIGHTLY=1` makes the seeded runs long.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;
use trunkline::engine::thousands;
use trunkline::sim::sessions::Plan;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{Soundness, StoreError};

use crate::support::binary::Ran;
use crate::support::oracle::Oracle;
use crate::support::session::{day_folder, session};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_ledger_is_sound_and_is_left_as_it_was() {
    let world = world_of_a_day(901, 80).await;
    let before = files(&world);
    let ran = world.run(&["verify"]).await.exits(0);
    ran.says("sound: 80 calls").says("salesforce: 80 calls = ");
    let json = world.run(&["verify", "--json"]).await.exits(0).json();
    assert_eq!((&json["sound"], &json["findings_total"]), (&true.into(), &0.into()));
    assert_eq!(json["checked"]["without_checksum"], 0);
    assert!(files(&world) == before, "a check changes nothing: {:?}", names_in(world.folder.path()));

    // Beside a process that has it open, with rows in its log; and what a killed one left.
    let open = SqliteStore::open(&world.store_path(), "beside", 0).expect("a store");
    let log = || fs::read(world.path("calls.db-wal")).expect("a log");
    let before = log();
    assert!(!before.is_empty());
    world.run(&["verify"]).await.exits(0).says("sound: ");
    assert!(log() == before, "the log is left as it was");
    drop(open);
    world.run(&["verify", "--unknown"]).await.exits(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_of_a_payload_is_found() {
    let world = world_of_a_day(902, 60).await;
    let ledger = ledger(&world);
    let rows: Vec<i64> = ledger
        .prepare("SELECT rowid FROM call_body")
        .and_then(|mut rows| rows.query_map((), |row| row.get(0))?.collect())
        .expect("bodies");
    let (seed, count) = (902, rounds(80, 1000));
    println!("seed {seed}, {count} flips");
    let mut chance = StdRng::seed_from_u64(seed);
    for round in 0..count {
        let row = rows[chance.random_range(0..rows.len())];
        let piece = if chance.random_bool(0.4) { "head" } else { "tail" };
        let place = chance.random_range(0..usize::MAX / 2);
        flip_payload(&ledger, row, piece, place);
        let found = found(&world.store_path());
        let expected = format!("session {}", session_of(&ledger, row));
        let places: Vec<&str> = found.findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, [expected.as_str()], "flip {round}, {piece} at {place}: {:?}", found.findings);
        flip_payload(&ledger, row, piece, place);
    }
    assert!(found(&world.store_path()).is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_calls_are_never_delivered_and_the_next_sync_mends_them() {
    let count = rounds(64, 1000);
    let world = world_of_updates(count).await;
    let seed = 903;
    println!("seed {seed}, {count} calls");
    let mut chance = StdRng::seed_from_u64(seed);
    let connection = ledger(&world);
    // Three of four are damaged; of the others it is told that they go out all the same.
    let mut damaged = Vec::new();
    for row in 1..=count as i64 {
        if chance.random_range(0..4) > 0 {
            // The mapping reads no transcript, so a damaged tail is nobody's loss until somebody asks for it.
            flip_payload(&connection, row, "head", chance.random_range(0..usize::MAX / 2));
            damaged.push(session_of(&connection, row));
        }
    }
    drop(connection);
    let ran = world.run(&["verify"]).await.exits(1);
    ran.says(&format!("not sound: {} findings", damaged.len())).says("Next: trunkline retry s_");
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says(&format!("{} dead-lettered (TL0804)", damaged.len())).tells("TL0804");
    let after = versions(&world, count);
    assert_eq!(after.len(), count);
    for (id, version) in &after {
        assert_eq!(*version, if damaged.contains(id) { 1 } else { 2 }, "{id}");
    }
    assert_eq!(found(&world.store_path()).findings_total, damaged.len() as u64);
    // The files are there still: the next run reads them again by itself.
    world.run_sync(&[]).await.exits(0).says(&format!("{} damaged calls mended", damaged.len()));
    assert!(versions(&world, count).values().all(|version| *version == 2));
    assert!(found(&world.store_path()).is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_mends_the_call_that_it_is_given_also_one_that_was_delivered() {
    let world = world_of_updates(3).await;
    let connection = ledger(&world);
    flip_payload(&connection, 1, "head", 77);
    flip_payload(&connection, 2, "tail", 177);
    let (due, whole) = (session_of(&connection, 1), session_of(&connection, 2));
    drop(connection);
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says("1 dead-lettered (TL0804)");
    world.run(&["why", &due]).await.exits(3).tells("TL0804").tells("trunkline retry");
    let dead = world.run(&["deliveries", "--state", "dead", "--json"]).await.exits(0);
    dead.says(&format!("`trunkline retry {due}` reads its file again"));
    let source = world.source();
    world.run(&["retry", &due]).await.exits(2).tells("--source");
    let ran = world.run(&["retry", &due, "--source", &source]).await.exits(0);
    ran.says("1 updated").says("1 damaged call mended").tells("the ledger's copy of 1 call is damaged");
    // Its tail is damaged, and it was delivered from its head.
    world.run(&["verify"]).await.exits(1).says(&format!("session {whole}"));
    world.run(&["retry", &whole, "--source", &source]).await.exits(0).says("1 damaged call mended");
    world.run(&["verify"]).await.exits(0);
    assert!(versions(&world, 3).values().all(|version| *version == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_file_is_gone_the_call_stays_dead_and_that_is_told() {
    let world = world_of_updates(2).await;
    let connection = ledger(&world);
    flip_payload(&connection, 1, "head", 100);
    let id = session_of(&connection, 1);
    drop(connection);
    fs::remove_file(day_folder(&world.sessions(), DAY).join(format!("{id}.json"))).expect("the file was there");
    world.run_sync(&[]).await.exits(1).says("1 dead-lettered (TL0804)");
    world.run_sync(&[]).await.tells("is no longer at the source").tells("explain TL0804");
    assert_eq!(versions(&world, 2)[&id], 1);
    world.run(&["verify"]).await.exits(1).says("reread");
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_bodies_an_older_body_and_a_wrong_record_are_found_and_not_delivered() {
    let world = world_of_updates(6).await;
    let connection = ledger(&world);
    let id = |row: i64| session_of(&connection, row);
    let ids: Vec<String> = (1..=6).map(id).collect();
    let by_id = |id: &str| format!("call_key = (SELECT call_key FROM call WHERE source_id = '{id}')");
    let columns = "head, tail, head_bytes, tail_bytes";
    connection
        .execute_batch(&format!(
            "CREATE TEMP TABLE kept AS SELECT * FROM call_body;
             UPDATE call_body SET ({columns}) = (SELECT {columns} FROM kept k WHERE k.{one}) WHERE {zero};
             UPDATE call_body SET ({columns}) = (SELECT {columns} FROM kept k WHERE k.{zero}) WHERE {one};
             UPDATE call SET revision = 1 WHERE {two};
             UPDATE delivery SET remote_id = (SELECT remote_id FROM delivery WHERE {four}) WHERE {three};
             UPDATE delivery SET person_id = '003000000000001AAA' WHERE {five};",
            zero = by_id(&ids[0]),
            one = by_id(&ids[1]),
            two = by_id(&ids[2]),
            three = by_id(&ids[3]),
            four = by_id(&ids[4]),
            five = by_id(&ids[5]),
        ))
        .expect("works");
    drop(connection);
    let found = found(&world.store_path());
    let mut names = rules(&found);
    names.sort_unstable();
    let expected = ["call", "call", "call", "desired", "person-id", "record-id", "revisions"];
    assert_eq!(names, expected, "{:#?}", found.findings);
    let ran = world.run_sync(&[]).await.exits(1);
    ran.says("3 dead-lettered (TL0804)").says("1 dead-lettered (TL0805)");
    let after = versions(&world, 6);
    for (at, version) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 2)] {
        assert_eq!(after[&ids[at]], version, "{at}: {after:?}");
    }
    world.run(&["retry", &ids[3], "--recreate", "--source", &world.source()]).await;
    world.run_sync(&[]).await;
    let after = versions(&world, 6);
    assert!(after.len() == 6 && after.values().all(|version| *version == 2), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_two_files_is_mended_from_both() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    let older = session("two", "ada@example.com", "2026-11-20T09:00:00", 60);
    let path = world.put("a_older.json", &older);
    crate::support::session::age(&path, std::time::Duration::from_secs(7200));
    let mut newer = session("two", "ada@example.com", "2026-11-20T09:00:00", 90);
    newer.as_object_mut().expect("an object").remove("user_email");
    world.put("b_newer.json", &newer);
    world.run_sync(&[]).await.exits(0);
    let account = |ran: &Ran| (ran.json()["calls"][0]["call"].clone(), ran.json()["calls"][0]["raw"].clone());
    let (before, _) = account(&world.run(&["why", "two", "--json"]).await.exits(0));
    flip_payload(&ledger(&world), 1, "head", 90);
    world.run(&["retry", "two", "--source", &world.source()]).await.exits(0);
    let (after, _) = account(&world.run(&["why", "two", "--json"]).await.exits(0));
    assert_eq!(after, before);
    assert!(found(&world.store_path()).is_sound());
    // The older file alone would take back what the newer one said.
    flip_payload(&ledger(&world), 1, "head", 90);
    fs::remove_file(day_folder(&world.sessions(), DAY).join("b_newer.json")).expect("it was there");
    world.run(&["retry", "two", "--source", &world.source()]).await;
    let task = world.task("two");
    assert_eq!(task["CallDurationInSeconds"], 90);
    world.run(&["verify"]).await.exits(1);
}

/// Turns a ledger into one from before there were checksums.
fn without_checksums(path: &Path) {
    let ledger = Connection::open(path).expect("a ledger");
    ledger
        .execute_batch(
            "DROP TRIGGER delivery_has_day; DROP TRIGGER delivery_keeps_day;
             DROP INDEX delivery_due; DROP INDEX delivery_next; DROP INDEX delivery_dead; DROP INDEX delivery_listed;
             DROP INDEX delivery_reported; ALTER TABLE delivery DROP COLUMN match_verdict;
             ALTER TABLE delivery DROP COLUMN match_rule; ALTER TABLE delivery DROP COLUMN replay;
             ALTER TABLE delivery DROP COLUMN since; ALTER TABLE delivery DROP COLUMN day;
             CREATE INDEX delivery_due ON delivery (destination, order_at) WHERE state = 'due';
             DROP TABLE file_in_hand; DROP TABLE file_suspect; DROP INDEX delivery_suspect;
             ALTER TABLE delivery DROP COLUMN company; ALTER TABLE delivery DROP COLUMN deaths;
             DROP INDEX raw_to_reread; ALTER TABLE raw DROP COLUMN reread;
             ALTER TABLE call DROP COLUMN head_sum; ALTER TABLE call DROP COLUMN tail_sum;
             ALTER TABLE delivery DROP COLUMN remote_sum; ALTER TABLE delivery DROP COLUMN person_sum;
             PRAGMA user_version = 2;",
        )
        .expect("works");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_from_before_the_checksums_is_proved_by_content_and_gets_them_as_it_is_written() {
    let world = world_of_updates(8).await;
    without_checksums(&world.store_path());
    let before = found(&world.store_path());
    assert!(before.is_sound() && before.schema == 2 && before.checked.without_checksum == 8, "{before:#?}");
    let connection = ledger(&world);
    flip_payload(&connection, 1, "head", 50);
    // A body that changed places has a sound compression.
    connection
        .execute_batch(
            "UPDATE call_body SET (head, tail) = (SELECT head, tail FROM call_body WHERE rowid = 3) WHERE rowid = 2",
        )
        .expect("works");
    let damaged = [session_of(&connection, 1), session_of(&connection, 2)];
    drop(connection);
    assert_eq!(rules(&found(&world.store_path())), ["call", "call"]);
    world.run_sync(&[]).await.exits(1).says("6 updated, 2 dead-lettered (TL0804)");
    let after = versions(&world, 8);
    assert!(after.iter().all(|(id, version)| *version == if damaged.contains(id) { 1 } else { 2 }), "{after:?}");
    assert_eq!(found(&world.store_path()).checked.without_checksum, 8);
    world.run_sync(&[]).await.exits(0);
    assert_eq!(found(&world.store_path()).checked.without_checksum, 6, "what is mended has a checksum");
    put_all(&world, 8, 3);
    world.run_sync(&[]).await.exits(0);
    let after = found(&world.store_path());
    assert!(after.is_sound() && after.checked.without_checksum == 0, "{after:#?}");
    assert!(versions(&world, 8).values().all(|version| *version == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_the_file_delivers_nothing_that_is_wrong() {
    let (seed, count, calls) = (905, rounds(48, 1000), 6);
    println!("seed {seed}, {count} flips");
    let mut chance = StdRng::seed_from_u64(seed);
    let (mut told, mut refused) = (0, 0);
    for round in 0..count {
        let world = world_of_updates(calls).await;
        let mut bytes = fs::read(world.store_path()).expect("a ledger");
        // Header, schema and the first pages more often than their share.
        let end = if round % 4 == 0 { 100 } else { bytes.len() };
        let mut place = chance.random_range(0..end * 8);
        // Most of a small ledger is empty.
        while round % 4 != 0 && bytes[place / 8] == 0 {
            place = chance.random_range(0..end * 8);
        }
        bytes[place / 8] ^= 1 << (place % 8);
        fs::write(world.store_path(), &bytes).expect("a writable folder");
        let what = format!("seed {seed}, round {round}, byte {} bit {}", place / 8, place % 8);
        let checked = world.run(&["verify"]).await;
        is_civil(&checked, &what);
        told += usize::from(checked.code != Some(0));
        for _ in 0..2 {
            let ran = world.run_sync(&[]).await;
            is_civil(&ran, &what);
            refused += usize::from(ran.code == Some(3));
            println!("{what}: verify {:?}, sync {:?}", checked.code, ran.code);
            assert_eq!(versions(&world, calls).len(), calls, "{what}");
        }
        is_civil(&world.run(&["verify"]).await, &what);
    }
    println!("{told} of {count} were told by verify; {refused} runs were refused");
    assert!(told > count / 4, "{told} of {count} flips were told: too few places that matter");
}

#[tokio::test(flavor = "multi_thread")]
async fn zeroed_pages_and_cut_files_are_told_and_deliver_nothing_that_is_wrong() {
    let (seed, calls) = (906, 40);
    let mut chance = StdRng::seed_from_u64(seed);
    for round in 0..rounds(6, 60) {
        let world = world_of_updates(calls).await;
        let mut bytes = fs::read(world.store_path()).expect("a ledger");
        let pages = bytes.len() / 8192;
        let page = chance.random_range(1..pages);
        let what = format!("seed {seed}, round {round}, page {page} of {pages}");
        if round % 2 == 0 {
            bytes[page * 8192..(page + 1) * 8192].fill(0);
        } else {
            bytes.truncate(page * 8192 + chance.random_range(0..8192));
        }
        fs::write(world.store_path(), &bytes).expect("a writable folder");
        let ran = world.run(&["verify"]).await;
        is_civil(&ran, &what);
        assert_eq!(ran.code, Some(1), "{what}:\n{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("Next: "), "{what}:\n{}", ran.stdout);
        is_civil(&world.run_sync(&[]).await, &what);
        assert_eq!(versions(&world, calls).len(), calls, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ledger_is_not_read_and_what_to_do_is_told() {
    let world = world_of_updates(2).await;
    let bytes = fs::read(world.store_path()).expect("a ledger");
    let check = async |bytes: &[u8], code: i32, says: &str| {
        fs::write(world.store_path(), bytes).expect("a writable folder");
        let ran = world.run(&["verify"]).await.exits(code);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(says), "{}\n{}", ran.stdout, ran.stderr);
    };
    let mut header = bytes.clone();
    header[3] ^= 1;
    check(&header, 3, "not a database").await;
    check(&bytes[..50], 3, "not a database").await;
    check(&bytes[..bytes.len() - 8192], 1, "its end is missing").await;
    let mut newer = bytes.clone();
    newer[63] = 99;
    check(&newer, 3, "TL0802").await;
    check(&bytes, 0, "sound").await;
    world.forget_the_ledger();
    world.run(&["verify"]).await.exits(3).tells("there is no ledger");
}

/// Leaves a ledger as a killed process does: with commits in its log.
async fn killed(world: &World) {
    let reader = ledger(world);
    reader.query_row("SELECT count(*) FROM call", (), |row| row.get::<_, i64>(0)).expect("a ledger");
    world.run_sync(&[]).await;
    let kept: Vec<(String, Vec<u8>)> = files(world);
    drop(reader);
    for (name, bytes) in kept.iter().filter(|(name, _)| !name.ends_with("-shm")) {
        fs::write(world.path(name), bytes).expect("a writable folder");
    }
    assert!(fs::metadata(world.path("calls.db-wal")).is_ok_and(|log| log.len() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_flipped_or_lost_loses_and_doubles_nothing_in_the_org() {
    for damage in ["none", "cut", "flipped", "header", "lost"] {
        let world = world_of_updates(30).await;
        let before = fs::read(world.store_path()).expect("a ledger");
        killed(&world).await;
        assert!(versions(&world, 30).values().all(|version| *version == 2));
        let log = world.path("calls.db-wal");
        let mut bytes = fs::read(&log).expect("a log");
        match damage {
            "cut" => bytes.truncate(bytes.len() * 2 / 3 + 100),
            "flipped" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 8;
            }
            "header" => bytes[1] ^= 8,
            _ => {}
        }
        match damage {
            "lost" => fs::remove_file(&log).expect("it was there"),
            _ => fs::write(&log, &bytes).expect("a writable folder"),
        }
        let ran = world.run(&["verify"]).await;
        is_civil(&ran, damage);
        match damage {
            "none" => ran.exits(0),
            "cut" => ran.exits(0),
            "flipped" => {
                ran.says("passed over");
                ran.exits(1)
            }
            "header" => {
                ran.says("the -wal file");
                ran.exits(1)
            }
            _ => ran.exits(0),
        };
        if damage == "lost" {
            assert!(fs::read(world.store_path()).expect("a ledger").len() >= before.len());
        }
        // What the org has already is recognised, whatever of it the ledger has forgotten.
        put_all(&world, 30, 3);
        world.run_sync(&[]).await.exits(0);
        let after = versions(&world, 30);
        assert!(after.len() == 30 && after.values().all(|version| *version == 3), "{damage}: {after:?}");
        assert!(found(&world.store_path()).is_sound(), "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_that_is_swapped_in_doubles_nothing_and_is_told_where_it_can_be() {
    let world = World::new(KeyField::There).await;
    for index in 0..12 {
        world.contact(&format!("c{index}@example.com"));
    }
    put_all(&world, 5, 1);
    world.run_sync(&[]).await.exits(0);
    let older = fs::read(world.store_path()).expect("a ledger");
    put_all(&world, 12, 2);
    world.run_sync(&[]).await.exits(0);
    fs::write(world.store_path(), &older).expect("a writable folder");
    // By itself an older file is a sound one: nothing in it says that there was a newer.
    world.run(&["verify"]).await.exits(0);
    // A lock of a process that it does not know is a sign.
    fs::write(world.path("calls.db-owner-0123"), "").expect("a writable folder");
    world.run(&["verify"]).await.exits(0).says("unknown-process").says("the file may be older");
    fs::remove_file(world.path("calls.db-owner-0123")).expect("it is left there");
    world.run_sync(&[]).await.exits(0);
    let after = versions(&world, 12);
    assert!(after.len() == 12 && after.values().all(|version| *version == 2), "{after:?}");
    assert!(found(&world.store_path()).is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_write_and_a_third_that_checkpoints_lose_nothing() {
    let (rounds, per_round) = (rounds(10, 150), 40);
    let world = World::new(KeyField::There).await;
    let plan = Plan::new(907, DAY, rounds * per_round);
    let seeded = world.people(&plan.people());
    let sessions: Vec<_> = plan.sessions().collect();
    let mut checkpoints = 0;
    for some in sessions.chunks(per_round) {
        for one in some {
            crate::support::session::put(&world.sessions(), DAY, &one.file_name, &one.bytes);
        }
        let (path, stop) = (world.store_path(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let stopped = std::sync::Arc::clone(&stop);
        let checkpointer = std::thread::spawn(move || checkpoint(&path, &stopped));
        let (one, other) = tokio::join!(world.run_sync(&[]), world.run_sync(&[]));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        checkpoints += checkpointer.join().expect("no panic");
        is_civil(&one, "one");
        is_civil(&other, "other");
    }
    world.run_sync(&[]).await;
    println!("{checkpoints} checkpoints in {rounds} rounds");
    assert!(checkpoints >= rounds, "{checkpoints} checkpoints");
    let sound = found(&world.store_path());
    assert!(sound.is_sound() && sound.checked.calls > 0, "{sound:#?}");
    Oracle::of(&world, KeyField::There, &plan, &seeded).holds();
}

/// Moves the log into the file and starts it over, again and again, until it is told to stop.
fn checkpoint(path: &Path, stop: &std::sync::atomic::AtomicBool) -> usize {
    let mut done = 0;
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        if !path.exists() {
            std::thread::yield_now();
            continue;
        }
        // A connection of its own each time: it comes and goes like a console or a backup.
        let Ok(connection) = Connection::open(path) else { continue };
        for kind in ["PASSIVE", "RESTART", "TRUNCATE"] {
            let sql = format!("PRAGMA wal_checkpoint({kind})");
            let blocked: rusqlite::Result<i64> = connection.query_row(&sql, (), |row| row.get(0));
            done += usize::from(blocked.is_ok_and(|blocked| blocked == 0));
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_is_told_by_name() {
    let world = world_of_a_day(908, 40).await;
    let kept = fs::read(world.store_path()).expect("a ledger");
    let check = |sql: &str, expected: &[&str]| {
        fs::write(world.store_path(), &kept).expect("a writable folder");
        let ledger = ledger(&world);
        ledger
            .execute_batch(&format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}"))
            .expect(sql);
        drop(ledger);
        let found = found(&world.store_path());
        let names = rules(&found);
        for name in expected {
            assert!(names.contains(name), "{sql}: no `{name}` in {:#?}", found.findings);
        }
        assert!(found.findings.iter().all(|finding| !finding.help.is_empty() && !finding.place.is_empty()));
    };
    let one = "WHERE id = (SELECT min(id) FROM delivery WHERE state = 'delivered')";
    check("DELETE FROM call_body WHERE rowid = 2", &["call"]);
    check("DELETE FROM call WHERE rowid = 2", &["orphan", "call-of-delivery", "file-call", "revision-call"]);
    check("DELETE FROM revision WHERE call_key = (SELECT min(call_key) FROM call)", &["revisions"]);
    check("UPDATE call SET digest = x'00' WHERE rowid = 1", &["digest", "call"]);
    check("UPDATE call SET evidence_url = 'x' WHERE rowid = 1", &["evidence"]);
    check("UPDATE call SET origins = '{' WHERE rowid = 1", &["call-json"]);
    check("UPDATE call SET day = '2026-99-01' WHERE rowid = 1", &["day"]);
    check("UPDATE call SET revision = 0 WHERE rowid = 1", &["call-revision"]);
    check(&format!("UPDATE delivery SET state = 'gone' {one}"), &["state", "conservation"]);
    check(&format!("UPDATE delivery SET desired_revision = 9 {one}"), &["desired", "delivered"]);
    check(&format!("UPDATE delivery SET delivered_revision = 9 {one}"), &["not-ahead", "delivered"]);
    check(&format!("UPDATE delivery SET state = 'leased' {one}"), &["lease"]);
    check(
        &format!("UPDATE delivery SET state = 'leased', owner = 'x', lease_until = 1, fence = 1 {one}"),
        &["lease-owner"],
    );
    check(&format!("UPDATE delivery SET intent_at = 1 {one}"), &["intent"]);
    check(&format!("UPDATE delivery SET delivered_at = NULL {one}"), &["delivered"]);
    check(&format!("UPDATE delivery SET remote_id = NULL {one}"), &["record", "delivered", "record-id"]);
    check(&format!("UPDATE delivery SET delivered_digest = x'00' {one}"), &["delivery-digest"]);
    check("UPDATE delivery SET code = NULL WHERE state = 'skipped'", &["reason"]);
    check(&format!("UPDATE delivery SET record_json = '{{' {one}"), &["delivery-json"]);
    check(&format!("UPDATE delivery SET attempts = 'many' {one}"), &["counts"]);
    check(&format!("UPDATE delivery SET since = 'then' {one}"), &["waiting"]);
    check(&format!("UPDATE delivery SET replay = -1 {one}"), &["waiting"]);
    check(&format!("UPDATE delivery SET day = NULL {one}"), &["day-of-delivery"]);
    check("UPDATE raw SET state = 'lost' WHERE id = 1", &["file-state"]);
    check("UPDATE raw SET call_key = 'x' WHERE id = 1", &["file-call"]);
    check("UPDATE raw SET digest = NULL WHERE id = 1", &["file-digest"]);
    check("UPDATE raw SET state = 'quarantined' WHERE id = 1", &["file-reason"]);
    check("UPDATE revision SET raw_url = 'x'", &["revision-file"]);
    check("INSERT INTO hold VALUES ('x', 'y', '', '', 0)", &["hold"]);
    check("UPDATE run SET summary = '{'", &["run"]);
    check("UPDATE attempt SET revision = 9", &["attempt"]);
    check(&format!("UPDATE delivery SET deaths = 3, company = 1 {one}"), &["deaths"]);
    check(&format!("UPDATE delivery SET deaths = 1 {one}"), &["deaths"]);
    check("INSERT INTO file_in_hand VALUES ('x', 'sessions', 'y', 'z')", &["file-in-hand"]);
    check("INSERT INTO file_suspect VALUES ('sessions', 'y', 'z', 0, 1)", &["file-deaths"]);
}

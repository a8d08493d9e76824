//! Calls whose stored content is damaged: found, kept from going out, and mended from the files of the source.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::Connection;

use super::{
    flip_payload, found, ledger, put_all, rounds, rules, session_of, versions, world_of_a_day, world_of_updates,
};
use crate::support::binary::Ran;
use crate::support::session::{day_folder, session};
use crate::support::world::{DAY, KeyField, World};

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
            "DROP TRIGGER delivery_keeps_day;
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

//! What is sound, and what contradicts itself: the rules between the rows, each broken once and told by its name.

use std::fs;

use trunkline::store::sqlite::SqliteStore;

use super::{files, found, ledger, rules, world_of_a_day};
use crate::support::world::names_in;

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

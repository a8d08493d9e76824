//! Promise: nothing is silent: what stands where nobody looks for it can be found, with its reason.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::session::{age, session};
use crate::support::world::{KeyField, World};

async fn world_of(sessions: &[(&str, &str)]) -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for (id, email) in sessions {
        world.put(&format!("{id}.json"), &session(id, email, "2026-11-20T09:00:00", 60));
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_stays_on_a_former_person_is_told_and_moves_once_the_address_is_there() {
    let world = world_of(&[]).await;
    let old = world.put("one.json", &session("one", "ada@example.com", "2026-11-20T09:00:00", 60));
    age(&old, std::time::Duration::from_secs(60));
    world.run_sync(&[]).await.exits(0).says("1 delivered");
    let former = world.task("one")["WhoId"].clone();
    world.run(&["deliveries", "--reason", "no-match"]).await.exits(0).tells("none");

    world.put("one.json", &session("one", "new@example.com", "2026-11-20T09:00:00", 60));
    world.run_sync(&[]).await.exits(0);
    assert_eq!(world.task("one")["WhoId"], former);
    let why = world.run(&["why", "one"]).await.exits(0);
    why.says("e-mail new@example.com").says("match    nobody has this e-mail address (rule no-match)");
    why.says("TL0402 nobody has the e-mail address of revision 2; the record stays on Contact");
    why.says("retry SESSION --recreate");
    let listed = world.run(&["deliveries", "--state", "delivered", "--reason", "no-match"]).await.exits(0);
    listed.says("one").says("the record stays on Contact");
    let report = world.run(&["report", "--to", "2026-11-20", "--days", "1"]).await.exits(0);
    report.tells("1 record stands on the person of an earlier address").tells("--reason no-match");
    let json = world.run(&["report", "--to", "2026-11-20", "--days", "1", "--json"]).await.exits(0).json();
    assert_eq!(json[0]["former_person"], 1, "{json:#}");
    world.run_sync(&[]).await.exits(0).says("nothing new in 1 file");

    let newer = world.contact("new@example.com");
    world.run(&["retry", "one", "--recreate"]).await.exits(0);
    assert_eq!(world.task("one")["WhoId"], newer.as_str());
    world.run(&["deliveries", "--reason", "no-match"]).await.exits(0).tells("none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_date_has_a_row_of_its_own_and_stands_in_every_listing() {
    let world = world_of(&[("dated", "ada@example.com")]).await;
    let undated = json!({ "session_id": "undated", "user_email": "ada@example.com", "start_time": "soon" });
    world.put("undated.json", &undated);
    world.run_sync(&[]).await.exits(0).says("2 delivered");
    for listing in [&["calls"][..], &["deliveries"], &["calls", "--limit", "1"]] {
        let ran = world.run(listing).await.exits(0);
        let row = ran.stdout.lines().find(|line| line.trim_start().starts_with("undated"));
        assert!(row.is_some_and(|row| row.contains("no date")), "{listing:?}: {}", ran.stdout);
    }
    let report = ["report", "--to", "2026-11-20", "--days", "1"];
    world.run(&report).await.exits(0).says("\n no date");
    let rows = world.run(&[&report[..], &["--json"]].concat()).await.exits(0).json();
    let days: Vec<&Value> = rows.as_array().expect("rows").iter().map(|row| &row["day"]).collect();
    assert_eq!(days, [&json!("2026-11-20"), &Value::Null], "{rows:#}");
    assert_eq!((&rows[0]["calls"], &rows[1]["calls"], &rows[1]["delivered"]), (&1.into(), &1.into(), &1.into()));
    let page = world.path("page.html").display().to_string();
    world.run(&[&report[..], &["--html", &page]].concat()).await.exits(0);
    assert!(std::fs::read_to_string(page).expect("the page").contains("no date"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_process_had_in_hand_is_due_for_whoever_looks() {
    let world = world_of(&[("one", "nobody@example.com"), ("two", "nobody@example.com")]).await;
    world.run_sync(&[]).await.exits(0);
    let ledger = Connection::open(world.store_path()).expect("the ledger");
    ledger
        .execute_batch(
            "UPDATE delivery SET state = 'leased', owner = 'killed', lease_until = 9e15, code = NULL;
             UPDATE delivery SET intent_at = 1 WHERE call_key = (SELECT call_key FROM call WHERE source_id = 'two');",
        )
        .expect("a ledger to write to");
    let lock = world.path("calls.db-owner-killed");
    let states = async || {
        let rows = world.run(&["deliveries", "--json"]).await.exits(0).json();
        let mut states: Vec<String> =
            rows.as_array().expect("rows").iter().map(|row| format!("{} {}", row["source_id"], row["state"])).collect();
        states.sort();
        states.join(", ")
    };
    let expected = r#""one" "due", "two" "unknown""#;
    assert_eq!(states().await, expected);
    let held = std::fs::File::create(&lock).expect("a lock file");
    held.try_lock().expect("nobody else has it");
    assert_eq!(states().await, r#""one" "leased", "two" "leased""#);
    drop(held);
    assert_eq!(states().await, expected);
    assert!(lock.exists(), "who only looks leaves the lock file");
    world.run(&["calls"]).await.exits(0).says("salesforce: due").says("salesforce: unknown");
    world.run(&["deliveries", "--state", "unknown"]).await.exits(0).says("two");
    world.run(&["why", "one"]).await.exits(0).says("to salesforce: due");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_ends_with_what_it_comes_to() {
    let world = world_of(&[("one", "ada@example.com"), ("two", "nobody@example.com"), ("three", "")]).await;
    world.put("broken.json", &json!([]));
    let ran = world.run_sync(&["--dry-run"]).await.exits(1);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert_eq!(last, "would create 1; 1 without e-mail, 1 without a match, 1 file in quarantine");
    let json = world.run_sync(&["--dry-run", "--json"]).await.exits(1).json();
    assert_eq!(json["records"].as_array().map(Vec::len), Some(3), "{json:#}");
    let totals = json!({
        "create": 1, "update": 0, "adopt": 0, "people": {}, "skipped": { "TL0401": 1, "TL0402": 1 }, "refused": {},
        "quarantined": 1,
    });
    assert_eq!(json["totals"], totals);
    std::fs::remove_dir_all(world.sessions().join("year=2026/month=11/day=20")).expect("a folder");
    world.run_sync(&["--dry-run"]).await.exits(0).says("would write nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_file_that_was_deleted_is_dismissed_or_told_by_retry() {
    let world = world_of(&[]).await;
    let files = ["a.json", "b.json", "c.json"].map(|name| world.put(name, &json!([])));
    world.run_sync(&[]).await.exits(1).says("3 files in quarantine");

    let ran = world.run(&["quarantine", "--dismiss", "a.json"]).await.exits(2);
    ran.tells("TL0104").tells("Take 1 file out of the quarantine?").tells("add --yes");
    world
        .run(&["quarantine", "--dismiss", "z.json", "--yes"])
        .await
        .exits(2)
        .tells("no file in quarantine has `z.json`");
    world.run(&["quarantine", "--yes"]).await.exits(2);
    let ran = world.run(&["quarantine", "--dismiss", "a.json", "--yes"]).await.exits(0);
    ran.says("1 file is out of the quarantine").tells("a.json");
    let left = world.run(&["quarantine"]).await.exits(0);
    assert!(left.says("b.json").tells("--dismiss").stdout.lines().count() == 3, "{}", left.stdout);

    std::fs::remove_file(&files[1]).expect("a file");
    let source = world.source();
    let ran = world.run(&["retry", "--quarantine", "--source", &source]).await.exits(1);
    ran.says("1 file in quarantine, 1 file no longer at the source").tells("gone: file://").tells("b.json");
    std::fs::remove_file(&files[2]).expect("a file");
    world.run(&["retry", "--quarantine", "--source", &source]).await.exits(0);
    world.run(&["quarantine"]).await.exits(0).tells("none");

    // What comes back is read again, dismissed or not.
    world.put("b.json", &session("b", "ada@example.com", "2026-11-20T09:00:00", 60));
    world.run_sync(&[]).await.exits(1).says("1 delivered, 1 file in quarantine");
    let elsewhere = format!("file://{}/", world.path("not-there").display());
    world.run(&["retry", "--quarantine", "--source", &elsewhere]).await.exits(3).tells("TL0202");
    world.run(&["quarantine"]).await.exits(0).says("a.json");
}

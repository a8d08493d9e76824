//! The write-ahead log beside the file: damaged, lost, or moved into it while two processes write.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use trunkline::sim::sessions::Plan;

use super::{files, found, is_civil, ledger, put_all, rounds, versions, world_of_updates};
use crate::support::oracle::Oracle;
use crate::support::world::{DAY, KeyField, World};

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

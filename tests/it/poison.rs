//! Promise: a file or a call that kills the process is found and put aside after a known number of deaths, and nothing
//! else is: the neighbours are delivered once, and a kill from outside condemns nobody.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use trunkline::problem::{CALL_KILLS, MAPPING_FAILED, RAW_KILLS};

use crate::support::binary::{Ran, finish};
use crate::support::session::session;
use crate::support::world::{KeyField, World, text};

/// As docs/delivery.md says: two deaths until a suspect is alone in hand, then three.
const DEATHS_OF_ONE: usize = 5;

fn put(world: &World, id: &str, word: &str) {
    let mut document = session(id, "ada@example.com", "2026-11-20T09:00:00", 60);
    document["discovered_signals"]["use_case"] = word.into();
    world.put(&format!("{id}.json"), &document);
}

async fn day(good: usize) -> World {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for index in 0..good {
        put(&world, &format!("good_{index:03}"), "quotes");
    }
    world
}

async fn armed(mut command: Command, proof: &str) -> Ran {
    command.env("TRUNKLINE_PROOF", proof);
    finish(command).await
}

/// Syncs until a process lives to its end. Answers how many died, and the last one.
async fn until_it_lives(world: &World, proof: &str, most: usize) -> (usize, Ran) {
    for deaths in 0..=most {
        let ran = armed(world.sync_command(&["--json"]), proof).await;
        match ran.code {
            Some(_) => return (deaths, ran),
            None => println!("death {}: {} Tasks by now", deaths + 1, world.tasks().len()),
        }
    }
    panic!("still dying after {most} deaths");
}

async fn told(world: &World, arguments: &[&str]) -> Value {
    world.run(arguments).await.exits(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_file_and_a_poisonous_call_are_put_aside_and_198_neighbours_are_delivered_once() {
    const PROOF: &str = "poison=convert:nightshade poison=map:hemlock";
    let world = day(198).await;
    put(&world, "bad_file", "nightshade");
    put(&world, "bad_call", "hemlock");
    let (deaths, last) = until_it_lives(&world, PROOF, 2 * DEATHS_OF_ONE).await;
    println!("{deaths} deaths");
    assert!(deaths >= 6, "each needs three alone");
    last.exits(1);
    for index in 0..198 {
        world.task(&format!("good_{index:03}"));
    }
    assert_eq!(world.tasks().len(), 198);

    let quarantine = told(&world, &["quarantine", "--json"]).await;
    assert_eq!(quarantine.as_array().map(Vec::len), Some(1), "{quarantine}");
    assert_eq!((&quarantine[0]["problem"]["code"], &quarantine[0]["deaths"]), (&RAW_KILLS.0.into(), &3.into()));
    assert!(quarantine[0]["url"].as_str().is_some_and(|url| url.ends_with("bad_file.json")));
    let dead = told(&world, &["deliveries", "--state", "dead", "--json"]).await;
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert_eq!((&dead[0]["problem"]["code"], &dead[0]["deaths"]), (&CALL_KILLS.0.into(), &3.into()));
    assert_eq!(dead[0]["source_id"], "bad_call");
    let why = world.run(&["why", "bad_call"]).await.exits(0);
    why.says("3 processes died with this call alone in hand").says("TL0610").says("a person must look");
    world.run(&["why", "bad_file.json"]).await.exits(0).says("TL0308").says("3 processes died");
    world.run(&["verify"]).await.exits(0);

    for _ in 0..2 {
        let quiet = armed(world.sync_command(&[]), PROOF).await.exits(1);
        quiet.says("1 file in quarantine").says("1 dead letter of before stands");
    }
    assert_eq!(world.tasks().len(), 198);

    // The defect is mended: a person tries both again.
    world.run(&["retry", "--quarantine", "--source", &world.source()]).await;
    world.run(&["retry", "bad_call", "--source", &world.source()]).await.exits(0);
    assert_eq!(world.tasks().len(), 200);
    assert!(told(&world, &["quarantine", "--json"]).await.as_array().is_some_and(Vec::is_empty));
    world.run_sync(&[]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_dies_again_counts_from_nothing_and_stays_alone() {
    const PROOF: &str = "poison=convert:nightshade";
    let world = day(3).await;
    put(&world, "bad_file", "nightshade");
    let (deaths, _) = until_it_lives(&world, PROOF, DEATHS_OF_ONE).await;
    assert!(deaths <= 4, "of four files: once together, three times alone; not {deaths}");
    assert_eq!(world.tasks().len(), 3);
    let again = armed(world.command(&["retry", "--quarantine", "--source", &world.source()]), PROOF).await;
    assert_eq!(again.code, None, "the retry tries");
    let (deaths, last) = until_it_lives(&world, PROOF, 2).await;
    last.exits(1);
    assert_eq!(deaths, 2, "three in all");
    // A newer file of the same name is another one.
    put(&world, "bad_file", "harmless by now");
    armed(world.sync_command(&[]), PROOF).await.exits(0);
    assert_eq!(world.tasks().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_run_that_finds_a_call_condemned_tells_it() {
    let world = day(2).await;
    put(&world, "bad_call", "hemlock");
    let (deaths, last) = until_it_lives(&world, "poison=map:hemlock", DEATHS_OF_ONE).await;
    assert_eq!((deaths, world.tasks().len()), (4, 2), "of three calls: once together, three times alone");
    assert_eq!(last.exits(1).json()["delivery"]["dead_before"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_kills_while_it_is_changed_is_found_by_its_file() {
    const PROOF: &str = "poison=convert:nightshade";
    let world = day(30).await;
    world.run_sync(&[]).await.exits(0);
    put(&world, "good_007", "nightshade");
    let (deaths, last) = until_it_lives(&world, PROOF, DEATHS_OF_ONE).await;
    last.exits(1);
    assert_eq!(deaths, 3, "it was alone from the start");
    assert_eq!(world.tasks().len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_from_outside_with_many_in_hand_condemn_nobody() {
    let world = day(120).await;
    // Each time with everything of the run in hand, at another step of it.
    for place in
        ["convert/after:60", "ingest/before:1", "look-up/before:1", "map/after:50", "send/before:1", "send/after:1"]
            .into_iter()
            .chain(["intend/within:1", "settle/within:1", "claim/after:1", "map/before:3", "convert/before:1"])
    {
        armed(world.sync_command(&[]), &format!("crash={place}")).await;
    }
    let rows = told(&world, &["deliveries", "--json", "--limit", "1000"]).await;
    let dead = rows.as_array().expect("a list").iter().filter(|row| row["state"] == "dead").count();
    assert_eq!(dead, 0);
    world.run_sync(&[]).await.exits(0);
    assert_eq!(world.tasks().len(), 120);
    world.run(&["verify"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_panics_is_the_dead_letter_of_that_call_alone() {
    let world = day(5).await;
    put(&world, "bad_call", "hemlock");
    let ran = armed(world.sync_command(&[]), "panic=map:hemlock").await.exits(1);
    ran.says("5 delivered").says("1 dead-lettered (TL0609)");
    assert_eq!(world.tasks().len(), 5);
    let dead = told(&world, &["deliveries", "--state", "dead", "--json"]).await;
    assert_eq!((&dead[0]["problem"]["code"], &dead[0]["source_id"]), (&MAPPING_FAILED.0.into(), &"bad_call".into()));
    world.run(&["retry", "bad_call", "--source", &world.source()]).await.exits(0);
    assert!(world.tasks().iter().any(|task| text(task, "CallObject") == "bad_call"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_serves_dies_no_more_once_both_are_put_aside() {
    let world =
        World::new(KeyField::There).await.configure("[serve]\nlisten = \"127.0.0.1:0\"\npoll_s = 1\nschedule = []\n");
    world.contact("ada@example.com");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for index in 0..40 {
        let word = ["quotes", "nightshade", "hemlock"][if index < 38 { 0 } else { index - 37 }];
        let mut document = session(&format!("call_{index}"), "ada@example.com", &format!("{today}T00:00:10"), 60);
        document["discovered_signals"]["use_case"] = word.into();
        crate::support::session::put(&world.sessions(), today, &format!("{index}.json"), document.to_string());
    }
    let mut deaths = 0;
    loop {
        let mut command = world.command(&["serve", "--source", &world.source()]);
        command.env("TRUNKLINE_PROOF", "poison=convert:nightshade poison=map:hemlock").stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().expect("the program starts");
        // The first look reads, the second reads what was suspect by then.
        let began = Instant::now();
        let has_died = loop {
            match child.try_wait().expect("a child") {
                Some(status) => break status.code().is_none(),
                None if began.elapsed() > Duration::from_secs(6) => break false,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        if !has_died {
            child.kill().expect("a child to kill");
            child.wait().expect("a child to wait for");
            break;
        }
        deaths += 1;
        assert!(deaths <= 2 * DEATHS_OF_ONE, "it goes on dying");
    }
    println!("{deaths} deaths");
    assert!(deaths >= 6, "it must have met both");
    assert_eq!(world.tasks().len(), 38);
    let dead = told(&world, &["deliveries", "--state", "dead", "--json"]).await;
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    let quarantine = told(&world, &["quarantine", "--json"]).await;
    assert_eq!(quarantine[0]["problem"]["code"], RAW_KILLS.0);
}

//! Promise: an upload that is killed at any moment, with answers lost besides, is taken up again: no call is lost, none is
//! there twice, and no lead goes to another call.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trunkline::sim::call_data_api::{Fault, FaultKind};
use trunkline::sim::conversations::Plan;

use crate::support::binary::finish;
use crate::support::upload::{Desk, totals};
use crate::support::wait::until;

const KILLS: usize = 10;

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start: it pairs, opens its ledger, reads.
    Time(Duration),
    /// Once the ledger's log has so many bytes more: it commits calls.
    Ledger(u64),
    /// Once so many further payloads have reached the API.
    Posts(u64),
}

fn moment(chance: &mut StdRng, posts: u64) -> Moment {
    match chance.random_range(0..10) {
        0 => Moment::Time(Duration::from_millis(chance.random_range(1..400))),
        1 => Moment::Ledger(chance.random_range(1..1_000_000)),
        _ => Moment::Posts(chance.random_range(1..=posts)),
    }
}

/// Kills the child at the moment, unless it ends before; says where it stood.
async fn kill_at(desk: &Desk, moment: Moment, child: &mut Child) -> &'static str {
    let log = desk.path("trunkline.db-wal");
    let log_bytes = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let (posts, bytes, began) = (desk.posts(), log_bytes(), Instant::now());
    let mut stood = "ended before";
    until("the moment has come", async || {
        let is_due = match moment {
            Moment::Time(after) => began.elapsed() >= after,
            // A log that was started over counts from nothing.
            Moment::Ledger(grown) => log_bytes() >= grown + if log_bytes() >= bytes { bytes } else { 0 },
            Moment::Posts(further) => desk.posts() >= posts + further,
        };
        if child.try_wait().expect("a child").is_some() {
            return true;
        }
        if is_due {
            stood = if desk.posts() > posts { "in the middle of sending" } else { "before sending" };
            child.kill().expect("a child to kill");
            child.wait().expect("a child to wait for");
        }
        is_due
    })
    .await;
    stood
}

async fn survives(seed: u64, transcripts: usize, leads: usize) {
    println!("seed {seed}, {transcripts} transcripts, {leads} leads, {KILLS} kills");
    let mut chance = StdRng::seed_from_u64(seed);
    let desk = Desk::new().await;
    let truth = desk.plan(&Plan::new(seed, transcripts, leads));
    // A payload takes a while, and stays at the API when its sender is dead.
    desk.api.add_fault(Fault::new(FaultKind::SlowCommit).probability(0.1).delay_ms(30).on_method("POST"));
    // Each costs a pause, so there are only so many.
    let often = transcripts as u64 / 200;
    let lost_answer = Fault::new(FaultKind::DropAfterCommit).probability(0.02).times(often);
    desk.api.add_fault(lost_answer.on_method("POST"));
    desk.api.add_fault(Fault::commit_then(500).probability(0.01).times(often / 2).on_method("POST"));
    desk.api.add_fault(Fault::refuse(503).probability(0.01).times(often / 2));
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..KILLS {
        let mut command = desk.upload(&[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        let moment = moment(&mut chance, (transcripts / (KILLS + 2)) as u64);
        *phases.entry(kill_at(&desk, moment, &mut child).await).or_default() += 1;
    }
    println!("killed: {phases:?}");
    let lost = desk.api.counters().faults_of(FaultKind::DropAfterCommit);
    desk.api.clear_faults();

    let told = format!("seed {seed}, {phases:?}, {lost} answers lost");
    let ran = finish(desk.upload(&["--json"])).await.exits(1);
    assert_eq!(ran.json()["run"]["delivery"]["waiting"], 0, "{told}\n{}", ran.stderr);
    let posts = desk.posts();
    let [success, failed, total] = totals(&finish(desk.upload(&[])).await.exits(1));
    assert_eq!(desk.posts(), posts, "nothing is left to send; {told}");
    assert_eq!(desk.holds(&truth, &told) as u64, success, "{told}");
    assert_eq!((success + failed, total), (transcripts as u64, transcripts as u64), "{told}");
    assert!(success as usize > transcripts * 9 / 10, "{success} delivered; {told}");
    let sending = phases.get("in the middle of sending").copied().unwrap_or_default();
    assert!(sending >= KILLS / 3 && lost > 0, "the kills and faults hit too little: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_of_1500_transcripts_lose_and_double_nothing() {
    survives(601, 1_500, 450).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes in a debug build: cargo test --release -- --ignored ten_kills_of_10000"]
async fn ten_kills_of_10000_transcripts_lose_and_double_nothing() {
    survives(602, 10_000, 3_000).await;
}

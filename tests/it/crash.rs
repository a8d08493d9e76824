//! Promise: whenever the process is killed, and also when two run at once, the next run goes on from there: nothing is
//! lost, nothing doubled.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use trunkline::sim::salesforce::{Fault, FaultKind};
use trunkline::sim::sessions::{Plan, PlantedSession};

use crate::support::binary::{ended, terminate};
use crate::support::oracle::Oracle;
use crate::support::session::put;
use crate::support::wait::until;
use crate::support::world::{DAY, KeyField, World, write_calls};

/// What one test does.
struct Trial {
    seed: u64,
    key_field: KeyField,
    kills: usize,
    calls: usize,
    /// Processes at once.
    processes: usize,
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start: it opens its ledger, lists, reads.
    Time(Duration),
    /// Once the ledger's log has grown by so many bytes: it commits calls.
    Ledger(u64),
    /// Once the org has met so many further requests: it logs in, asks, writes.
    Request(u64),
    /// Once so many further writes have reached the org.
    Write(u64),
}

fn moment(chance: &mut StdRng) -> Moment {
    match chance.random_range(0..10) {
        0 => Moment::Time(Duration::from_millis(chance.random_range(1..60))),
        1 => Moment::Ledger(chance.random_range(1..400_000)),
        2 | 3 => Moment::Request(chance.random_range(1..8)),
        _ => Moment::Write(chance.random_range(1..4)),
    }
}

fn start(world: &World) -> Child {
    let mut command: Command = world.sync_command(&[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

/// Where the run stood when it was killed.
fn phase(world: &World, before: u64, writes_before: u64) -> &'static str {
    let counters = world.org.counters();
    match (counters.api_calls - before, write_calls(&counters) - writes_before) {
        (0, _) => "before any request",
        (_, 0) => "before any write",
        _ => "in the middle of writes",
    }
}

type Phases = BTreeMap<&'static str, usize>;

/// Kills `children` so long after the moment, unless they end before, and books where the run stood.
async fn kill_at(world: &World, (moment, then): (Moment, Duration), children: &mut [Child], phases: &mut Phases) {
    let log = world.path("calls.db-wal");
    let log_bytes = || std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let counters = world.org.counters();
    let (calls, writes, bytes, began) = (counters.api_calls, write_calls(&counters), log_bytes(), Instant::now());
    let mut due_at: Option<Instant> = None;
    until("the moment has come", async || {
        let is_due = match moment {
            Moment::Time(after) => began.elapsed() >= after,
            // A log that was started over counts from nothing.
            Moment::Ledger(grown) => log_bytes() >= grown + if log_bytes() >= bytes { bytes } else { 0 },
            Moment::Request(further) => world.org.counters().api_calls >= calls + further,
            Moment::Write(further) => write_calls(&world.org.counters()) >= writes + further,
        };
        let all_ended = children.iter_mut().all(|child| child.try_wait().expect("a child").is_some());
        if all_ended {
            *phases.entry("ended before").or_default() += 1;
            return true;
        }
        due_at = due_at.or(is_due.then(|| Instant::now() + then));
        if due_at.is_none_or(|at| Instant::now() < at) {
            return false;
        }
        *phases.entry(phase(world, calls, writes)).or_default() += 1;
        for child in children.iter_mut() {
            child.kill().expect("a child to kill");
            child.wait().expect("a child to wait for");
        }
        true
    })
    .await;
}

async fn survives(trial: Trial) {
    let Trial { seed, key_field, kills, calls, processes } = trial;
    println!("seed {seed}, key field {key_field:?}, {kills} kills, {calls} calls, {processes} processes at once");
    let mut chance = StdRng::seed_from_u64(seed);
    let world = World::new(key_field).await.configure("[delivery]\nsettle_s = 1\npatience_s = 60");
    let plan = Plan::new(seed, DAY, calls);
    let seeded = world.people(&plan.people());
    // A request takes a while, and stays in the org when its sender is dead.
    world.set(|settings| settings.latency_ms = 5);
    world.fault(Fault::new(FaultKind::SlowCommit).probability(0.25).delay_ms(40));
    world.fault(Fault::new(FaultKind::LockRow).probability(0.04));
    world.fault(Fault::new(FaultKind::DropAfterCommit).probability(0.5).times(6).on_path("/composite/sobjects"));
    world.fault(Fault::new(FaultKind::UnavailableAfterCommit).probability(0.02));
    world.fault(Fault::new(FaultKind::UnavailableBeforeCommit).probability(0.02));
    world.fault(Fault::new(FaultKind::ExpireSession).probability(0.03));

    let sessions: Vec<PlantedSession> = plan.sessions().collect();
    let mut phases = Phases::new();
    for some in sessions.chunks(calls.div_ceil(kills)) {
        // The day's files arrive little by little, so that each life of the process has something new to do.
        for session in some {
            put(&world.sessions(), DAY, &session.file_name, &session.bytes);
        }
        let mut children: Vec<Child> = (0..processes).map(|_| start(&world)).collect();
        let then = Duration::from_millis(chance.random_range(0..40));
        kill_at(&world, (moment(&mut chance), then), &mut children, &mut phases).await;
    }
    println!("killed: {phases:?}");

    world.org.clear_faults();
    // Looking first: also a ledger whose owner was killed can be copied and read.
    let seen = world.run_sync(&["--dry-run"]).await;
    assert!(matches!(seen.code, Some(0 | 1)), "a dry run after the kills:\n{}", seen.stderr);
    for _ in 0..3 {
        let ran = world.run_sync(&["--json"]).await;
        if ran.json()["delivery"]["waiting"] == 0 {
            ran.exits(0);
            break;
        }
    }
    Oracle::of(&world, key_field, &plan, &seeded).holds_after(&format!("seed {seed}, {phases:?}"));
    let of = |name: &str| phases.get(name).copied().unwrap_or_default();
    let early = of("before any request") + of("before any write");
    let late = of("in the middle of writes");
    assert!(early >= kills / 8 && late >= kills / 4, "the kills hit too few phases: {phases:?}");
    for kind in [FaultKind::SlowCommit, FaultKind::LockRow, FaultKind::DropAfterCommit] {
        assert!(world.met(kind) > 0, "{} was never met", kind.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_a_day_of_2000_calls_lose_and_double_nothing() {
    survives(Trial { seed: 501, key_field: KeyField::There, kills: 50, calls: 2000, processes: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_two_processes_at_once_lose_and_double_nothing() {
    survives(Trial { seed: 502, key_field: KeyField::There, kills: 12, calls: 480, processes: 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_and_double_nothing_without_the_key_field_either() {
    survives(Trial { seed: 503, key_field: KeyField::Missing, kills: 16, calls: 480, processes: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_of_two_processes_without_the_key_field_lose_and_double_nothing() {
    survives(Trial { seed: 504, key_field: KeyField::Missing, kills: 10, calls: 300, processes: 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_are_left_alone_share_a_day() {
    for key_field in [KeyField::There, KeyField::Missing] {
        let world = World::new(key_field).await;
        world.set(|settings| settings.latency_ms = 5);
        let plan = Plan::new(505, DAY, 400);
        let seeded = world.plan(&plan);
        let children: Vec<Child> = (0..2).map(|_| start(&world)).collect();
        for child in children {
            ended(child).await.exits(0);
        }
        Oracle::of(&world, key_field, &plan, &seeded).holds_after(&format!("{key_field:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_asked_to_stop_ends_soon_and_the_next_one_goes_on() {
    let world = World::new(KeyField::There).await.configure("[delivery]\nrequests_in_flight = 1");
    world.set(|settings| settings.latency_ms = 80);
    let plan = Plan::new(506, DAY, 700);
    let seeded = world.plan(&plan);
    let child = world.sync_command(&[]).spawn().expect("the program starts");
    until("it writes", async || !world.tasks().is_empty()).await;
    let asked = Instant::now();
    terminate(&child);
    let ran = ended(child).await.exits(1);
    ran.tells("stopped as asked").says("waiting for the next run");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?} to stop", asked.elapsed());
    assert!(!world.tasks().is_empty() && world.tasks().len() < 500, "{} Tasks", world.tasks().len());
    world.set(|settings| settings.latency_ms = 0);
    world.run_sync(&[]).await.exits(0);
    Oracle::of(&world, KeyField::There, &plan, &seeded).holds();
}

//! One run: a day of calls, a machine with its processes, and everything that befalls them, out of one seed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};
use trunkline::proof::{self, Protection};
use trunkline::sim::salesforce::{Options, Org, Settings};
use trunkline::sim::{call_data_api, harness};

use super::day::{self, Day};
use super::disk::{self, Blow, DiskFigures};
use super::machine::{BESIDE, End, Machine, POLL, SERVE, SimHooks};
use super::world::{Class, Figures, Ill, Loss, TrueTime, World};
use super::{oracle, troubles};

/// The day on whose midnight every run begins.
const MIDNIGHT: &str = "2026-11-20T00:00:00Z";

/// A fresh call passes within so long of the poll that sees it (I5).
const FRESH_WITHIN: Duration = Duration::from_secs(60);

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub calls: usize,
    /// `None`: as the seed says.
    pub classes: Option<Vec<Class>>,
    pub has_key: Option<bool>,
    pub off: Option<Protection>,
    pub keeps_lines: bool,
    /// The remote system that is ill until the quiet hours.
    pub ill: Option<(&'static str, Ill)>,
    /// In place of a day: one night's sync, with exactly this going wrong.
    pub strike: Option<Strike>,
}

/// The one thing that goes wrong in a night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Nothing: to count the places.
    None,
    /// At this step of the disk.
    Disk(u64, Blow),
    /// At this request.
    Request(u64, Loss),
}

impl Plan {
    pub fn of(seed: u64, calls: usize) -> Plan {
        Plan { seed, calls, classes: None, has_key: None, off: None, keeps_lines: false, ill: None, strike: None }
    }
}

/// What came of it.
pub struct Report {
    /// Steps of the disk and requests: the places of a strike.
    pub places: (u64, u64),
    pub hash: u64,
    /// Everything that is not as promised, the call first where there is one.
    pub wrong: Vec<oracle::Wrong>,
    pub classes: Vec<Class>,
    pub figures: Figures,
    pub disk: DiskFigures,
    pub ends: oracle::Ends,
    pub world: Arc<World>,
}

/// Runs a plan from its first to its last second.
pub fn run(plan: &Plan) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let hooks = Rc::new(SimHooks::new(plan.seed, plan.off));
    disk::format(plan.seed);
    let entered = proof::enter(hooks.clone());
    let report = runtime.block_on(live(plan, &hooks));
    drop(runtime);
    drop(entered);
    report
}

async fn live(plan: &Plan, hooks: &Rc<SimHooks>) -> Report {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let time = TrueTime { start: MIDNIGHT.parse().expect("a time"), began: Instant::now() };
    let drawn: Vec<Class> = Class::ALL.into_iter().filter(|_| random.random_bool(2.0 / 3.0)).collect();
    let classes = plan.classes.clone().unwrap_or(drawn);
    let drawn = random.random_bool(0.5);
    let has_key = plan.has_key.unwrap_or(drawn);
    let zone = ["UTC", "America/New_York", "Australia/Lord_Howe"][random.random_range(0..3)];

    let mut settings = Settings::default();
    if !has_key {
        settings.key_field = None;
    }
    let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || time.now());
    let options = Options { now: Arc::clone(&now), seed: plan.seed, settings, ..Options::default() };
    let org = Org::alone(options).expect("an org without a file");
    let api_settings = call_data_api::Settings { item_timestamp_required: false, ..Default::default() };
    let api = call_data_api::Api::alone(harness::Options { now, seed: plan.seed, settings: api_settings });
    let (contacts, leads) = day::people(&org);

    // Without a unique key a request is given so long to take effect, as the settings say; a stricter remote is not ours.
    let late_max = Duration::from_secs(25);
    let day_length = SignedDuration::from_hours(24);
    let busy = SignedDuration::from_secs(day_length.as_secs() * 4 / 5 - 2 * 3600);
    let day = Arc::new(Day::invent(&mut random, time.start, plan.calls, busy));
    let world = Arc::new(World::new(plan.seed, time, classes.clone(), (org, api), late_max, plan.keeps_lines));
    let end = time.began + Duration::from_secs(24 * 3600);
    let machine = Rc::new(Machine::new(Arc::clone(&world), Rc::clone(hooks), zone, end));
    troubles::hear_blows(&world);
    troubles::ill_remotes(&world);
    world.fall_ill(plan.ill);

    if let Some(Strike::Request(number, loss)) = plan.strike {
        world.strike(Some((number, loss)));
    }
    let local = tokio::task::LocalSet::new();
    let (busy_until, witness) = (time.began + Duration::from_secs(24 * 3600 * 4 / 5), oracle::Witness::default());
    let witness = Rc::new(RefCell::new(witness));
    let mut ends = oracle::Ends::default();
    let mut wrong = local
        .run_until(async {
            if let Some(strike) = plan.strike {
                return night(&machine, &day, &witness, strike).await;
            }
            let feeder = tokio::task::spawn_local(feed(Arc::clone(&world), Arc::clone(&day)));
            let server = tokio::task::spawn_local(keep_serving(Rc::clone(&machine), Rc::clone(&witness)));
            let mut troubles = vec![
                tokio::task::spawn_local(troubles::power(Rc::clone(&machine), Rc::clone(&witness))),
                tokio::task::spawn_local(troubles::pauses(Rc::clone(&machine))),
                tokio::task::spawn_local(troubles::clock_steps(Rc::clone(&machine))),
                tokio::task::spawn_local(troubles::disk_full(Rc::clone(&machine))),
                tokio::task::spawn_local(troubles::outages(Rc::clone(&machine))),
            ];
            let beside = tokio::task::spawn_local(beside(Rc::clone(&machine), Rc::clone(&witness)));
            sleep_until(busy_until).await;
            troubles.drain(..).for_each(|trouble| trouble.abort());
            troubles::calm(&world);
            sleep_until(time.began + day::FRESH_AT.unsigned_abs() + POLL + FRESH_WITHIN).await;
            let mut wrong = oracle::fresh(&world, &day);
            for task in [feeder, beside, server] {
                task.await.expect("no part of the world panics");
            }
            wrong.extend(oracle::drained(&machine.path(), &mut ends));
            wrong.extend(witness.borrow().wrong.clone());
            wrong.extend(finish(&machine).await);
            wrong
        })
        .await;
    oracle::judge(&machine.path(), &world, &day, (&contacts, &leads), zone, &mut ends, &mut wrong);
    let disk = disk::with(|disk| disk.figures.clone());
    let figures = world.figures.lock().expect("nobody panicked").clone();
    let places = (disk::with(|disk| disk.steps()), figures.requests);
    Report { places, hash: world.hash(), wrong, classes, figures, disk, ends, world: Arc::clone(&world) }
}

async fn feed(world: Arc<World>, day: Arc<Day>) {
    for put in &day.puts {
        let wait = put.at.duration_since(world.time.now());
        sleep(Duration::try_from(wait).unwrap_or_default()).await;
        world.bucket.put(&put.key, put.bytes.clone(), world.time.now());
        let session = put.call.map_or("nothing readable", |(index, _)| day.calls[index].session.as_str());
        world.log(|| format!("put {} {session} revision {:?}", put.key, put.call.map(|(_, revision)| revision)));
    }
}

async fn keep_serving(machine: Rc<Machine>, witness: oracle::Shared) {
    let mut failures = 0_u32;
    while Instant::now() < machine.end {
        let ended = machine.life(SERVE, &witness, |machine, life| machine.serve(life)).await;
        machine.world.log(|| format!("[{SERVE}] * its life ends: {ended:?}"));
        failures = if matches!(ended, End::Store(_)) { failures + 1 } else { 0 };
        // As systemd does it, later and later.
        sleep(Duration::from_secs(u64::from(5 + failures.min(20) * 15))).await;
    }
}

/// A sync that somebody starts beside the one that serves.
async fn beside(machine: Rc<Machine>, witness: oracle::Shared) {
    loop {
        sleep(machine.world.gap(Duration::from_secs(3 * 3600))).await;
        if !machine.world.has(Class::SecondProcess) {
            return;
        }
        machine.world.count(|figures| figures.second_runs += 1);
        let ended = machine.life(BESIDE, &witness, |machine, life| machine.sync(life, false)).await;
        machine.world.log(|| format!("[{BESIDE}] * its life ends: {ended:?}"));
    }
}

/// Lives of one night at most: after one strike there is no reason for more.
const LIVES_MAX: usize = 4;

/// All files are there, cron starts a sync, one thing goes wrong, and cron starts it again until it is done.
async fn night(machine: &Rc<Machine>, day: &Day, witness: &oracle::Shared, strike: Strike) -> Vec<oracle::Wrong> {
    let world = &machine.world;
    sleep_until(machine.end - Duration::from_secs(2 * 3600)).await;
    for put in &day.puts {
        world.bucket.put(&put.key, put.bytes.clone(), put.at);
    }
    if let Strike::Disk(step, blow) = strike {
        disk::with(|disk| disk.blow = Some((step, SERVE, blow)));
    }
    let mut wrong = Vec::new();
    for number in 1.. {
        let ended = machine.life(SERVE, witness, |machine, life| machine.sync(life, false)).await;
        world.log(|| format!("[{SERVE}] * its life ends: {ended:?}"));
        let was_struck = !matches!(ended, End::Ended);
        if !was_struck {
            break;
        }
        if number == LIVES_MAX {
            wrong.push(oracle::Wrong::of_run(format!("life {number} after one strike ended with {ended:?}")));
            break;
        }
        sleep(Duration::from_secs(60)).await;
        disk::with(|disk| disk.ills.full = false);
    }
    world.strike(None);
    disk::with(|disk| {
        disk.blow = None;
        disk.ills.full = false;
    });
    wrong.extend(witness.borrow().wrong.clone());
    wrong.extend(finish(machine).await);
    wrong
}

/// The night after: nothing goes wrong any more, a fresh call comes, cron runs, and somebody has mended what was held.
async fn finish(machine: &Rc<Machine>) -> Vec<oracle::Wrong> {
    let witness = Rc::new(RefCell::new(oracle::Witness::default()));
    let mut wrong = Vec::new();
    for retries in [false, true] {
        let ended = machine.life(BESIDE, &witness, |machine, life| machine.sync(life, retries)).await;
        if !matches!(ended, End::Ended) {
            wrong.push(oracle::Wrong::of_run(format!("the last sync ended with {ended:?}")));
        }
    }
    wrong.extend(witness.borrow().wrong.clone());
    wrong
}

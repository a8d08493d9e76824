//! One run: a day of calls, a machine with its processes, and everything that befalls them, out of one seed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};
use trunkline::config;
use trunkline::destinations::Destination;
use trunkline::destinations::rest::Rest;
use trunkline::destinations::salesforce::Salesforce;
use trunkline::engine::{Days, DispatchLimits, Engine, Pace, Reading, Route, Serving, Stop, SyncRun, rearm};
use trunkline::proof::{self, Protection, Step};
use trunkline::sim::salesforce::{Credentials, Fault, FaultKind, Options, Org, Settings};
use trunkline::sim::{call_data_api, harness};
use trunkline::sources::object_store::ObjectStore;
use trunkline::store::Rearm;
use trunkline::store::sqlite::SqliteStore;

use super::day::{self, Day};
use super::disk::{self, Blow, DiskFigures};
use super::oracle;
use super::world::{API, BUCKET, Class, Ears, Figures, Loss, MachineClock, Net, ORG, SLOTS, TrueTime, World};

/// The slot of the process that serves, and of those that are started beside it.
const SERVE: usize = 0;
const BESIDE: usize = 1;
/// The day on whose midnight every run begins.
const MIDNIGHT: &str = "2026-11-20T00:00:00Z";
const CONFIG: &str = r#"
[call_data_api]
campaign_id = "64b0c0ffee0000000000000a"
voice_agent_id = "64b0c0ffee0000000000000b"
client_id = "64b0c0ffee0000000000000c"
default_caller_phone = "+15550100000"
auto_upload = true
"#;

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
        Plan { seed, calls, classes: None, has_key: None, off: None, keeps_lines: false, strike: None }
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

struct SimHooks {
    disk: Cell<&'static str>,
    off: Option<Protection>,
    random: std::cell::RefCell<StdRng>,
}

impl proof::Hooks for SimHooks {
    fn reached(&self, _place: &'static str, _step: Step) {}

    fn is_off(&self, protection: Protection) -> bool {
        self.off == Some(protection)
    }

    fn yields(&self) -> u32 {
        self.random.borrow_mut().random_range(0..3)
    }

    fn vfs(&self) -> Option<&'static str> {
        Some(self.disk.get())
    }
}

/// Runs a plan from its first to its last second.
pub fn run(plan: &Plan) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let hooks = Rc::new(SimHooks {
        disk: Cell::new(disk::names()[SERVE]),
        off: plan.off,
        random: std::cell::RefCell::new(StdRng::seed_from_u64(plan.seed ^ 0xa11)),
    });
    disk::format(plan.seed);
    let entered = proof::enter(hooks.clone());
    let report = runtime.block_on(live(plan, &hooks));
    drop(runtime);
    drop(entered);
    report
}

struct Machine {
    world: Arc<World>,
    hooks: Rc<SimHooks>,
    folder: tempfile::TempDir,
    settings: config::Settings,
    end: Instant,
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
    let machine = Rc::new(Machine {
        world: Arc::clone(&world),
        hooks: Rc::clone(hooks),
        folder: tempfile::tempdir().expect("a temporary folder"),
        settings: settings_of(zone),
        end: time.began + Duration::from_secs(24 * 3600),
    });
    hear_blows(&world);
    ill_remotes(&world);

    if let Some(Strike::Request(number, loss)) = plan.strike {
        world.strike(Some((number, loss)));
    }
    let local = tokio::task::LocalSet::new();
    let (busy_until, witness) = (time.began + Duration::from_secs(24 * 3600 * 4 / 5), oracle::Witness::default());
    let witness = Rc::new(std::cell::RefCell::new(witness));
    let mut wrong = local
        .run_until(async {
            if let Some(strike) = plan.strike {
                return night(&machine, &day, &witness, strike).await;
            }
            let feeder = tokio::task::spawn_local(feed(Arc::clone(&world), Arc::clone(&day)));
            let server = tokio::task::spawn_local(keep_serving(Rc::clone(&machine), Rc::clone(&witness)));
            let mut troubles = vec![
                tokio::task::spawn_local(power(Rc::clone(&machine), Rc::clone(&witness))),
                tokio::task::spawn_local(pauses(Rc::clone(&machine))),
                tokio::task::spawn_local(clock_steps(Rc::clone(&machine))),
                tokio::task::spawn_local(disk_full(Rc::clone(&machine))),
                tokio::task::spawn_local(outages(Rc::clone(&machine))),
            ];
            let beside = tokio::task::spawn_local(beside(Rc::clone(&machine), Rc::clone(&witness)));
            sleep_until(busy_until).await;
            troubles.drain(..).for_each(|trouble| trouble.abort());
            calm(&world);
            for task in [feeder, beside, server] {
                task.await.expect("no part of the world panics");
            }
            let mut wrong = witness.borrow().wrong.clone();
            wrong.extend(finish(&machine).await);
            wrong
        })
        .await;
    let ends = oracle::judge(&machine.path(), &world, &day, &contacts, &leads, zone, &mut wrong);
    let disk = disk::with(|disk| disk.figures.clone());
    let figures = world.figures.lock().expect("nobody panicked").clone();
    let places = (disk::with(|disk| disk.steps()), figures.requests);
    Report { places, hash: world.hash(), wrong, classes, figures, disk, ends, world: Arc::clone(&world) }
}

fn settings_of(zone: &str) -> config::Settings {
    let file = config::parse(&format!("time_zone = \"{zone}\"\n{CONFIG}"), "trunkline.toml").expect("a configuration");
    let credentials = Credentials::default();
    let environment = BTreeMap::from([
        ("SF_LOGIN_URL".to_owned(), ORG.to_owned()),
        ("SF_CLIENT_ID".to_owned(), credentials.client_id),
        ("SF_CLIENT_SECRET".to_owned(), credentials.client_secret),
        ("CRM_BASE_URL".to_owned(), API.to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), "AKIAINVENTED".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "invented".to_owned()),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
        ("AWS_ENDPOINT_URL_S3".to_owned(), BUCKET.to_owned()),
    ]);
    let flags = config::Overrides { source: Some("s3://bucket/sessions/".to_owned()), ..config::Overrides::default() };
    config::settings(file, environment, flags).expect("settings")
}

fn hear_blows(world: &Arc<World>) {
    let world = Arc::clone(world);
    let told = move |process: usize, blow: Blow| match blow {
        Blow::Kill => {
            world.count(|figures| figures.kills_within_step += 1);
            world.bells[process].notify_one();
        }
        _ => world.bells.iter().for_each(tokio::sync::Notify::notify_one),
    };
    disk::with(|disk| disk.told = Some(Box::new(told)));
}

/// What the remote systems do by themselves, each with the chance of the fault mix.
fn ill_remotes(world: &World) {
    if world.has(Class::DiskErrors) {
        disk::with(|disk| disk.ills.error = 0.0001);
    }
    if world.has(Class::Crm) {
        for (kind, chance) in [
            (FaultKind::UnavailableBeforeCommit, 0.01),
            (FaultKind::UnavailableAfterCommit, 0.01),
            (FaultKind::ConcurrentLimit, 0.02),
            (FaultKind::ServerErrorAfterCommit, 0.005),
            (FaultKind::BadGatewayAfterCommit, 0.005),
            (FaultKind::DropAfterCommit, 0.01),
            (FaultKind::TruncateBody, 0.005),
            (FaultKind::ExpireSession, 0.005),
        ] {
            world.org.add_fault(Fault::new(kind).probability(chance));
        }
        for (kind, status, chance) in [
            (call_data_api::FaultKind::StatusBeforeCommit, 429, 0.02),
            (call_data_api::FaultKind::StatusBeforeCommit, 503, 0.02),
            (call_data_api::FaultKind::StatusAfterCommit, 504, 0.02),
            (call_data_api::FaultKind::DropAfterCommit, 0, 0.02),
        ] {
            let mut fault = call_data_api::Fault::new(kind).probability(chance);
            fault.status = if status == 0 { fault.status } else { status };
            world.api.add_fault(fault);
        }
    }
    if world.has(Class::Rows) {
        world.org.add_fault(Fault::new(FaultKind::LockRow).probability(0.01));
        let refused = Fault::new(FaultKind::FailRow).failing_with("FIELD_CUSTOM_VALIDATION_EXCEPTION", "not today");
        world.org.add_fault(refused.probability(0.002));
    }
}

/// From here on nothing goes wrong any more.
fn calm(world: &World) {
    world.log(|| "[w] * the faults end".to_owned());
    world.quiet();
    world.org.clear_faults();
    world.api.clear_faults();
    disk::with(|disk| {
        disk.ills = disk::Ills::default();
        disk.blow = None;
    });
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

/// How a life ended.
#[derive(Debug)]
enum End {
    /// By itself.
    Ended,
    /// The store could not be used.
    Store(#[expect(dead_code, reason = "told by Debug")] String),
    /// Struck down.
    Killed,
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

async fn power(machine: Rc<Machine>, witness: oracle::Shared) {
    if !machine.world.has(Class::PowerLoss) {
        return;
    }
    loop {
        sleep(machine.world.gap(Duration::from_secs(3600))).await;
        machine.world.count(|figures| figures.power_losses += 1);
        machine.world.log(|| "[w] * the power goes".to_owned());
        if machine.world.chance(|random| random.random_bool(0.5)) {
            // In the middle of what is written next.
            let after = machine.world.chance(|random| random.random_range(1..40));
            disk::with(|disk| disk.blow = Some((disk.steps() + after, SERVE, Blow::PowerLoss)));
        } else {
            witness.borrow_mut().look(&machine.path());
            disk::with(disk::Disk::lose_power);
            machine.world.bells.iter().for_each(tokio::sync::Notify::notify_one);
        }
    }
}

async fn pauses(machine: Rc<Machine>) {
    if !machine.world.has(Class::Pauses) {
        return;
    }
    loop {
        sleep(machine.world.gap(Duration::from_secs(1800))).await;
        let (slot, seconds) =
            machine.world.chance(|random| (random.random_range(0..SLOTS), random.random_range(1..900)));
        machine.world.pause(slot, Duration::from_secs(seconds));
    }
}

async fn clock_steps(machine: Rc<Machine>) {
    if !machine.world.has(Class::ClockSteps) {
        return;
    }
    const HOUR: i64 = 3_600_000;
    loop {
        sleep(machine.world.gap(Duration::from_secs(2 * 3600))).await;
        let by =
            machine.world.chance(|random| [0, HOUR, -HOUR, 24 * HOUR, -24 * HOUR, 90_000][random.random_range(0..6)]);
        machine.world.step_clock(by);
    }
}

async fn disk_full(machine: Rc<Machine>) {
    if !machine.world.has(Class::DiskFull) {
        return;
    }
    sleep(machine.world.gap(Duration::from_secs(6 * 3600))).await;
    machine.world.log(|| "[w] * the disk is full".to_owned());
    disk::with(|disk| disk.ills.full = true);
    sleep(machine.world.gap(Duration::from_secs(1800))).await;
    machine.world.log(|| "[w] * the disk has room again".to_owned());
    disk::with(|disk| disk.ills.full = false);
}

/// The call-data API is down for hours.
async fn outages(machine: Rc<Machine>) {
    if !machine.world.has(Class::Outage) {
        return;
    }
    sleep(machine.world.gap(Duration::from_secs(4 * 3600))).await;
    machine.world.log(|| "[w] * the call-data API is down".to_owned());
    machine.world.outage(true);
    sleep(Duration::from_secs(2 * 3600)).await;
    machine.world.log(|| "[w] * the call-data API is up".to_owned());
    machine.world.outage(false);
}

impl Machine {
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("calls.db")
    }

    /// One process from its start to its end, which may be a blow.
    async fn life<F>(
        self: &Rc<Self>,
        slot: usize,
        witness: &oracle::Shared,
        work: impl FnOnce(Rc<Machine>, Life) -> F,
    ) -> End
    where
        F: Future<Output = End>,
    {
        let world = &self.world;
        let number = world.born(slot);
        disk::with(|disk| disk.begin(slot));
        world.count(|figures| figures.lives += 1);
        let stop = Stop::default();
        let life = Life { slot, number, stop: stop.clone() };
        // A blow that was meant for an earlier life.
        if let Ok(()) = tokio::time::timeout(Duration::ZERO, world.bells[slot].notified()).await {
            world.log(|| format!("[{slot}] * an old blow is forgotten"));
        }
        let kills = slot == BESIDE || world.has(Class::Kills);
        let kills = kills && world.has(Class::Kills);
        let mean = if slot == SERVE { 1800 } else { 20 };
        let at = Instant::now() + world.gap(Duration::from_secs(mean));
        let how = world.chance(|random| random.random_range(0..3));
        let ended = {
            let work = work(Rc::clone(self), life);
            tokio::pin!(work);
            tokio::select! {
                biased;
                () = world.bells[slot].notified() => End::Killed,
                ended = &mut work => ended,
                () = sleep_until(at), if kills => match how {
                    0 => {
                        witness.borrow_mut().look(&self.path());
                        End::Killed
                    }
                    1 => {
                        let after = world.chance(|random| random.random_range(1..40));
                        disk::with(|disk| disk.blow = Some((disk.steps() + after, slot, Blow::Kill)));
                        tokio::select! {
                            biased;
                            () = world.bells[slot].notified() => End::Killed,
                            ended = work => ended,
                        }
                    }
                    _ => {
                        world.count(|figures| figures.terms += 1);
                        stop.ask();
                        tokio::select! {
                            biased;
                            () = world.bells[slot].notified() => End::Killed,
                            ended = &mut work => ended,
                            // It was given its time.
                            () = sleep(Duration::from_secs(30)) => End::Killed,
                        }
                    }
                },
            }
        };
        if matches!(ended, End::Killed) {
            world.count(|figures| figures.kills += 1);
        }
        if matches!(ended, End::Store(_)) {
            world.count(|figures| figures.store_failures += 1);
        }
        world.died(slot);
        disk::with(|disk| {
            disk.kill(slot);
            if disk.blow.is_some_and(|(_, whose, _)| whose == slot) {
                disk.blow = None;
            }
        });
        // Tasks of the dead are dropped by the runtime when they would run next.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        witness.borrow_mut().check(&self.path());
        ended
    }

    /// The folder's name is another one each time.
    fn failed(&self, error: &dyn std::fmt::Display) -> End {
        End::Store(error.to_string().replace(&*self.folder.path().to_string_lossy(), ""))
    }

    fn open(&self, life: &Life) -> Result<Arc<SqliteStore>, End> {
        self.hooks.disk.set(disk::names()[life.slot]);
        let owner = format!("{}-{}", life.slot, life.number);
        let store = SqliteStore::open(&self.path(), &owner, self.world.clock_now().as_millisecond());
        store.map(Arc::new).map_err(|error| self.failed(&error))
    }

    fn parts(&self, life: &Life, store: Arc<SqliteStore>) -> (Engine, Reading, Vec<Route>) {
        let net = Arc::new(Net { world: Arc::clone(&self.world), slot: life.slot, life: life.number });
        let clock = Arc::new(MachineClock { world: Arc::clone(&self.world), slot: life.slot });
        let world = Arc::clone(&self.world);
        let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || world.clock_now());
        let settings = &self.settings;
        let source = settings.source().expect("a source").clone();
        let source = ObjectStore::open(source, &settings.environment, net.clone()).expect("a bucket");
        let salesforce = settings.salesforce().expect("a login");
        let salesforce = Salesforce::new("salesforce", salesforce, net.clone(), Arc::clone(&now)).expect("a mapping");
        let rest = settings.rest(config::CALL_DATA_API).expect("a table");
        let rest = Rest::new(config::CALL_DATA_API, rest, settings.time_zone.clone(), net, now).expect("a destination");
        let destinations: [Arc<dyn Destination>; 2] = [Arc::new(salesforce), Arc::new(rest)];
        let limits = DispatchLimits { window: 100, ..settings.dispatch };
        let routes: Vec<Route> =
            destinations.into_iter().map(|destination| Route { destination, limits, scope: None }).collect();
        let reading = trunkline::cli::reading(settings, Arc::new(source), &routes);
        let seed = self.world.chance(|random| random.random());
        let engine = Engine::new(store, clock, Arc::new(Ears(Arc::clone(&self.world))), life.stop.clone(), seed);
        (engine, reading, routes)
    }

    async fn serve(self: Rc<Self>, life: Life) -> End {
        let store = match self.open(&life) {
            Ok(store) => store,
            Err(end) => return end,
        };
        let (engine, reading, routes) = self.parts(&life, store);
        let pace = Pace {
            poll: Duration::from_secs(900),
            hold_retry: Duration::from_secs(300),
            zone: self.settings.time_zone.clone(),
            catch_up: true,
        };
        let end = self.end;
        let stop = life.stop.clone();
        let serving = match Serving::begin(engine, vec![reading], routes, Vec::new(), pace).await {
            Ok(serving) => Arc::new(serving),
            Err(error) => return self.failed(&error),
        };
        let ended = async {
            sleep_until(end).await;
            stop.ask();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            result = serving.run() => match result {
                Ok(()) => End::Ended,
                Err(error) => self.failed(&error),
            },
            () = ended => End::Ended,
        }
    }

    /// What cron starts. At the end somebody has also asked for the dead letters to be tried again.
    async fn sync(self: Rc<Self>, life: Life, retries: bool) -> End {
        let store = match self.open(&life) {
            Ok(store) => store,
            Err(end) => return end,
        };
        let (engine, reading, routes) = self.parts(&life, Arc::clone(&store));
        if retries {
            for route in &routes {
                let which = Rearm { states: vec!["dead", "due"], ..Rearm::default() };
                if let Err(error) = rearm(&engine, route.destination.name(), &which).await {
                    return self.failed(&error);
                }
            }
        }
        let today = day::date(self.world.clock_now());
        let days = Days { from: today.yesterday().expect("a day"), to: today };
        let run = SyncRun { engine, reading, routes };
        match run.run(days, None).await {
            Ok(_) => End::Ended,
            Err(error) => self.failed(&error),
        }
    }
}

struct Life {
    slot: usize,
    number: u64,
    stop: Stop,
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
    let witness = Rc::new(std::cell::RefCell::new(oracle::Witness::default()));
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

//! The machine: its clock, its disk, and the lives of the processes on it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};
use trunkline::config;
use trunkline::destinations::Destination;
use trunkline::destinations::rest::Rest;
use trunkline::destinations::salesforce::Salesforce;
use trunkline::engine::{Days, DispatchLimits, Engine, Pace, Reading, Route, Serving, Stop, SyncRun, rearm, reread};
use trunkline::proof::{self, Protection, Step};
use trunkline::sim::salesforce::Credentials;
use trunkline::sources::object_store::ObjectStore;
use trunkline::store::Rearm;
use trunkline::store::sqlite::SqliteStore;

use super::disk::Blow;
use super::world::{API, BUCKET, Class, Ears, MachineClock, Net, ORG, World};
use super::{day, disk, oracle};

/// The slot of the process that serves, and of those that are started beside it.
pub const SERVE: usize = 0;
pub const BESIDE: usize = 1;
/// Between two looks of a serving process into the bucket.
pub const POLL: Duration = Duration::from_secs(900);
const CONFIG: &str = r#"
[call_data_api]
campaign_id = "64b0c0ffee0000000000000a"
voice_agent_id = "64b0c0ffee0000000000000b"
client_id = "64b0c0ffee0000000000000c"
default_caller_phone = "+15550100000"
auto_upload = true
"#;

/// What the program built for proof asks while it runs.
pub struct SimHooks {
    disk: Cell<&'static str>,
    off: Option<Protection>,
    random: RefCell<StdRng>,
}

impl SimHooks {
    pub fn new(seed: u64, off: Option<Protection>) -> SimHooks {
        let random = RefCell::new(StdRng::seed_from_u64(seed ^ 0xa11));
        SimHooks { disk: Cell::new(disk::names()[SERVE]), off, random }
    }
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

pub struct Machine {
    pub world: Arc<World>,
    hooks: Rc<SimHooks>,
    folder: tempfile::TempDir,
    settings: config::Settings,
    /// When the last process that serves is told to stop.
    pub end: Instant,
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

fn owner(slot: usize, number: u64) -> String {
    format!("{slot}-{number}")
}

/// How a life ended.
#[derive(Debug)]
pub enum End {
    /// By itself.
    Ended,
    /// The store could not be used.
    Store(#[expect(dead_code, reason = "told by Debug")] String),
    /// Struck down.
    Killed,
}

impl Machine {
    pub fn new(world: Arc<World>, hooks: Rc<SimHooks>, zone: &str, end: Instant) -> Machine {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Machine { world, hooks, folder, settings: settings_of(zone), end }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("calls.db")
    }

    /// One process from its start to its end, which may be a blow.
    pub async fn life<F>(
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
        let kills = world.has(Class::Kills);
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
        if matches!(ended, End::Killed) {
            self.leave_lock(slot, number);
        }
        witness.borrow_mut().check(&self.path());
        ended
    }

    /// A process that is killed cannot take its lock file away, as its parts do here when they are dropped.
    fn leave_lock(&self, slot: usize, number: u64) {
        let lock = self.folder.path().join(format!("calls.db-owner-{}", owner(slot, number)));
        assert!(!lock.exists(), "a part of the dead process is left");
        std::fs::write(&lock, "").expect("a lock file");
        let ills = disk::with(|disk| std::mem::take(&mut disk.ills));
        if oracle::in_hand(&self.path(), &owner(slot, number)).is_ok_and(|count| count > 0) {
            self.world.count(|figures| figures.died_with_something += 1);
        }
        disk::with(|disk| disk.ills = ills);
    }

    /// The folder's name is another one each time.
    fn failed(&self, error: &dyn std::fmt::Display) -> End {
        End::Store(error.to_string().replace(&*self.folder.path().to_string_lossy(), ""))
    }

    fn open(&self, life: &Life) -> Result<Arc<SqliteStore>, End> {
        self.hooks.disk.set(disk::names()[life.slot]);
        let store =
            SqliteStore::open(&self.path(), &owner(life.slot, life.number), self.world.clock_now().as_millisecond());
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

    pub async fn serve(self: Rc<Self>, life: Life) -> End {
        let store = match self.open(&life) {
            Ok(store) => store,
            Err(end) => return end,
        };
        let (engine, reading, routes) = self.parts(&life, store);
        let pace = Pace {
            poll: POLL,
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

    /// What cron starts. At the end somebody has also asked for the dead letters and the quarantine to be tried again.
    pub async fn sync(self: Rc<Self>, life: Life, retries: bool) -> End {
        let store = match self.open(&life) {
            Ok(store) => store,
            Err(end) => return end,
        };
        let (engine, reading, routes) = self.parts(&life, Arc::clone(&store));
        if retries {
            if let Err(error) = reread(&engine, &reading, None).await {
                return self.failed(&error);
            }
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

/// One life of a process.
pub struct Life {
    slot: usize,
    number: u64,
    stop: Stop,
}

//! A world to sync with one REST destination: a folder of sessions, a simulated system, a ledger, and a clock that only
//! moves when somebody waits.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline::cli::{Context, Failure, Global, reading};
use trunkline::config::{Environment, Settings};
use trunkline::engine::{Days, Evidence, Quiet, RunSummary, Stop, deliver, rearm};
use trunkline::sim::harness::{Api, Options, Remote, Simulator};
use trunkline::sources::ObjectSource;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{DeliveryFilter, DeliveryRow, ReadStore, Rearm};

use super::clock::FakeClock;
use super::session;
use super::world::{DAY, NIGHT, names_in};

/// Nightly runs that may be needed until everything is there.
const RUNS_MAX: usize = 8;

pub struct RestWorld<R: Remote> {
    pub folder: TempDir,
    pub simulator: Simulator<R>,
    pub clock: Arc<FakeClock>,
    pub environment: Environment,
    /// Asks whatever runs in this world to end.
    pub stop: Stop,
}

impl<R: Remote> RestWorld<R> {
    /// `config` is made from the simulator's address.
    pub async fn start(settings: R::Settings, config: impl FnOnce(&str) -> String) -> RestWorld<R> {
        let clock = Arc::new(FakeClock::at(NIGHT));
        let told = Arc::clone(&clock);
        let now = Arc::new(move || trunkline::clock::Clock::now(&*told));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let simulator = Simulator::start(listener, Options { now, seed: 7, settings }).expect("a simulator");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("sessions")).expect("a writable folder");
        let world = RestWorld { folder, simulator, clock, environment: BTreeMap::new(), stop: Stop::default() };
        let text = config(&world.simulator.url());
        world.configure(&text);
        world
    }

    pub fn configure(&self, text: &str) {
        fs::write(self.folder.path().join("test.toml"), text).expect("a writable folder");
    }

    pub fn api(&self) -> Api<R> {
        self.simulator.api()
    }

    pub fn put(&self, name: &str, document: &Value) {
        session::put(&self.folder.path().join("sessions"), DAY, name, document.to_string());
    }

    /// As if the machine with the ledger had been lost.
    pub fn forget_the_ledger(&self) {
        for name in names_in(self.folder.path()).iter().filter(|name| name.starts_with("calls.db")) {
            fs::remove_file(self.folder.path().join(name)).expect("a writable folder");
        }
    }

    pub fn context(&self) -> Context {
        let global = Global {
            config: Some(self.folder.path().join("test.toml")),
            store: Some(self.folder.path().join("calls.db")),
            ..Global::default()
        };
        Context { global, environment: self.environment.clone(), clock: self.clock.clone(), stop: self.stop.clone() }
    }

    fn open(&self) -> (Context, Settings, Arc<SqliteStore>) {
        let context = self.context();
        let source = format!("file://{}/", self.folder.path().join("sessions").display());
        let settings = or_tell(context.settings(Some(source)));
        let store = or_tell(context.open_store(&settings.store_path));
        (context, settings, store)
    }

    /// A nightly sync of [`DAY`].
    pub async fn sync(&self) -> RunSummary {
        self.sync_from(None).await
    }

    /// The same from another source than the folder of sessions.
    pub async fn sync_from(&self, source: Option<Arc<dyn ObjectSource>>) -> RunSummary {
        let (context, settings, store) = self.open();
        let mut ends = or_tell(context.ends(&settings));
        ends.source = source.unwrap_or(ends.source);
        let run = context.sync_run(&settings, ends, store, Arc::new(Quiet));
        run.run(Days { from: DAY, to: DAY }, None).await.expect("a store that works")
    }

    /// A sync that does not wait for anything: what is not settled by one request each stays as it is.
    pub async fn sync_briefly(&self) -> RunSummary {
        let text = fs::read_to_string(self.folder.path().join("test.toml")).expect("the configuration");
        self.configure(&format!("[delivery]\npatience_s = 0\n{text}"));
        let summary = self.sync().await;
        self.configure(&text);
        summary
    }

    /// Runs until nothing waits, as the nights pass; tells what became of everything.
    pub async fn sync_to_the_end(&self) -> RunSummary {
        let mut dead = BTreeMap::new();
        for _ in 0..RUNS_MAX {
            let mut summary = self.sync().await;
            dead.extend(std::mem::take(&mut summary.delivery.dead));
            if summary.delivery.waiting == 0 {
                summary.delivery.dead = dead;
                return summary;
            }
            self.clock.advance(Duration::from_secs(24 * 3600));
        }
        panic!("after {RUNS_MAX} nights calls still wait");
    }

    /// What `trunkline retry` without arguments does.
    pub async fn retry(&self) -> RunSummary {
        self.rearm(&Rearm { states: vec!["dead", "due"], ..Rearm::default() }).await
    }

    /// What `trunkline retry SESSION --recreate` does, for all sessions.
    pub async fn recreate(&self) -> RunSummary {
        let states = vec!["dead", "due", "skipped", "delivered"];
        self.rearm(&Rearm { states, recreate: true, ..Rearm::default() }).await
    }

    async fn rearm(&self, which: &Rearm) -> RunSummary {
        let (context, settings, store) = self.open();
        let routes = or_tell(context.routes(&settings));
        let engine = context.engine(store, Arc::new(Quiet));
        for route in &routes {
            rearm(&engine, route.destination.name(), which).await.expect("a store that works");
        }
        let source = or_tell(context.source(&settings));
        let reading = reading(&settings, source, &routes);
        let evidence = Some(Evidence {
            readings: std::slice::from_ref(&reading),
            since_ms: trunkline::clock::Clock::now_ms(&*self.clock),
        });
        let delivered = deliver(&engine, &routes, None, evidence).await.expect("a store that works");
        RunSummary::of(Default::default(), delivered, 0, false)
    }

    pub async fn deliveries(&self) -> Vec<DeliveryRow> {
        let (_, _, store) = self.open();
        store.deliveries(&DeliveryFilter::default()).await.expect("a store that works")
    }
}

/// A session with everything that such files can say of a call.
pub fn told(id: &str, email: &str) -> Value {
    let mut document = session::session(id, email, "2026-11-20T09:00:00", 125);
    document["caller_phone"] = json!("+1 (555) 010-0200");
    document["direction"] = json!("inbound");
    document["discovered_signals"] = json!({ "use_case": "sales_proposals", "team_size": 12 });
    document
}

pub fn or_tell<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{}", failure.problem))
}

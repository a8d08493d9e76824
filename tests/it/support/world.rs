//! A world to sync: a folder of sessions, a simulated org with the right people in it, and a ledger.
//!
//! Runs go through the same settings as those of the command line; only the clock may be another.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::{Date, date};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use trunkline::cli::{Context, Global, reading};
use trunkline::clock::Clock;
use trunkline::config::Environment;
use trunkline::destinations::salesforce::Salesforce;
use trunkline::engine::{Days, Evidence, IntakeSummary, Progress, Quiet, RunSummary, Stop, SyncRun, deliver, rearm};
use trunkline::net::Transport;
use trunkline::sim::salesforce::{Counters, Credentials, Fault, FaultKind, Options, Org, Settings, Simulator};
use trunkline::sim::sessions::{People, Plan, write_day};
use trunkline::store::Rearm;

use super::clock::FakeClock;
use super::session;

/// The day of most tests' calls.
pub const DAY: Date = date(2026, 11, 20);
/// Where the fake clock starts: the night after.
pub const NIGHT: &str = "2026-11-21T03:00:00Z";

/// The ids of a plan's people in the org, in the plan's order.
pub struct Seeded {
    pub contacts: Vec<String>,
    pub leads: Vec<String>,
}

pub struct World {
    pub folder: TempDir,
    pub simulator: Simulator,
    pub org: Org,
    pub clock: Arc<FakeClock>,
    config: String,
}

/// With or without the unique key field in the org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField {
    There,
    Missing,
}

impl World {
    /// An empty org and an empty folder.
    pub async fn new(key_field: KeyField) -> World {
        World::with(Options { seed: 7, ..Options::default() }, key_field).await
    }

    async fn with(options: Options, key_field: KeyField) -> World {
        let mut settings = options.settings.clone();
        if key_field == KeyField::Missing {
            settings.key_field = None;
        }
        let clock = Arc::new(FakeClock::at(NIGHT));
        let told = Arc::clone(&clock);
        World::start(Options { settings, now: Arc::new(move || told.now()), ..options }, clock).await
    }

    /// With an org whose time is the machine's, for the program's own logins.
    pub async fn on_a_real_clock(options: Options) -> World {
        World::start(options, Arc::new(FakeClock::at(NIGHT))).await
    }

    async fn start(options: Options, clock: Arc<FakeClock>) -> World {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let simulator = Simulator::start(listener, options).await.expect("a simulator");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("sessions")).expect("a writable folder");
        let org = simulator.org();
        let world = World { folder, simulator, org, clock, config: String::new() };
        world.configure("")
    }

    /// Lays `text` (TOML) over the defaults, from now on.
    pub fn configure(mut self, text: &str) -> World {
        text.clone_into(&mut self.config);
        fs::write(self.config_path(), text).expect("a writable folder");
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config_path(&self) -> PathBuf {
        self.path("test.toml")
    }

    pub fn store_path(&self) -> PathBuf {
        self.path("calls.db")
    }

    /// As if the machine with the ledger had been lost.
    pub fn forget_the_ledger(&self) {
        for name in names_in(self.folder.path()).iter().filter(|name| name.starts_with("calls.db")) {
            fs::remove_file(self.path(name)).expect("a writable folder");
        }
    }

    pub fn sessions(&self) -> PathBuf {
        self.path("sessions")
    }

    pub fn source(&self) -> String {
        format!("file://{}/", self.sessions().display())
    }

    /// Puts a session file for [`DAY`].
    pub fn put(&self, name: &str, document: &Value) -> PathBuf {
        session::put(&self.sessions(), DAY, name, document.to_string())
    }

    /// Only what a login needs.
    pub fn environment(&self) -> Environment {
        let credentials = Credentials::default();
        BTreeMap::from([
            ("SF_LOGIN_URL".to_owned(), self.simulator.url()),
            ("SF_CLIENT_ID".to_owned(), credentials.client_id),
            ("SF_CLIENT_SECRET".to_owned(), credentials.client_secret),
        ])
    }

    /// Writes the plan's day and puts its people into the org.
    pub fn plan(&self, plan: &Plan) -> Seeded {
        write_day(&self.sessions(), plan).expect("a writable folder");
        self.people(&plan.people())
    }

    /// Of people who share an address the later one was changed later, so that the rule for several is decidable.
    pub fn people(&self, people: &People) -> Seeded {
        let modified = |index: usize| {
            let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
            (at + jiff::SignedDuration::from_mins(index as i64)).to_string()
        };
        let mut seeded = Seeded { contacts: Vec::new(), leads: Vec::new() };
        for (index, person) in people.contacts.iter().enumerate() {
            seeded.contacts.push(self.org.insert(
                "Contact",
                json!({
                    "FirstName": person.first_name, "LastName": person.last_name, "Email": person.email,
                    "LastModifiedDate": modified(index),
                }),
            ));
        }
        for (index, person) in people.leads.iter().enumerate() {
            let mut lead = json!({
                "FirstName": person.first_name, "LastName": person.last_name, "Company": "Example", "Email": person.email,
                "LastModifiedDate": modified(index),
            });
            if let Some(contact) = person.converted_to {
                lead["IsConverted"] = json!(true);
                lead["ConvertedContactId"] = json!(seeded.contacts[contact]);
            }
            seeded.leads.push(self.org.insert("Lead", lead));
        }
        seeded
    }

    pub fn contact(&self, email: &str) -> String {
        self.org.insert("Contact", json!({ "LastName": "Caller", "Email": email }))
    }

    pub fn tasks(&self) -> Vec<Map<String, Value>> {
        self.org.records("Task")
    }

    /// The one Task that tells of this session.
    pub fn task(&self, session_id: &str) -> Map<String, Value> {
        let mut of_session = self.tasks_of(session_id);
        assert_eq!(of_session.len(), 1, "one Task for session {session_id}, not: {of_session:#?}");
        of_session.remove(0)
    }

    pub fn tasks_of(&self, session_id: &str) -> Vec<Map<String, Value>> {
        let line = format!("Session ID: {session_id}");
        let tells = |task: &Map<String, Value>| text(task, "Description").lines().any(|other| other.trim_end() == line);
        self.tasks().into_iter().filter(tells).collect()
    }

    pub fn context(&self, clock: Arc<dyn Clock>) -> Context {
        let global = Global { config: Some(self.config_path()), store: Some(self.store_path()), ..Global::default() };
        Context { global, environment: self.environment(), clock, stop: Stop::default() }
    }

    /// A nightly sync of [`DAY`] in this process, under the fake clock.
    pub async fn sync(&self) -> RunSummary {
        self.sync_days(Days { from: DAY, to: DAY }).await
    }

    pub async fn sync_days(&self, days: Days) -> RunSummary {
        self.sync_as(self.clock.clone(), days).await
    }

    pub async fn sync_as(&self, clock: Arc<dyn Clock>, days: Days) -> RunSummary {
        self.run_of(clock, self.source()).run(days, None).await.expect("a store that works")
    }

    /// A sync of [`DAY`] with something in its run exchanged.
    pub async fn sync_with(&self, exchange: impl FnOnce(&mut SyncRun)) -> RunSummary {
        let mut run = self.run_of(self.clock.clone(), self.source());
        exchange(&mut run);
        run.run(Days { from: DAY, to: DAY }, None).await.expect("a store that works")
    }

    /// A sync of [`DAY`] whose sessions stand elsewhere.
    pub async fn sync_from(&self, sessions: &Path) -> RunSummary {
        let run = self.run_of(self.clock.clone(), format!("file://{}/", sessions.display()));
        run.run(Days { from: DAY, to: DAY }, None).await.expect("a store that works")
    }

    fn run_of(&self, clock: Arc<dyn Clock>, source: String) -> SyncRun {
        let context = self.context(clock);
        let settings = or_tell(context.settings(Some(source)));
        let store = or_tell(context.open_store(&settings.store_path));
        let ends = or_tell(context.ends(&settings));
        context.sync_run(&settings, ends, store, Arc::new(Quiet))
    }

    /// A sync over a network of the test's own.
    pub async fn sync_over(&self, network: Arc<dyn Transport>) -> RunSummary {
        let settings = or_tell(self.context(self.clock.clone()).settings(Some(self.source())));
        let clock = self.clock.clone();
        let salesforce = settings.salesforce().unwrap_or_else(|problem| panic!("{problem}"));
        let destination = Salesforce::new("salesforce", salesforce, network, Arc::new(move || clock.now()));
        let destination = Arc::new(destination.unwrap_or_else(|problem| panic!("{problem}")));
        self.sync_with(|run| run.routes[0].destination = destination).await
    }

    /// What `trunkline retry` without arguments does.
    pub async fn retry(&self) -> RunSummary {
        self.rearmed(&Rearm { states: vec!["dead", "due"], ..Rearm::default() }, Arc::new(Quiet), Stop::default()).await
    }

    /// Makes deliveries due again and delivers, told to `progress`, until it is done or `stop` is asked for.
    pub async fn rearmed(&self, which: &Rearm, progress: Arc<dyn Progress>, stop: Stop) -> RunSummary {
        let context = Context { stop, ..self.context(self.clock.clone()) };
        let settings = or_tell(context.settings(Some(self.source())));
        let store = or_tell(context.open_store(&settings.store_path));
        let engine = context.engine(store, progress);
        rearm(&engine, "salesforce", which).await.expect("a store that works");
        let routes = or_tell(context.routes(&settings));
        let source = or_tell(context.source(&settings));
        let reading = reading(&settings, source, &routes);
        let evidence = Some(Evidence { readings: std::slice::from_ref(&reading), since_ms: self.clock.now_ms() });
        let mut delivered = deliver(&engine, &routes, None, evidence).await.expect("a store that works");
        let intake: IntakeSummary = std::mem::take(&mut delivered[0].delivery.reread);
        RunSummary::of(intake, delivered, 0, false)
    }

    pub fn fault(&self, fault: Fault) -> &World {
        self.org.add_fault(fault);
        self
    }

    pub fn set(&self, change: impl FnOnce(&mut Settings)) -> &World {
        self.org.settings(change);
        self
    }

    pub fn met(&self, kind: FaultKind) -> u64 {
        self.org.counters().faults_of(kind)
    }
}

/// Requests that change something, whatever came of them.
pub fn write_calls(counters: &Counters) -> u64 {
    let is_write = |kind: &str| {
        let single = ["create", "update", "delete", "upsert", "delete_by_key", "composite", "batch"];
        single.contains(&kind) || (kind.starts_with("collection_") && kind != "collection_retrieve")
    };
    counters.calls.iter().filter(|(kind, _)| is_write(kind)).map(|(_, count)| count).sum()
}

pub fn text<'a>(record: &'a Map<String, Value>, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The names in a folder, sorted.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn or_tell<T>(result: Result<T, trunkline::cli::Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{}", failure.problem))
}

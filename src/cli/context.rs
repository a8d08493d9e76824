//! What commands share: settings, the open store, the engine, the source and the destination.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use rand::Rng;

use super::{Failure, Global};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, CALL_DATA_API, Environment, Overrides, Settings};
use crate::destinations::{Destination, rest, salesforce};
use crate::engine::{DispatchLimits, Engine, Progress, Reading, Route, Stop, SyncRun};
use crate::net::HttpTransport;
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem, REMOTE_UNREACHABLE, STORE_UNUSABLE};
use crate::proof;
use crate::sources::{ObjectSource, object_store};
use crate::store::ReadStore;
use crate::store::sqlite::SqliteStore;

/// Calls that are claimed for each request in flight of a REST destination. What a killed process had claimed is looked up
/// one by one before it is sent again, and one question without an answer gives all of them back.
const REST_WINDOW_PER_LANE: usize = 25;

/// The global arguments and the environment.
pub struct Context {
    pub global: Global,
    pub environment: Environment,
    pub clock: Arc<dyn Clock>,
    pub stop: Stop,
}

/// The source and the destination of a run.
pub struct Ends {
    pub source: Arc<dyn ObjectSource>,
    pub routes: Vec<Route>,
}

impl Context {
    pub fn new(global: Global, environment: Environment) -> Context {
        Context { global, environment, clock: Arc::new(SystemClock), stop: Stop::default() }
    }

    /// Reads the file and lays environment and flags over it.
    pub fn settings(&self, source: Option<String>) -> Result<Settings, Failure> {
        let path = config::find(self.global.config.as_deref(), &self.environment);
        let file = config::load(path.as_deref())?;
        let overrides =
            Overrides { source, store: self.global.store.clone(), time_zone: self.global.time_zone.clone() };
        Ok(config::settings(file, self.environment.clone(), overrides)?)
    }

    /// Opens the store, making it if need be.
    pub fn open_store(&self, path: &Path) -> Result<Arc<SqliteStore>, Failure> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
            let what = format!("the folder {} for the store does not exist", folder.display());
            let help = "make the folder, or name another file with --store";
            return Err(Failure::impossible(Problem::new(STORE_UNUSABLE, what, help)));
        }
        if path.is_dir() {
            let what = format!("the ledger {} is a folder", path.display());
            let help = format!("name a file in it, e.g. --store {}", path.join("trunkline.db").display());
            return Err(Failure::impossible(Problem::new(STORE_UNUSABLE, what, help)));
        }
        let owner_id = format!("{:016x}", rand::rng().random::<u64>());
        Ok(Arc::new(SqliteStore::open(path, &owner_id, self.clock.now_ms())?))
    }

    /// Opens a store that must be there, to change it.
    pub fn open_existing_store(&self, path: &Path) -> Result<Arc<SqliteStore>, Failure> {
        must_exist(path)?;
        self.open_store(path)
    }

    /// Opens a store that must be there, for commands that only look: they need no right to write.
    pub fn open_store_to_read(&self, path: &Path) -> Result<Arc<dyn ReadStore>, Failure> {
        must_exist(path)?;
        if path.is_file()
            && let Some(store) = SqliteStore::open_to_read(path)?
        {
            return Ok(Arc::new(store));
        }
        Ok(self.open_store(path)?)
    }

    pub fn engine(&self, store: Arc<SqliteStore>, progress: Arc<dyn Progress>) -> Engine {
        Engine::new(store, Arc::clone(&self.clock), progress, self.stop.clone(), rand::rng().random())
    }

    /// Where a run reads and writes; made before the ledger, so that a mistake in the settings leaves none behind.
    pub fn ends(&self, settings: &Settings) -> Result<Ends, Failure> {
        Ok(Ends { source: self.source(settings)?, routes: self.routes(settings)? })
    }

    /// Everything a sync works with.
    pub fn sync_run(
        &self,
        settings: &Settings,
        ends: Ends,
        store: Arc<SqliteStore>,
        progress: Arc<dyn Progress>,
    ) -> SyncRun {
        SyncRun {
            engine: self.engine(store, progress),
            reading: reading(settings, ends.source, &ends.routes),
            routes: ends.routes,
        }
    }

    pub fn source(&self, settings: &Settings) -> Result<Arc<dyn ObjectSource>, Failure> {
        let transport = HttpTransport::undecoded().map_err(|error| no_client(&error))?;
        let source =
            object_store::ObjectStore::open(settings.source()?.clone(), &settings.environment, Arc::new(transport))?;
        Ok(Arc::new(source))
    }

    /// Every destination that the settings name for calls of any source.
    pub fn routes(&self, settings: &Settings) -> Result<Vec<Route>, Failure> {
        let mut routes = Vec::new();
        if settings.uses_salesforce() {
            routes.push(Route { destination: self.salesforce(settings)?, limits: settings.dispatch, scope: None });
        }
        for name in settings.rest_names() {
            routes.push(self.rest(settings, &name)?);
        }
        Ok(routes)
    }

    /// The call-data API, where only uploads go to it and the ledger has something for it.
    pub async fn upload_route(&self, settings: &Settings, store: &dyn ReadStore) -> Result<Option<Route>, Failure> {
        let is_named = settings.rest_names().iter().any(|name| name == CALL_DATA_API);
        if is_named || store.tally(CALL_DATA_API, None).await?.is_empty() {
            return Ok(None);
        }
        self.rest(settings, CALL_DATA_API).map(Some)
    }

    /// The destination of the table [rest.NAME], or of [call_data_api].
    pub fn rest(&self, settings: &Settings, name: &str) -> Result<Route, Failure> {
        let transport = HttpTransport::new().map_err(|error| no_client(&error))?;
        let clock = Arc::clone(&self.clock);
        let now = Arc::new(move || clock.now());
        let mut rest = settings.rest(name)?;
        let lanes = usize::from(rest.section.requests_in_flight);
        let window = settings.dispatch.window.min(lanes * REST_WINDOW_PER_LANE);
        let limits = DispatchLimits { lanes, window, ..with_room(settings.dispatch, rest.timeout) };
        // Two rounds of questions, for people and for what is there already; the last question of each ends later than it
        // may begin.
        rest.round = limits.lease.saturating_sub(limits.write) / 3;
        let zone = settings.time_zone.clone();
        let destination = Arc::new(rest::Rest::new(name, rest, zone, Arc::new(transport), now)?);
        Ok(Route { destination, limits, scope: None })
    }

    pub fn salesforce(&self, settings: &Settings) -> Result<Arc<dyn Destination>, Failure> {
        let transport = HttpTransport::new().map_err(|error| no_client(&error))?;
        let clock = Arc::clone(&self.clock);
        let now = Arc::new(move || clock.now());
        Ok(Arc::new(salesforce::Salesforce::new("salesforce", settings.salesforce()?, Arc::new(transport), now)?))
    }

    /// Asks the engine to stop at the first Ctrl-C or SIGTERM; a second one ends the process at once. They are heard from
    /// the moment this returns.
    pub fn stop_on_signals(&self) {
        let stop = self.stop.clone();
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return tracing::warn!(%error, "signals cannot be heard: they end the process at once"),
        };
        tokio::spawn(async move {
            signals.next().await;
            stop.ask();
            super::progress::line("stopping after the work in hand; Ctrl-C again stops at once");
            signals.next().await;
            std::process::exit(130);
        });
    }

    /// A date as people write it: 2025-10-29, `today`, `yesterday`; `name` is the flag that it was given with.
    pub fn date(&self, name: &str, text: &str, settings: &Settings) -> Result<Date, Failure> {
        let today = self.clock.now().to_zoned(settings.time_zone.clone()).date();
        let parsed = match text {
            "today" => Ok(today),
            "yesterday" => today.yesterday(),
            other => other.parse(),
        };
        parsed.map_err(|_| {
            Failure::from(Problem::new(
                CONFIG_BAD_VALUE,
                format!("{name}: `{text}` is not a date"),
                "write it as 2025-10-29, or say today or yesterday",
            ))
        })
    }
}

fn must_exist(path: &Path) -> Result<(), Problem> {
    if path.exists() {
        return Ok(());
    }
    Err(Problem::new(
        CONFIG_CONTRADICTION,
        format!("there is no ledger at {}", path.display()),
        "run `trunkline sync` first, or name the ledger with --store",
    ))
}

/// What a source gives to the destinations of `routes`.
pub fn reading(settings: &Settings, source: Arc<dyn ObjectSource>, routes: &[Route]) -> Reading {
    let destinations = routes.iter().map(|route| route.destination.name().to_owned()).collect();
    Reading { source, destinations, zone: settings.time_zone.clone(), limits: settings.intake }
}

fn no_client(error: &dyn std::fmt::Display) -> Problem {
    let what = format!("the HTTP client cannot start: {error}");
    Problem::new(REMOTE_UNREACHABLE, what, "install the system's CA certificates (Debian: ca-certificates)")
}

/// Ctrl-C and SIGTERM. One listener for both signals of a stop: one made for the second would miss what came before it.
struct Signals {
    interrupt: Interrupt,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
type Interrupt = tokio::signal::unix::Signal;
#[cfg(not(unix))]
type Interrupt = tokio::signal::windows::CtrlC;

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}

/// `limits` for requests that may take `timeout`: for themselves, for a renewed login, and once more. A claim has room for
/// questions besides.
fn with_room(limits: DispatchLimits, timeout: Duration) -> DispatchLimits {
    let write = timeout * 3;
    match write <= limits.write || proof::lease().is_some() {
        true => limits,
        false => DispatchLimits { write, lease: limits.lease.max(write * 3), ..limits },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_lasts_longer_than_what_is_sent_and_asked_under_it() {
        let default = DispatchLimits::default();
        let with = |seconds| with_room(default, Duration::from_secs(seconds));
        assert_eq!((with(30).write, with(30).lease), (default.write, default.lease), "there is room");
        let slow = with(600);
        assert_eq!(slow.write, Duration::from_secs(1800), "a write, a login and the write again");
        assert!(slow.lease >= slow.write * 3, "{slow:?}");
    }
}

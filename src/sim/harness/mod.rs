//! What the smaller simulators have in common: a port, requests and answers, faults on demand, counters, switches and the
//! administrator's door under `/sim/`.
//!
//! A simulated system is a [`Remote`]: state, and a function from a request to an answer. It never waits and never looks
//! at a clock; latency, faults and limits of traffic happen around it. Nothing here knows any remote system.

mod admin;
mod answer;
pub mod check;
mod counters;
mod faults;
mod multipart;
mod request;
mod service;
#[cfg(test)]
pub(in crate::sim) mod testing;
mod wire;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::answer::Answer;
pub use self::counters::Counters;
pub use self::faults::{Fault, FaultKind};
pub use self::multipart::File;
pub use self::request::{Request, form_value};

use self::faults::Faults;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A simulated system.
pub trait Remote: Default + Send + 'static {
    /// Its switches.
    type Settings: Switches;

    /// Answers a request; whatever it changes is committed when it returns.
    fn serve(&mut self, context: &mut Context<'_, Self::Settings>, request: &Request) -> Answer;

    /// An error in this system's own words, for faults and limits.
    fn refusal(status: u16, message: &str) -> Answer;

    /// All that is kept under this name, in the order of arrival; `None` for a name that it does not know.
    fn records(&self, table: &str) -> Option<Vec<Value>>;

    /// Puts a record in without the rules of the API and returns its id.
    fn insert(&mut self, table: &str, record: Value) -> Result<String, String>;

    /// Forgets all records.
    fn clear(&mut self);

    /// The page at `/`.
    fn page(&self) -> Option<String> {
        None
    }
}

/// Switches that an administrator sets while the simulator runs.
pub trait Switches: Clone + Default + Serialize + DeserializeOwned + Send + 'static {
    /// Those that every simulator has.
    fn traffic(&self) -> &Traffic;
}

/// How requests are treated before the system looks at them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// How long an answer takes.
    pub latency_ms: u64,
    /// Requests in any `window_s` before 429 with `Retry-After`; `None` is no limit.
    pub requests_max: Option<u64>,
    /// The length of that window.
    pub window_s: u64,
    /// The largest body before 413; `None` is the simulator's own 50 MB.
    pub body_bytes_max: Option<usize>,
}

impl Default for Traffic {
    fn default() -> Traffic {
        Traffic { latency_ms: 0, requests_max: None, window_s: 60, body_bytes_max: None }
    }
}

/// What a system may know while it answers.
pub struct Context<'a, S> {
    /// The switches as they stand.
    pub settings: &'a S,
    /// The time.
    pub now: Timestamp,
    counters: &'a mut Counters,
    faults: &'a mut Faults,
    random: &'a mut StdRng,
}

impl<S> Context<'_, S> {
    /// Counts an operation, such as `create`.
    pub fn count(&mut self, operation: &str) {
        counters::count(&mut self.counters.operations, operation);
    }

    /// The fault that a row of this request meets: its code and text.
    pub fn row_fault(&mut self, request: &Request) -> Option<(String, String)> {
        let drawn = self.faults.draw_row(self.random, &request.method, request.path())?;
        counters::count(&mut self.counters.faults, FaultKind::FailRow.name());
        Some(drawn)
    }
}

/// How a simulator is made.
pub struct Options<R: Remote> {
    /// The time; the simulator never looks at any other clock.
    pub now: Clock,
    /// The seed of all chance: the same seed and requests give the same run.
    pub seed: u64,
    /// The switches at the start.
    pub settings: R::Settings,
}

impl<R: Remote> Default for Options<R> {
    fn default() -> Options<R> {
        Options { now: Arc::new(machine_time), seed: 0, settings: R::Settings::default() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the default clock; the simulator shares none with the client")]
fn machine_time() -> Timestamp {
    Timestamp::now()
}

struct State<R: Remote> {
    remote: R,
    settings: R::Settings,
    faults: Faults,
    counters: Counters,
    random: StdRng,
    /// When the requests of the current window came.
    window: VecDeque<Timestamp>,
    in_flight: u64,
}

struct Shared<R: Remote> {
    state: Mutex<State<R>>,
    now: Clock,
    releases: watch::Sender<u64>,
}

/// The system behind a simulator, for tests and for the administrator.
pub struct Api<R: Remote>(Arc<Shared<R>>);

impl<R: Remote> Clone for Api<R> {
    fn clone(&self) -> Api<R> {
        Api(Arc::clone(&self.0))
    }
}

impl<R: Remote> Api<R> {
    fn new(options: Options<R>) -> Api<R> {
        let state = State {
            remote: R::default(),
            settings: options.settings,
            faults: Faults::default(),
            counters: Counters::default(),
            random: StdRng::seed_from_u64(options.seed),
            window: VecDeque::new(),
            in_flight: 0,
        };
        Api(Arc::new(Shared { state: Mutex::new(state), now: options.now, releases: watch::Sender::new(0) }))
    }

    /// A system without a port.
    pub fn alone(options: Options<R>) -> Api<R> {
        Api::new(options)
    }

    /// Answers a request without a port. `None`: the connection ends before the answer is whole.
    pub async fn answer(&self, request: http::Request<bytes::Bytes>) -> Option<http::Response<bytes::Bytes>> {
        wire::answer(self, request).await
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is kept under this name, in the order of arrival.
    pub fn records(&self, table: &str) -> Vec<Value> {
        self.lock().remote.records(table).unwrap_or_default()
    }

    /// Puts a record in without the rules of the API and returns its id.
    ///
    /// # Panics
    /// If the system has no such table or the record cannot be one: a mistake of the test.
    pub fn insert(&self, table: &str, record: Value) -> String {
        let inserted = self.lock().remote.insert(table, record);
        inserted.unwrap_or_else(|error| panic!("the record cannot be put into {table}: {error}"))
    }

    /// Forgets all records of every kind; switches, faults and counters stay.
    pub fn clear(&self) {
        self.lock().remote.clear();
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// Counts from nothing again.
    pub fn reset_counters(&self) {
        self.lock().counters = Counters::default();
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Removes all faults; requests that are held stay held.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Lets all requests go on that a `hold_…` fault holds.
    pub fn release(&self) {
        self.0.releases.send_modify(|number| *number += 1);
    }

    /// Changes the switches.
    pub fn settings(&self, change: impl FnOnce(&mut R::Settings)) {
        change(&mut self.lock().settings);
    }
}

/// A running simulator; it stops when dropped.
pub struct Simulator<R: Remote> {
    api: Api<R>,
    address: SocketAddr,
    server: JoinHandle<Infallible>,
}

impl<R: Remote> Simulator<R> {
    /// Begins to answer on `listener`.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(listener: TcpListener, options: Options<R>) -> std::io::Result<Simulator<R>> {
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let api = Api::new(options);
        let server = tokio::spawn(wire::accept(listener, api.clone()));
        Ok(Simulator { api, address, server })
    }

    /// The base URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The system behind it.
    pub fn api(&self) -> Api<R> {
        self.api.clone()
    }
}

impl<R: Remote> Drop for Simulator<R> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

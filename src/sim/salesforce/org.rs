//! The org: everything the simulator knows, behind one lock, and the handle that tests, the demo and the doors share.
//!
//! One lock makes every request atomic, so unique values are enforced without gaps; whatever takes time (latency,
//! faults, races) happens outside of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::auth::Sessions;
use super::counters::{Counters, count};
use super::faults::{Fault, FaultKind, Faults};
use super::limits::Usage;
use super::locks::Locks;
use super::query::Cursors;
use super::schema::{Object, Schema};
use super::settings::Settings;
use super::table::{RowNumber, Table};
use super::{Clock, Credentials, JwtVerifier, Options, http, page, seed, state};

pub use super::state::StateError;

/// A cheap handle to the simulated org.
#[derive(Clone)]
pub struct Org {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    clock: Clock,
    pub(super) credentials: Credentials,
    pub(super) jwt_verifier: Option<JwtVerifier>,
    pub(super) state_file: Option<PathBuf>,
    pub(super) changed: Notify,
}

/// Everything that changes.
pub(super) struct State {
    /// The time at which the lock was taken.
    pub(super) now: Timestamp,
    pub(super) settings: Settings,
    pub(super) schema: Arc<Schema>,
    pub(super) tables: HashMap<&'static str, Table>,
    pub(super) sessions: Sessions,
    pub(super) cursors: Cursors,
    pub(super) usage: Usage,
    pub(super) locks: Locks,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    pub(super) random: StdRng,
    /// Its own generator, so that looking at the page does not change a seeded run.
    pub(super) page_random: StdRng,
    pub(super) org_id: String,
    pub(super) user_id: String,
    pub(super) in_flight: u64,
    pub(super) requests: u64,
    /// Counts changes of records, so that a saver knows whether it is up to date.
    pub(super) revision: u64,
    pub(super) closed: bool,
}

impl State {
    /// The table of an object; every object of the schema has one.
    pub(super) fn table(&self, object: &Object) -> &Table {
        self.tables.get(object.name).unwrap_or_else(|| panic!("no table for object {}", object.name))
    }

    pub(super) fn table_mut(&mut self, object: &Object) -> &mut Table {
        self.tables.get_mut(object.name).unwrap_or_else(|| panic!("no table for object {}", object.name))
    }

    /// The object, table and row behind an id, deleted or not.
    pub(super) fn locate(&self, id: &str) -> Option<(Arc<Object>, RowNumber)> {
        let object = self.schema.object_of(id)?;
        let row = self.table(object).find(id)?;
        Some((Arc::clone(object), row))
    }

    /// Rebuilds what follows from the settings.
    pub(super) fn settings_changed(&mut self) {
        self.schema = Arc::new(Schema::new(&self.settings));
        for object in self.schema.objects.clone() {
            self.tables.entry(object.name).or_default().reindex(&object);
        }
        if self.settings.login_revoked {
            self.sessions.end_all();
        }
    }

    pub(super) fn count_fault(&mut self, kind: FaultKind) {
        count(&mut self.counters.faults, kind.name());
    }
}

impl Org {
    pub(super) fn new(options: Options) -> Result<Org, StateError> {
        let state = State {
            now: (options.now)(),
            schema: Arc::new(Schema::new(&options.settings)),
            settings: options.settings,
            tables: HashMap::new(),
            sessions: Sessions::default(),
            cursors: Cursors::default(),
            usage: Usage::default(),
            locks: Locks::default(),
            faults: Faults::default(),
            counters: Counters::default(),
            random: StdRng::seed_from_u64(options.seed),
            page_random: StdRng::seed_from_u64(!options.seed),
            org_id: String::new(),
            user_id: String::new(),
            in_flight: 0,
            requests: 0,
            revision: 0,
            closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            clock: options.now,
            credentials: options.credentials,
            jwt_verifier: options.jwt_verifier,
            state_file: options.state_file,
            changed: Notify::new(),
        };
        let org = Org { shared: Arc::new(shared) };
        {
            let mut state = org.lock();
            if let Some(path) = &org.shared.state_file {
                state::load(path, &mut state)?;
            }
            state.settings_changed();
            seed::standard_records(&mut state, &org.shared.credentials);
        }
        Ok(org)
    }

    /// An org without a port.
    pub fn alone(options: Options) -> Result<Org, StateError> {
        Org::new(options)
    }

    /// Answers a request without a port. `None`: the connection ends before the answer is whole.
    pub async fn answer(&self, request: ::http::Request<bytes::Bytes>) -> Option<::http::Response<bytes::Bytes>> {
        http::answer(self, request).await
    }

    /// The state at this moment; a panic elsewhere does not lock everybody out.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = (self.shared.clock)();
        state
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Tells the saver that records may have changed.
    pub(super) fn touched(&self) {
        self.shared.changed.notify_one();
    }

    /// Puts a record in, past all API rules, and returns its id.
    ///
    /// System fields (`CreatedDate`, `LastModifiedDate`, `IsConverted`, …) may be set; what is left out is filled as the
    /// server would.
    ///
    /// # Panics
    /// If the object or a field does not exist, or `fields` is no JSON object: a mistake in the calling test.
    pub fn insert(&self, object: &str, fields: Value) -> String {
        let id = seed::insert(&mut self.lock(), object, fields).unwrap_or_else(|mistake| panic!("{mistake}"));
        self.touched();
        id
    }

    /// Changes a record, past all API rules.
    ///
    /// # Panics
    /// If the record or a field does not exist, or `fields` is no JSON object.
    pub fn update(&self, id: &str, fields: Value) {
        seed::update(&mut self.lock(), id, fields).unwrap_or_else(|mistake| panic!("{mistake}"));
        self.touched();
    }

    /// All records of an object that are not deleted, in order of creation; none for an unknown object.
    pub fn records(&self, object: &str) -> Vec<Map<String, Value>> {
        let state = self.lock();
        let Some(object) = state.schema.object(object) else { return Vec::new() };
        state.table(object).iter().filter(|record| !record.is_deleted()).map(|record| record.to_map()).collect()
    }

    /// Removes all records but the standard ones (users, organization, statuses).
    pub fn clear_records(&self) {
        seed::clear(&mut self.lock(), &self.shared.credentials);
        self.touched();
    }

    /// What happened since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// Sets all counters to nothing.
    pub fn reset_counters(&self) {
        self.lock().counters = Counters::default();
    }

    /// Changes the switches.
    pub fn settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        state.settings_changed();
    }

    /// Adds a fault to the active ones.
    pub fn add_fault(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Removes all active faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Runs the archive job: Tasks closed and due (or created) 365 days ago or more become archived. Returns how many.
    pub fn archive(&self) -> usize {
        let archived = seed::archive(&mut self.lock());
        self.touched();
        archived
    }

    /// Ends every session, so that the next request of each client is answered with 401.
    pub fn expire_sessions(&self) {
        self.lock().sessions.end_all();
    }

    /// Writes all records to the state file, if the simulator has one.
    pub fn save(&self) -> Result<(), StateError> {
        state::save(self)
    }

    /// The org as people see it: one self-contained HTML page.
    pub fn page_html(&self) -> String {
        page::to_file(&mut self.lock())
    }
}

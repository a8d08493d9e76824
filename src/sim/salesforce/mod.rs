//! A simulated Salesforce org, written from the documentation of the service and sharing nothing with the client.
//!
//! It speaks HTTP/1.1 on a local port: OAuth and SOAP logins, SOQL, describe, single records, collections, upserts by
//! key, limits. Its switches ([`Settings`]) and faults ([`Fault`]) reproduce what makes the real service hard: races,
//! locks, lost answers, expiring sessions, refused rows. `/sim/` is the administrator's door, `/` shows the org.
//!
//! In reading order: [`service`] takes a request through its stations, [`data`] answers resources, [`soql`] queries,
//! [`write`] changes records, [`org`] holds everything.

mod admin;
mod answer;
mod auth;
mod collections;
mod composite;
mod counters;
mod data;
mod derive;
mod describe;
mod faults;
mod http;
mod ids;
mod limits;
mod locks;
mod org;
mod page;
mod problem;
mod query;
mod route;
mod schema;
mod seed;
mod service;
mod settings;
mod soap;
mod soql;
mod state;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::counters::Counters;
pub use self::faults::{Fault, FaultKind};
pub use self::org::{Org, StateError};
pub use self::settings::{CustomField, CustomType, DuplicateRule, KeyField, Settings, Trigger, ValidationRule};

/// The oldest API version that is not retired.
const VERSION_MIN: u32 = 31;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Checks an RS256 signature: the signed text (`header.payload`), then the signature's bytes.
pub type JwtVerifier = Arc<dyn Fn(&[u8], &[u8]) -> bool + Send + Sync>;

/// What the org lets in.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The consumer key of the app.
    pub client_id: String,
    /// The consumer secret of the app.
    pub client_secret: String,
    /// The user of every flow.
    pub username: String,
    /// The user's password, without the security token.
    pub password: String,
    /// What a password login appends to the password.
    pub security_token: String,
    /// The refresh token that is still good.
    pub refresh_token: String,
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials {
            client_id: "sim-client".to_owned(),
            client_secret: "sim-secret".to_owned(),
            username: "integration@example.com".to_owned(),
            password: "sim-password".to_owned(),
            security_token: "sim-token".to_owned(),
            refresh_token: "sim-refresh".to_owned(),
        }
    }
}

impl Credentials {
    fn match_password(&self, username: &str, password: &str) -> bool {
        let expected = password.strip_prefix(self.password.as_str());
        username.eq_ignore_ascii_case(&self.username) && expected == Some(self.security_token.as_str())
    }
}

/// The id of the Contact with this number, for one that is to be put in with an id of its own.
pub fn contact_id(serial: u64) -> String {
    ids::make("003", serial)
}

/// How a simulator is made.
#[derive(Clone)]
pub struct Options {
    /// The time; the org never looks at any other clock.
    pub now: Clock,
    /// The seed of session secrets and faults: the same seed and requests give the same run.
    pub seed: u64,
    /// What it lets in.
    pub credentials: Credentials,
    /// Checks JWT signatures; without it every signature is good.
    pub jwt_verifier: Option<JwtVerifier>,
    /// Where records are kept between runs; without it they end with the simulator.
    pub state_file: Option<PathBuf>,
    /// The switches at the start.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            now: Arc::new(machine_time),
            seed: 0,
            credentials: Credentials::default(),
            jwt_verifier: None,
            state_file: None,
            settings: Settings::default(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the default clock; the simulator shares none with the client")]
fn machine_time() -> Timestamp {
    Timestamp::now()
}

/// Why a simulator did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The saved records could not be loaded.
    #[error(transparent)]
    State(#[from] StateError),
    /// The listener has no address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] std::io::Error),
}

/// A running simulator; it stops when dropped, but only [`Simulator::stop`] saves.
pub struct Simulator {
    org: Org,
    address: SocketAddr,
    server: JoinHandle<Infallible>,
    saver: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Loads the saved records, if any, and begins to answer on `listener`.
    pub async fn start(listener: TcpListener, options: Options) -> Result<Simulator, StartError> {
        let mut address = listener.local_addr()?;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let keeps_state = options.state_file.is_some();
        let org = Org::new(options)?;
        let server = tokio::spawn(http::accept(listener, org.clone()));
        let saver = keeps_state.then(|| tokio::spawn(state::save_on_change(org.clone())));
        Ok(Simulator { org, address, server, saver })
    }

    /// The base URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The org behind it.
    pub fn org(&self) -> Org {
        self.org.clone()
    }

    /// Cuts all connections, refuses whatever is still under way, and saves.
    pub async fn stop(mut self) -> Result<(), StateError> {
        self.server.abort();
        if let Some(saver) = self.saver.take() {
            saver.abort();
        }
        self.org.lock().closed = true;
        let org = self.org.clone();
        match tokio::task::spawn_blocking(move || org.save()).await {
            Ok(result) => result,
            Err(_) => self.org.save(),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(saver) = &self.saver {
            saver.abort();
        }
    }
}

//! Holds the one session that all requests share, and logs in at most once at a time.
//!
//! Invariant: a token that was refused is replaced by exactly one login, however many requests saw it refused; those
//! who waited for a login that failed get its failure instead of trying the credentials again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;
use tokio::sync::Mutex;
use url::Url;

use super::config::Settings;
use super::login;
use super::wire::Wire;
use crate::destinations::Outcome;

/// A token, the host that takes it, and how many logins came before.
pub struct Session {
    pub token: SecretString,
    /// An origin: scheme, host, port.
    pub instance: Url,
    pub generation: u64,
}

/// The holder of the current session.
pub struct Sessions {
    current: RwLock<Option<Arc<Session>>>,
    /// Held during a login; counts the attempts and keeps how the last one failed.
    attempts: Mutex<Attempts>,
    attempts_seen: AtomicU64,
}

#[derive(Default)]
struct Attempts {
    count: u64,
    failure: Option<Outcome>,
}

impl Sessions {
    pub fn new() -> Sessions {
        Sessions {
            current: RwLock::new(None),
            attempts: Mutex::new(Attempts::default()),
            attempts_seen: AtomicU64::new(0),
        }
    }

    /// The session now held, if any.
    pub fn peek(&self) -> Option<Arc<Session>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The session now held, or a new one.
    pub async fn get(&self, wire: &Wire, settings: &Settings) -> Result<Arc<Session>, Outcome> {
        self.newer_than(None, wire, settings).await
    }

    /// A session other than the one of `refused` generation: the one held by now, or a new one.
    pub async fn renew(&self, refused: u64, wire: &Wire, settings: &Settings) -> Result<Arc<Session>, Outcome> {
        self.newer_than(Some(refused), wire, settings).await
    }

    /// Drops the session if it still is the one of this generation.
    pub fn forget(&self, generation: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|session| session.generation == generation) {
            *current = None;
        }
    }

    async fn newer_than(
        &self,
        refused: Option<u64>,
        wire: &Wire,
        settings: &Settings,
    ) -> Result<Arc<Session>, Outcome> {
        let usable = |session: &Arc<Session>| refused.is_none_or(|generation| session.generation > generation);
        if let Some(session) = self.peek().filter(usable) {
            return Ok(session);
        }
        let seen = self.attempts_seen.load(Ordering::Acquire);
        let mut attempts = self.attempts.lock().await;
        if let Some(session) = self.peek().filter(usable) {
            return Ok(session);
        }
        if attempts.count > seen
            && let Some(failure) = &attempts.failure
        {
            return Err(failure.clone());
        }
        attempts.count += 1;
        attempts.failure = None;
        let result = login::log_in(wire, settings).await;
        self.attempts_seen.store(attempts.count, Ordering::Release);
        match result {
            Ok(granted) => {
                let session =
                    Arc::new(Session { token: granted.token, instance: granted.instance, generation: attempts.count });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
                Ok(session)
            }
            Err(failure) => {
                attempts.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

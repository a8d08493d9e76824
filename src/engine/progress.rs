//! What the engine tells while it works, and how it is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something worth showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many more files were listed.
    Listed(u64),
    /// So many more files were read and committed, or were known already.
    Read(u64),
    /// Delivery begins, with so many calls due.
    Delivering(u64),
    /// So many more calls became due with new content.
    Due(u64),
    /// One was delivered, so long after its content was committed.
    Delivered { waited_ms: i64 },
    /// So many more deliveries were settled.
    Settled(u64),
    /// The engine waits so many seconds, for this reason.
    Waiting { seconds: u64, reason: String },
    /// A warning that a person should see now.
    Warning(String),
    /// Something that a person may want to know.
    Note(String),
}

/// Who shows it.
pub trait Progress: Send + Sync {
    fn event(&self, event: Event);
}

/// Shows nothing.
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _event: Event) {}
}

/// Asks the engine to end after the work in hand; clones are the same request.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    bell: Arc<tokio::sync::Notify>,
}

impl Stop {
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Returns once a stop is asked for.
    pub async fn asked(&self) {
        let bell = self.bell.notified();
        tokio::pin!(bell);
        bell.as_mut().enable();
        if !self.is_asked() {
            bell.await;
        }
    }
}

//! Who works beside whom in this process: everybody, but for what a process died with before.
//!
//! Invariants: while a suspect is in hand nothing else is, so that a further death can only be its doing; who waits to be
//! alone keeps nobody else waiting for longer than [`PATIENCE`]. Nobody asks twice without letting go in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Stop;
use crate::clock::Clock;

/// How long all others wait with who wants to be alone. What is in hand may take minutes where a remote is slow.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the others have then until the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Shared by all loops of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Hands(Arc<RwLock<()>>);

impl Hands {
    pub async fn beside_others(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().await
    }

    /// Waits until nothing else is in hand; `None` if a stop was asked for meanwhile.
    pub async fn alone(&self, clock: &dyn Clock, stop: &Stop) -> Option<RwLockWriteGuard<'_, ()>> {
        while !stop.is_asked() {
            tokio::select! {
                biased;
                guard = self.0.write() => return Some(guard),
                () = stop.asked() => return None,
                () = clock.sleep(PATIENCE) => {}
            }
            tokio::select! {
                biased;
                () = stop.asked() => return None,
                () = clock.sleep(PAUSE) => {}
            }
        }
        None
    }
}

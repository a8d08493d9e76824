//! Who works beside whom in this process: everybody, but for what a process died with before.
//!
//! Invariant: while a suspect is in hand nothing else is, so that a further death can only be its doing. Nobody asks twice
//! without letting go in between.

use std::sync::Arc;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Shared by all loops of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Hands(Arc<RwLock<()>>);

impl Hands {
    pub async fn beside_others(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().await
    }

    pub async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().await
    }
}

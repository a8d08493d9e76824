//! Work that blocks, kept off the threads that wait for the network.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::proof;

/// What a panic left behind.
pub type Panic = Box<dyn std::any::Any + Send>;

/// Runs `work` on a thread for such work; a panic of it is the caller's.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    attempt(work).await.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The same where a panic is an answer like others.
pub async fn attempt<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panic> {
    if proof::runs_in_place() {
        step_aside().await;
        return catch_unwind(AssertUnwindSafe(work));
    }
    // A blocking task is never cancelled, so the only other way to end is its own panic.
    tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::into_panic)
}

/// Lets other tasks go first, as often as a simulation says.
pub async fn step_aside() {
    for _ in 0..proof::yields() {
        tokio::task::yield_now().await;
    }
}

//! Time, passed in: whole days run in a test in milliseconds because nothing else reads the clock or sleeps.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::proof;

/// A clock and the only way to wait.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    async fn sleep(&self, duration: Duration);

    /// Milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(SignedDuration::from_millis(proof::clock_offset_ms())).unwrap_or(now)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

//! Waiting for what another process or task will show. The only place of these tests where time passes.
//!
//! Invariant: who waits says for what, and fails when it does not come; nobody waits a while and hopes.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks again and again until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    let mut looks = interval(PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_so().await {
        assert!(Instant::now() < end, "waited in vain until {what}");
        looks.tick().await;
    }
}

//! The only loops and the only policy: what is read, what is sent when, what follows a failure.
//!
//! Invariants: a file counts as read only after its call and deliveries are committed; nothing is sent without a
//! committed intent; nothing with an unknown outcome is sent again before the destination was asked, unless it refuses
//! doubles by itself; one bad record or one bad destination never stops another.

mod backoff;
mod board;
mod courtesy;
mod dispatch;
mod evidence;
mod hands;
mod intake;
mod lanes;
mod outcome;
mod progress;
mod schedule;
mod serve;
mod summary;
mod sync;
mod upload;
mod window;
mod workers;

pub use board::{Board, Condition, LATENCY_BOUNDS_MS, Latency, RouteFigures, SourceFigures};
pub use courtesy::rearm;
pub use dispatch::{DispatchLimits, Preview, Sketch, dispatch, unexpected};
pub use evidence::Evidence;
pub use intake::{IntakeLimits, Quarantined, Reading, intake, mend, read_suspects, reread};
pub use progress::{Event, Progress, Quiet, Stop};
pub use schedule::{Schedule, recent_days};
pub use serve::{Pace, Serving};
pub use summary::{Delivered, DeliverySummary, IntakeSummary, RunSummary, counted, reason, thousands};
pub use sync::{Days, Route, SyncRun, deliver};
pub use upload::{FAILURES_NAMED_MAX, Missed, Totals, UploadRun, Uploaded};

pub use crate::store::Order;

use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::clock::Clock;
use crate::store::Store;

/// What every part of the engine works with.
#[derive(Clone)]
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub progress: Arc<dyn Progress>,
    pub stop: Stop,
    hands: hands::Hands,
    chance: Arc<Mutex<StdRng>>,
}

impl Engine {
    /// `seed` drives every random choice (jitter).
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        progress: Arc<dyn Progress>,
        stop: Stop,
        seed: u64,
    ) -> Engine {
        let chance = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Engine { store, clock, progress, stop, hands: hands::Hands::default(), chance }
    }

    /// A number from 0 up to 1.
    fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).random()
    }
}

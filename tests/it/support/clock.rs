//! A clock that only moves when somebody waits: hours of back-off pass at once.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use trunkline::clock::Clock;

pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    pub fn at(text: &str) -> FakeClock {
        FakeClock(Mutex::new(text.parse().expect("a point in time")))
    }

    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no test panics while it holds this");
        *now += SignedDuration::try_from(by).expect("a wait of a sane length");
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no test panics while it holds this")
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}

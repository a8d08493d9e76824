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

/// A clock that moves only when the test says so: who sleeps waits until then.
pub struct HandClock {
    now: tokio::sync::watch::Sender<Timestamp>,
}

impl HandClock {
    pub fn at(text: &str) -> HandClock {
        HandClock { now: tokio::sync::watch::Sender::new(text.parse().expect("a point in time")) }
    }

    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += SignedDuration::try_from(by).expect("a step of a sane length"));
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut changes = self.now.subscribe();
        let until = self.now() + SignedDuration::try_from(duration).expect("a wait of a sane length");
        changes.wait_for(|now| *now >= until).await.expect("the clock lives as long as who holds it");
    }
}

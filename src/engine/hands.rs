//! Who works beside whom in this process: everybody, but for what a process died with before.
//!
//! Invariants: while a suspect is in hand nothing else is, so that a further death can only be its doing; who waits to be
//! alone keeps nobody else waiting for longer than [`PATIENCE`]. Nobody asks twice without letting go in between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Stop;
use crate::clock::Clock;
use crate::store::GROUP_DIVISOR;

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

/// How much larger the groups of suspects have become in this process: twice as large whenever it survived more than one
/// death makes. So what one death left is tried as small as it must be, and what a hundred left is not tried one by one.
/// After a further death the next process begins anew: no guilty one hides in company for long.
#[derive(Debug, Default)]
pub(super) struct Groups {
    survived: u32,
}

impl Groups {
    pub fn survived(&mut self) {
        self.survived = self.survived.saturating_add(1);
    }

    /// A factor for [`Suspicion::group`](crate::store::Suspicion::group).
    pub fn growth(&self) -> u32 {
        const SURVIVED_TO_DOUBLE: u32 = 2 * GROUP_DIVISOR;
        1_u32.checked_shl(self.survived / SURVIVED_TO_DOUBLE).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    /// Time passes where somebody waits, and others have their turn meanwhile.
    struct Patient(Mutex<Timestamp>);

    #[async_trait]
    impl Clock for Patient {
        fn now(&self) -> Timestamp {
            *self.0.lock().expect("nobody panicked")
        }

        async fn sleep(&self, duration: Duration) {
            *self.0.lock().expect("nobody panicked") += SignedDuration::try_from(duration).expect("a short wait");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_to_be_alone_keeps_others_waiting_for_a_moment_only() {
        let (hands, stop) = (Hands::default(), Stop::default());
        let clock = Arc::new(Patient(Mutex::new(Timestamp::UNIX_EPOCH)));
        let slow = hands.beside_others().await;
        let alone = tokio::spawn({
            let (hands, stop, clock) = (hands.clone(), stop.clone(), Arc::clone(&clock));
            async move { hands.alone(clock.as_ref(), &stop).await.is_some() }
        });
        // While the slow one is at it, others come and go.
        for _ in 0..5 {
            tokio::task::yield_now().await;
            drop(hands.beside_others().await);
        }
        assert!(!alone.is_finished() && clock.now() > Timestamp::UNIX_EPOCH);
        drop(slow);
        assert!(alone.await.expect("no panic"));
        let _slow = hands.beside_others().await;
        stop.ask();
        assert!(hands.alone(clock.as_ref(), &stop).await.is_none(), "a stop is heard");
    }
}

//! A network between us and the simulator that loses the answer to one write and lets the write itself arrive late.
//!
//! The worst that "may still take effect" allows: it arrives a second before the settling time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::sync::{Mutex, Notify};
use trunkline::clock::Clock;
use trunkline::net::{HttpTransport, Transport, TransportError};

use super::clock::FakeClock;

/// How long each write takes on the fake clock.
const WRITE_TAKES: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(30);

/// What the sender of the lost write sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection ends.
    Cut,
    /// Nothing, for ever: until the process is killed.
    Silence,
}

pub struct LateNetwork {
    inner: HttpTransport,
    clock: Arc<FakeClock>,
    loss: Loss,
    /// The number of the write that is lost, from 1.
    lost_write: usize,
    arrives_after_ms: i64,
    writes: AtomicUsize,
    late: Mutex<Option<(i64, Request<Bytes>)>>,
    pub lost: Notify,
}

impl LateNetwork {
    pub fn new(clock: Arc<FakeClock>, loss: Loss, lost_write: usize, arrives_after: Duration) -> LateNetwork {
        LateNetwork {
            inner: HttpTransport::new().expect("a client"),
            clock,
            loss,
            lost_write,
            arrives_after_ms: arrives_after.as_millis() as i64,
            writes: AtomicUsize::new(0),
            late: Mutex::new(None),
            lost: Notify::new(),
        }
    }

    /// Lets the late write arrive if its time has come, or whatever the time.
    pub async fn deliver_late(&self, whatever_the_time: bool) -> bool {
        let mut late = self.late.lock().await;
        match late.take() {
            Some((at_ms, request)) if whatever_the_time || at_ms <= self.clock.now_ms() => {
                self.inner.send(request, DEADLINE).await.expect("the simulator takes the late write");
                true
            }
            waiting => {
                *late = waiting;
                false
            }
        }
    }
}

#[async_trait]
impl Transport for LateNetwork {
    async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, TransportError> {
        self.deliver_late(false).await;
        let writes = request.method() != Method::GET && request.uri().path().contains("/sobjects");
        if writes {
            self.clock.advance(WRITE_TAKES);
            if self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.lost_write {
                *self.late.lock().await = Some((self.clock.now_ms() + self.arrives_after_ms, request));
                self.lost.notify_one();
                if self.loss == Loss::Silence {
                    return std::future::pending().await;
                }
                return Err(TransportError::Unanswered { host: "org".into(), cause: "connection reset".into() });
            }
        }
        self.inner.send(request, deadline).await
    }
}

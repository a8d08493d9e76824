//! The last step before the network: counts requests and reads what Salesforce says about its daily allowance.
//!
//! Invariant: every request of this destination passes [`Wire::send`], so that `usage` is the whole truth.
//! It knows no sessions, no paths and no error codes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;

use crate::destinations::Usage;
use crate::net::{Transport, TransportError};

/// Tells the time; passed in so that tests and replays decide it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The transport, the clock and the counters.
pub struct Wire {
    transport: Arc<dyn Transport>,
    clock: Clock,
    requests: AtomicU64,
    allowance: Mutex<Option<Allowance>>,
}

/// The org's own count of API requests in its rolling day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub used: u64,
    pub max: u64,
}

impl Allowance {
    /// Whether `percent` of the allowance is gone.
    pub fn reached(self, percent: u8) -> bool {
        percent < 100 && self.max > 0 && self.used.saturating_mul(100) >= self.max.saturating_mul(u64::from(percent))
    }
}

impl Wire {
    pub fn new(transport: Arc<dyn Transport>, clock: Clock) -> Wire {
        Wire { transport, clock, requests: AtomicU64::new(0), allowance: Mutex::new(None) }
    }

    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Sends one request, counted.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.transport.send(request, deadline).await?;
        if let Some(allowance) = read_allowance(response.headers()) {
            *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
        }
        Ok(response)
    }

    /// Drops what was told, before it is asked for anew.
    pub fn forget_allowance(&self) {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The allowance as the last answer told it.
    pub fn allowance(&self) -> Option<Allowance> {
        *self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn usage(&self) -> Usage {
        let allowance = self.allowance();
        Usage {
            requests: self.requests.load(Ordering::Relaxed),
            remote_used: allowance.map(|a| a.used),
            remote_max: allowance.map(|a| a.max),
        }
    }
}

/// Reads `Sforce-Limit-Info: api-usage=18/5000; per-app-api-usage=17/250(appName=x)`.
fn read_allowance(headers: &HeaderMap) -> Option<Allowance> {
    let text = headers.get("sforce-limit-info")?.to_str().ok()?;
    let part = text.split([';', ',']).find_map(|part| part.trim().strip_prefix("api-usage="))?;
    let (used, max) = part.split_once('/')?;
    Some(Allowance { used: used.trim().parse().ok()?, max: max.trim().parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_is_read_from_every_form_of_the_header() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let mut headers = HeaderMap::new();
            headers.insert("Sforce-Limit-Info", text.parse().unwrap());
            assert_eq!(read_allowance(&headers).map(|a| (a.used, a.max)), expected, "{text}");
        };
        check("api-usage=18/5000", Some((18, 5000)));
        check("api-usage=18/5000; per-app-api-usage=17/250(appName=sample)", Some((18, 5000)));
        check("per-app-api-usage=17/250(appName=sample);api-usage=18/5000", Some((18, 5000)));
        check("per-app-api-usage=17/250(appName=sample)", None);
        check("api-usage=x/y", None);
        check("", None);
        assert_eq!(read_allowance(&HeaderMap::new()), None);
    }

    #[test]
    fn the_share_is_reached_at_the_percent_and_never_without_a_limit() {
        let check = |used, max, percent, expected| {
            assert_eq!(Allowance { used, max }.reached(percent), expected, "{used}/{max} at {percent}");
        };
        check(94, 100, 95, false);
        check(95, 100, 95, true);
        check(150, 100, 95, true);
        check(150, 100, 100, false);
        check(5, 0, 95, false);
    }
}

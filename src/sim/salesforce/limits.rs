//! The daily API allocation: requests of the last 24 hours in hourly buckets, the header that tells, and `/limits`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::settings::Settings;

const HOURS: i64 = 24;

/// API requests by the hour.
#[derive(Debug, Default)]
pub(super) struct Usage {
    by_hour: BTreeMap<i64, u64>,
}

impl Usage {
    /// Counts one request; false, and not counted, if the allocation is used up.
    pub(super) fn take(&mut self, now: Timestamp, settings: &Settings) -> bool {
        let hour = now.as_second().div_euclid(3_600);
        self.by_hour.retain(|known, _| *known > hour - HOURS);
        if self.used() >= settings.api_requests_max {
            return false;
        }
        *self.by_hour.entry(hour).or_default() += 1;
        true
    }

    /// Requests of the last 24 hours.
    pub(super) fn used(&self) -> u64 {
        self.by_hour.values().sum()
    }

    /// The value of `Sforce-Limit-Info`.
    pub(super) fn header(&self, settings: &Settings) -> String {
        format!("api-usage={}/{}", self.used(), settings.api_requests_max)
    }

    /// The body of `/limits`.
    pub(super) fn to_json(&self, settings: &Settings) -> Value {
        let full = |max: u64| json!({ "Max": max, "Remaining": max });
        let max = settings.api_requests_max;
        json!({
            "DailyApiRequests": { "Max": max, "Remaining": max.saturating_sub(self.used()) },
            "DailyBulkApiBatches": full(15_000),
            "DailyBulkV2QueryFileStorageMB": full(976_562),
            "DailyBulkV2QueryJobs": full(10_000),
            "DailyStandardVolumePlatformEvents": full(25_000),
            "HourlyPublishedPlatformEvents": full(250_000),
            "DataStorageMB": { "Max": 10_240, "Remaining": if settings.storage_full { 0 } else { 10_000 } },
            "FileStorageMB": full(10_240),
        })
    }
}

//! Times for people: in the configured zone, to the second, with the zone's name.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Milliseconds since 1970 as `2025-10-29 14:03:11 PDT`.
pub fn shown(at_ms: i64, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at_ms)
        .map_or_else(|_| "-".to_owned(), |at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string())
}

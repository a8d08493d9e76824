//! Salesforce's ways to write a point in time.

use jiff::Timestamp;
use jiff::fmt::strtime;

/// Reads `2026-01-01T00:00:00.000+0000` and RFC 3339.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?.to_timestamp().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_time(text).map(|time| time.to_string()).as_deref(), expected, "{text}");
        };
        check("2026-01-02T03:04:05.678+0000", Some("2026-01-02T03:04:05.678Z"));
        check("2026-01-02T03:04:05.000+0100", Some("2026-01-02T02:04:05Z"));
        check("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z"));
        check("yesterday", None);
    }
}

//! Points in time as exporters write them: ISO 8601 with and without a zone, and seconds or milliseconds since 1970.
//!
//! Invariant: a time without a zone is read in the configured one, never in this machine's.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::wire::{Kind, Value};

/// The point in time that a value names.
pub(super) fn read(value: Value<'_>, zone: &TimeZone) -> Option<Timestamp> {
    match value.kind() {
        Kind::Text => of_text(value.text()?.trim(), zone),
        Kind::Number => of_epoch(value.number()?),
        _ => None,
    }
}

/// The same of a text without blanks around it.
pub(super) fn of_text(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<DateTime>() {
        return at.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    }
    if let Ok(number) = text.parse::<f64>() {
        return of_epoch(number);
    }
    spelled_otherwise(text)
}

/// A blank before the offset, or `UTC` or `GMT` as the zone.
fn spelled_otherwise(text: &str) -> Option<Timestamp> {
    let (clock, zone) = text.rsplit_once(' ')?;
    let zone = if matches!(zone, "UTC" | "GMT" | "Z") { "Z" } else { zone };
    if zone != "Z" && !zone.starts_with(['+', '-']) {
        return None;
    }
    format!("{}{zone}", clock.trim_end()).parse().ok()
}

/// Seconds, or by their size milli-, micro- or nanoseconds.
fn of_epoch(number: f64) -> Option<Timestamp> {
    if !number.is_finite() || number <= 0.0 {
        return None;
    }
    let micros_a_unit = match number {
        n if n < 1e11 => 1e6,
        n if n < 1e14 => 1e3,
        n if n < 1e17 => 1.0,
        _ => 1e-3,
    };
    let micros = (number * micros_a_unit).round();
    // Far below what an i64 holds; a larger one is no time at all.
    (micros < 9e18).then(|| Timestamp::from_microsecond(micros as i64).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn every_spelling_names_its_point_in_time() {
        let check = |json: &str, zone: &str, expected: Option<&str>| {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            let zone = TimeZone::get(zone).expect("a zone");
            let found = read(Value(&raw), &zone).map(|at| at.to_string());
            assert_eq!(found.as_deref(), expected, "{json}");
        };
        check(r#""2025-10-31T09:15:02.120344""#, "UTC", Some("2025-10-31T09:15:02.120344Z"));
        check(r#""2025-10-31T09:15:02.120344""#, "America/Los_Angeles", Some("2025-10-31T16:15:02.120344Z"));
        check(r#""2025-10-31T09:15:02Z""#, "America/Los_Angeles", Some("2025-10-31T09:15:02Z"));
        check(r#""2025-10-31 09:15:02""#, "UTC", Some("2025-10-31T09:15:02Z"));
        check(r#""2025-10-31T09:15:02+02:00""#, "UTC", Some("2025-10-31T07:15:02Z"));
        check(r#""2025-10-31T09:15:02-0230""#, "UTC", Some("2025-10-31T11:45:02Z"));
        check(r#""2025-10-31 09:15:02 +0200""#, "UTC", Some("2025-10-31T07:15:02Z"));
        check(r#"" 2025-10-31 09:15:02 UTC ""#, "UTC", Some("2025-10-31T09:15:02Z"));
        check(r#""2025-10-31""#, "UTC", Some("2025-10-31T00:00:00Z"));
        check("1761902102", "America/Los_Angeles", Some("2025-10-31T09:15:02Z"));
        check("1761902102.5", "UTC", Some("2025-10-31T09:15:02.5Z"));
        check("1761902102500", "UTC", Some("2025-10-31T09:15:02.5Z"));
        check(r#""1761902102""#, "UTC", Some("2025-10-31T09:15:02Z"));
        check(r#""2025-03-09T02:30:00""#, "America/New_York", Some("2025-03-09T07:30:00Z"));
        for odd in
            [r#""""#, r#""soon""#, "0", "-5", "1e300", "true", "null", "[]", r#""2025-13-01T00:00:00Z""#, r#""NaN""#]
        {
            check(odd, "UTC", None);
        }
    }
}

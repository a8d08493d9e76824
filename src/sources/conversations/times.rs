//! Points in time as these agents write them: Python's `str(datetime)` and `isoformat()`, the latter with a `Z` too many,
//! numbers since 1970, and what a Mongo export makes of either.
//!
//! Invariant: a time that is missing or cannot be read is absent, never the present.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::shape::plain;
use crate::sources::time;
use crate::sources::wire::{Fields, Kind, Value};

/// The point in time that a value names; without a zone it is one of `zone`.
pub(super) fn read(value: Value<'_>, zone: &TimeZone) -> Option<Timestamp> {
    let value = plain(value);
    match value.kind() {
        Kind::Text => of_text(&value.text()?, zone),
        _ => time::read(value, zone),
    }
}

pub(super) fn of_text(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    time::of_text(without_second_zone(text.trim()), zone)
}

/// The first of these fields that names a time.
pub(super) fn first(fields: &Fields<'_>, names: &[&str], zone: &TimeZone) -> Option<Timestamp> {
    names.iter().find_map(|name| read(fields.get(name)?, zone))
}

/// `isoformat() + "Z"` of a time with an offset has two zones; the offset is the true one.
fn without_second_zone(text: &str) -> &str {
    let Some(rest) = text.strip_suffix(['Z', 'z']) else { return text };
    let after_sign = rest.rsplit_once(['+', '-']).map(|(_, offset)| offset).unwrap_or_default();
    let digits = after_sign.bytes().filter(u8::is_ascii_digit).count();
    let is_offset = rest.contains(':') && digits == 4 && matches!(after_sign.len(), 4 | 5);
    if is_offset && rest.len() - after_sign.len() > 11 { rest } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn every_spelling_of_these_agents_names_its_point_in_time() {
        let check = |json: &str, zone: &str, expected: Option<&str>| {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            let zone = TimeZone::get(zone).expect("a zone");
            assert_eq!(read(Value(&raw), &zone).map(|at| at.to_string()).as_deref(), expected, "{json}");
        };
        check(r#""2025-03-04 10:00:00.120000+00:00""#, "America/New_York", Some("2025-03-04T10:00:00.12Z"));
        check(r#""2025-03-04 10:00:00.120000""#, "UTC", Some("2025-03-04T10:00:00.12Z"));
        check(r#""2025-03-04 10:00:00""#, "America/New_York", Some("2025-03-04T15:00:00Z"));
        check(r#""2025-03-04T10:00:00+00:00Z""#, "America/New_York", Some("2025-03-04T10:00:00Z"));
        check(r#""2025-03-04T10:00:00.5-05:00Z""#, "UTC", Some("2025-03-04T15:00:00.5Z"));
        check(r#""2025-03-04T10:00:00Z""#, "America/New_York", Some("2025-03-04T10:00:00Z"));
        check(r#""2025-03-04T10:00Z""#, "America/New_York", Some("2025-03-04T10:00:00Z"));
        check("1741082400", "America/New_York", Some("2025-03-04T10:00:00Z"));
        check("1741082400.25", "UTC", Some("2025-03-04T10:00:00.25Z"));
        check("1741082400250", "UTC", Some("2025-03-04T10:00:00.25Z"));
        check("1741082400250000000", "UTC", Some("2025-03-04T10:00:00.25Z"));
        check(r#"{"$date": "2025-03-04T10:00:00Z"}"#, "UTC", Some("2025-03-04T10:00:00Z"));
        check(r#"{"$date": {"$numberLong": "1741082400000"}}"#, "UTC", Some("2025-03-04T10:00:00Z"));
        for odd in [r#""""#, r#""None""#, "null", "[]", "{}", r#""Z""#, r#""+00:00Z""#, r#""now""#] {
            check(odd, "UTC", None);
        }
    }
}

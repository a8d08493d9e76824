//! The names of things: a day's folder, a key in a URL's path, a key as a listing writes it.
//!
//! Invariant: a key is text, byte for byte; only the wire sees it encoded.

use std::borrow::Cow;

use jiff::civil::Date;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What AWS leaves as it is in a canonical request: letters, digits and `-_.~`.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: AsciiSet = UNRESERVED.remove(b'/');

/// How the folder of a year begins.
pub(super) const YEAR: &str = "year=";

/// The folder of one day below the prefix, with its closing slash.
pub(super) fn day_folder(day: Date) -> String {
    format!("year={:04}/month={:02}/day={:02}/", day.year(), day.month(), day.day())
}

/// A key as it stands in a URL's path.
pub(super) fn path_of(key: &str) -> String {
    utf8_percent_encode(key, &PATH).to_string()
}

/// A value as it stands in a URL's query.
pub(super) fn query_value(value: &str) -> String {
    utf8_percent_encode(value, &UNRESERVED).to_string()
}

/// A key as a listing with `encoding-type=url` writes it: a blank as `+`, the rest percent-encoded.
pub(super) fn listed(encoded: &str) -> String {
    let blanks: Cow<'_, str> = if encoded.contains('+') { encoded.replace('+', "%20").into() } else { encoded.into() };
    percent_decode_str(&blanks).decode_utf8_lossy().into_owned()
}

/// Whether the key can be asked for by URL at all: URLs drop the segments `.` and `..`, so another key would be read.
pub(super) fn can_be_requested(key: &str) -> bool {
    !key.split('/').any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_one_folder() {
        assert_eq!(day_folder(jiff::civil::date(2025, 10, 9)), "year=2025/month=10/day=09/");
    }

    #[test]
    fn odd_keys_survive_the_wire() {
        let check = |key: &str, path: &str| {
            assert_eq!(path_of(key), path);
            assert_eq!(listed(path), key);
        };
        check("a b+c%20d.json", "a%20b%2Bc%2520d.json");
        check("day=29//é'#?.gz", "day%3D29//%C3%A9%27%23%3F.gz");
        assert_eq!(listed("a+b%2Bc"), "a b+c");
        assert!(!can_be_requested("a/../b") && !can_be_requested("./b") && can_be_requested("a/..b/c."));
    }
}

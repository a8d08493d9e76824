//! Reading a request target: path segments and parameters, percent-decoded, `+` as a space in parameters only.

use std::collections::HashMap;

/// A path split into decoded segments, and its parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) segments: Vec<String>,
    pub(super) parameters: HashMap<String, String>,
}

impl Target {
    /// Splits `path?query`; empty segments (a trailing slash) are dropped.
    pub(super) fn parse(target: &str) -> Target {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
        Target { segments, parameters: form(query) }
    }
}

/// The pairs of a form or query string.
pub(super) fn form(text: &str) -> HashMap<String, String> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let escaped = match byte {
            b'%' => text.get(index + 1..index + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        index += if escaped.is_some() { 3 } else { 1 };
        decoded.push(match escaped {
            Some(escaped) => escaped,
            None if *byte == b'+' && plus_is_space => b' ',
            None => *byte,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_space_and_a_trailing_slash_are_read() {
        let plus = Target::parse("/services/data/v66.0/query/?q=SELECT+Id%2CName");
        let percent = Target::parse("/services/data/v66.0/query?q=SELECT%20Id,Name");
        assert_eq!(plus, percent);
        assert_eq!(plus.parameters["q"], "SELECT Id,Name");
    }

    #[test]
    fn an_encoded_slash_stays_in_its_segment_and_bad_escapes_stay_as_they_are() {
        assert_eq!(Target::parse("/a%2Fb/c+d/%zz/%").segments, ["a/b", "c+d", "%zz", "%"]);
    }
}

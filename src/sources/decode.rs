//! The bytes of a document to the fields of its one object.
//!
//! Invariant: the reason for a refusal names a place (line, column) and a kind, never what stands there.

use serde_json::value::RawValue;

use super::repair;
use super::wire::{Fields, Kind, Value};
use crate::problem::{self, Code};

/// Why a document is not a session: its code and what is wrong, to be put behind the file's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: Code,
    pub what: String,
}

pub(super) const REPAIRED: &str =
    "the file is not strict JSON (NaN, Infinity or raw control characters); read leniently";

/// Checks that `bytes` are UTF-8 text that says something.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, Refused> {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let Ok(text) = simdutf8::basic::from_utf8(bytes) else {
        return Err(not_text());
    };
    if text.trim().is_empty() {
        return Err(empty());
    }
    Ok(text)
}

/// Gives the fields of the one object that `text` holds to `read`, with a note if the text had to be repaired.
pub(super) fn with_fields<T>(
    text: &str,
    read: impl FnOnce(&Fields<'_>, Option<&'static str>) -> T,
) -> Result<T, Refused> {
    let first = match parse(text) {
        Ok(fields) => return Ok(read(&fields, None)),
        Err(refused) => refused,
    };
    let repaired = repair::repaired(text).filter(|_| first.code == problem::RAW_NOT_JSON);
    match repaired.as_deref().map(parse) {
        Some(Ok(fields)) => Ok(read(&fields, Some(REPAIRED))),
        Some(Err(second)) if second.code == problem::RAW_NOT_OBJECT => Err(second),
        _ => Err(first),
    }
}

fn parse(text: &str) -> Result<Fields<'_>, Refused> {
    if !text.trim_start().starts_with('{') {
        return Err(not_an_object(text));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Fields<'_>>();
    let fields = match values.next() {
        Some(Ok(fields)) => fields,
        Some(Err(error)) => return Err(not_json(&error)),
        None => return Err(empty()),
    };
    let rest = text[values.byte_offset()..].trim_start();
    if rest.is_empty() {
        return Ok(fields);
    }
    let mut further = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
    Err(more_follows(matches!(further.next(), Some(Ok(_)))))
}

pub(super) fn not_text() -> Refused {
    refused(problem::RAW_NOT_TEXT, "is neither gzip nor UTF-8 text")
}

pub(super) fn empty() -> Refused {
    refused(problem::RAW_EMPTY, "is empty")
}

/// Something follows the object: JSON or not.
pub(super) fn more_follows(is_json: bool) -> Refused {
    if is_json {
        refused(problem::RAW_NOT_OBJECT, "holds more than one JSON value; a session file holds exactly one object")
    } else {
        refused(problem::RAW_NOT_JSON, "has something that is not JSON after its object")
    }
}

/// It holds a value of this kind, or, if `None`, several.
pub(super) fn holds(kind: Option<Kind>) -> Refused {
    match kind {
        Some(kind) => refused(problem::RAW_NOT_OBJECT, &format!("holds {kind}; a session file holds one object")),
        None => refused(problem::RAW_NOT_OBJECT, "holds several values; a session file holds exactly one object"),
    }
}

fn not_an_object(text: &str) -> Refused {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => holds(Some(Value(raw).kind())),
        Err(error) if error.is_syntax() && error.to_string().starts_with("trailing characters") => holds(None),
        Err(error) => not_json(&error),
    }
}

pub(super) fn not_json(error: &serde_json::Error) -> Refused {
    let place = if error.is_eof() {
        format!("is not JSON: it ends in the middle, at line {} column {}", error.line(), error.column())
    } else {
        format!("is not JSON at line {} column {}", error.line(), error.column())
    };
    refused(problem::RAW_NOT_JSON, &place)
}

fn refused(code: Code, what: &str) -> Refused {
    Refused { code, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_one_object_or_refused() {
        let check = |bytes: &[u8], expected: Result<usize, (Code, &str)>| {
            let found = text_of(bytes).and_then(|text| with_fields(text, |fields, _| fields.iter().count()));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err((code, part))) => {
                    assert!(found.code == code && found.what.contains(part), "{found:?}");
                    assert!(!found.what.contains("secret"), "{found:?}");
                }
                (found, expected) => panic!("{:?}: {found:?}, not {expected:?}", String::from_utf8_lossy(bytes)),
            }
        };
        check(b"{}", Ok(0));
        check(b"\xef\xbb\xbf {\"a\": 1, \"b\": {\"c\": [1]}}\r\n", Ok(2));
        check(b"{\"a\": NaN}", Ok(1));
        check(b"{\"a\": \"line\nend\"}", Ok(1));
        check(b"", Err((problem::RAW_EMPTY, "empty")));
        check(b" \n\t", Err((problem::RAW_EMPTY, "empty")));
        check(b"\xef\xbb\xbf", Err((problem::RAW_EMPTY, "empty")));
        check(b"\xff\xfe{\x00}\x00", Err((problem::RAW_NOT_TEXT, "UTF-8")));
        check(b"[{}]", Err((problem::RAW_NOT_OBJECT, "a list")));
        check(b"\"secret\"", Err((problem::RAW_NOT_OBJECT, "a text")));
        check(b"null", Err((problem::RAW_NOT_OBJECT, "null")));
        check(b"12", Err((problem::RAW_NOT_OBJECT, "a number")));
        check(b"[1] [2]", Err((problem::RAW_NOT_OBJECT, "several")));
        check(b"{}\n{\"a\": 1}\n", Err((problem::RAW_NOT_OBJECT, "more than one")));
        check(b"{\"a\": NaN}\n{}", Err((problem::RAW_NOT_OBJECT, "more than one")));
        check(b"{} secret", Err((problem::RAW_NOT_JSON, "after its object")));
        check(b"{\"a\":\n secret}", Err((problem::RAW_NOT_JSON, "line 2 column")));
        check(b"{\"secret\": 1", Err((problem::RAW_NOT_JSON, "ends in the middle")));
        check(b"<html>secret</html>", Err((problem::RAW_NOT_JSON, "line 1")));
    }
}

//! Whether a record in the org says already what would be written.
//!
//! Invariant: "yes" only where a write would change nothing that a person could see. Salesforce gives values back in
//! forms of its own: times with `+0000`, ids with 18 characters, texts without blanks at the end.

use serde_json::Value;

use super::describe::{Facts, Kind};
use super::time::parse_time;
use crate::destinations::Record;

/// Ids are the same if their first 15 characters are; the last three are a checksum.
const ID_CHARS: usize = 15;

/// Whether each field of `wanted` stands in `held` already.
pub fn stands(facts: &Facts, held: &Record, wanted: &Record) -> bool {
    wanted.iter().all(|(name, wanted)| {
        let found = held.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let kind = facts.field(name).map(|field| field.kind);
        found.is_some_and(|held| same(kind, name, held, wanted))
    })
}

fn same(kind: Option<Kind>, name: &str, held: &Value, wanted: &Value) -> bool {
    match (held, wanted) {
        (Value::String(held), Value::String(wanted)) if kind == Some(Kind::DateTime) => {
            let (held, wanted) = (parse_time(held), parse_time(wanted));
            held.is_some() && held == wanted
        }
        (Value::String(held), Value::String(wanted)) if name.ends_with("Id") => {
            let head = |id: &str| id.get(..ID_CHARS).unwrap_or(id).to_owned();
            head(held) == head(wanted)
        }
        (Value::String(held), Value::String(wanted)) => plain(held) == plain(wanted),
        (Value::Null, Value::String(wanted)) => wanted.is_empty(),
        (Value::Number(held), Value::Number(wanted)) => held.as_f64() == wanted.as_f64(),
        _ => held == wanted,
    }
}

/// Without blanks at the ends, and with one kind of line end.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_stands_only_if_each_field_says_the_same() {
        let check = |held: Value, wanted: Value, expected: bool| {
            let record = |value: &Value| value.as_object().cloned().unwrap_or_default();
            let facts = Facts::documented("Call_Key__c");
            assert_eq!(stands(&facts, &record(&held), &record(&wanted)), expected, "{held} {wanted}");
        };
        check(json!({ "Subject": "A" }), json!({ "Subject": "A" }), true);
        check(json!({ "subject": "A", "Status": "Open" }), json!({ "Subject": "A" }), true);
        check(json!({ "Subject": "A" }), json!({ "Subject": "a" }), false);
        check(json!({ "Subject": "A" }), json!({ "Subject": "A", "Status": "Completed" }), false);
        check(json!({ "Subject": null }), json!({ "Subject": "A" }), false);
        check(json!({ "Description": "one\r\ntwo " }), json!({ "Description": "one\ntwo\n" }), true);
        check(json!({ "Description": "one two" }), json!({ "Description": "one\ntwo" }), false);
        check(json!({ "CallDurationInSeconds": 60.0 }), json!({ "CallDurationInSeconds": 60 }), true);
        check(json!({ "CallDurationInSeconds": 61 }), json!({ "CallDurationInSeconds": 60 }), false);
        check(json!({ "WhoId": "003000000000001AAA" }), json!({ "WhoId": "003000000000001" }), true);
        check(json!({ "WhoId": "003000000000002AAA" }), json!({ "WhoId": "003000000000001AAA" }), false);
        check(json!({}), json!({}), true);
    }
}

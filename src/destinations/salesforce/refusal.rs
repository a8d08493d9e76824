//! Reads answers that are not a success: the REST array, a single object, the OAuth shape, HTML, or nothing.
//!
//! Invariant: reading never fails, and one part that cannot be understood hides no other; what is not understood at all
//! becomes a [`Refusal`] without faults. Which outcome follows is decided in `outcome`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::net::retry_after;
use crate::problem::scrub;

/// One error as Salesforce reports it, for a whole request or for one row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub code: String,
    pub message: String,
    pub fields: Vec<String>,
}

impl Fault {
    /// Reads one error of a request (`errorCode`), of a row (`statusCode`) or of OAuth (`error`). `None` if it is none.
    fn read(value: &Value) -> Option<Fault> {
        let first = |names: &[&str]| {
            let mut texts = names.iter().filter_map(|name| value.get(name)?.as_str());
            texts.find(|text| !text.trim().is_empty()).unwrap_or_default().to_owned()
        };
        let code = first(&["errorCode", "statusCode", "error"]);
        let message = first(&["message", "error_description"]);
        if code.is_empty() && message.is_empty() {
            return None;
        }
        let fields = value.get("fields").map(texts_of).unwrap_or_default();
        Some(Fault { code, message, fields })
    }

    /// Reads a list of errors, also where a single one stands without its list; anything else counts as none.
    pub fn read_all(value: &Value) -> Vec<Fault> {
        match value {
            Value::Array(items) => items.iter().filter_map(Fault::read).collect(),
            other => Fault::read(other).into_iter().collect(),
        }
    }

    /// Whether the error is about this field, by the list of fields.
    pub fn names_field(&self, field: &str) -> bool {
        self.fields.iter().any(|name| name.eq_ignore_ascii_case(field))
    }

    /// Code and message, fit for a problem's text.
    pub fn text(&self) -> String {
        match (self.code.is_empty(), self.message.trim().is_empty()) {
            (false, false) => format!("{}: {}", scrub(&self.code), scrub(&self.message)),
            (false, true) => scrub(&self.code),
            (true, _) => scrub(&self.message),
        }
    }
}

/// A whole request that was answered, but not with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub faults: Vec<Fault>,
    /// Records that a duplicate rule names: object and id.
    pub duplicates: Vec<(String, String)>,
    /// How long the server asks to wait, capped.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Reads status, headers and body; `now` turns a `Retry-After` date into a pause.
    pub fn read(response: &http::Response<bytes::Bytes>, now: Timestamp) -> Refusal {
        let body = response.body();
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let duplicates = read_duplicates(&value);
        let faults = Fault::read_all(&value);
        let retry_after = retry_after(response.headers(), now);
        Refusal { status: response.status().as_u16(), faults, duplicates, retry_after }
    }

    /// Whether Salesforce itself answered, rather than something in front of it.
    pub fn is_salesforces_own(&self) -> bool {
        self.faults.iter().any(|fault| !fault.code.is_empty())
    }

    pub fn has_code(&self, code: &str) -> bool {
        self.faults.iter().any(|fault| fault.code == code)
    }

    /// What was said, fit for a problem's text.
    pub fn text(&self) -> String {
        match self.faults.first() {
            Some(fault) => format!("HTTP {}, {}", self.status, fault.text()),
            None => format!("HTTP {} without an error that Salesforce would send", self.status),
        }
    }
}

/// The texts of a list, or a text that stands alone.
fn texts_of(value: &Value) -> Vec<String> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Finds the records in `duplicateResut`, as live orgs spell it, or `duplicateResult`.
fn read_duplicates(value: &Value) -> Vec<(String, String)> {
    let first = value.get(0).unwrap_or(value);
    let result = first.get("duplicateResut").or_else(|| first.get("duplicateResult"));
    let matches = result.and_then(|r| r.get("matchResults")).and_then(Value::as_array);
    let mut found = Vec::new();
    for one in matches.into_iter().flatten() {
        let entity = one.get("entityType").and_then(Value::as_str).unwrap_or_default();
        let records = one.get("matchRecords").and_then(Value::as_array);
        for record in records.into_iter().flatten().filter_map(|r| r.get("record")) {
            let object = record.pointer("/attributes/type").and_then(Value::as_str).unwrap_or(entity);
            if let Some(id) = record.get("Id").or_else(|| record.get("id")).and_then(Value::as_str) {
                found.push((object.to_owned(), id.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(status: u16, body: &str) -> Refusal {
        let response = http::Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        Refusal::read(&response, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn every_shape_of_error_body_is_understood() {
        let check = |body: &str, code: &str, message: &str| {
            let refusal = read(400, body);
            let fault = refusal.faults.first().cloned().unwrap_or_default();
            assert_eq!((fault.code.as_str(), fault.message.as_str()), (code, message), "{body}");
        };
        check(r#"[{"message":"m","errorCode":"C"}]"#, "C", "m");
        check(r#"[{"message":"m","errorCode":"C","fields":["F"]}]"#, "C", "m");
        check(r#"[{"message":"m","statusCode":"C","fields":null}]"#, "C", "m");
        check(r#"[{"message":"m","errorCode":"C","fields":"F","extra":{"a":[1]}}]"#, "C", "m");
        check(r#"[{"message":"m","errorCode":"C","statusCode":"C"}]"#, "C", "m");
        check(r#"[{"message":"m","errorCode":null,"statusCode":"C"}]"#, "C", "m");
        check(r#"[{"message":null,"errorCode":"C"}]"#, "C", "");
        check(r#"[{"message":5,"errorCode":"C","fields":[null,"F",3]}]"#, "C", "");
        check(r#"[null,"x",{"errorCode":"C"}]"#, "C", "");
        check(r#"{"message":"m","errorCode":"C"}"#, "C", "m");
        check(r#"{"error":"invalid_grant"}"#, "invalid_grant", "");
        check(
            r#"{"error":"invalid_grant","error_description":"authentication failure"}"#,
            "invalid_grant",
            "authentication failure",
        );
        check("<html>Bad gateway</html>", "", "");
        check("", "", "");
        check("[]", "", "");
        check("null", "", "");
        check(r#"["https://x/1","https://x/2"]"#, "", "");
        check(r#"[{"message":5}]"#, "", "");
    }

    #[test]
    fn fields_are_a_list_a_text_or_absent() {
        let check = |fields: &str, expected: &[&str]| {
            let body = format!(r#"[{{"errorCode":"C","message":"m"{fields}}}]"#);
            assert_eq!(read(400, &body).faults[0].fields, expected, "{body}");
        };
        check("", &[]);
        check(r#","fields":null"#, &[]);
        check(r#","fields":[]"#, &[]);
        check(r#","fields":"F""#, &["F"]);
        check(r#","fields":["F",null,"G"]"#, &["F", "G"]);
        check(r#","fields":{"F":1}"#, &[]);
    }

    #[test]
    fn both_spellings_of_the_duplicate_result_name_the_records() {
        for key in ["duplicateResut", "duplicateResult"] {
            let body = format!(
                r#"[{{"{key}":{{"matchResults":[{{"entityType":"Contact","matchRecords":[{{"record":{{"attributes":{{"type":"Contact"}},"Id":"003x"}}}},{{"record":{{"Id":"003y"}}}}]}}]}},"errorCode":"DUPLICATES_DETECTED","message":"Use one of these records?"}}]"#
            );
            let expected = [("Contact".to_owned(), "003x".to_owned()), ("Contact".to_owned(), "003y".to_owned())];
            assert_eq!(read(400, &body).duplicates, expected);
        }
    }
}

//! Reads what Salesforce answers for each record of a request.
//!
//! Invariant: an answer that cannot be understood hides none of its neighbours: it alone counts as unknown.

use serde_json::Value;

use super::refusal::Fault;
use super::rules::{self, Verdict};

/// The answer for one record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowAnswer {
    pub id: Option<String>,
    /// `None` if it cannot be told.
    pub success: Option<bool>,
    pub faults: Vec<Fault>,
}

impl RowAnswer {
    fn read(value: &Value) -> RowAnswer {
        let id = value.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
        let faults = value.get("errors").map(Fault::read_all).unwrap_or_default();
        let told = value.get("success").and_then(Value::as_bool);
        let success = told.or_else(|| (!faults.is_empty()).then_some(false)).or_else(|| id.is_some().then_some(true));
        RowAnswer { id, success, faults }
    }

    pub fn failed(&self) -> bool {
        self.success == Some(false)
    }

    /// The first error that the table judges so.
    pub fn fault(&self, verdict: Verdict) -> Option<&Fault> {
        let faults = self.faults.iter().filter(|_| self.failed());
        faults.into_iter().find(|fault| rules::find(fault).is_some_and(|rule| rule.verdict == verdict))
    }
}

/// The answers for `rows` records, in order; one record's answer may stand without the list. `None` if there are more or
/// fewer.
pub fn read(body: &Value, rows: usize) -> Option<Vec<RowAnswer>> {
    let answers: Vec<RowAnswer> = match body {
        Value::Array(items) => items.iter().map(RowAnswer::read).collect(),
        Value::Object(_) => vec![RowAnswer::read(body)],
        _ => return None,
    };
    (answers.len() == rows).then_some(answers)
}

/// The fields that an error about fields names, in its list or in its text. Empty if it names none.
pub fn fields_named(fault: &Fault) -> Vec<String> {
    if !fault.fields.is_empty() {
        return fault.fields.clone();
    }
    let message = &fault.message;
    if let Some((_, rest)) = message.split_once("No such column '") {
        return rest.split('\'').next().map(str::to_owned).into_iter().collect();
    }
    let Some((_, rest)) = message.split_once("fields:") else { return Vec::new() };
    let list = rest.split('.').next().unwrap_or_default();
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_of_a_row_is_understood() {
        let check = |row: Value, id: Option<&str>, success: Option<bool>, codes: &[&str]| {
            let answers = read(&json!([row, {"id": "00T2", "success": true}]), 2).expect("two answers");
            let codes_read: Vec<&str> = answers[0].faults.iter().map(|fault| fault.code.as_str()).collect();
            let read = (answers[0].id.as_deref(), answers[0].success, codes_read.as_slice());
            assert_eq!(read, (id, success, codes), "{row}");
            assert_eq!(answers[1].success, Some(true), "the neighbour of {row}");
        };
        let error = json!({"statusCode": "C", "errorCode": "D", "message": null, "fields": null, "extra": 1});
        check(json!({"id": "00T1", "success": true, "errors": []}), Some("00T1"), Some(true), &[]);
        check(json!({"id": "00T1", "success": true, "errors": null, "created": true}), Some("00T1"), Some(true), &[]);
        check(json!({"id": "00T1"}), Some("00T1"), Some(true), &[]);
        check(json!({"success": false, "errors": [error.clone()]}), None, Some(false), &["D"]);
        check(json!({"id": null, "success": false, "errors": error.clone()}), None, Some(false), &["D"]);
        check(json!({"id": "", "errors": [null, 1, "x", error]}), None, Some(false), &["D"]);
        check(json!({"success": false}), None, Some(false), &[]);
        check(json!({}), None, None, &[]);
        check(json!(null), None, None, &[]);
        check(json!("x"), None, None, &[]);
    }

    #[test]
    fn an_answer_for_more_or_fewer_records_is_none() {
        assert_eq!(read(&json!([]), 1), None);
        assert_eq!(read(&json!([{}, {}]), 1), None);
        assert_eq!(read(&json!("x"), 1), None);
        let alone = read(&json!({"id": "00T1", "success": true}), 1).expect("one answer");
        assert_eq!(alone[0].id.as_deref(), Some("00T1"));
    }

    #[test]
    fn the_fields_are_named_in_the_list_or_in_the_text() {
        let check = |message: &str, fields: &[&str], expected: &[&str]| {
            let fields = fields.iter().map(|field| (*field).to_owned()).collect();
            let fault = Fault { code: "INVALID_FIELD".into(), message: message.into(), fields };
            assert_eq!(fields_named(&fault), expected, "{message}");
        };
        check("No such column 'X__c' on sobject of type Task", &[], &["X__c"]);
        check("Unable to create/update fields: Status, ActivityDate. Please check", &[], &["Status", "ActivityDate"]);
        check("Unable to create/update fields: Status. Please check", &["CallType"], &["CallType"]);
        check("what?", &[], &[]);
    }
}

//! What went wrong, in the two shapes the API has for it: an array element (`errorCode`) and a collection row
//! (`statusCode`).
//!
//! The texts are the documented ones, so that a client which reads them is tested against the real thing.

use std::borrow::Cow;

use serde_json::{Value, json};

/// One error: an HTTP status, a code, a text, and sometimes the fields it is about.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: Cow<'static, str>,
    pub(super) message: String,
    pub(super) fields: Option<Vec<String>>,
    /// A further member of the body, such as the misspelt `duplicateResut`.
    pub(super) extra: Option<Box<(&'static str, Value)>>,
}

impl Problem {
    /// An error of a whole request; its body has no `fields`.
    pub(super) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Problem {
        Problem { status, code: code.into(), message: message.into(), fields: None, extra: None }
    }

    /// An error of one record: status 400 and a `fields` array.
    pub(super) fn row(code: impl Into<Cow<'static, str>>, message: impl Into<String>, fields: &[&str]) -> Problem {
        let fields = Some(fields.iter().map(|field| (*field).to_owned()).collect());
        Problem { fields, ..Problem::new(400, code, message) }
    }

    pub(super) fn with_status(self, status: u16) -> Problem {
        Problem { status, ..self }
    }

    /// The element of a REST error array.
    pub(super) fn to_request_json(&self) -> Value {
        let mut body = json!({ "message": self.message, "errorCode": self.code });
        if let Some(fields) = &self.fields {
            body["fields"] = json!(fields);
        }
        self.add_extra(body)
    }

    /// The element of a collection row's `errors`.
    pub(super) fn to_row_json(&self) -> Value {
        let fields = self.fields.as_deref().unwrap_or_default();
        self.add_extra(json!({ "statusCode": self.code, "message": self.message, "fields": fields }))
    }

    fn add_extra(&self, mut body: Value) -> Value {
        if let Some(extra) = &self.extra {
            let (name, value) = &**extra;
            body[*name] = value.clone();
        }
        body
    }

    pub(super) fn session_invalid() -> Problem {
        Problem::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    pub(super) fn not_found() -> Problem {
        Problem::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    pub(super) fn method_not_allowed(method: &str, allowed: &str) -> Problem {
        let message = format!("HTTP Method '{method}' not allowed. Allowed are {allowed}");
        Problem::new(405, "METHOD_NOT_ALLOWED", message)
    }

    pub(super) fn json(message: impl Into<String>) -> Problem {
        Problem::new(400, "JSON_PARSER_ERROR", message)
    }

    pub(super) fn read_only() -> Problem {
        Problem::row("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", &[])
    }

    /// A field that does not exist, or that the user may not see: the API does not tell them apart.
    pub(super) fn no_such_column(field: &str, object: &str) -> Problem {
        Problem::new(400, "INVALID_FIELD", format!("No such column '{field}' on sobject of type {object}"))
    }

    pub(super) fn field_not_writable(field: &str) -> Problem {
        let message = format!(
            "Unable to create/update fields: {field}. Please check the security settings of this field and verify \
             that it is read/write for your profile or permission set."
        );
        Problem::row("INVALID_FIELD_FOR_INSERT_UPDATE", message, &[field])
    }

    pub(super) fn total_requests() -> Problem {
        Problem::new(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    }

    pub(super) fn concurrent_requests() -> Problem {
        Problem::new(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
    }

    pub(super) fn unavailable() -> Problem {
        Problem::new(
            503,
            "SERVER_UNAVAILABLE",
            "There are no servers available to process this request. Please try again later.",
        )
    }

    pub(super) fn unknown_exception() -> Problem {
        Problem::new(
            500,
            "UNKNOWN_EXCEPTION",
            "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345 \
             (-1234567890)",
        )
    }

    /// What a row gets whose parent another request holds.
    pub(super) fn lock(record: &str) -> Problem {
        let message = format!("unable to obtain exclusive access to this record or 1 records: {record}");
        Problem::row("UNABLE_TO_LOCK_ROW", message, &[])
    }
}

//! An answer before it is put on the wire: a status, a body of some kind, a few headers.

use serde::Serialize;
use serde_json::{Value, json};

use super::problem::Problem;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Json(Vec<u8>),
    Html(String),
    Xml(String),
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) headers: Vec<(&'static str, String)>,
    /// The code of the error, for the counters.
    pub(super) refused: Option<String>,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Answer {
        Answer { status, content: Content::Empty, headers: Vec::new(), refused: None }
    }

    pub(super) fn json(status: u16, body: &impl Serialize) -> Answer {
        match serde_json::to_vec(body) {
            Ok(bytes) => Answer { content: Content::Json(bytes), ..Answer::empty(status) },
            Err(error) => Answer::problem(&Problem::new(500, "UNKNOWN_EXCEPTION", error.to_string())),
        }
    }

    pub(super) fn html(status: u16, page: String) -> Answer {
        Answer { content: Content::Html(page), ..Answer::empty(status) }
    }

    /// The REST error array.
    pub(super) fn problem(problem: &Problem) -> Answer {
        let body = Value::Array(vec![problem.to_request_json()]);
        let content = Content::Json(body.to_string().into_bytes());
        Answer { content, refused: Some(problem.code.to_string()), ..Answer::empty(problem.status) }
    }

    /// What the edge says when nobody behind it answers.
    pub(super) fn bad_gateway() -> Answer {
        let page = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n\
                    </body>\n</html>\n";
        Answer { refused: Some("502".to_owned()), ..Answer::html(502, page.to_owned()) }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// The body as JSON, for composite answers.
    pub(super) fn body(&self) -> Value {
        match &self.content {
            Content::Json(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
            _ => Value::Null,
        }
    }
}

impl From<Result<Answer, Problem>> for Answer {
    fn from(result: Result<Answer, Problem>) -> Answer {
        result.unwrap_or_else(|problem| Answer::problem(&problem))
    }
}

/// The answer to a single write that created or updated.
pub(super) fn saved(id: &str, created: Option<bool>) -> Value {
    let mut body = json!({ "id": id, "success": true, "errors": [] });
    if let Some(created) = created {
        body["created"] = Value::Bool(created);
    }
    body
}

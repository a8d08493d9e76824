//! An answer before it is put on the wire: a status, a body of some kind, a few headers.

use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`; `None` where there is no body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// No body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, content_type: None, body: Vec::new(), headers: Vec::new() }
    }

    /// A body of JSON.
    pub fn json(status: u16, body: &Value) -> Answer {
        let body = body.to_string().into_bytes();
        Answer { content_type: Some("application/json; charset=utf-8"), body, ..Answer::empty(status) }
    }

    /// A page.
    pub fn html(status: u16, page: impl Into<String>) -> Answer {
        let body = page.into().into_bytes();
        Answer { content_type: Some("text/html; charset=utf-8"), body, ..Answer::empty(status) }
    }

    /// Plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Answer {
        let body = text.into().into_bytes();
        Answer { content_type: Some("text/plain; charset=utf-8"), body, ..Answer::empty(status) }
    }

    /// What an edge says for a system behind it.
    pub fn edge(status: u16) -> Answer {
        let title = match status {
            502 => "502 Bad Gateway".to_owned(),
            503 => "503 Service Temporarily Unavailable".to_owned(),
            504 => "504 Gateway Time-out".to_owned(),
            413 => "413 Request Entity Too Large".to_owned(),
            other => other.to_string(),
        };
        Answer::html(
            status,
            format!(
                "<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n</body>\n</html>\n"
            ),
        )
    }

    /// The same with one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

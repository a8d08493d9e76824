//! A request that has been read whole: decoded path segments and parameters, headers, and the body in the forms that
//! systems take.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use super::multipart::{self, File};

/// A request whose body has been read.
#[derive(Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path as sent, without the query.
    path: String,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Request {
    pub(super) fn new(method: &str, target: &str, headers: HeaderMap, body: Bytes) -> Request {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let segments = path.split('/').filter(|part| !part.is_empty()).map(|part| decode(part, false)).collect();
        Request { method: method.to_owned(), path: path.to_owned(), segments, query: pairs(query), headers, body }
    }

    /// The path as sent, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded parts of the path.
    pub fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The decoded parameters, in order.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// One parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first parameter that is none of these.
    pub fn parameter_beyond(&self, known: &[&str]) -> Option<&str> {
        self.query.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }

    /// One header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What stands behind `scheme` in `Authorization`.
    pub fn credential(&self, scheme: &str) -> Option<&str> {
        self.header("authorization")?.strip_prefix(scheme)?.strip_prefix(' ')
    }

    /// The address that the client used, without a path.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or("localhost"))
    }

    fn is_of_type(&self, wanted: &str) -> bool {
        let sent = self.header("content-type").unwrap_or_default();
        sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Status and text: 415 where it is not said to be JSON, 400 where it is not.
    pub fn json(&self) -> Result<Value, (u16, String)> {
        if !self.is_of_type("application/json") {
            return Err((415, "Content-Type: expected application/json".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| (400, format!("the body is not JSON: {error}")))
    }

    /// The body as a form.
    ///
    /// # Errors
    /// Status and text.
    pub fn form(&self) -> Result<Vec<(String, String)>, (u16, String)> {
        if !self.is_of_type("application/x-www-form-urlencoded") {
            return Err((415, "Content-Type: expected application/x-www-form-urlencoded".to_owned()));
        }
        Ok(pairs(&String::from_utf8_lossy(&self.body)))
    }

    /// The one file of a multipart body, in the field of this name.
    ///
    /// # Errors
    /// What is wrong with the body.
    pub fn file(&self, field: &str) -> Result<File, String> {
        multipart::file(self.header("content-type").unwrap_or_default(), &self.body, field)
    }
}

/// The value of one name in a form.
pub fn form_value<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

fn pairs(text: &str) -> Vec<(String, String)> {
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
    fn parameters_are_decoded_and_an_encoded_slash_stays_in_its_segment() {
        let target = "/v1/a%2Fb/?term=ada%40example.com&q=a+b&phone=%2B1555&bare";
        let request = Request::new("GET", target, HeaderMap::new(), Bytes::new());
        assert_eq!(request.segments(), ["v1", "a/b"]);
        assert_eq!(request.parameter("term"), Some("ada@example.com"));
        assert_eq!((request.parameter("q"), request.parameter("phone")), (Some("a b"), Some("+1555")));
        assert_eq!(request.parameter_beyond(&["term", "q", "phone"]), Some("bare"));
    }
}

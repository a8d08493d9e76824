//! Multipart bodies with one file in them, read by hand: the simulators take nothing else in this form.

use bytes::Bytes;

/// A file as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The name that the client gave it.
    pub name: String,
    /// Its `Content-Type`; empty if it has none.
    pub content_type: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// The one part of the body, which must be a file in `field`.
pub(super) fn file(content_type: &str, body: &Bytes, field: &str) -> Result<File, String> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err("Content-Type: expected multipart/form-data".to_owned());
    }
    let boundary = parameter(parameters, "boundary").ok_or("Content-Type: the boundary is missing")?;
    let delimiter = format!("--{boundary}");
    let rest = body.strip_prefix(delimiter.as_bytes()).ok_or("the body does not begin with the boundary")?;
    let end = format!("\r\n{delimiter}");
    let at = find(rest, end.as_bytes()).ok_or("the body does not end with the boundary")?;
    let (part, tail) = (&rest[..at], &rest[at + end.len()..]);
    if !tail.starts_with(b"--") {
        return Err(format!("{field}: expected one part, got more"));
    }
    let part = part.strip_prefix(b"\r\n").ok_or("the part does not begin on a line of its own")?;
    let split = find(part, b"\r\n\r\n").ok_or("the part has no end of its headers")?;
    let head = String::from_utf8_lossy(&part[..split]).into_owned();
    let header = |name: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let disposition = header("content-disposition").unwrap_or_default();
    if parameter(&disposition, "name").as_deref() != Some(field) {
        return Err(format!("{field}: missing"));
    }
    let name = parameter(&disposition, "filename").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| format!("{field}: has no filename"))?;
    let content_type = header("content-type").unwrap_or_default();
    Ok(File { name, content_type, bytes: Bytes::copy_from_slice(&part[split + 4..]) })
}

/// `name="value"` or `name=value` among the parameters of a header.
fn parameter(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim_matches('"').to_owned())
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

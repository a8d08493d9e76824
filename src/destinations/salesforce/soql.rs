//! Query text: quoting, URL encoding, and IN lists cut so that each request fits.
//!
//! Invariant: nothing that came from a call stands outside quotes, and whatever stands inside them is escaped. A query
//! over several chunks may see a row twice, so whoever takes the rows must not mind.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use futures_util::stream::{self, TryStreamExt};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Position, Url};

use super::client::{Ask, Client, Failure, read_json};
use super::outcome::{self, Effect};
use crate::destinations::Outcome;

/// Longest URI of a query, in bytes; Salesforce takes 16,384 together with the headers.
pub const URI_BYTES_MAX: usize = 12_000;
/// Longest statement, in characters; Salesforce takes 100,000.
const STATEMENT_CHARS_MAX: usize = 90_000;
/// How many chunks of one list are asked for at the same time; Salesforce keeps 10 cursors per user.
const CHUNKS_IN_FLIGHT: usize = 4;
/// Most pages of one query, against an answer that goes round in circles.
const PAGES_MAX: usize = 10_000;

/// Puts a text in quotes for a WHERE clause.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Encodes a statement for the query part of a URI.
pub fn encode(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len() * 5 / 4);
    for byte in statement.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~,@()".contains(&byte)
}

/// How long `text` is once it is encoded, in bytes.
pub fn encoded_len(text: &str) -> usize {
    text.bytes().map(|byte| if is_plain(byte) { 1 } else { 3 }).sum()
}

/// A query with one IN list: `before IN (values) after`.
pub struct InQuery<'a> {
    /// e.g. `SELECT Id FROM Contact WHERE Email`.
    pub before: &'a str,
    /// Plain values, not yet quoted.
    pub values: &'a [String],
    /// e.g. ` AND IsDeleted = false`; may be empty.
    pub after: &'a str,
    /// Whether archived rows are asked for too.
    pub all_rows: bool,
}

impl InQuery<'_> {
    fn statement(&self, range: Range<usize>) -> String {
        let list: Vec<String> = self.values[range].iter().map(|value| quote(value)).collect();
        format!("{} IN ({}){}", self.before, list.join(","), self.after)
    }

    /// Cuts the values so that no URI is longer than [`URI_BYTES_MAX`]; `overhead` is what stands before the statement.
    fn chunks(&self, overhead: usize) -> Vec<Range<usize>> {
        let fixed = encoded_len(self.before) + encoded_len(self.after) + encoded_len(" IN ()");
        let budget = URI_BYTES_MAX.saturating_sub(overhead + fixed);
        let mut chunks = Vec::new();
        let (mut start, mut bytes, mut chars) = (0, 0, 0);
        for (index, value) in self.values.iter().enumerate() {
            let quoted = quote(value);
            let (more_bytes, more_chars) = (encoded_len(&quoted) + 1, quoted.chars().count() + 1);
            if index > start && (bytes + more_bytes > budget || chars + more_chars > STATEMENT_CHARS_MAX) {
                chunks.push(start..index);
                (start, bytes, chars) = (index, 0, 0);
            }
            bytes += more_bytes;
            chars += more_chars;
        }
        if start < self.values.len() {
            chunks.push(start..self.values.len());
        }
        chunks
    }
}

#[derive(Deserialize)]
struct Page<T> {
    records: Option<Vec<T>>,
    done: Option<bool>,
    #[serde(rename = "nextRecordsUrl")]
    next: Option<String>,
}

impl Client {
    /// Runs one statement to its last page, handing over each row.
    pub async fn query<T: DeserializeOwned>(
        &self,
        statement: &str,
        all_rows: bool,
        on_row: &mut (dyn FnMut(T) + Send),
    ) -> Result<(), Failure> {
        let mut path = format!("{}{}", query_path(all_rows), encode(statement));
        for _ in 0..PAGES_MAX {
            let ask = Ask {
                method: Method::GET,
                path: &path,
                body: None,
                effect: Effect::Read,
                counted: true,
                header: Some(("Sforce-Query-Options", "batchSize=2000")),
            };
            let response = self.send(&ask).await?;
            let page: Page<T> = read_json(&response, Effect::Read).map_err(Failure::Decided)?;
            drop(response);
            page.records.into_iter().flatten().for_each(&mut *on_row);
            path = match page.next {
                None if page.done != Some(false) => return Ok(()),
                _ if page.done == Some(true) => return Ok(()),
                next => {
                    let next = next.and_then(|next| page_path(&next, self.instance().as_deref()));
                    next.filter(|next| *next != path).ok_or_else(lost_page)?
                }
            };
        }
        Err(lost_page())
    }

    /// Runs a query over a list of any length, in chunks; a chunk that is too much for the org is halved.
    pub async fn query_in<T: DeserializeOwned + Send>(
        &self,
        query: &InQuery<'_>,
        on_row: &mut (dyn FnMut(T) + Send),
    ) -> Result<(), Outcome> {
        let origin_len = self.instance().map_or(64, |origin| origin.len());
        let overhead = origin_len + self.base_path().len() + query_path(query.all_rows).len();
        let shared = Mutex::new(on_row);
        let work = query.chunks(overhead).into_iter().map(|chunk| self.query_chunk(query, chunk, &shared));
        stream::iter(work.map(Ok)).try_for_each_concurrent(CHUNKS_IN_FLIGHT, |chunk| chunk).await
    }

    async fn query_chunk<T: DeserializeOwned + Send>(
        &self,
        query: &InQuery<'_>,
        chunk: Range<usize>,
        on_row: &Mutex<&mut (dyn FnMut(T) + Send)>,
    ) -> Result<(), Outcome> {
        let mut waiting = vec![chunk];
        while let Some(range) = waiting.pop() {
            let mut take = |row: T| (on_row.lock().unwrap_or_else(PoisonError::into_inner))(row);
            let result = self.query(&query.statement(range.clone()), query.all_rows, &mut take).await;
            let Err(failure) = result else { continue };
            let outcome = failure.into_outcome(Effect::Read, None);
            if !matches!(outcome, Outcome::Retry { smaller: true, .. }) || range.len() < 2 {
                return Err(outcome);
            }
            let middle = range.start + range.len() / 2;
            waiting.extend([middle..range.end, range.start..middle]);
        }
        Ok(())
    }
}

fn query_path(all_rows: bool) -> &'static str {
    if all_rows { "/queryAll?q=" } else { "/query?q=" }
}

/// The path of a query's next page: given as such, or as a URL on the session's own host. `None` if it is elsewhere.
fn page_path(next: &str, instance: Option<&str>) -> Option<String> {
    let path = if next.starts_with('/') {
        next.to_owned()
    } else {
        let (next, instance) = (Url::parse(next).ok()?, Url::parse(instance?).ok()?);
        let same_host = next.host().is_some() && next.host() == instance.host();
        let same_port = next.port_or_known_default() == instance.port_or_known_default();
        (same_host && same_port).then(|| next[Position::BeforePath..Position::AfterQuery].to_owned())?
    };
    path.starts_with("/services/").then_some(path)
}

fn lost_page() -> Failure {
    Failure::Decided(outcome::of_nonsense("a query's next page cannot be found", Effect::Read))
}

#[cfg(test)]
#[path = "tests/soql.rs"]
mod tests;

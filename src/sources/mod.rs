//! Where evidence of calls comes from, and the table of all kinds of source.
//!
//! Invariant: a source reads and converts; it never writes to the store, and it is acknowledged (for an object store:
//! not read again) only by what the engine has committed.

pub mod conversations;
mod decode;
mod inflate;
pub mod object_store;
mod repair;
mod time;
mod wire;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::civil::Date;

pub use crate::model::RawRef;
use crate::model::{Call, Digest};
use crate::problem::Problem;

/// One kind of source: what `--source` and the config call it.
pub struct SourceKind {
    pub name: &'static str,
    /// How its address starts.
    pub schemes: &'static [&'static str],
    pub about: &'static str,
}

/// Every kind of source, in the order in which help and docs list them.
pub const SOURCES: &[SourceKind] = &[object_store::KIND, conversations::KIND];

/// What one raw file was converted to.
#[derive(Clone)]
pub struct Converted {
    pub call: Call,
    /// Of the bytes as received, so that `sha256sum` on the file gives the same.
    pub digest: Digest,
    pub inflated_bytes: u64,
    /// What was odd but did not stop the conversion, one short sentence each, without anybody's data.
    pub notes: Vec<String>,
}

/// Why one file, not the whole source, could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// This file alone: it goes to quarantine with this reason, the rest goes on.
    File(Problem),
    /// The source as a whole fails (no credentials any more, unreachable after retries): the run stops reading.
    Source(Problem),
}

/// A source of files, each about one call.
#[async_trait]
pub trait ObjectSource: Send + Sync {
    /// The name under which its files stand in the ledger; call keys are made with it, so it never changes.
    fn name(&self) -> &str;

    /// The address as the user gave it, e.g. `s3://bucket/sessions/`.
    fn address(&self) -> &str;

    /// Proves that the source can be listed at all; for `check` and for the start of a run.
    async fn probe(&self) -> Result<(), Problem>;

    /// Every file of one day's folder, page by page; of a source without folders for days, every file. An error ends the
    /// stream.
    fn list(&self, day: Date) -> BoxStream<'_, Result<RawRef, Problem>>;

    /// One file by its URL, as now; for looking at a quarantined file again. `None` if it is gone.
    async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError>;

    /// The bytes of one file. Retries what can be retried within.
    async fn fetch(&self, raw: &RawRef) -> Result<Bytes, FetchError>;

    /// Raw bytes to a call. Pure and CPU-bound: run it off the reactor. An error is the reason for quarantine.
    /// Inflating stops at `inflated_bytes_max`.
    fn convert(&self, raw: &RawRef, bytes: &[u8], inflated_bytes_max: usize) -> Result<Converted, Problem>;
}

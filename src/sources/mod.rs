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
use crate::problem::{self, Problem, scrub};

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

/// What stands at a source's address: whether there are folders by day, and if not, what there is instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Whether a folder `year=...` stands there.
    pub has_days: bool,
    /// Some names right below the address, folders with a slash behind.
    pub below: Vec<String>,
    /// If there are none: some names beside the address's own last folder.
    pub beside: Vec<String>,
}

/// Names that a [`Layout`] gives at most.
pub const LAYOUT_NAMES_MAX: usize = 5;

impl Layout {
    /// That no day can be read there, and what to do; `None` if there are days.
    pub fn problem(&self, address: &str) -> Option<Problem> {
        if self.has_days {
            return None;
        }
        let list =
            |names: &[String]| names.iter().map(|name| format!("`{}`", scrub(name))).collect::<Vec<_>>().join(", ");
        let instead = match (self.below.as_slice(), self.beside.as_slice()) {
            ([], []) => "there is no file at all".to_owned(),
            ([], beside) => format!("there is no file at all; found beside it: {}", list(beside)),
            (below, _) => format!("found instead: {}", list(below)),
        };
        Some(Problem::new(
            problem::SOURCE_MISSING,
            format!("no folder year=.../month=.../day=... stands under {address}: {instead}"),
            "end the address right above the folders year=...; if nothing was exported yet, there is nothing to do",
        ))
    }
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

    /// Whether there are folders by day at all; a source that has none by its nature says so of itself. What may not be
    /// listed is left out.
    async fn layout(&self) -> Result<Layout, Problem> {
        Ok(Layout { has_days: true, ..Layout::default() })
    }

    /// Whether files stand in folders by day; if not, every listing tells all of them.
    fn has_days(&self) -> bool {
        true
    }

    /// Takes note of what came since, where files belong together; before a listing that is to see it.
    async fn refresh(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// Every file of one day's folder, page by page; of a source without folders for days, every file. An error ends the
    /// stream.
    fn list(&self, day: Date) -> BoxStream<'_, Result<RawRef, Problem>>;

    /// One file by its URL, as now; for looking at a quarantined file again. `None` if it is gone.
    async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError>;

    /// The bytes of one file. Retries what can be retried within.
    async fn fetch(&self, raw: &RawRef) -> Result<Bytes, FetchError>;

    /// Raw bytes to a call. Pure and CPU-bound: run it off the reactor. An error is the reason for quarantine.
    /// Inflating stops at `inflated_bytes_max`. The bytes are taken over, so that those of a large file can go while its
    /// call comes.
    fn convert(&self, raw: &RawRef, bytes: Bytes, inflated_bytes_max: usize) -> Result<Converted, Problem>;
}

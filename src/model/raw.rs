//! A raw file as evidence: where it stands and which version of it.

use jiff::Timestamp;

/// One raw file at a source, as its listing tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRef {
    /// Where it stands, e.g. `s3://bucket/sessions/year=2025/month=10/day=29/rm_1.json.gz`.
    pub url: String,
    /// Changes whenever the content changes: the ETag, or for files modification time and size.
    pub version: String,
    pub bytes: u64,
    pub modified_at: Timestamp,
}

//! Session files in an object store or a folder.
use super::SourceKind;
pub const KIND: SourceKind = SourceKind {
    name: "object_store",
    schemes: &["s3://", "file://"],
    about: "session exports in S3, an S3-compatible store or a folder",
};

/// The name under which sessions of this kind stand in the ledger and in call keys.
pub const SOURCE_NAME: &str = "sessions";

//! Session files in an S3 bucket or a folder, one JSON object a file, plain or gzip, in folders by day:
//! `<prefix>year=YYYY/month=MM/day=DD/<any name>`.
//!
//! Invariant: one file's oddity never stops the listing or its neighbours; it becomes that file's reason for
//! quarantine. S3 is spoken here directly, not through a storage library, because those libraries refuse a whole page of
//! a listing for one key they dislike (`//`, `..`, control characters), and hide the bucket's region and the folder
//! markers.

mod answers;
mod bucket;
mod client;
mod config;
mod convert;
mod credentials;
mod folder;
mod insights;
mod keys;
mod large;
mod listing;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod turns;

pub use client::ObjectStore;
pub use config::{Environment, INFLATED_BYTES_MAX, Patience, Settings};

use super::{SourceKind, decode, inflate, time, wire};

pub const KIND: SourceKind = SourceKind {
    name: "object_store",
    schemes: &["s3://", "file://"],
    about: "session exports in S3, an S3-compatible store or a folder",
};

/// The name under which sessions of this kind stand in the ledger and in call keys.
pub const SOURCE_NAME: &str = "sessions";

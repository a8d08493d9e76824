//! Directories of transcripts that LiveKit-style agents leave behind, with the lead, call metadata and egress files
//! beside them. One transcript file is one call; each lead is paired with its call by evidence.
//!
//! Invariant: a lead that does not fit exactly one call goes to none, and is told with its reason. Neither the order of
//! the files nor their times of modification decide anything.

mod campaign;
mod config;
mod convert;
mod egress;
mod files;
mod fragments;
mod head;
mod index;
mod items;
mod lead;
mod metadata;
mod naming;
mod pair;
mod phone;
mod report;
mod repr;
mod scan;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod times;
mod trace;

pub use config::{INFLATED_BYTES_MAX, Settings};
pub use report::{Malformed, PairingReport, Reason, Unpaired};
pub use source::Conversations;

use super::SourceKind;

pub const KIND: SourceKind = SourceKind {
    name: "conversations",
    schemes: &["file://"],
    about: "transcripts of LiveKit-style agents in a folder, with lead, metadata and egress files",
};

/// The name under which calls of this kind stand in the ledger and in call keys.
pub const SOURCE_NAME: &str = "conversations";

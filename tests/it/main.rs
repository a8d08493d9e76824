//! The integration tests, in one binary: one file a promise, helpers in `support`.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "tests print their seeds and read the clock")]

#[cfg(feature = "proof")]
mod chaos;
mod cli;
mod crash;
#[cfg(feature = "proof")]
mod deaths;
mod docs;
mod faults;
mod findable;
mod hostile;
mod identity;
mod layers;
mod mending;
mod mistakes;
mod newer;
mod nightly;
mod object_store_answers;
mod object_store_source;
#[cfg(feature = "proof")]
mod poison;
mod replay;
mod rest;
mod rest_faults;
mod rest_look_ups;
mod rest_own;
mod rest_pages;
mod rest_payloads;
mod rest_questions;
mod rest_strict;
mod s3_night;
mod serve;
#[cfg(feature = "proof")]
mod simulation;
mod store;
mod support;
mod upload;
mod upload_kills;
mod verify;
mod words;

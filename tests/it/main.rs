//! The integration tests, in one binary: one file a promise, helpers in `support`.

#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "tests print their seeds and read the clock")]

mod docs;
mod faults;
mod identity;
mod nightly;
mod object_store_answers;
mod object_store_source;
mod support;
mod words;

//! The integration tests, in one binary: one file a promise, helpers in `support`.

mod docs;
mod faults;
mod identity;
mod nightly;
mod object_store_answers;
mod object_store_source;
mod support;

//! The integration tests, in one binary: one file a promise, helpers in `support`.

mod cli;
mod crash;
mod faults;
mod hostile;
mod identity;
mod mending;
mod nightly;
mod object_store_answers;
mod object_store_source;
mod store;
mod support;

//! What integration tests have in common: other systems to talk to, real or scripted.
//!
//! Invariant: everything listens on a free port of this machine and ends with the test.

pub mod moto;
pub mod stub;

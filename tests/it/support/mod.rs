//! What integration tests have in common: other systems to talk to, a whole world to sync, and who judges the result.
//!
//! Invariant: everything listens on a free port of this machine and ends with the test.

pub mod binary;
pub mod clock;
pub mod moto;
pub mod network;
pub mod oracle;
pub mod rest_kits;
pub mod rest_world;
pub mod served;
pub mod session;
pub mod stub;
pub mod upload;
pub mod wait;
pub mod world;

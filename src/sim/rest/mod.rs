//! Simulated CRMs with plain REST interfaces, one module each, written from their documentation and sharing nothing with
//! the clients.
//!
//! Each is strict about every field and names the wrong one; what the documentation leaves open is a switch. People are
//! seeded through [`harness::Api::insert`] or `POST /sim/records/<table>`.

pub mod dynamics;
pub mod hubspot;
pub mod pipedrive;
mod table;
#[cfg(test)]
mod tests;
pub mod zoho;

pub use super::harness::{self, Counters, Fault, FaultKind, Traffic};

//! Remote systems and their data, invented: for the demo, for tests, and for users who try a mapping.
//!
//! Invariant: a simulator shares no code with the connector that it stands in for, or the same mistake would hide on both
//! sides; it uses `model` and `net` at most. Every person here is invented and lives at example.com or example.org.

pub mod call_data_api;
pub mod conversations;
pub mod demo;
pub mod harness;
pub mod rest;
pub mod salesforce;
pub mod sessions;

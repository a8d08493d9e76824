//! Trunkline puts every call that a voice agent takes into the CRM: once, on the right record, and you can ask why.
//!
//! The modules in reading order: what a call is ([`model`]), where calls come from ([`sources`]), what happens to them
//! on the way ([`redact`], [`map`]), where they go ([`destinations`]), what remembers it all ([`store`]) and what drives it
//! ([`engine`]). `ARCHITECTURE.md` has the map and three walk-throughs.

pub mod cli;
pub mod clock;
pub mod config;
pub mod destinations;
pub mod engine;
pub mod map;
pub mod memory;
pub mod model;
pub mod net;
pub mod offload;
pub mod problem;
pub mod proof;
pub mod redact;
pub mod server;
pub mod sim;
pub mod sources;
pub mod store;

//! A simulated call-data API, written from what is known of the service and sharing nothing with the client.
//!
//! It takes payloads of both generations strictly, keeps them in the order of arrival (one `callId` twice, if it is sent
//! twice), answers look-ups and takes recordings. What nobody has documented is a switch in [`Settings`].
//!
//! In reading order: [`service`] routes, [`payload`] says what a payload must be, [`lookup`] answers `GET`.

mod lookup;
mod page;
mod payload;
mod service;
mod settings;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::harness;

pub use self::service::CallDataApi;
pub use self::settings::{Generation, LookUp, LookUpShape, PostAnswer, Settings};
pub use super::harness::{Counters, Fault, FaultKind};

/// A running simulator.
pub type Simulator = harness::Simulator<CallDataApi>;
/// How one is made.
pub type Options = harness::Options<CallDataApi>;
/// The system behind it.
pub type Api = harness::Api<CallDataApi>;

impl Api {
    /// All stored payloads as they were sent, in the order of arrival.
    pub fn calls(&self) -> Vec<Value> {
        self.records("calls")
    }

    /// All recordings: their names, sizes and addresses.
    pub fn uploads(&self) -> Vec<Value> {
        self.records("uploads")
    }
}

//! The HTTP side of a serving process: whether it lives, whether it is ready, its figures; later the doors for webhooks.
//!
//! Invariants: it knows nothing of the engine and asks only [`Health`]; every head, body, connection and wait has a limit;
//! nothing of a call or of a person is ever in an answer.

mod http;
mod metrics;
mod router;

use async_trait::async_trait;
use serde::Serialize;

pub use http::Server;
pub use metrics::{Family, Kind, Sample, encode};

/// A source or destination that cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `source` or `destination`.
    pub part: &'static str,
    pub name: String,
    /// `starting`, `failing` or `held`.
    pub state: &'static str,
    /// The error code, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// What the process says of itself.
#[async_trait]
pub trait Health: Send + Sync {
    /// Whether work can be kept: the ledger can be written.
    async fn is_alive(&self) -> bool;

    /// Everything that cannot be used now; empty if all can.
    async fn troubles(&self) -> Vec<Trouble>;

    /// Every figure; `None` if they cannot be read now.
    async fn figures(&self) -> Option<Vec<Family>>;
}

//! Which answer belongs to which path. The doors for webhooks will be rows of the same table.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;

use super::metrics::encode;
use super::{Health, Trouble};

const JSON: &str = "application/json";
/// What Prometheus calls its text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A request whose body was read within its limit.
pub(super) struct Request {
    pub method: Method,
    pub path: String,
    /// For the doors; nothing reads it yet.
    pub body: Bytes,
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Answer {
        Answer { status, content_type: JSON, body: format!("{body}\n") }
    }

    pub(super) fn error(status: StatusCode) -> Answer {
        let words = status.canonical_reason().unwrap_or("error").to_lowercase();
        Answer::json(status, &json!({ "error": words }))
    }
}

pub(super) async fn answer(health: &dyn Health, request: &Request) -> Answer {
    let is_read = request.method == Method::GET || request.method == Method::HEAD;
    match request.path.as_str() {
        "/healthz" if is_read => healthz(health).await,
        "/readyz" if is_read => readyz(&health.troubles().await),
        "/metrics" if is_read => metrics(health).await,
        "/healthz" | "/readyz" | "/metrics" if request.method != Method::POST => {
            Answer::error(StatusCode::METHOD_NOT_ALLOWED)
        }
        path => {
            tracing::debug!(method = %request.method, bytes = request.body.len(), path, "no such path");
            Answer::error(StatusCode::NOT_FOUND)
        }
    }
}

async fn healthz(health: &dyn Health) -> Answer {
    match health.is_alive().await {
        true => Answer::json(StatusCode::OK, &json!({ "alive": true })),
        false => Answer::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "alive": false, "error": "the ledger cannot be written" }),
        ),
    }
}

fn readyz(troubles: &[Trouble]) -> Answer {
    let status = if troubles.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Answer::json(status, &json!({ "ready": troubles.is_empty(), "troubles": troubles }))
}

async fn metrics(health: &dyn Health) -> Answer {
    match health.figures().await {
        Some(families) => Answer { status: StatusCode::OK, content_type: METRICS, body: encode(&families) },
        None => Answer::error(StatusCode::SERVICE_UNAVAILABLE),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::server::Family;

    struct Patient {
        alive: bool,
        troubles: Vec<Trouble>,
    }

    #[async_trait]
    impl Health for Patient {
        async fn is_alive(&self) -> bool {
            self.alive
        }

        async fn troubles(&self) -> Vec<Trouble> {
            self.troubles.clone()
        }

        async fn figures(&self) -> Option<Vec<Family>> {
            self.alive.then(Vec::new)
        }
    }

    #[tokio::test]
    async fn every_path_has_its_answer() {
        let held = Trouble { part: "destination", name: "salesforce".into(), state: "held", code: Some("TL0501") };
        let well = Patient { alive: true, troubles: Vec::new() };
        let ill = Patient { alive: false, troubles: vec![held] };
        let check = async |patient: &Patient, method: Method, path: &str, status: u16, part: &str| {
            let request = Request { method, path: path.to_owned(), body: Bytes::new() };
            let answer = answer(patient, &request).await;
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert!(answer.body.contains(part), "{path}: {}", answer.body);
        };
        check(&well, Method::GET, "/healthz", 200, "{\"alive\":true}").await;
        check(&ill, Method::GET, "/healthz", 503, "cannot be written").await;
        check(&well, Method::GET, "/readyz", 200, "\"troubles\":[]").await;
        check(&ill, Method::GET, "/readyz", 503, "\"code\":\"TL0501\",\"name\":\"salesforce\"").await;
        check(&well, Method::GET, "/metrics", 200, "").await;
        check(&ill, Method::GET, "/metrics", 503, "service unavailable").await;
        check(&well, Method::DELETE, "/metrics", 405, "method not allowed").await;
        check(&well, Method::POST, "/healthz", 404, "not found").await;
        check(&well, Method::POST, "/hooks/any", 404, "not found").await;
    }
}

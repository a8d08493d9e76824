//! For the simulators' tests: one on a port that the system chose, a client of raw HTTP, and a clock that stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Api, Options, Remote, Simulator};

/// 2026-01-15T12:00:00Z.
const NOON: i64 = 1_768_478_400;

/// A running simulator, a client, and a clock.
pub(in crate::sim) struct Desk<R: Remote> {
    pub(in crate::sim) simulator: Simulator<R>,
    pub(in crate::sim) api: Api<R>,
    client: reqwest::Client,
    clock: Arc<AtomicI64>,
    /// Sent with every request.
    pub(in crate::sim) headers: Vec<(&'static str, String)>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(in crate::sim) struct Reply {
    pub(in crate::sim) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(in crate::sim) text: String,
}

impl Reply {
    pub(in crate::sim) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(in crate::sim) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Asserts the status, and that the text contains this.
    #[track_caller]
    pub(in crate::sim) fn says(&self, status: u16, wanted: &str) {
        assert!(self.status == status && self.text.contains(wanted), "wanted {status} {wanted}, got {self:?}");
    }
}

impl<R: Remote> Desk<R> {
    pub(in crate::sim) async fn open() -> Desk<R> {
        let clock = Arc::new(AtomicI64::new(NOON));
        let hand = Arc::clone(&clock);
        let now = move || Timestamp::from_second(hand.load(Ordering::SeqCst)).expect("the test clock stays in range");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let options = Options { now: Arc::new(now), ..Options::default() };
        let simulator = Simulator::start(listener, options).expect("the simulator starts");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let api = simulator.api();
        Desk { simulator, api, client, clock, headers: Vec::new() }
    }

    pub(in crate::sim) async fn with(headers: &[(&'static str, &str)]) -> Desk<R> {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Desk { headers, ..Desk::open().await }
    }

    pub(in crate::sim) fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A request with further headers; a body that is no text and not null is sent as JSON.
    pub(in crate::sim) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Reply, reqwest::Error> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.simulator.url()));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = match body {
            Value::Null => request,
            Value::String(text) => request.body(text.clone()),
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    pub(in crate::sim) async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Reply {
        self.try_send(method, path, headers, &body).await.expect("a complete answer")
    }

    pub(in crate::sim) async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send_with(method, path, &[], body).await
    }

    pub(in crate::sim) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Value::Null).await
    }

    pub(in crate::sim) async fn form(&self, path: &str, form: &str) -> Reply {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send_with("POST", path, &kind, Value::String(form.to_owned())).await
    }
}

/// Lets the server work until `is_reached`.
pub(in crate::sim) async fn until(mut is_reached: impl FnMut() -> bool) {
    while !is_reached() {
        tokio::task::yield_now().await;
    }
}

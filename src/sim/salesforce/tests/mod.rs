//! The simulator seen from outside: every test talks HTTP to a port that the system chose, with a clock that stands still.

mod admin;
mod faults;
mod login;
mod reading;
mod soql;
mod speed;
mod state;
mod upserts;
mod writes;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Options, Org, Simulator};

/// 2026-01-15T12:00:00Z.
const NOON: i64 = 1_768_478_400;

/// A running simulator, a client that is logged in, and a clock.
struct Desk {
    simulator: Simulator,
    client: reqwest::Client,
    token: String,
    clock: Arc<AtomicI64>,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status, code and text of the one error of a REST answer.
    fn problem(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[0][name].as_str().unwrap_or_default().to_owned();
        (self.status, text("errorCode"), text("message"))
    }
}

impl Desk {
    async fn open() -> Desk {
        Desk::with(Options::default()).await
    }

    async fn with(options: Options) -> Desk {
        let clock = Arc::new(AtomicI64::new(NOON));
        let hand = Arc::clone(&clock);
        let now = move || Timestamp::from_second(hand.load(Ordering::SeqCst)).expect("the test clock stays in range");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let options = Options { now: Arc::new(now), ..options };
        let simulator = Simulator::start(listener, options).await.expect("the simulator starts");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut desk = Desk { simulator, client, token: String::new(), clock };
        desk.log_in().await;
        desk
    }

    async fn log_in(&mut self) {
        let form = "grant_type=client_credentials&client_id=sim-client&client_secret=sim-secret";
        let reply = self.token(form).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.token = reply.json()["access_token"].as_str().expect("a token").to_owned();
    }

    async fn token(&self, form: &str) -> Reply {
        let url = format!("{}/services/oauth2/token", self.simulator.url());
        read(self.client.post(url).body(form.to_owned())).await.expect("an answer")
    }

    fn org(&self) -> Org {
        self.simulator.org()
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let base = self.simulator.url();
        let url =
            if path.starts_with("/s") { format!("{base}{path}") } else { format!("{base}/services/data/v66.0/{path}") };
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, url).header("authorization", format!("Bearer {}", self.token))
    }

    /// Sends, and says why no complete answer came.
    async fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Reply, reqwest::Error> {
        let request = self.request(method, path);
        read(if body.is_null() { request } else { request.body(body.to_string()) }).await
    }

    async fn send_text(&self, method: &str, path: &str, body: String) -> Reply {
        read(self.request(method, path).body(body)).await.expect("a complete answer")
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        self.try_send(method, path, &body).await.expect("a complete answer")
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Value::Null).await
    }

    async fn query(&self, statement: &str) -> Reply {
        self.get(&format!("query?q={}", encode(statement))).await
    }

    /// The named field of each record of a query, in order.
    async fn column(&self, statement: &str, field: &str) -> Vec<String> {
        let reply = self.query(statement).await;
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text);
        let records = reply.json()["records"].as_array().cloned().unwrap_or_default();
        records.iter().map(|record| record[field].as_str().unwrap_or("null").to_owned()).collect()
    }

    /// Upserts Tasks by key in one collection and returns the rows of the answer.
    async fn upsert(&self, rows: Value) -> Vec<Value> {
        let body = json!({ "allOrNone": false, "records": rows });
        let reply = self.send("PATCH", "composite/sobjects/Task/Call_Key__c", body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json().as_array().cloned().expect("rows")
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Reply { status, headers, text: response.text().await? })
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn task(fields: Value) -> Value {
    let mut row = json!({ "attributes": { "type": "Task" } });
    for (name, value) in fields.as_object().expect("fields") {
        row[name] = value.clone();
    }
    row
}

/// Code and text of the one error of a collection row.
fn row_error(row: &Value) -> (&str, &str) {
    let error = &row["errors"][0];
    (error["statusCode"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default())
}

/// Lets the server work until `is_reached`.
async fn until(mut is_reached: impl FnMut() -> bool) {
    while !is_reached() {
        tokio::task::yield_now().await;
    }
}

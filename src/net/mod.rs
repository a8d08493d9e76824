//! HTTP to the outside: one client, deadlines on everything, capped answers, errors that tell whether the request can
//! have had an effect.
//!
//! Invariant: nothing outside this folder makes a connection. No error holds a header, a body or a query string.

mod cause;

use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

/// Largest answer to a question that is read, in bytes. A Salesforce query page of 2,000 rows with long descriptions stays
/// below.
pub const RESPONSE_BYTES_MAX: usize = 80 * 1024 * 1024;
/// The same for anything but a GET: what became of 200 rows, or the hits of a search.
pub const RECEIPT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// So much of an answer without success is read; the status is what counts of it.
pub const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle pooled connection is kept; below the peer's own limit, so that it is we who close.
pub const POOL_IDLE: Duration = Duration::from_secs(20);

/// A request that did not end in an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection was made: the request had no effect.
    #[error("no connection to {host}: {cause}")]
    NotSent { host: String, cause: String },
    /// The request left, or may have left, and no whole answer came back: its effect is unknown.
    #[error("no answer from {host}: {cause}")]
    Unanswered { host: String, cause: String },
}

/// Sends one request and reads the whole answer. The seam where tests put a network of their own.
#[async_trait]
pub trait Transport: Send + Sync {
    /// `deadline` bounds the whole exchange, body included.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
    ) -> Result<http::Response<Bytes>, TransportError>;
}

/// The real network.
#[derive(Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// Follows no redirects: each would carry credentials to a host that nobody named.
    pub fn new() -> Result<HttpTransport, reqwest::Error> {
        Ok(HttpTransport { client: builder().build()? })
    }

    /// For stored files: a body arrives as it is kept, also when its `Content-Encoding` says gzip.
    pub fn undecoded() -> Result<HttpTransport, reqwest::Error> {
        Ok(HttpTransport { client: builder().no_gzip().build()? })
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("trunkline/", env!("CARGO_PKG_VERSION")))
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        deadline: Duration,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let host = request.uri().authority().map_or_else(String::new, |a| a.to_string());
        let request = reqwest::Request::try_from(request)
            .map_err(|error| TransportError::NotSent { host: host.clone(), cause: root_cause(&error.without_url()) })?;
        match tokio::time::timeout(deadline, self.exchange(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Failure::Client(error))) if error.is_connect() || error.is_builder() => {
                Err(TransportError::NotSent { host, cause: cause::told(&root_cause(&error.without_url())) })
            }
            Ok(Err(Failure::Client(error))) => {
                Err(TransportError::Unanswered { host, cause: root_cause(&error.without_url()) })
            }
            Ok(Err(Failure::LargerThan(limit))) => {
                Err(TransportError::Unanswered { host, cause: format!("the answer is larger than {limit} bytes") })
            }
            Err(_) => {
                Err(TransportError::Unanswered { host, cause: format!("no answer within {} s", deadline.as_secs()) })
            }
        }
    }
}

enum Failure {
    Client(reqwest::Error),
    LargerThan(usize),
}

impl HttpTransport {
    async fn exchange(&self, request: reqwest::Request) -> Result<http::Response<Bytes>, Failure> {
        let largest = if request.method() == http::Method::GET { RESPONSE_BYTES_MAX } else { RECEIPT_BYTES_MAX };
        let mut response = self.client.execute(request).await.map_err(Failure::Client)?;
        let mut whole = http::Response::new(Bytes::new());
        *whole.status_mut() = response.status();
        *whole.headers_mut() = response.headers().clone();
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(Failure::Client)? {
            if !whole.status().is_success() {
                body.extend_from_slice(&chunk[..chunk.len().min(REFUSAL_BYTES_MAX - body.len())]);
                if body.len() == REFUSAL_BYTES_MAX {
                    break;
                }
                continue;
            }
            if body.len() + chunk.len() > largest {
                return Err(Failure::LargerThan(largest));
            }
            body.extend_from_slice(&chunk);
        }
        *whole.body_mut() = body.freeze();
        Ok(whole)
    }
}

/// Longest pause that a `Retry-After` can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Reads seconds or an HTTP date; anything else counts as not given.
pub fn retry_after(headers: &http::HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::from_secs(u64::try_from(at.as_second() - now.as_second()).unwrap_or(0))
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

/// The innermost cause of an error: the outer ones only repeat where it happened.
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut current = error;
    while let Some(next) = current.source() {
        current = next;
    }
    current.to_string()
}

/// Whether plain http to this host is acceptable: only on this machine.
pub fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one request with so many bytes.
    async fn answering(status: &'static str, bytes: usize) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.expect("a request");
            assert!(read > 0);
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {bytes}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("somebody listens");
            let block = vec![b'x'; 65_536];
            let mut left = bytes;
            // The client may have heard enough.
            while left > 0 && stream.write_all(&block[..left.min(block.len())]).await.is_ok() {
                left -= left.min(block.len());
            }
        });
        url
    }

    #[tokio::test]
    async fn no_more_of_an_answer_is_read_than_it_can_rightly_have() {
        let transport = HttpTransport::new().expect("a client");
        let check = async |method: &str, status: &'static str, bytes: usize, expected: Option<usize>| {
            let url = answering(status, bytes).await;
            let request = http::Request::builder().method(method).uri(url).body(Bytes::new()).expect("a request");
            let answer = transport.send(request, Duration::from_secs(60)).await;
            match expected {
                Some(read) => assert_eq!(answer.expect("an answer").body().len(), read, "{method} {status} {bytes}"),
                None => assert!(
                    matches!(&answer, Err(TransportError::Unanswered { cause, .. }) if cause.contains("is larger than")),
                    "{method} {status} {bytes}: {answer:?}"
                ),
            }
        };
        let receipt = RECEIPT_BYTES_MAX;
        check("GET", "200 OK", 2 * receipt, Some(2 * receipt)).await;
        check("POST", "200 OK", receipt, Some(receipt)).await;
        check("POST", "201 Created", receipt + 1, None).await;
        check("POST", "400 Bad Request", 1000, Some(1000)).await;
        check("GET", "503 Service Unavailable", 200_000_000, Some(REFUSAL_BYTES_MAX)).await;
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_capped_and_garbage_is_ignored() {
        let now: jiff::Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let check = |text: &str, expected: Option<u64>| {
            let mut headers = http::HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            assert_eq!(retry_after(&headers, now).map(|d| d.as_secs()), expected, "{text}");
        };
        check("7", Some(7));
        check("0", Some(0));
        check("999999", Some(3600));
        check("Fri, 20 Nov 2026 10:01:30 GMT", Some(90));
        check("Fri, 20 Nov 2026 09:00:00 GMT", Some(0));
        check("-3", None);
        check("soon", None);
        check("", None);
    }
}

//! Accepting connections and reading requests, each within its limits.
//!
//! Invariant: a client that is slow, greedy or one of many costs a bounded amount and delays nobody but itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request as HttpRequest, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::Health;
use super::router::{self, Answer, Request};

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// How long a head may take to arrive, the wait between two requests of a connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an answer may take to be made.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// How long the requests in hand may take once the server is to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Before accepting again, where the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running server; [`Server::close`] ends it in order, dropping it at once.
pub struct Server {
    pub address: SocketAddr,
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Begins to answer on `listener`.
    pub fn start(listener: TcpListener, health: Arc<dyn Health>) -> std::io::Result<Server> {
        let address = listener.local_addr()?;
        let closing = watch::Sender::new(false);
        let task = tokio::spawn(accept(listener, health, closing.subscribe()));
        Ok(Server { address, closing, task })
    }

    /// Takes no new connection, lets the requests in hand end, and returns.
    pub async fn close(mut self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(CLOSE_TIMEOUT, &mut self.task).await.is_err() {
            tracing::debug!("some requests did not end in time");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, health: Arc<dyn Health>, mut closing: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = asked(&mut closing) => break,
            Some(_) = connections.join_next() => {}
            (slot, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let (health, closing) = (Arc::clone(&health), closing.clone());
                    connections.spawn(async move {
                        connection(stream, health, closing).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns once the server is to close.
async fn asked(closing: &mut watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        tracing::debug!("the server is gone");
    }
}

async fn connection(stream: TcpStream, health: Arc<dyn Health>, mut closing: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let handler = service_fn(move |request| respond(Arc::clone(&health), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = tokio::time::sleep(CONNECTION_TIMEOUT) => Ok(()),
        () = asked(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended early");
    }
}

async fn respond(health: Arc<dyn Health>, request: HttpRequest<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(Body::new(body), BODY_BYTES_MAX)).await {
        Err(_) => Answer::error(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(_)) => Answer::error(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Ok(body)) => {
            let request = Request { method: head.method, path: head.uri.path().to_owned(), body };
            let answer = router::answer(health.as_ref(), &request);
            let late = |_| Answer::error(StatusCode::SERVICE_UNAVAILABLE);
            tokio::time::timeout(ANSWER_TIMEOUT, answer).await.unwrap_or_else(late)
        }
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    Ok(response)
}

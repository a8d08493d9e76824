//! The wire: accepting connections, reading bodies (capped), writing answers, and cutting connections where a fault
//! says so.
//!
//! Each request runs in a task of its own, so that what it commits does not depend on a client that leaves early.

use std::convert::Infallible;
use std::io;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use hyper::body::Incoming as HyperBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::service::{self, Outcome};
use super::{Answer, Api, Remote, Request};

/// The largest request body.
const BODY_BYTES_MAX: usize = 50 * 1024 * 1024;

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator drops this connection")]
struct DropConnection;

/// Accepts connections until its task is aborted; the connections end with it.
pub(super) async fn accept<R: Remote>(listener: TcpListener, api: Api<R>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(connection(stream, api.clone())),
                Err(error) => {
                    tracing::warn!(%error, "a simulator could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection<R: Remote>(stream: TcpStream, api: Api<R>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let handler = service_fn(move |request| respond(api.clone(), request));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended early");
    }
}

async fn respond<R: Remote>(api: Api<R>, request: HttpRequest<HyperBody>) -> Result<Response<Body>, DropConnection> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), BODY_BYTES_MAX).await else {
        return Ok(response(Answer::edge(413)));
    };
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let request = Request::new(head.method.as_str(), &target, head.headers, body);
    let task = tokio::spawn(async move { service::handle(&api, &request).await });
    match task.await {
        Ok(Outcome::Answer(answer)) => Ok(response(answer)),
        Ok(Outcome::Truncated(answer)) => Ok(truncated(answer)),
        Ok(Outcome::Dropped) => Err(DropConnection),
        Err(error) => {
            tracing::error!(%error, "a simulator failed on a request");
            Ok(response(R::refusal(500, "the simulator failed")))
        }
    }
}

/// Answers a request without a port, for tests that have a network of their own. `None`: the connection ends before the
/// answer is whole.
pub(super) async fn answer<R: Remote>(api: &Api<R>, request: HttpRequest<Bytes>) -> Option<Response<Bytes>> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let mut headers = head.headers;
    if let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        headers.entry(header::HOST).or_insert(host);
    }
    let request = Request::new(head.method.as_str(), &target, headers, body);
    let Outcome::Answer(mut answer) = service::handle(api, &request).await else { return None };
    let body = Bytes::from(std::mem::take(&mut answer.body));
    Some(with_body(&answer, Body::empty()).map(|_| body))
}

fn with_body(answer: &Answer, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(kind) = answer.content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in &answer.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn response(mut answer: Answer) -> Response<Body> {
    let body = Body::from(std::mem::take(&mut answer.body));
    with_body(&answer, body)
}

/// Half of the body, then an error, which makes the server cut the connection.
fn truncated(mut answer: Answer) -> Response<Body> {
    let mut half = std::mem::take(&mut answer.body);
    half.truncate(half.len() / 2);
    let pieces = stream::iter([Ok(Bytes::from(half)), Err(io::Error::other(DropConnection))]);
    with_body(&answer, Body::from_stream(pieces))
}

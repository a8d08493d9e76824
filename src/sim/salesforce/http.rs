//! The wire: accepting connections, reading bodies (chunked, compressed, capped), writing answers, and cutting
//! connections where a fault says so.
//!
//! Each request runs in a task of its own, so that what it commits does not depend on a client that leaves early.

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Read, Write};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming as HyperBody;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::{Answer, Content};
use super::org::Org;
use super::problem::Problem;
use super::service::{self, Incoming, Outcome};

/// The largest request body, compressed or not.
const BODY_BYTES_MAX: usize = 50 * 1024 * 1024;
/// Answers below this size are not worth compressing.
const GZIP_BYTES_MIN: usize = 512;

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the simulator drops this connection")]
struct DropConnection;

/// Accepts connections until its task is aborted; the connections end with it.
pub(super) async fn accept(listener: TcpListener, org: Org) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(connection(stream, org.clone())),
                Err(error) => {
                    tracing::warn!(%error, "the Salesforce simulator could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, org: Org) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let handler = service_fn(move |request| respond(org.clone(), request));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
    if let Err(error) = served {
        tracing::trace!(%error, "a connection ended early");
    }
}

async fn respond(org: Org, request: Request<HyperBody>) -> Result<Response<Body>, DropConnection> {
    let (head, body) = request.into_parts();
    let accepts_gzip = has_coding(&head.headers, header::ACCEPT_ENCODING, "gzip");
    let body = match read_body(&head.headers, Body::new(body)).await {
        Ok(body) => body,
        Err(problem) => return Ok(response(Answer::problem(&problem), accepts_gzip)),
    };
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let incoming = Incoming { method: head.method.to_string(), target, headers: head.headers, body };
    let task = tokio::spawn(async move { service::handle(&org, &incoming).await });
    match task.await {
        Ok(Outcome::Answer(answer)) => Ok(response(answer, accepts_gzip)),
        Ok(Outcome::Truncated(answer)) => Ok(truncated(response_parts(answer, accepts_gzip))),
        Ok(Outcome::Dropped) => Err(DropConnection),
        Err(error) => {
            tracing::error!(%error, "the simulator failed on a request");
            Ok(response(Answer::problem(&Problem::unknown_exception()), false))
        }
    }
}

/// Answers a request without a port, for tests that have a network of their own. `None`: the connection ends before the
/// answer is whole.
pub(super) async fn answer(org: &Org, request: Request<Bytes>) -> Option<Response<Bytes>> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let mut headers = head.headers;
    if let Some(host) = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        headers.entry(header::HOST).or_insert(host);
    }
    let incoming = Incoming { method: head.method.to_string(), target, headers, body };
    let Outcome::Answer(answer) = service::handle(org, &incoming).await else { return None };
    let Parts { status, headers, body } = response_parts(answer, false);
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Some(response)
}

fn has_coding(headers: &HeaderMap, name: HeaderName, coding: &str) -> bool {
    headers.get_all(name).iter().any(|value| value.to_str().is_ok_and(|value| value.contains(coding)))
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(413, "EXCEEDED_MAX_SIZE_REQUEST", format!("Request size exceeded {BODY_BYTES_MAX} bytes"));
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let is_limit = error.source().is_some_and(|source| source.to_string() == "length limit exceeded");
        if is_limit { too_large() } else { Problem::json("The HTTP entity body could not be read") }
    })?;
    let mut decoded = Vec::new();
    let mut limited: Box<dyn Read> = if has_coding(headers, header::CONTENT_ENCODING, "gzip") {
        Box::new(MultiGzDecoder::new(&*bytes).take(BODY_BYTES_MAX as u64 + 1))
    } else if has_coding(headers, header::CONTENT_ENCODING, "deflate") {
        Box::new(DeflateDecoder::new(&*bytes).take(BODY_BYTES_MAX as u64 + 1))
    } else {
        return Ok(bytes);
    };
    limited.read_to_end(&mut decoded).map_err(|error| Problem::json(format!("unreadable compressed body: {error}")))?;
    if decoded.len() > BODY_BYTES_MAX {
        return Err(too_large());
    }
    Ok(Bytes::from(decoded))
}

struct Parts {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

fn response_parts(answer: Answer, accepts_gzip: bool) -> Parts {
    let mut headers = HeaderMap::new();
    let (kind, body) = match answer.content {
        Content::Empty => (None, Vec::new()),
        Content::Json(bytes) => (Some("application/json;charset=UTF-8"), bytes),
        Content::Html(page) => (Some("text/html; charset=UTF-8"), page.into_bytes()),
        Content::Xml(text) => (Some("text/xml; charset=utf-8"), text.into_bytes()),
    };
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let mut body = Bytes::from(body);
    if accepts_gzip
        && body.len() >= GZIP_BYTES_MIN
        && let Ok(compressed) = compress(&body)
    {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        body = Bytes::from(compressed);
    }
    Parts { status: StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), headers, body }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn response(answer: Answer, accepts_gzip: bool) -> Response<Body> {
    let Parts { status, headers, body } = response_parts(answer, accepts_gzip);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Half of the body, then an error, which makes the server cut the connection.
fn truncated(parts: Parts) -> Response<Body> {
    let half = parts.body.slice(..parts.body.len() / 2);
    let pieces = stream::iter([Ok(half), Err(io::Error::other(DropConnection))]);
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    response
}

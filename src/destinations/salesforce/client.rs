//! Requests to one org: session, headers, compression, version discovery and the stop before the daily limit.
//!
//! Invariant: a request is repeated here only after a 401 or because its encoding was not understood, which both prove
//! that it had no effect; every other failure goes to the caller as it is. The token never leaves the session's own host.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::{ApiVersion, Settings};
use super::outcome::{self, Effect, Row, hold};
use super::refusal::Refusal;
use super::rules::{self, Verdict};
use super::session::{Session, Sessions};
use super::wire::Wire;
use crate::destinations::{Outcome, Usage};
use crate::problem::{API_LIMIT, API_VERSION, LOGIN_REFUSED, Problem, REMOTE_BUSY};

/// The newest API version that this client was written for.
const VERSION_KNOWN: ApiVersion = ApiVersion::new(66);
/// What to use where the org does not tell.
const VERSION_FALLBACK: ApiVersion = ApiVersion::new(62);
/// Bodies above this many bytes are compressed.
const GZIP_BYTES_MIN: usize = 1024;

/// One request, before it has a host and a token.
pub struct Ask<'a> {
    pub method: Method,
    /// What follows `/services/data/vXX.0`, or a whole path that begins with `/services/`.
    pub path: &'a str,
    pub body: Option<Vec<u8>>,
    pub effect: Effect,
    /// Whether it waits when the daily allowance is nearly gone.
    pub counted: bool,
    pub header: Option<(&'static str, &'static str)>,
}

/// Why a request has no successful answer.
pub enum Failure {
    /// The org answered, but not with success.
    Refused(Refusal),
    /// It is clear already what follows.
    Decided(Outcome),
}

impl Failure {
    /// What follows; `row` describes the row if the request carried rows.
    pub fn into_outcome(self, effect: Effect, row: Option<Row>) -> Outcome {
        match self {
            Failure::Refused(refusal) => outcome::of_refusal(&refusal, effect, row),
            Failure::Decided(outcome) => outcome,
        }
    }
}

/// The connection to one org.
pub struct Client {
    wire: Wire,
    settings: Arc<Settings>,
    sessions: Sessions,
    version: RwLock<Option<ApiVersion>>,
    /// Whether bodies are compressed; ends for good when something on the way does not understand it.
    compress: AtomicBool,
}

impl Client {
    pub fn new(wire: Wire, settings: Arc<Settings>) -> Client {
        let version = RwLock::new(settings.api_version);
        let compress = AtomicBool::new(settings.gzip);
        Client { wire, settings, sessions: Sessions::new(), version, compress }
    }

    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    pub fn usage(&self) -> Usage {
        self.wire.usage()
    }

    /// The org's origin, once logged in.
    pub fn instance(&self) -> Option<String> {
        self.sessions.peek().map(|session| session.instance.origin().ascii_serialization())
    }

    /// The path below which all resources lie.
    pub fn base_path(&self) -> String {
        let version = *self.version.read().unwrap_or_else(PoisonError::into_inner);
        format!("/services/data/v{}", version.unwrap_or(VERSION_FALLBACK))
    }

    /// Logs in if need be, and settles the API version.
    pub async fn connect(&self) -> Result<(), Outcome> {
        let session = self.session(None).await?;
        if self.settings.api_version.is_none() {
            let found = self.discover(&session).await?;
            *self.version.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
        }
        Ok(())
    }

    async fn session(&self, refused: Option<u64>) -> Result<Arc<Session>, Outcome> {
        match refused {
            Some(generation) => self.sessions.renew(generation, &self.wire, &self.settings).await,
            None => self.sessions.get(&self.wire, &self.settings).await,
        }
    }

    async fn discover(&self, session: &Session) -> Result<ApiVersion, Outcome> {
        let url = format!("{}/services/data/", session.instance.origin().ascii_serialization());
        let request = Request::get(url).header(ACCEPT, "application/json").body(Bytes::new());
        let request = request.map_err(|_| unfit_request())?;
        let sent = self.wire.send(request, self.settings.timeouts.login).await;
        let response = sent.map_err(|error| outcome::of_transport(&error, Effect::Read))?;
        let status = response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Outcome::Retry {
                after: None,
                problem: Problem::new(
                    REMOTE_BUSY,
                    format!("the org answers {} when asked for its API versions", status.as_u16()),
                    "Wait; look at status.salesforce.com if it goes on.",
                ),
                smaller: false,
            });
        }
        Ok(choose_version(response.body()).unwrap_or(VERSION_FALLBACK))
    }

    /// Holds by ourselves before the org's daily allowance is gone for everybody.
    pub fn check_allowance(&self) -> Result<(), Outcome> {
        let Some(allowance) = self.wire.allowance() else { return Ok(()) };
        let percent = self.settings.usage_stop_percent;
        if !allowance.reached(percent) {
            return Ok(());
        }
        let what = format!(
            "{} of the org's {} daily API requests are used; we stop at {percent} %",
            allowance.used, allowance.max
        );
        Err(hold(Problem::new(API_LIMIT, what, rules::HELP_LIMIT)))
    }

    /// Sends a request with the session's token; once more with a new token if the first was refused.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Response<Bytes>, Failure> {
        if ask.counted {
            self.check_allowance().map_err(Failure::Decided)?;
        }
        let (mut body, mut compressed) = self.encode(ask.body.as_deref());
        let deadline = match ask.effect {
            Effect::Read => self.settings.timeouts.query,
            Effect::Write => self.settings.timeouts.write,
        };
        let mut refused = None;
        loop {
            let session = self.session(refused).await.map_err(Failure::Decided)?;
            let request = self.request(ask, &session, body.clone(), compressed).map_err(Failure::Decided)?;
            let sent = self.wire.send(request, deadline).await;
            let response = sent.map_err(|error| Failure::Decided(outcome::of_transport(&error, ask.effect)))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let refusal = Refusal::read(&response, self.wire.now());
            if compressed && is_about_encoding(&refusal) {
                self.compress.store(false, Ordering::Relaxed);
                (body, compressed) = self.encode(ask.body.as_deref());
                continue;
            }
            if !is_about_session(&refusal) {
                return Err(Failure::Refused(refusal));
            }
            if refused.is_some() {
                self.sessions.forget(session.generation);
                return Err(Failure::Decided(still_refused(&refusal)));
            }
            refused = Some(session.generation);
        }
    }

    fn request(
        &self,
        ask: &Ask<'_>,
        session: &Session,
        body: Bytes,
        compressed: bool,
    ) -> Result<Request<Bytes>, Outcome> {
        let origin = session.instance.origin().ascii_serialization();
        let base = if ask.path.starts_with("/services/") { String::new() } else { self.base_path() };
        let bearer = format!("Bearer {}", session.token.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| unfit_request())?;
        bearer.set_sensitive(true);
        let mut builder = Request::builder()
            .method(ask.method.clone())
            .uri(format!("{origin}{base}{}", ask.path))
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, "application/json")
            .header("Sforce-Call-Options", format!("client={}", self.settings.client_tag));
        if ask.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json; charset=UTF-8");
        }
        if compressed {
            builder = builder.header(CONTENT_ENCODING, "gzip");
        }
        if let Some((name, value)) = ask.header {
            builder = builder.header(name, value);
        }
        builder.body(body).map_err(|_| unfit_request())
    }

    fn encode(&self, body: Option<&[u8]>) -> (Bytes, bool) {
        let plain = body.unwrap_or_default();
        if self.compress.load(Ordering::Relaxed) && plain.len() > GZIP_BYTES_MIN {
            let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
            if encoder.write_all(plain).is_ok()
                && let Ok(packed) = encoder.finish()
            {
                return (Bytes::from(packed), true);
            }
        }
        (Bytes::copy_from_slice(plain), false)
    }
}

/// Whether a refusal may only mean that the compressed body was not understood; either way nothing was done.
fn is_about_encoding(refusal: &Refusal) -> bool {
    let unread = refusal.has_code("JSON_PARSER_ERROR") || !refusal.is_salesforces_own();
    refusal.status == 415 || (refusal.status == 400 && unread)
}

/// Whether a refusal is about the session, so that a new one can help. A code that only a person can mend, such as a
/// switched-off API, is not, whatever status it comes with.
fn is_about_session(refusal: &Refusal) -> bool {
    let lacks_permission = refusal
        .faults
        .iter()
        .filter_map(rules::find)
        .any(|rule| matches!(rule.verdict, Verdict::Hold(_) | Verdict::HoldOrReject(..)));
    let expired = refusal.has_code("INVALID_SESSION_ID") && refusal.status < 500;
    !lacks_permission && (expired || refusal.status == 401)
}

/// Reads a successful answer's body.
pub fn read_json<T: DeserializeOwned>(response: &Response<Bytes>, effect: Effect) -> Result<T, Outcome> {
    serde_json::from_slice(response.body())
        .map_err(|_| outcome::of_nonsense("Salesforce answers with success, but not in the documented form", effect))
}

#[derive(Deserialize)]
struct VersionRow {
    version: String,
}

/// The highest offered version that we know, else the lowest offered one.
fn choose_version(body: &[u8]) -> Option<ApiVersion> {
    let rows: Vec<VersionRow> = serde_json::from_slice(body).ok()?;
    let offered: Vec<ApiVersion> = rows.iter().filter_map(|row| ApiVersion::parse(&row.version)).collect();
    let known = offered.iter().copied().filter(|version| *version <= VERSION_KNOWN).max();
    known.or_else(|| offered.into_iter().min())
}

/// The login works, so this is no wrong credential: sessions end faster than they are used, or the refusal passes.
fn still_refused(refusal: &Refusal) -> Outcome {
    Outcome::Retry {
        after: None,
        problem: Problem::new(
            LOGIN_REFUSED,
            format!("the login works, but the session is refused at once ({})", refusal.text()),
            "It is tried again by itself. If it lasts, check that the login and the org belong together, and the session \
             settings: timeout, IP locking, API access control.",
        ),
        smaller: false,
    }
}

fn unfit_request() -> Outcome {
    hold(Problem::new(
        API_VERSION,
        "a request cannot be built from the settings and the login answer",
        "Check login URL, API version and credentials for stray characters.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_that_we_know_is_chosen() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(choose_version(body.as_bytes()).map(|v| v.to_string()).as_deref(), expected, "{body}");
        };
        check(r#"[{"label":"a","url":"/x","version":"58.0"},{"version":"66.0"},{"version":"67.0"}]"#, Some("66.0"));
        check(r#"[{"version":"9.0"},{"version":"62.0"}]"#, Some("62.0"));
        check(r#"[{"version":"70.0"},{"version":"71.0"}]"#, Some("70.0"));
        check(r#"[]"#, None);
        check(r#"<html>"#, None);
    }
}

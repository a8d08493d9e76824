//! One request from door to door: which area it belongs to, authentication, limits, faults, latency, and the answer.
//!
//! The order matters: what happens "after the commit" must come after everything that a client could later see.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::sleep;

use super::answer::{Answer, Content};
use super::counters::count;
use super::data::{self, Call};
use super::faults::{Drawn, FaultKind};
use super::org::{Org, State};
use super::problem::Problem;
use super::route::Route;
use super::target::{Target, form};
use super::write::Origin;
use super::{VERSION_MIN, admin, auth, page, soap};

/// The longest request URI.
const URI_BYTES_MAX: usize = 16_384;

/// A request whose body has been read and decoded.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Incoming {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn host(&self) -> &str {
        self.header("host").unwrap_or("localhost")
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.host())
    }
}

/// What goes out on the connection.
#[derive(Debug)]
pub(super) enum Outcome {
    Answer(Answer),
    /// The answer's head and half of its body, then the end of the connection.
    Truncated(Answer),
    /// The end of the connection, without a byte.
    Dropped,
}

/// Handles a request of any kind.
pub(super) async fn handle(org: &Org, request: &Incoming) -> Outcome {
    if request.target.len() > URI_BYTES_MAX {
        return Outcome::Answer(uri_too_long(&org.lock()));
    }
    let path = request.path();
    if path == "/" {
        return Outcome::Answer(page::answer(org));
    }
    if path == "/sim" || path.starts_with("/sim/") {
        return Outcome::Answer(admin::handle(org, request));
    }
    if !path.starts_with("/services/") {
        return Outcome::Answer(Answer::problem(&Problem::not_found()));
    }
    let (drawn, latency) = {
        let mut state = org.lock();
        if state.closed {
            return Outcome::Dropped;
        }
        (draw(&mut state, &request.method, path), Duration::from_millis(state.settings.latency_ms))
    };
    sleep_for(Duration::from_millis(drawn.before_ms)).await;
    let guard = InFlight::enter(org);
    let answer = match drawn.before {
        Some(FaultKind::DropBeforeCommit) => return Outcome::Dropped,
        Some(kind) => before_commit(org, request, kind),
        None => serve(org, request, &drawn, guard.request).await,
    };
    org.touched();
    sleep_for(latency + Duration::from_millis(drawn.after_ms)).await;
    drop(guard);
    let outcome = after_commit(&drawn, answer).await;
    if let Outcome::Answer(Answer { refused: Some(code), .. }) = &outcome {
        count(&mut org.lock().counters.requests_refused, code);
    }
    outcome
}

/// Sleeping for nothing would still wait for the timer's next tick.
async fn sleep_for(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn draw(state: &mut State, method: &str, path: &str) -> Drawn {
    let mut injected = Vec::new();
    let mut drawn = state.faults.draw(&mut state.random, method, path, |kind| injected.push(kind));
    for kind in injected {
        state.count_fault(kind);
    }
    drawn.race_ms = drawn.race_ms.max(state.settings.race_window_ms);
    drawn
}

/// A request in flight; leaving frees its locks, also when the simulator stops in the middle of it.
struct InFlight {
    org: Org,
    request: u64,
}

impl InFlight {
    fn enter(org: &Org) -> InFlight {
        let mut state = org.lock();
        state.in_flight += 1;
        state.requests += 1;
        state.counters.in_flight_max = state.counters.in_flight_max.max(state.in_flight);
        InFlight { org: org.clone(), request: state.requests }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.org.lock();
        state.in_flight -= 1;
        state.locks.release(self.request);
    }
}

fn before_commit(org: &Org, request: &Incoming, kind: FaultKind) -> Answer {
    let mut state = org.lock();
    if let Ok(route) = data_route(request) {
        count(&mut state.counters.calls, route.kind());
        state.counters.api_calls += 1;
    }
    let problem = match kind {
        FaultKind::BadGatewayBeforeCommit => return Answer::bad_gateway(),
        FaultKind::ExpireSession => {
            if let Some(token) = session_token(request) {
                state.sessions.end(token);
            }
            Problem::session_invalid()
        }
        FaultKind::RequestLimit => Problem::total_requests(),
        FaultKind::ConcurrentLimit => Problem::concurrent_requests(),
        FaultKind::ServerErrorBeforeCommit => Problem::unknown_exception(),
        _ => Problem::unavailable(),
    };
    let answer = Answer::problem(&problem);
    let header = state.usage.header(&state.settings);
    if problem.status == 403 { answer.header("sforce-limit-info", header) } else { answer }
}

async fn after_commit(drawn: &Drawn, answer: Answer) -> Outcome {
    match drawn.after {
        None => Outcome::Answer(answer),
        Some(FaultKind::TruncateBody) => Outcome::Truncated(answer),
        Some(FaultKind::UnavailableAfterCommit) => Outcome::Answer(Answer::problem(&Problem::unavailable())),
        Some(FaultKind::ServerErrorAfterCommit) => Outcome::Answer(Answer::problem(&Problem::unknown_exception())),
        Some(FaultKind::BadGatewayAfterCommit) => Outcome::Answer(Answer::bad_gateway()),
        Some(_) => {
            sleep_for(Duration::from_millis(drawn.hang_ms)).await;
            Outcome::Dropped
        }
    }
}

async fn serve(org: &Org, request: &Incoming, drawn: &Drawn, number: u64) -> Answer {
    let target = Target::parse(&request.target);
    let segments: Vec<&str> = target.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["services", "oauth2", "token"] => token(org, request),
        ["services", "Soap", "u", version, ..] => {
            let body = String::from_utf8_lossy(&request.body);
            let (status, xml) = soap::login(org, version, &request.base_url(), &body);
            Answer { content: Content::Xml(xml), ..Answer::empty(status) }
        }
        ["services", "Soap", "u"] => {
            let (status, xml) = soap::login(org, "", &request.base_url(), "");
            Answer { content: Content::Xml(xml), ..Answer::empty(status) }
        }
        ["services", "data"] => {
            let mut state = org.lock();
            count(&mut state.counters.calls, "versions");
            Answer::json(200, &data::versions(state.settings.api_version_max))
        }
        ["services", "data", version, ..] => {
            match admit(org, request, version, target.parameters.clone(), &target.segments[3..], number) {
                Ok(call) => {
                    let answer = data::dispatch(org, &call, Duration::from_millis(drawn.race_ms)).await;
                    with_limits(org, answer)
                }
                Err(problem) if problem.status == 401 || problem.status == 410 => Answer::problem(&problem),
                Err(problem) => with_limits(org, Answer::problem(&problem)),
            }
        }
        _ => Answer::problem(&Problem::not_found()),
    }
}

fn token(org: &Org, request: &Incoming) -> Answer {
    if request.method != "POST" {
        return Answer::problem(&Problem::method_not_allowed(&request.method, "POST"));
    }
    let base_url = request.base_url();
    let asked = auth::TokenRequest {
        form: form(&String::from_utf8_lossy(&request.body)),
        authorization: request.header("authorization"),
        host: request.host(),
        base_url: &base_url,
    };
    let (status, body) = auth::token(org, &asked);
    Answer::json(status, &body).header("cache-control", "no-store").header("pragma", "no-cache")
}

/// Version, session, limits and route, in this order; counts the call.
fn admit(
    org: &Org,
    request: &Incoming,
    version: &str,
    parameters: HashMap<String, String>,
    segments: &[String],
    number: u64,
) -> Result<Call, Problem> {
    let mut state = org.lock();
    check_version(version, state.settings.api_version_max)?;
    let method = match parameters.get("_HttpMethod") {
        Some(method) if request.method == "POST" => method.to_ascii_uppercase(),
        _ => request.method.clone(),
    };
    let route = Route::parse(&method, segments);
    count(&mut state.counters.calls, route.as_ref().map_or("unknown", Route::kind));
    state.counters.api_calls += 1;
    let (now, minutes) = (state.now, state.settings.session_minutes);
    match session_token(request) {
        Some(token) if state.sessions.use_session(token, now, minutes) => {}
        Some("") => return Err(Problem::new(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")),
        _ => return Err(Problem::session_invalid()),
    }
    let settings = state.settings.clone();
    let is_probe = matches!(route, Ok(Route::Limits));
    if !is_probe && !state.usage.take(now, &settings) {
        return Err(Problem::total_requests());
    }
    if settings.concurrent_requests_max.is_some_and(|max| state.in_flight > max) {
        return Err(Problem::concurrent_requests());
    }
    let has_option = |header: &str, option: &str| {
        request.header(header).is_some_and(|value| value.replace(' ', "").to_ascii_lowercase().contains(option))
    };
    let origin = Origin {
        request: number,
        method,
        path: request.path().to_owned(),
        allows_duplicates: has_option("sforce-duplicate-rule-header", "allowsave=true"),
        assigns: !has_option("sforce-auto-assign", "false"),
    };
    let page_rows = request.header("sforce-query-options").and_then(|value| {
        let option =
            value.split(';').map(str::trim).find(|option| option.to_ascii_lowercase().starts_with("batchsize"));
        option?.split_once('=')?.1.trim().parse().ok()
    });
    Ok(Call { route: route?, version: version.to_owned(), parameters, body: request.body.clone(), origin, page_rows })
}

fn check_version(version: &str, newest: u32) -> Result<(), Problem> {
    let number = version.strip_prefix('v').and_then(|version| version.strip_suffix(".0"));
    match number.and_then(|number| number.parse::<u32>().ok()) {
        Some(number) if number < VERSION_MIN => {
            Err(Problem::new(410, "UNSUPPORTED_API_VERSION", format!("The API version {version} is retired")))
        }
        Some(number) if number <= newest => Ok(()),
        _ => Err(Problem::not_found()),
    }
}

fn session_token(request: &Incoming) -> Option<&str> {
    let header = request.header("authorization")?;
    let (scheme, token) = header.split_once(' ').unwrap_or(("", ""));
    let is_known = scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("OAuth");
    Some(if is_known { token.trim() } else { "" })
}

fn data_route(request: &Incoming) -> Result<Route, Problem> {
    let target = Target::parse(&request.target);
    match target.segments.get(..3) {
        Some([services, data, _]) if services == "services" && data == "data" => {
            Route::parse(&request.method, &target.segments[3..])
        }
        _ => Err(Problem::not_found()),
    }
}

fn with_limits(org: &Org, answer: Answer) -> Answer {
    let state = org.lock();
    let header = state.usage.header(&state.settings);
    answer.header("sforce-limit-info", header)
}

fn uri_too_long(state: &State) -> Answer {
    if state.settings.uri_too_long_html {
        let page = "<html>\n<head><title>414 Request-URI Too Large</title></head>\n<body>\n<center><h1>414 \
                    Request-URI Too Large</h1></center>\n</body>\n</html>\n";
        Answer::html(414, page.to_owned())
    } else {
        Answer::problem(&Problem::new(414, "URI_TOO_LONG", "The URI is too long"))
    }
}

//! One request from door to door: faults, limits of traffic, the system's answer, latency.
//!
//! The order matters: what happens "after the commit" must come after everything that a client could later see.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::counters::count;
use super::faults::{Drawn, Fault, FaultKind};
use super::{Answer, Api, Context, Remote, Request, State, Switches, admin};

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
pub(super) async fn handle<R: Remote>(api: &Api<R>, request: &Request) -> Outcome {
    let path = request.path();
    if path == "/sim" || path.starts_with("/sim/") {
        return Outcome::Answer(admin::handle(api, request));
    }
    if path == "/"
        && request.method == "GET"
        && let Some(page) = api.lock().remote.page()
    {
        return Outcome::Answer(admin::page(page));
    }
    // Before the fault is counted: who sees the count may release at once.
    let mut releases = api.0.releases.subscribe();
    let (drawn, latency_ms) = {
        let mut state = api.lock();
        let drawn = draw(&mut state, request);
        (drawn, state.settings.traffic().latency_ms)
    };
    let guard = InFlight::enter(api);
    if drawn.is_held_before {
        released(&mut releases).await;
    }
    sleep_for(drawn.before_ms).await;
    let answer = match &drawn.before {
        Some(fault) if fault.kind == FaultKind::DropBeforeCommit => return Outcome::Dropped,
        Some(fault) => refused::<R>(fault),
        None => serve(api, request),
    };
    sleep_for(latency_ms + drawn.after_ms).await;
    if drawn.is_held_after {
        released(&mut releases).await;
    }
    drop(guard);
    let outcome = match &drawn.after {
        None => Outcome::Answer(answer),
        Some(fault) if fault.kind == FaultKind::TruncateBody => Outcome::Truncated(answer),
        Some(fault) if fault.kind == FaultKind::StatusAfterCommit => Outcome::Answer(refused::<R>(fault)),
        Some(_) => Outcome::Dropped,
    };
    if let Outcome::Answer(answer) = &outcome {
        count(&mut api.lock().counters.answers, &answer.status.to_string());
    }
    outcome
}

/// Sleeping for nothing would still wait for the timer's next tick.
async fn sleep_for(milliseconds: u64) {
    if milliseconds > 0 {
        sleep(Duration::from_millis(milliseconds)).await;
    }
}

async fn released(releases: &mut watch::Receiver<u64>) {
    // The sender lives as long as the caller's `Api`, so the only end of the wait is a release.
    _ = releases.changed().await;
}

fn draw<R: Remote>(state: &mut State<R>, request: &Request) -> Drawn {
    state.counters.requests += 1;
    let mut injected = Vec::new();
    let drawn = state.faults.draw(&mut state.random, &request.method, request.path(), |kind| injected.push(kind));
    for kind in injected {
        count(&mut state.counters.faults, kind.name());
    }
    drawn
}

/// A request in flight, also when the simulator stops in the middle of it.
struct InFlight<R: Remote>(Api<R>);

impl<R: Remote> InFlight<R> {
    fn enter(api: &Api<R>) -> InFlight<R> {
        let mut state = api.lock();
        state.in_flight += 1;
        state.counters.in_flight_max = state.counters.in_flight_max.max(state.in_flight);
        InFlight(api.clone())
    }
}

impl<R: Remote> Drop for InFlight<R> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

fn refused<R: Remote>(fault: &Fault) -> Answer {
    let message = fault.message.as_deref().unwrap_or("injected failure");
    let is_of_edge = fault.html || fault.message.is_none() && [502, 504].contains(&fault.status);
    let answer = if is_of_edge { Answer::edge(fault.status) } else { R::refusal(fault.status, message) };
    match fault.retry_after_s.or((fault.status == 429).then_some(1)) {
        Some(seconds) => answer.header("retry-after", seconds.to_string()),
        None => answer,
    }
}

fn serve<R: Remote>(api: &Api<R>, request: &Request) -> Answer {
    let now = (api.0.now)();
    let mut state = api.lock();
    let State { remote, settings, faults, counters, random, window, .. } = &mut *state;
    let traffic = settings.traffic();
    if let Some(most) = traffic.requests_max {
        let length = i64::try_from(traffic.window_s).unwrap_or(i64::MAX);
        let age = |then: jiff::Timestamp| now.as_second() - then.as_second();
        while window.front().is_some_and(|first| age(*first) >= length) {
            window.pop_front();
        }
        if window.len() as u64 >= most {
            let wait = window.front().map_or(length, |first| length - age(*first));
            return R::refusal(429, "too many requests").header("retry-after", wait.max(1).to_string());
        }
        window.push_back(now);
    }
    if traffic.body_bytes_max.is_some_and(|most| request.body.len() > most) {
        return R::refusal(413, "the body is too large");
    }
    remote.serve(&mut Context { settings, now, counters, faults, random }, request)
}

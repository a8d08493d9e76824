//! Faults on demand: which to inject into which request or row, drawn from the seeded generator.
//!
//! A fault without a `path` meets data requests only; one with a path meets every request below `/services/` whose path
//! contains it, logins too. At most one fault acts before and one after the commit of a request.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The connection closes; nothing was done.
    DropBeforeCommit,
    /// Everything is done, then the connection closes without an answer.
    DropAfterCommit,
    /// 503 `SERVER_UNAVAILABLE`; nothing was done.
    UnavailableBeforeCommit,
    /// Everything is done, then 503 `SERVER_UNAVAILABLE`.
    UnavailableAfterCommit,
    /// An HTML 502 from the edge; nothing was done.
    BadGatewayBeforeCommit,
    /// Everything is done, then an HTML 502 from the edge.
    BadGatewayAfterCommit,
    /// 500 `UNKNOWN_EXCEPTION`; nothing was done.
    ServerErrorBeforeCommit,
    /// Everything is done, then 500 `UNKNOWN_EXCEPTION`.
    ServerErrorAfterCommit,
    /// 403 `REQUEST_LIMIT_EXCEEDED`, the daily text.
    RequestLimit,
    /// 403 `REQUEST_LIMIT_EXCEEDED`, the concurrency text.
    ConcurrentLimit,
    /// The request's session is gone: 401.
    ExpireSession,
    /// Everything is done, then `delay_ms` pass before the answer.
    Slow,
    /// `delay_ms` pass before anything is done; it is done even if the client has left.
    SlowCommit,
    /// Everything is done, then half of the answer's body and the end of the connection.
    TruncateBody,
    /// Everything is done, then silence for `delay_ms` and the end of the connection.
    HangAfterCommit,
    /// An upsert waits `delay_ms` between looking its keys up and writing.
    WidenRace,
    /// A row fails with `UNABLE_TO_LOCK_ROW`; probability and count are per row.
    LockRow,
    /// A row fails with `code` and `message`; probability and count are per row.
    FailRow,
}

impl FaultKind {
    /// The name in JSON and in the counters.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::DropBeforeCommit => "drop_before_commit",
            FaultKind::DropAfterCommit => "drop_after_commit",
            FaultKind::UnavailableBeforeCommit => "unavailable_before_commit",
            FaultKind::UnavailableAfterCommit => "unavailable_after_commit",
            FaultKind::BadGatewayBeforeCommit => "bad_gateway_before_commit",
            FaultKind::BadGatewayAfterCommit => "bad_gateway_after_commit",
            FaultKind::ServerErrorBeforeCommit => "server_error_before_commit",
            FaultKind::ServerErrorAfterCommit => "server_error_after_commit",
            FaultKind::RequestLimit => "request_limit",
            FaultKind::ConcurrentLimit => "concurrent_limit",
            FaultKind::ExpireSession => "expire_session",
            FaultKind::Slow => "slow",
            FaultKind::SlowCommit => "slow_commit",
            FaultKind::TruncateBody => "truncate_body",
            FaultKind::HangAfterCommit => "hang_after_commit",
            FaultKind::WidenRace => "widen_race",
            FaultKind::LockRow => "lock_row",
            FaultKind::FailRow => "fail_row",
        }
    }

    fn stage(self) -> Stage {
        match self {
            FaultKind::DropBeforeCommit
            | FaultKind::UnavailableBeforeCommit
            | FaultKind::BadGatewayBeforeCommit
            | FaultKind::ServerErrorBeforeCommit
            | FaultKind::RequestLimit
            | FaultKind::ConcurrentLimit
            | FaultKind::ExpireSession => Stage::Before,
            FaultKind::DropAfterCommit
            | FaultKind::UnavailableAfterCommit
            | FaultKind::BadGatewayAfterCommit
            | FaultKind::ServerErrorAfterCommit
            | FaultKind::TruncateBody
            | FaultKind::HangAfterCommit => Stage::After,
            FaultKind::Slow | FaultKind::SlowCommit | FaultKind::WidenRace => Stage::Delay,
            FaultKind::LockRow | FaultKind::FailRow => Stage::Row,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Delay,
    After,
    Row,
}

/// One fault: what, how often, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The chance that a matching request (or row) meets it.
    #[serde(default = "always")]
    pub probability: f64,
    /// How many times it is injected before it is used up; `None` is for ever.
    #[serde(default)]
    pub count: Option<u64>,
    /// How many matching requests (or rows) are let through first.
    #[serde(default)]
    pub skip: u64,
    /// Only this HTTP method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only paths that contain this text; without it, data requests only.
    #[serde(default)]
    pub path: Option<String>,
    /// The delay of the kinds that wait.
    #[serde(default)]
    pub delay_ms: u64,
    /// The error code of `fail_row`.
    #[serde(default)]
    pub code: Option<String>,
    /// The error text of `fail_row`.
    #[serde(default)]
    pub message: Option<String>,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault that meets every data request.
    pub fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            probability: 1.0,
            count: None,
            skip: 0,
            method: None,
            path: None,
            delay_ms: 0,
            code: None,
            message: None,
        }
    }

    /// Injected this many times only.
    pub fn times(self, count: u64) -> Fault {
        Fault { count: Some(count), ..self }
    }

    /// Injected with this chance.
    pub fn probability(self, probability: f64) -> Fault {
        Fault { probability, ..self }
    }

    /// Lets this many matching requests through first.
    pub fn after(self, skip: u64) -> Fault {
        Fault { skip, ..self }
    }

    /// Only on this HTTP method.
    pub fn on_method(self, method: &str) -> Fault {
        Fault { method: Some(method.to_owned()), ..self }
    }

    /// Only on paths that contain this text.
    pub fn on_path(self, path: &str) -> Fault {
        Fault { path: Some(path.to_owned()), ..self }
    }

    /// How long a waiting kind waits.
    pub fn delay_ms(self, delay_ms: u64) -> Fault {
        Fault { delay_ms, ..self }
    }

    /// What a failing row answers.
    pub fn failing_with(self, code: &str, message: &str) -> Fault {
        Fault { code: Some(code.to_owned()), message: Some(message.to_owned()), ..self }
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let method_fits = self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        let path_fits = match &self.path {
            Some(wanted) => path.contains(wanted.as_str()),
            None => path.starts_with("/services/data/v"),
        };
        method_fits && path_fits
    }
}

/// What was drawn for one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) before: Option<FaultKind>,
    pub(super) after: Option<FaultKind>,
    /// How long the request hangs before `after` cuts it.
    pub(super) hang_ms: u64,
    pub(super) before_ms: u64,
    pub(super) after_ms: u64,
    pub(super) race_ms: u64,
}

/// The active faults, in the order they were added.
#[derive(Debug, Default)]
pub(super) struct Faults {
    active: Vec<Fault>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.active.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    pub(super) fn list(&self) -> &[Fault] {
        &self.active
    }

    /// Draws what one request meets; `injected` hears of each fault.
    pub(super) fn draw(
        &mut self,
        random: &mut StdRng,
        method: &str,
        path: &str,
        mut injected: impl FnMut(FaultKind),
    ) -> Drawn {
        let mut drawn = Drawn::default();
        for fault in &mut self.active {
            let stage = fault.kind.stage();
            let is_taken = match stage {
                Stage::Before => drawn.before.is_some(),
                Stage::After => drawn.after.is_some(),
                Stage::Delay => false,
                Stage::Row => true,
            };
            if is_taken || !fault.matches(method, path) || !fires(fault, random) {
                continue;
            }
            injected(fault.kind);
            match (stage, fault.kind) {
                (Stage::Before, kind) => drawn.before = Some(kind),
                (_, FaultKind::Slow) => drawn.after_ms += fault.delay_ms,
                (_, FaultKind::SlowCommit) => drawn.before_ms += fault.delay_ms,
                (_, FaultKind::WidenRace) => drawn.race_ms += fault.delay_ms,
                (_, kind) => (drawn.after, drawn.hang_ms) = (Some(kind), fault.delay_ms),
            }
        }
        self.active.retain(|fault| fault.count != Some(0));
        drawn
    }

    /// Draws what one row of a write meets.
    pub(super) fn draw_row(
        &mut self,
        random: &mut StdRng,
        method: &str,
        path: &str,
        record: &str,
    ) -> Option<(FaultKind, Problem)> {
        let mut of_rows = self.active.iter_mut().filter(|fault| fault.kind.stage() == Stage::Row);
        let fault = of_rows.find_map(|fault| (fault.matches(method, path) && fires(fault, random)).then_some(fault))?;
        let problem = match fault.kind {
            FaultKind::LockRow => Problem::lock(record),
            _ => Problem::row(
                fault.code.clone().unwrap_or_else(|| "UNKNOWN_EXCEPTION".to_owned()),
                fault.message.clone().unwrap_or_else(|| "injected row failure".to_owned()),
                &[],
            ),
        };
        let kind = fault.kind;
        self.active.retain(|fault| fault.count != Some(0));
        Some((kind, problem))
    }
}

/// Whether a matching fault is injected this time.
fn fires(fault: &mut Fault, random: &mut StdRng) -> bool {
    if fault.skip > 0 {
        fault.skip -= 1;
        return false;
    }
    if fault.count == Some(0) || fault.probability < 1.0 && !random.random_bool(fault.probability.clamp(0.0, 1.0)) {
        return false;
    }
    fault.count = fault.count.map(|count| count - 1);
    true
}

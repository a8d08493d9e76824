//! Faults on demand: which to inject into which request or row, drawn from the seeded generator.
//!
//! A fault without a `path` meets every request but those for tokens; one with a path meets every request whose path
//! contains it. At most one fault acts before and one after the commit of a request; delays and holds add up.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The connection closes; nothing was done.
    DropBeforeCommit,
    /// Everything is done, then the connection closes without an answer.
    DropAfterCommit,
    /// The answer is `status`; nothing was done.
    StatusBeforeCommit,
    /// Everything is done, then the answer is `status`.
    StatusAfterCommit,
    /// Everything is done, then half of the answer's body and the end of the connection.
    TruncateBody,
    /// Everything is done, then `delay_ms` pass before the answer.
    Slow,
    /// `delay_ms` pass before anything is done; it is done even if the client has left.
    SlowCommit,
    /// Nothing is done before the administrator releases it; it is done even if the client has left.
    HoldBeforeCommit,
    /// Everything is done, then no answer before the administrator releases it.
    HoldAfterCommit,
    /// A row fails with `code` and `message`; probability and count are per row.
    FailRow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Delay,
    After,
    Row,
}

impl FaultKind {
    /// The name in JSON and in the counters.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::DropBeforeCommit => "drop_before_commit",
            FaultKind::DropAfterCommit => "drop_after_commit",
            FaultKind::StatusBeforeCommit => "status_before_commit",
            FaultKind::StatusAfterCommit => "status_after_commit",
            FaultKind::TruncateBody => "truncate_body",
            FaultKind::Slow => "slow",
            FaultKind::SlowCommit => "slow_commit",
            FaultKind::HoldBeforeCommit => "hold_before_commit",
            FaultKind::HoldAfterCommit => "hold_after_commit",
            FaultKind::FailRow => "fail_row",
        }
    }

    fn stage(self) -> Stage {
        match self {
            FaultKind::DropBeforeCommit | FaultKind::StatusBeforeCommit => Stage::Before,
            FaultKind::DropAfterCommit | FaultKind::StatusAfterCommit | FaultKind::TruncateBody => Stage::After,
            FaultKind::FailRow => Stage::Row,
            FaultKind::Slow | FaultKind::SlowCommit | FaultKind::HoldBeforeCommit | FaultKind::HoldAfterCommit => {
                Stage::Delay
            }
        }
    }
}

/// One fault: what, how often, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The status of the `status_…` kinds; 502 and 504 come as the edge's page.
    #[serde(default = "unavailable")]
    pub status: u16,
    /// The text of the answer, or of the failing row.
    #[serde(default)]
    pub message: Option<String>,
    /// `Retry-After` of the answer; a 429 without one says 1.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
    /// The answer is a page of the edge, whatever the status.
    #[serde(default)]
    pub html: bool,
    /// The error code of `fail_row`.
    #[serde(default)]
    pub code: Option<String>,
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
    /// Only paths that contain this text.
    #[serde(default)]
    pub path: Option<String>,
    /// The delay of the kinds that wait.
    #[serde(default)]
    pub delay_ms: u64,
}

fn always() -> f64 {
    1.0
}

fn unavailable() -> u16 {
    503
}

impl Fault {
    /// A fault that meets every request but those for tokens.
    pub fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            status: unavailable(),
            message: None,
            retry_after_s: None,
            html: false,
            code: None,
            probability: always(),
            count: None,
            skip: 0,
            method: None,
            path: None,
            delay_ms: 0,
        }
    }

    /// Refuses with this status; nothing is done.
    pub fn refuse(status: u16) -> Fault {
        Fault { status, ..Fault::new(FaultKind::StatusBeforeCommit) }
    }

    /// Does everything, then answers this status.
    pub fn commit_then(status: u16) -> Fault {
        Fault { status, ..Fault::new(FaultKind::StatusAfterCommit) }
    }

    /// With this text.
    pub fn saying(self, message: &str) -> Fault {
        Fault { message: Some(message.to_owned()), ..self }
    }

    /// With this `Retry-After`.
    pub fn retry_after(self, seconds: u64) -> Fault {
        Fault { retry_after_s: Some(seconds), ..self }
    }

    /// What a failing row answers.
    pub fn failing_with(self, code: &str, message: &str) -> Fault {
        Fault { code: Some(code.to_owned()), message: Some(message.to_owned()), ..self }
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

    fn matches(&self, method: &str, path: &str) -> bool {
        let method_fits = self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        let path_fits = match &self.path {
            Some(wanted) => path.contains(wanted.as_str()),
            None => !path.contains("/oauth"),
        };
        method_fits && path_fits
    }
}

/// What was drawn for one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Drawn {
    pub(super) before: Option<Fault>,
    pub(super) after: Option<Fault>,
    pub(super) before_ms: u64,
    pub(super) after_ms: u64,
    pub(super) is_held_before: bool,
    pub(super) is_held_after: bool,
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
            let is_taken = match fault.kind.stage() {
                Stage::Before => drawn.before.is_some(),
                Stage::After => drawn.after.is_some(),
                Stage::Delay => false,
                Stage::Row => true,
            };
            if is_taken || !fault.matches(method, path) || !fires(fault, random) {
                continue;
            }
            injected(fault.kind);
            match (fault.kind, fault.kind.stage()) {
                (FaultKind::Slow, _) => drawn.after_ms += fault.delay_ms,
                (FaultKind::SlowCommit, _) => drawn.before_ms += fault.delay_ms,
                (FaultKind::HoldBeforeCommit, _) => drawn.is_held_before = true,
                (FaultKind::HoldAfterCommit, _) => drawn.is_held_after = true,
                (_, Stage::Before) => drawn.before = Some(fault.clone()),
                _ => drawn.after = Some(fault.clone()),
            }
        }
        self.active.retain(|fault| fault.count != Some(0));
        drawn
    }

    /// Draws what one row of a write meets: its code and text.
    pub(super) fn draw_row(&mut self, random: &mut StdRng, method: &str, path: &str) -> Option<(String, String)> {
        let mut of_rows = self.active.iter_mut().filter(|fault| fault.kind.stage() == Stage::Row);
        let fault = of_rows.find_map(|fault| (fault.matches(method, path) && fires(fault, random)).then_some(fault))?;
        let code = fault.code.clone().unwrap_or_else(|| "INTERNAL_ERROR".to_owned());
        let message = fault.message.clone().unwrap_or_else(|| "injected row failure".to_owned());
        self.active.retain(|fault| fault.count != Some(0));
        Some((code, message))
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

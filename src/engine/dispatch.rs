//! The delivery loop of one destination: claim what is due, hand it to a window, wait or stop as the outcomes say.
//!
//! Invariant: the loop ends: when nothing is due, when the destination is held, when a stop is asked for, or when no
//! progress was made for as long as the patience lasts. Whatever is left stays due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::civil::Date;

use super::hands::Groups;
use super::outcome::later;
use super::{DeliverySummary, Engine, Event, Evidence, Route, backoff, counted, courtesy};
use crate::destinations::{Destination, Doubles, Existing, Match, Outcome, Readiness, Record};
use crate::problem::{self, Problem};
use crate::proof::{self, Step};
use crate::redact::RedactedCall;
use crate::store::{Claimed, Company, Order, Parts, Scope, StoreError, StoredProblem, Window};

/// Replayed deliveries claimed at once where other processes share the ledger.
const REPLAYED_BESIDE_OTHERS: usize = 100;

/// Rounds in a row in which something is due and nothing can be claimed.
const IN_VAIN_MAX: u32 = 100;

/// Of so many windows one is for calls that a process died with, however many others are due.
const SUSPECTS_EVERY: u32 = 8;

/// How much is in flight and how long things may take.
#[derive(Clone, Copy, Debug)]
pub struct DispatchLimits {
    /// Deliveries claimed at once.
    pub window: usize,
    /// Which calls go out first where many wait.
    pub order: Order,
    /// Requests in flight at once.
    pub lanes: usize,
    /// How long a claim lasts. Longer than any request.
    pub lease: Duration,
    /// How long a single write may take at the destination, a renewed login and a second try included; no write starts
    /// that could outlive its lease.
    pub write: Duration,
    /// How long a request without an answer may still take effect.
    pub settle: Duration,
    /// How long a run goes on trying without any progress.
    pub patience: Duration,
    /// Failed tries of one record, alone, before a person must look.
    pub attempts_max: u32,
}

impl Default for DispatchLimits {
    fn default() -> DispatchLimits {
        let lease = proof::lease().unwrap_or(Duration::from_secs(600));
        DispatchLimits {
            window: 1000,
            order: Order::OldestFirst,
            lanes: 5,
            lease,
            write: lease / 2,
            settle: super::outcome::SETTLE_DEFAULT,
            patience: Duration::from_secs(180),
            attempts_max: 25,
        }
    }
}

/// One record as it would be sent.
pub struct Sketch {
    /// `create`, `update` or `adopt`.
    pub operation: &'static str,
    pub object: String,
    pub record: Record,
    /// What was cut or left out.
    pub notes: Vec<String>,
}

/// Takes what would be sent instead of the destination.
pub trait Preview: Send + Sync {
    fn record(&self, call: &RedactedCall, decision: &Match, sketch: Sketch);
    /// Nobody matches: a person of this object with these fields would be made, and the record put on them.
    fn person(&self, call: &RedactedCall, decision: &Match, object: String, record: Record);
    fn skipped(&self, call: &RedactedCall, decision: &Match, problem: &Problem);
    fn refused(&self, call: &RedactedCall, problem: &Problem);
}

/// Delivers what is due of the calls of `route` at its destination. With a `preview`, nothing is written and the store must be
/// a copy.
/// Without `evidence` the source is not looked at before a record is changed.
pub async fn dispatch(
    engine: &Engine,
    route: &Route,
    preview: Option<&dyn Preview>,
    evidence: Option<Evidence<'_>>,
) -> Result<DeliverySummary, StoreError> {
    let mut dispatcher = Dispatcher { preview, evidence, ..Dispatcher::new(engine, route) };
    engine.store.reclaim(engine.clock.now_ms()).await?;
    let damaged = dispatcher.count_damaged().await?;
    let due: u64 = dispatcher.count_due().await?;
    engine.progress.event(Event::Delivering(due));
    if due > 0 && dispatcher.prepare().await? {
        dispatcher.run().await?;
        dispatcher.tell_twins();
    }
    dispatcher.summary.cool_until_ms = Some(dispatcher.cool_until_ms).filter(|at_ms| *at_ms > engine.clock.now_ms());
    if preview.is_none() {
        // What ran out of its lease waits as well.
        engine.store.reclaim(engine.clock.now_ms()).await?;
        dispatcher.summary.waiting = dispatcher.count_due().await?;
    }
    // The store itself settles what it cannot read back, so that no outcome tells of it.
    for (code, count) in dispatcher.count_damaged().await? {
        let met = count.saturating_sub(damaged.get(&code).copied().unwrap_or_default());
        if met > 0 {
            *dispatcher.summary.dead.entry(code).or_default() += met;
        }
    }
    Ok(dispatcher.summary)
}

/// What an earlier script left on the last few dates.
#[derive(Default)]
pub(super) struct Adoptable {
    pub(super) dates: BTreeSet<Date>,
    /// By session id.
    pub(super) records: HashMap<String, Existing>,
}

pub(super) struct Dispatcher<'a> {
    pub(super) engine: &'a Engine,
    pub(super) destination: &'a dyn Destination,
    pub(super) limits: DispatchLimits,
    scope: Option<&'a Scope>,
    pub(super) preview: Option<&'a dyn Preview>,
    pub(super) evidence: Option<Evidence<'a>>,
    pub(super) readiness: Readiness,
    pub(super) summary: DeliverySummary,
    pub(super) adoptable: Adoptable,
    /// Lanes now in use; fewer while the remote is busy.
    pub(super) lanes: usize,
    /// Of suspects.
    groups: Groups,
    /// Windows in a row in which the remote had trouble.
    failures: u32,
    /// The last trouble.
    trouble: Option<Problem>,
    cool_until_ms: i64,
    progress_at_ms: i64,
    /// Whether the destination is known to have taken a record, in this run or before.
    pub(super) has_delivered: AtomicBool,
    /// Calls that were sent although another source delivered one of the same session.
    pub(super) twins: u64,
}

impl<'a> Dispatcher<'a> {
    fn new(engine: &'a Engine, route: &'a Route) -> Dispatcher<'a> {
        let limits = route.limits;
        Dispatcher {
            engine,
            destination: route.destination.as_ref(),
            limits,
            scope: route.scope.as_ref(),
            preview: None,
            evidence: None,
            readiness: Readiness { doubles: Doubles::Unseen { resend: false }, key_advice: None, warnings: Vec::new() },
            summary: DeliverySummary::default(),
            adoptable: Adoptable::default(),
            lanes: limits.lanes.max(1),
            groups: Groups::default(),
            failures: 0,
            trouble: None,
            cool_until_ms: 0,
            progress_at_ms: engine.clock.now_ms(),
            has_delivered: AtomicBool::new(false),
            twins: 0,
        }
    }

    /// Everything that is not settled and in nobody's hands; what a process that is gone had was taken back before.
    async fn count_due(&self) -> Result<u64, StoreError> {
        self.engine.store.count(self.destination.name(), "due", None, self.scope).await
    }

    /// Dead letters because what the ledger holds of them does not read back, by code.
    async fn count_damaged(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut damaged = BTreeMap::new();
        for code in [problem::CALL_DAMAGED.0, problem::DELIVERY_DAMAGED.0] {
            let count = self.engine.store.count(self.destination.name(), "dead", Some(code), self.scope).await?;
            damaged.insert(code.to_owned(), count);
        }
        Ok(damaged)
    }

    /// Gets the destination ready; false if it cannot be used now.
    async fn prepare(&mut self) -> Result<bool, StoreError> {
        loop {
            proof::reached("prepare", Step::Before);
            let prepared = self.destination.prepare().await;
            proof::reached("prepare", Step::After);
            match prepared {
                Ok(readiness) => {
                    let advice = readiness.key_advice.iter().map(|advice| format!("{}; {}", advice.what, advice.help));
                    for warning in advice.chain(readiness.warnings.iter().cloned()) {
                        self.engine.progress.event(Event::Warning(warning));
                    }
                    self.readiness = readiness;
                    if self.preview.is_none() {
                        self.engine.store.release_hold(self.destination.name()).await?;
                    }
                    return Ok(true);
                }
                Err(Outcome::Hold { problem }) => {
                    self.hold(problem).await?;
                    return Ok(false);
                }
                Err(Outcome::Retry { after, problem, .. }) => {
                    self.trouble(&problem, after);
                    if !self.wait_or_give_up(self.cool_until_ms).await {
                        return Ok(false);
                    }
                }
                Err(other) => {
                    self.hold(unexpected(&other)).await?;
                    return Ok(false);
                }
            }
        }
    }

    fn tell_twins(&self) {
        if self.twins > 0 {
            let calls = counted(self.twins, "call was sent that has", "calls were sent that have");
            self.engine.progress.event(Event::Warning(format!(
                "{calls} the session id of a call from another source at {}: by their keys they are different calls, so it \
                 has both. Read a session from one source alone",
                self.destination.name()
            )));
        }
    }

    async fn run(&mut self) -> Result<(), StoreError> {
        let parts = if self.destination.reads_whole_calls() { Parts::Whole } else { Parts::Head };
        let (mut windows, mut in_vain) = (0_u32, 0);
        while !self.engine.stop.is_asked() && self.summary.hold.is_none() {
            if !self.wait_or_give_up(self.cool_until_ms).await {
                break;
            }
            let before_ms = self.progress_at_ms;
            windows += 1;
            if (windows.is_multiple_of(SUSPECTS_EVERY) && self.window_of_suspects(parts).await?)
                || self.window_of_due(parts).await?
                || self.window_of_replayed(parts).await?
                || self.window_of_suspects(parts).await?
            {
                let stuck = self.progress_at_ms == before_ms
                    && self.engine.clock.now_ms() > later(before_ms, self.limits.patience);
                if stuck {
                    break;
                }
                in_vain = 0;
                continue;
            }
            if self.engine.store.reclaim(self.engine.clock.now_ms()).await? > 0 {
                continue;
            }
            match self.engine.store.next_due(self.destination.name(), self.scope).await? {
                Some(at_ms) if self.preview.is_none() => {
                    // It may have fallen due since; but an index that decayed would tell so for ever.
                    in_vain = if at_ms <= self.engine.clock.now_ms() { in_vain + 1 } else { 0 };
                    if in_vain > IN_VAIN_MAX {
                        let (place, cause) = ("the index of what is due", "it tells of deliveries that are not there");
                        return Err(StoreError::Damaged { place: place.to_owned(), cause: cause.to_owned() });
                    }
                    if !self.wait_or_give_up(at_ms).await {
                        break;
                    }
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Takes what is due through a window; false if nothing was.
    async fn window_of_due(&mut self, parts: Parts) -> Result<bool, StoreError> {
        let engine = self.engine;
        let _hands = engine.hands.beside_others().await;
        let now_ms = engine.clock.now_ms();
        let (name, lease_until_ms) = (self.destination.name(), later(now_ms, self.limits.lease));
        let window = Window { count: self.limits.window, parts, order: self.limits.order, replayed: false };
        let claimed = engine.store.claim(name, self.scope, window, now_ms, lease_until_ms).await?;
        self.window_if_any(claimed).await
    }

    /// The same for what a replay made due: behind all else, and beside other processes a few at once and behind what they
    /// have in hand, so that fresh calls do not wait for it.
    async fn window_of_replayed(&mut self, parts: Parts) -> Result<bool, StoreError> {
        let (engine, name) = (self.engine, self.destination.name());
        if !engine.store.has_replayed(name, engine.clock.now_ms()).await? {
            return Ok(false);
        }
        let count = match courtesy::step_back(engine).await? {
            Company::Alone => self.limits.window,
            Company::Idle | Company::Busy => self.limits.window.min(REPLAYED_BESIDE_OTHERS),
        };
        let _hands = engine.hands.beside_others().await;
        let now_ms = engine.clock.now_ms();
        let window = Window { count, parts, order: self.limits.order, replayed: true };
        let claimed = engine.store.claim(name, self.scope, window, now_ms, later(now_ms, self.limits.lease)).await?;
        self.window_if_any(claimed).await
    }

    /// The same for calls that a process died with: a few, and nothing else meanwhile. Behind others, so that these
    /// are delivered however often it takes to find the guilty one.
    async fn window_of_suspects(&mut self, parts: Parts) -> Result<bool, StoreError> {
        let (engine, name) = (self.engine, self.destination.name());
        if !engine.store.has_suspects(name, engine.clock.now_ms()).await? {
            return Ok(false);
        }
        let Some(_hands) = engine.hands.alone(engine.clock.as_ref(), &engine.stop).await else { return Ok(false) };
        let now_ms = engine.clock.now_ms();
        let lease_until_ms = later(now_ms, self.limits.lease);
        let growth = self.groups.growth();
        let claimed = engine.store.claim_suspects(name, self.scope, parts, growth, now_ms, lease_until_ms).await?;
        let is_any = self.window_if_any(claimed).await?;
        self.groups.survived();
        Ok(is_any)
    }

    async fn window_if_any(&mut self, claimed: Vec<Claimed>) -> Result<bool, StoreError> {
        let is_any = !claimed.is_empty();
        if is_any {
            self.window(claimed).await?;
        }
        Ok(is_any)
    }

    /// Like `wait_for`; where the remote's trouble outlasts the patience, that is noted as why the run ends.
    async fn wait_or_give_up(&mut self, at_ms: i64) -> bool {
        let goes_on = self.wait_for(at_ms).await;
        if !goes_on && self.failures > 0 && !self.engine.stop.is_asked() {
            let tried = (self.engine.clock.now_ms() - self.progress_at_ms).max(0) / 1000;
            self.summary.gave_up = self.trouble.clone().map(|problem| Problem {
                what: format!("{}; given up after {tried} s without progress", problem.what),
                ..problem
            });
        }
        goes_on
    }

    /// Waits until `at_ms`; false if that is beyond the patience or a stop was asked for.
    async fn wait_for(&self, at_ms: i64) -> bool {
        let now_ms = self.engine.clock.now_ms();
        if at_ms <= now_ms {
            return !self.engine.stop.is_asked();
        }
        // A clock that was set back has progress in its future, and would wait for it as long as it was set.
        if at_ms > later(self.progress_at_ms.clamp(0, now_ms.max(0)), self.limits.patience) {
            return false;
        }
        let wait = Duration::from_millis((at_ms - now_ms).unsigned_abs());
        if wait >= Duration::from_secs(2) {
            let reason = self.trouble.as_ref().map_or_else(String::new, |problem| problem.what.clone());
            self.engine.progress.event(Event::Waiting { seconds: wait.as_secs(), reason });
        }
        tokio::select! {
            biased;
            () = self.engine.clock.sleep(wait) => true,
            () = self.engine.stop.asked() => false,
        }
    }

    /// Notes that the remote has trouble: the next question waits.
    pub(super) fn trouble(&mut self, problem: &Problem, asked: Option<Duration>) {
        self.failures += 1;
        let wait = backoff::wait(self.failures, asked, self.engine.chance());
        self.cool_until_ms = self.cool_until_ms.max(later(self.engine.clock.now_ms(), wait));
        if problem.code == problem::REMOTE_BUSY {
            self.lanes = (self.lanes / 2).max(1);
        }
        self.trouble = Some(problem.clone());
        self.waits_for(problem);
    }

    /// Tells why something waits, each reason once.
    pub(super) fn waits_for(&mut self, problem: &Problem) {
        let told = self.summary.waiting_for.iter().any(|other| other.code == problem.code);
        if !told {
            self.summary.waiting_for.push(problem.clone());
        }
    }

    /// Until when the remote is left alone, or now.
    pub(super) fn paused_until_ms(&self) -> i64 {
        self.cool_until_ms.max(self.engine.clock.now_ms())
    }

    /// Notes trouble that a write met; a window counts as one failure however many of its rows met it.
    pub(super) fn cool(&mut self, problem: &Problem) {
        if self.cool_until_ms <= self.engine.clock.now_ms() {
            self.trouble(problem, None);
        }
    }

    /// Whether the remote is held or asked for a pause, so that nothing more is to be begun in this window.
    pub(super) fn is_stopped(&self) -> bool {
        self.summary.hold.is_some() || self.cool_until_ms > self.engine.clock.now_ms() || self.engine.stop.is_asked()
    }

    /// Notes that something was settled for good.
    pub(super) fn progressed(&mut self) {
        self.progress_at_ms = self.engine.clock.now_ms();
        self.failures = 0;
        self.lanes = (self.lanes + 1).min(self.limits.lanes.max(1));
    }

    pub(super) async fn hold(&mut self, problem: Problem) -> Result<(), StoreError> {
        if self.preview.is_none() {
            let now_ms = self.engine.clock.now_ms();
            self.engine.store.hold(self.destination.name(), &StoredProblem::from(&problem), now_ms).await?;
        }
        self.summary.hold = Some(problem);
        Ok(())
    }
}

/// A question was answered with something that only a write can come to: a defect of the destination, told as such.
pub fn unexpected(outcome: &Outcome) -> Problem {
    let (Outcome::Reject { problem }
    | Outcome::Unknown { problem, .. }
    | Outcome::Rematch { problem }
    | Outcome::Hold { problem }
    | Outcome::Retry { problem, .. }) = outcome
    else {
        return Problem::new(
            problem::ORG_CONFIGURATION,
            "the destination answered a question with a record",
            "report this as a defect",
        );
    };
    problem.clone()
}

//! The loops of a process that runs all day: one for each source, one for each destination, one for each schedule.
//!
//! Invariants: a destination that is slow, held or down delays neither another one nor the reading; nothing is read or
//! sent that `intake` and `dispatch` would not; all loops end soon after a stop is asked for, and give back what they hold.

mod delivering;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::board::{Board, Condition, RouteFigures};
use super::schedule::Schedule;
use super::{DispatchLimits, Engine, Event, Reading, Route};
use crate::problem::{Problem, STORE_UNUSABLE};
use crate::store::StoreError;

/// How long a round of deliveries may wait by itself: longer waits are the loop's, which hears the bell meanwhile.
const ROUND_PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether a full disk has room again.
const ROOM_PAUSE: Duration = Duration::from_secs(5);
/// How this process's own row in the ledger is called.
const RUN: &str = "serve";

/// How often things happen.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Between two looks at a source.
    pub poll: Duration,
    /// Between two tries of a destination that is held, or of a scheduled sync whose source fails.
    pub hold_retry: Duration,
    /// Decides what "today" is, and when a schedule is due.
    pub zone: TimeZone,
    /// A scheduled sync that was missed is done at the start.
    pub catch_up: bool,
}

/// Everything a serving process works with.
pub struct Serving {
    engine: Engine,
    readings: Vec<Reading>,
    routes: Vec<Route>,
    schedules: Vec<Schedule>,
    pace: Pace,
    board: Arc<Board>,
    /// One for each route: something became due.
    bells: Arc<Vec<Notify>>,
    run_id: i64,
    /// When a process of this ledger last began to serve.
    served_before: Option<i64>,
}

impl Serving {
    /// Notes the start in the ledger.
    pub async fn begin(
        engine: Engine,
        readings: Vec<Reading>,
        mut routes: Vec<Route>,
        schedules: Vec<Schedule>,
        pace: Pace,
    ) -> Result<Serving, StoreError> {
        for route in &mut routes {
            route.limits = DispatchLimits { patience: ROUND_PATIENCE.min(route.limits.patience), ..route.limits };
        }
        let served_before = engine.store.last_run(RUN, false).await?;
        let run_id = engine.store.begin_run(RUN, engine.clock.now_ms()).await?;
        let board = Arc::new(Board::of(
            readings.iter().map(|reading| reading.source.name().to_owned()).collect(),
            routes.iter().map(|route| route.destination.name().to_owned()).collect(),
        ));
        let bells = Arc::new(routes.iter().map(|_| Notify::new()).collect::<Vec<_>>());
        Ok(Serving { engine, readings, routes, schedules, pace, board, bells, run_id, served_before })
    }

    /// Serves until a stop is asked for. A store that cannot be used any more ends it, but for a disk that is full: then
    /// nothing is read or sent until there is room.
    pub async fn run(self: Arc<Self>) -> Result<(), StoreError> {
        loop {
            match Arc::clone(&self).work().await {
                Err(StoreError::Full(cause)) if !self.engine.stop.is_asked() => {
                    self.is_full(&cause);
                    if !self.has_room().await? {
                        return Ok(());
                    }
                    self.board.all(&Condition::Unknown);
                    self.tell(Event::Note("there is room on the ledger's disk again; the work goes on".to_owned()));
                }
                Ok(()) => return self.beat().await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells that, and shows it wherever somebody looks.
    fn is_full(&self, cause: &str) {
        let what = format!("the ledger's disk is full: {cause}");
        let problem =
            Problem::new(STORE_UNUSABLE, what, "make room; nothing is lost meanwhile, and no restart is needed");
        let (code, what, help) = (problem.code, &problem.what, &problem.help);
        self.tell(Event::Warning(format!(
            "{code}: {what}; nothing is read or sent until there is room\n  help: {help}"
        )));
        self.board.all(&Condition::Failing(problem));
    }

    /// Waits until what was in hand can be given back; false if a stop was asked for.
    async fn has_room(&self) -> Result<bool, StoreError> {
        while self.rest(ROOM_PAUSE).await {
            match self.engine.store.let_go(self.engine.clock.now_ms()).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Full(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Runs all loops until a stop is asked for or one of them has no store any more.
    async fn work(self: Arc<Self>) -> Result<(), StoreError> {
        let mut loops = JoinSet::new();
        for index in 0..self.readings.len() {
            let serving = Arc::clone(&self);
            loops.spawn(async move { serving.watch(index).await });
        }
        for index in 0..self.routes.len() {
            let serving = Arc::clone(&self);
            loops.spawn(async move { serving.deliver(index).await });
        }
        for schedule in self.schedules.clone() {
            let serving = Arc::clone(&self);
            loops.spawn(async move { serving.keep(schedule).await });
        }
        let mut result = Ok(());
        while let Some(ended) = loops.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                // One loop without its store is as good as none. What the others have in hand cannot be settled either:
                // it is on record as sent, and is looked up.
                Ok(Err(error)) => {
                    loops.abort_all();
                    result = result.and(Err(error));
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        result
    }

    /// Writes a sign of life into the ledger: proves that it can be written.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let calls: u64 = self.board.sources().iter().map(|source| source.new_calls).sum();
        let summary = format!("{{\"new_calls\":{calls}}}");
        self.engine.store.end_run(self.run_id, &summary, self.engine.clock.now_ms()).await
    }

    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What each destination took, with the requests that it cost.
    pub fn route_figures(&self) -> Vec<RouteFigures> {
        let mut figures = self.board.routes();
        for (one, route) in figures.iter_mut().zip(&self.routes) {
            one.requests = route.destination.usage().requests;
        }
        figures
    }

    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    fn tell(&self, event: Event) {
        self.engine.progress.event(event);
    }

    fn ring(&self) {
        self.bells.iter().for_each(Notify::notify_one);
    }

    /// Waits; false if a stop was asked for.
    async fn rest(&self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.engine.stop.asked() => false,
            () = self.engine.clock.sleep(wait) => !self.engine.stop.is_asked(),
        }
    }

    /// Tells a person once of what has changed.
    fn tell_change(&self, name: &str, before: &Condition, now: &Condition, then: &str, every: Duration) {
        if before.is_like(now) {
            return;
        }
        let help = |problem: &Problem| match problem.help.as_str() {
            "" => String::new(),
            help => format!("\n  help: {help}"),
        };
        match now {
            Condition::Held(problem) => self.tell(Event::Warning(format!(
                "{name} is held: {}: {}; {then} every {} s{}",
                problem.code,
                problem.what,
                every.as_secs(),
                help(problem)
            ))),
            Condition::Failing(problem) => self.tell(Event::Warning(format!(
                "{name} fails: {}: {}; {then}{}",
                problem.code,
                problem.what,
                help(problem)
            ))),
            Condition::Usable if before.problem().is_some() => {
                self.tell(Event::Note(format!("{name} can be used again")));
            }
            Condition::Usable | Condition::Unknown => {}
        }
    }
}

//! The loops of a process that runs all day: one for each source, one for each destination, one for each schedule.
//!
//! Invariants: a destination that is slow, held or down delays neither another one nor the reading; nothing is read or
//! sent that `intake` and `dispatch` would not; all loops end soon after a stop is asked for, and give back what they hold.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::board::{Board, Condition, RouteFigures};
use super::outcome::later;
use super::schedule::{Schedule, recent_days};
use super::sync::rearm_skipped;
use super::{
    DispatchLimits, Engine, Event, Evidence, IntakeSummary, Progress, Quarantined, Reading, Route, RunSummary, backoff,
    dispatch, intake, mend, read_suspects, unexpected,
};
use crate::destinations::Outcome;
use crate::problem::Problem;
use crate::proof::{self, Step};
use crate::store::StoreError;

/// How long a round of deliveries may wait by itself: longer waits are the loop's, which hears the bell meanwhile.
const ROUND_PATIENCE: Duration = Duration::from_secs(2);
/// Between two rounds of which the first settled nothing although something was due.
const PAUSE: Duration = Duration::from_secs(1);
/// A round is begun at least so often: what another process has dropped is taken over.
const IDLE: Duration = Duration::from_secs(60);
/// A wait for a schedule is cut into pieces of this: a machine that slept or whose clock was set wakes up in time.
const SCHEDULE_STEP: Duration = Duration::from_secs(60);
/// Different warnings of one destination that are told, each once.
const WARNINGS_MAX: usize = 100;
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

    /// Runs all loops until a stop is asked for. A store that cannot be used any more ends them all.
    pub async fn run(self: Arc<Self>) -> Result<(), StoreError> {
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
                Ok(Err(error)) => {
                    // One loop without its store is as good as none: the rest ends in order, and whoever watches this
                    // process starts it anew.
                    self.engine.stop.ask();
                    result = Err(error);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        if result.is_ok() {
            self.beat().await?;
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

    /// The loop of one source.
    async fn watch(&self, index: usize) -> Result<(), StoreError> {
        // Once at the start: what was in the way may have been mended while nobody served.
        let mut quarantined = Quarantined::ReadAgain;
        loop {
            let days = match self.readings[index].source.has_days() {
                true => recent_days(self.now(), &self.pace.zone),
                false => self.today(),
            };
            let summary = self.read(index, &days, quarantined).await?;
            if summary.stopped.is_none() {
                quarantined = Quarantined::LeftAlone;
            }
            if !self.rest(self.pace.poll).await {
                return Ok(());
            }
        }
    }

    fn today(&self) -> Vec<Date> {
        vec![self.now().to_zoned(self.pace.zone.clone()).date()]
    }

    /// Reads what is new of `days`; calls ring the bells as they are committed.
    async fn read(&self, index: usize, days: &[Date], quarantined: Quarantined) -> Result<IntakeSummary, StoreError> {
        let reading = &self.readings[index];
        let began_ms = self.engine.clock.now_ms();
        proof::reached("poll", Step::Before);
        let ringing = Ringing { bells: Arc::clone(&self.bells) };
        let engine = Engine { progress: Arc::new(ringing), ..self.engine.clone() };
        let asked = async {
            reading.source.probe().await?;
            reading.source.refresh().await
        };
        let summary = match asked.await {
            Ok(()) => {
                let mut summary = intake(&engine, reading, days, quarantined).await?;
                read_suspects(&engine, reading, &mut summary).await?;
                summary
            }
            Err(problem) => IntakeSummary { stopped: Some(problem), ..IntakeSummary::default() },
        };
        proof::reached("poll", Step::After);
        let before = self.board.read(index, &summary, began_ms);
        let now = summary.stopped.clone().map_or(Condition::Usable, Condition::Failing);
        let name = format!("source {}", reading.source.name());
        self.tell_change(&name, &before, &now, "it is looked at again", self.pace.poll);
        Ok(summary)
    }

    /// The loop of one destination.
    async fn deliver(&self, index: usize) -> Result<(), StoreError> {
        let shown = Shown {
            index,
            board: Arc::clone(&self.board),
            told: Mutex::default(),
            rest: Arc::clone(&self.engine.progress),
        };
        let engine = Engine { progress: Arc::new(shown), ..self.engine.clone() };
        let mut failures = 0;
        loop {
            let round = self.round(index, &engine).await?;
            if self.engine.stop.is_asked() {
                return Ok(());
            }
            let name = self.routes[index].destination.name();
            let (wait, hears_bell) = match self.board.condition(index) {
                Condition::Held(_) => (self.pace.hold_retry, false),
                Condition::Failing(_) if round.tried => {
                    failures += 1;
                    let own = backoff::wait(failures, None, engine.chance());
                    (own.max(self.until(round.cool_until_ms)), false)
                }
                // What is due waits for a time of its own; where nothing is, a new call shows how it does.
                Condition::Failing(_) => {
                    let next = engine.store.next_due(name, None).await?;
                    (next.map_or(IDLE, |at_ms| self.until(Some(at_ms))).clamp(PAUSE, IDLE), next.is_none())
                }
                Condition::Usable | Condition::Unknown => {
                    failures = 0;
                    let next = engine.store.next_due(name, None).await?;
                    let wait = next.map_or(IDLE, |at_ms| self.until(Some(at_ms)).min(IDLE));
                    (if round.settled { wait } else { wait.max(PAUSE) }, true)
                }
            };
            tokio::select! {
            biased;
                () = self.engine.stop.asked() => return Ok(()),
                () = self.engine.clock.sleep(wait) => {}
                () = self.bells[index].notified(), if hears_bell => {}
            }
        }
    }

    /// Delivers what is due at one destination and notes how it did.
    async fn round(&self, index: usize, engine: &Engine) -> Result<Round, StoreError> {
        let route = &self.routes[index];
        // What the last poll has seen is known as it is.
        let since_ms = self.engine.clock.now_ms() - self.pace.poll.as_millis() as i64;
        let evidence = Evidence { readings: &self.readings, since_ms };
        let mut delivery = dispatch(engine, route, None, Some(evidence)).await?;
        self.board.delivered(index, &delivery);
        let settled = delivery.settled();
        let mut round = Round { settled: settled > 0, tried: false, cool_until_ms: delivery.cool_until_ms };
        let before = self.board.condition(index);
        let now = if let Some(problem) = delivery.hold.take() {
            Condition::Held(problem)
        } else if let Some(problem) = delivery.gave_up.take() {
            round.tried = true;
            Condition::Failing(delivery.waiting_for.last().cloned().unwrap_or(problem))
        } else if round.settled || before == Condition::Usable {
            Condition::Usable
        } else {
            // Nothing was sent, which proves nothing.
            self.ask(index, &before, &mut round).await?
        };
        let name = route.destination.name();
        self.board.found(index, now.clone());
        let what = "its calls wait, none is lost; it is tried again";
        self.tell_change(name, &before, &now, what, self.pace.hold_retry);
        if round.settled {
            delivery.waiting = 0;
            let one = super::Delivered { destination: name.to_owned(), requests: 0, delivery };
            let sentence = RunSummary::of(IntakeSummary::default(), vec![one], 0, false).sentence("");
            self.tell(Event::Note(format!("{name}: {sentence}")));
        }
        Ok(round)
    }

    /// Asks a destination whether it can be used. One that had trouble has to answer something: to get ready without a
    /// single request proves nothing.
    async fn ask(&self, index: usize, before: &Condition, round: &mut Round) -> Result<Condition, StoreError> {
        let destination = &self.routes[index].destination;
        let requests = destination.usage().requests;
        match destination.prepare().await {
            Ok(_) if before.problem().is_some() && destination.usage().requests == requests => Ok(before.clone()),
            Ok(_) => {
                self.engine.store.release_hold(destination.name()).await?;
                Ok(Condition::Usable)
            }
            Err(Outcome::Hold { problem }) => Ok(Condition::Held(problem)),
            Err(outcome) => {
                round.tried = true;
                if let Outcome::Retry { after: Some(after), .. } = &outcome {
                    round.cool_until_ms = Some(later(self.engine.clock.now_ms(), *after));
                }
                Ok(Condition::Failing(unexpected(&outcome)))
            }
        }
    }

    /// The loop of one schedule.
    async fn keep(&self, schedule: Schedule) -> Result<(), StoreError> {
        let ran = self.engine.store.last_run(&schedule.label(), true).await?.or(self.served_before);
        let mut last = match ran.filter(|_| self.pace.catch_up) {
            Some(at_ms) => Timestamp::from_millisecond(at_ms).unwrap_or_else(|_| self.now()),
            None => self.now(),
        };
        while let Some(at) = schedule.next(last, &self.pace.zone) {
            loop {
                let wait = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
                if wait.is_zero() {
                    break;
                }
                if !self.rest(wait.min(SCHEDULE_STEP)).await {
                    return Ok(());
                }
            }
            while !self.sync(schedule).await? {
                if !self.rest(self.pace.hold_retry).await {
                    return Ok(());
                }
            }
            last = self.now();
        }
        Ok(())
    }

    /// A scheduled sync: reads, and makes due; the loops of the destinations deliver. False if it is not done.
    async fn sync(&self, schedule: Schedule) -> Result<bool, StoreError> {
        let days = schedule.days(self.now(), &self.pace.zone);
        let run_id = self.engine.store.begin_run(&schedule.label(), self.engine.clock.now_ms()).await?;
        let mut summary = IntakeSummary::default();
        for (index, reading) in self.readings.iter().enumerate() {
            if reading.source.has_days() {
                summary.add(self.read(index, &days.list(), Quarantined::ReadAgain).await?);
            } else {
                // Every poll has seen all of it, but for what stands in quarantine.
                self.read(index, &self.today(), Quarantined::ReadAgain).await?;
            }
            if summary.stopped.is_none() && !self.engine.stop.is_asked() {
                summary.add(mend(&self.engine, reading).await?);
            }
        }
        if self.engine.stop.is_asked() || summary.stopped.is_some() {
            return Ok(false);
        }
        rearm_skipped(&self.engine, &self.routes, days).await?;
        self.ring();
        let json = serde_json::to_string(&summary).map_err(|error| StoreError::Unusable(error.to_string()))?;
        self.engine.store.end_run(run_id, &json, self.engine.clock.now_ms()).await?;
        let read = format!("{} files, {} new calls", summary.files, summary.new_calls);
        self.tell(Event::Note(format!("synced {} to {}: {read}", days.from, days.to)));
        Ok(true)
    }

    fn until(&self, at_ms: Option<i64>) -> Duration {
        let ms = at_ms.map_or(0, |at_ms| at_ms - self.engine.clock.now_ms());
        // Nobody is waited for longer: it would be a clock that was set back since.
        Duration::from_millis(u64::try_from(ms).unwrap_or_default()).min(backoff::ASKED_LONGEST)
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

/// What a round of deliveries came to.
struct Round {
    settled: bool,
    /// It met trouble; otherwise nothing was asked of the destination.
    tried: bool,
    cool_until_ms: Option<i64>,
}

/// Rings when calls become due, and shows nothing.
struct Ringing {
    bells: Arc<Vec<Notify>>,
}

impl Progress for Ringing {
    fn event(&self, event: Event) {
        if let Event::Due(_) = event {
            self.bells.iter().for_each(Notify::notify_one);
        }
    }
}

/// Books latencies and passes each different warning on once; the rest of a round is told when it ends.
struct Shown {
    index: usize,
    board: Arc<Board>,
    told: Mutex<BTreeSet<String>>,
    rest: Arc<dyn Progress>,
}

impl Progress for Shown {
    fn event(&self, event: Event) {
        match event {
            Event::Delivered { waited_ms } => self.board.waited(self.index, waited_ms),
            Event::Warning(text) => {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.len() < WARNINGS_MAX && told.insert(text.clone()) {
                    self.rest.event(Event::Warning(text));
                }
            }
            _ => {}
        }
    }
}

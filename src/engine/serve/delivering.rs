//! The loop of one destination: a round of deliveries, then a wait for the next.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Serving;
use crate::destinations::Outcome;
use crate::engine::board::{Board, Condition};
use crate::engine::outcome::later;
use crate::engine::{
    Delivered, Engine, Event, Evidence, IntakeSummary, Progress, RunSummary, backoff, counted, dispatch, unexpected,
};
use crate::store::StoreError;

/// Between two rounds of which the first settled nothing although something was due.
const PAUSE: Duration = Duration::from_secs(1);
/// A round is begun at least so often: what another process has dropped is taken over.
const IDLE: Duration = Duration::from_secs(60);
/// Different warnings of one destination that are told, each once.
const WARNINGS_MAX: usize = 100;
/// A clock that is behind by more than this was set back; less is what time servers correct all day.
const SET_BACK_MS: i64 = 60_000;

impl Serving {
    /// The loop of one destination.
    pub(super) async fn deliver(&self, index: usize) -> Result<(), StoreError> {
        let shown = Shown {
            index,
            board: Arc::clone(&self.board),
            told: Mutex::default(),
            rest: Arc::clone(&self.engine.progress),
        };
        let engine = Engine { progress: Arc::new(shown), ..self.engine.clone() };
        let (mut failures, mut seen_ms) = (0, self.engine.clock.now_ms());
        loop {
            // While it waited, and while it worked: then what it would wait for is a time of the old clock.
            self.was_set_back(index, &mut seen_ms).await?;
            let round = self.round(index, &engine).await?;
            if self.engine.stop.is_asked() {
                return Ok(());
            }
            if self.was_set_back(index, &mut seen_ms).await? {
                continue;
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

    /// Whether the clock was set back since `seen_ms`. Without this, what was put off by a clock that was ahead would wait
    /// until that clock's time, or the next start.
    async fn was_set_back(&self, index: usize, seen_ms: &mut i64) -> Result<bool, StoreError> {
        let now_ms = self.engine.clock.now_ms();
        let back_ms = std::mem::replace(seen_ms, now_ms) - now_ms;
        if back_ms <= SET_BACK_MS {
            return Ok(false);
        }
        let (name, back) =
            (self.routes[index].destination.name(), counted((back_ms / 1000) as u64, "second", "seconds"));
        self.tell(Event::Warning(format!(
            "the clock was set back by {back}; no call to {name} waits for the old time"
        )));
        self.engine.store.forget_the_future(now_ms).await?;
        Ok(true)
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
            let one = Delivered { destination: name.to_owned(), requests: 0, delivery };
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

    fn until(&self, at_ms: Option<i64>) -> Duration {
        let ms = at_ms.map_or(0, |at_ms| at_ms - self.engine.clock.now_ms());
        // Nobody is waited for longer: it would be a clock that was set back since.
        Duration::from_millis(u64::try_from(ms).unwrap_or_default()).min(backoff::ASKED_LONGEST)
    }
}

/// What a round of deliveries came to.
struct Round {
    settled: bool,
    /// It met trouble; otherwise nothing was asked of the destination.
    tried: bool,
    cool_until_ms: Option<i64>,
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

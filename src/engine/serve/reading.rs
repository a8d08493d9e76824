//! The loops that read: one for each source, one for each schedule.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::sync::Notify;

use super::Serving;
use crate::engine::board::Condition;
use crate::engine::schedule::{Schedule, recent_days};
use crate::engine::sync::rearm_skipped;
use crate::engine::{Engine, Event, IntakeSummary, Progress, Quarantined, intake, mend, read_suspects};
use crate::proof::{self, Step};
use crate::store::StoreError;

/// A wait for a schedule is cut into pieces of this: a machine that slept or whose clock was set wakes up in time.
const SCHEDULE_STEP: Duration = Duration::from_secs(60);

impl Serving {
    /// The loop of one source.
    pub(super) async fn watch(&self, index: usize) -> Result<(), StoreError> {
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

    /// The loop of one schedule.
    pub(super) async fn keep(&self, schedule: Schedule) -> Result<(), StoreError> {
        let ran = self.engine.store.last_run(&schedule.label(), true).await?.or(self.served_before);
        let mut last = match ran.filter(|_| self.pace.catch_up) {
            Some(at_ms) => Timestamp::from_millisecond(at_ms).unwrap_or_else(|_| self.now()),
            None => self.now(),
        };
        // A run that is noted for later than now was noted by a clock that was ahead.
        while let Some(at) = schedule.next(last.min(self.now()), &self.pace.zone) {
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

//! The nightly sync: read the days' files, deliver what is due, say what was done.

use std::sync::Arc;

use futures_util::future::join_all;
use jiff::civil::Date;

use super::{
    Delivered, DispatchLimits, Engine, Evidence, IntakeSummary, Preview, Quarantined, Reading, RunSummary, courtesy,
    dispatch, intake, mend, read_suspects,
};
use crate::destinations::Destination;
use crate::problem;
use crate::store::{Rearm, Scope, StoreError};

/// The days of a run, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    pub from: Date,
    pub to: Date,
}

impl Days {
    pub fn list(self) -> Vec<Date> {
        self.from.series(jiff::Span::new().days(1)).take_while(|day| *day <= self.to).collect()
    }
}

/// A destination, how much goes to it at once, and of which calls.
pub struct Route {
    pub destination: Arc<dyn Destination>,
    pub limits: DispatchLimits,
    /// Only the calls of this place; `None`: all that are due.
    pub scope: Option<Scope>,
}

/// Delivers what is due at each of `routes`, all at the same time: one that fails or is slow holds no other up.
pub async fn deliver(
    engine: &Engine,
    routes: &[Route],
    preview: Option<&dyn Preview>,
    evidence: Option<Evidence<'_>>,
) -> Result<Vec<Delivered>, StoreError> {
    let each = routes.iter().map(|route| async move {
        let delivery = dispatch(engine, route, preview, evidence).await?;
        let (destination, requests) = (route.destination.name().to_owned(), route.destination.usage().requests);
        Ok(Delivered { destination, requests, delivery })
    });
    join_all(each).await.into_iter().collect()
}

/// Everything a sync works with.
pub struct SyncRun {
    pub engine: Engine,
    pub reading: Reading,
    pub routes: Vec<Route>,
}

impl SyncRun {
    /// Reads `days` and delivers everything that is due, earlier leftovers included.
    pub async fn run(&self, days: Days, preview: Option<&dyn Preview>) -> Result<RunSummary, StoreError> {
        let started_ms = self.engine.clock.now_ms();
        self.engine.store.reclaim(started_ms).await?;
        let run_id = self.engine.store.begin_run("sync", started_ms).await?;
        let mut intake = self.read(days).await?;
        if intake.stopped.is_none() && !self.engine.stop.is_asked() {
            intake.add(mend(&self.engine, &self.reading).await?);
        }
        let mut delivered = Vec::new();
        if !self.engine.stop.is_asked() {
            rearm_skipped(&self.engine, &self.routes, days).await?;
            let evidence = Evidence { readings: std::slice::from_ref(&self.reading), since_ms: started_ms };
            delivered = deliver(&self.engine, &self.routes, preview, Some(evidence)).await?;
            // Behind the deliveries: what a process died with keeps no other call back.
            if !intake.suspects.is_empty() {
                read_suspects(&self.engine, &self.reading, &mut intake).await?;
                let further = deliver(&self.engine, &self.routes, preview, Some(evidence)).await?;
                for (one, further) in delivered.iter_mut().zip(further) {
                    one.requests = further.requests;
                    one.delivery.goes_on(further.delivery);
                }
            }
        }
        for one in &mut delivered {
            let days = (days.from, days.to);
            one.delivery.dead_before = self.engine.store.dead_letters(&one.destination, days, started_ms).await?;
            intake.add(std::mem::take(&mut one.delivery.reread));
        }
        let ended_ms = self.engine.clock.now_ms();
        let stopped = self.engine.stop.is_asked();
        let summary = RunSummary::of(intake, delivered, ended_ms - started_ms, stopped);
        let json = serde_json::to_string(&summary).map_err(|error| StoreError::Unusable(error.to_string()))?;
        self.engine.store.end_run(run_id, &json, ended_ms).await?;
        Ok(summary)
    }

    async fn read(&self, days: Days) -> Result<IntakeSummary, StoreError> {
        if let Err(problem) = self.reading.source.probe().await {
            return Ok(IntakeSummary { stopped: Some(problem), ..IntakeSummary::default() });
        }
        let mut summary = intake(&self.engine, &self.reading, &days.list(), Quarantined::ReadAgain).await?;
        if summary.files == 0 && summary.stopped.is_none() && !self.engine.stop.is_asked() {
            // An empty day is nothing odd; a source without any day is a wrong address.
            let source = &self.reading.source;
            match source.layout().await {
                Ok(layout) => summary.stopped = layout.problem(source.address()),
                Err(error) => tracing::debug!(%error, "what stands at the address cannot be told"),
            }
        }
        Ok(summary)
    }
}

/// Calls of these days that matched nobody are matched again: somebody may have mended the CRM.
pub(super) async fn rearm_skipped(engine: &Engine, routes: &[Route], days: Days) -> Result<(), StoreError> {
    let which = Rearm {
        states: vec!["skipped"],
        codes: vec![problem::NO_MATCH.0.to_owned(), problem::AMBIGUOUS.0.to_owned()],
        folder_days: Some((days.from, days.to)),
        ..Rearm::default()
    };
    for route in routes {
        let name = route.destination.name();
        let count = courtesy::rearm(engine, name, &which).await?;
        tracing::debug!(count, destination = name, "calls without a match are matched again");
    }
    Ok(())
}

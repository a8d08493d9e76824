//! Uploading one directory to one destination: read all, deliver what is due, tell how each file stands.
//!
//! Invariant: every listed file is counted once, by how it stands in the ledger at the end; which run brought it there
//! plays no part. Files of one call count as one.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt};
use jiff::civil::Date;
use serde::Serialize;

use super::{Engine, Evidence, Preview, Quarantined, Reading, Route, RunSummary, deliver, intake, mend, read_suspects};
use crate::problem::Problem;
use crate::proof::{self, Step};
use crate::sources::RawRef;
use crate::store::{Standing, StoreError};

/// Files asked of the ledger at once.
const ASKED_CHUNK: usize = 500;
/// Files without a delivered call that an answer names; beyond that they are only counted.
pub const FAILURES_NAMED_MAX: usize = 1000;

/// Everything an upload works with.
pub struct UploadRun {
    pub engine: Engine,
    pub reading: Reading,
    /// With the directory as its scope: nobody waits for what is due of another one.
    pub route: Route,
}

/// How the files of the directory stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls that stand delivered, whichever run delivered them.
    pub success: u64,
    /// All others: quarantined, refused, skipped, not delivered yet.
    pub failed: u64,
    pub total: u64,
    /// Of those that failed: skipped by rule.
    #[serde(skip)]
    pub skipped: u64,
    /// Of those that failed: to be delivered by the next run.
    #[serde(skip)]
    pub waiting: u64,
}

/// A file whose call is not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// `quarantined`, `not read`, or the delivery's state.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    pub what: String,
    pub help: String,
}

/// What an upload came to.
pub struct Uploaded {
    pub summary: RunSummary,
    pub totals: Totals,
    /// The first [`FAILURES_NAMED_MAX`] in the order of files.
    pub missed: Vec<Missed>,
}

impl UploadRun {
    /// Reads the source, which tells the same files for every day, and delivers what is due of the calls of the route,
    /// earlier leftovers included. `day` stands with the files in the ledger.
    pub async fn run(&self, day: Date, preview: Option<&dyn Preview>) -> Result<Uploaded, StoreError> {
        let engine = &self.engine;
        let started_ms = engine.clock.now_ms();
        let run_id = engine.store.begin_run("upload", started_ms).await?;
        let mut read = intake(engine, &self.reading, &[day], Quarantined::ReadAgain).await?;
        read_suspects(engine, &self.reading, &mut read).await?;
        if read.stopped.is_none() && !engine.stop.is_asked() {
            read.add(mend(engine, &self.reading).await?);
        }
        let mut delivered = Vec::new();
        if !engine.stop.is_asked() && read.stopped.is_none() {
            read.stopped = self.enlist(day).await?;
        }
        if !engine.stop.is_asked() {
            let evidence = Evidence { readings: std::slice::from_ref(&self.reading), since_ms: started_ms };
            delivered = deliver(engine, std::slice::from_ref(&self.route), preview, Some(evidence)).await?;
        }
        for one in &mut delivered {
            read.add(std::mem::take(&mut one.delivery.reread));
        }
        proof::reached("count", Step::Before);
        let mut count = Count::default();
        let stopped = self.each_chunk(day, &mut |files, standings| count.add(files, standings)).await?;
        proof::reached("count", Step::After);
        read.stopped = read.stopped.take().or(stopped);
        let ended_ms = engine.clock.now_ms();
        let summary = RunSummary::of(read, delivered, ended_ms - started_ms, engine.stop.is_asked());
        let json = serde_json::to_string(&summary).map_err(|error| StoreError::Unusable(error.to_string()))?;
        engine.store.end_run(run_id, &json, ended_ms).await?;
        Ok(Uploaded { summary, totals: count.totals, missed: count.missed })
    }

    /// Calls that an earlier run read for another destination are for this one too.
    async fn enlist(&self, day: Date) -> Result<Option<Problem>, StoreError> {
        let mut keys = Vec::new();
        let mut take = |_: &[RawRef], standings: Vec<Standing>| {
            let elsewhere = standings.into_iter().filter(|one| one.delivery.is_none());
            keys.extend(elsewhere.filter_map(|one| one.call_key));
        };
        let stopped = self.each_chunk(day, &mut take).await?;
        let name = self.route.destination.name();
        for some in keys.chunks(ASKED_CHUNK) {
            self.engine.store.enlist(name, some, self.engine.clock.now_ms()).await?;
        }
        Ok(stopped)
    }

    /// Gives all files and how they stand, some at a time. Answers why the listing ended early, if it did.
    async fn each_chunk(
        &self,
        day: Date,
        take: &mut (dyn FnMut(&[RawRef], Vec<Standing>) + Send),
    ) -> Result<Option<Problem>, StoreError> {
        let (source, name) = (&self.reading.source, self.route.destination.name());
        let mut listing = source.list(day).try_chunks(ASKED_CHUNK);
        while let Some(files) = listing.next().await {
            let (files, stopped) = match files {
                Ok(files) => (files, None),
                Err(error) => (error.0, Some(error.1)),
            };
            let urls: Vec<String> = files.iter().map(|file| file.url.clone()).collect();
            take(&files, self.engine.store.standings(source.name(), name, &urls).await?);
            if stopped.is_some() {
                return Ok(stopped);
            }
        }
        Ok(None)
    }
}

#[derive(Default)]
struct Count {
    totals: Totals,
    seen: HashSet<u64>,
    missed: Vec<Missed>,
}

impl Count {
    fn add(&mut self, files: &[RawRef], standings: Vec<Standing>) {
        for (file, standing) in files.iter().zip(standings) {
            // Eight bytes of the key, which is a digest: a directory never holds enough calls for two to be alike.
            let is_new = standing.call_key.as_ref().is_none_or(|key| self.seen.insert(short(key.as_str())));
            if is_new {
                self.add_one(file, standing);
            }
        }
    }

    fn add_one(&mut self, file: &RawRef, standing: Standing) {
        self.totals.total += 1;
        if standing.delivery.as_deref() == Some("delivered") {
            self.totals.success += 1;
            return;
        }
        self.totals.failed += 1;
        let missed = missed(file, standing);
        match missed.state.as_str() {
            "skipped" => self.totals.skipped += 1,
            "quarantined" | "dead" => {}
            _ => self.totals.waiting += 1,
        }
        if self.missed.len() < FAILURES_NAMED_MAX {
            self.missed.push(missed);
        }
    }
}

fn short(key: &str) -> u64 {
    let digest = crate::model::Digest::of(key.as_bytes()).0;
    digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn missed(file: &RawRef, standing: Standing) -> Missed {
    let Standing { file: state, source_id, delivery, problem, .. } = standing;
    let state = match (state.as_deref(), delivery) {
        (Some("quarantined"), _) => "quarantined".to_owned(),
        (_, Some(delivery)) => delivery,
        _ => "not read".to_owned(),
    };
    let (code, what, help) = match problem {
        Some(problem) => (Some(problem.code), problem.what, problem.help),
        None => (None, "not delivered yet".to_owned(), "run the same command again".to_owned()),
    };
    Missed { file: file.url.clone(), session_id: source_id, state, code, what, help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CallKey;
    use crate::store::StoredProblem;

    fn standing(file: &str, call: Option<&str>, delivery: Option<&str>) -> Standing {
        let problem = StoredProblem { code: "TL0608".to_owned(), what: "no".to_owned(), help: "mend".to_owned() };
        Standing {
            file: Some(file.to_owned()),
            call_key: call.map(|call| CallKey::from_source("conversations", call)),
            source_id: call.map(str::to_owned),
            delivery: delivery.map(str::to_owned),
            problem: Some(problem).filter(|_| delivery != Some("delivered")),
        }
    }

    #[test]
    fn each_call_counts_once_by_how_it_stands() {
        let rows = [
            standing("converted", Some("a"), Some("delivered")),
            standing("converted", Some("a"), Some("delivered")),
            standing("converted", Some("b"), Some("dead")),
            standing("converted", Some("c"), Some("skipped")),
            standing("converted", Some("d"), Some("unknown")),
            standing("quarantined", None, None),
            Standing::default(),
        ];
        let file = |index: usize| RawRef {
            url: format!("file:///calls/{index}.json"),
            version: String::new(),
            bytes: 1,
            modified_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let files: Vec<RawRef> = (0..rows.len()).map(file).collect();
        let mut count = Count::default();
        count.add(&files, rows.to_vec());
        assert_eq!(count.totals, Totals { success: 1, failed: 5, total: 6, skipped: 1, waiting: 2 });
        let states: Vec<&str> = count.missed.iter().map(|missed| missed.state.as_str()).collect();
        assert_eq!(states, ["dead", "skipped", "unknown", "quarantined", "not read"]);
        assert_eq!((count.missed[0].code.as_deref(), count.missed[4].code.as_deref()), (Some("TL0608"), None));
    }
}

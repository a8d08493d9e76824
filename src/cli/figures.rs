//! What a serving process answers about itself, out of its board and its ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::engine::{Condition, LATENCY_BOUNDS_MS, RouteFigures, Serving, SourceFigures};
use crate::server::{Family, Health, Kind, Trouble};
use crate::store::{RawFilter, ReadStore, StoreError};

/// A sign of life is written at most so often, however often somebody asks.
const ALIVE_FRESH_MS: i64 = 2000;
/// Quarantined files are counted up to this.
const QUARANTINE_COUNTED_MAX: usize = 1000;
/// The states of deliveries, each shown also where it has none.
const STATES: [&str; 7] = ["due", "held", "unknown", "leased", "delivered", "skipped", "dead"];

pub struct Figures {
    serving: Arc<Serving>,
    store: Arc<dyn ReadStore>,
    clock: Arc<dyn Clock>,
    /// When the ledger was last tried, and whether it could be written.
    alive: Mutex<Option<(i64, bool)>>,
}

impl Figures {
    pub fn new(serving: Arc<Serving>, store: Arc<dyn ReadStore>, clock: Arc<dyn Clock>) -> Figures {
        Figures { serving, store, clock, alive: Mutex::new(None) }
    }

    async fn families(&self) -> Result<Vec<Family>, StoreError> {
        let (sources, routes) = (self.serving.board().sources(), self.serving.route_figures());
        let mut families = of_sources(&sources);
        families.push(self.quarantined().await?);
        families.extend(of_routes(&routes));
        families.push(self.standing(&routes).await?);
        families.extend(self.ages(&routes).await?);
        let mut build = Family::new("trunkline_build_info", Kind::Gauge, "The program that runs; always 1.");
        build.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        families.push(build);
        Ok(families)
    }

    async fn quarantined(&self) -> Result<Family, StoreError> {
        let filter =
            RawFilter { state: Some("quarantined"), limit: Some(QUARANTINE_COUNTED_MAX), ..RawFilter::default() };
        let count = self.store.raws(&filter).await?.len();
        let help = "Files that could not be understood, counted up to 1000.";
        let mut family = Family::new("trunkline_quarantined_files", Kind::Gauge, help);
        family.add(&[], count as f64);
        Ok(family)
    }

    /// Where the deliveries of the whole ledger stand.
    async fn standing(&self, routes: &[RouteFigures]) -> Result<Family, StoreError> {
        let help = "Deliveries in the ledger by state.";
        let mut family = Family::new("trunkline_deliveries", Kind::Gauge, help);
        for route in routes {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            let tally = self.store.tally(&route.name, None).await?;
            for row in &tally {
                *counts.entry(row.state.as_str()).or_default() += row.count;
            }
            for state in STATES {
                let count = counts.get(state).copied().unwrap_or_default();
                family.add(&[("destination", &route.name), ("state", state)], count as f64);
            }
        }
        Ok(family)
    }

    /// How long the oldest that stand still have done so.
    async fn ages(&self, routes: &[RouteFigures]) -> Result<[Family; 2], StoreError> {
        let mut dead = Family::new(
            "trunkline_oldest_dead_letter_age_seconds",
            Kind::Gauge,
            "How long the oldest dead letter has been one; 0 where there is none.",
        );
        let mut waiting = Family::new(
            "trunkline_oldest_waiting_age_seconds",
            Kind::Gauge,
            "How long the call that waits longest has been due; 0 where none waits.",
        );
        let now_ms = self.clock.now_ms();
        let age = |since_ms: Option<i64>| since_ms.map_or(0.0, |since_ms| (now_ms - since_ms).max(0) as f64 / 1000.0);
        for route in routes {
            let oldest = self.store.oldest_since(&route.name).await?;
            dead.add(&[("destination", &route.name)], age(oldest.dead_ms));
            waiting.add(&[("destination", &route.name)], age(oldest.waiting_ms));
        }
        Ok([dead, waiting])
    }
}

#[async_trait]
impl Health for Figures {
    async fn is_alive(&self) -> bool {
        let mut alive = self.alive.lock().await;
        let now_ms = self.clock.now_ms();
        if let Some((at_ms, alive)) = *alive
            && (at_ms..at_ms + ALIVE_FRESH_MS).contains(&now_ms)
        {
            return alive;
        }
        let beaten = self.serving.beat().await;
        if let Err(error) = &beaten {
            tracing::error!(%error, "the ledger cannot be written");
        }
        *alive = Some((now_ms, beaten.is_ok()));
        beaten.is_ok()
    }

    async fn troubles(&self) -> Vec<Trouble> {
        let sources = self.serving.board().sources();
        let sources = sources.into_iter().filter_map(|one| trouble("source", one.name, &one.condition));
        let routes = self.serving.board().routes();
        let routes = routes.into_iter().filter_map(|one| trouble("destination", one.name, &one.condition));
        sources.chain(routes).collect()
    }

    async fn figures(&self) -> Option<Vec<Family>> {
        let families = self.families().await;
        families.inspect_err(|error| tracing::error!(%error, "the figures cannot be read from the ledger")).ok()
    }
}

fn trouble(part: &'static str, name: String, condition: &Condition) -> Option<Trouble> {
    let state = match condition {
        Condition::Usable => return None,
        Condition::Unknown => "starting",
        Condition::Failing(_) => "failing",
        Condition::Held(_) => "held",
    };
    Some(Trouble { part, name, state, code: condition.problem().map(|problem| problem.code.0) })
}

fn is_usable(condition: &Condition) -> f64 {
    f64::from(u8::from(*condition == Condition::Usable))
}

fn of_sources(sources: &[SourceFigures]) -> Vec<Family> {
    let mut read = Family::new(
        "trunkline_calls_read_total",
        Kind::Counter,
        "Files read since the start, by what they came to: a new call, a new revision of one, or nothing new.",
    );
    let mut polled = Family::new(
        "trunkline_last_poll_timestamp_seconds",
        Kind::Gauge,
        "When the last look at the source that met no trouble began.",
    );
    let mut usable = Family::new("trunkline_source_usable", Kind::Gauge, "1 if the last look met no trouble.");
    for source in sources {
        let name = ("source", source.name.as_str());
        for (result, count) in
            [("new", source.new_calls), ("revision", source.new_revisions), ("nothing_new", source.nothing_new)]
        {
            read.add(&[name, ("result", result)], count as f64);
        }
        polled.add(&[name], source.polled_at_ms.unwrap_or_default() as f64 / 1000.0);
        usable.add(&[name], is_usable(&source.condition));
    }
    vec![read, polled, usable]
}

fn of_routes(routes: &[RouteFigures]) -> Vec<Family> {
    let mut outcomes = Family::new(
        "trunkline_delivery_outcomes_total",
        Kind::Counter,
        "Deliveries settled since the start, by outcome and reason.",
    );
    let mut requests =
        Family::new("trunkline_requests_total", Kind::Counter, "Requests to the destination since the start.");
    let mut usable =
        Family::new("trunkline_destination_usable", Kind::Gauge, "1 if the destination is neither held nor failing.");
    let mut latency = Family::new(
        "trunkline_delivery_latency_seconds",
        Kind::Histogram,
        "From the commit of a call's content to its record.",
    );
    let bounds: Vec<f64> = LATENCY_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1000.0).collect();
    for route in routes {
        let name = ("destination", route.name.as_str());
        for ((outcome, code), count) in &route.outcomes {
            outcomes.add(&[name, ("outcome", outcome), ("code", code)], *count as f64);
        }
        requests.add(&[name], route.requests as f64);
        usable.add(&[name], is_usable(&route.condition));
        latency.histogram(&[name], &bounds, &route.latency.counts, route.latency.sum_ms as f64 / 1000.0);
    }
    vec![outcomes, requests, usable, latency]
}

//! `trunkline retry`: makes deliveries due again after the cause is mended, and delivers at once.

use std::sync::Arc;

use clap::Args;

use super::context::reading;
use super::output::visible;
use super::{Context, Exit, Failure, Output, list, sync};
use crate::config::Settings;
use crate::engine::{
    Engine, Evidence, IntakeSummary, Reading, Route, RunSummary, counted, deliver, mend, rearm, reread,
};
use crate::model::CallKey;
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem};
use crate::store::sqlite::SqliteStore;
use crate::store::{DeliveryFilter, DeliveryStore, IntakeStore, ReadStore, Rearm};

/// The name of the Salesforce destination.
const SALESFORCE: &str = "salesforce";

#[derive(Args)]
pub struct Arguments {
    /// Session ids or call keys; without any: all dead letters and everything that waits.
    sessions: Vec<String>,
    /// Only those that ended for this reason: no-match, no-email, several-matches, or an error code.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    #[command(flatten)]
    days: list::DayArguments,
    /// Read quarantined files again instead; with sessions given, those whose address contains one.
    #[arg(long)]
    quarantine: bool,
    /// Make a new record even where one was delivered before; needs sessions.
    #[arg(long, requires = "sessions")]
    recreate: bool,
    /// Where the session exports are; for --quarantine.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(arguments.source.clone())?;
    let which = which(context, &arguments, &settings)?;
    if arguments.quarantine && (!which.codes.is_empty() || which.days.is_some() || arguments.recreate) {
        let what = "--quarantine reads files again; --reason, --from, --to and --recreate are about deliveries";
        return Err(Problem::new(CONFIG_CONTRADICTION, what, "run the two commands one after the other").into());
    }
    let nothing = if arguments.quarantine { "no file is in quarantine, and nothing is due" } else { "nothing is due" };
    let (sessions, quarantine) = (arguments.sessions, arguments.quarantine);
    let work = Work { command: "retry", sessions, which, quarantine, destination: None, nothing };
    work.run(context, &settings, output).await
}

/// What is to be made due again, and delivered.
pub(super) struct Work {
    /// How the run stands in the ledger.
    pub command: &'static str,
    pub sessions: Vec<String>,
    /// But for the sessions, which only the ledger knows.
    pub which: Rearm,
    /// Quarantined files are read again instead.
    pub quarantine: bool,
    /// This one alone.
    pub destination: Option<String>,
    /// What is said where nothing was due.
    pub nothing: &'static str,
}

impl Work {
    pub async fn run(self, context: &Context, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
        let store = context.open_existing_store(&settings.store_path)?;
        context.stop_on_signals();
        let engine = context.engine(Arc::clone(&store), sync::progress(output));
        let (routes, read_for) = self.routes(context, settings, store.as_ref()).await?;
        let started_ms = context.clock.now_ms();
        let run_id = store.begin_run(self.command, started_ms).await?;

        // Without a source nothing can be read again, but what is in the ledger can be delivered.
        let reading = match settings.source() {
            Ok(_) => Ok(reading(settings, context.source(settings)?, &routes[..read_for])),
            Err(problem) => Err(problem),
        };
        let mut intake = IntakeSummary::default();
        if self.quarantine {
            let parts: Vec<Option<String>> = match self.sessions.as_slice() {
                [] => vec![None],
                sessions => sessions.iter().cloned().map(Some).collect(),
            };
            for part in parts {
                intake.add(reread(&engine, reading.as_ref().map_err(Problem::clone)?, part).await?);
            }
        } else {
            let keys = self.keys(settings, store.as_ref(), output).await?;
            let named = keys.as_deref().unwrap_or_default();
            intake.add(mended(&engine, &reading, store.as_ref(), named, output).await?);
            let which = Rearm { keys, ..self.which };
            let mut count = 0;
            for route in &routes {
                count += made_due(&engine, &which, store.as_ref(), route.destination.name(), output).await?;
            }
            output.say(counted(count as u64, "delivery is due again", "deliveries are due again"));
        }
        let evidence = reading
            .as_ref()
            .ok()
            .map(|reading| Evidence { readings: std::slice::from_ref(reading), since_ms: started_ms });
        let mut delivered = deliver(&engine, &routes, None, evidence).await?;
        for one in &mut delivered {
            intake.add(std::mem::take(&mut one.delivery.reread));
        }
        let ended_ms = context.clock.now_ms();
        let summary = RunSummary::of(intake, delivered, ended_ms - started_ms, context.stop.is_asked());
        let json = serde_json::to_string(&summary).map_err(std::io::Error::from)?;
        store.end_run(run_id, &json, ended_ms).await?;
        sync::tell(context, &summary, self.nothing, output)
    }

    /// Where it goes, and how many of them files are read for.
    async fn routes(
        &self,
        context: &Context,
        settings: &Settings,
        store: &SqliteStore,
    ) -> Result<(Vec<Route>, usize), Failure> {
        let upload = context.upload_route(settings, store).await?;
        let only_uploads =
            upload.is_some() && settings.source.is_none() && store.tally(SALESFORCE, None).await?.is_empty();
        let mut routes =
            if only_uploads && settings.rest_names().is_empty() { Vec::new() } else { context.routes(settings)? };
        let mut read_for = routes.len();
        routes.extend(upload);
        if let Some(wanted) = &self.destination {
            let names: Vec<String> = routes.iter().map(|route| route.destination.name().to_owned()).collect();
            let Some(at) = names.iter().position(|name| name == wanted) else {
                let what = format!("there is no destination `{wanted}`");
                return Err(Problem::new(CONFIG_BAD_VALUE, what, format!("one of: {}", names.join(", "))).into());
            };
            routes = vec![routes.swap_remove(at)];
            read_for = read_for.min(1);
        }
        Ok((routes, read_for))
    }

    /// The calls that were named; `None` if none was.
    async fn keys(
        &self,
        settings: &Settings,
        store: &SqliteStore,
        output: &mut Output,
    ) -> Result<Option<Vec<CallKey>>, Failure> {
        if self.sessions.is_empty() {
            return Ok(None);
        }
        let mut keys: Vec<CallKey> = Vec::new();
        for session in &self.sessions {
            let found = store.find_calls(session).await?;
            if found.is_empty() {
                let session = visible(session);
                output.say(format!("no call {session} in the ledger: trunkline why {session}"));
            }
            keys.extend(found);
        }
        if keys.is_empty() {
            let what = format!("none of the sessions is in the ledger {}", settings.store_path.display());
            return Err(Problem::new(CONFIG_BAD_VALUE, what, "`trunkline calls` lists what is").into());
        }
        Ok(Some(keys))
    }
}

/// What the arguments mean, but for the sessions, which only the ledger knows.
fn which(context: &Context, arguments: &Arguments, settings: &Settings) -> Result<Rearm, Failure> {
    let mut which = Rearm {
        states: vec!["dead", "due"],
        codes: arguments.reason.iter().map(|reason| list::code(reason)).collect::<Result<_, _>>()?,
        days: arguments.days.range(context, settings)?,
        recreate: arguments.recreate,
        ..Rearm::default()
    };
    if !which.codes.is_empty() || !arguments.sessions.is_empty() {
        which.states.push("skipped");
    }
    if arguments.recreate {
        which.states.push("delivered");
    }
    Ok(which)
}

/// Reads the files of damaged calls again: of those that were found damaged before, and of those of `keys` that are.
async fn mended(
    engine: &Engine,
    reading: &Result<Reading, Problem>,
    store: &SqliteStore,
    keys: &[CallKey],
    output: &mut Output,
) -> Result<IntakeSummary, Failure> {
    let damaged = store.examine(keys).await?;
    if damaged > 0 {
        let calls = counted(damaged as u64, "call is", "calls are");
        output.say(format!("the ledger's copy of {calls} damaged; reading the files again"));
    }
    match reading {
        Ok(reading) => Ok(mend(engine, reading).await?),
        Err(problem) if damaged > 0 => Err(problem.clone().into()),
        Err(_) => Ok(IntakeSummary::default()),
    }
}

async fn made_due(
    engine: &Engine,
    which: &Rearm,
    store: &SqliteStore,
    destination: &str,
    output: &mut Output,
) -> Result<usize, Failure> {
    let count = rearm(engine, destination, which).await?;
    for key in which.keys.iter().flatten().filter(|_| !which.states.contains(&"delivered")) {
        tell_delivered(store, key, destination, output).await?;
    }
    Ok(count)
}

/// Says why a call that was named is not due again.
async fn tell_delivered(
    store: &SqliteStore,
    key: &CallKey,
    destination: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let filter = DeliveryFilter {
        destination: Some(destination.to_owned()),
        states: vec!["delivered".to_owned()],
        call_key: Some(key.as_str().to_owned()),
        ..DeliveryFilter::default()
    };
    for row in store.deliveries(&filter).await? {
        let (id, record) = (visible(&row.source_id), row.remote_id.as_deref().unwrap_or("?"));
        output.say(format!(
            "{id} is delivered already, as record {record}. After a change of the mapping: trunkline replay {id}."
        ));
        output.say(format!("To make a new record where that one was deleted: trunkline retry {id} --recreate"));
    }
    Ok(())
}

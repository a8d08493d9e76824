//! `trunkline sync`: the nightly run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::output::visible;
use super::preview::Shown;
use super::progress::{Bars, Lines};
use super::{Context, Exit, Failure, Output, list, unmatched};
use crate::config::Settings;
use crate::engine::{Days, IntakeSummary, Progress, RunSummary, counted};
use crate::problem::{self, Problem, STORE_UNUSABLE};
use crate::store::sqlite::SqliteStore;

/// What a sync says that had nothing to do.
pub const NOTHING: &str = "no files found and nothing due";

#[derive(Args)]
pub struct Arguments {
    /// Where the session exports are: s3://bucket/prefix/ or file:///folder/.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// First day of the folders to read, e.g. 2025-10-29 [default: yesterday].
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Last day, included [default: the first day; with --days: yesterday].
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// How many days, counted back from the last.
    #[arg(long, value_name = "N", conflicts_with = "from", value_parser = clap::value_parser!(u16).range(1..=366))]
    days: Option<u16>,
    /// Show every record that would be written, and send none.
    #[arg(long)]
    dry_run: bool,
    /// Write the calls of these days that matched nobody as CSV.
    #[arg(long, value_name = "FILE")]
    unmatched_csv: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(arguments.source.clone())?;
    let days = days(context, &arguments, &settings)?;
    context.stop_on_signals();
    if arguments.dry_run {
        return dry_run(context, &settings, days, arguments.unmatched_csv.as_deref(), output).await;
    }
    if let Some(path) = &arguments.unmatched_csv {
        // Before the run, so that a mistake does not show after an hour.
        unmatched::open_csv(path)?;
    }
    let progress = progress(output);
    let ends = context.ends(&settings)?;
    let store = context.open_store(&settings.store_path)?;
    let run = context.sync_run(&settings, ends, Arc::clone(&store), progress);
    let summary = run.run(days, None).await?;
    drop(run);
    if summary.intake.files == 0 && summary.intake.stopped.is_none() && !summary.stopped {
        let address = settings.source()?.address.as_str();
        let until = if days.from == days.to { String::new() } else { format!(" to {}", days.to) };
        output.say(format!("no files under {address} for {}{until}: check the address if there were calls", days.from));
    }
    let exit = tell(context, &summary, NOTHING, output)?;
    tell_unmatched(&store, days, arguments.unmatched_csv.as_deref(), output).await?;
    Ok(exit)
}

async fn tell_unmatched(
    store: &SqliteStore,
    days: Days,
    path: Option<&Path>,
    output: &mut Output,
) -> Result<(), Failure> {
    if let Some(path) = path {
        let rows = unmatched::write_csv(store, days, path, output).await?;
        let calls = counted(rows as u64, "call without a person is", "calls without a person are");
        output.say(format!("{calls} in {}", path.display()));
    }
    Ok(())
}

pub fn progress(output: &Output) -> Arc<dyn Progress> {
    if output.is_terminal() { Arc::new(Bars::new()) } else { Arc::new(Lines::default()) }
}

fn days(context: &Context, arguments: &Arguments, settings: &Settings) -> Result<Days, Failure> {
    let to = arguments.to.as_deref();
    if let Some(count) = arguments.days {
        let to = context.date("--to", to.unwrap_or("yesterday"), settings)?;
        return Ok(Days { from: to.saturating_sub(jiff::Span::new().days(i64::from(count) - 1)), to });
    }
    let from = match (&arguments.from, to) {
        (Some(from), _) => context.date("--from", from, settings)?,
        (None, to) => context.date("--to", to.unwrap_or("yesterday"), settings)?,
    };
    let to = to.map_or(Ok(from), |to| context.date("--to", to, settings))?;
    list::in_order(from, to)?;
    Ok(Days { from, to })
}

/// Ends a run: the sentence on stdout (`nothing` if there was nothing to do), whatever needs a person on stderr.
pub fn tell(context: &Context, summary: &RunSummary, nothing: &str, output: &mut Output) -> Result<Exit, Failure> {
    if context.global.json {
        output.json(summary)?;
    } else {
        output.line(summary.sentence(nothing))?;
    }
    tell_files(&summary.intake, output);
    for (code, count) in &summary.delivery.dead {
        let sentence = problem::find(code).map_or("refused", |info| info.sentence);
        let letters = counted(*count, "dead letter", "dead letters");
        output.say(format!("{letters} {code}: {sentence}\n  see: trunkline deliveries --state dead"));
    }
    if summary.delivery.dead_before > 0 {
        let letters = counted(summary.delivery.dead_before, "dead letter", "dead letters");
        output.say(format!("{letters} of these days from earlier runs: mend the cause, then `trunkline retry`"));
        output.say("  see: trunkline deliveries --state dead");
    }
    let ended_by = summary.delivery.hold.as_ref().or(summary.delivery.gave_up.as_ref());
    for problem in summary.intake.stopped.iter().chain(ended_by) {
        output.problem(problem);
    }
    if ended_by.is_some() && summary.delivery.waiting > 0 {
        let calls = counted(summary.delivery.waiting, "call waits", "calls wait");
        output.say(format!("{calls} for this; nothing is lost. Then run: trunkline retry"));
    } else if summary.delivery.waiting > 0 {
        for problem in &summary.delivery.waiting_for {
            output.problem(problem);
        }
        output.say("what waits is delivered by the next `trunkline sync` or `trunkline retry`");
    }
    if summary.stopped {
        output.say("stopped as asked; the next run goes on from here");
    }
    Ok(exit(summary))
}

/// Names the files that no call could be made of, and those that are gone.
pub fn tell_files(intake: &IntakeSummary, output: &mut Output) {
    for (url, why) in &intake.quarantine {
        output.say(format!("quarantine: {}\n  {why}", visible(url)));
    }
    let unnamed = intake.quarantined - intake.quarantine.len() as u64;
    if unnamed > 0 {
        output.say(format!("... and {unnamed} more: trunkline quarantine"));
    }
    for url in &intake.gone_files {
        output.say(format!("gone: {}\n  no longer at the source, and taken out of the quarantine", visible(url)));
    }
    let unnamed = intake.gone - intake.gone_files.len() as u64;
    if unnamed > 0 {
        output.say(format!("... and {unnamed} more that are gone"));
    }
}

pub fn exit(summary: &RunSummary) -> Exit {
    let delivery = &summary.delivery;
    let settled = delivery.delivered + delivery.updated + delivery.adopted + delivery.unchanged;
    let held_by_login = delivery
        .hold
        .as_ref()
        .is_some_and(|hold| [problem::LOGIN_REFUSED, problem::API_DISABLED, problem::API_VERSION].contains(&hold.code));
    let no_source = summary.intake.stopped.is_some() && summary.intake.files == 0;
    if no_source || (settled == 0 && delivery.dead.is_empty() && (held_by_login || delivery.gave_up.is_some())) {
        Exit::Impossible
    } else if summary.needs_a_person() || summary.stopped {
        Exit::Person
    } else {
        Exit::Done
    }
}

/// Works on a copy of the ledger, so that nothing of it stays behind.
async fn dry_run(
    context: &Context,
    settings: &Settings,
    days: Days,
    unmatched_csv: Option<&Path>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let folder = tempfile::tempdir().map_err(|error| {
        Problem::new(STORE_UNUSABLE, format!("no temporary folder: {error}"), "set TMPDIR to a writable folder")
    })?;
    let copy = folder.path().join("dry-run.db");
    if settings.store_path.exists() {
        SqliteStore::copy(&settings.store_path, &copy)?;
    }
    let store = context.open_store(&copy)?;
    let shown = Shown::new(context.global.json);
    let run = context.sync_run(settings, context.ends(settings)?, Arc::clone(&store), progress(output));
    let summary = run.run(days, Some(&shown)).await?;
    drop(run);
    shown.print(&summary.intake, output)?;
    tell_unmatched(&store, days, unmatched_csv, output).await?;
    output.say("dry run: nothing was sent and nothing was remembered");
    tell_files(&summary.intake, output);
    let delivery = &summary.delivery;
    for problem in summary.intake.stopped.iter().chain(&delivery.hold).chain(&delivery.gave_up) {
        output.problem(problem);
    }
    drop(store);
    debug_assert!(folder.path().exists());
    Ok(exit(&RunSummary { delivery: crate::engine::DeliverySummary { waiting: 0, ..summary.delivery }, ..summary }))
}

//! `trunkline upload`: a directory of transcripts, or one of them, to one REST destination.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args};
use jiff::tz::TimeZone;

use super::progress::Spinner;
use super::upload_answer::{self, Payloads};
use super::{Context, Exit, Failure, Output, reading, sync};
use crate::config::{CALL_DATA_API, Settings};
use crate::destinations::{Destination, Unasked};
use crate::engine::{Route, UploadRun};
use crate::problem::{CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem, SOURCE_MISSING, STORE_UNUSABLE};
use crate::sources::ObjectSource;
use crate::sources::conversations::{self, Conversations, PairingReport};
use crate::store::sqlite::SqliteStore;
use crate::store::{Place, Scope};

/// The name of the value in payloads, and of its variable.
const CALLER_PHONE: (&str, &str) = ("default_caller_phone", "CRM_DEFAULT_CALLER_PHONE");

#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["session", "dir"])))]
pub struct Arguments {
    /// One transcript.
    #[arg(value_name = "FILE")]
    session: Option<PathBuf>,
    /// A folder of transcripts.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// The lead of the one transcript, taken as it is.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "leads"])]
    lead: Option<PathBuf>,
    /// The folder of leads, which are paired with calls by evidence.
    #[arg(long, value_name = "FOLDER")]
    leads: Option<PathBuf>,
    /// The folder of call metadata.
    #[arg(long, value_name = "FOLDER")]
    metadata: Option<PathBuf>,
    /// The folder of egress files, which tell recordings.
    #[arg(long, value_name = "FOLDER")]
    egress: Option<PathBuf>,
    /// Read transcripts in folders below too.
    #[arg(long, conflicts_with = "session")]
    subfolders: bool,
    /// Stands in for a caller whose number is not known, and is marked as that.
    #[arg(long, value_name = "NUMBER")]
    caller_phone: Option<String>,
    /// How long after a call's end its lead may be written [default: 10].
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(0..=1440))]
    grace_minutes: Option<u64>,
    /// The country code of numbers without one, e.g. 1.
    #[arg(long, value_name = "CODE")]
    default_country: Option<String>,
    /// Pair a lead and a call that have nothing in common but the time, if there is no other of either.
    #[arg(long)]
    by_time_alone: bool,
    /// IANA name of the zone in which times without an offset were written [default: UTC].
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The same for the times of leads [default: as --zone].
    #[arg(long, value_name = "ZONE")]
    lead_zone: Option<String>,
    /// The destination [rest.NAME] instead of the call-data API.
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// Print every payload that would be sent, one a line, and send none.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut settings = context.settings(None)?;
    let name = arguments.to.clone().unwrap_or_else(|| CALL_DATA_API.to_owned());
    if let Some(phone) = &arguments.caller_phone {
        stand_in(&mut settings, &name, phone)?;
    }
    let source = Arc::new(source(&arguments, &settings)?);
    let route = Route { scope: Some(scope(&arguments, &source)), ..route(context, &settings, &name)? };
    context.stop_on_signals();
    source.probe().await?;
    let report = prepare(&source, output).await?;
    if report.transcripts == 0 {
        return Err(no_transcripts(&arguments).into());
    }
    upload_answer::tell_pairing(&report, output);
    if arguments.dry_run {
        return dry_run(context, &settings, source, route, output).await;
    }
    let store = context.open_store(&settings.store_path)?;
    let run = upload_run(context, &settings, source, route, store, output);
    let uploaded = run.run(today(context, &settings), None).await?;
    drop(run);
    upload_answer::tell(context, &name, &uploaded, &report, output)
}

/// Of everything that is due, what this upload is about.
fn scope(arguments: &Arguments, source: &Conversations) -> Scope {
    let address = source.address();
    let place = match arguments.dir {
        Some(_) => {
            Place::Folder { address: format!("{}/", address.trim_end_matches('/')), subfolders: arguments.subfolders }
        }
        None => Place::File(address.to_owned()),
    };
    Scope { source: source.name().to_owned(), place }
}

/// Everything that the flags say of the directory, checked as far as it can be before anything is read.
fn source(arguments: &Arguments, settings: &Settings) -> Result<Conversations, Failure> {
    let place = arguments.session.as_ref().or(arguments.dir.as_ref()).cloned().unwrap_or_default();
    let mut chosen = conversations::Settings::new(place.clone());
    chosen.leads.clone_from(&arguments.leads);
    chosen.metadata.clone_from(&arguments.metadata);
    chosen.egress.clone_from(&arguments.egress);
    chosen.subfolders = arguments.subfolders;
    if let Some(minutes) = arguments.grace_minutes {
        chosen.grace = Duration::from_secs(minutes * 60);
    }
    chosen.default_country = arguments.default_country.as_deref().map(|code| code.trim_start_matches('+').to_owned());
    chosen.by_time_alone = arguments.by_time_alone;
    chosen.zone = zone("--zone", arguments.zone.as_deref())?.unwrap_or(TimeZone::UTC);
    chosen.lead_zone = zone("--lead-zone", arguments.lead_zone.as_deref())?;
    chosen.inflated_bytes_max = settings.intake.inflated_bytes_max;
    if arguments.dir.is_some() {
        if place.is_file() {
            let what = format!("{} is a file, not a folder", place.display());
            let help = format!("without --dir it is uploaded by itself: trunkline upload {}", place.display());
            return Err(Problem::new(CONFIG_BAD_VALUE, what, help).into());
        }
        return Ok(Conversations::open(chosen)?);
    }
    if place.is_dir() {
        let what = format!("{} is a folder, not a transcript", place.display());
        let help = format!("upload all of it: trunkline upload --dir {}", place.display());
        return Err(Problem::new(CONFIG_BAD_VALUE, what, help).into());
    }
    for (path, is) in [(Some(&place), "transcript"), (arguments.lead.as_ref(), "lead")] {
        if let Some(path) = path.filter(|path| !path.exists()) {
            let what = format!("there is no {is} {}", path.display());
            return Err(Problem::new(SOURCE_MISSING, what, "check the path of the file").into());
        }
    }
    Ok(Conversations::open_one(chosen, arguments.lead.clone())?)
}

fn zone(flag: &str, name: Option<&str>) -> Result<Option<TimeZone>, Problem> {
    let unknown = |name: &str| {
        let what = format!("{flag}: there is no time zone `{name}`");
        Problem::new(CONFIG_BAD_VALUE, what, "use an IANA name, e.g. America/New_York or UTC")
    };
    name.map(|name| TimeZone::get(name).map_err(|_| unknown(name))).transpose()
}

/// Gives the payloads' templates a number for callers without one.
fn stand_in(settings: &mut Settings, name: &str, phone: &str) -> Result<(), Problem> {
    let digits = phone.chars().filter(char::is_ascii_digit).count();
    if digits < 3 || phone.chars().any(|c| !c.is_ascii_digit() && !"+ ()-.".contains(c)) {
        return Err(Problem::new(
            CONFIG_BAD_VALUE,
            "--caller-phone is not a phone number",
            "write digits with the country in front, e.g. +15550100100",
        ));
    }
    let (value, variable) = CALLER_PHONE;
    if name == CALL_DATA_API {
        settings.environment.insert(variable.to_owned(), phone.to_owned());
    } else if let Some(table) = settings.rest.tables.get_mut(name) {
        let values = table.entry("values").or_insert_with(|| toml::Table::new().into());
        if let Some(values) = values.as_table_mut() {
            values.insert(value.to_owned(), phone.into());
        }
    }
    Ok(())
}

/// The destination; what is missing for it is told by the variables that its users know.
fn route(context: &Context, settings: &Settings, name: &str) -> Result<Route, Failure> {
    let said = &settings.rest.call_data;
    let known = [
        ("base_url", "CRM_BASE_URL", &said.base_url),
        ("values.campaign_id", "CRM_CAMPAIGN_ID", &said.campaign_id),
        ("values.voice_agent_id", "CRM_VOICE_AGENT_ID", &said.voice_agent_id),
        ("values.client_id", "CRM_CLIENT_ID", &said.client_id),
    ];
    context.rest(settings, name).map_err(|failure| {
        let is_told = |text: Option<&String>| text.is_some_and(|text| !text.trim().is_empty());
        let is_about = |key: &str| failure.problem.what.contains(&format!(" {key} is not set"));
        if name != CALL_DATA_API || !known.iter().any(|(key, _, _)| is_about(key)) {
            return failure;
        }
        let missing = known
            .iter()
            .filter(|(_, variable, key)| !is_told(settings.environment.get(*variable)) && !is_told(key.as_ref()));
        let missing: Vec<&str> = missing.map(|(_, variable, _)| *variable).collect();
        let verb = if missing.len() == 1 { "is" } else { "are" };
        Failure::from(Problem::new(
            CONFIG_CONTRADICTION,
            format!("for the call-data API, {} {verb} not set", missing.join(", ")),
            "set what is named, or the keys of [call_data_api] in trunkline.toml",
        ))
    })
}

/// Reads all companions and pairs them; a look at every transcript, off the reactor.
async fn prepare(source: &Arc<Conversations>, output: &Output) -> Result<PairingReport, Failure> {
    let spinner = output.is_terminal().then(|| Spinner::new("pairing leads with calls"));
    let source = Arc::clone(source);
    let report = tokio::task::spawn_blocking(move || source.prepare()).await;
    drop(spinner);
    match report {
        Ok(report) => Ok(report?),
        // A blocking task is never cancelled, so the only way here is its own panic.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn no_transcripts(arguments: &Arguments) -> Problem {
    let place = arguments.dir.as_deref().unwrap_or(Path::new("."));
    let below = if arguments.subfolders { "" } else { "; --subfolders reads folders below too" };
    Problem::new(
        SOURCE_MISSING,
        format!("there are no transcripts in {}", place.display()),
        format!("transcripts end with .json, .jsonl or .ndjson, or one of these and .gz{below}"),
    )
}

fn today(context: &Context, settings: &Settings) -> jiff::civil::Date {
    context.clock.now().to_zoned(settings.time_zone.clone()).date()
}

fn upload_run(
    context: &Context,
    settings: &Settings,
    source: Arc<Conversations>,
    route: Route,
    store: Arc<SqliteStore>,
    output: &Output,
) -> UploadRun {
    let reading = reading(settings, source, std::slice::from_ref(&route));
    UploadRun { engine: context.engine(store, sync::progress(output)), reading, route }
}

/// Works on a copy of the ledger, so that nothing of it stays behind. Payloads need no answer of the API: where it cannot be
/// asked, that is told.
async fn dry_run(
    context: &Context,
    settings: &Settings,
    source: Arc<Conversations>,
    route: Route,
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
    let destination = Arc::new(Unasked::new(route.destination));
    let name = destination.name().to_owned();
    let route = Route { destination: Arc::clone(&destination) as Arc<dyn Destination>, ..route };
    let run = upload_run(context, settings, source, route, store, output);
    let payloads = Payloads::new(&name, output);
    let uploaded = run.run(today(context, settings), Some(&payloads)).await?;
    drop(run);
    let shown = payloads.finish()?;
    upload_answer::tell_dry_run(&shown, &uploaded.summary, &name, destination.why(), output);
    // Held to here: the copy is gone with it.
    drop(folder);
    Ok(sync::exit(&upload_answer::without_waiting(uploaded.summary)))
}

//! `trunkline sim`: simulated systems on a port, and invented session files to feed them.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::{Context, Exit, Failure, Output};
use crate::engine::counted;
use crate::problem::{CONFIG_BAD_VALUE, Problem, REMOTE_UNREACHABLE};
use crate::sim::call_data_api::{self, CallDataApi};
use crate::sim::harness::{self, Remote};
use crate::sim::rest::{dynamics, hubspot, pipedrive, zoho};
use crate::sim::salesforce::{Credentials, Options, Simulator};
use crate::sim::sessions::{self, Plan};

#[derive(Subcommand)]
pub enum Command {
    /// A Salesforce org, with a page that shows it as sales would see it.
    Salesforce(SalesforceArguments),
    /// A call-data API, with a page that lists the calls it took.
    CallDataApi(CallDataArguments),
    /// A HubSpot portal: calls and the search of contacts.
    Hubspot(PortArguments),
    /// A Pipedrive company: call logs, activities and the search of persons.
    Pipedrive(PortArguments),
    /// A Zoho CRM organisation: calls in batches and searches.
    Zoho(PortArguments),
    /// A Dynamics 365 organisation: phone calls and queries of people.
    Dynamics(PortArguments),
    /// Writes a day of invented session files, and people.json with whom the org must know.
    Sessions(SessionArguments),
}

#[derive(Args)]
pub struct SessionArguments {
    /// Where to write; the day's folder is made below.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// The day.
    #[arg(long, value_name = "DATE", default_value = "yesterday")]
    date: String,
    /// How many sessions.
    #[arg(long, default_value_t = 100)]
    calls: usize,
    /// The same seed writes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What every simulator on the common harness takes.
#[derive(Args)]
pub struct PortArguments {
    /// 0 takes a free one and tells it.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Drives every random choice, faults among them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
}

#[derive(Args)]
pub struct CallDataArguments {
    #[command(flatten)]
    common: PortArguments,
    /// The bearer token to ask for; none unless set.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Keep the first payload of a call only.
    #[arg(long)]
    deduplicate: bool,
    /// Answer look-ups with 404.
    #[arg(long)]
    no_look_up: bool,
    /// Requests in any minute before 429; no limit unless set.
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
}

#[derive(Args)]
pub struct SalesforceArguments {
    /// 0 takes a free one and tells it.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Keep the org in this file between runs.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Drives every random choice, faults among them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// An org without the key field on Activity.
    #[arg(long)]
    no_key_field: bool,
}

pub async fn run(context: &Context, command: Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Salesforce(arguments) => salesforce(context, &arguments, output).await,
        Command::CallDataApi(arguments) => {
            let settings = call_data_settings(&arguments);
            serve::<CallDataApi>(context, &arguments.common, settings, output, CALL_DATA_WORDS).await
        }
        Command::Hubspot(arguments) => {
            let traffic = traffic(&arguments);
            let settings = hubspot::Settings { traffic, ..hubspot::Settings::default() };
            serve::<hubspot::HubSpot>(context, &arguments, settings, output, "bearer token: pat-sim").await
        }
        Command::Pipedrive(arguments) => {
            let traffic = traffic(&arguments);
            let settings = pipedrive::Settings { traffic, ..pipedrive::Settings::default() };
            serve::<pipedrive::Pipedrive>(context, &arguments, settings, output, "API token: sim-token").await
        }
        Command::Zoho(arguments) => {
            let traffic = traffic(&arguments);
            let settings = zoho::Settings { traffic, ..zoho::Settings::default() };
            let words = "client: sim-client, secret: sim-secret, refresh token: sim-refresh";
            serve::<zoho::Zoho>(context, &arguments, settings, output, words).await
        }
        Command::Dynamics(arguments) => {
            let traffic = traffic(&arguments);
            let settings = dynamics::Settings { traffic, ..dynamics::Settings::default() };
            let words = "tenant: sim-tenant, client: sim-client, secret: sim-secret";
            serve::<dynamics::Dynamics>(context, &arguments, settings, output, words).await
        }
        Command::Sessions(arguments) => write_sessions(context, &arguments, output),
    }
}

const CALL_DATA_WORDS: &str = "POST /apis/api/public/call-data; the calls are listed at that address";

async fn listen(port: u16) -> Result<tokio::net::TcpListener, Failure> {
    tokio::net::TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        let what = format!("port {port} cannot be used: {error}");
        Problem::new(CONFIG_BAD_VALUE, what, "name another with --port, or --port 0 for a free one").into()
    })
}

fn traffic(arguments: &PortArguments) -> harness::Traffic {
    harness::Traffic { latency_ms: arguments.latency_ms, ..harness::Traffic::default() }
}

fn call_data_settings(arguments: &CallDataArguments) -> call_data_api::Settings {
    let mut settings = call_data_api::Settings {
        token: arguments.token.clone(),
        deduplicate: arguments.deduplicate,
        traffic: traffic(&arguments.common),
        ..call_data_api::Settings::default()
    };
    settings.traffic.requests_max = arguments.requests_per_minute;
    if arguments.no_look_up {
        settings.look_up = call_data_api::LookUp::NotFound;
    }
    settings
}

/// Runs a simulator until somebody asks to stop; `words` say how to use it.
async fn serve<R: Remote>(
    context: &Context,
    arguments: &PortArguments,
    settings: R::Settings,
    output: &mut Output,
    words: &str,
) -> Result<Exit, Failure> {
    let clock = Arc::clone(&context.clock);
    let options = harness::Options { now: Arc::new(move || clock.now()), seed: arguments.seed, settings };
    let simulator = harness::Simulator::<R>::start(listen(arguments.port).await?, options).map_err(|error| {
        let what = format!("the simulator cannot start: {error}");
        Failure::impossible(Problem::new(REMOTE_UNREACHABLE, what, "name another port with --port"))
    })?;
    output.line(simulator.url())?;
    output.say(words);
    output.say("faults and switches: docs/simulators.md. Ctrl-C ends it.");
    context.stop_on_signals();
    context.stop.asked().await;
    Ok(Exit::Done)
}

async fn salesforce(context: &Context, arguments: &SalesforceArguments, output: &mut Output) -> Result<Exit, Failure> {
    let listener = listen(arguments.port).await?;
    let options = options(context, arguments);
    let failed = |what: String| Failure::impossible(Problem::new(REMOTE_UNREACHABLE, what, "look at the state file"));
    let simulator = Simulator::start(listener, options)
        .await
        .map_err(|error| failed(format!("the simulator cannot start: {error}")))?;
    output.line(simulator.url())?;
    output.say("the org as sales would see it is at that address; to use it:");
    let Credentials { client_id, client_secret, .. } = Credentials::default();
    let url = simulator.url();
    output.say(format!("  export SF_LOGIN_URL={url} SF_CLIENT_ID={client_id} SF_CLIENT_SECRET={client_secret}"));
    output.say("faults and switches: docs/simulator.md. Ctrl-C ends it.");
    context.stop_on_signals();
    context.stop.asked().await;
    simulator.stop().await.map_err(|error| failed(format!("the org cannot be saved: {error}")))?;
    Ok(Exit::Done)
}

fn write_sessions(context: &Context, arguments: &SessionArguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    let plan = Plan::new(arguments.seed, context.date("--date", &arguments.date, &settings)?, arguments.calls);
    let unwritten = |error: &dyn std::fmt::Display| {
        let what = format!("{} cannot be written: {error}", arguments.dir.display());
        Failure::from(Problem::new(CONFIG_BAD_VALUE, what, "name a writable folder with --dir"))
    };
    let folder = sessions::write_day(&arguments.dir, &plan).map_err(|error| unwritten(&error))?;
    let people = serde_json::to_vec(&sessions::records(&plan)).map_err(std::io::Error::from)?;
    std::fs::write(arguments.dir.join("people.json"), people).map_err(|error| unwritten(&error))?;
    output.line(format!("{} in {}", counted(arguments.calls as u64, "session", "sessions"), folder.display()))?;
    output.say("people.json beside it: Contacts, then Leads, for POST /sim/records/<object>");
    Ok(Exit::Done)
}

fn options(context: &Context, arguments: &SalesforceArguments) -> Options {
    let clock = Arc::clone(&context.clock);
    let mut options = Options {
        seed: arguments.seed,
        state_file: arguments.state.clone(),
        now: Arc::new(move || clock.now()),
        ..Options::default()
    };
    options.settings.latency_ms = arguments.latency_ms;
    if arguments.no_key_field {
        options.settings.key_field = None;
    }
    options
}

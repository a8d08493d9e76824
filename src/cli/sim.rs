//! `trunkline sim`: the simulated org on a port, and invented session files to feed it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Context, Exit, Failure, Output};
use crate::engine::counted;
use crate::problem::{CONFIG_BAD_VALUE, Problem, REMOTE_UNREACHABLE};
use crate::sim::salesforce::{Credentials, Options, Simulator};
use crate::sim::sessions::{self, Plan};

#[derive(Subcommand)]
pub enum Command {
    /// A Salesforce org, with a page that shows it as sales would see it.
    Salesforce(SalesforceArguments),
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
    let arguments = match command {
        Command::Salesforce(arguments) => arguments,
        Command::Sessions(arguments) => return write_sessions(context, &arguments, output),
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await.map_err(|error| {
        let what = format!("port {} cannot be used: {error}", arguments.port);
        Problem::new(CONFIG_BAD_VALUE, what, "name another with --port, or --port 0 for a free one")
    })?;
    let options = options(context, &arguments);
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
    let clock = std::sync::Arc::clone(&context.clock);
    let mut options = Options {
        seed: arguments.seed,
        state_file: arguments.state.clone(),
        now: std::sync::Arc::new(move || clock.now()),
        ..Options::default()
    };
    options.settings.latency_ms = arguments.latency_ms;
    if arguments.no_key_field {
        options.settings.key_field = None;
    }
    options
}

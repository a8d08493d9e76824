//! `trunkline sim salesforce`: the simulated org on a port.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Context, Exit, Failure, Output};
use crate::problem::{CONFIG_BAD_VALUE, Problem, REMOTE_UNREACHABLE};
use crate::sim::salesforce::{Credentials, Options, Simulator};

#[derive(Subcommand)]
pub enum Command {
    /// A Salesforce org, with a page that shows it as sales would see it.
    Salesforce(SalesforceArguments),
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
    let Command::Salesforce(arguments) = command;
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
    output.say(format!(
        "  export SF_LOGIN_URL={} SF_CLIENT_ID={client_id} SF_CLIENT_SECRET={client_secret}",
        simulator.url()
    ));
    output.say("faults and switches: docs/simulator.md. Ctrl-C ends it.");
    context.stop_on_signals();
    context.stop.asked().await;
    simulator.stop().await.map_err(|error| failed(format!("the org cannot be saved: {error}")))?;
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

//! The command line: one file a subcommand. Arguments become settings here and go no further.
//!
//! Invariants: data on stdout, words on stderr; `--json` on every listing; exit codes as in [`Exit`].

mod check;
mod context;
mod demo;
mod explain;
mod figures;
mod init;
mod list;
mod output;
mod preview;
mod progress;
mod replay;
mod report;
mod report_page;
mod retry;
mod serve;
mod sim;
mod sync;
mod time;
mod unmatched;
mod upload;
mod upload_answer;
mod verify;
mod why;
mod why_text;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use context::{Context, reading};
pub use output::Output;

use crate::config::Environment;
use crate::problem::{self, Problem};
use crate::store::StoreError;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All delivered, or skipped by rule.
    Done = 0,
    /// Something needs a person.
    Person = 1,
    /// Usage or configuration.
    Usage = 2,
    /// The run could not be done: no login, no bucket, no store.
    Impossible = 3,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all delivered or skipped by rule, 1 some need a person, 2 usage or configuration, 3 the run could not be \
done. With no file, flags and environment are enough. For Salesforce: SF_LOGIN_URL, then SF_CLIENT_ID and SF_CLIENT_SECRET \
(client credentials), or SF_CLIENT_ID, SF_USERNAME and SF_PRIVATE_KEY_FILE (JWT), or SF_CLIENT_ID and SF_REFRESH_TOKEN, or \
SF_USERNAME, SF_PASSWORD and SF_SECURITY_TOKEN; SF_LOGIN says which of them, SF_AUDIENCE and SF_API_VERSION are rarely \
needed. For the call-data API: CRM_BASE_URL, CRM_CAMPAIGN_ID, CRM_VOICE_AGENT_ID and CRM_CLIENT_ID, CRM_AUTO_UPLOAD=true to \
send every call there, CRM_API_TOKEN and CRM_DEFAULT_CALLER_PHONE if wanted. For S3: AWS_*.";

/// Puts every call a voice agent takes into the CRM: once, on the right record, and you can ask why.
#[derive(Parser)]
#[command(name = "trunkline", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// The configuration; without it trunkline.toml here, if it exists.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The ledger, a SQLite file [default: trunkline.db].
    #[arg(long, global = true, value_name = "FILE")]
    pub store: Option<PathBuf>,
    /// IANA name of the zone that decides a call's date [default: UTC].
    #[arg(long, global = true, value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// Answer as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Sample sessions into a built-in simulated org; shows what sales would see.
    Demo(demo::Arguments),
    /// Write a commented trunkline.toml, asking only what it must.
    Init(init::Arguments),
    /// Check configuration, source, login, access and key field; says what to fix, in order.
    Check(check::Arguments),
    /// Read the session exports of some days and deliver what is due.
    Sync(sync::Arguments),
    /// Transcripts with their leads into a REST API, a directory or one file.
    Upload(upload::Arguments),
    /// Deliver calls as they end: watch the sources all day, answer health checks and figures.
    Serve(serve::Arguments),
    /// Why a session is, or is not, in the CRM.
    Why(why::Arguments),
    /// The calls in the ledger.
    Calls(list::CallArguments),
    /// The deliveries in the ledger.
    Deliveries(list::DeliveryArguments),
    /// Make deliveries or quarantined files due again, and deliver.
    Retry(retry::Arguments),
    /// Deliver calls once more through a changed mapping; the others are left alone.
    Replay(replay::Arguments),
    /// Files that could not be understood.
    Quarantine(list::QuarantineArguments),
    /// Figures per day: calls, delivered, skipped by reason, match rate, errors.
    Report(report::Arguments),
    /// Prove that the ledger is whole; says what to do where it is not.
    Verify(verify::Arguments),
    /// Run a simulated remote system to point any client at.
    #[command(subcommand)]
    Sim(sim::Command),
    /// Explain an error code.
    Explain(explain::Arguments),
}

/// Runs the command line; the environment and the streams are passed in.
pub async fn run(cli: Cli, environment: Environment, output: &mut Output) -> Exit {
    let context = Context::new(cli.global, environment);
    let result = match cli.command {
        Command::Demo(arguments) => demo::run(&context, arguments, output).await,
        Command::Init(arguments) => init::run(&context, arguments, output),
        Command::Check(arguments) => check::run(&context, arguments, output).await,
        Command::Sync(arguments) => sync::run(&context, arguments, output).await,
        Command::Upload(arguments) => upload::run(&context, arguments, output).await,
        Command::Serve(arguments) => serve::run(&context, arguments, output).await,
        Command::Why(arguments) => why::run(&context, arguments, output).await,
        Command::Calls(arguments) => list::calls(&context, arguments, output).await,
        Command::Deliveries(arguments) => list::deliveries(&context, arguments, output).await,
        Command::Retry(arguments) => retry::run(&context, arguments, output).await,
        Command::Replay(arguments) => replay::run(&context, arguments, output).await,
        Command::Quarantine(arguments) => list::quarantine(&context, arguments, output).await,
        Command::Report(arguments) => report::run(&context, arguments, output).await,
        Command::Verify(arguments) => verify::run(&context, arguments, output).await,
        Command::Sim(command) => sim::run(&context, command, output).await,
        Command::Explain(arguments) => explain::run(&arguments, output),
    };
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            output.problem(&failure.problem);
            failure.exit
        }
    }
}

/// Why a command ended early.
pub struct Failure {
    pub exit: Exit,
    pub problem: Problem,
}

impl Failure {
    pub fn impossible(problem: Problem) -> Failure {
        Failure { exit: Exit::Impossible, problem }
    }
}

/// A problem with settings or arguments, unless its code says otherwise.
impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let exit = if problem.code.0 < "TL0200" { Exit::Usage } else { Exit::Impossible };
        Failure { exit, problem }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let (code, help) = match &error {
            StoreError::Unusable(cause) if cause.contains("not a database") => {
                (problem::STORE_UNUSABLE, "name a ledger of Trunkline's, or a new file, with --store")
            }
            StoreError::Unusable(_) => (
                problem::STORE_UNUSABLE,
                "run it as the user that owns the ledger; check that its folder is writable, on a local disk with space \
                 left, and not used by another program",
            ),
            StoreError::Full(_) => {
                (problem::STORE_UNUSABLE, "make room on the ledger's disk and start it again: nothing is lost")
            }
            StoreError::Damaged { .. } => (
                problem::STORE_UNUSABLE,
                "stop what runs, keep a copy of the file, and see what `trunkline verify` finds; then restore the last good backup",
            ),
            StoreError::DamagedCall { key, .. } => {
                let help = format!(
                    "`trunkline retry {key}` reads its file again; check the disk, and the rest with `trunkline verify`"
                );
                return Failure::impossible(Problem::new(problem::CALL_DAMAGED, error.to_string(), help));
            }
            StoreError::Newer { .. } => (problem::STORE_NEWER, "use the newer Trunkline, or another --store"),
            StoreError::UnsafeSqlite(_) => (problem::STORE_SQLITE, "build with the bundled SQLite"),
        };
        Failure::impossible(Problem::new(code, error.to_string(), help))
    }
}

/// Writing to stdout failed: nobody reads any more, or the disk is full.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        let what = format!("the answer cannot be written: {error}");
        Failure::impossible(Problem::new(problem::STORE_UNUSABLE, what, "check where the output goes"))
    }
}

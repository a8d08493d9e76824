//! `trunkline replay`: delivered calls once more through today's mapping.
//!
//! No record is made, and none is touched that says already what would be written. What is replayed waits for everything
//! else that is due.

use clap::Args;

use super::retry::Work;
use super::{Context, Exit, Failure, Output, list};
use crate::problem::{CONFIG_CONTRADICTION, Problem};
use crate::store::Rearm;

#[derive(Args)]
pub struct Arguments {
    /// Session ids or call keys; or the days of --from and --to.
    sessions: Vec<String>,
    #[command(flatten)]
    days: list::DayArguments,
    /// To this destination alone, by its name: salesforce, or that of its table.
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Where the session exports are: a file that was changed since is read before its record is.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(arguments.source)?;
    let days = arguments.days.range(context, &settings)?;
    if days.is_none() && arguments.sessions.is_empty() {
        let what = "nothing is said of which calls to replay";
        return Err(Problem::new(CONFIG_CONTRADICTION, what, "name sessions, or days with --from and --to").into());
    }
    let work = Work {
        command: "replay",
        sessions: arguments.sessions,
        which: Rearm { states: vec!["delivered"], days, replay: true, ..Rearm::default() },
        quarantine: false,
        destination: arguments.destination,
        nothing: "nothing of this was delivered before, and nothing is due",
    };
    work.run(context, &settings, output).await
}

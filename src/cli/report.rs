//! `trunkline report`: what happened to the calls of each day.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Exit, Failure, Output, list, report_page};
use crate::engine::{counted, reason, thousands};
use crate::problem::{CONFIG_BAD_VALUE, Problem, STORE_UNUSABLE};
use crate::store::DayFigures;

#[derive(Args)]
pub struct Arguments {
    /// How many days, counted back from the last.
    #[arg(long, default_value_t = 7)]
    days: u16,
    /// The last day [default: today].
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Draw it as a page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    if !(1..=366).contains(&arguments.days) {
        let what = format!("--days cannot be {}", arguments.days);
        return Err(Problem::new(CONFIG_BAD_VALUE, what, "give a number from 1 to 366").into());
    }
    let to = context.date("--to", arguments.to.as_deref().unwrap_or("today"), &settings)?;
    let from = to.saturating_sub(jiff::Span::new().days(i64::from(arguments.days) - 1));
    let store = context.open_store_to_read(&settings.store_path)?;
    let figures = store.report(from, to).await?;
    if let Some(path) = &arguments.html {
        std::fs::write(path, report_page::page(&figures)).map_err(|error| {
            let what = format!("{} cannot be written: {error}", path.display());
            Problem::new(STORE_UNUSABLE, what, "name a file in a writable folder")
        })?;
        output.say(format!("the report is in {}", path.display()));
    }
    if context.global.json {
        output.json(&figures)?;
    } else if arguments.html.is_none() {
        print(&figures, output)?;
    }
    let former: u64 = figures.iter().map(|day| day.former_person).sum();
    if former > 0 {
        let calls = counted(former, "record stands", "records stand");
        output.say(format!("{calls} on the person of an earlier address, because nobody has the newest one"));
        output.say("  see: trunkline deliveries --state delivered --reason no-match,several-matches");
    }
    for hold in store.holds().await? {
        output.say(format!("held: {} {} {}", hold.destination, hold.problem.code, hold.problem.what));
    }
    Ok(Exit::Done)
}

fn print(figures: &[DayFigures], output: &mut Output) -> std::io::Result<()> {
    let rows = figures.iter().map(cells).collect();
    let header =
        ["day", "calls", "delivered", "updated", "adopted", "skipped", "match rate", "dead", "waiting", "quarantined"];
    output.table(&header, rows)
}

fn cells(day: &DayFigures) -> Vec<String> {
    let skipped: Vec<String> =
        day.skipped.iter().map(|(code, count)| format!("{} {}", thousands(*count), reason(code))).collect();
    let dead: Vec<String> = day.dead.iter().map(|(code, count)| format!("{} {code}", thousands(*count))).collect();
    vec![
        list::day(day.day.as_deref()),
        thousands(day.calls),
        thousands(day.delivered),
        thousands(day.updated),
        thousands(day.adopted),
        or_dash(skipped),
        rate(day),
        or_dash(dead),
        thousands(day.waiting),
        thousands(day.quarantined),
    ]
}

fn or_dash(parts: Vec<String>) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// "94.1 %", or a dash if no call had an address.
pub fn rate(day: &DayFigures) -> String {
    day.match_rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

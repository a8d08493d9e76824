//! `trunkline calls`, `deliveries` and `quarantine`.

use clap::Args;

use super::time::shown;
use super::{Context, Exit, Failure, Output};
use crate::config::Settings;
use crate::engine::counted;
use crate::problem::{self, CONFIG_BAD_VALUE, CONFIG_CONTRADICTION, Problem};
use crate::store::{CallFilter, DeliveryFilter, QuarantineStore, RawFilter, RawRow, ReadStore, StoredProblem};

/// The states that a person can ask for.
pub const STATES: &[&str] = &["due", "unknown", "held", "leased", "delivered", "skipped", "dead"];

/// What stands for a day where a call has none.
pub const NO_DATE: &str = "no date";

/// Which days.
#[derive(Args)]
pub struct DayArguments {
    /// Only calls of this day or later.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only calls up to this day.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
}

impl DayArguments {
    /// The days, open at either end; `None` for all, and for calls without a date too.
    pub fn range(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<Option<(jiff::civil::Date, jiff::civil::Date)>, Failure> {
        if self.from.is_none() && self.to.is_none() {
            return Ok(None);
        }
        let date = |name, text: &Option<String>, open| match text {
            Some(text) => context.date(name, text, settings),
            None => Ok(open),
        };
        let from = date("--from", &self.from, jiff::civil::Date::constant(1, 1, 1))?;
        let to = date("--to", &self.to, jiff::civil::Date::MAX)?;
        in_order(from, to)?;
        Ok(Some((from, to)))
    }
}

/// Refuses a range that ends before it begins.
pub fn in_order(from: jiff::civil::Date, to: jiff::civil::Date) -> Result<(), Failure> {
    if to < from {
        let what = format!("--to {to} is before --from {from}");
        return Err(Problem::new(CONFIG_CONTRADICTION, what, "give the earlier day as --from").into());
    }
    Ok(())
}

/// How much of a listing.
#[derive(Args)]
pub struct LimitArguments {
    /// Most rows.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl LimitArguments {
    fn rows(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Says that there is nothing, or that there may be more.
    fn tell(&self, rows: usize, output: &mut Output) {
        if rows == 0 {
            output.say("none");
        } else if rows == self.rows() {
            output.say(format!("the first {rows}; --limit shows more"));
        }
    }
}

#[derive(Args)]
pub struct CallArguments {
    #[command(flatten)]
    days: DayArguments,
    #[command(flatten)]
    limit: LimitArguments,
}

#[derive(Args)]
pub struct DeliveryArguments {
    /// due, unknown, held, leased, delivered, skipped or dead.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// no-email, no-match, several-matches, or an error code.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    #[command(flatten)]
    days: DayArguments,
    #[command(flatten)]
    limit: LimitArguments,
}

#[derive(Args)]
pub struct QuarantineArguments {
    /// Take the files whose address contains this out of the quarantine, e.g. because they were deleted at the source.
    #[arg(long, value_name = "PART")]
    dismiss: Option<String>,
    /// Dismiss without asking.
    #[arg(long, requires = "dismiss")]
    yes: bool,
    #[command(flatten)]
    limit: LimitArguments,
}

pub async fn calls(context: &Context, arguments: CallArguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    let days = arguments.days.range(context, &settings)?;
    let store = context.open_store_to_read(&settings.store_path)?;
    let rows = store.calls(&CallFilter { days, limit: arguments.limit.rows() }).await?;
    if context.global.json {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = rows
        .iter()
        .map(|row| {
            let states: Vec<String> = row.deliveries.iter().map(|(to, state)| format!("{to}: {state}")).collect();
            vec![
                row.source_id.clone(),
                day(row.day.as_deref()),
                row.started_at_ms.map_or_else(String::new, |at| shown(at, &settings.time_zone)),
                row.revision.to_string(),
                states.join(", "),
            ]
        })
        .collect();
    output.table(&["session", "day", "started", "revision", "deliveries"], cells)?;
    arguments.limit.tell(rows.len(), output);
    Ok(Exit::Done)
}

pub async fn deliveries(context: &Context, arguments: DeliveryArguments, output: &mut Output) -> Result<Exit, Failure> {
    for state in &arguments.state {
        if !STATES.contains(&state.as_str()) {
            let what = format!("there is no state `{state}`");
            let help = did_you_mean(state, STATES, &STATES.join(", "));
            return Err(Problem::new(CONFIG_BAD_VALUE, what, help).into());
        }
    }
    let settings = context.settings(None)?;
    let filter = DeliveryFilter {
        states: arguments.state,
        codes: arguments.reason.iter().map(|reason| code(reason)).collect::<Result<_, _>>()?,
        days: arguments.days.range(context, &settings)?,
        limit: Some(arguments.limit.rows()),
        ..DeliveryFilter::default()
    };
    let store = context.open_store_to_read(&settings.store_path)?;
    let rows = store.deliveries(&filter).await?;
    if context.global.json {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = rows
        .iter()
        .map(|row| {
            vec![
                row.source_id.clone(),
                day(row.day.as_deref()),
                row.destination.clone(),
                row.state.clone(),
                format!("{}/{}", row.delivered_revision, row.desired_revision),
                row.remote_id.clone().unwrap_or_default(),
                cause(row.problem.as_ref()),
            ]
        })
        .collect();
    output.table(&["session", "day", "to", "state", "revision", "record", "why"], cells)?;
    arguments.limit.tell(rows.len(), output);
    Ok(Exit::Done)
}

fn cause(problem: Option<&StoredProblem>) -> String {
    problem.map_or_else(String::new, |problem| format!("{} {}", problem.code, problem.what))
}

pub async fn quarantine(
    context: &Context,
    arguments: QuarantineArguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    if let Some(part) = &arguments.dismiss {
        return dismiss(context, &settings, part, arguments.yes, output).await;
    }
    let store = context.open_store_to_read(&settings.store_path)?;
    let rows = quarantined(store.as_ref(), None, Some(arguments.limit.rows())).await?;
    if context.global.json {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = rows
        .iter()
        .map(|row| {
            vec![
                row.url.clone(),
                row.bytes.to_string(),
                shown(row.seen_at_ms, &settings.time_zone),
                row.deaths.to_string(),
                cause(row.problem.as_ref()),
            ]
        })
        .collect();
    output.table(&["file", "bytes", "seen", "deaths", "why"], cells)?;
    arguments.limit.tell(rows.len(), output);
    if !rows.is_empty() {
        output.say("once a file is mended: trunkline retry --quarantine");
        output.say("if it was deleted for good: trunkline quarantine --dismiss PART-OF-ITS-ADDRESS");
    }
    Ok(Exit::Done)
}

async fn quarantined(store: &dyn ReadStore, part: Option<&str>, limit: Option<usize>) -> Result<Vec<RawRow>, Failure> {
    let url_part = part.map(str::to_owned);
    Ok(store.raws(&RawFilter { state: Some("quarantined"), url_part, limit, ..RawFilter::default() }).await?)
}

/// Takes files out of the quarantine, after a word of agreement.
async fn dismiss(
    context: &Context,
    settings: &Settings,
    part: &str,
    yes: bool,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let store = context.open_existing_store(&settings.store_path)?;
    let rows = quarantined(store.as_ref(), Some(part), None).await?;
    if rows.is_empty() {
        let what = format!("no file in quarantine has `{part}` in its address");
        return Err(Problem::new(CONFIG_BAD_VALUE, what, "`trunkline quarantine` lists the addresses").into());
    }
    for row in &rows {
        output.say(super::output::visible(&row.url));
    }
    let files = counted(rows.len() as u64, "file", "files");
    if !yes && !super::output::agreed(&format!("Take {files} out of the quarantine?"))? {
        output.say("nothing was changed");
        return Ok(Exit::Person);
    }
    let urls: Vec<String> = rows.into_iter().map(|row| row.url).collect();
    let count = store.dismiss(&urls).await?;
    if context.global.json {
        output.json(&serde_json::json!({ "dismissed": urls }))?;
    } else {
        output.line(format!("{} out of the quarantine", counted(count as u64, "file is", "files are")))?;
    }
    output.say("one that still stands at the source is read again when its day is synced");
    Ok(Exit::Done)
}

/// A call's day, or that it has none.
pub fn day(day: Option<&str>) -> String {
    day.unwrap_or(NO_DATE).to_owned()
}

/// The nearest word, and all of them.
fn did_you_mean(word: &str, known: &[&str], all: &str) -> String {
    let near = problem::nearest(word, known.iter().copied());
    near.map_or_else(|| all.to_owned(), |near| format!("did you mean `{near}`? There are: {all}"))
}

/// A reason as people write it to its code.
pub fn code(reason: &str) -> Result<String, Failure> {
    let code = match reason {
        "no-email" => problem::NO_EMAIL,
        "no-match" => problem::NO_MATCH,
        "several-matches" => problem::AMBIGUOUS,
        other => match problem::find(other) {
            Some(info) => info.code,
            None => {
                let what = format!("there is no reason `{other}`");
                let all = "no-email, no-match, several-matches, or an error code as `trunkline explain` lists them";
                let help = did_you_mean(other, &["no-email", "no-match", "several-matches"], all);
                return Err(Problem::new(CONFIG_BAD_VALUE, what, help).into());
            }
        },
    };
    Ok(code.0.to_owned())
}

//! `trunkline calls`, `deliveries` and `quarantine`, and the CSV of calls without a person.

use std::path::Path;

use clap::Args;

use super::output::visible;
use super::time::shown;
use super::{Context, Exit, Failure, Output};
use crate::config::Settings;
use crate::engine::{Days, reason};
use crate::model::CallKey;
use crate::problem::{self, CONFIG_BAD_VALUE, Problem, STORE_UNUSABLE};
use crate::store::{CallFilter, DeliveryFilter, RawFilter, ReadStore};

/// The states that a person can ask for.
pub const STATES: &[&str] = &["due", "unknown", "held", "leased", "delivered", "skipped", "dead"];

#[derive(Args)]
pub struct CallArguments {
    /// Only calls of this day or later.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only calls up to this day.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Most rows.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Args)]
pub struct DeliveryArguments {
    /// due, unknown, held, leased, delivered, skipped or dead.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// no-email, no-match, several-matches, or an error code.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    /// Only calls of this day or later.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only calls up to this day.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Most rows.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Args)]
pub struct QuarantineArguments {
    /// Most rows.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub async fn calls(context: &Context, arguments: CallArguments, output: &mut Output) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    let store = context.open_existing_store(&settings.store_path)?;
    let days = range(context, &settings, arguments.from.as_deref(), arguments.to.as_deref())?;
    let rows = store.calls(&CallFilter { days, limit: arguments.limit }).await?;
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
                row.day.clone().unwrap_or_default(),
                row.started_at_ms.map_or_else(String::new, |at| shown(at, &settings.time_zone)),
                row.revision.to_string(),
                states.join(", "),
            ]
        })
        .collect();
    output.table(&["session", "day", "started", "revision", "deliveries"], cells)?;
    limited(rows.len(), arguments.limit, output);
    Ok(Exit::Done)
}

pub async fn deliveries(context: &Context, arguments: DeliveryArguments, output: &mut Output) -> Result<Exit, Failure> {
    for state in &arguments.state {
        if !STATES.contains(&state.as_str()) {
            let what = format!("there is no state `{state}`");
            return Err(Problem::new(CONFIG_BAD_VALUE, what, format!("one of: {}", STATES.join(", "))).into());
        }
    }
    let settings = context.settings(None)?;
    let store = context.open_existing_store(&settings.store_path)?;
    let filter = DeliveryFilter {
        states: arguments.state,
        codes: arguments.reason.iter().map(|reason| code(reason)).collect::<Result<_, _>>()?,
        days: range(context, &settings, arguments.from.as_deref(), arguments.to.as_deref())?,
        limit: Some(arguments.limit),
        ..DeliveryFilter::default()
    };
    let rows = store.deliveries(&filter).await?;
    if context.global.json {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = rows
        .iter()
        .map(|row| {
            let problem = row.problem.as_ref().filter(|_| row.state != "delivered");
            vec![
                row.source_id.clone(),
                row.day.clone().unwrap_or_default(),
                row.destination.clone(),
                row.state.clone(),
                format!("{}/{}", row.delivered_revision, row.desired_revision),
                row.remote_id.clone().unwrap_or_default(),
                problem.map_or_else(String::new, |problem| format!("{} {}", problem.code, problem.what)),
            ]
        })
        .collect();
    output.table(&["session", "day", "to", "state", "revision", "record", "why"], cells)?;
    limited(rows.len(), arguments.limit, output);
    Ok(Exit::Done)
}

pub async fn quarantine(
    context: &Context,
    arguments: QuarantineArguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let settings = context.settings(None)?;
    let store = context.open_existing_store(&settings.store_path)?;
    let filter = RawFilter { state: Some("quarantined"), limit: Some(arguments.limit), ..RawFilter::default() };
    let rows = store.raws(&filter).await?;
    if context.global.json {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let cells = rows
        .iter()
        .map(|row| {
            let problem = row.problem.as_ref();
            vec![
                row.url.clone(),
                row.bytes.to_string(),
                shown(row.seen_at_ms, &settings.time_zone),
                problem.map_or_else(String::new, |problem| format!("{} {}", problem.code, problem.what)),
            ]
        })
        .collect();
    output.table(&["file", "bytes", "seen", "why"], cells)?;
    limited(rows.len(), arguments.limit, output);
    if !rows.is_empty() {
        output.say("once a file is mended: trunkline retry --quarantine");
    }
    Ok(Exit::Done)
}

fn limited(rows: usize, limit: usize, output: &mut Output) {
    if rows == 0 {
        output.say("none");
    } else if rows == limit {
        output.say(format!("the first {limit}; --limit shows more"));
    }
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
                let help = "no-email, no-match, several-matches, or an error code as `trunkline explain` lists them";
                return Err(Problem::new(CONFIG_BAD_VALUE, what, help).into());
            }
        },
    };
    Ok(code.0.to_owned())
}

/// A range of days, open at either end.
pub fn range(
    context: &Context,
    settings: &Settings,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Option<(jiff::civil::Date, jiff::civil::Date)>, Failure> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let from = from.map_or(Ok(jiff::civil::Date::constant(1, 1, 1)), |from| context.date(from, settings))?;
    let to = to.map_or(Ok(jiff::civil::Date::MAX), |to| context.date(to, settings))?;
    Ok(Some((from, to)))
}

/// Opens the file for a CSV, emptying it.
pub fn open_csv(path: &Path) -> Result<csv::Writer<std::fs::File>, Failure> {
    csv::Writer::from_path(path).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let what = format!("{} cannot be written: {error}", path.display());
    Failure::from(Problem::new(STORE_UNUSABLE, what, "name a file in a writable folder"))
}

/// Writes the calls of `days` that have no person, for whoever mends the CRM. Answers how many.
pub async fn unmatched_csv(store: &dyn ReadStore, days: Days, path: &Path) -> Result<usize, Failure> {
    let broken = |error: &dyn std::fmt::Display| unwritten(path, error);
    let mut csv = open_csv(path)?;
    let header = ["session_id", "call_date", "email", "name", "reason", "candidates"];
    csv.write_record(header).map_err(|error| broken(&error))?;
    let filter = DeliveryFilter {
        states: vec!["skipped".to_owned()],
        codes: [problem::NO_EMAIL, problem::NO_MATCH, problem::AMBIGUOUS].map(|code| code.0.to_owned()).to_vec(),
        folder_days: Some((days.from, days.to)),
        ..DeliveryFilter::default()
    };
    let rows = store.deliveries(&filter).await?;
    for row in &rows {
        let stored = store.call(&CallKey::from_stored(row.call_key.clone())).await?;
        let caller = stored.map(|stored| stored.call.call().caller.clone()).unwrap_or_default();
        let why = row.problem.as_ref().map_or("", |problem| reason(&problem.code));
        let candidates = row.match_json.as_deref().map_or_else(String::new, candidate_ids);
        let fields = [
            row.source_id.as_str(),
            row.day.as_deref().unwrap_or_default(),
            caller.email.as_deref().unwrap_or_default(),
            caller.name.as_deref().unwrap_or_default(),
            why,
            &candidates,
        ];
        csv.write_record(fields.map(harmless)).map_err(|error| broken(&error))?;
    }
    csv.flush().map_err(|error| broken(&error))?;
    Ok(rows.len())
}

fn candidate_ids(json: &str) -> String {
    let decision: Option<crate::destinations::Match> = serde_json::from_str(json).ok();
    let ids: Vec<String> =
        decision.iter().flat_map(|decision| &decision.candidates).map(|one| one.id.clone()).collect();
    ids.join(" ")
}

/// A cell that no spreadsheet takes for a formula (OWASP: CSV injection).
fn harmless(cell: &str) -> String {
    let cell = visible(cell);
    let risky = |c: char| ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\u{fffd}'].contains(&c);
    if cell.starts_with(risky) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_of_the_csv_is_a_formula() {
        let check = |cell: &str, expected: &str| assert_eq!(harmless(cell), expected);
        check("ada@example.com", "ada@example.com");
        check("=HYPERLINK(1)", "'=HYPERLINK(1)");
        check("@sum", "'@sum");
        check("\t=1", "'\u{fffd}=1");
        check("＝1", "'＝1");
    }
}

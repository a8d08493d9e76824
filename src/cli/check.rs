//! `trunkline check`: everything a sync needs, tried in order, with what to fix.

use std::sync::Arc;

use clap::Args;
use futures_util::StreamExt;

use super::output::visible;
use super::{Context, Exit, Failure, Output};
use crate::config::{self, CALL_DATA_API, Settings};
use crate::destinations::{Destination, Doubles, Outcome, Readiness};
use crate::problem::Problem;

#[derive(Args)]
pub struct Arguments {
    /// Where the session exports are: s3://bucket/prefix/ or file:///folder/.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
}

/// How one step ended.
enum Step {
    Fine(String),
    /// Works, but a person should know.
    Warn(String, String),
    Bad(Problem),
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut report = Report { rows: Vec::new(), bad: 0 };
    let settings = match context.settings(arguments.source) {
        Ok(settings) => settings,
        Err(failure) => {
            // Everything else depends on it.
            report.add("configuration", Step::Bad(failure.problem), output, context);
            report.end(output, context)?;
            output.say("1 to fix; nothing else was tried without it");
            return Ok(failure.exit);
        }
    };
    match config::find(context.global.config.as_deref(), &context.environment) {
        Some(path) => report.add("configuration", Step::Fine(path.display().to_string()), output, context),
        None => report.add("configuration", Step::Fine("no file; flags and environment".to_owned()), output, context),
    }
    let plain = settings.plain_secrets();
    if !plain.is_empty() {
        let what = format!("the file itself holds the secret of {}", plain.join(", "));
        let help = "write \"env:NAME\" or \"file:/path\" instead, and keep the secret where only this user can read it";
        report.add("secrets", Step::Warn(what, help.to_owned()), output, context);
    }
    report.add("store", store(context, &settings), output, context);
    if settings.only_uploads() && settings.source().is_err() {
        let what = "none is set, and `trunkline upload` needs none; sync and serve do";
        report.add("source", Step::Fine(what.to_owned()), output, context);
    } else {
        let (step, source_ok) = source(context, &settings).await;
        report.add("source", step, output, context);
        if source_ok {
            report.add("yesterday", yesterday(context, &settings).await, output, context);
        }
    }
    if settings.uses_salesforce() && !settings.only_uploads() {
        match context.salesforce(&settings) {
            Err(failure) => report.add("salesforce", Step::Bad(failure.problem), output, context),
            Ok(destination) => {
                for (name, step) in salesforce(&destination).await {
                    report.add(name, step, output, context);
                }
            }
        }
    }
    let mut names = settings.rest_names();
    if settings.has_call_data_api() && !names.iter().any(|name| name == CALL_DATA_API) {
        names.push(CALL_DATA_API.to_owned());
    }
    for name in names {
        match context.rest(&settings, &name) {
            Err(failure) => report.add(&name, Step::Bad(failure.problem), output, context),
            Ok(route) => {
                report.add(&name, rest(&route.destination).await, output, context);
                if name == CALL_DATA_API {
                    odd_ids(&settings).into_iter().for_each(|step| report.add(&name, step, output, context));
                }
            }
        }
    }
    report.end(output, context)?;
    Ok(if report.bad == 0 {
        output.say(match settings.only_uploads() {
            true => "ready: trunkline upload --dry-run shows what would be sent",
            false => "ready: trunkline sync --dry-run shows what a run would write",
        });
        Exit::Done
    } else {
        output.say(format!("{} to fix, from the top", report.bad));
        Exit::Person
    })
}

struct Report {
    rows: Vec<serde_json::Value>,
    bad: usize,
}

impl Report {
    /// The answer for machines, once everything was tried.
    fn end(&self, output: &mut Output, context: &Context) -> std::io::Result<()> {
        if context.global.json { output.json(&self.rows) } else { Ok(()) }
    }

    fn add(&mut self, name: &str, step: Step, output: &mut Output, context: &Context) {
        let (mark, text, code, help) = match step {
            Step::Fine(text) => ("ok", text, None, String::new()),
            Step::Warn(text, help) => ("note", text, None, help),
            Step::Bad(problem) => {
                self.bad += 1;
                ("FIX", problem.what, Some(problem.code.0), problem.help)
            }
        };
        self.rows.push(serde_json::json!({ "step": name, "result": mark, "text": text, "code": code, "help": help }));
        if context.global.json {
            return;
        }
        let code = code.map_or(String::new(), |code| format!("{code} "));
        if output.line(format!("{mark:<5}{name:<14}{code}{text}")).is_err() {
            tracing::debug!("stdout is closed");
        }
        if !help.is_empty() && output.line(format!("{:<19}help: {help}", "")).is_err() {
            tracing::debug!("stdout is closed");
        }
    }
}

fn store(context: &Context, settings: &Settings) -> Step {
    let existed = settings.store_path.exists();
    match context.open_store(&settings.store_path) {
        Ok(store) => {
            let at = store.path().display().to_string();
            drop(store);
            Step::Fine(if existed { at } else { format!("{at} (new)") })
        }
        Err(failure) => Step::Bad(failure.problem),
    }
}

async fn source(context: &Context, settings: &Settings) -> (Step, bool) {
    let source = match context.source(settings) {
        Ok(source) => source,
        Err(failure) => return (Step::Bad(failure.problem), false),
    };
    if let Err(problem) = source.probe().await {
        return (Step::Bad(problem), false);
    }
    match source.layout().await {
        Ok(layout) => match layout.problem(source.address()) {
            None => (Step::Fine(format!("{} can be listed", source.address())), true),
            Some(problem) => (Step::Bad(problem), false),
        },
        Err(problem) => (Step::Bad(problem), false),
    }
}

/// Reads one file of yesterday's, so that a layout or permission mistake shows now and not at night.
async fn yesterday(context: &Context, settings: &Settings) -> Step {
    let (source, day) = match (context.source(settings), context.date("yesterday", "yesterday", settings)) {
        (Ok(source), Ok(day)) => (source, day),
        (Err(failure), _) | (_, Err(failure)) => return Step::Bad(failure.problem),
    };
    let first = source.list(day).next().await;
    match first {
        None => Step::Warn(
            format!("no files for {day}"),
            "fine if there were no calls; else compare the address with the folders above year=…".to_owned(),
        ),
        Some(Err(problem)) => Step::Bad(problem),
        Some(Ok(raw)) => match source.fetch(&raw).await {
            Ok(_) => Step::Fine(format!("{} can be read", raw.url)),
            Err(crate::sources::FetchError::File(problem) | crate::sources::FetchError::Source(problem)) => {
                Step::Bad(problem)
            }
        },
    }
}

async fn rest(destination: &Arc<dyn Destination>) -> Step {
    let readiness = destination.prepare().await;
    let asked = match destination.usage().requests {
        0 => "nothing was sent to it",
        _ => "it answered",
    };
    let untried = format!("{asked}, and its requests for calls and people were not tried");
    match readiness {
        Ok(Readiness { key_advice: Some(advice), .. }) => {
            Step::Warn(format!("{}; {untried}", advice.what), advice.help)
        }
        Ok(Readiness { doubles: Doubles::Refused, .. }) => {
            Step::Fine(format!("set; the API itself is said to refuse doubles; {untried}"))
        }
        Ok(_) => {
            Step::Fine(format!("set; a request without an answer is looked up before it is sent again; {untried}"))
        }
        Err(Outcome::Hold { problem } | Outcome::Retry { problem, .. }) => Step::Bad(problem),
        Err(other) => Step::Bad(crate::engine::unexpected(&other)),
    }
}

/// Ids of the call-data API that have not the form of all that are known: the server may take them all the same.
fn odd_ids(settings: &Settings) -> Vec<Step> {
    let Ok(rest) = settings.rest(CALL_DATA_API) else { return Vec::new() };
    let is_odd = |id: &str| id.len() != 24 || !id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let odd =
        |name: &str| rest.section.values.get(name).filter(|id| is_odd(id)).map(|id| (name.to_owned(), id.clone()));
    let warn = |(name, id): (String, String)| {
        let what = format!("{name} is `{}`; the API's own ids are 24 hexadecimal digits", visible(&id));
        Step::Warn(what, format!("compare CRM_{} with what the API's owner gave you", name.to_uppercase()))
    };
    ["campaign_id", "voice_agent_id", "client_id"].into_iter().filter_map(odd).map(warn).collect()
}

async fn salesforce(destination: &Arc<dyn Destination>) -> Vec<(&'static str, Step)> {
    match destination.prepare().await {
        Ok(readiness) => {
            let mut steps =
                vec![("login", Step::Fine("logged in; Task and its mapped fields are accessible".to_owned()))];
            for warning in readiness.warnings {
                steps.push(("org", Step::Warn(warning, String::new())));
            }
            let fine = || Step::Fine("External ID and Unique: the org itself refuses doubles".to_owned());
            let key_field = readiness.key_advice.map_or_else(fine, |advice| Step::Warn(advice.what, advice.help));
            steps.push(("key field", key_field));
            let usage = destination.usage();
            if let (Some(used), Some(max)) = (usage.remote_used, usage.remote_max) {
                steps.push(("api usage", Step::Fine(format!("{used} of {max} requests in the last 24 hours"))));
            }
            steps
        }
        Err(Outcome::Hold { problem } | Outcome::Retry { problem, .. }) => vec![("salesforce", Step::Bad(problem))],
        Err(other) => vec![("salesforce", Step::Bad(crate::engine::unexpected(&other)))],
    }
}

//! `trunkline demo`: a small invented day into the simulated org, by the same code that a nightly run uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::output::{visible, visible_lines};
use super::{Context, Exit, Failure, Output, sync};
use crate::config::{self, Overrides};
use crate::engine::{Days, RunSummary, counted};
use crate::problem::{Problem, REMOTE_UNREACHABLE, STORE_UNUSABLE};
use crate::sim::demo;
use crate::sim::salesforce::{Credentials, Options, Org, Simulator};

/// Where a demo is kept, unless told otherwise.
const FOLDER: &str = "trunkline-demo";

#[derive(Args)]
pub struct Arguments {
    /// Where the demo keeps its sessions, its org and its ledger.
    #[arg(long, value_name = "FOLDER", default_value = FOLDER)]
    dir: PathBuf,
    /// Throw away an earlier demo first.
    #[arg(long)]
    fresh: bool,
    /// Keep the org's page open on this port until Ctrl-C (0 takes a free one).
    #[arg(long, value_name = "PORT")]
    serve: Option<u16>,
}

pub async fn run(context: &Context, arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let dir = &arguments.dir;
    let broken = |error: &dyn std::fmt::Display| {
        let what = format!("the demo's folder {} cannot be used: {error}", dir.display());
        Failure::impossible(Problem::new(STORE_UNUSABLE, what, "name a writable folder with --dir"))
    };
    if arguments.fresh && dir.join("day.txt").exists() {
        std::fs::remove_dir_all(dir).map_err(|error| broken(&error))?;
    }
    std::fs::create_dir_all(dir).map_err(|error| broken(&error))?;
    let day = day(context, dir).map_err(|error| broken(&error))?;
    let simulator = start(context, dir, arguments.serve.unwrap_or(0)).await?;
    let org = simulator.org();
    if org.records("Contact").is_empty() {
        demo::seed(&org, day);
    }

    let settings = config::settings(
        config::ConfigFile::default(),
        environment(&simulator),
        overrides(dir).map_err(|error| broken(&error))?,
    )?;
    context.stop_on_signals();
    let store = context.open_store(&settings.store_path)?;
    let run = context.sync_run(&settings, context.ends(&settings)?, Arc::clone(&store), sync::progress(output));
    let summary = run.run(Days { from: day, to: day }, None).await?;
    drop(run);

    if context.global.json {
        output.json(&serde_json::json!({ "summary": summary, "tasks": org.records("Task") }))?;
    } else {
        show(&org, output)?;
        output.line(told(&summary))?;
    }
    let page = dir.join("org.html");
    std::fs::write(&page, org.page_html()).map_err(|error| broken(&error))?;
    next_steps(dir, &page, day, output);
    if arguments.serve.is_some() {
        output.say(format!("\nthe org is open at {} until Ctrl-C", simulator.url()));
        context.stop.asked().await;
    }
    simulator.stop().await.map_err(|error| broken(&error))?;
    Ok(Exit::Done)
}

/// The day of the demo's sessions: yesterday when it was first run, the same ever after.
fn day(context: &Context, dir: &Path) -> std::io::Result<Date> {
    let note = dir.join("day.txt");
    if let Some(day) = std::fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok()) {
        return Ok(day);
    }
    let today = context.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = today.yesterday().unwrap_or(today);
    demo::write_sessions(&dir.join("sessions"), day)?;
    std::fs::write(note, day.to_string())?;
    Ok(day)
}

async fn start(context: &Context, dir: &Path, port: u16) -> Result<Simulator, Failure> {
    let failed =
        |what: String| Failure::impossible(Problem::new(REMOTE_UNREACHABLE, what, "try another --dir or --serve port"));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| failed(format!("no port for the simulated org: {error}")))?;
    let clock = Arc::clone(&context.clock);
    let options =
        Options { state_file: Some(dir.join("org.json")), now: Arc::new(move || clock.now()), ..Options::default() };
    Simulator::start(listener, options)
        .await
        .map_err(|error| failed(format!("the simulated org cannot start: {error}")))
}

/// Nothing of the user's own environment: the demo touches nothing real.
fn environment(simulator: &Simulator) -> config::Environment {
    let credentials = Credentials::default();
    BTreeMap::from([
        ("SF_LOGIN_URL".to_owned(), simulator.url()),
        ("SF_CLIENT_ID".to_owned(), credentials.client_id),
        ("SF_CLIENT_SECRET".to_owned(), credentials.client_secret),
    ])
}

fn overrides(dir: &Path) -> std::io::Result<Overrides> {
    let sessions = dir.canonicalize()?.join("sessions");
    Ok(Overrides {
        source: Some(format!("file://{}/", sessions.display())),
        store: Some(dir.join("calls.db")),
        time_zone: None,
    })
}

/// The org as sales would see it: each person with the calls on their timeline.
fn show(org: &Org, output: &mut Output) -> std::io::Result<()> {
    let accounts: BTreeMap<String, String> =
        org.records("Account").iter().map(|account| (text(account, "Id"), text(account, "Name"))).collect();
    let tasks = org.records("Task");
    for object in ["Contact", "Lead"] {
        for person in org.records(object) {
            let mut calls: Vec<_> = tasks.iter().filter(|task| text(task, "WhoId") == text(&person, "Id")).collect();
            if calls.is_empty() {
                continue;
            }
            calls.sort_by_key(|task| text(task, "Id"));
            let company =
                accounts.get(&text(&person, "AccountId")).cloned().unwrap_or_else(|| text(&person, "Company"));
            let name = format!("{} {}", text(&person, "FirstName"), text(&person, "LastName"));
            output.line(format!("{} · {} · {object}", visible(&name), visible(&company)))?;
            for task in calls {
                output.line(format!("  ┌ {}", visible(&text(task, "Subject"))))?;
                for line in visible_lines(&text(task, "Description")).lines() {
                    output.line(format!("  │ {line}").trim_end())?;
                }
            }
            output.line("")?;
        }
    }
    Ok(())
}

fn text(record: &Map<String, Value>, field: &str) -> String {
    record.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The last line. A second demo finds everything there, and says so: that is what it is run again for.
fn told(summary: &RunSummary) -> String {
    let delivery = &summary.delivery;
    let written = delivery.delivered + delivery.updated + delivery.adopted;
    let all_well = delivery.waiting == 0 && delivery.dead.is_empty() && delivery.hold.is_none();
    let again = written == 0 && all_well && summary.intake.files_known > 0;
    let before = if again { "0 records written: every call with a person was delivered before; " } else { "" };
    let files = counted(summary.intake.files, "file", "files");
    format!("{before}{} (of {files})", summary.sentence(sync::NOTHING))
}

fn next_steps(dir: &Path, page: &Path, day: Date, output: &mut Output) {
    let store = format!("--store {}", dir.join("calls.db").display());
    let again = if dir == Path::new(FOLDER) { String::new() } else { format!(" --dir {}", dir.display()) };
    let steps = [
        (format!("why demo_chris {store}"), "which of two people, and why"),
        (format!("why demo_nobody {store}"), "why a call has no Task"),
        (format!("quarantine {store}"), "the file that could not be read"),
        (format!("report {store} --to {day}"), "the day in figures"),
        (format!("demo{again}"), "again: nothing is made twice"),
        ("init".to_owned(), "your own sessions and org"),
    ];
    let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    output.say(format!("\nThe org as a page: {}\nTry next:", page.display()));
    for (command, about) in &steps {
        output.say(format!("  trunkline {command:width$}  {about}"));
    }
    output.say("(from a checkout, `cargo run --release --` stands for `trunkline`)");
}

//! `trunkline verify`: whether the ledger is whole: the file, each stored call, and what must hold between the rows.

use clap::Args;
use serde::Serialize;

use super::output::visible;
use super::progress::Steps;
use super::{Context, Exit, Failure, Output};
use crate::engine::{counted, thousands};
use crate::problem::{CONFIG_CONTRADICTION, Problem};
use crate::store::sqlite::SqliteStore;
use crate::store::{Finding, Soundness};

#[derive(Args)]
pub struct Arguments {}

#[derive(Serialize)]
struct Answer<'a> {
    store: String,
    sound: bool,
    #[serde(flatten)]
    soundness: &'a Soundness,
}

pub async fn run(context: &Context, _arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let path = context.settings(None)?.store_path;
    if !path.is_file() {
        let what = format!("there is no ledger at {}", path.display());
        let help = "name the ledger with --store";
        return Err(Failure { exit: Exit::Impossible, problem: Problem::new(CONFIG_CONTRADICTION, what, help) });
    }
    let mut steps = Steps::new(output.is_terminal());
    let file = path.clone();
    let checked = tokio::task::spawn_blocking(move || SqliteStore::verify(&file, &mut |step| steps.told(step))).await;
    let found = checked.map_err(|error| {
        Failure::impossible(Problem::new(
            crate::problem::STORE_UNUSABLE,
            format!("the check stopped: {error}"),
            "report this as a defect, with the ledger if it may leave the house",
        ))
    })??;
    if context.global.json {
        output.json(&Answer { store: path.display().to_string(), sound: found.is_sound(), soundness: &found })?;
    } else {
        tell(&found, output)?;
    }
    Ok(if found.is_sound() { Exit::Done } else { Exit::Person })
}

fn tell(found: &Soundness, output: &mut Output) -> std::io::Result<()> {
    for finding in &found.findings {
        output.line(line("damaged", finding))?;
    }
    for finding in &found.notes {
        output.line(line("note", finding))?;
    }
    for (total, named, what) in
        [(found.findings_total, found.findings.len(), "findings"), (found.notes_total, found.notes.len(), "notes")]
    {
        if total > named as u64 {
            output.line(format!("... and {} more {what}", thousands(total - named as u64)))?;
        }
    }
    for one in &found.conservation {
        output.line(format!(
            "{}: {} = {} delivered + {} skipped + {} dead + {} waiting",
            visible(&one.destination),
            counted(one.calls, "call", "calls"),
            thousands(one.delivered),
            thousands(one.skipped),
            thousands(one.dead),
            thousands(one.waiting)
        ))?;
    }
    output.line(summary(found))
}

/// One line: what, where, and what to do next.
fn line(kind: &str, finding: &Finding) -> String {
    let Finding { rule, place, what, help } = finding;
    visible(&format!("{kind} [{rule}] {place}: {what}. Next: {help}"))
}

fn summary(found: &Soundness) -> String {
    let checked = &found.checked;
    let mut text = match found.findings_total {
        0 => "sound: ".to_owned(),
        findings => format!("not sound: {} in ", counted(findings, "finding", "findings")),
    };
    text += &[
        counted(checked.calls, "call", "calls"),
        counted(checked.deliveries, "delivery", "deliveries"),
        counted(checked.files, "file", "files"),
    ]
    .join(", ");
    if checked.without_checksum > 0 {
        text +=
            &format!("; {} by content alone, from before there were checksums", thousands(checked.without_checksum));
    }
    text
}

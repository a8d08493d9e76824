//! How `why` reads: one section a stage, in the order in which a call flows, ending with where it stands.

use std::io;
use std::path::Path;

use jiff::tz::TimeZone;

use super::output::{Output, visible, visible_lines};
use super::time::shown;
use super::why::{Account, DeliveryAccount};
use crate::destinations::{Match, Verdict};
use crate::engine::counted;
use crate::model::Call;
use crate::problem;
use crate::store::{AttemptRow, DEATHS_MAX, RawRow};

pub fn account(account: &Account, zone: &TimeZone, output: &mut Output) -> io::Result<()> {
    output.line(format!("session {}", visible(&account.session_id)))?;
    output.line(format!("call    {}", account.call_key))?;
    output.line("")?;
    output.line("raw")?;
    for raw in &account.raw {
        output.line(format!("  {}", visible(&raw.url)))?;
        let digest = raw.digest.as_deref().map_or("-", |digest| &digest[..12]);
        output.line(format!(
            "    version {}, {} bytes, modified {}, read {}, sha256 {digest}…",
            visible(&raw.version),
            raw.bytes,
            shown(raw.modified_at_ms, zone),
            shown(raw.seen_at_ms, zone),
        ))?;
        for note in &raw.notes {
            output.line(format!("    note: {note}"))?;
        }
    }
    call(account, zone, output)?;
    for delivery in &account.deliveries {
        self::delivery(delivery, account.revision, zone, output)?;
    }
    output.line("")
}

fn call(account: &Account, zone: &TimeZone, output: &mut Output) -> io::Result<()> {
    let call: &Call = account.call.call();
    output.line("")?;
    output.line(format!("call, revision {} (redaction: {})", account.revision, account.call.policy()))?;
    let at = |at: Option<jiff::Timestamp>| at.map_or("unknown".to_owned(), |at| shown(at.as_millisecond(), zone));
    output.line(format!("  started {}, ended {}", at(call.started_at), at(call.ended_at)))?;
    let duration = call.duration_s.map_or("unknown".to_owned(), |seconds| format!("{seconds:.0} s"));
    output.line(format!(
        "  duration {duration}, {}, {}, {}",
        counted(call.turns.len() as u64, "turn", "turns"),
        counted(call.actions.len() as u64, "action", "actions"),
        counted(call.extra.len() as u64, "further field", "further fields"),
    ))?;
    output.line(format!("  e-mail {}", call.caller.email.as_deref().map_or("none".to_owned(), visible)))?;
    if account.revisions.len() > 1 {
        for revision in &account.revisions {
            output.line(format!(
                "  revision {} at {} from {}",
                revision.revision,
                shown(revision.at_ms, zone),
                visible(&revision.raw_url)
            ))?;
        }
    }
    Ok(())
}

/// Of a value with parts, how much is shown.
const STRUCTURE_CHARS_MAX: usize = 300;

fn delivery(delivery: &DeliveryAccount, revision: u32, zone: &TimeZone, output: &mut Output) -> io::Result<()> {
    let row = &delivery.row;
    output.line("")?;
    output.line(format!("to {}: {}", row.destination, row.state))?;
    match &delivery.decision {
        Some(decision) => matched(decision, output)?,
        None => output.line("  match    not asked yet")?,
    }
    if let Some(record) = &delivery.record {
        output.line("  record")?;
        for (name, value) in record.as_object().into_iter().flatten() {
            let text = value.as_str().map_or_else(|| short(&value.to_string()), str::to_owned);
            let text = visible_lines(&text).replace('\n', "\n      | ");
            let text = if text.contains('\n') { format!("\n      | {text}") } else { text };
            output.line(format!("    {name}: {text}"))?;
        }
    }
    for attempt in &delivery.attempts_made {
        let answer = match (&attempt.code, &attempt.what) {
            (Some(code), Some(what)) => format!(": {code} {what}"),
            _ => String::new(),
        };
        output.line(format!(
            "  request  {} {} of revision {} in a batch of {}, {} ms -> {}{answer}",
            shown(attempt.at_ms, zone),
            attempt.operation,
            attempt.revision,
            attempt.batch_rows,
            attempt.took_ms,
            attempt.outcome,
        ))?;
    }
    deaths(row.deaths, "this call", output)?;
    output.line(format!("  so       {}", conclusion(delivery, revision, zone)))?;
    if let Some(problem) = &row.problem {
        output.line(format!("  why      {} {}", problem.code, problem.what))?;
        if !problem.help.is_empty() {
            output.line(format!("  help     {}", problem.help))?;
        }
    }
    Ok(())
}

fn deaths(count: u32, what: &str, output: &mut Output) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let processes = counted(count.into(), "process died", "processes died");
    output.line(format!("  deaths   {processes} with {what} alone in hand; {DEATHS_MAX} are the most"))
}

/// A whole transcript is for `--json`.
fn short(json: &str) -> String {
    let mut short: String = json.chars().take(STRUCTURE_CHARS_MAX).collect();
    if short.len() < json.len() {
        short.push('…');
    }
    short
}

fn matched(decision: &Match, output: &mut Output) -> io::Result<()> {
    let verdict = match &decision.verdict {
        Verdict::Found(person) if person.id.is_empty() => "no person's record".to_owned(),
        Verdict::Found(person) => format!("{} {}", person.object, person.id),
        Verdict::NoEmail => "nobody: the call has no e-mail address".to_owned(),
        Verdict::NoMatch => "nobody has this e-mail address".to_owned(),
        Verdict::Ambiguous => "several people, and the rule is to skip".to_owned(),
    };
    output.line(format!("  match    {verdict} (rule {})", decision.rule))?;
    for candidate in &decision.candidates {
        let modified = candidate.modified_at.as_deref().map_or(String::new(), |at| format!(", modified {at}"));
        output.line(format!("    {} {}{modified}: {}", candidate.object, candidate.id, visible(&candidate.remark)))?;
    }
    if decision.candidates_total > decision.candidates.len() {
        output.line(format!("    ... of {} in all", decision.candidates_total))?;
    }
    Ok(())
}

/// One sentence that answers the question.
fn conclusion(delivery: &DeliveryAccount, revision: u32, zone: &TimeZone) -> String {
    let row = &delivery.row;
    let record = row.remote_id.as_deref().unwrap_or("?");
    match row.state.as_str() {
        "delivered" => {
            let when = row.delivered_at_ms.map_or(String::new(), |at| format!(" at {}", shown(at, zone)));
            if row.delivered_revision == 0 {
                return format!(
                    "record {record} was there already{when}; what it holds is not known, and it stays as it is: the \
                     destination has no update"
                );
            }
            if row.delivered_revision < row.desired_revision {
                return format!(
                    "record {record} holds revision {}{when}; newer content cannot be sent: the destination has no update",
                    row.delivered_revision
                );
            }
            format!(
                "record {record} holds revision {} of {revision}{when}: {}",
                row.delivered_revision,
                history(delivery)
            )
        }
        "skipped" => "no record, by rule".to_owned(),
        "dead" => {
            let code = row.problem.as_ref().map_or("", |problem| problem.code.as_str());
            let what = match code {
                code if code == problem::MAPPING_FAILED.0 => "no record could be made of it",
                code if code == problem::OUTCOME_UNKNOWN.0 => {
                    return "a person must look: nobody can tell whether it arrived; if it is not there, `trunkline retry`"
                        .to_owned();
                }
                code if code == problem::CALL_KILLS.0 => {
                    return "a person must look: the process died of it each time; `trunkline retry` tries once more"
                        .to_owned();
                }
                code if code.starts_with("TL07") => "every try failed",
                _ => "the record was refused",
            };
            format!("a person must look: {what}; mend the cause, then `trunkline retry`")
        }
        "held" => "waits: the destination is held for all calls until somebody mends the cause below".to_owned(),
        "unknown" => "sent, but no usable answer came back; it is looked up before anything is sent again".to_owned(),
        "leased" => "being delivered right now".to_owned(),
        _ if row.attempts > 0 => {
            let tries = counted(row.attempts.into(), "failed try", "failed tries");
            format!("due again after {tries}, from {}", shown(row.next_at_ms, zone))
        }
        _ => "due; the next `trunkline sync` or `trunkline retry` delivers it".to_owned(),
    }
}

/// How a delivered record came to be what it is.
fn history(delivery: &DeliveryAccount) -> &'static str {
    let row = &delivery.row;
    let answered = |attempt: &&AttemptRow| attempt.outcome == "delivered";
    let answers = delivery.attempts_made.iter().filter(answered);
    let of_this_revision = answers.clone().filter(|attempt| attempt.revision == row.delivered_revision).count();
    let same_again = row.delivered_revision == 1 || of_this_revision >= row.writes as usize;
    match (row.adopted, row.writes) {
        (true, 0 | 1) => "an earlier Task was taken over, not doubled",
        (true, _) => "an earlier Task was taken over and later updated",
        (false, 0) => "the record was there already with this content",
        (false, 1) if answers.count() == 0 => {
            "written once; the answer was lost, and the record was found afterwards; its content was not compared"
        }
        (false, 1) => "written once",
        (false, _) if same_again => "written, then written again on request",
        (false, _) => "written, then updated by later revisions",
    }
}

pub fn quarantined(raw: &RawRow, zone: &TimeZone, output: &mut Output) -> io::Result<()> {
    output.line(format!("file {}", visible(&raw.url)))?;
    output.line(format!(
        "  in quarantine: version {}, {} bytes, modified {}, read {}",
        visible(&raw.version),
        raw.bytes,
        shown(raw.modified_at_ms, zone),
        shown(raw.seen_at_ms, zone)
    ))?;
    deaths(raw.deaths, "this file", output)?;
    if let Some(problem) = &raw.problem {
        output.line(format!("  why      {} {}", problem.code, problem.what))?;
        output.line(format!("  help     {}", problem.help))?;
    }
    output.line("  so       no call was made of it; once it is mended: trunkline retry --quarantine")
}

pub fn unknown(session: &str, store: &Path, output: &mut Output) {
    output.say(format!("no call and no quarantined file {} in {}", visible(session), store.display()));
    output
        .say("  help: either its day was not read (trunkline sync --from DAY --to DAY; the folder's day is the day of");
    output.say("        upload, which may be the day after the call), or its file never arrived at the source,");
    output.say("        or another ledger has it (--store)");
}

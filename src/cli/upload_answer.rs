//! What an upload tells: the pairing in short, the payloads of a dry run, and how it ended.
//!
//! Invariant: stdout has data only: the totals on one line, or one payload a line.

use std::sync::Mutex;

use serde::Serialize;
use serde_json::{Value, json};

use super::output::{Output, visible};
use super::{Context, Exit, Failure, sync};
use crate::destinations::{Match, Record};
use crate::engine::{
    DeliverySummary, FAILURES_NAMED_MAX, Missed, Preview, RunSummary, Sketch, Totals, Uploaded, counted,
};
use crate::problem::Problem;
use crate::redact::RedactedCall;
use crate::sources::conversations::PairingReport;

/// Lines of each list for a person; `--json` has more.
const LISTED_MAX: usize = 20;

/// The whole answer.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    totals: Totals,
    destination: &'a str,
    failures: &'a [Missed],
    failures_unnamed: u64,
    pairing: Value,
    run: &'a RunSummary,
}

/// How many leads have a call, and why the others have none.
pub fn tell_pairing(report: &PairingReport, output: &mut Output) {
    let transcripts = counted(report.transcripts as u64, "transcript", "transcripts");
    if report.leads > 0 {
        let leads = counted(report.leads as u64, "lead", "leads");
        output.say(format!("{transcripts}; {} of {leads} paired", report.paired));
    } else {
        output.say(transcripts);
    }
    if report.unpaired_count > 0 {
        let leads = counted(report.unpaired_count as u64, "lead belongs", "leads belong");
        let several = match report.ambiguous_count {
            0 => String::new(),
            count => format!(", {count} of them because several fit"),
        };
        output.say(format!("{leads} to no call{several}:"));
        for one in report.unpaired.iter().take(LISTED_MAX) {
            output.say(format!("  {}: {}", visible(&one.name), visible(&one.reason.to_string())));
        }
        more(report.unpaired_count, output);
    }
    if report.malformed_count > 0 {
        let files = counted(report.malformed_count as u64, "file beside", "files beside");
        output.say(format!("{files} the transcripts cannot be used:"));
        for one in report.malformed.iter().take(LISTED_MAX) {
            output.say(format!("  {}: {}", one.problem.code, visible(&one.problem.what)));
        }
        more(report.malformed_count, output);
    }
}

fn more(count: usize, output: &mut Output) {
    if count > LISTED_MAX {
        output.say(format!("  ... and {} more: --json names them", count - LISTED_MAX));
    }
}

/// Ends an upload: the totals on stdout, whatever needs a person on stderr.
pub fn tell(
    context: &Context,
    destination: &str,
    uploaded: &Uploaded,
    report: &PairingReport,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let Uploaded { summary, totals, missed } = uploaded;
    tell_missed(totals, missed, output);
    let delivery = &summary.delivery;
    if delivery.not_updated > 0 {
        let calls = counted(delivery.not_updated, "call has", "calls have");
        output.say(format!("{calls} changed since the record was made; {destination} cannot change one: not updated"));
    }
    if delivery.not_compared > 0 {
        let calls = counted(delivery.not_compared, "call stands", "calls stand");
        output.say(format!(
            "{calls} at {destination} already, which cannot change one; whether with this content is not known"
        ));
    }
    for problem in summary.intake.stopped.iter().chain(&delivery.hold).chain(&delivery.gave_up) {
        output.problem(problem);
    }
    if delivery.waiting > 0 {
        output.say("what waits is delivered when the same command runs again; nothing is lost");
    }
    if summary.stopped {
        output.say("stopped as asked; the same command goes on from here");
    }
    output.say(format!("{destination}: {}", summary.sentence("nothing is due")));
    if context.global.json {
        let failures_unnamed = totals.failed - missed.len() as u64;
        let pairing = pairing(report);
        output.json(&Answer {
            totals: *totals,
            destination,
            failures: missed,
            failures_unnamed,
            pairing,
            run: summary,
        })?;
    } else {
        output.line(serde_json::to_string(totals).map_err(std::io::Error::from)?)?;
    }
    Ok(match sync::exit(summary) {
        Exit::Done if totals.failed > totals.skipped => Exit::Person,
        exit => exit,
    })
}

fn tell_missed(totals: &Totals, missed: &[Missed], output: &mut Output) {
    // Of what only waits there is no more to say than how much it is.
    for one in missed.iter().filter(|one| one.code.is_some()).take(LISTED_MAX) {
        let session = one.session_id.as_ref().map_or_else(String::new, |id| format!(", session {}", visible(id)));
        let code = one.code.as_ref().map_or_else(String::new, |code| format!("{code} "));
        output.say(format!("{}: {}{session}", one.state, visible(&one.file)));
        output.say(format!("  {code}{}", visible(&one.what)));
        output.say(format!("  help: {}", visible(&one.help)));
    }
    let waiting = missed.iter().filter(|one| one.code.is_none()).count() as u64;
    if waiting > 0 {
        let files = counted(waiting, "file is", "files are");
        output.say(format!("{files} not delivered yet: trunkline deliveries --state due"));
    }
    if totals.failed - waiting > LISTED_MAX as u64 {
        let rest = totals.failed - waiting - LISTED_MAX as u64;
        output.say(format!(
            "... and {rest} more: trunkline deliveries --state dead, trunkline quarantine; --json names up to {}",
            FAILURES_NAMED_MAX
        ));
    }
}

fn pairing(report: &PairingReport) -> Value {
    let unpaired = report.unpaired.iter().map(
        |one| json!({ "lead": one.name, "reason": one.reason.to_string(), "ambiguous": one.reason.is_ambiguous() }),
    );
    let malformed = report
        .malformed
        .iter()
        .map(|one| json!({ "file": one.url, "code": one.problem.code.0, "what": one.problem.what }));
    json!({
        "transcripts": report.transcripts, "transcripts_unreadable": report.transcripts_unreadable,
        "leads": report.leads, "paired": report.paired, "unpaired": report.unpaired_count,
        "ambiguous": report.ambiguous_count, "malformed": report.malformed_count,
        "malformed_leads": report.malformed_leads, "with_metadata": report.with_metadata,
        "with_recording": report.with_recording,
        "unpaired_leads": unpaired.collect::<Vec<_>>(), "malformed_files": malformed.collect::<Vec<_>>(),
    })
}

/// Prints what would be sent as it comes, so that memory does not grow with it.
pub struct Payloads<'a> {
    destination: &'a str,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    output: &'a mut Output,
    shown: Shown,
    failed: Option<std::io::Error>,
}

/// What a dry run came to.
#[derive(Default)]
pub struct Shown {
    sent: u64,
    not_sent: u64,
}

#[derive(Serialize)]
struct Payload<'a> {
    call: &'a str,
    destination: &'a str,
    record: Record,
}

impl<'a> Payloads<'a> {
    pub fn new(destination: &'a str, output: &'a mut Output) -> Payloads<'a> {
        Payloads { destination, state: Mutex::new(State { output, shown: Shown::default(), failed: None }) }
    }

    pub fn finish(self) -> std::io::Result<Shown> {
        let State { shown, failed, .. } = self.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        failed.map_or(Ok(shown), Err)
    }

    fn print(&self, call: &RedactedCall, record: Record) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let payload = Payload { call: call.call().key.as_str(), destination: self.destination, record };
        let line = serde_json::to_string(&payload).map_err(std::io::Error::from);
        state.shown.sent += 1;
        if let Err(error) = line.and_then(|line| state.output.line(line)) {
            state.failed.get_or_insert(error);
        }
    }

    fn tell(&self, call: &RedactedCall, problem: &Problem) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.shown.not_sent += 1;
        let session = visible(&call.call().source_id);
        state.output.say(format!("not sent: session {session}\n  {}: {}", problem.code, visible(&problem.what)));
    }
}

impl Preview for Payloads<'_> {
    fn record(&self, call: &RedactedCall, _decision: &Match, sketch: Sketch) {
        self.print(call, sketch.record);
    }

    fn person(&self, call: &RedactedCall, _decision: &Match, _object: String, record: Record) {
        self.print(call, record);
    }

    fn skipped(&self, call: &RedactedCall, _decision: &Match, problem: &Problem) {
        self.tell(call, problem);
    }

    fn refused(&self, call: &RedactedCall, problem: &Problem) {
        self.tell(call, problem);
    }
}

/// Ends a dry run; `unasked` is why the destination could not be asked, if it could not.
pub fn tell_dry_run(
    shown: &Shown,
    summary: &RunSummary,
    destination: &str,
    unasked: Option<&Problem>,
    output: &mut Output,
) {
    sync::tell_files(&summary.intake, output);
    for problem in summary.intake.stopped.iter().chain(&summary.delivery.hold).chain(&summary.delivery.gave_up) {
        output.problem(problem);
    }
    if let Some(problem) = unasked {
        output.say(format!("{destination} could not be asked: {} {}", problem.code, visible(&problem.what)));
        output.say("  so payloads have no person of it, and calls that stand there already may be among them");
    }
    let (sent, not_sent) = (counted(shown.sent, "call", "calls"), shown.not_sent);
    let refused = if not_sent > 0 { format!(", not {not_sent}") } else { String::new() };
    output.say(format!("dry run: {sent} would be sent{refused}; nothing was sent and nothing was remembered"));
}

/// What a dry run leaves due is no concern of anybody.
pub fn without_waiting(summary: RunSummary) -> RunSummary {
    RunSummary { delivery: DeliverySummary { waiting: 0, ..summary.delivery }, ..summary }
}

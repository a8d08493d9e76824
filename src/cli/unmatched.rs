//! The CSV of calls without a person, for whoever mends the CRM.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::Failure;
use super::output::{Output, visible};
use crate::destinations::Match;
use crate::engine::Days;
use crate::model::CallKey;
use crate::problem::{self, Problem, STORE_UNUSABLE};
use crate::store::{DeliveryFilter, ReadStore};

/// Without it Excel takes UTF-8 for the system's own letters.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// Longest address that a CRM's e-mail field holds.
const EMAIL_CHARS_MAX: usize = 80;

/// Opens the file for a CSV, emptying it.
pub fn open_csv(path: &Path) -> Result<csv::Writer<File>, Failure> {
    let mut file = File::create(path).map_err(|error| unwritten(path, &error))?;
    file.write_all(BYTE_ORDER_MARK.as_bytes()).map_err(|error| unwritten(path, &error))?;
    Ok(csv::Writer::from_writer(file))
}

fn unwritten(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let what = format!("{} cannot be written: {error}", path.display());
    Failure::from(Problem::new(STORE_UNUSABLE, what, "name a file in a writable folder"))
}

/// Writes the calls of `days` that have no person, for whoever mends the CRM. Answers how many.
pub async fn write_csv(store: &dyn ReadStore, days: Days, path: &Path, output: &mut Output) -> Result<usize, Failure> {
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
        let code = row.problem.as_ref().map_or("", |problem| problem.code.as_str());
        let why = reason(code, caller.email.as_deref());
        let candidates = row.match_json.as_deref().map_or(Ok(String::new()), candidate_ids);
        let candidates = candidates.unwrap_or_else(|error| {
            let id = visible(&row.source_id);
            output.say(format!("the candidates of {id} are left out: its match does not read back ({error})"));
            String::new()
        });
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

/// What is to be mended, in the words of who mends it.
fn reason(code: &str, email: Option<&str>) -> &'static str {
    let email = email.map(str::trim).unwrap_or_default();
    let usable = email.contains('@') && email.chars().count() <= EMAIL_CHARS_MAX && !email.contains(char::is_control);
    match code {
        code if code == problem::AMBIGUOUS.0 => "several people have this address",
        _ if email.is_empty() => "no address",
        _ if !usable => "address not usable",
        _ => "nobody has this address",
    }
}

fn candidate_ids(json: &str) -> Result<String, serde_json::Error> {
    let decision: Match = serde_json::from_str(json)?;
    let ids: Vec<&str> = decision.candidates.iter().map(|one| one.id.as_str()).collect();
    Ok(ids.join(" "))
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
    fn the_reason_says_what_to_mend() {
        let check = |code: problem::Code, email: Option<&str>, expected: &str| {
            assert_eq!(reason(code.0, email), expected, "{email:?}");
        };
        check(problem::NO_MATCH, Some("ada@example.com"), "nobody has this address");
        check(problem::NO_MATCH, Some("ada at example dot com"), "address not usable");
        check(problem::NO_MATCH, Some(&format!("{}@example.com", "a".repeat(80))), "address not usable");
        check(problem::NO_EMAIL, None, "no address");
        check(problem::NO_EMAIL, Some("  "), "no address");
        check(problem::AMBIGUOUS, Some("ada@example.com"), "several people have this address");
    }

    #[test]
    fn a_match_that_does_not_read_back_is_an_error() {
        assert!(candidate_ids("{\"verdict\":").is_err());
    }

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

//! A delivery as people see it: what is derived when somebody looks, so that it can never contradict the ledger.
//!
//! Invariant: looking changes nothing, neither rows nor lock files.

use std::path::Path;

use rusqlite::Connection;

use super::owners;
use crate::problem::{AMBIGUOUS, NO_EMAIL, NO_MATCH};
use crate::store::{DeliveryRow, StoreError, StoredProblem};

/// Pieces of SQL over `delivery d`.
pub(super) struct Shown {
    /// The state: due rows are told apart by why they wait, and what a process that is gone had in hand is due. While a
    /// hold lasts, its reason stands before whatever the delivery met earlier.
    pub state: String,
    /// Joins the hold of what is due as `h`; goes with `state`.
    pub hold: String,
    /// The code of why a delivered record stands on the person of an earlier address, else NULL.
    pub former: String,
}

impl Shown {
    pub fn now(connection: &Connection, path: &Path) -> Result<Shown, StoreError> {
        let owners: Vec<String> = connection
            .prepare_cached("SELECT DISTINCT owner FROM delivery WHERE state = 'leased' AND owner IS NOT NULL")?
            .query_map((), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let gone: Vec<String> = owners
            .iter()
            .filter(|owner| owners::is_gone(path, owner))
            .map(|owner| format!("'{}'", owner.replace('\'', "''")))
            .collect();
        let due = match gone.is_empty() {
            true => "d.state = 'due'".to_owned(),
            false => format!("(d.state = 'due' OR (d.state = 'leased' AND d.owner IN ({})))", gone.join(", ")),
        };
        let state = format!(
            "CASE WHEN NOT {due} THEN d.state
               WHEN h.destination IS NOT NULL THEN 'held'
               WHEN d.intent_at IS NOT NULL THEN 'unknown'
               ELSE 'due' END"
        );
        let hold = format!("LEFT JOIN hold h ON h.destination = d.destination AND {due}");
        // Only a later revision can bring another address.
        let former = format!(
            "CASE WHEN d.state = 'delivered' AND d.desired_revision > 1 THEN
               CASE d.match_verdict WHEN 'no_match' THEN '{NO_MATCH}' WHEN 'ambiguous' THEN '{AMBIGUOUS}' WHEN 'no_email' THEN '{NO_EMAIL}' END
             END"
        );
        Ok(Shown { state, hold, former })
    }
}

/// The states of the ledger that are shown as one of `states`; without any, all.
pub(super) fn of_ledger(states: &[String]) -> Vec<&'static str> {
    let shows = |state: &str| {
        match state {
            "due" => vec!["due", "held", "unknown"],
            "leased" => vec!["leased", "due", "held", "unknown"],
            other => vec![other],
        }
        .iter()
        .any(|shown| states.is_empty() || states.iter().any(|asked| asked == shown))
    };
    ["due", "leased", "delivered", "skipped", "dead"].into_iter().filter(|state| shows(state)).collect()
}

/// Says why a delivered record stands on the person of an earlier address, where that is so.
pub(super) fn explain_former(row: &mut DeliveryRow) {
    let Some(problem) = row.problem.as_mut().filter(|_| row.state == "delivered") else { return };
    let revision = row.desired_revision;
    let who = match problem.code.as_str() {
        code if code == AMBIGUOUS.0 => format!("several people have the address of revision {revision}"),
        code if code == NO_EMAIL.0 => format!("revision {revision} has no e-mail address"),
        _ => format!("nobody has the e-mail address of revision {revision}"),
    };
    let person = row.person_object.as_deref().zip(row.person_id.as_deref());
    let person = person.map_or_else(|| "its person".to_owned(), |(object, id)| format!("{object} {id}"));
    *problem = StoredProblem {
        code: problem.code.clone(),
        what: format!("{who}; the record stays on {person}, where it was"),
        help: "once one Contact or Lead has the address, `trunkline retry SESSION --recreate` moves the record"
            .to_owned(),
    };
}

//! What became of a claimed delivery, booked: the only way on which a lease ends in order.
//!
//! Invariant: who lost the lease changes nothing.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::StoreError;
use crate::problem::OUTCOME_UNKNOWN;
use crate::proof::{self, Protection};
use crate::store::checksum::of_target;
use crate::store::{Change, IntentFate, Matching, Settlement, StoredProblem};

/// What is set, and what is bound from the fifth parameter on; the fourth is now.
type Set = (String, Vec<Value>);

/// Which row: one under a lease of the owner `?2` with the fence `?3`, unless a test takes fencing away.
pub(super) fn mine() -> &'static str {
    match proof::is_off(Protection::Fencing) {
        true => "WHERE id = ?1",
        false => "WHERE id = ?1 AND owner = ?2 AND fence = ?3 AND state = 'leased'",
    }
}

/// Answers how many rows were changed: none if the lease was lost.
pub(super) fn settle(
    connection: &Connection,
    me: &str,
    settlement: &Settlement,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let lease = [Value::from(settlement.delivery_id), Value::from(me.to_owned()), Value::from(settlement.fence)];
    let changed = apply(connection, settlement, &lease, now_ms)?;
    if changed == 0 {
        tracing::warn!(
            delivery = settlement.delivery_id,
            "the lease was lost; what happened is not recorded by this process"
        );
        return Ok(0);
    }
    if let Some(attempt) = &settlement.attempt {
        connection
            .prepare_cached(
                "INSERT INTO attempt (delivery_id, at, took_ms, operation, batch_rows, revision, outcome, code, what)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                settlement.delivery_id,
                attempt.at_ms,
                attempt.took_ms,
                attempt.operation,
                attempt.batch_rows as i64,
                attempt.revision.0,
                attempt.outcome,
                attempt.problem.as_ref().map(|problem| &problem.code),
                attempt.problem.as_ref().map(|problem| &problem.what),
            ])?;
    }
    Ok(changed)
}

/// A record that stands on somebody stays there if the new match finds nobody.
const NO_MATCH_KEPT: &str =
    ", matched_by = NULL, person_object = CASE WHEN remote_id IS NOT NULL THEN person_object END,
    person_id = CASE WHEN remote_id IS NOT NULL THEN person_id END,
    person_sum = CASE WHEN remote_id IS NOT NULL THEN person_sum END";

fn kept_intent(fate: IntentFate) -> &'static str {
    match fate {
        IntentFate::Clear => ", intent_at = NULL, intent_digest = NULL, intent_settled = 0",
        IntentFate::Keep { settled: true } => ", intent_settled = 1",
        // It was sent after it was intended: it settles from when its answer was given up.
        IntentFate::Keep { settled: false } => ", intent_at = ?4",
        IntentFate::LeaveToPerson => ", intent_settled = 2",
        IntentFate::Leave => "",
    }
}

fn apply(
    connection: &Connection,
    settlement: &Settlement,
    lease: &[Value; 3],
    now_ms: i64,
) -> Result<usize, StoreError> {
    let Settlement { delivery_id, change, .. } = settlement;
    let sum = |texts: &[&str]| Value::from(of_target(*delivery_id, texts));
    let (set, values) = match change {
        Change::Delivered { remote_id, revision, digest, adopted, written, matching } => {
            let (bound, values) = delivered(matching.as_deref(), sum);
            let own = [
                text(remote_id),
                Value::from(revision.0),
                Value::from(digest.0.to_vec()),
                Value::from(*adopted),
                Value::from(*written),
                sum(&[remote_id]),
            ];
            (bound, own.into_iter().chain(values).collect())
        }
        Change::Kept { remote_id, revision, matching } => kept(remote_id, revision.0, matching, sum),
        Change::Skipped { problem, match_json } => (
            "since = ?4, state = CASE WHEN desired_revision > leased_revision THEN 'due' ELSE 'skipped' END, next_at = 0,
             deaths = 0, company = 0, code = ?5, what = ?6, help = ?7, match_json = ?8"
                .to_owned(),
            vec![text(&problem.code), text(&problem.what), text(&problem.help), text(match_json)],
        ),
        Change::Dead { problem, intent } => dead(problem, *intent),
        // What was sent and settled by a living process is not what kills one.
        Change::Again { next_at_ms, problem, counts, isolate, rematch, remote_id, intent } => {
            let sql = format!(
                "state = 'due', next_at = ?5, attempts = attempts + ?6, isolation = min(isolation + ?7, 2),
                 deaths = CASE WHEN ?6 THEN 0 ELSE deaths END, company = CASE WHEN ?6 THEN 0 ELSE company END,
                 rematched = max(rematched, ?8), remote_id = coalesce(?9, remote_id),
                 remote_sum = coalesce(?13, remote_sum), code = ?10, what = ?11, help = ?12 {}{}",
                kept_intent(*intent),
                if *rematch { NO_MATCH_KEPT } else { "" },
            );
            let part = |pick: fn(&StoredProblem) -> &String| Value::from(problem.as_ref().map(|problem| pick(problem).clone()));
            let values = vec![
                Value::from(*next_at_ms),
                Value::from(*counts),
                Value::from(*isolate),
                Value::from(*rematch),
                Value::from(remote_id.clone()),
                part(|problem| &problem.code),
                part(|problem| &problem.what),
                part(|problem| &problem.help),
                remote_id.as_ref().map_or(Value::Null, |id| sum(&[id])),
            ];
            (sql, values)
        }
    };
    let sql = format!("UPDATE delivery SET owner = NULL, lease_until = NULL, updated_at = ?4, {set} {}", mine());
    let mut statement = connection.prepare_cached(&sql)?;
    let all = lease.iter().cloned().chain([Value::from(now_ms)]).chain(values);
    Ok(statement.execute(params_from_iter(all))?)
}

fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}

/// What follows its own five values and the checksum of the record's id is bound to the match, where there is a new one.
fn delivered(matching: Option<&Matching>, sum: impl Fn(&[&str]) -> Value) -> Set {
    let set = "since = ?4, remote_id = ?5, delivered_revision = ?6, delivered_digest = ?7, adopted = max(adopted, ?8),
         writes = writes + ?9, delivered_at = CASE WHEN ?9 THEN ?4 ELSE coalesce(delivered_at, ?4) END,
         state = CASE WHEN desired_revision > ?6 THEN 'due' ELSE 'delivered' END, next_at = 0,
         attempts = 0, isolation = 0, rematched = 0, deaths = 0, company = 0, code = NULL, what = NULL, help = NULL,
         intent_at = NULL, intent_digest = NULL, intent_settled = 0, remote_sum = ?10,
         person_object = coalesce(?11, person_object), person_id = coalesce(?12, person_id),
         delivered_person = coalesce(?12, person_id), matched_by = coalesce(?13, matched_by),
         match_json = coalesce(?14, match_json), person_sum = coalesce(?15, person_sum)";
    let part = |pick: fn(&Matching) -> Value| matching.map_or(Value::Null, pick);
    let values = vec![
        part(|matching| text(&matching.person.0)),
        part(|matching| text(&matching.person.1)),
        part(|matching| Value::from(matching.matched_by.map(Vec::from))),
        part(|matching| text(&matching.match_json)),
        matching.map_or(Value::Null, |matching| sum(&[&matching.person.0, &matching.person.1])),
    ];
    (set.to_owned(), values)
}

fn kept(remote_id: &str, revision: u32, matching: &Matching, sum: impl Fn(&[&str]) -> Value) -> Set {
    (
        "since = ?4, remote_id = ?5, remote_sum = ?11, delivered_at = coalesce(delivered_at, ?4),
         state = CASE WHEN desired_revision > ?6 THEN 'due' ELSE 'delivered' END, next_at = 0,
         attempts = 0, isolation = 0, rematched = 0, deaths = 0, company = 0, code = NULL, what = NULL, help = NULL,
         intent_at = NULL, intent_digest = NULL, intent_settled = 0, person_object = ?7, person_id = ?8,
         matched_by = ?9, match_json = ?10, person_sum = ?12"
            .to_owned(),
        vec![
            text(remote_id),
            Value::from(revision),
            text(&matching.person.0),
            text(&matching.person.1),
            Value::from(matching.matched_by.map(Vec::from)),
            text(&matching.match_json),
            sum(&[remote_id]),
            sum(&[&matching.person.0, &matching.person.1]),
        ],
    )
}

fn dead(problem: &StoredProblem, intent: IntentFate) -> Set {
    (
        format!(
            "state = CASE WHEN desired_revision > leased_revision AND NOT ?8 THEN 'due' ELSE 'dead' END, next_at = 0,
             since = ?4, deaths = 0, company = 0, code = ?5, what = ?6, help = ?7, attempts = attempts + 1 {}",
            kept_intent(intent)
        ),
        vec![
            text(&problem.code),
            text(&problem.what),
            text(&problem.help),
            Value::from(
                problem.code == OUTCOME_UNKNOWN.0 && matches!(intent, IntentFate::Clear | IntentFate::LeaveToPerson),
            ),
        ],
    )
}

//! Deliveries that are made due again: which, and what is forgotten of them.
//!
//! Invariant: what was sent without a known outcome stays on record: it may be the record that is asked for.

use rusqlite::types::Value;

use crate::store::Rearm;

/// Finds the ids, and what is bound to it.
pub(super) fn find(destination: &str, which: &Rearm) -> (String, Vec<Value>) {
    let mut values = vec![Value::from(destination.to_owned())];
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut conditions = vec![format!("state IN ({})", states(which))];
    let mut among = |column: &str, texts: &mut dyn Iterator<Item = String>, bind: &mut dyn FnMut(Value) -> String| {
        let places: Vec<String> = texts.map(|text| bind(Value::from(text))).collect();
        conditions.push(format!("{column} IN ({})", places.join(", ")));
    };
    if !which.codes.is_empty() {
        among("code", &mut which.codes.iter().cloned(), &mut bind);
    }
    if let Some(keys) = &which.keys {
        among("call_key", &mut keys.iter().map(|key| key.as_str().to_owned()), &mut bind);
    }
    for (table, days) in [("call", which.days), ("raw", which.folder_days)] {
        if let Some((from, to)) = days {
            let (from, to) = (bind(Value::from(from.to_string())), bind(Value::from(to.to_string())));
            conditions.push(format!("call_key IN (SELECT call_key FROM {table} WHERE day BETWEEN {from} AND {to})"));
        }
    }
    (format!("SELECT id FROM delivery WHERE destination = ?1 AND {}", conditions.join(" AND ")), values)
}

/// Makes the delivery `?2` due at `?1`, by the replay `?3`, unless it was taken to another state since it was found.
pub(super) fn statement(which: &Rearm) -> String {
    let recreate = match which.recreate {
        true => ", remote_id = NULL, remote_sum = NULL, delivered_digest = NULL, delivered_revision = 0",
        false => "",
    };
    format!(
        "UPDATE delivery SET state = 'due', next_at = 0, attempts = 0, isolation = 0, rematched = 0, deaths = 0,
           updated_at = ?1, code = NULL, what = NULL, help = NULL,
           person_object = CASE WHEN remote_id IS NULL THEN NULL ELSE person_object END,
           person_id = CASE WHEN remote_id IS NULL THEN NULL ELSE person_id END,
           person_sum = CASE WHEN remote_id IS NULL THEN NULL ELSE person_sum END,
           since = CASE WHEN state = 'due' THEN since ELSE ?1 END,
           replay = CASE WHEN state = 'due' THEN replay ELSE ?3 END {recreate}
         WHERE id = ?2 AND state IN ({})",
        states(which)
    )
}

fn states(which: &Rearm) -> String {
    let quoted: Vec<String> = which.states.iter().map(|state| format!("'{state}'")).collect();
    quoted.join(", ")
}

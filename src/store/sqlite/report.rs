//! The figures of each day.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use rusqlite::{Connection, Row, params_from_iter};

use super::shown::Shown;
use crate::problem::NO_EMAIL;
use crate::store::{DayFigures, StoreError};

/// The rule of a match at a destination that wants no person: no part of a rate.
const NOBODY_ASKED: &str = "no-person";

/// Every state, with the index that holds it.
const STATES: [(&str, &str); 3] = [
    ("IN ('delivered', 'skipped', 'dead')", "delivery_reported"),
    ("= 'due'", "delivery_due"),
    ("= 'leased'", "delivery_leased"),
];

/// By day; what has no date is under `None`.
type Days = BTreeMap<Option<String>, DayFigures>;
/// For how many calls of a day a person was asked for, and for how many one was found.
type Matched = BTreeMap<Option<String>, (u64, u64)>;

/// The days from `from` to `to`, newest last, and behind them the calls of the whole ledger that have no date.
pub(super) fn figures(
    connection: &Connection,
    path: &Path,
    from: Date,
    to: Date,
) -> Result<Vec<DayFigures>, StoreError> {
    let mut days = Days::from([(None, DayFigures::default())]);
    let mut day = from;
    while day <= to {
        let name = Some(day.to_string());
        days.insert(name.clone(), DayFigures { day: name, ..DayFigures::default() });
        day = day.tomorrow().map_err(|error| StoreError::Unusable(error.to_string()))?;
    }
    let range = (from.to_string(), to.to_string());
    count_calls(connection, path, &range, &mut days)?;
    let mut statement = connection.prepare_cached(
        "SELECT day, count(*) FROM raw INDEXED BY raw_quarantined WHERE state = 'quarantined' AND day BETWEEN ?1 AND ?2 GROUP BY 1",
    )?;
    let mut rows = statement.query((&range.0, &range.1))?;
    while let Some(row) = rows.next()? {
        if let Some(figures) = days.get_mut(&row.get::<_, Option<String>>(0)?) {
            figures.quarantined = row.get(1)?;
        }
    }
    let undated = days.remove(&None).filter(|figures| figures.calls > 0);
    Ok(days.into_values().chain(undated).collect())
}

fn count_calls(
    connection: &Connection,
    path: &Path,
    range: &(String, String),
    days: &mut Days,
) -> Result<(), StoreError> {
    let Shown { former, .. } = Shown::now(connection, path)?;
    let mut matched = Matched::new();
    // Apart, so that each walks its own index, in the order of the groups where it can.
    let ranges = [("BETWEEN ?1 AND ?2", vec![&range.0, &range.1]), ("IS NULL", Vec::new())];
    for ((which, values), (states, index)) in ranges.iter().flat_map(|range| STATES.map(|states| (range, states))) {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT d.day, d.state, d.code, count(*), sum(d.writes > 1), sum(d.adopted),
               sum(d.person_id IS NOT NULL AND d.person_id <> ''), sum(({former}) IS NOT NULL),
               sum(d.match_rule IS NULL OR d.match_rule NOT IN ('', '{NOBODY_ASKED}'))
             FROM delivery d INDEXED BY {index} WHERE d.day {which} AND d.state {states} GROUP BY d.day, d.state, d.code"
        ))?;
        let mut rows = statement.query(params_from_iter(values.iter()))?;
        while let Some(row) = rows.next()? {
            add(row, days, &mut matched)?;
        }
    }
    for (day, (asked, found)) in matched {
        if let Some(figures) = days.get_mut(&day).filter(|_| asked > 0) {
            figures.match_rate = Some(found as f64 / asked as f64);
        }
    }
    Ok(())
}

/// What one state and code of a day is to its figures.
fn add(row: &Row<'_>, days: &mut Days, matched: &mut Matched) -> Result<(), StoreError> {
    let (day, state, code): (Option<String>, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (count, updated, adopted, with_person): (u64, u64, u64, u64) =
        (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
    let Some(figures) = days.get_mut(&day) else { return Ok(()) };
    figures.calls += count;
    figures.former_person += row.get::<_, u64>(7)?;
    let code = code.unwrap_or_default();
    let asked = matched.entry(day).or_default();
    if state != "skipped" || code != NO_EMAIL.0 {
        asked.0 += row.get::<_, u64>(8)?;
        asked.1 += with_person;
    }
    match state.as_str() {
        "delivered" => {
            figures.delivered += count;
            figures.updated += updated;
            figures.adopted += adopted;
        }
        "skipped" => *figures.skipped.entry(code).or_default() += count,
        "dead" => *figures.dead.entry(code).or_default() += count,
        _ => figures.waiting += count,
    }
    Ok(())
}

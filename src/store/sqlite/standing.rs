//! How files stand, and their calls at one destination; and calls that are to go to one more.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::read::problem;
use super::shown::Shown;
use crate::model::CallKey;
use crate::store::{Standing, StoreError};

pub(super) fn of_files(
    connection: &Connection,
    path: &Path,
    source: &str,
    destination: &str,
    urls: &[String],
) -> Result<Vec<Standing>, StoreError> {
    let Shown { state, hold, .. } = Shown::now(connection, path)?;
    let sql = format!(
        "SELECT r.state, c.call_key, c.source_id, CASE WHEN d.id IS NOT NULL THEN {state} END,
           coalesce(r.code, h.code, d.code), coalesce(r.what, h.what, d.what), coalesce(r.help, h.help, d.help)
         FROM raw r LEFT JOIN call c ON c.call_key = r.call_key AND r.state = 'converted'
           LEFT JOIN delivery d ON d.call_key = c.call_key AND d.destination = ?1 {hold}
         WHERE r.source = ?2 AND r.url = ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut standings = Vec::with_capacity(urls.len());
    for url in urls {
        let found = statement.query_row(params![destination, source, url], |row| {
            Ok(Standing {
                file: row.get(0)?,
                call_key: row.get::<_, Option<String>>(1)?.map(CallKey::from_stored),
                source_id: row.get(2)?,
                delivery: row.get(3)?,
                problem: problem(row, 4)?,
            })
        });
        standings.push(found.optional()?.unwrap_or_default());
    }
    Ok(standings)
}

pub(super) fn enlist(
    connection: &Connection,
    destination: &str,
    keys: &[CallKey],
    now_ms: i64,
) -> Result<usize, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO delivery (call_key, destination, state, order_at, desired_revision, updated_at, since, day)
         SELECT call_key, ?2, 'due', coalesce(started_at, ?3), revision, ?3, ?3, day FROM call WHERE call_key = ?1
         ON CONFLICT (call_key, destination) DO NOTHING",
    )?;
    let mut enlisted = 0;
    for key in keys {
        enlisted += statement.execute(params![key.as_str(), destination, now_ms])?;
    }
    Ok(enlisted)
}

//! The calls of one place, as a piece of SQL.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::store::{Place, Scope};

/// A place with more files than this is large: its calls are most of what is due.
const SMALL_FILES_MAX: u64 = 5000;

/// A further condition on `delivery d` and what is bound to it, from the parameter `first` on. Makes a list of the place's
/// calls each time.
pub(super) fn condition(scope: Option<&Scope>, first: usize) -> (String, Vec<Value>) {
    let Some(scope) = scope else { return (String::new(), Vec::new()) };
    let (files, values) = files(scope, first);
    (format!(" AND d.call_key IN (SELECT r.call_key FROM raw r WHERE {files} AND r.call_key IS NOT NULL)"), values)
}

/// The same, asked of each delivery that is looked at: for who walks through what is due and takes the first of a large
/// place.
pub(super) fn condition_of_each(scope: Option<&Scope>, first: usize) -> (String, Vec<Value>) {
    let Some(scope) = scope else { return (String::new(), Vec::new()) };
    let (files, values) = files(scope, first);
    let file = format!("SELECT 1 FROM raw r INDEXED BY raw_by_call WHERE r.call_key = d.call_key AND {files}");
    (format!(" AND EXISTS ({file})"), values)
}

/// Looks no further than it must.
pub(super) fn is_large(connection: &Connection, scope: &Scope) -> rusqlite::Result<bool> {
    let (files, values) = files(scope, 1);
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM raw r WHERE {files} LIMIT {SMALL_FILES_MAX} + 1)");
    let count: u64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(count > SMALL_FILES_MAX)
}

/// Which `raw r` are of the place.
fn files(Scope { source, place }: &Scope, first: usize) -> (String, Vec<Value>) {
    let text = |text: &str| Value::from(text.to_owned());
    let (from, until) = (first + 1, first + 2);
    let (at, values) = match place {
        Place::File(address) => (format!("r.url = ?{from}"), vec![text(source), text(address)]),
        Place::Folder { address, subfolders } => {
            // What begins with the address stands between it and the same with the next character at its end.
            let end = format!("{}0", address.trim_end_matches('/'));
            let directly = match subfolders {
                true => String::new(),
                false => format!(" AND instr(substr(r.url, length(?{from}) + 1), '/') = 0"),
            };
            (format!("r.url >= ?{from} AND r.url < ?{until}{directly}"), vec![text(source), text(address), text(&end)])
        }
    };
    (format!("r.source = ?{first} AND {at}"), values)
}

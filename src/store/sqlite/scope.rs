//! The calls of one place, as a piece of SQL.

use rusqlite::types::Value;

use crate::store::{Place, Scope};

/// A further condition on `delivery d` and what is bound to it, from the parameter `first` on.
pub(super) fn condition(scope: Option<&Scope>, first: usize) -> (String, Vec<Value>) {
    let Some(Scope { source, place }) = scope else { return (String::new(), Vec::new()) };
    let text = |text: &str| Value::from(text.to_owned());
    let (from, until) = (first + 1, first + 2);
    let (at, values) = match place {
        Place::File(address) => (format!("r.url = ?{from}"), vec![text(source), text(address)]),
        Place::Folder { address, subfolders } => {
            // What begins with the address stands between it and the same with the next character at its end.
            let end = format!("{}0", address.trim_end_matches('/'));
            let directly = if *subfolders { "" } else { " AND instr(substr(r.url, length(?FROM) + 1), '/') = 0" };
            let directly = directly.replace("FROM", &from.to_string());
            (format!("r.url >= ?{from} AND r.url < ?{until}{directly}"), vec![text(source), text(address), text(&end)])
        }
    };
    let calls = format!("SELECT r.call_key FROM raw r WHERE r.source = ?{first} AND {at} AND r.call_key IS NOT NULL");
    (format!(" AND d.call_key IN ({calls})"), values)
}

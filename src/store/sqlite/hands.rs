//! What processes have in hand, and what was in hand when one of them died.
//!
//! Invariants: nothing is read from a source before it is noted; a death counts only for what was alone in hand, so that
//! neither a power cut nor a kill from outside ever condemns what merely stood beside the guilty one.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::RawRef;
use crate::problem::CALL_KILLS;
use crate::store::{DEATHS_MAX, GROUP_DIVISOR, StoreError, Suspicion};

pub(super) fn note(connection: &Connection, owner: &str, source: &str, raws: &[RawRef]) -> Result<(), StoreError> {
    let mut insert = connection
        .prepare_cached("INSERT OR REPLACE INTO file_in_hand (owner, source, url, version) VALUES (?1, ?2, ?3, ?4)")?;
    for raw in raws {
        insert.execute(params![owner, source, raw.url, raw.version])?;
    }
    Ok(())
}

/// Nothing more is done with these files.
pub(super) fn put_down<'a>(
    connection: &Connection,
    owner: &str,
    source: &str,
    urls: impl Iterator<Item = &'a str>,
) -> Result<(), StoreError> {
    let mut delete =
        connection.prepare_cached("DELETE FROM file_in_hand WHERE owner = ?1 AND source = ?2 AND url = ?3")?;
    for url in urls {
        delete.execute(params![owner, source, url])?;
    }
    Ok(())
}

/// A process read this file and lives.
pub(super) fn survived(connection: &Connection, source: &str, url: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM file_suspect WHERE source = ?1 AND url = ?2")?
        .execute(params![source, url])?;
    Ok(())
}

pub(super) fn suspicions(
    connection: &Connection,
    source: &str,
    files: &[(String, String)],
) -> Result<Vec<Suspicion>, StoreError> {
    let mut find = connection
        .prepare_cached("SELECT company, deaths FROM file_suspect WHERE source = ?1 AND url = ?2 AND version = ?3")?;
    let mut suspicions = Vec::with_capacity(files.len());
    for (url, version) in files {
        let found = find.query_row(params![source, url, version], |row| {
            Ok(Suspicion { company: row.get(0)?, deaths: row.get(1)? })
        });
        suspicions.push(found.optional()?.unwrap_or_default());
    }
    Ok(suspicions)
}

/// A person has looked: it is tried again, still alone.
pub(super) fn forget_deaths(connection: &Connection, url: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE file_suspect SET deaths = 0 WHERE url = ?1")?.execute([url])?;
    Ok(())
}

/// What the process `owner` had in hand when it died is suspect; what was alone in hand has one more death. Of a call
/// and the one file that was read on its behalf, it is the file.
pub(super) fn mourn(connection: &Connection, owner: &str, now_ms: i64) -> Result<(), StoreError> {
    let count = |sql: &str| connection.query_row(sql, [owner], |row| row.get::<_, u64>(0));
    let files = count("SELECT count(*) FROM file_in_hand WHERE owner = ?1")?;
    let calls = count("SELECT count(*) FROM delivery WHERE owner = ?1 AND state = 'leased'")?;
    if files + calls == 0 {
        return Ok(());
    }
    tracing::warn!(owner, files, calls, "a process died with this in hand; it is tried again in smaller groups");
    let group = (files + calls) / u64::from(GROUP_DIVISOR);
    connection.execute(
        "INSERT INTO file_suspect (source, url, version, company, deaths)
           SELECT source, url, version, max(?2, 1), ?3 FROM file_in_hand WHERE owner = ?1
         ON CONFLICT (source, url) DO UPDATE SET
           company = CASE WHEN version = excluded.version THEN min(company, excluded.company) ELSE excluded.company END,
           deaths = CASE WHEN version = excluded.version THEN min(deaths + excluded.deaths, ?4) ELSE excluded.deaths END,
           version = excluded.version",
        params![owner, group, files == 1 && calls <= 1, DEATHS_MAX],
    )?;
    connection.execute("DELETE FROM file_in_hand WHERE owner = ?1", [owner])?;
    connection.execute(
        "UPDATE delivery SET deaths = deaths + ?3,
           company = max(1, CASE company WHEN 0 THEN ?2 ELSE min(company, ?2) END)
         WHERE owner = ?1 AND state = 'leased'",
        params![owner, group, files == 0 && calls == 1],
    )?;
    // A newer revision came meanwhile: it may be a harmless one.
    connection.execute(
        "UPDATE delivery SET deaths = 0
         WHERE owner = ?1 AND state = 'leased' AND deaths >= ?2 AND desired_revision > leased_revision",
        params![owner, DEATHS_MAX],
    )?;
    // What was sent without a known outcome stays on record: a retry looks before it sends. It ended before now, so that a
    // run that begins now tells it as a dead letter of before.
    connection.execute(
        "UPDATE delivery SET state = 'dead', owner = NULL, lease_until = NULL, fence = fence + 1, next_at = 0,
           attempts = attempts + 1, updated_at = ?3 - 1, since = ?3 - 1, code = ?4, what = ?5, help = ?6,
           intent_at = CASE WHEN intent_at IS NULL THEN NULL ELSE ?3 END
         WHERE owner = ?1 AND state = 'leased' AND deaths >= ?2",
        params![
            owner,
            DEATHS_MAX,
            now_ms,
            CALL_KILLS.0,
            format!("{DEATHS_MAX} processes died while they delivered this call and nothing else"),
            "look at the call and report it as a defect; `trunkline retry SESSION` tries again and forgets the deaths",
        ],
    )?;
    Ok(())
}

//! Raw files in, calls and due deliveries out, in one transaction.
//!
//! Invariant: whatever the order in which the evidence of a call arrives, and however often, the call ends up the same;
//! a revision is counted only when the content changes.

use std::io::Write;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, params};

use super::body as stored;
use super::delivery::waits_for_a_person;
use super::merge::{Body, Known, Merged, encode_origins, merge};
use super::{SqliteStore, hands};
use crate::model::{CallKey, Origin, Origins, RawRef};
use crate::problem::RAW_KILLS;
use crate::store::{
    IntakeCall, IntakeFate, IntakeItem, IntakeResult, IntakeStore, Seen, StoreError, StoredProblem, Suspicion,
    UnseenFile,
};

#[async_trait]
impl IntakeStore for SqliteStore {
    async fn known(&self, source: &str, raws: &[RawRef]) -> Result<Vec<Seen>, StoreError> {
        let source = source.to_owned();
        let asked: Vec<(String, String)> = raws.iter().map(|raw| (raw.url.clone(), raw.version.clone())).collect();
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT version, state, reread FROM raw WHERE source = ?1 AND url = ?2")?;
            asked
                .iter()
                .map(|(url, version)| {
                    let row: Option<(String, String, bool)> = statement
                        .query_row((&source, url), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                        .optional()?;
                    let state = row.filter(|(found, _, again)| found == version && !again).map(|(_, state, _)| state);
                    Ok(match state.as_deref() {
                        Some("converted") => Seen::Converted,
                        Some("quarantined") => Seen::Quarantined,
                        _ => Seen::Never,
                    })
                })
                .collect()
        })
        .await
    }

    async fn suspicions(&self, source: &str, raws: &[RawRef]) -> Result<Vec<Suspicion>, StoreError> {
        let source = source.to_owned();
        let asked: Vec<(String, String)> = raws.iter().map(|raw| (raw.url.clone(), raw.version.clone())).collect();
        self.read(move |connection| hands::suspicions(connection, &source, &asked)).await
    }

    async fn take_in_hand(&self, source: &str, raws: &[RawRef]) -> Result<(), StoreError> {
        let (owner, source, raws) = (self.owner_id().to_owned(), source.to_owned(), raws.to_vec());
        self.write("take in hand", move |connection| hands::note(connection, &owner, &source, &raws)).await
    }

    async fn put_down(&self, source: &str, raws: &[RawRef]) -> Result<(), StoreError> {
        let (owner, source, raws) = (self.owner_id().to_owned(), source.to_owned(), raws.to_vec());
        let put_down = move |connection: &Connection| {
            hands::put_down(connection, &owner, &source, raws.iter().map(|raw| raw.url.as_str()))
        };
        self.write("take in hand", put_down).await
    }

    async fn ingest(
        &self,
        source: &str,
        destinations: &[String],
        zone: &TimeZone,
        items: Vec<IntakeItem>,
        now_ms: i64,
    ) -> Result<Vec<IntakeResult>, StoreError> {
        let (source, destinations, zone) = (source.to_owned(), destinations.to_vec(), zone.clone());
        let owner = self.owner_id().to_owned();
        self.write("ingest", move |connection| {
            hands::put_down(connection, &owner, &source, items.iter().map(|item| item.raw.url.as_str()))?;
            let context = Context { connection, source: &source, destinations: &destinations, zone: &zone, now_ms };
            items.iter().map(|item| context.take(item)).collect()
        })
        .await
    }

    async fn examine(&self, keys: &[CallKey]) -> Result<usize, StoreError> {
        let keys = keys.to_vec();
        self.write("examine", move |connection| stored::examine(connection, &keys)).await
    }

    async fn lost(&self, source: &str, file: &UnseenFile) -> Result<(), StoreError> {
        let (source, url, key) = (source.to_owned(), file.url.clone(), file.key.clone());
        self.write("ingest", move |connection| stored::lost(connection, &source, &url, key.as_str())).await
    }

    async fn to_reread(&self, source: &str) -> Result<Vec<UnseenFile>, StoreError> {
        let source = source.to_owned();
        self.read(move |connection| stored::to_reread(connection, &source)).await
    }
}

struct Context<'a> {
    connection: &'a Connection,
    source: &'a str,
    destinations: &'a [String],
    zone: &'a TimeZone,
    now_ms: i64,
}

impl Context<'_> {
    fn take(&self, item: &IntakeItem) -> Result<IntakeResult, StoreError> {
        match &item.fate {
            IntakeFate::Quarantine(problem) => {
                // Unless it was put there unread.
                if problem.code != RAW_KILLS {
                    hands::survived(self.connection, self.source, &item.raw.url)?;
                }
                self.put_raw(item, "quarantined", None, Some(&problem.into()))?;
                Ok(IntakeResult::Quarantined)
            }
            IntakeFate::Call(call) => {
                hands::survived(self.connection, self.source, &item.raw.url)?;
                self.put_raw(item, "converted", Some(call), None)?;
                self.put_call(item, call)
            }
        }
    }

    fn put_raw(
        &self,
        item: &IntakeItem,
        state: &str,
        call: Option<&IntakeCall>,
        problem: Option<&StoredProblem>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO raw (source, url, version, bytes, modified_at, digest, state, call_key, code, what, help, notes, day, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (source, url) DO UPDATE SET version = excluded.version, bytes = excluded.bytes,
               modified_at = excluded.modified_at, digest = excluded.digest, state = excluded.state,
               call_key = coalesce(excluded.call_key, call_key), code = excluded.code, what = excluded.what,
               help = excluded.help, notes = excluded.notes, day = coalesce(excluded.day, day), seen_at = excluded.seen_at,
               reread = CASE excluded.state WHEN 'quarantined' THEN 0 ELSE reread END",
        )?;
        let raw = &item.raw;
        statement.execute(params![
            self.source,
            raw.url,
            raw.version,
            i64::try_from(raw.bytes).unwrap_or(i64::MAX),
            raw.modified_at.as_millisecond(),
            call.map(|call| call.raw_digest.0),
            state,
            call.map(|call| call.key.as_str()),
            problem.map(|problem| &problem.code),
            problem.map(|problem| &problem.what),
            problem.map(|problem| &problem.help),
            call.filter(|call| !call.notes.is_empty()).map(|call| call.notes.join("\n")),
            item.day.map(|day| day.to_string()),
            self.now_ms,
        ])?;
        Ok(())
    }

    fn put_call(&self, item: &IntakeItem, new: &IntakeCall) -> Result<IntakeResult, StoreError> {
        let key = new.key.as_str();
        let Some(known) = self.known_call(key)? else {
            self.insert_call(item, new)?;
            return Ok(IntakeResult::NewCall);
        };
        let origin = Origin::new(item.raw.modified_at.as_millisecond(), new.raw_digest, &item.raw.url);
        let is_suspect = stored::is_suspect(self.connection, key)?;
        let is_known = known.digest == new.encoded.digest.0 && known.newest.at_ms >= origin.at_ms;
        if is_known && known.older.is_none() && !is_suspect {
            return Ok(IntakeResult::NothingNew);
        }
        let is_newest = origin.replaces(&known.newest) || origin.url == known.newest.url;
        let Merged { is_alone, started_at, day, body, origins } =
            merge(self.connection, new, &known, origin, self.zone)?;
        if is_alone {
            // What the call's other files said is lost with it, until they are read again.
            stored::reread(self.connection, key)?;
            if !is_newest {
                // An older file alone would take back what the newer one said.
                return Ok(IntakeResult::NothingNew);
            }
        }
        let started_at = started_at.map(|at| at.as_millisecond());
        let changed = body.digest.0[..] != known.digest[..];
        // Of a damaged call the number itself may be what decayed.
        let newest = if changed || is_alone || is_suspect { self.newest_revision(key)? } else { 0 };
        let revision = known.revision.max(newest).saturating_add(u32::from(changed));
        self.update_call(key, revision, started_at, day, &origins, &body)?;
        if is_alone || is_suspect {
            stored::mended(self.connection, self.source, &item.raw.url, key, self.now_ms)?;
        }
        if !changed {
            return Ok(if is_alone { IntakeResult::Mended } else { IntakeResult::NothingNew });
        }
        self.put_revision(key, revision, item)?;
        let elsewhere = self.destinations_of(key)?;
        let further = elsewhere.iter().filter(|one| !self.destinations.contains(one));
        for destination in self.destinations.iter().chain(further) {
            self.put_delivery(key, destination, revision, started_at)?;
        }
        Ok(IntakeResult::NewRevision)
    }

    /// Wherever the call went before, whoever read it then: what is new of it is due there, too.
    fn destinations_of(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT destination FROM delivery WHERE call_key = ?1")?;
        let destinations = statement.query_map([key], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(destinations)
    }

    fn newest_revision(&self, key: &str) -> Result<u32, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT coalesce(max(revision), 0) FROM revision WHERE call_key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0))?)
    }

    fn known_call(&self, key: &str) -> Result<Option<Known>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT revision, digest, evidence_at, evidence_raw, evidence_url, origins FROM call WHERE call_key = ?1",
        )?;
        let known = statement
            .query_row([key], |row| {
                Ok(Known {
                    revision: row.get(0)?,
                    digest: row.get(1)?,
                    newest: Origin { at_ms: row.get(2)?, digest: row.get(3)?, url: row.get(4)? },
                    older: row.get(5)?,
                })
            })
            .optional()?;
        Ok(known)
    }

    fn insert_call(&self, item: &IntakeItem, new: &IntakeCall) -> Result<(), StoreError> {
        let key = new.key.as_str();
        let started_at = new.started_at.map(|at| at.as_millisecond());
        let day = new.started_at.or(new.ended_at).map(|at| at.to_zoned(self.zone.clone()).date());
        let body = Body::from(&new.encoded);
        let sums = body.sums(key, 1);
        self.connection
            .prepare_cached(
                "INSERT INTO call (call_key, source, source_id, revision, started_at, day, digest, evidence_at, evidence_raw, evidence_url, first_seen, changed_at, head_sum, tail_sum)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12)",
            )?
            .execute(params![
                key,
                self.source,
                new.source_id,
                started_at,
                day.map(|day| day.to_string()),
                new.encoded.digest.0,
                item.raw.modified_at.as_millisecond(),
                new.raw_digest.0,
                item.raw.url,
                self.now_ms,
                sums.head,
                sums.tail,
            ])?;
        self.insert_body(key, &body)?;
        self.put_large_tail(key, &body)?;
        self.put_revision(key, 1, item)?;
        for destination in self.destinations {
            self.put_delivery(key, destination, 1, started_at)?;
        }
        Ok(())
    }

    fn insert_body(&self, key: &str, body: &Body<'_>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO call_body (call_key, head_bytes, tail_bytes, head, tail) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(body_params(key, body))?;
        Ok(())
    }

    fn update_call(
        &self,
        key: &str,
        revision: u32,
        started_at: Option<i64>,
        day: Option<jiff::civil::Date>,
        origins: &Origins,
        body: &Body<'_>,
    ) -> Result<(), StoreError> {
        let sums = body.sums(key, revision);
        self.connection
            .prepare_cached(
                "UPDATE call SET revision = ?2, started_at = ?3, day = coalesce(?4, day), digest = ?5, evidence_at = ?6,
                   evidence_raw = ?7, evidence_url = ?8, changed_at = ?9, origins = ?10, head_sum = ?11,
                   tail_sum = ?12 WHERE call_key = ?1",
            )?
            .execute(params![
                key,
                revision,
                started_at,
                day.map(|day| day.to_string()),
                body.digest.0,
                origins.newest.at_ms,
                origins.newest.digest,
                origins.newest.url,
                self.now_ms,
                encode_origins(origins)?,
                sums.head,
                sums.tail,
            ])?;
        let updated = self
            .connection
            .prepare_cached(
                "UPDATE call_body SET head_bytes = ?2, tail_bytes = ?3, head = ?4, tail = ?5 WHERE call_key = ?1",
            )?
            .execute(body_params(key, body))?;
        if updated == 0 {
            // It was lost.
            self.insert_body(key, body)?;
        }
        self.put_large_tail(key, body)
    }

    /// Fills the room that [`body_params`] left for a large tail.
    fn put_large_tail(&self, key: &str, body: &Body<'_>) -> Result<(), StoreError> {
        if !is_large(&body.tail) {
            return Ok(());
        }
        let row: i64 = self
            .connection
            .prepare_cached("SELECT rowid FROM call_body WHERE call_key = ?1")?
            .query_row([key], |row| row.get(0))?;
        let mut place = self.connection.blob_open(MAIN_DB, "call_body", "tail", row, false)?;
        place.write_all(&body.tail).map_err(|error| StoreError::Unusable(error.to_string()))?;
        Ok(place.close()?)
    }

    fn put_revision(&self, key: &str, revision: u32, item: &IntakeItem) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO revision (call_key, revision, raw_url, raw_version, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![key, revision, item.raw.url, item.raw.version, self.now_ms])?;
        Ok(())
    }

    /// Makes the delivery due, unless a person alone may do that. One that is under lease keeps its lease: it will be due
    /// again when it is settled, because the revision it delivers is not the desired one any more.
    fn put_delivery(
        &self,
        key: &str,
        destination: &str,
        revision: u32,
        started_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let waits = waits_for_a_person();
        let sql = format!(
            "INSERT INTO delivery (call_key, destination, state, order_at, desired_revision, updated_at, since, day)
             VALUES (?1, ?2, 'due', ?3, ?4, ?5, ?5, (SELECT day FROM call WHERE call_key = ?1))
             ON CONFLICT (call_key, destination) DO UPDATE SET
               state = CASE WHEN state = 'leased' OR {waits} THEN state ELSE 'due' END, replay = 0,
               since = CASE WHEN state IN ('due', 'leased') OR {waits} THEN since ELSE excluded.since END,
               order_at = excluded.order_at, desired_revision = excluded.desired_revision,
               next_at = CASE WHEN state = 'due' THEN next_at ELSE 0 END,
               attempts = CASE WHEN state = 'dead' THEN 0 ELSE attempts END,
               isolation = CASE WHEN state = 'dead' THEN 0 ELSE isolation END,
               deaths = CASE WHEN state = 'dead' THEN 0 ELSE deaths END,
               rematched = 0, updated_at = excluded.updated_at"
        );
        self.connection.prepare_cached(&sql)?.execute(params![
            key,
            destination,
            started_at.unwrap_or(self.now_ms),
            revision,
            self.now_ms
        ])?;
        Ok(())
    }
}

/// A large tail goes in piece by piece: bound as a value, SQLite would copy it twice.
const BOUND_BYTES_MAX: usize = 1024 * 1024;

fn is_large(tail: &[u8]) -> bool {
    tail.len() > BOUND_BYTES_MAX
}

fn body_params<'a>(key: &'a str, body: &'a Body<'_>) -> (&'a str, usize, usize, &'a [u8], ToSqlOutput<'a>) {
    let tail = &body.tail[..];
    let bound = if is_large(tail) { ToSqlOutput::ZeroBlob(tail.len() as u64) } else { ToSqlOutput::from(tail) };
    (key, body.head_bytes, body.tail_bytes, &body.head, bound)
}

//! Stored calls that are damaged: finding them, and having their files read again.
//!
//! Invariant: nothing leaves the store that was not proved to be as it was written.

use rusqlite::{Connection, ErrorCode, params};

use crate::model::CallKey;
use crate::problem::CALL_DAMAGED;
use crate::redact::RedactedCall;
use crate::store::checksum::{Sums, Whose, has_digest, prove};
use crate::store::{StoreError, UnseenFile, decode_call};

/// A stored call before it is proved and decoded.
pub(super) struct Body {
    pub key: String,
    pub source_id: String,
    pub changed_at_ms: i64,
    pub revision: u32,
    digest: Vec<u8>,
    head: Vec<u8>,
    /// `None` where only the head is asked for, and proves itself.
    tail: Option<Vec<u8>>,
    sums: Sums,
    is_whole: bool,
}

const FIND: &str = "SELECT c.source_id, c.changed_at, c.revision, c.digest, b.head,
    CASE WHEN ?2 OR c.head_sum IS NULL THEN b.tail END, c.head_sum, c.tail_sum
    FROM call c LEFT JOIN call_body b ON b.call_key = c.call_key WHERE c.call_key = ?1";
/// The same in a ledger from before there were checksums.
const FIND_OLD: &str = "SELECT c.source_id, c.changed_at, c.revision, c.digest, b.head, b.tail, NULL, NULL
    FROM call c LEFT JOIN call_body b ON b.call_key = c.call_key WHERE c.call_key = ?1 AND ?2";

impl Body {
    /// The stored call `key`; a [`StoreError::DamagedCall`] if it is not there or cannot be read. Without `is_whole` it
    /// will have no turns and no further fields.
    pub fn find(connection: &Connection, key: &str, is_whole: bool) -> Result<Body, StoreError> {
        Body::read(connection, FIND, key, is_whole)
    }

    /// The whole stored call, also in a ledger that `is_old`, from before there were checksums.
    pub fn find_as(connection: &Connection, key: &str, is_old: bool) -> Result<Body, StoreError> {
        Body::read(connection, if is_old { FIND_OLD } else { FIND }, key, true)
    }

    fn read(connection: &Connection, sql: &str, key: &str, is_whole: bool) -> Result<Body, StoreError> {
        let found = connection.prepare_cached(sql)?.query_row(params![key, is_whole], |row| {
            Ok(Body {
                key: key.to_owned(),
                source_id: row.get(0)?,
                changed_at_ms: row.get(1)?,
                revision: row.get(2)?,
                digest: row.get(3)?,
                head: row.get(4)?,
                tail: row.get(5)?,
                sums: Sums { head: row.get(6)?, tail: row.get(7)? },
                is_whole,
            })
        });
        alone(found)?.map_err(|cause| StoreError::DamagedCall { key: key.to_owned(), cause })
    }

    pub fn is_without_checksum(&self) -> bool {
        self.sums.is_none()
    }

    fn whose(&self) -> Whose<'_> {
        Whose { key: &self.key, revision: self.revision, digest: &self.digest }
    }

    /// Proves it by its checksums, and its content by the call's digest.
    pub fn prove_content(&self) -> Result<(), StoreError> {
        prove(self.whose(), self.sums, &self.head, self.tail.as_deref())?;
        // Where there are no checksums, that was the digest.
        let tail = self.tail.as_deref().filter(|_| !self.sums.is_none());
        match tail.map(|tail| has_digest(self.whose(), &self.head, tail)).transpose()? {
            Some(false) => Err(self.damaged("its content does not fit the digest of the call")),
            _ => Ok(()),
        }
    }

    fn damaged(&self, cause: &str) -> StoreError {
        StoreError::DamagedCall { key: self.key.clone(), cause: cause.to_owned() }
    }

    /// Proves it and reads it.
    pub fn decode(&self) -> Result<RedactedCall, StoreError> {
        prove(self.whose(), self.sums, &self.head, self.tail.as_deref())?;
        decode_call(&self.key, &self.head, self.tail.as_deref().filter(|_| self.is_whole))
    }
}

/// Tells an error of this row alone, as its cause, from one of the whole file.
pub(super) fn alone<T>(read: rusqlite::Result<T>) -> Result<Result<T, String>, StoreError> {
    use rusqlite::Error;
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(Error::QueryReturnedNoRows) => Ok(Err("a part of it is missing".to_owned())),
        Err(error @ (Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..))) => Ok(Err(error.to_string())),
        Err(error @ (Error::IntegralValueOutOfRange(..) | Error::Utf8Error(..))) => Ok(Err(error.to_string())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Notes all files of a call to be read again.
pub(super) fn reread(connection: &Connection, key: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE raw SET reread = 1 WHERE call_key = ?1 AND state = 'converted'")?
        .execute([key])?;
    Ok(())
}

/// Whether a file of this call is to be read again.
pub(super) fn is_suspect(connection: &Connection, key: &str) -> Result<bool, StoreError> {
    let found = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM raw WHERE call_key = ?1 AND reread <> 0)")?
        .query_row([key], |row| row.get(0))?;
    Ok(found)
}

/// This file was read again and the call is whole: what was a dead letter for its damage is due.
pub(super) fn mended(
    connection: &Connection,
    source: &str,
    url: &str,
    key: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    was_read(connection, source, url)?;
    connection
        .prepare_cached(
            "UPDATE delivery SET state = 'due', since = ?3, replay = 0, next_at = 0, attempts = 0, code = NULL, what = NULL,
               help = NULL
             WHERE call_key = ?1 AND state = 'dead' AND code = ?2",
        )?
        .execute(params![key, CALL_DAMAGED.0, now_ms])?;
    Ok(())
}

/// A file of this call is no longer at its source: if other files have made the call whole, it is not looked for again.
pub(super) fn lost(connection: &Connection, source: &str, url: &str, key: &str) -> Result<(), StoreError> {
    match Body::find(connection, key, true).and_then(|body| body.decode()) {
        Ok(_) => was_read(connection, source, url),
        Err(StoreError::DamagedCall { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn was_read(connection: &Connection, source: &str, url: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE raw SET reread = 0 WHERE source = ?1 AND url = ?2")?
        .execute(params![source, url])?;
    Ok(())
}

pub(super) fn examine(connection: &Connection, keys: &[CallKey]) -> Result<usize, StoreError> {
    let mut damaged = 0;
    for key in keys {
        match Body::find(connection, key.as_str(), true).and_then(|body| body.decode()) {
            Ok(_) => {}
            Err(StoreError::DamagedCall { cause, .. }) => {
                tracing::warn!(call = key.as_str(), cause, "a stored call is damaged; its files are read again");
                reread(connection, key.as_str())?;
                damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(damaged)
}

pub(super) fn to_reread(connection: &Connection, source: &str) -> Result<Vec<UnseenFile>, StoreError> {
    let files = connection
        .prepare_cached(
            "SELECT call_key, url, version, day FROM raw
             WHERE source = ?1 AND reread <> 0 AND state = 'converted' ORDER BY modified_at DESC",
        )?
        .query_map([source], |row| {
            let day: Option<String> = row.get(3)?;
            Ok(UnseenFile {
                key: CallKey::from_stored(row.get(0)?),
                url: row.get(1)?,
                version: row.get(2)?,
                day: day.as_deref().and_then(|day| day.parse().ok()),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(files)
}

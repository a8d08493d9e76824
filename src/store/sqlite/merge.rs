//! New evidence and what the ledger holds of a call, made one.
//!
//! Invariant: a large call is not read as a whole where the new evidence replaces all that was said, as a file that was
//! exported again does: two such calls side by side would take more memory than anything else.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, MAIN_DB};

use super::body::{self as stored, Body as StoredBody};
use crate::model::{self, Digest, Origin, Origins};
use crate::redact::redact;
use crate::store::checksum::{Sums, Whose, prove};
use crate::store::tail::{Outline, encode_over_tail};
use crate::store::{EncodedCall, IntakeCall, StoreError, decode_call, encode_call};

/// A call whose tails, old and new, are together larger than this as JSON is merged without reading them.
const MERGED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A call as it is to be stored.
pub struct Body<'a> {
    pub head: Cow<'a, [u8]>,
    pub tail: Cow<'a, [u8]>,
    pub head_bytes: usize,
    pub tail_bytes: usize,
    pub digest: Digest,
}

impl Body<'_> {
    /// Of the call `key` at this revision.
    pub fn sums(&self, key: &str, revision: u32) -> Sums {
        Sums::of(Whose { key, revision, digest: &self.digest.0 }, &self.head, &self.tail)
    }
}

impl<'a> From<&'a EncodedCall> for Body<'a> {
    fn from(encoded: &'a EncodedCall) -> Body<'a> {
        let (head_bytes, tail_bytes, digest) = (encoded.head_bytes, encoded.tail_bytes, encoded.digest);
        let (head, tail) = (Cow::Borrowed(&encoded.head[..]), Cow::Borrowed(&encoded.tail[..]));
        Body { head, tail, head_bytes, tail_bytes, digest }
    }
}

/// What the ledger holds of a call before new evidence.
pub struct Known {
    pub revision: u32,
    pub digest: Vec<u8>,
    /// The newest file.
    pub newest: Origin,
    /// As stored: where the values are from that are not from there.
    pub older: Option<String>,
}

pub struct Merged<'a> {
    /// What was stored is damaged, and the new evidence stands alone.
    pub is_alone: bool,
    pub started_at: Option<Timestamp>,
    pub day: Option<Date>,
    pub body: Body<'a>,
    pub origins: Origins,
}

/// Merges `new`, which is from `origin`, with what is stored under its key.
pub fn merge<'a>(
    connection: &Connection,
    new: &'a IntakeCall,
    known: &Known,
    origin: Origin,
    zone: &TimeZone,
) -> Result<Merged<'a>, StoreError> {
    let key = new.key.as_str();
    let Some(older) = readable(decode_origins(key, known.older.as_deref()))? else { return alone(new, origin, zone) };
    let origins = Origins { newest: known.newest.clone(), older };
    if origin.replaces(&origins.newest)
        && let Some(merged) = by_head(connection, new, known, &origins, &origin, zone, MERGED_BYTES_MAX)?
    {
        return Ok(merged);
    }
    let old = StoredBody::find(connection, key, true).and_then(|body| body.decode());
    let Some(old) = readable(old)? else { return alone(new, origin, zone) };
    let fresh = decode_call(key, &new.encoded.head, Some(&new.encoded.tail))?.into_call();
    let (merged, origins) = model::merge(old.into_call(), origins, fresh, origin);
    let (started_at, day) = (merged.started_at, merged.date_in(zone));
    let EncodedCall { head, tail, head_bytes, tail_bytes, digest } = encode_call(redact(merged))?;
    let body = Body { head: head.into(), tail: tail.into(), head_bytes, tail_bytes, digest };
    Ok(Merged { is_alone: false, started_at, day, body, origins })
}

/// What is kept is damaged: the new evidence takes its place.
fn alone<'a>(new: &'a IntakeCall, origin: Origin, zone: &TimeZone) -> Result<Merged<'a>, StoreError> {
    let call = decode_call(new.key.as_str(), &new.encoded.head, None)?.into_call();
    let (started_at, day) = (call.started_at, call.date_in(zone));
    let (body, origins) = (Body::from(&new.encoded), Origins::one(origin));
    Ok(Merged { is_alone: true, started_at, day, body, origins })
}

/// Merges the heads alone; `None` if the calls are small, or if something of the older tail is to be kept. The tail is the
/// new one, so that it has passed today's redaction.
fn by_head<'a>(
    connection: &Connection,
    new: &'a IntakeCall,
    known: &Known,
    origins: &Origins,
    origin: &Origin,
    zone: &TimeZone,
    bytes_max: usize,
) -> Result<Option<Merged<'a>>, StoreError> {
    let key = new.key.as_str();
    let found = connection
        .prepare_cached(
            "SELECT b.rowid, b.head, b.tail_bytes, c.head_sum, c.tail_sum FROM call_body b JOIN call c USING (call_key)
             WHERE b.call_key = ?1",
        )?
        .query_row([key], |row| {
            let sums = Sums { head: row.get(3)?, tail: row.get(4)? };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, sums))
        });
    // Damage shows itself to who reads it as a whole.
    let Ok((row, head, tail_bytes, sums)) = stored::alone::<(i64, Vec<u8>, usize, Sums)>(found)? else {
        return Ok(None);
    };
    let EncodedCall { tail, .. } = &new.encoded;
    if tail_bytes.saturating_add(new.encoded.tail_bytes) <= bytes_max {
        return Ok(None);
    }
    let mut kept = connection.blob_open(MAIN_DB, "call_body", "tail", row, true)?;
    let whose = Whose { key, revision: known.revision, digest: &known.digest };
    if readable(prove(whose, sums, &head, Some(&mut kept)))?.is_none() {
        return Ok(None);
    }
    kept.seek(SeekFrom::Start(0)).map_err(|error| StoreError::Unusable(error.to_string()))?;
    let (Some(old), Some(outline)) = (readable(decode_call(key, &head, None))?, readable(Outline::of(key, kept))?)
    else {
        return Ok(None);
    };
    if !Outline::of(key, &tail[..])?.covers(&outline) {
        return Ok(None);
    }
    let fresh = decode_call(key, &new.encoded.head, None)?.into_call();
    let (call, origins) = model::merge(old.into_call(), origins.clone(), fresh, origin.clone());
    let (started_at, day) = (call.started_at, call.date_in(zone));
    let head = encode_over_tail(&redact(call), &tail[..])?;
    let body = Body {
        head: head.head.into(),
        tail: Cow::Borrowed(tail),
        head_bytes: head.head_bytes,
        tail_bytes: new.encoded.tail_bytes,
        digest: head.digest,
    };
    Ok(Some(Merged { is_alone: false, started_at, day, body, origins }))
}

/// `None` for a call that is known from one file, as most are.
pub fn encode_origins(origins: &Origins) -> Result<Option<String>, StoreError> {
    if origins.older.is_empty() {
        return Ok(None);
    }
    let json = serde_json::to_string(&origins.older).map_err(|error| StoreError::Unusable(error.to_string()))?;
    Ok(Some(json))
}

fn decode_origins(key: &str, json: Option<&str>) -> Result<BTreeMap<String, Origin>, StoreError> {
    let Some(json) = json else { return Ok(BTreeMap::new()) };
    let damaged = |error: serde_json::Error| StoreError::DamagedCall { key: key.to_owned(), cause: error.to_string() };
    serde_json::from_str(json).map_err(damaged)
}

/// `None` if what is kept is damaged.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::DamagedCall { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::{Call, Role, Turn};

    fn call(turns: usize, fields: &[&str], email: Option<&str>) -> IntakeCall {
        let mut call = Call::new("sessions", "s1");
        call.caller.email = email.map(str::to_owned);
        call.turns.extend((0..turns).map(|n| Turn::new(Role::User, format!("said {n}"), None)));
        for name in fields {
            call.extra.insert((*name).to_owned(), RawValue::from_string(format!("[{turns}]")).expect("JSON"));
        }
        IntakeCall::of(redact(call), Digest::of(b"raw"), Vec::new()).expect("a call")
    }

    #[test]
    fn large_calls_are_merged_as_small_ones_are() -> Result<(), Box<dyn std::error::Error>> {
        let mut connection = Connection::open_in_memory()?;
        super::super::schema::migrate(&mut connection)?;
        connection.execute(
            "INSERT INTO call VALUES ('sessions-1', 'sessions', 's1', 1, NULL, NULL, x'', 0, x'', '', 0, 0, NULL, NULL, NULL)",
            (),
        )?;
        let check = |old: &IntakeCall, new: &IntakeCall, expected: bool| {
            connection.execute("DELETE FROM call_body", ())?;
            let (key, kept) = (old.key.as_str(), &old.encoded);
            let sums = Body::from(kept).sums(key, 1);
            let row = (key, kept.digest.0, sums.head, sums.tail);
            connection.execute("UPDATE call SET call_key = ?1, digest = ?2, head_sum = ?3, tail_sum = ?4", row)?;
            let row = (key, 0, kept.tail_bytes, &kept.head[..], &kept.tail[..]);
            connection.execute("INSERT INTO call_body VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
            let first = Origin::new(1, Digest::of(b"first"), "first");
            let second = Origin::new(2, Digest::of(b"second"), "second");
            let known = Known { revision: 1, digest: kept.digest.0.to_vec(), newest: first.clone(), older: None };
            let small = merge(&connection, new, &known, second.clone(), &TimeZone::UTC)?;
            assert!(!small.is_alone);
            let large = by_head(&connection, new, &known, &Origins::one(first), &second, &TimeZone::UTC, 0)?;
            assert_eq!(large.is_some(), expected);
            if let Some(large) = large {
                let read = |body: &Body<'_>| {
                    let call = decode_call("s1", &body.head, Some(&body.tail)).map(|call| call.into_call());
                    call.map(|call| serde_json::to_string(&call).expect("JSON"))
                };
                assert_eq!(read(&large.body)?, read(&small.body)?);
                assert_eq!(large.body.digest, small.body.digest);
                assert_eq!((large.started_at, large.day), (small.started_at, small.day));
                assert_eq!(large.origins, small.origins);
            }
            Ok::<(), StoreError>(())
        };
        let old = call(2, &["a"], Some("ada@example.com"));
        check(&old, &call(3, &["a", "b"], None), true)?;
        check(&old, &call(3, &["b"], None), false)?;
        check(&old, &call(0, &["a"], None), false)?;
        check(&call(0, &[], None), &call(0, &["a"], Some("eve@example.com")), true)?;
        Ok(())
    }
}

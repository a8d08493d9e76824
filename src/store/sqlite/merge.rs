//! New evidence and what the ledger holds of a call, made one.
//!
//! Invariant: a large call is not read as a whole where the new evidence replaces all that was said, as a file that was
//! exported again does: two such calls side by side would take more memory than anything else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, MAIN_DB};

use crate::model::{self, Digest, Origin, Origins};
use crate::redact::redact;
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

impl<'a> From<&'a EncodedCall> for Body<'a> {
    fn from(encoded: &'a EncodedCall) -> Body<'a> {
        let (head_bytes, tail_bytes, digest) = (encoded.head_bytes, encoded.tail_bytes, encoded.digest);
        let (head, tail) = (Cow::Borrowed(&encoded.head[..]), Cow::Borrowed(&encoded.tail[..]));
        Body { head, tail, head_bytes, tail_bytes, digest }
    }
}

pub struct Merged<'a> {
    pub started_at: Option<Timestamp>,
    pub day: Option<Date>,
    pub body: Body<'a>,
    pub origins: Origins,
}

/// Merges `new`, which is from `origin`, with what is stored under its key: its `newest` file, and as JSON where its
/// values are from that are from `older` ones.
pub fn merge<'a>(
    connection: &Connection,
    new: &'a IntakeCall,
    newest: Origin,
    older: Option<&str>,
    origin: Origin,
    zone: &TimeZone,
) -> Result<Merged<'a>, StoreError> {
    let key = new.key.as_str();
    let Some(older) = readable(decode_origins(key, older))? else { return alone(new, origin, zone) };
    let origins = Origins { newest, older };
    if origin.replaces(&origins.newest)
        && let Some(merged) = by_head(connection, new, &origins, &origin, zone, MERGED_BYTES_MAX)?
    {
        return Ok(merged);
    }
    let (head, tail): (Vec<u8>, Vec<u8>) = connection
        .prepare_cached("SELECT head, tail FROM call_body WHERE call_key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(old) = readable(decode_call(key, &head, Some(&tail)))? else { return alone(new, origin, zone) };
    drop((head, tail));
    let fresh = decode_call(key, &new.encoded.head, Some(&new.encoded.tail))?.into_call();
    let (merged, origins) = model::merge(old.into_call(), origins, fresh, origin);
    let (started_at, day) = (merged.started_at, merged.date_in(zone));
    let EncodedCall { head, tail, head_bytes, tail_bytes, digest } = encode_call(redact(merged))?;
    let body = Body { head: head.into(), tail: tail.into(), head_bytes, tail_bytes, digest };
    Ok(Merged { started_at, day, body, origins })
}

/// What is kept is damaged: the new evidence takes its place.
fn alone<'a>(new: &'a IntakeCall, origin: Origin, zone: &TimeZone) -> Result<Merged<'a>, StoreError> {
    let call = decode_call(new.key.as_str(), &new.encoded.head, None)?.into_call();
    let (started_at, day) = (call.started_at, call.date_in(zone));
    Ok(Merged { started_at, day, body: Body::from(&new.encoded), origins: Origins::one(origin) })
}

/// Merges the heads alone; `None` if the calls are small, or if something of the older tail is to be kept. The tail is the
/// new one, so that it has passed today's redaction.
fn by_head<'a>(
    connection: &Connection,
    new: &'a IntakeCall,
    origins: &Origins,
    origin: &Origin,
    zone: &TimeZone,
    bytes_max: usize,
) -> Result<Option<Merged<'a>>, StoreError> {
    let key = new.key.as_str();
    let (row, head, tail_bytes): (i64, Vec<u8>, usize) = connection
        .prepare_cached("SELECT rowid, head, tail_bytes FROM call_body WHERE call_key = ?1")?
        .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let EncodedCall { tail, .. } = &new.encoded;
    if tail_bytes.saturating_add(new.encoded.tail_bytes) <= bytes_max {
        return Ok(None);
    }
    let kept = connection.blob_open(MAIN_DB, "call_body", "tail", row, true)?;
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
    Ok(Some(Merged { started_at, day, body, origins }))
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
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { place: format!("call {key}"), cause: error.to_string() };
    serde_json::from_str(json).map_err(damaged)
}

/// `None` if what is kept is damaged.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Damaged { .. }) => Ok(None),
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
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("CREATE TABLE call_body (call_key TEXT, tail_bytes INTEGER, head BLOB, tail BLOB)")?;
        let check = |old: &IntakeCall, new: &IntakeCall, expected: bool| {
            connection.execute("DELETE FROM call_body", ())?;
            let kept = &old.encoded;
            let row = (old.key.as_str(), kept.tail_bytes, &kept.head[..], &kept.tail[..]);
            connection.execute("INSERT INTO call_body VALUES (?1, ?2, ?3, ?4)", row)?;
            let first = Origin::new(1, Digest::of(b"first"), "first");
            let second = Origin::new(2, Digest::of(b"second"), "second");
            let small = merge(&connection, new, first.clone(), None, second.clone(), &TimeZone::UTC)?;
            let large = by_head(&connection, new, &Origins::one(first), &second, &TimeZone::UTC, 0)?;
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

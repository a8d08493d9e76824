//! Leasing what is due, with its call: the only way on which a call leaves the store to be delivered.
//!
//! Invariants: what is handed out was proved to be as it was written; what cannot be read or proved stops none of the
//! others, but becomes a dead letter.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::body::{self, Body, alone};
use super::scope;
use crate::model::{Digest, Revision};
use crate::problem::{CALL_DAMAGED, DELIVERY_DAMAGED, Problem};
use crate::redact::RedactedCall;
use crate::store::checksum::of_target;
use crate::store::{Claimed, Order, PriorIntent, Scope, StoreError, Suspicion};

/// Most JSON that one claim takes into memory, in bytes, unless a single call is larger.
const CLAIM_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// What is asked for, by whom.
pub(super) struct Wish {
    pub destination: String,
    pub scope: Option<Scope>,
    pub owner: String,
    /// When this process began: what a later replay made due is not for it.
    pub began_ms: i64,
    pub count: usize,
    pub which: Which,
    /// With the tails.
    pub whole: bool,
    pub now_ms: i64,
    pub lease_until_ms: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that no process died with, in this order: those that a replay made due, or the others.
    Trusted { order: Order, replayed: bool },
    /// What a process died with, in groups that have become larger by `growth`.
    Suspects { growth: u32 },
}

/// A leased delivery that cannot be handed out.
pub(super) struct Damage {
    delivery_id: i64,
    key: String,
    problem: Problem,
}

/// A leased row before its call is proved and decoded.
pub(super) struct Leased {
    delivery_id: i64,
    claimed: Box<dyn FnOnce(RedactedCall) -> Claimed + Send>,
    body: Body,
}

const BYTES: &str = "SELECT b.head_bytes + CASE WHEN ?2 OR c.head_sum IS NULL THEN b.tail_bytes ELSE 0 END
    FROM call_body b JOIN call c ON c.call_key = b.call_key WHERE b.call_key = ?1";

const LEASE: &str = "UPDATE delivery SET state = 'leased', owner = ?2, lease_until = ?3, fence = fence + 1,
    leased_revision = desired_revision WHERE id = ?1";

/// Leases what is due; what does not read back stands among it.
pub(super) fn lease(connection: &Connection, wish: &Wish) -> Result<Vec<Result<Leased, Damage>>, StoreError> {
    let due = due(connection, wish)?;
    let (mut measure, mut take) = (connection.prepare_cached(BYTES)?, connection.prepare_cached(LEASE)?);
    let mut read = connection.prepare_cached(LEASED)?;
    let (mut leased, mut bytes) = (Vec::with_capacity(due.len()), 0u64);
    let first = due.first().map(|(_, _, suspicion)| *suspicion).unwrap_or_default();
    for (delivery_id, key, suspicion) in due {
        if let Which::Suspects { growth } = wish.which
            && (suspicion != first || leased.len() >= first.group(growth))
        {
            break;
        }
        let measured = alone(measure.query_row(params![key, wish.whole], |row| row.get::<_, u64>(0)))?;
        bytes = bytes.saturating_add(measured.unwrap_or_default());
        if !leased.is_empty() && bytes > CLAIM_BYTES_MAX {
            break;
        }
        take.execute(params![delivery_id, wish.owner, wish.lease_until_ms])?;
        leased.push(match Body::find(connection, &key, wish.whole) {
            Ok(body) => match alone(read.query_row([delivery_id], |row| Row::of(row, delivery_id)))? {
                Ok(row) => row.with(body),
                Err(cause) => Err(Damage::of_delivery(delivery_id, &body, &cause)),
            },
            Err(StoreError::DamagedCall { cause, .. }) => Err(Damage::of_call(delivery_id, &key, &key, &cause)),
            Err(error) => return Err(error),
        });
    }
    Ok(leased)
}

/// Delivery, call and suspicion of each, in order.
fn due(connection: &Connection, wish: &Wish) -> Result<Vec<(i64, String, Suspicion)>, StoreError> {
    let scope = wish.scope.as_ref();
    let is_walked = scope.map_or(Ok(true), |scope| scope::is_large(connection, scope))?;
    let (among, values) = if is_walked { scope::condition_of_each(scope, 6) } else { scope::condition(scope, 6) };
    // The least suspect first: however often processes are killed from outside, it is seldom the same call that is met.
    let (index, which, along) = match wish.which {
        Which::Suspects { .. } => ("delivery_suspect", "d.company > 0", "d.deaths, d.company DESC, d.order_at, d.id"),
        Which::Trusted { order: Order::OldestFirst, .. } => {
            ("delivery_due", "d.company = 0", "d.replay, d.order_at, d.id")
        }
        Which::Trusted { order: Order::NewestFirst, .. } => {
            ("delivery_due", "d.company = 0", "d.replay DESC, d.order_at DESC, d.id DESC")
        }
    };
    // So that what is due is walked in its order and nothing is sorted.
    let by = if is_walked { format!("INDEXED BY {index}") } else { String::new() };
    let find = format!(
        "SELECT d.id, d.call_key, d.company, d.deaths FROM delivery d {by}
         WHERE d.destination = ?1 AND d.state = 'due' AND d.replay BETWEEN ?4 AND ?5 AND d.next_at <= ?2
           AND {which}{among} ORDER BY {along} LIMIT ?3"
    );
    let (first, last) = match wish.which {
        Which::Suspects { .. } => (0, wish.began_ms),
        Which::Trusted { replayed: true, .. } => (1, wish.began_ms),
        Which::Trusted { replayed: false, .. } => (0, 0),
    };
    let name = Value::from(wish.destination.clone());
    let all = [name, wish.now_ms.into(), (wish.count as i64).into(), first.into(), last.into()];
    let mut statement = connection.prepare_cached(&find)?;
    let rows = statement.query_map(params_from_iter(all.into_iter().chain(values)), |row| {
        let key = String::from_utf8_lossy(row.get_ref(1)?.as_bytes().unwrap_or_default()).into_owned();
        // What has decayed there stands alone.
        let suspicion = Suspicion { company: row.get(2).unwrap_or(1), deaths: row.get(3).unwrap_or(1) };
        Ok((row.get(0)?, key, suspicion))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Books damaged deliveries as dead letters and has the files of damaged calls read again.
pub(super) fn bury(connection: &Connection, owner: &str, damaged: &[Damage], now_ms: i64) -> Result<(), StoreError> {
    // The row's fence may not be readable; an owner's id is never used twice.
    let mut bury = connection.prepare_cached(
        "UPDATE delivery SET owner = NULL, lease_until = NULL, next_at = 0, attempts = attempts + 1, updated_at = ?3,
           since = ?3, state = CASE WHEN desired_revision > leased_revision THEN 'due' ELSE 'dead' END, code = ?4, what = ?5, help = ?6
         WHERE id = ?1 AND owner = ?2 AND state = 'leased'",
    )?;
    for Damage { delivery_id, key, problem } in damaged {
        bury.execute(params![delivery_id, owner, now_ms, problem.code.0, problem.what, problem.help])?;
        if problem.code == CALL_DAMAGED {
            body::reread(connection, key)?;
        }
    }
    Ok(())
}

impl Damage {
    fn of_call(delivery_id: i64, key: &str, id: &str, cause: &str) -> Damage {
        tracing::error!(call = key, cause, "a stored call is damaged; it is a dead letter now");
        let problem = Problem::new(
            CALL_DAMAGED,
            format!("the ledger's copy of session {id} is damaged: {cause}"),
            format!(
                "`trunkline retry {id}` reads its file again and delivers it; check the disk, and the rest with `trunkline verify`"
            ),
        );
        Damage { delivery_id, key: key.to_owned(), problem }
    }

    fn of_delivery(delivery_id: i64, body: &Body, cause: &str) -> Damage {
        let Body { key, source_id: id, .. } = body;
        tracing::error!(call = key, cause, "a stored delivery is damaged; it is a dead letter now");
        let problem = Problem::new(
            DELIVERY_DAMAGED,
            format!("what the ledger knows of the record of session {id} is damaged: {cause}"),
            format!("check the disk; `trunkline retry {id} --recreate` finds the record by its key, or makes it anew"),
        );
        Damage { delivery_id, key: key.clone(), problem }
    }
}

const LEASED: &str = "SELECT fence, lease_until, desired_revision, remote_id, remote_sum, delivered_digest,
    delivered_person, person_object, person_id, person_sum, matched_by, match_json, attempts, isolation, rematched,
    intent_at, intent_digest, intent_settled FROM delivery WHERE id = ?1";

/// A row of `delivery` under a new lease.
struct Row {
    delivery_id: i64,
    fence: i64,
    lease_until_ms: i64,
    revision: Revision,
    remote_id: Option<String>,
    remote_sum: Option<u32>,
    delivered_digest: Option<Digest>,
    delivered_person: Option<String>,
    person: Option<(String, String)>,
    person_sum: Option<u32>,
    matched_by: Option<[u8; 32]>,
    match_json: Option<String>,
    attempts: u32,
    isolation: u32,
    rematched: bool,
    intent: Option<PriorIntent>,
}

impl Row {
    fn of(row: &rusqlite::Row<'_>, delivery_id: i64) -> rusqlite::Result<Row> {
        let bytes =
            |at: usize| row.get_ref(at).map(|value| value.as_bytes().ok().and_then(|bytes| bytes.try_into().ok()));
        let matched_by: Option<[u8; 32]> = bytes(10)?;
        // An intent without a readable digest is one of other content.
        let digest = Digest(bytes(16)?.unwrap_or([0; 32]));
        let fate: i64 = row.get(17)?;
        let (settled, left_to_person) = (fate == 1, fate == 2);
        let intent: Option<i64> = row.get(15)?;
        Ok(Row {
            delivery_id,
            fence: row.get(0)?,
            lease_until_ms: row.get(1)?,
            revision: Revision(row.get(2)?),
            remote_id: row.get(3)?,
            remote_sum: row.get(4)?,
            delivered_digest: row.get::<_, Option<[u8; 32]>>(5)?.map(Digest),
            delivered_person: row.get(6)?,
            person: row.get::<_, Option<String>>(7)?.zip(row.get::<_, Option<String>>(8)?),
            person_sum: row.get(9)?,
            matched_by,
            match_json: row.get(11)?,
            attempts: row.get(12)?,
            isolation: row.get(13)?,
            rematched: row.get(14)?,
            intent: intent.map(|at_ms| PriorIntent { at_ms, digest, settled, left_to_person }),
        })
    }

    /// An update goes to the record that is named here: a name that is not what was written is not followed. A person is
    /// matched again instead.
    fn with(mut self, body: Body) -> Result<Leased, Damage> {
        let delivery_id = self.delivery_id;
        let remote = self.remote_id.as_ref().map(|id| of_target(delivery_id, &[id]));
        if self.remote_sum.is_some() && self.remote_sum != remote {
            let cause = format!("its id {:?} is not what was written", self.remote_id.unwrap_or_default());
            return Err(Damage::of_delivery(delivery_id, &body, &cause));
        }
        let person = self.person.as_ref().map(|(object, id)| of_target(delivery_id, &[object, id]));
        if self.person_sum.is_some() && self.person_sum != person {
            tracing::warn!(delivery = delivery_id, "the stored person is damaged; the call is matched again");
            (self.person, self.matched_by, self.delivered_person) = (None, None, None);
        }
        let changed_at_ms = body.changed_at_ms;
        let claimed = Box::new(move |call| Claimed {
            delivery_id,
            fence: self.fence,
            lease_until_ms: self.lease_until_ms,
            revision: self.revision,
            changed_at_ms,
            call,
            remote_id: self.remote_id,
            delivered_digest: self.delivered_digest,
            delivered_person: self.delivered_person,
            person: self.person,
            matched_by: self.matched_by,
            match_json: self.match_json,
            attempts: self.attempts,
            isolation: self.isolation,
            rematched: self.rematched,
            intent: self.intent,
        });
        Ok(Leased { delivery_id, claimed, body })
    }
}

impl Leased {
    /// Proves and reads the call.
    pub fn decode(self) -> Result<Box<Claimed>, Damage> {
        let Leased { delivery_id, claimed, body } = self;
        let Body { key, source_id, .. } = &body;
        match body.decode() {
            Ok(call) => Ok(Box::new(claimed(call))),
            Err(StoreError::DamagedCall { cause, .. }) => Err(Damage::of_call(delivery_id, key, source_id, &cause)),
            Err(error) => Err(Damage::of_call(delivery_id, key, source_id, &error.to_string())),
        }
    }
}

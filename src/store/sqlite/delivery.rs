//! Leases, intents, settlements, holds: every change of a delivery's state.
//!
//! Invariant: a delivery under lease is changed only with its owner and its fencing token; who lost the lease changes
//! nothing. What was sent stays on record until its outcome is known.

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::claim::{self, Leased, Which, Wish};
use super::owners::Fate;
use super::{SqliteStore, hands, owners, rearm, scope, settle, standing};
use crate::model::CallKey;
use crate::offload::attempt;
use crate::problem::OUTCOME_UNKNOWN;
use crate::proof::{self, Protection};
use crate::store::checksum::of_target;
use crate::store::{
    Claimed, Company, DeliveryStore, Intent, Parts, Rearm, Scope, Settlement, StoreError, StoredProblem, Window,
};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn reclaim(&self, now_ms: i64) -> Result<usize, StoreError> {
        let (path, me) = (self.path().to_owned(), self.owner_id().to_owned());
        let reclaimed = self.write("reclaim", move |connection| {
            let others: Vec<String> = connection
                .prepare_cached("SELECT id FROM owner WHERE id <> ?1")?
                .query_map([&me], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let (mut freed, mut died) = (0, Vec::new());
            for other in others {
                match owners::fate(&path, &other)? {
                    Fate::Alive => continue,
                    // Before its leases are freed, also those that have run out: they tell what it had in hand.
                    Fate::Died => {
                        hands::mourn(connection, &other, now_ms)?;
                        died.push(other.clone());
                    }
                    Fate::Ended => {
                        connection.execute("DELETE FROM owner WHERE id = ?1", [&other])?;
                    }
                }
                freed += free(connection, &other, now_ms)?;
            }
            freed += connection.prepare_cached(&format!("{FREE} lease_until < ?1"))?.execute([now_ms])?;
            Ok((freed, died))
        });
        let (freed, died) = reclaimed.await?;
        // Once its death is on the disk; with its lock file gone it has ended, and the next look forgets it.
        for id in died {
            owners::bury(self.path(), &id)?;
        }
        Ok(freed)
    }

    async fn claim(
        &self,
        destination: &str,
        scope: Option<&Scope>,
        window: Window,
        now_ms: i64,
        lease_until_ms: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let (owner, destination, scope) = (self.owner_id().to_owned(), destination.to_owned(), scope.cloned());
        let (which, began_ms) = (Which::Trusted { order: window.order, replayed: window.replayed }, self.began_ms());
        let (whole, count) = (window.parts == Parts::Whole, window.count);
        self.lease(Wish { destination, scope, owner, began_ms, count, which, whole, now_ms, lease_until_ms }).await
    }

    async fn claim_suspects(
        &self,
        destination: &str,
        scope: Option<&Scope>,
        parts: Parts,
        growth: u32,
        now_ms: i64,
        lease_until_ms: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let (owner, destination, scope) = (self.owner_id().to_owned(), destination.to_owned(), scope.cloned());
        let (which, began_ms) = (Which::Suspects { growth }, self.began_ms());
        let (whole, count) = (parts == Parts::Whole, SUSPECTS_MAX);
        self.lease(Wish { destination, scope, owner, began_ms, count, which, whole, now_ms, lease_until_ms }).await
    }

    async fn has_suspects(&self, destination: &str, now_ms: i64) -> Result<bool, StoreError> {
        let destination = destination.to_owned();
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_suspect
                WHERE destination = ?1 AND state = 'due' AND company > 0 AND next_at <= ?2)";
            Ok(connection.prepare_cached(sql)?.query_row(params![destination, now_ms], |row| row.get(0))?)
        })
        .await
    }

    async fn has_replayed(&self, destination: &str, now_ms: i64) -> Result<bool, StoreError> {
        let (destination, began_ms) = (destination.to_owned(), self.began_ms());
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_next
                WHERE destination = ?1 AND state = 'due' AND replay BETWEEN 1 AND ?2 AND next_at <= ?3)";
            Ok(connection.prepare_cached(sql)?.query_row(params![destination, began_ms, now_ms], |row| row.get(0))?)
        })
        .await
    }

    async fn next_due(&self, destination: &str, scope: Option<&Scope>) -> Result<Option<i64>, StoreError> {
        let mine = [Value::from(destination.to_owned()), self.began_ms().into()];
        let (among, values) = scope::condition(scope, 3);
        // Apart: that of what no replay made due is the first of its index.
        let min = |replay: &str| {
            format!(
                "SELECT min(d.next_at) FROM delivery d{} WHERE d.destination = ?1 AND d.state = 'due' AND {replay}{among}",
                if scope.is_none() { " INDEXED BY delivery_next" } else { "" }
            )
        };
        let sql = format!("SELECT ({}), ({})", min("d.replay = 0"), min("d.replay BETWEEN 1 AND ?2"));
        self.read(move |connection| {
            let all = params_from_iter(mine.into_iter().chain(values));
            let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let (own, replayed): (Option<i64>, Option<i64>) = connection.prepare_cached(&sql)?.query_row(all, row)?;
            Ok(own.into_iter().chain(replayed).min())
        })
        .await
    }

    async fn intend(&self, intents: Vec<Intent>, now_ms: i64) -> Result<Vec<i64>, StoreError> {
        let me = self.owner_id().to_owned();
        self.write("intend", move |connection| {
            // With an older send of other content still unknown, nobody can tell which of the two stands there: a digest
            // that no content has.
            let mine = match proof::is_off(Protection::Fencing) {
                true => settle::mine().to_owned(),
                false => format!("{} AND lease_until > ?4", settle::mine()),
            };
            let mut statement = connection.prepare_cached(&format!(
                "UPDATE delivery SET intent_at = ?4, intent_revision = ?5, intent_settled = 0, intent_digest =
                     CASE WHEN intent_at IS NOT NULL AND intent_digest IS NOT ?6 THEN zeroblob(32) ELSE ?6 END,
                   person_object = ?7, person_id = ?8, matched_by = ?9, match_json = ?10, record_json = ?11, updated_at = ?4,
                   person_sum = ?12
                 {mine}",
            ))?;
            let mut held = Vec::with_capacity(intents.len());
            for intent in &intents {
                let changed = statement.execute(params![
                    intent.delivery_id,
                    me,
                    intent.fence,
                    now_ms,
                    intent.revision.0,
                    intent.digest.0,
                    intent.matching.person.0,
                    intent.matching.person.1,
                    intent.matching.matched_by,
                    intent.matching.match_json,
                    intent.record_json,
                    of_target(intent.delivery_id, &[&intent.matching.person.0, &intent.matching.person.1]),
                ])?;
                if changed == 1 {
                    held.push(intent.delivery_id);
                } else {
                    tracing::warn!(delivery = intent.delivery_id, "the lease was lost; it is not sent by this process");
                }
            }
            Ok(held)
        })
        .await
    }

    async fn settle(&self, settlements: Vec<Settlement>, now_ms: i64) -> Result<usize, StoreError> {
        let me = self.owner_id().to_owned();
        self.write("settle", move |connection| {
            let mut settled = 0;
            for settlement in &settlements {
                settled += settle::settle(connection, &me, settlement, now_ms)?;
            }
            Ok(settled)
        })
        .await
    }

    async fn hold(&self, destination: &str, problem: &StoredProblem, now_ms: i64) -> Result<(), StoreError> {
        let (destination, problem) = (destination.to_owned(), problem.clone());
        self.write("hold", move |connection| {
            connection.execute(
                "INSERT INTO hold (destination, code, what, help, since) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (destination) DO UPDATE SET
                   since = CASE WHEN code = excluded.code THEN since ELSE excluded.since END,
                   code = excluded.code, what = excluded.what, help = excluded.help",
                params![destination, problem.code, problem.what, problem.help, now_ms],
            )?;
            Ok(())
        })
        .await
    }

    async fn release_hold(&self, destination: &str) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        self.write("release hold", move |connection| {
            connection.prepare_cached("DELETE FROM hold WHERE destination = ?1")?.execute([destination])?;
            Ok(())
        })
        .await
    }

    async fn let_go(&self, now_ms: i64) -> Result<(), StoreError> {
        let me = self.owner_id().to_owned();
        self.write("reclaim", move |connection| free(connection, &me, now_ms).map(|_| ())).await
    }

    async fn forget_the_future(&self, now_ms: i64) -> Result<(), StoreError> {
        self.write("reclaim", move |connection| Ok(super::forget_the_future(connection, now_ms)?)).await
    }

    async fn find_to_rearm(&self, destination: &str, which: &Rearm) -> Result<Vec<i64>, StoreError> {
        let (sql, values) = rearm::find(destination, which);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn rearm(&self, ids: &[i64], which: &Rearm, now_ms: i64) -> Result<usize, StoreError> {
        let replay = if which.replay { self.began_ms() } else { 0 };
        let (ids, sql) = (ids.to_vec(), rearm::statement(which));
        self.write("rearm", move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            ids.iter().try_fold(0, |sum, id| Ok(sum + statement.execute([now_ms, *id, replay])?))
        })
        .await
    }

    async fn company(&self) -> Result<Company, StoreError> {
        let (me, path) = (self.owner_id().to_owned(), self.path().to_owned());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, EXISTS (SELECT 1 FROM file_in_hand f WHERE f.owner = o.id)
                   OR EXISTS (SELECT 1 FROM delivery d WHERE d.state = 'leased' AND d.owner = o.id)
                 FROM owner o WHERE o.id <> ?1",
            )?;
            let others = statement.query_map([me], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let others: Vec<(String, bool)> = others.collect::<Result<_, _>>()?;
            let alive = others.iter().filter(|(id, _)| !owners::is_gone(&path, id)).map(|(_, is_busy)| *is_busy);
            Ok(match alive.max() {
                None => Company::Alone,
                Some(false) => Company::Idle,
                Some(true) => Company::Busy,
            })
        })
        .await
    }

    async fn enlist(&self, destination: &str, keys: &[CallKey], now_ms: i64) -> Result<usize, StoreError> {
        let (destination, keys) = (destination.to_owned(), keys.to_vec());
        self.write("enlist", move |connection| standing::enlist(connection, &destination, &keys, now_ms)).await
    }

    async fn claim_person(
        &self,
        destination: &str,
        matched_by: [u8; 32],
        now_ms: i64,
        settled_ms: i64,
    ) -> Result<bool, StoreError> {
        let (destination, me) = (destination.to_owned(), self.owner_id().to_owned());
        self.write("claim person", move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO person_claim (destination, matched_by, owner, at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (destination, matched_by) DO UPDATE SET owner = excluded.owner, at = excluded.at
                       WHERE owner = '' AND at <= ?5",
                )?
                .execute(params![destination, matched_by, me, now_ms, settled_ms])?;
            let owner: Option<String> = connection
                .prepare_cached("SELECT owner FROM person_claim WHERE destination = ?1 AND matched_by = ?2")?
                .query_row(params![destination, matched_by], |row| row.get(0))
                .optional()?;
            Ok(owner.as_deref() == Some(&me))
        })
        .await
    }

    async fn release_person(&self, destination: &str, matched_by: [u8; 32]) -> Result<(), StoreError> {
        let (destination, me) = (destination.to_owned(), self.owner_id().to_owned());
        self.write("release person", move |connection| {
            connection.execute(
                "DELETE FROM person_claim WHERE destination = ?1 AND matched_by = ?2 AND owner = ?3",
                params![destination, matched_by, me],
            )?;
            Ok(())
        })
        .await
    }

    async fn abandon_person(&self, destination: &str, matched_by: [u8; 32], now_ms: i64) -> Result<(), StoreError> {
        let (destination, me) = (destination.to_owned(), self.owner_id().to_owned());
        self.write("abandon person", move |connection| {
            connection.execute(
                "UPDATE person_claim SET owner = '', at = ?4 WHERE destination = ?1 AND matched_by = ?2 AND owner = ?3",
                params![destination, matched_by, me, now_ms],
            )?;
            Ok(())
        })
        .await
    }

    async fn begin_run(&self, command: &str, now_ms: i64) -> Result<i64, StoreError> {
        let (command, me) = (command.to_owned(), self.owner_id().to_owned());
        self.write("begin run", move |connection| {
            connection.execute(
                "INSERT INTO run (owner, command, started_at) VALUES (?1, ?2, ?3)",
                params![me, command, now_ms],
            )?;
            Ok(connection.last_insert_rowid())
        })
        .await
    }

    async fn end_run(&self, id: i64, summary: &str, now_ms: i64) -> Result<(), StoreError> {
        let summary = summary.to_owned();
        self.write("end run", move |connection| {
            connection
                .execute("UPDATE run SET ended_at = ?2, summary = ?3 WHERE id = ?1", params![id, now_ms, summary])?;
            Ok(())
        })
        .await
    }
}

/// Suspects in one claim; their groups are smaller in all but odd ledgers.
const SUSPECTS_MAX: usize = 1000;

impl SqliteStore {
    async fn lease(&self, wish: Wish) -> Result<Vec<Claimed>, StoreError> {
        let (owner, now_ms) = (wish.owner.clone(), wish.now_ms);
        let leased = self.write("claim", move |connection| claim::lease(connection, &wish)).await?;
        // Proving, inflating and parsing is work for other threads than the writer's.
        let decode = move || leased.into_iter().map(|one| one.and_then(Leased::decode)).collect::<Vec<_>>();
        let decoded =
            attempt(decode).await.map_err(|_| StoreError::Unusable("reading the ledger panicked".to_owned()))?;
        let (mut claimed, mut damaged) = (Vec::with_capacity(decoded.len()), Vec::new());
        for one in decoded {
            match one {
                Ok(one) => claimed.push(*one),
                Err(damage) => damaged.push(damage),
            }
        }
        if !damaged.is_empty() {
            self.write("bury", move |connection| claim::bury(connection, &owner, &damaged, now_ms)).await?;
        }
        Ok(claimed)
    }
}

/// A dead letter of which nobody could be asked whether it arrived. It is made due by a person alone: a newer revision that
/// is sent could double the record.
pub(super) fn waits_for_a_person() -> String {
    format!("(state = 'dead' AND code = '{OUTCOME_UNKNOWN}' AND (intent_at IS NULL OR intent_settled = 2))")
}

/// What the lost owner sent may have left it up to now: it settles from here on.
const FREE: &str = "UPDATE delivery SET state = 'due', owner = NULL, fence = fence + 1,
    intent_at = CASE WHEN intent_at IS NULL THEN NULL ELSE ?1 END WHERE state = 'leased' AND";

/// Takes everything out of the hands of `owner`; answers how many leases it had.
fn free(connection: &Connection, owner: &str, now_ms: i64) -> Result<usize, StoreError> {
    connection.prepare_cached("DELETE FROM file_in_hand WHERE owner = ?1")?.execute([owner])?;
    let release = "UPDATE person_claim SET owner = '', at = ?1 WHERE owner = ?2";
    connection.prepare_cached(release)?.execute(params![now_ms, owner])?;
    Ok(connection.prepare_cached(&format!("{FREE} owner = ?2"))?.execute(params![now_ms, owner])?)
}

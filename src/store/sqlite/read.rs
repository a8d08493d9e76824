//! Listings and the account of one call: reads only.

use std::ops::Range;

use async_trait::async_trait;
use jiff::civil::Date;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::body::Body;
use super::shown::{self, Shown};
use super::{SqliteStore, report, scope, standing};
use crate::model::{CallKey, Digest, Revision};
use crate::store::{
    AttemptRow, CallFilter, CallRow, DayFigures, DeliveryFilter, DeliveryRow, HoldRow, OldestSince, RawFilter, RawRow,
    ReadStore, RevisionRow, Scope, Standing, StoreError, StoredCall, StoredProblem, Tally, UnseenFile,
};

#[async_trait]
impl ReadStore for SqliteStore {
    async fn call(&self, key: &CallKey) -> Result<Option<StoredCall>, StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            let row: Option<i64> = connection
                .prepare_cached("SELECT first_seen FROM call WHERE call_key = ?1")?
                .query_row([key.as_str()], |row| row.get(0))
                .optional()?;
            let Some(first_seen_ms) = row else { return Ok(None) };
            let body = Body::find(connection, key.as_str(), true)?;
            let revisions = connection
                .prepare_cached(
                    "SELECT revision, raw_url, raw_version, at FROM revision WHERE call_key = ?1 ORDER BY 1",
                )?
                .query_map([key.as_str()], |row| {
                    Ok(RevisionRow {
                        revision: row.get(0)?,
                        raw_url: row.get(1)?,
                        raw_version: row.get(2)?,
                        at_ms: row.get(3)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            let (call, revision, changed_at_ms) = (body.decode()?, Revision(body.revision), body.changed_at_ms);
            Ok(Some(StoredCall { call, revision, first_seen_ms, changed_at_ms, revisions }))
        })
        .await
    }

    async fn find_calls(&self, id: &str) -> Result<Vec<CallKey>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| {
            let keys = connection
                .prepare_cached("SELECT call_key FROM call WHERE source_id = ?1 OR call_key = ?1 ORDER BY call_key")?
                .query_map([id], |row| Ok(CallKey::from_stored(row.get(0)?)))?
                .collect::<Result<_, _>>()?;
            Ok(keys)
        })
        .await
    }

    async fn calls(&self, filter: &CallFilter) -> Result<Vec<CallRow>, StoreError> {
        let (filter, path) = (filter.clone(), self.path().to_owned());
        self.read(move |connection| {
            let Shown { state, hold, .. } = Shown::now(connection, &path)?;
            let mut sql = Sql::new(&format!(
                "SELECT c.call_key, c.source_id, c.day, c.started_at, c.revision,
                   (SELECT group_concat(d.destination || ' ' || {state}, char(10)) FROM delivery d {hold}
                    WHERE d.call_key = c.call_key)
                 FROM call c"
            ));
            sql.days("c.day", filter.days);
            // Those without a date first: at the end a limit would hide them.
            sql.tail("ORDER BY c.started_at IS NOT NULL, c.started_at DESC, c.call_key", Some(filter.limit));
            sql.rows(connection, |row| {
                let deliveries: Option<String> = row.get(5)?;
                Ok(CallRow {
                    call_key: row.get(0)?,
                    source_id: row.get(1)?,
                    day: row.get(2)?,
                    started_at_ms: row.get(3)?,
                    revision: row.get(4)?,
                    deliveries: deliveries
                        .iter()
                        .flat_map(|all| all.lines())
                        .filter_map(|line| line.split_once(' '))
                        .map(|(destination, state)| (destination.to_owned(), state.to_owned()))
                        .collect(),
                })
            })
        })
        .await
    }

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, StoreError> {
        let (filter, path) = (filter.clone(), self.path().to_owned());
        self.read(move |connection| {
            // All states of one moment.
            let moment = connection.unchecked_transaction()?;
            let shown = Shown::now(&moment, &path)?;
            if filter.call_key.is_some() || filter.days.is_some() || filter.folder_days.is_some() {
                let rows = deliveries_of(&moment, &shown, &filter, None)?;
                return Ok(rows.into_iter().map(|(_, row)| row).collect());
            }
            let mut rows = Vec::new();
            for state in shown::of_ledger(&filter.states) {
                rows.extend(deliveries_of(&moment, &shown, &filter, Some(state))?);
            }
            rows.sort_unstable_by_key(|(order_at, row)| (*order_at, row.id));
            rows.truncate(filter.limit.unwrap_or(usize::MAX));
            Ok(rows.into_iter().map(|(_, row)| row).collect())
        })
        .await
    }

    async fn attempts(&self, delivery_id: i64) -> Result<Vec<AttemptRow>, StoreError> {
        self.read(move |connection| {
            let rows = connection
                .prepare_cached(
                    "SELECT at, took_ms, operation, batch_rows, revision, outcome, code, what FROM attempt
                     WHERE delivery_id = ?1 ORDER BY id",
                )?
                .query_map([delivery_id], |row| {
                    Ok(AttemptRow {
                        at_ms: row.get(0)?,
                        took_ms: row.get(1)?,
                        operation: row.get(2)?,
                        batch_rows: row.get(3)?,
                        revision: row.get(4)?,
                        outcome: row.get(5)?,
                        code: row.get(6)?,
                        what: row.get(7)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    async fn raws(&self, filter: &RawFilter) -> Result<Vec<RawRow>, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| {
            let mut sql = Sql::new(
                "SELECT url, version, bytes, modified_at, seen_at, digest, state, day, code, what, help, notes,
                   coalesce((SELECT s.deaths FROM file_suspect s
                     WHERE s.source = raw.source AND s.url = raw.url AND s.version = raw.version), 0)
                 FROM raw",
            );
            if let Some(state) = filter.state {
                // Not bound: only so can SQLite tell that the index of those in quarantine holds all of them.
                sql.condition(|_| format!("state = '{state}'"));
            }
            sql.among("call_key", filter.call_key.as_slice());
            sql.among("url", filter.url.as_slice());
            if let Some(part) = filter.url_part {
                sql.condition(|bind| format!("instr(url, {}) > 0", bind(Value::from(part))));
            }
            sql.tail("ORDER BY id", filter.limit);
            sql.rows(connection, raw_row)
        })
        .await
    }

    async fn standings(&self, source: &str, destination: &str, urls: &[String]) -> Result<Vec<Standing>, StoreError> {
        let (source, destination, urls) = (source.to_owned(), destination.to_owned(), urls.to_vec());
        let path = self.path().to_owned();
        self.read(move |connection| standing::of_files(connection, &path, &source, &destination, &urls)).await
    }

    async fn unseen(&self, keys: &[CallKey], seen: Range<i64>) -> Result<Vec<UnseenFile>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT url, version, day FROM raw
                 WHERE call_key = ?1 AND state = 'converted' AND (seen_at < ?2 OR seen_at >= ?3)",
            )?;
            let mut files = Vec::new();
            for key in keys {
                let mut rows = statement.query((key.as_str(), seen.start, seen.end))?;
                while let Some(row) = rows.next()? {
                    let day: Option<String> = row.get(2)?;
                    let day = day.as_deref().and_then(|day| day.parse().ok());
                    files.push(UnseenFile { key: key.clone(), url: row.get(0)?, version: row.get(1)?, day });
                }
            }
            Ok(files)
        })
        .await
    }

    async fn holds(&self) -> Result<Vec<HoldRow>, StoreError> {
        self.read(|connection| {
            let rows = connection
                .prepare_cached("SELECT destination, code, what, help, since FROM hold ORDER BY destination")?
                .query_map((), |row| {
                    Ok(HoldRow {
                        destination: row.get(0)?,
                        problem: StoredProblem { code: row.get(1)?, what: row.get(2)?, help: row.get(3)? },
                        since_ms: row.get(4)?,
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    async fn dead_letters(&self, destination: &str, days: (Date, Date), before_ms: i64) -> Result<u64, StoreError> {
        let (destination, from, to) = (destination.to_owned(), days.0.to_string(), days.1.to_string());
        self.read(move |connection| {
            let count = connection
                .prepare_cached(
                    "SELECT count(*) FROM delivery WHERE destination = ?1 AND state = 'dead' AND updated_at < ?2
                     AND call_key IN (SELECT call_key FROM raw WHERE day BETWEEN ?3 AND ?4)",
                )?
                .query_row((destination, before_ms, from, to), |row| row.get(0))?;
            Ok(count)
        })
        .await
    }

    async fn ever_delivered(&self, destination: &str) -> Result<bool, StoreError> {
        let destination = destination.to_owned();
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE destination = ?1 AND remote_id IS NOT NULL)";
            Ok(connection.prepare_cached(sql)?.query_row([destination], |row| row.get(0))?)
        })
        .await
    }

    async fn twins(&self, destination: &str, keys: &[CallKey]) -> Result<u64, StoreError> {
        let (destination, keys) = (destination.to_owned(), keys.to_vec());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                // CROSS keeps this order: left to itself, SQLite begins with everything that was ever delivered.
                "SELECT EXISTS (SELECT 1 FROM call mine CROSS JOIN call other ON other.source_id = mine.source_id
                   CROSS JOIN delivery d ON d.call_key = other.call_key
                 WHERE mine.call_key = ?1 AND other.call_key <> ?1 AND d.destination = ?2 AND d.state = 'delivered')",
            )?;
            let mut count = 0;
            for key in keys {
                count += statement.query_row((key.as_str(), &destination), |row| row.get::<_, u64>(0))?;
            }
            Ok(count)
        })
        .await
    }

    async fn last_run(&self, command: &str, ended: bool) -> Result<Option<i64>, StoreError> {
        let command = command.to_owned();
        self.read(move |connection| {
            let last = connection
                .prepare_cached(
                    "SELECT max(started_at) FROM run WHERE command = ?1 AND (ended_at IS NOT NULL OR NOT ?2)",
                )?
                .query_row((command, ended), |row| row.get(0))?;
            Ok(last)
        })
        .await
    }

    async fn count(
        &self,
        destination: &str,
        state: &'static str,
        code: Option<&'static str>,
        scope: Option<&Scope>,
    ) -> Result<u64, StoreError> {
        let values = [Value::from(destination.to_owned()), code.map(str::to_owned).into()];
        let (among, further) = scope::condition(scope, 3);
        // Apart, so that each reads no more of the index than it counts.
        let coded = if code.is_some() { "d.code = ?2" } else { "?2 IS NULL" };
        // Not bound: only so can SQLite tell that the index of what is due holds all of it.
        let of_state = match state {
            "due" => format!("d.state = 'due' AND d.replay <= {}", self.began_ms()),
            _ => format!("d.state = '{state}'"),
        };
        let sql = format!("SELECT count(*) FROM delivery d WHERE d.destination = ?1 AND {of_state} AND {coded}{among}");
        self.read(move |connection| {
            let values = params_from_iter(values.into_iter().chain(further));
            Ok(connection.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?)
        })
        .await
    }

    async fn tally(&self, destination: &str, scope: Option<&Scope>) -> Result<Vec<Tally>, StoreError> {
        let (destination, path) = (Value::from(destination.to_owned()), self.path().to_owned());
        let (among, values) = scope::condition(scope, 2);
        self.read(move |connection| {
            let moment = connection.unchecked_transaction()?;
            let Shown { state, hold, .. } = Shown::now(&moment, &path)?;
            // What has come to its end is counted by the index alone; there may be millions.
            let sql = format!(
                "SELECT d.state, d.code, count(*) FROM delivery d
                 WHERE d.destination = ?1 AND d.state IN ('dead', 'delivered', 'skipped'){among} GROUP BY 1, 2
                 UNION ALL
                 SELECT {state} AS shown, d.code, count(*) FROM delivery d {hold}
                 WHERE d.destination = ?1 AND d.state IN ('due', 'leased'){among} GROUP BY 1, 2 ORDER BY 1, 2"
            );
            let rows = moment
                .prepare_cached(&sql)?
                .query_map(params_from_iter(std::iter::once(destination).chain(values)), |row| {
                    Ok(Tally { state: row.get(0)?, code: row.get(1)?, count: row.get(2)? })
                })?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    async fn oldest_since(&self, destination: &str) -> Result<OldestSince, StoreError> {
        let destination = destination.to_owned();
        self.read(move |connection| {
            let sql = "SELECT (SELECT min(since) FROM delivery INDEXED BY delivery_dead WHERE destination = ?1 AND state = 'dead'),
                 (SELECT min(since) FROM delivery INDEXED BY delivery_next WHERE destination = ?1 AND state = 'due')";
            let (dead_ms, due_ms): (Option<i64>, Option<i64>) =
                connection.prepare_cached(sql)?.query_row([&destination], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let sql = "SELECT min(since) FROM delivery WHERE destination = ?1 AND state = 'leased'";
            let leased_ms: Option<i64> = connection.prepare_cached(sql)?.query_row([&destination], |row| row.get(0))?;
            Ok(OldestSince { dead_ms, waiting_ms: due_ms.into_iter().chain(leased_ms).min() })
        })
        .await
    }

    async fn report(&self, from: Date, to: Date) -> Result<Vec<DayFigures>, StoreError> {
        let path = self.path().to_owned();
        self.read(move |connection| report::figures(connection, &path, from, to)).await
    }
}

/// The listing of one state of the ledger, by its index, or of all; with when each is its turn.
fn deliveries_of(
    connection: &Connection,
    Shown { state, hold, former }: &Shown,
    filter: &DeliveryFilter,
    of_ledger: Option<&'static str>,
) -> Result<Vec<(i64, DeliveryRow)>, StoreError> {
    // Which of the two is walked first is not left to guesses: by days the calls are fewer, otherwise the deliveries.
    let tables = match filter.days {
        Some(_) => "call c CROSS JOIN delivery d USING (call_key)",
        None => "delivery d CROSS JOIN call c USING (call_key)",
    };
    let mut sql = Sql::new(&format!(
        "SELECT d.id, d.call_key, c.source_id, c.day, d.destination, {state} AS shown, d.desired_revision,
           d.delivered_revision, d.remote_id, d.person_object, d.person_id, d.writes, d.adopted, d.attempts,
           coalesce(h.code, d.code, {former}) AS reason, coalesce(h.what, d.what), coalesce(h.help, d.help),
           d.next_at, d.intent_at, d.delivered_at, d.match_json, d.record_json, d.deaths, d.order_at
         FROM {tables} {hold}"
    ));
    if let Some(state) = of_ledger {
        sql.among("d.state", &[state.to_owned()]);
        if matches!(state, "dead" | "skipped") {
            // No other reason is shown for these, and the index has it.
            sql.among("d.code", &filter.codes);
        }
    }
    sql.among("d.destination", filter.destination.as_slice());
    sql.among("shown", &filter.states);
    sql.among("reason", &filter.codes);
    sql.among("d.call_key", filter.call_key.as_slice());
    sql.days("c.day", filter.days);
    sql.folder_days("d.call_key", filter.folder_days);
    sql.tail("ORDER BY d.order_at, d.id", filter.limit);
    sql.rows(connection, |row| Ok((row.get(23)?, delivery_row(row)?)))
}

fn delivery_row(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    let mut shown = DeliveryRow {
        id: row.get(0)?,
        call_key: row.get(1)?,
        source_id: row.get(2)?,
        day: row.get(3)?,
        destination: row.get(4)?,
        state: row.get(5)?,
        desired_revision: row.get(6)?,
        delivered_revision: row.get(7)?,
        remote_id: row.get(8)?,
        person_object: row.get(9)?,
        person_id: row.get(10)?,
        writes: row.get(11)?,
        adopted: row.get(12)?,
        attempts: row.get(13)?,
        problem: problem(row, 14)?,
        next_at_ms: row.get(17)?,
        intent_at_ms: row.get(18)?,
        deaths: row.get(22)?,
        delivered_at_ms: row.get(19)?,
        match_json: row.get(20)?,
        record_json: row.get(21)?,
    };
    shown::explain_former(&mut shown);
    Ok(shown)
}

fn raw_row(row: &Row<'_>) -> rusqlite::Result<RawRow> {
    let notes: Option<String> = row.get(11)?;
    Ok(RawRow {
        url: row.get(0)?,
        version: row.get(1)?,
        bytes: row.get(2)?,
        modified_at_ms: row.get(3)?,
        seen_at_ms: row.get(4)?,
        digest: row.get::<_, Option<[u8; 32]>>(5)?.map(|digest| Digest(digest).to_string()),
        state: row.get(6)?,
        day: row.get(7)?,
        deaths: row.get(12)?,
        problem: problem(row, 8)?,
        notes: notes.iter().flat_map(|notes| notes.lines()).map(str::to_owned).collect(),
    })
}

/// The three columns from `at` on, if the first is set.
pub(super) fn problem(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<StoredProblem>> {
    let Some(code) = row.get(at)? else { return Ok(None) };
    let text = |index| row.get::<_, Option<String>>(index).map(Option::unwrap_or_default);
    Ok(Some(StoredProblem { code, what: text(at + 1)?, help: text(at + 2)? }))
}

/// A SELECT with conditions that are known only at run time; values are always bound.
struct Sql {
    text: String,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Sql {
    fn new(select: &str) -> Sql {
        Sql { text: select.to_owned(), conditions: Vec::new(), values: Vec::new() }
    }

    fn condition(&mut self, build: impl FnOnce(&mut dyn FnMut(Value) -> String) -> String) {
        let values = &mut self.values;
        let condition = build(&mut |value| {
            values.push(value);
            format!("?{}", values.len())
        });
        self.conditions.push(condition);
    }

    fn among(&mut self, column: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.condition(|bind| {
                let places: Vec<String> = texts.iter().map(|text| bind(Value::from(text.clone()))).collect();
                format!("{column} IN ({})", places.join(", "))
            });
        }
    }

    fn days(&mut self, column: &str, days: Option<(Date, Date)>) {
        if let Some((from, to)) = days {
            self.condition(|bind| {
                let from = bind(Value::from(from.to_string()));
                format!("{column} BETWEEN {from} AND {}", bind(Value::from(to.to_string())))
            });
        }
    }

    fn folder_days(&mut self, column: &str, days: Option<(Date, Date)>) {
        if let Some((from, to)) = days {
            self.condition(|bind| {
                let from = bind(Value::from(from.to_string()));
                let to = bind(Value::from(to.to_string()));
                format!("{column} IN (SELECT call_key FROM raw WHERE day BETWEEN {from} AND {to})")
            });
        }
    }

    fn tail(&mut self, order: &str, limit: Option<usize>) {
        if !self.conditions.is_empty() {
            self.text += &format!(" WHERE {}", self.conditions.join(" AND "));
        }
        self.text += &format!(" {order}");
        if let Some(limit) = limit {
            self.text += &format!(" LIMIT {limit}");
        }
    }

    fn rows<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = connection.prepare_cached(&self.text)?;
        let rows = statement.query_map(params_from_iter(self.values), read)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }
}

//! The judge: compares what was put into the bucket with what the remote systems and the ledger hold. It shares nothing
//! with the engine; the ledger it reads with SQL of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::day::{Day, Planned, Who, expected_task};
use super::disk;
use super::world::World;

/// The slot of the disk that only the judge uses.
const SLOT: usize = 3;

/// Something that is not as promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub session: Option<String>,
    pub what: String,
}

impl Wrong {
    pub fn of_run(what: String) -> Wrong {
        Wrong { session: None, what }
    }

    pub fn of(session: &str, what: String) -> Wrong {
        Wrong { session: Some(session.to_owned()), what }
    }
}

/// How many calls ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub delivered: usize,
    pub skipped: usize,
    pub dead: usize,
    pub quarantined: usize,
    pub updated: usize,
    pub unknown_attempts: usize,
    pub found_after_loss: usize,
    pub attempts: usize,
    /// Calls and files that a process died with three times alone: innocent here, and put aside until a person asks.
    pub condemned: usize,
}

/// Desired revision, delivered revision and writes of each delivery, by call key and destination.
type Committed = BTreeMap<(String, String), (i64, i64, i64)>;

pub type Shared = Rc<RefCell<Witness>>;

/// What the ledger has shown to be committed once; it must never be gone.
#[derive(Default)]
pub struct Witness {
    seen: Committed,
    pub wrong: Vec<Wrong>,
    pub looks: usize,
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags_and_vfs(path, flags, disk::names()[SLOT])
}

fn rows(path: &Path) -> rusqlite::Result<Committed> {
    let connection = open(path)?;
    let mut ask = connection
        .prepare("SELECT call_key, destination, desired_revision, delivered_revision, writes FROM delivery")?;
    let rows = ask.query_map((), |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?))))?;
    rows.collect()
}

impl Witness {
    /// Remembers what is committed now.
    pub fn look(&mut self, path: &Path) {
        let ills = disk::with(|disk| std::mem::take(&mut disk.ills));
        if let Ok(rows) = rows(path) {
            self.seen.extend(rows);
            self.looks += 1;
        }
        disk::with(|disk| disk.ills = ills);
    }

    /// Compares with what is there after a blow.
    pub fn check(&mut self, path: &Path) {
        if self.seen.is_empty() {
            return;
        }
        let ills = disk::with(|disk| std::mem::take(&mut disk.ills));
        match rows(path) {
            Ok(rows) => {
                for (key, before) in std::mem::take(&mut self.seen) {
                    match rows.get(&key) {
                        None => self.wrong.push(Wrong::of_run(format!("{key:?} was committed and is gone"))),
                        Some(now) if now.0 < before.0 || now.1 < before.1 || now.2 < before.2 => {
                            self.wrong
                                .push(Wrong::of_run(format!("{key:?} was committed as {before:?} and is {now:?}")));
                        }
                        Some(_) => {}
                    }
                }
            }
            Err(error) => self.wrong.push(Wrong::of_run(format!("the ledger cannot be read after a blow: {error}"))),
        }
        disk::with(|disk| disk.ills = ills);
    }
}

/// How much a process that died had in hand.
pub fn in_hand(path: &Path, owner: &str) -> rusqlite::Result<u64> {
    let sql = "SELECT (SELECT count(*) FROM delivery WHERE owner = ?1 AND state = 'leased')
        + (SELECT count(*) FROM file_in_hand WHERE owner = ?1)";
    open(path)?.query_row(sql, [owner], |row| row.get(0))
}

/// Judges a world that has come to rest.
pub fn judge(
    path: &Path,
    world: &World,
    day: &Day,
    people: (&[String], &[String]),
    zone: &str,
    ends: &mut Ends,
    wrong: &mut Vec<Wrong>,
) {
    let zone = jiff::tz::TimeZone::get(zone).expect("a zone");
    tasks(world, day, people, &zone, wrong);
    payloads(world, day, wrong);
    if let Err(error) = ledger(path, world, day, ends, wrong) {
        wrong.push(Wrong::of_run(format!("the ledger cannot be read: {error}")));
    }
    words(world, wrong);
}

/// I5: the call that came after the faults has passed by now, like any other.
pub fn fresh(world: &World, day: &Day) -> Vec<Wrong> {
    let Some(call) = day.calls.last() else { return Vec::new() };
    let tasks = world.org.records("Task");
    let tasks = tasks.iter().filter(|task| task.get("CallObject").and_then(Value::as_str) == Some(&call.session));
    let payloads = world.api.calls();
    let payloads = payloads.iter().filter(|payload| payload["transcription"]["session_id"] == *call.session);
    let (tasks, payloads) = (tasks.count(), payloads.count());
    if (tasks, payloads) == (1, 1) {
        return Vec::new();
    }
    let what = format!("a fresh call has {tasks} Tasks and {payloads} payloads when its time is over");
    vec![Wrong::of(&call.session, what)]
}

/// I5: after the quiet hours nothing waits any more; what did not pass is dead, and a person can see it.
pub fn drained(path: &Path, ends: &mut Ends) -> Vec<Wrong> {
    let mut look = || {
        let connection = open(path)?;
        ends.condemned = connection.query_row(
            "SELECT (SELECT count(*) FROM delivery WHERE code = 'TL0610') + (SELECT count(*) FROM raw WHERE code = 'TL0308')",
            (),
            |row| row.get(0),
        )?;
        let mut ask = connection.prepare(
            "SELECT c.source_id, d.destination, d.state, d.attempts, d.code FROM delivery d JOIN call c USING (call_key)
             WHERE d.state IN ('due', 'leased')",
        )?;
        let rows = ask.query_map((), |row| {
            let (session, destination, state): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (attempts, code): (i64, Option<String>) = (row.get(3)?, row.get(4)?);
            let what =
                format!("is still {state} at {destination} after the quiet hours ({attempts} attempts, {code:?})");
            Ok(Wrong::of(&session, what))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    look().unwrap_or_else(|error| vec![Wrong::of_run(format!("the ledger cannot be read after the day: {error}"))])
}

fn person<'a>(call: &Planned, (contacts, leads): (&'a [String], &'a [String])) -> Option<&'a str> {
    match call.who {
        Who::Contact(number) => Some(&contacts[number]),
        Who::Lead(number) => Some(&leads[number]),
        Who::Unknown | Who::NoEmail => None,
    }
}

/// I1 to I4 at Salesforce: each call with a person has one Task that says what its newest revision says.
fn tasks(world: &World, day: &Day, people: (&[String], &[String]), zone: &jiff::tz::TimeZone, wrong: &mut Vec<Wrong>) {
    let mut by_session: BTreeMap<String, Vec<serde_json::Map<String, Value>>> = BTreeMap::new();
    for task in world.org.records("Task") {
        let of = task.get("CallObject").and_then(Value::as_str).unwrap_or_default().to_owned();
        by_session.entry(of).or_default().push(task);
    }
    for (index, call) in day.calls.iter().enumerate() {
        let found = by_session.remove(&call.session).unwrap_or_default();
        let Some(person) = person(call, people) else {
            if !found.is_empty() {
                wrong.push(Wrong::of(&call.session, format!("{} Tasks for a call without a person", found.len())));
            }
            continue;
        };
        if found.len() != 1 {
            wrong.push(Wrong::of(&call.session, format!("{} Tasks", found.len())));
        }
        let Some(task) = found.first() else { continue };
        for (field, value) in expected_task(call, index, person, zone) {
            let there = task.get(&field).cloned().unwrap_or_default();
            if there != value {
                wrong.push(Wrong::of(&call.session, format!("{field} is {there}, not {value}")));
            }
        }
    }
    for (session, tasks) in by_session {
        wrong.push(Wrong::of(&session, format!("{} Tasks of a call that nobody made", tasks.len())));
    }
}

/// The same at the call-data API, which has no updates: each call once.
fn payloads(world: &World, day: &Day, wrong: &mut Vec<Wrong>) {
    let mut by_session: BTreeMap<String, usize> = BTreeMap::new();
    for payload in world.api.calls() {
        let session = payload["transcription"]["session_id"].as_str().unwrap_or_default().to_owned();
        let Some(call) = day.calls.iter().find(|call| call.session == session) else {
            wrong.push(Wrong::of(&session, "a payload of a call that nobody made".to_owned()));
            continue;
        };
        let seconds = payload["callDetails"]["duration"].as_i64();
        if seconds != Some(call.seconds) {
            wrong.push(Wrong::of(&session, format!("the payload says {seconds:?} seconds, not {}", call.seconds)));
        }
        *by_session.entry(session).or_default() += 1;
    }
    for call in &day.calls {
        match by_session.get(&call.session).copied().unwrap_or_default() {
            1 => {}
            count => wrong.push(Wrong::of(&call.session, format!("{count} payloads"))),
        }
    }
}

/// The books: every file and every call has an end with a reason, and they agree with the remote systems.
fn ledger(path: &Path, world: &World, day: &Day, ends: &mut Ends, wrong: &mut Vec<Wrong>) -> rusqlite::Result<()> {
    let connection = open(path)?;
    let sound: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0))?;
    if sound != "ok" {
        wrong.push(Wrong::of_run(format!("integrity_check: {sound}")));
    }
    files(&connection, world, day, ends, wrong)?;
    let mut ask = connection.prepare(
        "SELECT c.source_id, d.destination, d.state, d.code, d.what, c.revision FROM delivery d JOIN call c USING (call_key)",
    )?;
    let mut rows = ask.query(())?;
    let mut stands: BTreeMap<(String, String), (String, Option<String>)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (session, destination): (String, String) = (row.get(0)?, row.get(1)?);
        let (state, code): (String, Option<String>) = (row.get(2)?, row.get(3)?);
        let what: Option<String> = row.get(4)?;
        match state.as_str() {
            "delivered" => ends.delivered += 1,
            "skipped" if code.is_some() => ends.skipped += 1,
            "dead" if code.is_some() => ends.dead += 1,
            other => wrong.push(Wrong::of(&session, format!("is left {other} at {destination} ({code:?} {what:?})"))),
        }
        if let Some(what) = what.filter(|what| what.contains("@example")) {
            wrong.push(Wrong::of(&session, format!("an address stands in the reason: {what}")));
        }
        if stands.insert((session.clone(), destination.clone()), (state, code)).is_some() {
            wrong.push(Wrong::of(&session, format!("two calls of one session for {destination}")));
        }
    }
    for call in &day.calls {
        for destination in ["salesforce", "call_data_api"] {
            let has_person = destination == "call_data_api" || !matches!(call.who, Who::Unknown | Who::NoEmail);
            let expected = if has_person { "delivered" } else { "skipped" };
            match stands.get(&(call.session.clone(), destination.to_owned())) {
                Some((state, _)) if state == expected => {}
                other => {
                    wrong.push(Wrong::of(&call.session, format!("{destination} has it as {other:?}, not {expected}")))
                }
            }
        }
    }
    let count = |sql: &str| connection.query_row(sql, (), |row| row.get::<_, i64>(0)).map(|count| count as usize);
    ends.attempts = count("SELECT count(*) FROM attempt")?;
    ends.unknown_attempts = count("SELECT count(*) FROM attempt WHERE outcome = 'unknown'")?;
    ends.updated = count("SELECT count(*) FROM attempt WHERE operation = 'update' AND outcome = 'delivered'")?;
    ends.found_after_loss = count("SELECT count(*) FROM attempt WHERE outcome IN ('exists', 'unchanged')")?;
    let leaks = count("SELECT count(*) FROM attempt WHERE what LIKE '%@example%'")?;
    if leaks > 0 {
        wrong.push(Wrong::of_run(format!("{leaks} attempts tell an address")));
    }
    Ok(())
}

fn files(
    connection: &Connection,
    world: &World,
    day: &Day,
    ends: &mut Ends,
    wrong: &mut Vec<Wrong>,
) -> rusqlite::Result<()> {
    let mut ask = connection.prepare("SELECT url, version, state FROM raw")?;
    let rows =
        ask.query_map((), |row| Ok((row.get::<_, String>(0)?, (row.get::<_, String>(1)?, row.get::<_, String>(2)?))))?;
    let mut known: BTreeMap<String, (String, String)> = rows.collect::<Result<_, _>>()?;
    let broken: BTreeSet<&str> = day.puts.iter().filter(|put| put.call.is_none()).map(|put| put.key.as_str()).collect();
    for (key, tag) in world.bucket.tags() {
        let expected = if broken.contains(key.as_str()) { "quarantined" } else { "converted" };
        match known.remove(&format!("s3://bucket/{key}")) {
            Some((version, state)) if version == tag && state == expected => {}
            other => {
                wrong.push(Wrong::of_run(format!("the file {key} stands in the ledger as {other:?}, not {expected}")))
            }
        }
    }
    ends.quarantined = broken.len();
    if let Some((url, _)) = known.first_key_value() {
        wrong.push(Wrong::of_run(format!("the ledger knows {} files that nobody put, such as {url}", known.len())));
    }
    Ok(())
}

/// I6: no address, card or secret in anything that was told.
fn words(world: &World, wrong: &mut Vec<Wrong>) {
    let told = world.told();
    for canary in ["@example", "4111 1111", "sim-secret", "invented"] {
        if let Some(line) = told.lines().find(|line| line.contains(canary)) {
            wrong.push(Wrong::of_run(format!("`{canary}` was told: {line}")));
        }
    }
}

//! The store in one SQLite file: one writer thread with group commit, a few read connections, WAL, every commit synced.
//!
//! Invariants: only the writer thread writes; a reply leaves only after the commit that it stands on; a process that
//! uses the file holds a lock on a file of its own beside it, so that others can tell whether it is still alive.

mod body;
mod claim;
mod delivery;
mod hands;
mod intake;
mod merge;
mod owners;
mod quarantine;
mod read;
mod reader;
mod rearm;
mod report;
mod schema;
mod scope;
mod settle;
mod shown;
mod standing;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use crate::offload::attempt;
use crate::proof::{self, Protection, Step};
use owners::Owner;
use reader::Reading;
use writer::Writer;

/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle read connections that are kept.
const READERS_MAX: usize = 4;
/// The writer's page cache, in KB. Small, so that a short run fills it as a long one does: what falls out of it is still in
/// the system's own cache, and four times as much saves 3 % of a run's processor time.
const CACHE_KB: i64 = 2 * 1024;
/// Pages in the WAL before SQLite moves them into the main file.
const WAL_PAGES_MAX: u32 = 4000;

/// A handle; clones share the writer.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

/// Fields are dropped in this order: the writer's connection has to be the last, because only one that may write moves the
/// WAL into the main file and takes it away.
struct Shared {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    reading: Reading,
    /// The file system of a simulation.
    disk: Option<&'static str>,
    /// What only a store that was opened to write has.
    writing: Option<Writing>,
}

/// The writer is dropped before the lock.
struct Writing {
    writer: Writer,
    owner: Owner,
    /// When this process began, never 0; its settings are not newer.
    began_ms: i64,
}

impl SqliteStore {
    /// Opens or makes the store at `path` and brings its schema up to date. `owner_id` names this process in leases and
    /// must be new each time.
    pub fn open(path: &Path, owner_id: &str, now_ms: i64) -> Result<SqliteStore, StoreError> {
        gate(rusqlite::version(), rusqlite::version_number())?;
        proof::reached("open ledger", Step::Before);
        make_private(path)?;
        // Locks are files beside the ledger: two names of one ledger must lead to the same ones.
        let path = &canonical(path)?;
        let mut connection = connect_to_write(path).map_err(|error| at(path, error))?;
        begin_log_anew(&mut connection).map_err(|error| at(path, error.into()))?;
        schema::migrate(&mut connection, path).map_err(|error| at(path, error))?;
        proof::reached("open ledger", Step::Within);
        let owner = Owner::register(path, owner_id)?;
        connection
            .execute("INSERT INTO owner (id, started_at) VALUES (?1, ?2)", (owner_id, now_ms))
            .map_err(StoreError::from)?;
        forget_the_future(&connection, now_ms).map_err(StoreError::from)?;
        proof::reached("open ledger", Step::After);
        let writer = Writer::start(connection)?;
        Ok(SqliteStore::new(path, Reading::BesideWriter, Some(Writing { writer, owner, began_ms: now_ms.max(1) })))
    }

    fn new(path: &Path, reading: Reading, writing: Option<Writing>) -> SqliteStore {
        let shared =
            Shared { path: path.to_owned(), readers: Mutex::new(Vec::new()), reading, disk: proof::vfs(), writing };
        SqliteStore { shared: Arc::new(shared) }
    }

    /// Copies the store at `from`, as last committed, to a new file.
    pub fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
        // It only reads. But one that may not write would leave a WAL behind where it was the last to close.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(from, flags, proof::vfs())?;
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        Ok(())
    }

    /// Runs `job` inside the writer's next transaction and answers after its commit. `name` is the place's name for
    /// tests that stop the program there.
    async fn write<T, F>(&self, name: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.shared.writing {
            Some(writing) => writing.writer.run(name, job).await,
            None => Err(StoreError::Unusable(format!("{} was opened only to be read", self.path().display()))),
        }
    }

    /// Runs `job` on a read connection, off the reactor.
    async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let idle = shared.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => shared.reading.connect(&shared.path, shared.disk)?,
            };
            let result = job(&connection);
            let mut readers = shared.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if readers.len() < READERS_MAX {
                readers.push(connection);
            }
            result
        };
        attempt(work).await.unwrap_or_else(|_| Err(StoreError::Unusable("a reader panicked".to_owned())))
    }

    fn owner_id(&self) -> &str {
        self.shared.writing.as_ref().map_or("", |writing| writing.owner.id())
    }

    /// What a replay that was asked for later made due is not for this process: it knows an older mapping.
    fn began_ms(&self) -> i64 {
        self.shared.writing.as_ref().map_or(i64::MAX, |writing| writing.began_ms)
    }

    /// Where the store stands.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }
}

fn connect_to_write(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags, proof::vfs())?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "page_size", 8192)?;
    patiently(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "synchronous", if proof::is_off(Protection::Fsync) { "OFF" } else { "FULL" })?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
    connection.pragma_update(None, "cache_size", -CACHE_KB)?;
    Ok(connection)
}

/// Moves what a process left in the log into the main file, so that the first commit begins a new log. After a sync that
/// failed, the system shows what was written and may never write it to the disk: whatever is committed behind it in the same
/// log would go with it when the power fails.
fn begin_log_anew(connection: &mut Connection) -> rusqlite::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    connection.busy_timeout(PATIENCE)?;
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if is_busy {
        tracing::debug!("another process reads the log; it goes on");
    }
    connection.busy_handler(Some(waits_its_turn))
}

/// What stands later than now was noted by a clock that was ahead. Nothing was sent later than now, and no pause is as
/// long: without this, a call could wait for the year of a clock that was once wrong.
fn forget_the_future(connection: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    const PAUSE_LONGEST_MS: i64 = 2 * 3600 * 1000;
    connection.execute("UPDATE delivery SET intent_at = ?1 WHERE state = 'due' AND intent_at > ?1", [now_ms])?;
    let late_ms = now_ms.saturating_add(PAUSE_LONGEST_MS);
    connection.execute("UPDATE delivery SET next_at = ?1 WHERE state = 'due' AND next_at > ?2", [now_ms, late_ms])?;
    connection.execute("UPDATE delivery SET replay = ?1 WHERE state = 'due' AND replay > ?1", [now_ms])?;
    connection.execute("UPDATE person_claim SET at = ?1 WHERE at > ?1", [now_ms])?;
    Ok(())
}

/// Asks again soon. SQLite's own handler ends with pauses of 100 ms, in which a process that writes one transaction after
/// the other is always the first to begin the next.
fn waits_its_turn(asked: i32) -> bool {
    const PAUSE: Duration = Duration::from_millis(2);
    std::thread::sleep(PAUSE);
    PAUSE * asked.unsigned_abs() < BUSY_TIMEOUT
}

/// A connection that waits for others; the seam where a simulation puts a disk of its own.
fn connect(path: &Path, flags: OpenFlags, disk: Option<&str>) -> rusqlite::Result<Connection> {
    let mut connection = match disk {
        Some(disk) => Connection::open_with_flags_and_vfs(path, flags, disk)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    connection.busy_handler(Some(waits_its_turn))?;
    // Otherwise a statement is prepared anew each time that another value is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn canonical(path: &Path) -> Result<PathBuf, StoreError> {
    path.canonicalize().map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))
}

/// The same error with the file that it is about.
fn at(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Unusable(cause) if cause.contains(&*path.to_string_lossy()) => StoreError::Unusable(cause),
        StoreError::Unusable(cause) => StoreError::Unusable(format!("{}: {cause}", path.display())),
        StoreError::Damaged { cause, .. } => StoreError::Damaged { place: path.display().to_string(), cause },
        other => other,
    }
}

/// Turning a new file to WAL needs it alone, and SQLite does not wait for that by itself: of two processes that start at
/// once, one would fail.
fn patiently(mut attempt: impl FnMut() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..BUSY_TIMEOUT.as_millis() / PAUSE.as_millis() {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                std::thread::sleep(PAUSE);
            }
            ended => return ended,
        }
    }
    attempt()
}

/// A new ledger is for its owner alone: it holds what callers said. SQLite gives its other files the same mode.
#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::Unusable(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn make_private(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// Refuses SQLite libraries with the WAL-reset race (fixed in 3.51.3; 3.52.0 was withdrawn): sqlite.org/wal.html.
fn gate(text: &str, number: i32) -> Result<(), StoreError> {
    if number < 3_051_003 || number == 3_052_000 {
        return Err(StoreError::UnsafeSqlite(text.to_owned()));
    }
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => {
                StoreError::Damaged { place: "the database file".to_owned(), cause: error.to_string() }
            }
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full(error.to_string()),
            _ => StoreError::Unusable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_is_closed_leaves_one_file() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let store = SqliteStore::open(&folder.path().join("calls.db"), "a1", 0)?;
        store.write("a test", |connection| Ok(connection.execute("INSERT INTO owner VALUES ('b2', 0)", ())?)).await?;
        let owners: i64 = store
            .read(|connection| Ok(connection.query_row("SELECT count(*) FROM owner", (), |row| row.get(0))?))
            .await?;
        assert_eq!(owners, 2);
        drop(store);
        let names: Vec<_> =
            std::fs::read_dir(folder.path())?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
        assert_eq!(names, ["calls.db"]);
        Ok(())
    }

    #[tokio::test]
    async fn what_a_clock_noted_that_was_ahead_is_not_waited_for() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("calls.db");
        const YEAR_MS: i64 = 365 * 86_400_000;
        let store = SqliteStore::open(&path, "a1", YEAR_MS)?;
        store
            .write("a test", |connection| {
                connection.execute_batch(
                    "INSERT INTO call (call_key, source, source_id, revision, digest, evidence_at, evidence_raw,
                       evidence_url, first_seen, changed_at) VALUES ('k', 's', 'i', 1, x'', 0, x'', '', 0, 0);
                     INSERT INTO delivery (call_key, destination, state, order_at, desired_revision, next_at, intent_at,
                       intent_digest, updated_at) VALUES ('k', 'd', 'due', 0, 1, 31536001000, 31536000000, x'', 0),
                       ('k', 'e', 'due', 0, 1, 61000, 1000, x'', 0);
                     INSERT INTO person_claim VALUES ('d', x'', '', 31536000000);",
                )?;
                Ok(())
            })
            .await?;
        drop(store);
        let store = SqliteStore::open(&path, "b2", 2000)?;
        let times = store
            .read(|connection| {
                let claim: i64 = connection.query_row("SELECT at FROM person_claim", (), |row| row.get(0))?;
                let mut rows = connection.prepare("SELECT next_at, intent_at FROM delivery ORDER BY id")?;
                let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok((claim, rows.collect::<Result<Vec<(i64, i64)>, _>>()?))
            })
            .await?;
        assert_eq!(times, (2000, vec![(2000, 2000), (61_000, 1000)]));
        Ok(())
    }

    #[test]
    fn sqlite_libraries_that_can_lose_commits_are_refused() {
        let check = |number: i32, fine: bool| assert_eq!(gate("x", number).is_ok(), fine, "{number}");
        check(3_050_002, false);
        check(3_051_002, false);
        check(3_051_003, true);
        check(3_052_000, false);
        check(3_053_002, true);
        assert!(gate(rusqlite::version(), rusqlite::version_number()).is_ok());
    }
}

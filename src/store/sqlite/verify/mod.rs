//! Checks a whole ledger: that the file is one, that each row is as it was written, and that no row contradicts another.
//!
//! Invariants: it only looks, and leaves no byte of the ledger changed; it reads one moment of the ledger, also beside a
//! process that writes; memory does not grow with the number of rows. What cannot be read is a finding, not the end.

mod bodies;
mod file;
mod log;
mod rows;
mod rules;

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, ErrorCode};

use super::reader::{Reading, beside};
use super::{SqliteStore, StoreError, at, canonical, schema};
use crate::store::{Finding, Soundness, Step};

/// Rows between two signs of progress.
const TOLD_EVERY: u64 = 500;
/// How often it is begun anew where the ledger was changed under a check that cannot keep to one moment.
const ATTEMPTS_MAX: usize = 3;

/// The oldest schema that can be checked; an older one is brought up to date by any run.
const SCHEMA_MIN: u32 = 2;

impl SqliteStore {
    /// Checks the ledger at `path`, which must be there. An error only where nothing of it can be read.
    pub fn verify(path: &Path, told: &mut dyn FnMut(Step)) -> Result<Soundness, StoreError> {
        let path = &canonical(path)?;
        File::open(path).map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))?;
        let mut attempts = 1;
        loop {
            // With a log there may be a process that writes, and locks keep to one moment. Without one nobody has it
            // open, and it is read as it stands: a connection of the usual kind would make a log.
            let reading = if beside(path, "-wal").exists() { Reading::Beside } else { Reading::AsItStands };
            let before = stamp(path);
            let checked = Check::of(path, reading, told).map_err(|error| at(path, error))?;
            if reading == Reading::Beside || stamp(path) == before || attempts == ATTEMPTS_MAX {
                return Ok(checked);
            }
            attempts += 1;
        }
    }
}

fn stamp(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// A check under way.
struct Check<'a> {
    connection: Connection,
    path: &'a Path,
    /// The ledger's schema is older than the checksums.
    is_old: bool,
    found: Soundness,
    told: &'a mut dyn FnMut(Step),
}

impl Check<'_> {
    fn of(path: &Path, reading: Reading, told: &mut dyn FnMut(Step)) -> Result<Soundness, StoreError> {
        let mut found = Soundness::default();
        if let Some(finding) = file::is_cut(path)? {
            found.find(finding);
            return Ok(found);
        }
        log::look(path, &mut found)?;
        let locks = file::locks(path)?;
        let connection = reading.connect(path, crate::proof::vfs())?;
        let version = connection.execute_batch("BEGIN").and_then(|()| schema::version(&connection));
        let version = match version {
            Ok(version) => version,
            Err(error) if is_corrupt(&error) => {
                found.find(unreadable("the file", &error));
                return Ok(found);
            }
            Err(error) => return Err(error.into()),
        };
        if version > schema::known() {
            return Err(StoreError::Newer { found: version, known: schema::known() });
        }
        if version < SCHEMA_MIN {
            let what = format!("schema {version} is too old to be checked: any `trunkline sync` brings it up to date");
            return Err(StoreError::Unusable(what));
        }
        found.schema = version;
        let mut check = Check { connection, path, is_old: version < 3, found, told };
        check.guarded("the file's structure", Check::structure)?;
        check.guarded("calls", Check::bodies)?;
        check.guarded("calls", Check::calls)?;
        check.guarded("deliveries", Check::deliveries)?;
        check.guarded("files", Check::files)?;
        check.guarded("the rest", Check::rest)?;
        check.guarded("conservation", Check::conservation)?;
        check.guarded("processes", |check| check.owners(&locks))?;
        Ok(check.found)
    }

    /// One part of the check; that it cannot be finished is a finding.
    fn guarded(&mut self, what: &str, part: impl FnOnce(&mut Self) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        match part(self) {
            Err(error) if is_out_of_reach(&error) => Err(error.into()),
            Err(error) => {
                self.found.find(unreadable(what, &error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn count(&self, table: &str) -> rusqlite::Result<u64> {
        self.connection.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0))
    }
}

fn tell(told: &mut dyn FnMut(Step), what: &'static str, done: u64, of: u64) {
    if done.is_multiple_of(TOLD_EVERY) || done == of {
        told(Step { what, done, of });
    }
}

/// What to do where the file itself is damaged.
const RESTORE: &str = "stop what runs, keep a copy of the file and its -wal, and restore the last good backup; then sync the \
    days since it. See docs/verify.md";

fn unreadable(what: &str, error: &rusqlite::Error) -> Finding {
    let what = what.to_owned();
    Finding {
        rule: "unreadable",
        what: format!("it cannot be read to its end: {error}"),
        place: what,
        help: RESTORE.into(),
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

/// Errors that say nothing of what the ledger holds.
fn is_out_of_reach(error: &rusqlite::Error) -> bool {
    use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, NotADatabase, OutOfMemory, PermissionDenied};
    let codes = [CannotOpen, DatabaseBusy, DatabaseLocked, NotADatabase, OutOfMemory, PermissionDenied];
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

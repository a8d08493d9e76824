//! Opening a ledger only to look at it, also for who may not write beside it.
//!
//! Invariant: who only looks registers nowhere, makes no ledger, and changes no row.

use std::cmp::Ordering;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{SqliteStore, StoreError, at, canonical, schema};

/// What means something in the path of a SQLite URI.
const IN_URI: AsciiSet = CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

/// How connections that only read are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// This process has a writer's connection, which tidies up when it goes.
    BesideWriter,
    /// The last to close moves the WAL into the main file and takes it away, so the connection could write, but does not.
    Alone,
    /// Leaves the WAL as it is, where it is.
    Beside,
    /// Nothing may be written beside the file, and it is whole without a WAL: it is read as it stands.
    AsItStands,
}

impl Reading {
    pub fn connect(self, path: &Path, disk: Option<&str>) -> rusqlite::Result<Connection> {
        let connection = match self {
            Reading::BesideWriter | Reading::Beside => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, disk)?,
            Reading::Alone => {
                let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, disk)?;
                connection.pragma_update(None, "query_only", "ON")?;
                connection
            }
            Reading::AsItStands => {
                let uri = percent_encode(path.as_os_str().as_encoded_bytes(), &IN_URI);
                let uri = PathBuf::from(format!("file:{uri}?immutable=1"));
                open(&uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI, disk)?
            }
        };
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }
}

fn open(path: &Path, flags: OpenFlags, disk: Option<&str>) -> rusqlite::Result<Connection> {
    super::connect(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX, disk)
}

impl SqliteStore {
    /// Opens the store at `path`, which must be there, only to read. `None` if its schema is an older one, so that it has
    /// to be opened to write once.
    pub fn open_to_read(path: &Path) -> Result<Option<SqliteStore>, StoreError> {
        let path = &canonical(path)?;
        File::open(path).map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))?;
        let reading = how(path)?;
        let found = version(reading, path).map_err(|error| at(path, error.into()))?;
        match found.cmp(&schema::known()) {
            Ordering::Greater => Err(StoreError::Newer { found, known: schema::known() }),
            Ordering::Less => Ok(None),
            Ordering::Equal => Ok(Some(SqliteStore::new(path, reading, None))),
        }
    }
}

fn how(path: &Path) -> Result<Reading, StoreError> {
    let may_write = OpenOptions::new().write(true).open(path).is_ok();
    // A WAL made by who may not write the ledger would stay behind in the way of its owner.
    if !may_write && !has_log(path) {
        return Ok(Reading::AsItStands);
    }
    match version(Reading::Alone, path) {
        Err(error) if is_denied(&error) && has_log(path) => Err(StoreError::Unusable(format!(
            "{} has newer rows in its -wal file, which this user may not read",
            path.display()
        ))),
        Err(error) if is_denied(&error) => Ok(Reading::AsItStands),
        _ => Ok(Reading::Alone),
    }
}

/// The schema's step; the first real look into the file.
fn version(reading: Reading, path: &Path) -> rusqlite::Result<u32> {
    schema::version(&reading.connect(path, crate::proof::vfs())?)
}

/// Whether SQLite could not make its files beside the ledger.
fn is_denied(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

/// Whether rows may stand in the WAL that are not in the main file yet.
fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The file beside the ledger whose name ends so.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

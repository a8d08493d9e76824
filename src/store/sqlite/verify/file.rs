//! The file as such: its length, SQLite's own checks, and who has it open.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::super::owners;
use super::{Check, RESTORE, tell};
use crate::store::{Finding, Soundness, StoreError};

/// Messages of SQLite's own check that are taken.
const MESSAGES_MAX: u32 = 100;

/// A file that is shorter than its own header says, which SQLite does not open.
pub(super) fn is_cut(path: &Path) -> Result<Option<Finding>, StoreError> {
    let unreadable = |error: std::io::Error| StoreError::Unusable(error.to_string());
    let mut header = Vec::with_capacity(100);
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    file.take(100).read_to_end(&mut header).map_err(unreadable)?;
    if header.len() < 100 && !has_log(path) {
        return Err(StoreError::Unusable(format!("{bytes} bytes are not a database")));
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Ok(None);
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let page = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let (pages, is_current) = (u64::from(number(28)), number(24) == number(92));
    let expected = pages * page;
    if !is_current || page < 512 || bytes >= expected || has_log(path) {
        return Ok(None);
    }
    Ok(Some(Finding {
        rule: "cut",
        place: "the file".into(),
        what: format!("it has {bytes} bytes of the {expected} that its header tells: its end is missing"),
        help: RESTORE.into(),
    }))
}

/// With a log the file may rightly be shorter: its new pages stand there.
fn has_log(path: &Path) -> bool {
    std::fs::metadata(super::beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The ids of the processes that have a lock file beside the ledger.
pub(super) fn locks(path: &Path) -> Result<Vec<String>, StoreError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let prefix = format!("{}-owner-", path.file_name().unwrap_or_default().to_string_lossy());
    let entries = std::fs::read_dir(folder).map_err(|error| StoreError::Unusable(error.to_string()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect())
}

impl Check<'_> {
    /// SQLite's own checks: pages, indexes, constraints, and rows that belong to a row that is not there.
    pub(super) fn structure(&mut self) -> rusqlite::Result<()> {
        tell(self.told, "the file's structure", 0, 0);
        let mut statement = self.connection.prepare(&format!("PRAGMA integrity_check({MESSAGES_MAX})"))?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let message: String = row.get(0)?;
            for line in message.lines().filter(|line| *line != "ok") {
                self.found.find(of_structure(line));
            }
        }
        let mut statement = self.connection.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let place = format!("{table} row {}", id.unwrap_or_default());
            let what = format!("it belongs to a {parent} that is not there");
            self.found.find(Finding { rule: "orphan", place, what, help: RESTORE.into() });
        }
        Ok(())
    }

    /// Who has the ledger open, by its own rows and by the lock files beside it.
    pub(super) fn owners(&mut self, locks: &[String]) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare("SELECT id FROM owner")?;
        let known: Vec<String> = statement.query_map((), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut leases =
            self.connection.prepare("SELECT count(*) FROM delivery WHERE state = 'leased' AND owner = ?1")?;
        for owner in known.iter().filter(|owner| owners::is_gone(self.path, owner)) {
            let count: u64 = leases.query_row([owner], |row| row.get(0))?;
            if count > 0 {
                note(
                    &mut self.found,
                    "lease-of-the-gone",
                    format!("process {owner}"),
                    format!("it is gone and has {count} deliveries in hand"),
                    "nothing: the next run takes them back, and looks before it sends",
                );
            }
        }
        for lock in locks.iter().filter(|lock| !known.contains(lock)) {
            let (what, help) = match owners::is_gone(self.path, lock) {
                true => (
                    "it had a ledger of this name open, and this file does not know of it: the file may be older than that",
                    "if a backup was restored, sync the days since; else find out who exchanged the file",
                ),
                false => (
                    "it has a ledger of this name open, and this file does not know of it: it is just starting, or the file \
                     was exchanged under it",
                    "verify again; if it is still told, stop the process, which writes to a file that is gone",
                ),
            };
            note(&mut self.found, "unknown-process", format!("process {lock}"), what.to_owned(), help);
        }
        Ok(())
    }
}

fn of_structure(message: &str) -> Finding {
    let of_index = message.contains(" index ") || message.contains("entries in index");
    let help = match of_index {
        true => {
            "if nothing but indexes is named: stop what runs, `sqlite3 FILE REINDEX`, verify again. See docs/verify.md"
        }
        false => RESTORE,
    };
    Finding { rule: "structure", place: "the file".into(), what: message.to_owned(), help: help.into() }
}

pub(super) fn note(found: &mut Soundness, rule: &'static str, place: String, what: String, help: &str) {
    found.note(Finding { rule, place, what, help: help.to_owned() });
}

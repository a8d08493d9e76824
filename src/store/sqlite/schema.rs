//! The schema, step by step. A step that has landed is never edited: a change is a new file.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;
use super::owners::{self, Fate};

/// Every step in order; `PRAGMA user_version` counts those that were done.
const STEPS: &[&str] = &[
    include_str!("../../../migrations/0001_ledger.sql"),
    include_str!("../../../migrations/0002_origins_and_people.sql"),
    include_str!("../../../migrations/0003_checksums.sql"),
    include_str!("../../../migrations/0004_deaths.sql"),
    include_str!("../../../migrations/0005_scale.sql"),
];

/// The newest step.
pub fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// The step that a database is at.
pub fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", (), |row| row.get(0))
}

/// Brings the database at `path` up to the newest step. Two processes may try at once: the second finds nothing to do.
/// Refuses while a process of an older version uses it: it would write without what the new steps keep.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let known = known();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if (1..known).contains(&found) && is_in_use(&transaction, path)? {
        return Err(StoreError::Unusable(format!(
            "{}: a process of an older version of trunkline uses it; stop that one first, then start this again",
            path.display()
        )));
    }
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

fn is_in_use(connection: &Connection, path: &Path) -> Result<bool, StoreError> {
    let mut statement = connection.prepare("SELECT id FROM owner")?;
    let owners: Vec<String> = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for owner in owners {
        if owners::fate(path, &owner)? == Fate::Alive {
            return Ok(true);
        }
    }
    Ok(false)
}

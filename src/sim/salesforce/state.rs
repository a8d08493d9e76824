//! Saving the org to a file and loading it again, so that a restarted simulator has the same records under the same ids.
//!
//! Settings, sessions, faults and counters are not saved: a restart gives a fresh service over the old data.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::org::{Org, State};
use super::table::{Record, Table};

/// Changes are on disk this long after they were made, unless writing the file takes a good part of it.
const SAVE_DELAY: Duration = Duration::from_secs(1);

/// Why the records could not be saved or loaded.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file could not be read or written.
    #[error("state file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not one that the simulator wrote.
    #[error("state file {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Fills the tables from the file; a missing file is an empty org.
pub(super) fn load(path: &Path, state: &mut State) -> Result<(), StateError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(StateError::File { path: path.to_owned(), source }),
    };
    let damaged = |reason: String| StateError::Damaged { path: path.to_owned(), reason };
    let mut saved: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    for object in state.schema.objects.clone() {
        let Some(mut saved) = saved.remove(object.name) else { continue };
        let mut table = Table::with_serial(saved["serial"].as_u64().unwrap_or_default());
        let Value::Array(records) = saved["records"].take() else {
            return Err(damaged(format!("{} has no records", object.name)));
        };
        for fields in records {
            let Value::Object(fields) = fields else { return Err(damaged(format!("a {} is no object", object.name))) };
            let mut record = Record::default();
            for (name, value) in fields {
                match object.stored_field(&name) {
                    Some(field) => record.set(&field.name, value),
                    None => record.set(&name.into(), value),
                }
            }
            table.push(record);
        }
        state.tables.insert(object.name, table);
    }
    Ok(())
}

/// Writes all records to the org's state file: to a temporary file first, which then takes the place of the old one.
pub(super) fn save(org: &Org) -> Result<(), StateError> {
    let Some(path) = &org.shared().state_file else { return Ok(()) };
    let bytes = {
        let state = org.lock();
        let tables = state.tables.iter().map(|(name, table)| {
            let records: Vec<_> = table.iter().map(Record::to_map).collect();
            ((*name).to_owned(), json!({ "serial": table.serial(), "records": records }))
        });
        Value::Object(tables.collect()).to_string().into_bytes()
    };
    write(path, &bytes).map_err(|source| StateError::File { path: path.clone(), source })
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Saves after each burst of changes, for ever; ends when its task is aborted.
pub(super) async fn save_on_change(org: Org) {
    let mut saved = org.lock().revision;
    loop {
        org.shared().changed.notified().await;
        tokio::time::sleep(SAVE_DELAY / 2).await;
        let revision = org.lock().revision;
        if revision == saved {
            continue;
        }
        let saver = org.clone();
        match tokio::task::spawn_blocking(move || saver.save()).await {
            Ok(Ok(())) => saved = revision,
            Ok(Err(error)) => tracing::error!(%error, "the simulated org could not be saved"),
            Err(error) => tracing::error!(%error, "the task that saves the simulated org failed"),
        }
    }
}

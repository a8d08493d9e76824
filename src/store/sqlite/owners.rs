//! Which processes use the store, and whether they still live.
//!
//! Each process holds an exclusive lock on `<store>-owner-<id>` for as long as it runs; the kernel drops the lock when it
//! dies, however it dies. So a lease of a killed process is free at once, not after a time-out.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::StoreError;

pub struct Owner {
    id: String,
    path: PathBuf,
    /// Holds the lock.
    file: File,
}

impl Owner {
    pub fn register(store: &Path, id: &str) -> Result<Owner, StoreError> {
        let path = lock_path(store, id);
        let file = open(&path)?;
        file.try_lock().map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))?;
        Ok(Owner { id: id.to_owned(), path, file })
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What it had in hand may have been the cause: it died.
            return;
        }
        if let Err(error) = self.file.unlock().and_then(|()| std::fs::remove_file(&self.path)) {
            tracing::debug!(%error, "the owner's lock file stays behind; the next process removes it");
        }
    }
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Alive,
    /// It took its lock file away itself.
    Ended,
    /// It was killed, or broke down.
    Died,
}

/// What became of the process that registered as `id`. If it died, its lock file is removed.
pub fn fate(store: &Path, id: &str) -> Result<Fate, StoreError> {
    let path = lock_path(store, id);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Fate::Ended),
        Err(error) => return Err(StoreError::Unusable(format!("{}: {error}", path.display()))),
    };
    match file.try_lock() {
        Ok(()) => {
            std::fs::remove_file(&path)
                .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))?;
            Ok(Fate::Died)
        }
        Err(TryLockError::WouldBlock) => Ok(Fate::Alive),
        Err(TryLockError::Error(error)) => Err(StoreError::Unusable(format!("{}: {error}", path.display()))),
    }
}

/// Whether the process that registered as `id` is certainly gone. Only looks: what stands there stays.
pub fn is_gone(store: &Path, id: &str) -> bool {
    match File::open(lock_path(store, id)) {
        Ok(file) => file.try_lock_shared().is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))
}

fn lock_path(store: &Path, id: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(format!("-owner-{id}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_until_it_goes() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let store = folder.path().join("calls.db");
        let owner = Owner::register(&store, "a1")?;
        assert!(fate(&store, "a1")? == Fate::Alive && !is_gone(&store, "a1"));
        drop(owner);
        assert!(is_gone(&store, "a1"));
        std::fs::write(lock_path(&store, "killed"), "")?;
        assert!(is_gone(&store, "killed"));
        assert!(lock_path(&store, "killed").exists(), "who only looks leaves the lock file");
        assert_eq!(fate(&store, "killed")?, Fate::Died);
        assert!(!lock_path(&store, "killed").exists());
        assert_eq!(fate(&store, "a1")?, Fate::Ended);
        assert_eq!(fate(&store, "never-was")?, Fate::Ended);
        Ok(())
    }
}

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
        if let Err(error) = self.file.unlock().and_then(|()| std::fs::remove_file(&self.path)) {
            tracing::debug!(%error, "the owner's lock file stays behind; the next process removes it");
        }
    }
}

/// Whether the process that registered as `id` still runs. If not, its lock file is removed.
pub fn is_alive(store: &Path, id: &str) -> Result<bool, StoreError> {
    let path = lock_path(store, id);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::Unusable(format!("{}: {error}", path.display()))),
    };
    match file.try_lock() {
        Ok(()) => {
            std::fs::remove_file(&path)
                .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .map_err(|error| StoreError::Unusable(format!("{}: {error}", path.display())))?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
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
        assert!(is_alive(&store, "a1")? && !is_gone(&store, "a1"));
        drop(owner);
        assert!(is_gone(&store, "a1"));
        std::fs::write(lock_path(&store, "killed"), "")?;
        assert!(is_gone(&store, "killed"));
        assert!(lock_path(&store, "killed").exists(), "who only looks leaves the lock file");
        assert!(!is_alive(&store, "a1")?);
        assert!(!is_alive(&store, "never-was")?);
        Ok(())
    }
}

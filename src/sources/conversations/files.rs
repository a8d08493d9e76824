//! Files of a folder: their names in order, their versions, their bytes.
//!
//! Invariant: nothing outside the folder is read: a symbolic link that leads out is refused, a link to a folder is not
//! entered. Nothing but plain files is opened, and no more than a limit is read.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use super::convert;
use crate::problem::{self, Problem};

/// How deep folders below the transcripts' are followed.
const DEPTH_MAX: usize = 16;

/// A folder and what may be read of it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub root: PathBuf,
    pub bytes_max: usize,
}

/// When a file was changed last and how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub modified_at: Timestamp,
    pub bytes: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
        Stamp { modified_at: modified.unwrap_or_default(), bytes: metadata.len() }
    }

    /// Changes with every write to the file.
    pub(super) fn version(&self) -> String {
        format!("{}-{}", self.modified_at.as_nanosecond(), self.bytes)
    }
}

impl Folder {
    pub(super) fn url(&self, name: &str) -> String {
        format!("file://{}", self.root.join(name).display())
    }

    /// The name below the folder of a file at `url`.
    pub(super) fn name_of<'a>(&self, url: &'a str) -> Result<&'a str, Problem> {
        let root = format!("file://{}/", self.root.display().to_string().trim_end_matches('/'));
        let name = url.strip_prefix(&root).filter(|name| {
            let mut parts = Path::new(name).components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
        });
        name.ok_or_else(|| leads_out(url))
    }

    /// The names below the folder, in order, of all files that `wanted` takes by their last part.
    pub(super) fn names(&self, subfolders: bool, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Problem> {
        let mut names = Vec::new();
        let mut open = vec![(PathBuf::new(), 0_usize)];
        while let Some((below, depth)) = open.pop() {
            for entry in self.enter(&self.root.join(&below))? {
                let entry = entry.map_err(|error| unreadable(&self.root, &error))?;
                // Gone since its folder was read: as if it had never been there.
                let Ok(kind) = entry.file_type() else { continue };
                // A name that is not text cannot stand in an address; these agents write none.
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let path = below.join(&name);
                if kind.is_dir() {
                    if subfolders && depth < DEPTH_MAX {
                        open.push((path, depth + 1));
                    }
                } else if wanted(&name) {
                    names.extend(path.to_str().map(str::to_owned));
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The stamp of a file, also of a link; `None` if it is gone or a folder.
    pub(super) fn stamp(&self, name: &str) -> Result<Option<Stamp>, Problem> {
        let path = self.root.join(name);
        match fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path)) {
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(denied(&path, &error)),
        }
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Problem> {
        let path = self.root.join(name);
        let url = self.url(name);
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Problem::new(
                problem::OBJECT_VANISHED,
                format!("{url} was listed and is gone"),
                "Nothing, if it was moved on purpose; otherwise put it back.",
            ),
            _ => denied(&path, &error),
        };
        let root = fs::canonicalize(&self.root).map_err(cannot)?;
        let real = fs::canonicalize(&path).map_err(cannot)?;
        if !real.starts_with(&root) {
            return Err(leads_out(&url));
        }
        // Before it is opened: opening a pipe would wait for whoever writes to it.
        let metadata = fs::metadata(&real).map_err(cannot)?;
        if !metadata.is_file() {
            return Err(denied(&path, &io::Error::other("it is not a file")));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(self.bytes_max) + 1);
        let file = fs::File::open(&real).map_err(cannot)?;
        file.take(self.bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() > self.bytes_max { Err(convert::too_large(&url, self.bytes_max)) } else { Ok(bytes) }
    }

    /// Proves that the folder can be read.
    pub(super) fn probe(&self) -> Result<(), Problem> {
        self.enter(&self.root).map(|_| ())
    }

    fn enter(&self, path: &Path) -> Result<fs::ReadDir, Problem> {
        fs::read_dir(path).map_err(|error| unreadable(path, &error))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Problem::new(
            problem::SOURCE_CREDENTIALS,
            format!("the folder {} may not be read by the user that Trunkline runs as", path.display()),
            "Give that user the right to read the folder and to enter it.",
        ),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Problem::new(
            problem::SOURCE_MISSING,
            format!("there is no folder {}", path.display()),
            "Check the path: transcripts, leads, metadata and egress files each have a folder of their own.",
        ),
        _ => Problem::new(
            problem::SOURCE_UNAVAILABLE,
            format!("the folder {} cannot be read: {error}", path.display()),
            "Check the file system that holds it.",
        ),
    }
}

fn leads_out(url: &str) -> Problem {
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{url} leads out of the source's folder"),
        "Copy what it points at into the folder, or make that folder the source.",
    )
}

fn denied(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{} cannot be read: {error}", path.display()),
        "Give the user that Trunkline runs as the right to read the file.",
    )
}

//! Files of a folder on this machine, told and read as those of a bucket are.
//!
//! Invariant: nothing outside the folder is ever read: a symbolic link that leads out is listed, so that it gets a
//! reason, and refused. Links to folders are not entered.

use std::fs::{self, Metadata, ReadDir};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;

use super::{answers, keys};
use crate::offload::blocking;
use crate::problem::{self, Problem};
use crate::sources::{FetchError, LAYOUT_NAMES_MAX, Layout, RawRef};

/// How many files one step of a listing reads.
const STEP_FILES_MAX: usize = 1000;

#[derive(Clone)]
pub(super) struct Folder {
    pub root: PathBuf,
    pub bytes_max: usize,
    inside: Arc<Mutex<Option<PathBuf>>>,
}

/// The folders that a listing still stands in, the innermost last.
type Walk = Vec<(PathBuf, ReadDir)>;

impl Folder {
    pub(super) fn new(root: PathBuf, bytes_max: usize) -> Folder {
        Folder { root, bytes_max, inside: Arc::default() }
    }

    pub(super) async fn probe(&self) -> Result<(), Problem> {
        let folder = self.clone();
        blocking(move || folder.enter(&folder.root)).await.map(|_| ())
    }

    pub(super) async fn layout(&self) -> Result<Layout, Problem> {
        let folder = self.clone();
        blocking(move || {
            let mut names: Vec<String> = Vec::new();
            for entry in folder.enter(&folder.root)?.into_iter().flatten().flatten() {
                let is_folder = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir());
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_folder && name.starts_with(keys::YEAR) {
                    return Ok(Layout { has_days: true, ..Layout::default() });
                }
                names.push(if is_folder { format!("{name}/") } else { name });
            }
            names.sort();
            names.truncate(LAYOUT_NAMES_MAX);
            Ok(Layout { below: names, ..Layout::default() })
        })
        .await
    }

    pub(super) fn list(&self, day_folder: &str) -> BoxStream<'_, Result<RawRef, Problem>> {
        let start = self.root.join(day_folder.trim_end_matches('/'));
        stream::unfold(Some(None), move |position: Option<Option<Walk>>| {
            let (folder, start) = (self.clone(), start.clone());
            async move {
                let walk = position?;
                match blocking(move || folder.step(walk, &start)).await {
                    Ok((files, walk)) => {
                        let files = files.into_iter().map(Ok).collect::<Vec<_>>();
                        Some((files, Some(walk).filter(|walk| !walk.is_empty()).map(Some)))
                    }
                    Err(problem) => Some((vec![Err(problem)], None)),
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    pub(super) async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError> {
        let path = self.path_of(url)?;
        blocking(move || match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(None),
            Ok(metadata) => Ok(Some(raw_ref(&path, &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_lossy(&path) => {
                Err(FetchError::File(not_utf8(&path)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FetchError::File(denied(&path, &error))),
        })
        .await
    }

    pub(super) async fn fetch(&self, url: &str) -> Result<Bytes, FetchError> {
        let path = self.path_of(url)?;
        let folder = self.clone();
        blocking(move || folder.read(&path).map_err(FetchError::File)).await
    }

    fn path_of(&self, url: &str) -> Result<PathBuf, FetchError> {
        let path = url.strip_prefix("file://").map(PathBuf::from);
        let below = |path: &PathBuf| path.strip_prefix(&self.root).is_ok_and(|inner| inner.components().all(is_plain));
        path.filter(below).ok_or_else(|| FetchError::File(leads_out(url)))
    }

    fn read(&self, path: &Path) -> Result<Bytes, Problem> {
        let url = url_of(path);
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound if is_lossy(path) => not_utf8(path),
            io::ErrorKind::NotFound => answers::vanished(&url),
            _ => denied(path, &error),
        };
        let is_link = fs::symlink_metadata(path).map_err(cannot)?.is_symlink();
        if is_link && matches!(fs::metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Err(dangling(path));
        }
        if is_link || !self.is_inside(path.parent()) {
            let real = fs::canonicalize(path).map_err(cannot)?;
            let root = fs::canonicalize(&self.root).map_err(cannot)?;
            if !real.starts_with(&root) {
                return Err(leads_out(&url));
            }
            if !is_link {
                *self.inside.lock().unwrap_or_else(PoisonError::into_inner) = path.parent().map(Path::to_owned);
            }
        }
        // Before it is opened: opening a pipe would wait for whoever writes to it.
        let metadata = fs::metadata(path).map_err(cannot)?;
        if !metadata.is_file() {
            return Err(denied(path, &io::Error::other("it is not a file")));
        }
        if metadata.len() > self.bytes_max as u64 {
            return Err(answers::too_large(&url, self.bytes_max));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        let file = fs::File::open(path).map_err(cannot)?;
        file.take(self.bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() > self.bytes_max {
            return Err(answers::too_large(&url, self.bytes_max));
        }
        Ok(bytes.into())
    }

    /// Whether this folder was the last one found to be inside, links followed: a day's files share theirs.
    fn is_inside(&self, folder: Option<&Path>) -> bool {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == folder && folder.is_some()
    }

    /// Opens a folder of the source; `None` if a folder below the root is not there.
    fn enter(&self, path: &Path) -> Result<Option<ReadDir>, Problem> {
        match fs::read_dir(path) {
            Ok(entries) => Ok(Some(entries)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != self.root => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Problem::new(
                problem::SOURCE_CREDENTIALS,
                format!("the folder {} may not be read by the user that Trunkline runs as", path.display()),
                "Give that user the right to read the folder and to enter it.",
            )),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(Problem::new(
                    problem::SOURCE_MISSING,
                    format!("there is no folder {}", path.display()),
                    "Check the source's address; it takes the folder that holds year=…",
                ))
            }
            Err(error) => Err(Problem::new(
                problem::SOURCE_UNAVAILABLE,
                format!("the folder {} cannot be read: {error}", path.display()),
                "Check the file system that holds it.",
            )),
        }
    }

    fn step(&self, walk: Option<Walk>, start: &Path) -> Result<(Vec<RawRef>, Walk), Problem> {
        let mut walk = match walk {
            Some(walk) => walk,
            None => self.begin(start)?,
        };
        let mut files = Vec::new();
        while files.len() < STEP_FILES_MAX {
            let Some((path, entries)) = walk.last_mut() else { break };
            let Some(entry) = entries.next() else {
                walk.pop();
                continue;
            };
            let unreadable = |error: io::Error| {
                let what = format!("the folder {} cannot be read to its end: {error}", path.display());
                Problem::new(problem::SOURCE_UNAVAILABLE, what, "Check the file system that holds it.")
            };
            let path = entry.map_err(unreadable)?.path();
            // Gone since its folder was read: as if it had never been listed.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if !metadata.is_dir() {
                files.push(raw_ref(&path, &metadata));
            } else if let Some(entries) = self.enter(&path)? {
                walk.push((path, entries));
            }
        }
        Ok((files, walk))
    }

    fn begin(&self, start: &Path) -> Result<Walk, Problem> {
        self.enter(&self.root)?;
        let day = match fs::canonicalize(start) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Walk::new()),
            day => day.ok(),
        };
        if let (Some(day), Ok(root)) = (day, fs::canonicalize(&self.root))
            && !day.starts_with(&root)
        {
            return Err(leads_out(&url_of(start)));
        }
        Ok(self.enter(start)?.map(|entries| (start.to_owned(), entries)).into_iter().collect())
    }
}

fn is_plain(component: std::path::Component<'_>) -> bool {
    matches!(component, std::path::Component::Normal(_))
}

fn url_of(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn raw_ref(path: &Path, metadata: &Metadata) -> RawRef {
    let modified_at = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default();
    RawRef {
        url: url_of(path),
        version: format!("{}-{}", modified_at.as_nanosecond(), metadata.len()),
        bytes: metadata.len(),
        modified_at,
    }
}

fn leads_out(url: &str) -> Problem {
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{url} leads out of the source's folder"),
        "Copy what it points at into the folder, or make that folder the source.",
    )
}

/// Whether the name was not UTF-8 when it was listed: what a URL cannot hold of it stands there as `\u{fffd}`.
fn is_lossy(path: &Path) -> bool {
    path.to_string_lossy().contains('\u{fffd}')
}

fn not_utf8(path: &Path) -> Problem {
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{} cannot be read: its name is not UTF-8 (what is not stands here as \u{fffd})", path.display()),
        "Rename the file, in its folder: ls -b shows the name as it is.",
    )
}

fn dangling(path: &Path) -> Problem {
    let target = fs::read_link(path).map_or_else(|_| "a file".to_owned(), |target| target.display().to_string());
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{} is a symbolic link to {target}, which is not there", path.display()),
        "Put the file where the link points, inside the source's folder, or delete the link.",
    )
}

fn denied(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        problem::OBJECT_DENIED,
        format!("{} cannot be read: {error}", path.display()),
        "Give the user that Trunkline runs as the right to read the file.",
    )
}

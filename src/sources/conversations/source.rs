//! The source as the engine sees it: a folder of transcripts with what belongs to them.
//!
//! Invariant: whatever a call is made of is in its file's version: a lead that arrives later makes a new one. The list
//! is in order of names and tells all files, whatever the day: these folders have none.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::civil::Date;

use super::config::{COMPANION_BYTES_MAX, Settings};
use super::convert::{self, Depth};
use super::files::Folder;
use super::naming;
use super::report::PairingReport;
use super::scan::{Keeping, Prepared};
use crate::model::Digest;
use crate::offload::blocking;
use crate::problem::{self, Problem};
use crate::sources::{Converted, FetchError, ObjectSource, RawRef};

/// How many files one step of a listing looks at.
const STEP_FILES_MAX: usize = 1000;

/// A directory of transcripts, or one transcript.
pub struct Conversations(Arc<Inner>);

struct Inner {
    settings: Settings,
    folder: Folder,
    address: String,
    /// The one transcript to be read, and the lead that somebody gave to it.
    only: Option<(String, Option<(Folder, String)>)>,
    prepared: Mutex<Option<Arc<Prepared>>>,
}

impl Conversations {
    /// Checks the settings; reads nothing yet.
    pub fn open(settings: Settings) -> Result<Conversations, Problem> {
        let settings = absolute(settings)?;
        let folder = Folder { root: settings.transcripts.clone(), bytes_max: settings.inflated_bytes_max };
        Ok(Conversations::new(settings, folder, None))
    }

    /// One transcript, `settings.transcripts`, by itself. `lead` is taken for its lead as it is; without one the leads of
    /// `settings` are paired by evidence.
    pub fn open_one(settings: Settings, lead: Option<PathBuf>) -> Result<Conversations, Problem> {
        let settings = absolute(settings)?;
        let (root, name) = split(&settings.transcripts)?;
        let lead = match lead {
            Some(lead) => {
                let (root, name) = split(&absolute_path(&lead)?)?;
                Some((Folder { root, bytes_max: COMPANION_BYTES_MAX }, name))
            }
            None => None,
        };
        let folder = Folder { root, bytes_max: settings.inflated_bytes_max };
        Ok(Conversations::new(settings, folder, Some((name, lead))))
    }

    fn new(settings: Settings, folder: Folder, only: Option<(String, Option<(Folder, String)>)>) -> Conversations {
        let address = match &only {
            Some((name, _)) => folder.url(name),
            None => format!("file://{}", folder.root.display()),
        };
        Conversations(Arc::new(Inner { settings, folder, address, only, prepared: Mutex::new(None) }))
    }

    /// Reads leads, metadata, egress files and every transcript's evidence, and pairs them. Blocks; takes some tenths of a
    /// millisecond a file. Without it the first listing does the same. Call it again to see files that came since.
    pub fn prepare(&self) -> Result<PairingReport, Problem> {
        self.0.look_at_all(Keeping::Nothing)
    }
}

impl Inner {
    fn names(&self) -> Result<Vec<String>, Problem> {
        match &self.only {
            Some((name, _)) => Ok(vec![name.clone()]),
            None => self.folder.names(self.settings.subfolders, naming::is_transcript),
        }
    }

    fn scan(&self, keeping: Keeping<'_>) -> Result<Prepared, Problem> {
        let given = self.only.as_ref().and_then(|(_, lead)| lead.as_ref());
        Prepared::scan(&self.settings, &self.folder, &self.names()?, given, keeping)
    }

    fn look_at_all(&self, keeping: Keeping<'_>) -> Result<PairingReport, Problem> {
        let prepared = Arc::new(self.scan(keeping)?);
        let report = prepared.report.clone();
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
        Ok(report)
    }

    /// Looks again, and keeps what the next look can use.
    fn renew(&self) -> Result<PairingReport, Problem> {
        let before = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.look_at_all(Keeping::Traces { before: before.as_deref() })
    }

    fn prepared(&self) -> Result<Arc<Prepared>, Problem> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = prepared.as_ref() {
            return Ok(prepared.clone());
        }
        Ok(prepared.insert(Arc::new(self.scan(Keeping::Nothing)?)).clone())
    }

    fn look(&self, prepared: &Prepared, name: &str) -> Result<Option<RawRef>, Problem> {
        let Some(stamp) = self.folder.stamp(name)? else { return Ok(None) };
        let (version, modified_at) = prepared.state(name, &stamp);
        Ok(Some(RawRef { url: self.folder.url(name), version, bytes: stamp.bytes, modified_at }))
    }
}

/// Names that a listing has still to look at.
type Rest = (Arc<Prepared>, std::vec::IntoIter<String>);

impl Inner {
    fn step(&self, rest: Option<Rest>) -> Result<(Vec<RawRef>, Option<Rest>), Problem> {
        let (prepared, mut names) = match rest {
            Some(rest) => rest,
            None => (self.prepared()?, self.names()?.into_iter()),
        };
        let mut files = Vec::new();
        for name in names.by_ref().take(STEP_FILES_MAX) {
            files.extend(self.look(&prepared, &name)?);
        }
        let more = names.len() > 0;
        Ok((files, more.then_some((prepared, names))))
    }
}

#[async_trait]
impl ObjectSource for Conversations {
    fn name(&self) -> &str {
        super::SOURCE_NAME
    }

    fn address(&self) -> &str {
        &self.0.address
    }

    async fn probe(&self) -> Result<(), Problem> {
        let inner = self.0.clone();
        blocking(move || {
            let settings = &inner.settings;
            let companions = [&settings.leads, &settings.metadata, &settings.egress].into_iter().flatten();
            for root in std::iter::once(&inner.folder.root).chain(companions) {
                Folder { root: root.clone(), bytes_max: 0 }.probe()?;
            }
            Ok(())
        })
        .await
    }

    fn has_days(&self) -> bool {
        false
    }

    async fn refresh(&self) -> Result<(), Problem> {
        let inner = self.0.clone();
        blocking(move || inner.renew()).await.map(|_| ())
    }

    fn list(&self, _day: Date) -> BoxStream<'_, Result<RawRef, Problem>> {
        stream::unfold(Some(None), move |position: Option<Option<Rest>>| {
            let inner = self.0.clone();
            async move {
                let rest = position?;
                match blocking(move || inner.step(rest)).await {
                    Ok((files, rest)) => Some((files.into_iter().map(Ok).collect::<Vec<_>>(), rest.map(Some))),
                    Err(problem) => Some((vec![Err(problem)], None)),
                }
            }
        })
        .flat_map(stream::iter)
        .boxed()
    }

    async fn look(&self, url: &str) -> Result<Option<RawRef>, FetchError> {
        let name = self.0.folder.name_of(url).map_err(FetchError::File)?.to_owned();
        let inner = self.0.clone();
        blocking(move || {
            let prepared = inner.prepared().map_err(FetchError::Source)?;
            inner.look(&prepared, &name).map_err(FetchError::File)
        })
        .await
    }

    async fn fetch(&self, raw: &RawRef) -> Result<Bytes, FetchError> {
        let name = self.0.folder.name_of(&raw.url).map_err(FetchError::File)?.to_owned();
        let inner = self.0.clone();
        blocking(move || inner.folder.read(&name).map(Bytes::from).map_err(FetchError::File)).await
    }

    fn convert(&self, raw: &RawRef, bytes: Bytes, inflated_bytes_max: usize) -> Result<Converted, Problem> {
        let inner = &self.0;
        let name = inner.folder.name_of(&raw.url)?;
        let mut transcript = convert::read(&inner.settings, name, &raw.url, &bytes, inflated_bytes_max, Depth::Whole)?;
        inner.prepared()?.complete(name, &mut transcript);
        let inflated_bytes = transcript.inflated_bytes;
        let (call, notes) = convert::finished(transcript);
        Ok(Converted { call, digest: Digest::of(&bytes), inflated_bytes, notes: notes.0 })
    }
}

fn absolute(mut settings: Settings) -> Result<Settings, Problem> {
    settings.check()?;
    settings.transcripts = absolute_path(&settings.transcripts)?;
    for path in [&mut settings.leads, &mut settings.metadata, &mut settings.egress].into_iter().flatten() {
        *path = absolute_path(path)?;
    }
    Ok(settings)
}

/// A path that names the same place whatever folder the program is started in.
fn absolute_path(path: &Path) -> Result<PathBuf, Problem> {
    let bad = |why: &str| {
        Problem::new(
            problem::CONFIG_BAD_VALUE,
            format!("the path `{}` {why}", path.display()),
            "Write the path of a folder.",
        )
    };
    let path = std::path::absolute(path).map_err(|_| bad("is empty or cannot be made absolute"))?;
    if path.to_str().is_none() { Err(bad("is not text")) } else { Ok(path.components().collect()) }
}

fn split(path: &Path) -> Result<(PathBuf, String), Problem> {
    let parts = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
    let (root, name) = parts.ok_or_else(|| {
        let what = format!("the path `{}` names no file", path.display());
        Problem::new(problem::CONFIG_BAD_VALUE, what, "Write the path of one transcript or lead file.")
    })?;
    Ok((root.to_owned(), name.to_owned()))
}

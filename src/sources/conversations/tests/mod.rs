//! Tests of the source as a whole, on fixtures and on planted directories.

mod bugs;
mod forms;
mod hostile;
mod pairing;

use std::path::{Path, PathBuf};

use futures_util::StreamExt;

use super::{Conversations, Settings};
use crate::model::{Call, Lead, Role};
use crate::sources::{Converted, ObjectSource, RawRef};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conversations")
}

/// Settings of a folder that holds the four folders.
fn settings(root: &Path) -> Settings {
    let mut settings = Settings::new(root.join("conversations"));
    settings.leads = Some(root.join("leads"));
    settings.metadata = Some(root.join("call_metadata"));
    settings.egress = Some(root.join("egress"));
    settings
}

fn open(settings: Settings) -> Conversations {
    Conversations::open(settings).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Folders of one's own, to put files into.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        for name in ["conversations", "leads", "call_metadata", "egress"] {
            std::fs::create_dir(place.0.path().join(name)).expect("a folder");
        }
        place
    }

    fn put(&self, name: &str, text: &str) -> &Place {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
        self
    }

    fn settings(&self) -> Settings {
        settings(self.0.path())
    }

    /// The call of each transcript by its file's name.
    fn calls(&self) -> Vec<(String, Converted)> {
        calls(&open(self.settings()))
    }

    fn lead_of(&self, name: &str) -> Option<Lead> {
        let calls = self.calls();
        let (_, converted) = calls.into_iter().find(|(other, _)| other == name).expect("the transcript");
        converted.call.lead
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn listed(source: &Conversations) -> Vec<RawRef> {
    let files = run(source.list(jiff::civil::date(2025, 3, 4)).collect::<Vec<_>>());
    files.into_iter().map(|file| file.unwrap_or_else(|problem| panic!("{problem}"))).collect()
}

fn converted(source: &Conversations, raw: &RawRef) -> Converted {
    let bytes = run(source.fetch(raw)).unwrap_or_else(|error| panic!("{error:?}"));
    source.convert(raw, bytes, 1 << 20).unwrap_or_else(|problem| panic!("{problem}"))
}

fn calls(source: &Conversations) -> Vec<(String, Converted)> {
    let name = |raw: &RawRef| raw.url.rsplit('/').next().unwrap_or_default().to_owned();
    listed(source).iter().map(|raw| (name(raw), converted(source, raw))).collect()
}

/// The conversation, a line a turn.
fn told(call: &Call) -> Vec<String> {
    let line = |turn: &crate::model::Turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
            Role::Tool => "tool",
            Role::Other => "other",
        };
        let kind = turn.detail().kind.as_ref().map(|kind| format!("[{kind}]")).unwrap_or_default();
        format!("{role}{kind}: {}", turn.text)
    };
    call.turns.iter().map(line).collect()
}

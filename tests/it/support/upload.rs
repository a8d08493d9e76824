//! A directory of transcripts, a simulated call-data API, and the real program between them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use trunkline::sim::call_data_api::{Api, Options, Simulator};
use trunkline::sim::conversations::{Plan, Truth, write_directory};

use super::binary::{Ran, bare, finish};

pub struct Desk {
    pub folder: TempDir,
    pub simulator: Simulator,
    pub api: Api,
}

impl Desk {
    /// An empty folder and an API that takes items without a time, as transcripts of most forms have them.
    pub async fn new() -> Desk {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut options = Options::default();
        options.settings.item_timestamp_required = false;
        let simulator = Simulator::start(listener, options).expect("a simulator");
        let api = simulator.api();
        let desk = Desk { folder: tempfile::tempdir().expect("a temporary folder"), simulator, api };
        desk.put("trunkline.toml", "[delivery]\nsettle_s = 1\npatience_s = 60\n");
        desk
    }

    pub fn plan(&self, plan: &Plan) -> Truth {
        write_directory(self.folder.path(), plan).expect("a writable folder")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a writable folder");
        std::fs::write(path, text).expect("a writable folder");
    }

    /// The program in this folder, with what the API's users set.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare();
        command.current_dir(self.folder.path()).args(arguments);
        command.env("CRM_BASE_URL", self.simulator.url());
        for (variable, last) in [("CRM_CAMPAIGN_ID", 'a'), ("CRM_VOICE_AGENT_ID", 'b'), ("CRM_CLIENT_ID", 'c')] {
            command.env(variable, format!("64b0c0ffee0000000000000{last}"));
        }
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Ran {
        finish(self.command(arguments)).await
    }

    /// `trunkline upload` of everything that [`Desk::plan`] writes.
    pub fn upload(&self, further: &[&str]) -> Command {
        let all = ["upload", "--dir", "conversations", "--leads", "leads", "--metadata", "call_metadata"];
        self.command(&[&all, ["--egress", "egress"].as_slice(), further].concat())
    }

    /// Payloads that were stored, by session id.
    pub fn stored(&self) -> BTreeMap<String, Vec<Value>> {
        let mut stored: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for payload in self.api.calls() {
            let session = payload["transcription"]["session_id"].as_str().expect("a session id").to_owned();
            stored.entry(session).or_default().push(payload);
        }
        stored
    }

    /// Requests that would store a payload.
    pub fn posts(&self) -> u64 {
        let counters = self.api.counters();
        ["stored", "refused", "deduplicated"].iter().filter_map(|name| counters.operations.get(*name)).sum()
    }

    /// Panics unless every call that the API takes is there once, with exactly its own lead and recording. Answers how
    /// many there are.
    pub fn holds(&self, truth: &Truth, told: &str) -> usize {
        let stored = self.stored();
        for (session, payloads) in &stored {
            assert_eq!(payloads.len(), 1, "{session} is there {} times; {told}", payloads.len());
            let planted = truth.leads.get(session).unwrap_or_else(|| panic!("{session} was not planted; {told}"));
            let lead = payloads[0]["lead"].as_object().expect("a lead, or an empty one");
            let expected = planted.as_ref().map(|name| self.lead(name));
            match expected {
                None => assert!(lead.is_empty(), "{session} has a lead that is not its own: {lead:?}; {told}"),
                Some(expected) => {
                    for field in ["name", "email", "timestamp"] {
                        assert_eq!(lead.get(field), expected.get(field), "{session}, {field}; {told}");
                    }
                }
            }
            let recording = payloads[0]["callDetails"]["recordingUrl"].as_str();
            assert_eq!(recording, truth.recordings.get(session).map(String::as_str), "{session}; {told}");
        }
        stored.len()
    }

    fn lead(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.path("leads").join(name)).expect("a lead file");
        serde_json::from_str(&text).expect("a lead")
    }
}

/// The numbers of the line that ends an upload: success, failed, total.
pub fn totals(ran: &Ran) -> [u64; 3] {
    let mut lines = ran.stdout.lines();
    let line = lines.next().unwrap_or_else(|| panic!("no totals:\n{}", ran.stderr));
    assert_eq!(lines.next(), None, "one line:\n{}", ran.stdout);
    let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(told.as_object().map(serde_json::Map::len), Some(3), "{line}");
    ["success", "failed", "total"].map(|name| told[name].as_u64().expect("a number"))
}

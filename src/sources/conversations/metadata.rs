//! Call metadata files, which the agent's worker writes beside a transcript.
//!
//! Invariant: they add what the transcript does not say and never change what it says. The recording they name is not
//! used: only an egress id tells whose sound a file holds.

use jiff::Timestamp;

use super::campaign::{Facts, fill};
use super::config::Settings;
use super::head::Head;
use super::shape::line;
use super::{naming, times};
use crate::problem;
use crate::sources::decode::{self, Refused};
use crate::sources::wire::{Fields, with_object};

/// One metadata file, read.
#[derive(Clone)]
pub(super) struct CallMetadata {
    pub facts: Facts,
    /// Every id of the session that the file gives.
    pub session_ids: Vec<String>,
    /// The names, without folders, of the transcript and the lead file of the call.
    pub transcript: Option<String>,
    pub lead: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

/// Reads the text of a metadata file.
pub(super) fn read(text: &str, settings: &Settings) -> Result<CallMetadata, Refused> {
    decode::with_fields(text, |fields, _| {
        let mut facts = Facts::default();
        facts.read(fields);
        let file = |name: &str| {
            with_object(fields.get("files")?, |files| line(files, &[name]))
                .flatten()
                .map(|path| naming::base(&path).to_owned())
        };
        let ids = |fields: &Fields<'_>| line(fields, &["session_id", "sessionId"]);
        let campaign = fields.get("campaign_metadata").and_then(|value| with_object(value, ids).flatten());
        let session_ids: Vec<String> = ids(fields).into_iter().chain(campaign).collect();
        let transcript = file("conversation");
        if session_ids.is_empty() && transcript.is_none() {
            let what =
                "is an object, but no call metadata: it has neither session_id nor files.conversation".to_owned();
            return Err(Refused { code: problem::RAW_NO_ID, what });
        }
        let time = |names: &[&str]| {
            let read = |inner: &Fields<'_>| times::first(inner, names, &settings.zone);
            with_object(fields.get("timestamps")?, read).flatten()
        };
        Ok(CallMetadata {
            session_ids,
            transcript,
            lead: file("lead"),
            started_at: time(&["call_start"]),
            ended_at: time(&["call_end"]),
            facts,
        })
    })?
}

impl CallMetadata {
    /// Adds to a transcript's head what it does not say.
    pub(super) fn complete(&self, head: &mut Head) {
        let call = &mut head.call;
        fill(&mut call.started_at, self.started_at);
        fill(&mut call.ended_at, self.ended_at);
        fill(&mut call.direction, self.facts.direction);
        fill(&mut call.dialled, self.facts.dialled.clone());
        fill(&mut call.caller.phone, self.facts.phone.clone());
        fill(&mut call.caller.email, self.facts.email.clone());
        if let Some(known) = self.facts.campaign() {
            let campaign = call.campaign.get_or_insert_default();
            fill(&mut campaign.id, known.id);
            fill(&mut campaign.agent_id, known.agent_id);
            fill(&mut campaign.client_id, known.client_id);
        }
        fill(&mut head.egress_id, self.facts.egress_id.clone());
    }
}

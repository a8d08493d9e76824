//! What pairing needs of a transcript, as it is kept between two looks at a folder.
//!
//! Invariant: nothing that was said stays in memory, and no more than [`KEPT_MAX`] transcripts are kept.

use jiff::Timestamp;

use super::config::Settings;
use super::convert::{self, Transcript};
use super::head::Head;
use super::phone;
use crate::model::Call;

/// Transcripts of which the trace is kept; further ones are read at each look. About half a kilobyte each.
pub(super) const KEPT_MAX: usize = 20_000;

/// A transcript without its conversation.
pub(super) struct Trace {
    source_id: String,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    duration_s: Option<f64>,
    phone: Option<String>,
    email: Option<String>,
    session_ids: Vec<String>,
    egress_id: Option<String>,
    lead_generated: Option<bool>,
    /// The first and last time in the conversation.
    heard: Option<(Timestamp, Timestamp)>,
    /// Comparable number and address of each lead that the agent took down.
    pub claims: Vec<(Option<String>, Option<String>)>,
    /// Whether the call can have brought a lead: it says so, or does not say that it has not.
    pub may_have_lead: bool,
}

impl Trace {
    pub(super) fn of(settings: &Settings, transcript: Transcript) -> Trace {
        let Transcript { head, items, heard, .. } = transcript;
        let number = |text: &Option<String>| text.as_deref().and_then(|text| phone::normal(text, settings.country()));
        let address = |text: &Option<String>| text.as_deref().and_then(phone::email);
        Trace {
            claims: items.leads().map(|lead| (number(&lead.phone), address(&lead.email))).collect(),
            may_have_lead: items.has_create_lead() || head.lead_generated != Some(false),
            source_id: head.call.source_id,
            started_at: head.call.started_at,
            ended_at: head.call.ended_at,
            duration_s: head.call.duration_s,
            phone: head.call.caller.phone,
            email: head.call.caller.email,
            session_ids: head.session_ids,
            egress_id: head.egress_id,
            lead_generated: head.lead_generated,
            heard,
        }
    }

    /// The head again, to be completed by the metadata of the call.
    pub(super) fn head(&self) -> Head {
        let mut call = Call::new(super::SOURCE_NAME, &self.source_id);
        (call.started_at, call.ended_at, call.duration_s) = (self.started_at, self.ended_at, self.duration_s);
        (call.caller.phone, call.caller.email) = (self.phone.clone(), self.email.clone());
        Head {
            call,
            session_ids: self.session_ids.clone(),
            egress_id: self.egress_id.clone(),
            lead_generated: self.lead_generated,
        }
    }

    /// When the call went on, by the times of its completed head, else by those of its items.
    pub(super) fn window(&self, head: &Head) -> Option<(Timestamp, Timestamp)> {
        convert::window(&head.call, self.heard)
    }
}

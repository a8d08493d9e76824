//! The call and its parts.
//!
//! Invariant: nothing here can hold more than the evidence said; what was not said is absent, never a made-up value.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::CallKey;

/// One conversation, as far as the evidence goes. Every part but the identity may be missing.
#[derive(Clone, Serialize, Deserialize)]
pub struct Call {
    pub key: CallKey,
    /// The configured name of the source.
    pub source: String,
    /// The source's own id, byte for byte.
    pub source_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Seconds, finite and not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(default)]
    pub caller: Party,
    /// The number that was dialled, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialled: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<Campaign>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<Lead>,
    #[serde(default)]
    pub insights: Insights,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
    /// Every field of the source that has no place above, as it came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Box<RawValue>>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Who set the call up, seen from the organisation that runs the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Inbound,
    Outbound,
    Internal,
}

/// How the call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Completed,
    Failed,
    /// Nobody answered.
    Missed,
}

/// On whose behalf the agent spoke, by the ids of the CRM that runs the campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// The sound of the call.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Where it stands; may hold a secret in its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Seconds, finite and not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// The prospect that the agent took down during the call. Texts as they came; an empty one is absent.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<String>,
    /// When it was taken down, as the source wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// The person at the other end, as the source names them.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Party {
    /// Trimmed, otherwise as it came; may be anything at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// What was learned about the caller's needs.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Insights {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_case: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_size: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pain_points: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration_interest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<String>,
    /// Further findings by the source's own name, each as one line of text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub other: BTreeMap<String, String>,
}

/// Something the agent did during the call.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// The tool's name as the source gives it.
    pub tool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Whether it worked, where the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_date: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<String>,
}

/// Who spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Assistant,
    System,
    Tool,
    Other,
}

/// One stretch of speech by one speaker, or another event of the conversation.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub role: Role,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Apart, because few turns have any and a call may have a hundred thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<TurnDetail>>,
}

/// What some sources tell of a turn besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnDetail {
    /// What the source calls this kind of event, where it is neither user's nor assistant's speech: `function_call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What wrote it down, by the source's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of the transcription, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<bool>,
}

impl Turn {
    /// Speech of which nothing more is known.
    pub fn new(role: Role, text: impl Into<String>, at: Option<Timestamp>) -> Turn {
        Turn { role, text: text.into(), at, detail: None }
    }

    /// What is told besides; empty where nothing is.
    pub fn detail(&self) -> &TurnDetail {
        const NONE: &TurnDetail = &TurnDetail { kind: None, source: None, confidence: None, interrupted: None };
        self.detail.as_deref().unwrap_or(NONE)
    }

    /// The same to be changed.
    pub fn detail_mut(&mut self) -> &mut TurnDetail {
        self.detail.get_or_insert_default()
    }
}

impl Call {
    /// A call of which nothing but its identity is known.
    pub fn new(source: &str, source_id: &str) -> Call {
        Call {
            key: CallKey::from_source(source, source_id),
            source: source.to_owned(),
            source_id: source_id.to_owned(),
            started_at: None,
            ended_at: None,
            duration_s: None,
            direction: None,
            status: None,
            caller: Party::default(),
            dialled: None,
            campaign: None,
            recording: None,
            lead: None,
            insights: Insights::default(),
            actions: Vec::new(),
            turns: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// The calendar date of the call in `zone`: of its start, else of its end.
    pub fn date_in(&self, zone: &TimeZone) -> Option<Date> {
        self.started_at.or(self.ended_at).map(|at| at.to_zoned(zone.clone()).date())
    }
}

/// Whether two texts are the same person's address or name to a CRM: blanks around and case do not count.
pub fn same_text(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_does_not_print_what_a_person_said() {
        let mut call = Call::new("sessions", "s1");
        call.caller.email = Some("ada@example.com".into());
        assert!(!format!("{call:?}").contains("ada"));
    }
}

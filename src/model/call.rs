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
    #[serde(default)]
    pub caller: Party,
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

/// One stretch of speech by one speaker.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub role: Role,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
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
            caller: Party::default(),
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

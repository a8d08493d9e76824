//! What the agent's worker knew about a call when it began: on whose behalf, under which number, which egress, and the
//! SIP attributes of the participant.
//!
//! Invariant: the far end's number becomes the dialled one only where the file says that the call went out.

use crate::model::{Campaign, Direction};
use crate::sources::wire::{Fields, with_object};

use super::shape::line;

/// Facts of one call, from wherever they stand; what is said twice is taken from the first place.
#[derive(Clone, Default)]
pub(super) struct Facts {
    pub campaign: Campaign,
    pub session_id: Option<String>,
    pub egress_id: Option<String>,
    pub dialled: Option<String>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub direction: Option<Direction>,
    /// Our own number, as SIP names it; the dialled one of an inbound call.
    trunk: Option<String>,
}

const PHONES: &[&str] =
    &["caller_phone", "callerPhone", "caller_number", "callerNumber", "phone_number", "sip.phoneNumber"];
/// Objects that hold more of the same.
const INSIDE: &[&str] =
    &["campaign_metadata", "metadata", "participant_attributes", "attributes", "participant", "caller", "meta"];
/// `metadata.participant.attributes`.
const DEPTH_MAX: usize = 3;

impl Facts {
    /// Adds what an object says, and the objects in it that hold such facts.
    pub(super) fn read(&mut self, fields: &Fields<'_>) {
        self.read_level(fields, 0);
        if self.direction == Some(Direction::Inbound) {
            fill(&mut self.dialled, self.trunk.clone());
        } else if self.direction == Some(Direction::Outbound) {
            fill(&mut self.dialled, self.phone.clone());
        }
    }

    fn read_level(&mut self, fields: &Fields<'_>, depth: usize) {
        fill(&mut self.campaign.id, line(fields, &["campaignId", "campaign_id"]));
        fill(&mut self.campaign.agent_id, line(fields, &["voiceAgentId", "voice_agent_id"]));
        fill(&mut self.campaign.client_id, line(fields, &["clientId", "client_id"]));
        fill(&mut self.session_id, line(fields, &["sessionId", "session_id"]));
        fill(&mut self.egress_id, line(fields, &["egressId", "egress_id"]));
        fill(&mut self.dialled, line(fields, &["dialedNumber", "dialed_number", "dialled_number"]));
        fill(&mut self.trunk, line(fields, &["sip.trunkPhoneNumber"]));
        fill(&mut self.phone, line(fields, PHONES));
        fill(&mut self.email, line(fields, &["caller_email", "callerEmail", "user_email"]));
        let said = line(fields, &["direction", "call_direction"]);
        self.direction = self.direction.or_else(|| direction(&said?));
        if self.direction.is_none() && line(fields, &["sip.ruleID"]).is_some() {
            self.direction = Some(Direction::Inbound);
        }
        if depth >= DEPTH_MAX {
            return;
        }
        for name in INSIDE {
            let Some(value) = fields.get(name) else { continue };
            with_object(value, |inner| {
                if *name == "caller" {
                    fill(&mut self.phone, line(inner, &["phoneNumber", "phone", "number"]));
                    fill(&mut self.email, line(inner, &["email"]));
                    fill(&mut self.name, line(inner, &["name"]));
                }
                self.read_level(inner, depth + 1);
            });
        }
    }

    /// The campaign, if anything is known of it.
    pub(super) fn campaign(&self) -> Option<Campaign> {
        Some(self.campaign.clone()).filter(|campaign| *campaign != Campaign::default())
    }
}

fn direction(text: &str) -> Option<Direction> {
    match text.to_ascii_lowercase().as_str() {
        "inbound" | "incoming" => Some(Direction::Inbound),
        "outbound" | "outgoing" => Some(Direction::Outbound),
        "internal" => Some(Direction::Internal),
        _ => None,
    }
}

/// Sets what is not set yet.
pub(super) fn fill<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::sources::wire::Value;

    #[test]
    fn the_dialled_number_follows_the_direction() {
        let check = |json: &str, phone: Option<&str>, dialled: Option<&str>, direction: Option<Direction>| {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            let mut facts = Facts::default();
            facts.read(&Value(&raw).fields().expect("an object"));
            assert_eq!(
                (facts.phone.as_deref(), facts.dialled.as_deref(), facts.direction),
                (phone, dialled, direction),
                "{json}"
            );
        };
        let sip = r#""attributes": {"sip.phoneNumber": "+15550100200", "sip.trunkPhoneNumber": "+15550109999""#;
        let (far, ours) = (Some("+15550100200"), Some("+15550109999"));
        check(&format!("{{{sip}, \"sip.ruleID\": \"r\"}}}}"), far, ours, Some(Direction::Inbound));
        check(&format!("{{\"direction\": \"outbound\", {sip}}}}}"), far, far, Some(Direction::Outbound));
        check(&format!("{{\"metadata\": {{\"participant\": {{{sip}}}}}}}}}"), far, None, None);
        check(r#"{"caller": {"phoneNumber": "+15550100200"}, "direction": "sideways"}"#, far, None, None);
        check(
            r#"{"attributes": {"sip.ruleID": "r"}, "metadata": "{\"dialedNumber\": \"+15550109999\"}"}"#,
            None,
            ours,
            Some(Direction::Inbound),
        );
        check(
            r#"{"metadata": {"metadata": {"metadata": {"metadata": {"caller_phone": "+15550100200"}}}}}"#,
            None,
            None,
            None,
        );
    }
}

//! The shape of `trunkline.toml`, key by key. `config/trunkline.default.toml` documents each beside its default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The commented file that `trunkline init` starts from.
pub const TEMPLATE: &str = include_str!("../../config/trunkline.default.toml");

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    pub time_zone: Option<String>,
    pub store: StoreSection,
    pub source: SourceSection,
    pub salesforce: SalesforceSection,
    pub delivery: DeliverySection,
    pub call_data_api: CallDataSection,
    pub serve: ServeSection,
    /// Tables that are read by the REST destination itself.
    pub rest: BTreeMap<String, toml::Table>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    pub path: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSection {
    pub address: Option<String>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub profile: Option<String>,
    pub allow_http: Option<bool>,
    pub time_zone: Option<String>,
    pub inflated_mb_max: Option<u32>,
    pub fetches: Option<u16>,
}

#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SalesforceSection {
    pub login: Option<String>,
    pub login_url: Option<String>,
    pub allow_http: Option<bool>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub security_token: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
    pub private_key_file: Option<String>,
    pub refresh_token: Option<String>,
    pub audience: Option<String>,
    pub api_version: Option<String>,
    pub key_field: Option<String>,
    pub several_matches: Option<String>,
    pub no_match: Option<String>,
    pub adopt_earlier_tasks: Option<bool>,
    pub adopt_subject: Option<String>,
    pub api_usage_percent_max: Option<u8>,
    pub gzip: Option<bool>,
    pub task: BTreeMap<String, String>,
}

/// Credentials may stand here, so nothing is printed.
impl std::fmt::Debug for SalesforceSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SalesforceSection").finish_non_exhaustive()
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallDataSection {
    pub base_url: Option<String>,
    pub campaign_id: Option<String>,
    pub voice_agent_id: Option<String>,
    pub client_id: Option<String>,
    pub default_caller_phone: Option<String>,
    pub token: Option<String>,
    pub auto_upload: Option<bool>,
    pub generation: Option<u8>,
    pub look_up: Option<bool>,
    pub look_up_first: Option<bool>,
    pub lost_answer: Option<String>,
    pub requests_in_flight: Option<u16>,
    pub timeout_s: Option<u32>,
    pub allow_http: Option<bool>,
}

/// A token may stand here, so nothing is printed.
impl std::fmt::Debug for CallDataSection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallDataSection").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliverySection {
    pub requests_in_flight: Option<u16>,
    pub order: Option<String>,
    pub patience_s: Option<u32>,
    pub settle_s: Option<u32>,
    pub attempts_max: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSection {
    pub listen: Option<String>,
    pub poll_s: Option<u32>,
    pub hold_retry_s: Option<u32>,
    pub drain_s: Option<u32>,
    pub catch_up: Option<bool>,
    pub conversations: Option<ConversationsSection>,
    pub schedule: Option<Vec<ScheduleSection>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConversationsSection {
    pub dir: Option<PathBuf>,
    pub leads: Option<PathBuf>,
    pub metadata: Option<PathBuf>,
    pub egress: Option<PathBuf>,
    pub subfolders: Option<bool>,
    pub grace_minutes: Option<u32>,
    pub default_country: Option<String>,
    pub by_time_alone: Option<bool>,
    pub time_zone: Option<String>,
    pub lead_time_zone: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleSection {
    pub at: Option<String>,
    pub days: Option<u16>,
}

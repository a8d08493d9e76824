//! The switches of the simulated organisation.

use serde::{Deserialize, Serialize};

use super::super::harness::{Switches, Traffic};

/// Every switch of the organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The id of the client.
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: String,
    /// The refresh token that is good.
    pub refresh_token: String,
    /// How long an access token is good.
    pub token_s: u64,
    /// The status of a refused token request; the real one is believed to say 200.
    pub token_error_status: u16,
    /// The custom text field of calls whose values are unique; `None` for an organisation without it.
    pub unique_field: Option<String>,
    /// Further custom fields of calls, all of them texts.
    pub custom_fields: Vec<String>,
    /// The status where every row was made.
    pub created_status: u16,
    /// The status where every row failed.
    pub failed_status: u16,
    /// The status where some rows failed.
    pub mixed_status: u16,
    /// A field that calls do not have fails the row; otherwise it is ignored.
    pub unknown_fields_refused: bool,
    /// A start in the future fails the row, as scheduled calls need further fields.
    pub future_calls_refused: bool,
    /// `Call_Start_Time` may end with `Z`.
    pub accepts_z: bool,
    /// `Call_Duration` may be `HH:MM:SS`.
    pub accepts_hours: bool,
    /// How long a new or changed call stays out of searches.
    pub search_lag_s: u64,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            client_id: "sim-client".to_owned(),
            client_secret: "sim-secret".to_owned(),
            refresh_token: "sim-refresh".to_owned(),
            token_s: 3_600,
            token_error_status: 200,
            unique_field: Some("Call_Key".to_owned()),
            custom_fields: Vec::new(),
            created_status: 201,
            failed_status: 202,
            mixed_status: 207,
            unknown_fields_refused: true,
            future_calls_refused: true,
            accepts_z: false,
            accepts_hours: false,
            search_lag_s: 0,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

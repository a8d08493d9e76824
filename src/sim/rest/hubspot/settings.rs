//! The switches of the simulated portal.

use serde::{Deserialize, Serialize};

use super::super::harness::{Switches, Traffic};

/// Every switch of the portal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The token of the private app.
    pub token: String,
    /// Custom properties of calls, all of them texts.
    pub custom_properties: Vec<CustomProperty>,
    /// Objects are also found under `/crm/objects/2026-03/`.
    pub dated_paths: bool,
    /// Associations in an upsert are ignored instead of refused.
    pub upsert_ignores_associations: bool,
    /// The status of a create whose unique value is taken.
    pub duplicate_status: u16,
    /// `hs_call_status` must be one of the believed values.
    pub strict_status: bool,
    /// How long a new or changed call stays out of searches.
    pub search_lag_s: u64,
    /// Latency and limits.
    pub traffic: Traffic,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            token: "pat-sim".to_owned(),
            custom_properties: vec![CustomProperty { name: "call_key".to_owned(), is_unique: true }],
            dated_paths: true,
            upsert_ignores_associations: true,
            duplicate_status: 409,
            strict_status: true,
            search_lag_s: 5,
            traffic: Traffic::default(),
        }
    }
}

impl Switches for Settings {
    fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// A property that an administrator has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomProperty {
    /// Its internal name.
    pub name: String,
    /// `hasUniqueValue`: no two calls share a value, and calls can be named by it.
    pub is_unique: bool,
}

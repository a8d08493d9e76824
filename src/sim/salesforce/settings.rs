//! The switches of the simulated org: what an administrator can set, what the documentation leaves open, and limits.
//!
//! Settings change while the simulator runs, over `PUT /sim/settings` (merged, unknown keys refused) or in-process.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every switch of the org. `Default` is a production org with the `Call_Key__c` field deployed and nothing broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The idempotency key field on Activity (so on Task and Event), or `None` for an org that lacks it.
    pub key_field: Option<KeyField>,
    /// Further custom fields; the object `Activity` puts one on both Task and Event.
    pub custom_fields: Vec<CustomField>,
    /// Fields that field-level security hides from the API user, as `Task.Type`; any letter case.
    pub hidden_fields: BTreeSet<String>,
    /// Objects the API user may read but not write.
    pub read_only_objects: BTreeSet<String>,
    /// Rows refused with `FIELD_CUSTOM_VALIDATION_EXCEPTION`.
    pub validation_rules: Vec<ValidationRule>,
    /// Rows or chunks refused with `CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY`.
    pub triggers: Vec<Trigger>,
    /// The active assignment rule: the user who gets new Leads and Cases unless `Sforce-Auto-Assign: FALSE` is sent.
    pub assignment_owner: Option<String>,
    /// A duplicate rule on the e-mail of new Leads.
    pub lead_duplicate_rule: Option<DuplicateRule>,

    /// An unknown or hidden field on a write fails the whole request with 400, not just its row.
    pub unknown_field_fails_request: bool,
    /// A value of the wrong JSON type or date format fails the whole request with 400, not just its row.
    pub bad_value_fails_request: bool,
    /// `CallType` must match by case.
    pub strict_call_type: bool,
    /// `TaskSubtype` on an update is refused; otherwise it is silently ignored.
    pub task_subtype_update_refused: bool,
    /// Old closed Tasks are archived when written, not only when the job runs (`POST /sim/archive`).
    pub archive_immediately: bool,
    /// An upsert by key finds an archived Task.
    pub upsert_finds_archived: bool,
    /// A deleted record in the recycle bin still blocks its unique value.
    pub recycled_blocks_unique: bool,
    /// `DUPLICATE_VALUE` names the record by its 18-character id; captures of the real service show 15.
    pub duplicate_value_id_18: bool,
    /// The HTTP status of `UNABLE_TO_LOCK_ROW` on a single-record call.
    pub lock_row_http_status: u16,
    /// The HTTP status of a collection with more than 200 rows.
    pub too_many_rows_http_status: u16,
    /// A URI over 16,384 bytes is answered with an HTML page instead of JSON.
    pub uri_too_long_html: bool,

    /// How long a data or login request takes. Its row locks are held that long.
    pub latency_ms: u64,
    /// How long an upsert waits between looking its keys up and writing: the race window of two upserts of a new key.
    pub race_window_ms: u64,
    /// The user or app was revoked: sessions die at once and logins fail.
    pub login_revoked: bool,
    /// SOAP `login()` is enabled in the org.
    pub soap_login_enabled: bool,
    /// The OAuth username-password flow is enabled.
    pub password_flow_enabled: bool,
    /// The app has a run-as user for client credentials.
    pub client_credentials_user: bool,
    /// The user has approved the app for the JWT flow.
    pub jwt_approved: bool,
    /// Minutes of inactivity after which a session expires.
    pub session_minutes: u64,
    /// Logins in any hour before `LOGIN_RATE_EXCEEDED`.
    pub logins_per_hour_max: u64,
    /// Daily API requests (rolling 24 h) before `TotalRequests Limit exceeded.`
    pub api_requests_max: u64,
    /// Requests in flight before `ConcurrentPerOrgLongTxn Limit exceeded.`; `None` is no limit.
    pub concurrent_requests_max: Option<u64>,
    /// Inserts fail with `STORAGE_LIMIT_EXCEEDED`.
    pub storage_full: bool,
    /// Rows of a query page when the request names no batch size; also the most it may name.
    pub query_page_rows: usize,
    /// The newest API version the org answers.
    pub api_version_max: u32,
    /// The time zone of date literals such as `TODAY`, an IANA name.
    pub time_zone: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            key_field: Some(KeyField::default()),
            custom_fields: Vec::new(),
            hidden_fields: BTreeSet::new(),
            read_only_objects: BTreeSet::new(),
            validation_rules: Vec::new(),
            triggers: Vec::new(),
            assignment_owner: None,
            lead_duplicate_rule: None,
            unknown_field_fails_request: true,
            bad_value_fails_request: true,
            strict_call_type: false,
            task_subtype_update_refused: true,
            archive_immediately: false,
            upsert_finds_archived: true,
            recycled_blocks_unique: false,
            duplicate_value_id_18: false,
            lock_row_http_status: 400,
            too_many_rows_http_status: 400,
            uri_too_long_html: true,
            latency_ms: 0,
            race_window_ms: 0,
            login_revoked: false,
            soap_login_enabled: true,
            password_flow_enabled: true,
            client_credentials_user: true,
            jwt_approved: true,
            session_minutes: 120,
            logins_per_hour_max: 3_600,
            api_requests_max: 100_000,
            concurrent_requests_max: None,
            storage_full: false,
            query_page_rows: 2_000,
            api_version_max: 67,
            time_zone: "UTC".to_owned(),
        }
    }
}

/// The custom key field on Activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyField {
    /// The API name, which ends in `__c`.
    pub name: String,
    /// The most characters it holds.
    pub length: u32,
    /// Whether two live records may not share a value.
    pub unique: bool,
    /// Whether it can be used to upsert.
    pub external_id: bool,
    /// Whether `A` and `a` are different values.
    pub case_sensitive: bool,
}

impl Default for KeyField {
    fn default() -> KeyField {
        KeyField { name: "Call_Key__c".to_owned(), length: 100, unique: true, external_id: true, case_sensitive: false }
    }
}

/// The types a custom field can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CustomType {
    /// Text of a fixed greatest length.
    #[default]
    Text,
    /// Long text: stored, but not filterable.
    LongText,
    /// A web address.
    Url,
    /// A phone number, kept as text.
    Phone,
    /// An e-mail address, checked for its form.
    Email,
    /// One of the listed values.
    Picklist,
    /// A number.
    Number,
    /// True or false.
    Checkbox,
    /// A calendar day.
    Date,
    /// An instant.
    DateTime,
}

/// A custom field of any object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomField {
    /// `Task`, `Contact`, …; `Activity` stands for Task and Event.
    pub object: String,
    /// The API name, which ends in `__c`.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: CustomType,
    /// The most characters of a text; 0 takes the type's usual length.
    pub length: u32,
    /// Whether it can be used to upsert.
    pub external_id: bool,
    /// Whether two live records may not share a value.
    pub unique: bool,
    /// Whether `A` and `a` are different values.
    pub case_sensitive: bool,
    /// The values of a picklist.
    pub values: Vec<String>,
    /// Whether a picklist refuses other values.
    pub restricted: bool,
}

/// A validation rule: rows whose `field` contains `contains` are refused with `message`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationRule {
    /// The object; empty means Task.
    pub object: String,
    /// The field looked at.
    pub field: String,
    /// The text that breaks the rule; empty: a missing value breaks it.
    pub contains: String,
    /// What the administrator wrote.
    pub message: String,
}

/// An Apex trigger that throws for rows whose `field` contains `contains`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trigger {
    /// The object; empty means Task.
    pub object: String,
    /// The field looked at.
    pub field: String,
    /// The text that makes it throw.
    pub contains: String,
    /// The exception's text.
    pub message: String,
    /// One such row fails all rows of the chunk.
    pub whole_chunk: bool,
}

/// A duplicate rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DuplicateRule {
    /// The rule's developer name.
    pub name: String,
    /// An alert rule: a retry with `Sforce-Duplicate-Rule-Header: allowSave=true` saves.
    pub allow_save: bool,
}

impl Default for DuplicateRule {
    fn default() -> DuplicateRule {
        DuplicateRule { name: "Standard_Lead_Duplicate_Rule".to_owned(), allow_save: true }
    }
}

impl Settings {
    /// These settings with the members of `change` merged in (objects member by member, all else replaced).
    pub(super) fn merged(&self, change: Value) -> Result<Settings, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        merge(&mut merged, change);
        serde_json::from_value(merged)
    }
}

fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (name, value) in change {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_merged_and_an_unknown_key_is_named() {
        let changed = Settings::default()
            .merged(json!({ "latency_ms": 5, "key_field": { "length": 10 } }))
            .expect("known keys are accepted");
        assert_eq!((changed.latency_ms, changed.key_field.map(|key| key.length)), (5, Some(10)));
        let refused = Settings::default().merged(json!({ "latency": 5 })).expect_err("an unknown key is refused");
        assert!(refused.to_string().contains("latency"), "{refused}");
    }
}

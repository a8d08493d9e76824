//! The table of Salesforce error codes: what each means for a record, and what an admin can do about it.
//!
//! Invariant: decided by code and message, never by HTTP status alone; the first row that fits wins. How a verdict
//! becomes an outcome, given what was asked, is in `outcome`.

use super::refusal::Fault;
use crate::problem as p;
use crate::problem::Code;

/// What an error means, before it is known whether it struck one row or a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody else holds a lock; nothing was written.
    Locked,
    /// Too much at once; nothing was written.
    Smaller(Code),
    /// Try again after so many seconds.
    Busy(u64),
    /// The daily allowance is gone.
    DailyLimit,
    /// The server failed in the middle: on a write the effect is not known.
    ServerFailed,
    /// Nothing goes until a person acts.
    Hold(Code),
    /// As a whole request: hold with the first code. For a row: reject with the second.
    HoldOrReject(Code, Code),
    /// The record will never be taken as it is.
    Reject(Code),
    /// The person on the record is gone or converted.
    Rematch,
    /// Something that the request refers to does not exist.
    Gone,
    /// A field cannot be written: for nobody who logs in as we do, or in this record only.
    Field,
    /// A trigger or flow threw.
    Trigger,
    /// A unique field holds the value already.
    DuplicateValue,
}

/// One row of the table.
pub struct Rule {
    /// The error code; a `*` at the end stands for any ending.
    pub code: &'static str,
    /// A part of the message in lower case; empty fits every message.
    pub contains: &'static str,
    pub verdict: Verdict,
    pub help: &'static str,
}

const fn rule(code: &'static str, contains: &'static str, verdict: Verdict, help: &'static str) -> Rule {
    Rule { code, contains, verdict, help }
}

const WAIT: &str = "Nothing to do: it is tried again by itself.";
pub const HELP_LIMIT: &str = "Wait until the rolling 24 hours free requests, or have the org's daily API requests raised \
                              (Setup > Company Information); other integrations share the same allowance.";
pub const HELP_FIELD: &str = "Deploy the field, or open it in the integration user's profile or permission set (Field-Level \
                              Security: visible and editable), or take the field out of the mapping.";
pub const HELP_ACCESS: &str = "Give the integration user the permission set in `salesforce/`: API Enabled, read on Contacts \
                               and Leads, and Edit Tasks.";
const HELP_VALUE: &str = "Change the field's mapping or the field in Setup, then run `trunkline retry` for this call.";
const HELP_MAPPING: &str = "Correct the mapping of the field it names, then run `trunkline retry` for this call.";
const HELP_TRIGGER: &str = "Ask the owner of the trigger or flow on Task; once it is mended run `trunkline retry`.";
const HELP_VERSION: &str =
    "Set `api_version` to one that the org offers (open /services/data/ on its host), or leave it out.";
pub const HELP_DUPLICATE: &str =
    "Look at the record that it names; if the call stands there already, dismiss this one.";
const HELP_VALIDATION: &str = "Exempt the integration user from the validation rule, or map what it asks for, then run \
                               `trunkline retry`.";
const HELP_SHARING: &str =
    "Share the person's record with the integration user, then run `trunkline retry` for this call.";
const HELP_SECURITY: &str = "Exempt the integration user from the transaction security policy.";
/// What can be said about a field that one record refuses.
pub const HELP_SHUT: &str = "Either the record has it so (somebody made the Task recurring, or a page layout or record type \
                             makes the field read-only): change that, or leave the record. Or the integration user may not \
                             edit the field: open it (Field-Level Security). Then run `trunkline retry` for this call.";
/// What can be said about a key that no visible record holds.
pub const HELP_UNSEEN: &str = "Look for a Task with this key in the recycle bin, and among those that the integration user may \
                               not see: remove it for good, or share it. Then run `trunkline retry` for this call.";
const HELP_CONFIGURATION: &str = "Read what Salesforce says above and change the org or the settings; deliveries wait.";

use Verdict::{
    Busy, DailyLimit, DuplicateValue, Field, Gone, Hold, HoldOrReject, Locked, Reject, Rematch, ServerFailed, Smaller,
    Trigger,
};

/// Every code that means something to us, in the order in which they are tried.
pub const RULES: &[Rule] = &[
    rule("UNABLE_TO_LOCK_ROW", "", Locked, WAIT),
    rule("REQUEST_LIMIT_EXCEEDED", "concurrent", Busy(5), WAIT),
    rule("REQUEST_LIMIT_EXCEEDED", "", DailyLimit, HELP_LIMIT),
    rule("LIMIT_EXCEEDED", "", Busy(60), WAIT),
    rule("SERVER_UNAVAILABLE", "", ServerFailed, WAIT),
    rule("UNKNOWN_EXCEPTION", "", ServerFailed, WAIT),
    rule("INTERNAL_ERROR", "", ServerFailed, WAIT),
    rule("QUERY_TIMEOUT", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("QUERY_TOO_COMPLICATED", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("REQUEST_RUNNING_TOO_LONG", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("INVALID_QUERY_LOCATOR", "", Busy(1), WAIT),
    rule("EXCEEDED_ID_LIMIT", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("EXCEEDED_MAX_SIZE_REQUEST", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("ALL_OR_NONE_OPERATION_ROLLED_BACK", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("PROCESSING_HALTED", "", Smaller(p::REMOTE_BUSY), WAIT),
    rule("INVALID_SESSION_ID", "", Busy(1), WAIT),
    rule(
        "INVALID_AUTH_HEADER",
        "",
        Hold(p::LOGIN_REFUSED),
        "Check that nothing between here and Salesforce changes headers.",
    ),
    rule("API_DISABLED_FOR_ORG", "", Hold(p::API_DISABLED), HELP_API),
    rule("API_CURRENTLY_DISABLED", "", Hold(p::API_DISABLED), HELP_API),
    rule("STORAGE_LIMIT_EXCEEDED", "", Hold(p::STORAGE_FULL), "Free or buy data storage (Setup > Storage Usage)."),
    rule("INVALID_FIELD", "", Field, HELP_FIELD),
    rule("INVALID_FIELD_FOR_INSERT_UPDATE", "", Field, HELP_FIELD),
    rule("INVALID_TYPE", "", Hold(p::OBJECT_ACCESS), HELP_ACCESS),
    rule("UNSUPPORTED_API_VERSION", "", Hold(p::API_VERSION), HELP_VERSION),
    rule("METHOD_NOT_ALLOWED", "", Hold(p::ORG_CONFIGURATION), HELP_CONFIGURATION),
    rule("UNSUPPORTED_MEDIA_TYPE", "", Hold(p::ORG_CONFIGURATION), HELP_CONFIGURATION),
    rule("MALFORMED_QUERY", "", Hold(p::ORG_CONFIGURATION), HELP_CONFIGURATION),
    rule("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", Reject(p::ROW_ACCESS), HELP_SHARING),
    rule("INSUFFICIENT_ACCESS*", "", HoldOrReject(p::OBJECT_ACCESS, p::ROW_ACCESS), HELP_ACCESS),
    rule("CANNOT_UPDATE_CONVERTED_LEAD", "", Rematch, WAIT),
    rule("*", "converted lead", Rematch, WAIT),
    rule("ENTITY_IS_DELETED", "", Gone, HELP_MAPPING),
    rule("INVALID_CROSS_REFERENCE_KEY", "", Gone, HELP_MAPPING),
    rule("NOT_FOUND", "external id field does not exist", Hold(p::FIELD_MISSING), HELP_FIELD),
    rule("NOT_FOUND", "", Gone, HELP_VERSION),
    rule("DUPLICATE_VALUE", "duplicate external id specified", Smaller(p::ROW_DUPLICATE), WAIT),
    rule("DUPLICATE_VALUE", "", DuplicateValue, HELP_DUPLICATE),
    rule("DUPLICATE_EXTERNAL_ID", "", Reject(p::ROW_DUPLICATE), HELP_DUPLICATE),
    rule("DUPLICATES_DETECTED", "", Reject(p::ROW_DUPLICATE), HELP_DUPLICATE),
    rule("CANNOT_*", "unable_to_lock_row", Locked, WAIT),
    rule("CANNOT_*", "unable to obtain exclusive access", Locked, WAIT),
    rule("CANNOT_*", "too many", Smaller(p::ROW_TRIGGER), HELP_TRIGGER),
    rule("CANNOT_*", "limit exceeded", Smaller(p::ROW_TRIGGER), HELP_TRIGGER),
    rule("CANNOT_*", "limitexception", Smaller(p::ROW_TRIGGER), HELP_TRIGGER),
    rule("CANNOT_*", "cpu time", Smaller(p::ROW_TRIGGER), HELP_TRIGGER),
    rule("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "", Trigger, HELP_TRIGGER),
    rule("CANNOT_EXECUTE_FLOW_TRIGGER", "", Trigger, HELP_TRIGGER),
    rule("FIELD_CUSTOM_VALIDATION_EXCEPTION", "", Reject(p::ROW_VALIDATION), HELP_VALIDATION),
    rule("FIELD_FILTER_VALIDATION_EXCEPTION", "", Reject(p::ROW_VALIDATION), HELP_VALIDATION),
    rule("REQUIRED_FIELD_MISSING", "", Reject(p::ROW_REQUIRED), HELP_MAPPING),
    rule("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "", Reject(p::ROW_PICKLIST), HELP_VALUE),
    rule("MALFORMED_ID", "", Reject(p::ROW_REFERENCE), HELP_MAPPING),
    rule("FIELD_INTEGRITY_EXCEPTION", "", Reject(p::ROW_REFERENCE), HELP_MAPPING),
    rule("INACTIVE_OWNER_OR_USER", "", Reject(p::ROW_REFERENCE), "Map OwnerId to an active user, or take it out."),
    rule("STRING_TOO_LONG", "", Reject(p::ROW_REFUSED), HELP_VALUE),
    rule("NUMBER_OUTSIDE_VALID_RANGE", "", Reject(p::ROW_REFUSED), HELP_VALUE),
    rule("INVALID_EMAIL_ADDRESS", "", Reject(p::ROW_REFUSED), HELP_VALUE),
    rule("INVALID_TYPE_ON_FIELD_IN_RECORD", "", Reject(p::ROW_REFUSED), HELP_MAPPING),
    rule("JSON_PARSER_ERROR", "", Reject(p::ROW_REFUSED), HELP_MAPPING),
    rule("MISSING_ARGUMENT", "", HoldOrReject(p::ORG_CONFIGURATION, p::ROW_REFUSED), HELP_CONFIGURATION),
    rule("TXN_SECURITY_*", "unable_to_lock_row", Locked, WAIT),
    rule("TXN_SECURITY_*", "unable to obtain exclusive access", Locked, WAIT),
    rule("TXN_SECURITY_*", "too many", Smaller(p::ROW_TRIGGER), HELP_SECURITY),
    rule("TXN_SECURITY_*", "limit exceeded", Smaller(p::ROW_TRIGGER), HELP_SECURITY),
    rule("TXN_SECURITY_*", "", Reject(p::ROW_REFUSED), HELP_SECURITY),
];

const HELP_API: &str = "Enable the API for the org's edition, and `API Enabled` in the integration user's profile or \
                        permission set.";

/// The rule for an error, if its code means anything to us.
pub fn find(fault: &Fault) -> Option<&'static Rule> {
    let message = fault.message.to_lowercase();
    RULES.iter().find(|rule| {
        let code_fits = match rule.code.strip_suffix('*') {
            Some(start) => fault.code.starts_with(start),
            None => fault.code == rule.code,
        };
        code_fits && message.contains(rule.contains)
    })
}

/// What can be said about a code that is not in the table.
pub const HELP_UNKNOWN: &str = "Look the error up in the Salesforce documentation; once mended run `trunkline retry`.";
/// What can be said about a whole request that the org refuses.
pub const HELP_ORG: &str = HELP_CONFIGURATION;
/// What can be said where the version does not exist.
pub const HELP_API_VERSION: &str = HELP_VERSION;

//! What a transcript says about its call besides the conversation: identity, times, campaign, caller.
//!
//! Invariant: the identity comes from the file alone, never from a file beside it, so that whatever arrives later cannot
//! change it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::campaign::Facts;
use super::config::Settings;
use super::naming;
use super::shape::{HOLDERS, LISTS, Notes, Shape, present};
use super::times;
use crate::model::{Call, Status};
use crate::problem;
use crate::sources::decode::Refused;
use crate::sources::wire::{Fields, Kind, Value, said, with_object};

/// Fields that have a place in the call; all others are kept as they came.
const PLACED: &[&str] =
    &["session_id", "start_time", "end_time", "duration_seconds", "caller_phone", "caller_number", "phone_number"];
const SESSION: &[&str] = &["session_id", "sessionId"];

/// The call without its conversation, and what tells its companions.
pub(super) struct Head {
    pub call: Call,
    /// Every id by which another file may name this session; the call's own first.
    pub session_ids: Vec<String>,
    pub egress_id: Option<String>,
    /// Whether the agent took down a lead, where the file says so.
    pub lead_generated: Option<bool>,
}

/// Reads the head of the file `name`, its path below the source's folder.
pub(super) fn read(settings: &Settings, name: &str, shape: &Shape<'_>, notes: &mut Notes) -> Result<Head, Refused> {
    match shape {
        Shape::Object(fields) => of_object(settings, name, fields, notes),
        Shape::Lines(lines) => of_lines(name, lines),
    }
}

fn of_object(settings: &Settings, name: &str, fields: &Fields<'_>, notes: &mut Notes) -> Result<Head, Refused> {
    let is_call = LISTS.iter().chain(HOLDERS).chain(SESSION).chain(&["start_time", "end_time"]);
    if !is_call.into_iter().any(|field| fields.get(field).is_some()) {
        let what = "is an object, but no transcript: it has neither items nor a session_id".to_owned();
        return Err(Refused { code: problem::RAW_NO_ID, what });
    }
    let mut session_ids = Vec::new();
    session_ids.extend(session_id(fields)?);
    for id in campaign_sessions(fields) {
        if !session_ids.contains(&id) {
            session_ids.push(id);
        }
    }
    let stem = naming::stem(name);
    let own = session_ids.first().cloned().unwrap_or_else(|| stem.to_owned());
    let mut call = Call::new(super::SOURCE_NAME, &own);
    call.started_at = time_of(fields, "start_time", settings, notes);
    call.ended_at = time_of(fields, "end_time", settings, notes);
    call.duration_s = duration(fields, notes);
    call.status = present(fields, "status").and_then(|value| status(&value.text()?));
    let mut facts = Facts::default();
    facts.read(fields);
    check_name(stem, &facts, notes);
    take(&mut call, &facts);
    call.extra = extra(fields, &call);
    let lead_generated = present(fields, "lead_generated").and_then(Value::boolean);
    Ok(Head { call, session_ids, egress_id: facts.egress_id, lead_generated })
}

fn of_lines(name: &str, lines: &[Fields<'_>]) -> Result<Head, Refused> {
    let mut session_ids: Vec<String> = Vec::new();
    let mut facts = Facts::default();
    for fields in lines {
        let own = SESSION.iter().find_map(|name| id_of(present(fields, name)?));
        let inner = || ["meta", "metadata"].iter().find_map(|name| with_object(fields.get(name)?, first_session)?);
        if let Some(id) = own.or_else(inner)
            && !session_ids.contains(&id)
        {
            session_ids.push(id);
        }
        if session_ids.len() > 1 {
            let what = "has lines of several sessions; a file holds one call".to_owned();
            return Err(Refused { code: problem::RAW_NO_ID, what });
        }
        facts.read(fields);
    }
    let own = session_ids.first().cloned().unwrap_or_else(|| naming::stem(name).to_owned());
    let mut call = Call::new(super::SOURCE_NAME, &own);
    take(&mut call, &facts);
    Ok(Head { call, session_ids, egress_id: facts.egress_id, lead_generated: None })
}

fn take(call: &mut Call, facts: &Facts) {
    call.campaign = facts.campaign();
    call.direction = facts.direction;
    call.dialled.clone_from(&facts.dialled);
    call.caller.phone.clone_from(&facts.phone);
    call.caller.email.clone_from(&facts.email);
    call.caller.name.clone_from(&facts.name);
}

/// The file's own session id; an id of a wrong type is refused, because a later, mended file would be another call.
fn session_id(fields: &Fields<'_>) -> Result<Option<String>, Refused> {
    let Some(value) = SESSION.iter().find_map(|name| present(fields, name)) else { return Ok(None) };
    let is_blank = value.text().is_some_and(|text| text.trim().is_empty());
    match id_of(value) {
        None if !is_blank => Err(Refused {
            code: problem::RAW_NO_ID,
            what: format!("has a session_id that is {}, not a text or a whole number", value.kind()),
        }),
        id => Ok(id),
    }
}

fn id_of(value: Value<'_>) -> Option<String> {
    match value.kind() {
        // Kept byte for byte, unless it is only blanks.
        Kind::Text => value.text().filter(|text| said(text).is_some()).map(std::borrow::Cow::into_owned),
        Kind::Number => {
            Some(value.0.get()).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned)
        }
        _ => None,
    }
}

fn first_session(fields: &Fields<'_>) -> Option<String> {
    ["sessionId", "session_id"].iter().find_map(|name| id_of(present(fields, name)?))
}

/// The ids that the metadata give the session.
fn campaign_sessions(fields: &Fields<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["metadata", "campaign_metadata"] {
        let Some(value) = fields.get(name) else { continue };
        with_object(value, |inner| {
            found.extend(first_session(inner));
            if let Some(campaign) = inner.get("campaign_metadata") {
                found.extend(with_object(campaign, first_session).flatten());
            }
        });
    }
    found
}

fn time_of(fields: &Fields<'_>, name: &str, settings: &Settings, notes: &mut Notes) -> Option<jiff::Timestamp> {
    let value = present(fields, name)?;
    let at = times::read(value, &settings.zone);
    if at.is_none() && value.text().is_none_or(|text| !text.trim().is_empty()) {
        notes.add(format!("{name} is not a time: left out"));
    }
    at
}

fn duration(fields: &Fields<'_>, notes: &mut Notes) -> Option<f64> {
    let value = present(fields, "duration_seconds")?;
    let seconds = value.number().filter(|seconds| *seconds >= 0.0).map(f64::abs);
    if seconds.is_none() {
        notes.add("duration_seconds is not a duration: left out");
    }
    seconds
}

fn status(text: &str) -> Option<Status> {
    match text.trim().to_ascii_lowercase().as_str() {
        "completed" => Some(Status::Completed),
        "failed" => Some(Status::Failed),
        "missed" => Some(Status::Missed),
        _ => None,
    }
}

/// A metadata-named file that holds another campaign was renamed or copied; only told, because the content counts.
fn check_name(stem: &str, facts: &Facts, notes: &mut Notes) {
    let Some(parts) = naming::parts(stem) else { return };
    let agrees = |id: &Option<String>, part: &str| {
        id.as_ref().is_none_or(|id| {
            let id = id.to_ascii_lowercase();
            id.starts_with(&part.to_ascii_lowercase()) || id.ends_with(&part.to_ascii_lowercase())
        })
    };
    if !agrees(&facts.campaign.id, parts.campaign) || !agrees(&facts.campaign.agent_id, parts.agent) {
        notes.add("the file is named after another campaign or voice agent than it holds");
    }
}

/// What has no place in the call, and what could not be put into its place.
fn extra(fields: &Fields<'_>, call: &Call) -> BTreeMap<String, Box<RawValue>> {
    let is_placed = |name: &str| match name {
        "direction" => call.direction.is_some(),
        "status" => call.status.is_some(),
        name => PLACED.contains(&name) || LISTS.contains(&name),
    };
    fields
        .iter()
        .filter(|(name, _)| !is_placed(name))
        .map(|(name, value)| (name.to_owned(), value.0.to_owned()))
        .collect()
}

//! Finds Tasks that stand there already: those that carry our identity, and those of the script that ran before us.
//!
//! Invariant: identities are compared byte by byte here, because a query folds case. Old calls are asked for together
//! with archived Tasks, which a plain query hides.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::client::{Client, Failure};
use super::config::Settings;
use super::describe::Facts;
use super::outcome::Effect;
use super::soql::{InQuery, URI_BYTES_MAX, encoded_len, quote};
use super::time::parse_time;
use crate::destinations::{Existing, Outcome, Record};
use crate::map::crm_id;
use crate::model::{Call, CallKey};

/// Salesforce archives closed Tasks after 365 days; we look among the archived from this age on, in days.
const ARCHIVED_AFTER_DAYS: i64 = 300;
/// Dates in one query.
const ADOPTABLE_DATES_ASKED_MAX: usize = 20;
/// Of one query's URI for the subjects; the rest of the statement takes less than what is left.
const SUBJECTS_BYTES_MAX: usize = URI_BYTES_MAX - 2_000;

#[derive(Deserialize)]
struct TaskRow {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "WhoId", default)]
    who_id: Option<String>,
    #[serde(rename = "CreatedDate", default)]
    created: Option<String>,
    #[serde(rename = "Description", default)]
    session: SessionLine,
    #[serde(flatten)]
    other: Record,
}

impl TaskRow {
    /// Smaller is better: the oldest, then by id.
    fn rank(&self) -> (i64, String) {
        (created_rank(self.created.as_deref()), self.id.clone())
    }

    fn existing(self) -> Existing {
        Existing { remote_id: self.id, adopted: true, person_id: self.who_id, record: None }
    }
}

/// The records that carry these calls' identity, by call key, with what they hold of `read` and of our own fields.
pub async fn look_up(
    client: &Client,
    settings: &Settings,
    facts: &Facts,
    read: &[String],
    calls: &[&Call],
) -> Result<HashMap<CallKey, Existing>, Outcome> {
    let by_key = facts.key_use(&settings.key_field).usable;
    let field = if by_key { settings.key_field.as_str() } else { "CallObject" };
    let identity = |call: &Call| if by_key { call.key.as_str() } else { crm_id(call) }.to_owned();
    let select = format!("SELECT {} FROM Task WHERE {field}", held_fields(facts, field, read).join(", "));
    let mut wanted: HashMap<String, CallKey> = HashMap::new();
    let (mut young, mut old) = (Vec::new(), Vec::new());
    for call in calls {
        let value = identity(call);
        if wanted.insert(value.clone(), call.key.clone()).is_none() {
            if is_old(client, call) { old.push(value) } else { young.push(value) }
        }
    }
    let mut best: HashMap<CallKey, ((i64, String), Existing)> = HashMap::new();
    for (values, all_rows, after) in [(young, false, ""), (old, true, " AND IsDeleted = false")] {
        let query = InQuery { before: &select, values: &values, after, all_rows };
        let mut take = |record: Record| {
            let Some(key) = text_of(&record, field).and_then(|value| wanted.get(value)) else { return };
            let Some(id) = text_of(&record, "Id").map(str::to_owned) else { return };
            let rank = (created_rank(text_of(&record, "CreatedDate")), id.clone());
            if best.get(key).is_none_or(|(other, _)| rank < *other) {
                let person_id = text_of(&record, "WhoId").map(str::to_owned);
                let existing = Existing { remote_id: id, adopted: false, person_id, record: Some(record) };
                best.insert(key.clone(), (rank, existing));
            }
        };
        client.query_in(&query, &mut take).await?;
    }
    Ok(best.into_iter().map(|(key, (_, existing))| (key, existing)).collect())
}

/// Our own fields and those of `read` that the org has, each once.
fn held_fields<'a>(facts: &Facts, identity: &'a str, read: &'a [String]) -> Vec<&'a str> {
    let mut names = vec!["Id", "WhoId", "CreatedDate", identity];
    let mapped = read.iter().map(String::as_str).chain(["CallObject"]);
    for name in mapped.filter(|name| facts.field(name).is_some()) {
        if !names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    names
}

/// A text that is there; names compare without case, as the org's do.
fn text_of<'a>(record: &'a Record, field: &str) -> Option<&'a str> {
    let value = record.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value);
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Smaller is older; what has no time comes last.
fn created_rank(created: Option<&str>) -> i64 {
    created.and_then(parse_time).map_or(i64::MAX, |time| time.as_microsecond())
}

/// The ids of the Tasks that hold these keys, archived ones too.
pub async fn holders(client: &Client, key_field: &str, keys: &[String]) -> Result<HashMap<String, String>, Outcome> {
    let before = format!("SELECT Id, {key_field} FROM Task WHERE {key_field}");
    let query = InQuery { before: &before, values: keys, after: " AND IsDeleted = false", all_rows: true };
    let mut holders = HashMap::new();
    let mut take = |record: Record| {
        if let (Some(key), Some(id)) = (text_of(&record, key_field), text_of(&record, "Id")) {
            holders.insert(key.to_owned(), id.to_owned());
        }
    };
    client.query_in(&query, &mut take).await?;
    Ok(holders)
}

fn is_old(client: &Client, call: &Call) -> bool {
    let age_max = SignedDuration::from_hours(24 * ARCHIVED_AFTER_DAYS);
    let at = call.started_at.or(call.ended_at);
    at.is_some_and(|at| client.wire().now().duration_since(at) > age_max)
}

/// Tasks that the earlier script made for calls of `dates`: session id to record. Those with an identity are not asked
/// for: they are ours, and there may be as many as a day had calls.
pub async fn adoptable(
    client: &Client,
    settings: &Settings,
    facts: &Facts,
    dates: &[Date],
) -> Result<HashMap<String, Existing>, Outcome> {
    let mut best = HashMap::new();
    for dates in dates.chunks(dates_asked_max(&settings.adoption.subject)) {
        read_adoptable(client, settings, facts, dates, &mut best).await?;
    }
    Ok(best.into_iter().map(|(session_id, (_, existing))| (session_id, existing)).collect())
}

/// How many dates fit into a query, each with its two neighbours.
fn dates_asked_max(subject: &str) -> usize {
    let date_bytes = 3 * (encoded_len(&quote(subject)) + 8);
    (SUBJECTS_BYTES_MAX / date_bytes).clamp(1, ADOPTABLE_DATES_ASKED_MAX)
}

/// The oldest Task of each session.
type Best = HashMap<String, ((i64, String), Existing)>;

async fn read_adoptable(
    client: &Client,
    settings: &Settings,
    facts: &Facts,
    dates: &[Date],
    best: &mut Best,
) -> Result<(), Outcome> {
    // The script wrote its own idea of the day: its zone may be another.
    let around = |date: &Date| [date.yesterday().unwrap_or(*date), *date, date.tomorrow().unwrap_or(*date)];
    let days: BTreeSet<Date> = dates.iter().flat_map(around).collect();
    let Some(first) = days.first() else { return Ok(()) };
    let subject = |day: &Date| quote(&settings.adoption.subject.replace("{date}", &day.to_string()));
    let subjects = days.iter().map(subject).collect::<Vec<_>>().join(",");
    let today = client.wire().now().to_zoned(settings.time_zone.clone()).date();
    let all_rows = dates.iter().any(|date| *date < today.saturating_sub(ARCHIVED_AFTER_DAYS.days()));
    let identity = if facts.key_use(&settings.key_field).usable { settings.key_field.as_str() } else { "CallObject" };
    let deleted = if all_rows { " AND IsDeleted = false" } else { "" };
    let open = format!(
        "SELECT Id, WhoId, Description, CreatedDate, {identity} FROM Task WHERE Subject IN ({subjects}){deleted}"
    );
    let mut take = |row: TaskRow| {
        let (Some(session_id), None) = (row.session.0.clone(), text_of(&row.other, identity)) else { return };
        let rank = row.rank();
        if best.get(&session_id).is_none_or(|(other, _)| rank < *other) {
            best.insert(session_id, (rank, row.existing()));
        }
    };
    let bounded = format!("{open} AND {identity} = null");
    let mut result = client.query(&bounded, all_rows, &mut take).await;
    if result.as_ref().is_err_and(took_too_long) {
        let since = format!("{bounded} AND CreatedDate >= {first}T00:00:00Z");
        result = client.query(&since, all_rows, &mut take).await;
    } else if result.as_ref().is_err_and(|failure| has_code(failure, &["MALFORMED_QUERY", "INVALID_FIELD"])) {
        // Where the field cannot be compared with nothing, the rows are sorted out here.
        result = client.query(&open, all_rows, &mut take).await;
    }
    result.map_err(|failure| failure.into_outcome(Effect::Read, None))
}

/// By the org's own word, by a gateway's, or because no answer came: on a large org a query without an index does that.
fn took_too_long(failure: &Failure) -> bool {
    let told = has_code(failure, &["QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED"]);
    told || match failure {
        Failure::Refused(refusal) => refusal.status >= 500,
        Failure::Decided(outcome) => matches!(outcome, Outcome::Retry { .. } | Outcome::Unknown { .. }),
    }
}

fn has_code(failure: &Failure, codes: &[&str]) -> bool {
    match failure {
        Failure::Refused(refusal) => codes.iter().any(|code| refusal.has_code(code)),
        Failure::Decided(_) => false,
    }
}

/// The session id that a Description names; only it is kept of the text.
#[derive(Default)]
struct SessionLine(Option<String>);

impl<'de> Deserialize<'de> for SessionLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SessionLine, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = SessionLine;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a text or null")
            }

            fn visit_str<E>(self, text: &str) -> Result<SessionLine, E> {
                Ok(SessionLine(session_id(text)))
            }

            fn visit_unit<E>(self) -> Result<SessionLine, E> {
                Ok(SessionLine(None))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads the first line that begins with `Session ID:`, in any case.
fn session_id(description: &str) -> Option<String> {
    const LABEL: &str = "session id:";
    let rest = description.split(['\n', '\r']).find_map(|line| {
        let line = line.trim();
        let (label, rest) = line.split_at_checked(LABEL.len())?;
        label.eq_ignore_ascii_case(LABEL).then_some(rest.trim())
    })?;
    (!rest.is_empty()).then(|| rest.to_owned())
}

#[cfg(test)]
#[path = "tests/existing.rs"]
mod tests;

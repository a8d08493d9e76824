//! `GET`: which stored calls were asked for, and how they look.
//!
//! The parameters are those that the documentation names; any other, and any that cannot be read, is refused by name.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::payload::is_object_id;
use super::service::Stored;
use super::settings::{LookUpShape, Settings};
use crate::sim::harness::check::instant;
use crate::sim::harness::{Answer, Request};

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 1_000;
const KNOWN: &[&str] = &["campaignId", "voiceAgentId", "callId", "startDate", "endDate", "limit", "offset"];

struct Question<'a> {
    campaign_id: Option<&'a str>,
    voice_agent_id: Option<&'a str>,
    call_id: Option<&'a str>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    limit: usize,
    offset: usize,
}

/// Answers a look-up, or says which parameter is wrong.
pub(super) fn answer(
    stored: &[Stored],
    settings: &Settings,
    now: Timestamp,
    request: &Request,
) -> Result<Answer, String> {
    let question = read(request)?;
    let lag = i64::try_from(settings.look_up_lag_s).unwrap_or(i64::MAX);
    let is_visible = |call: &&Stored| now.as_second() - call.at.as_second() >= lag;
    let found: Vec<&Stored> = stored.iter().filter(is_visible).filter(|call| question.fits(&call.payload)).collect();
    if found.is_empty() && settings.empty_is_404 {
        return Ok(super::service::refused(404, "Not found", "no call data found"));
    }
    let page: Vec<Value> = found
        .iter()
        .skip(question.offset)
        .take(question.limit)
        .map(|call| shown(call, settings.look_up_shape))
        .collect();
    let has_more = question.offset + page.len() < found.len();
    let pagination = json!({
        "total": found.len(), "limit": question.limit, "offset": question.offset, "has_more": has_more,
    });
    Ok(Answer::json(200, &json!({ "success": true, "data": page, "pagination": pagination })))
}

fn read(request: &Request) -> Result<Question<'_>, String> {
    if let Some(name) = request.parameter_beyond(KNOWN) {
        return Err(format!("{name}: is not a known parameter"));
    }
    let id = |name: &str| match request.parameter(name) {
        Some(value) if !is_object_id(value) => Err(format!("{name}: expected 24 hexadecimal digits")),
        value => Ok(value),
    };
    let number = |name: &str, default: usize, range: std::ops::RangeInclusive<usize>| {
        let Some(value) = request.parameter(name) else { return Ok(default) };
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("{name}: `{value}` is no number from {} to {}", range.start(), range.end()))
    };
    let question = Question {
        campaign_id: id("campaignId")?,
        voice_agent_id: id("voiceAgentId")?,
        call_id: request.parameter("callId"),
        from: moment(request, "startDate", SignedDuration::ZERO)?,
        to: moment(request, "endDate", SignedDuration::from_hours(24) - SignedDuration::from_nanos(1))?,
        limit: number("limit", LIMIT_DEFAULT, 1..=LIMIT_MAX)?,
        offset: number("offset", 0, 0..=usize::MAX)?,
    };
    match question.call_id {
        Some("") => Err("callId: is empty".to_owned()),
        _ => Ok(question),
    }
}

/// A time with a zone, or a day; of a day, the moment that lies `into_day` after its begin in UTC.
fn moment(request: &Request, name: &str, into_day: SignedDuration) -> Result<Option<Timestamp>, String> {
    let Some(value) = request.parameter(name) else { return Ok(None) };
    let of_day = || {
        let day = Date::strptime("%Y-%m-%d", value).ok()?;
        day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().checked_add(into_day).ok()
    };
    let found = instant(value).or_else(of_day);
    found.map(Some).ok_or_else(|| format!("{name}: `{value}` is neither a day nor an ISO time with a zone"))
}

impl Question<'_> {
    fn fits(&self, payload: &Value) -> bool {
        let details = &payload["callDetails"];
        let is = |wanted: Option<&str>, value: &Value| wanted.is_none_or(|wanted| *value == wanted);
        let started = details["startTime"].as_str().and_then(instant);
        is(self.campaign_id, &payload["campaignId"])
            && is(self.voice_agent_id, &payload["voiceAgentId"])
            && is(self.call_id, &details["callId"])
            && (self.from.is_none() || started >= self.from)
            && (self.to.is_none() || started <= self.to)
    }
}

fn shown(call: &Stored, shape: LookUpShape) -> Value {
    let payload = &call.payload;
    let created = call.at.to_string();
    match shape {
        LookUpShape::Flat => {
            let mut flat: Map<String, Value> = payload["callDetails"].as_object().cloned().unwrap_or_default();
            for name in ["campaignId", "voiceAgentId", "client"] {
                flat.insert(name.to_owned(), payload[name].clone());
            }
            flat.insert("_id".to_owned(), json!(call.id));
            Value::Object(flat)
        }
        shape => {
            let mut whole = payload.clone();
            whole["_id"] = json!(call.id);
            whole["createdAt"] = json!(created);
            if shape == LookUpShape::Documented
                && let Some(transcription) = whole["transcription"].as_object_mut()
                && let Some(items) = transcription.remove("conversation_items")
            {
                transcription.insert("items".to_owned(), items);
            }
            whole
        }
    }
}

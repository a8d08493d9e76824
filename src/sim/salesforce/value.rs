//! Reading a JSON value into a field, with every rule a field's type brings: trimming, length, digits, dates, picklists.
//!
//! Records keep dates as `2026-01-31` and instants as `2026-01-31T09:00:00.000+0000`, both ordered as text.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::ids;
use super::problem::Problem;
use super::schema::{Field, Kind};
use super::settings::Settings;

/// Why a value was refused: the API treats a value it cannot parse as an error of the whole body.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    Body(Problem),
    Row(Problem),
}

/// The instant as records keep it: whole seconds, as in Salesforce.
pub(super) fn instant_text(instant: Timestamp) -> String {
    let time = instant.to_zoned(jiff::tz::TimeZone::UTC);
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000+0000")
}

/// An instant in any of the accepted forms (`Z`, `+00:00`, `+0000`), as records keep it.
pub(super) fn parse_instant(text: &str) -> Option<String> {
    text.parse::<Timestamp>().ok().map(instant_text)
}

/// A calendar day, or the day a date-time text begins with, as records keep it.
pub(super) fn parse_date(text: &str) -> Option<String> {
    let day = text.split('T').next().unwrap_or(text);
    if day.len() != text.len() {
        parse_instant(text)?;
    }
    day.parse::<Date>().ok().map(|date| date.to_string())
}

/// The length of a text as Salesforce measures it.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// The value to keep for `field`; null for an empty text.
pub(super) fn accept(field: &Field, value: &Value, settings: &Settings) -> Result<Value, Refusal> {
    match (field.kind, value) {
        (Kind::Boolean, Value::Null) => Ok(Value::Bool(false)),
        (_, Value::Null) => Ok(Value::Null),
        (_, Value::Array(_) | Value::Object(_)) => Err(cannot_deserialize(field, value)),
        (Kind::Boolean, value) => accept_boolean(field, value),
        (Kind::Int | Kind::Double, value) => accept_number(field, value),
        (kind, value) => {
            let text = match value {
                Value::String(text) => text.trim().to_owned(),
                other => other.to_string(),
            };
            if text.is_empty() {
                return Ok(Value::Null);
            }
            match kind {
                Kind::Date => parse_date(&text).map(Value::from).ok_or_else(|| cannot_deserialize(field, value)),
                Kind::DateTime => parse_instant(&text).map(Value::from).ok_or_else(|| cannot_deserialize(field, value)),
                Kind::Id | Kind::Reference => accept_reference(field, &text).map_err(Refusal::Row),
                _ => accept_text(field, text, settings).map_err(Refusal::Row),
            }
        }
    }
}

fn accept_boolean(field: &Field, value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err(cannot_deserialize(field, value)),
    }
}

fn accept_number(field: &Field, value: &Value) -> Result<Value, Refusal> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => return Ok(Value::Null),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite()).ok_or_else(|| cannot_deserialize(field, value))?;
    if field.kind == Kind::Int && number.fract() != 0.0 {
        return Err(cannot_deserialize(field, value));
    }
    if number.abs() >= 10_f64.powi(i32::try_from(field.size).unwrap_or(i32::MAX)) {
        let message = format!("{}: value outside of valid range on numeric field: {number}", field.label);
        return Err(Refusal::Row(Problem::row("NUMBER_OUTSIDE_VALID_RANGE", message, &[&field.name])));
    }
    if field.kind == Kind::Int { Ok(Value::from(number as i64)) } else { Ok(Value::from(number)) }
}

fn accept_reference(field: &Field, text: &str) -> Result<Value, Problem> {
    ids::normalise(text).map(Value::from).ok_or_else(|| {
        let message = format!("{}: id value of incorrect type: {text}", field.label);
        Problem::row("MALFORMED_ID", message, &[&field.name])
    })
}

fn accept_text(field: &Field, text: String, settings: &Settings) -> Result<Value, Problem> {
    if length(&text) > field.size as usize {
        let message = format!("{}: data value too large: {text} (max length={})", field.label, field.size);
        return Err(Problem::row("STRING_TOO_LONG", message, &[&field.name]));
    }
    if field.kind == Kind::Email && !is_email(&text) {
        let message = format!("{}: invalid email address: {text}", field.label);
        return Err(Problem::row("INVALID_EMAIL_ADDRESS", message, &[&field.name]));
    }
    if field.restricted {
        let strict = settings.strict_call_type && &*field.name == "CallType";
        let same = |known: &&String| if strict { **known == text } else { known.eq_ignore_ascii_case(&text) };
        return field.values.iter().find(same).map(|known| Value::from(known.as_str())).ok_or_else(|| {
            let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
            Problem::row("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, &[&field.name])
        });
    }
    Ok(Value::from(text))
}

/// The form the API checks: one `@`, something before it, a dotted domain after it, no spaces.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>(),;:@".contains(c));
    let labels_are_full = domain.split('.').all(|label| !label.is_empty());
    is_plain(local) && is_plain(domain) && domain.contains('.') && labels_are_full
}

fn cannot_deserialize(field: &Field, value: &Value) -> Refusal {
    let wanted = match field.kind {
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Date => "date",
        Kind::DateTime => "datetime",
        _ => "string",
    };
    let (token, shown) = match value {
        Value::Array(_) => ("START_ARRAY", String::new()),
        Value::Object(_) => ("START_OBJECT", String::new()),
        Value::String(text) => ("VALUE_STRING", format!(" value {text}")),
        Value::Bool(flag) => (if *flag { "VALUE_TRUE" } else { "VALUE_FALSE" }, format!(" value {flag}")),
        Value::Number(number) if number.is_f64() => ("VALUE_NUMBER_FLOAT", format!(" value {number}")),
        Value::Number(number) => ("VALUE_NUMBER_INT", format!(" value {number}")),
        Value::Null => ("VALUE_NULL", String::new()),
    };
    let message = format!(
        "Cannot deserialize instance of {wanted} from {token}{shown} or request may be missing a required field at \
         [line:1, column:1]"
    );
    Refusal::Body(Problem::json(message))
}

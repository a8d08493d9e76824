//! Filters for what CRMs want in forms of their own.

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter("phone", |value: Value| value.as_str().and_then(phone));
    environment.add_filter("spoken", spoken);
    environment.add_filter("weburl", |value: Value| value.as_str().and_then(web_url));
    environment.add_filter("mmss", |seconds: f64| {
        let seconds = seconds.max(0.0).round() as u64;
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    });
    environment.add_filter("whole", |number: f64| number.round() as i64);
    environment.add_filter("utc", utc);
    environment.add_filter("epoch_ms", |text: &str| Ok::<i64, Error>(timestamp(text)?.as_millisecond()));
    environment.add_filter("digits", |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>());
    environment.add_filter("uuid", |text: &str| uuid(text));
}

/// A time as this `strftime` form says, in UTC; RFC 3339 without fractions where none is given. Nothing of nothing.
fn utc(value: Value, form: Option<&str>) -> Result<Value, Error> {
    let Some(text) = value.as_str() else { return Ok(Value::from(())) };
    let at = timestamp(text)?.to_zoned(jiff::tz::TimeZone::UTC);
    let form = form.unwrap_or("%Y-%m-%dT%H:%M:%SZ");
    let told = jiff::fmt::strtime::format(form, &at)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not a form of a time: {error}")))?;
    Ok(Value::from(told))
}

/// `+` and digits; a number without a country stays without. `None` for what is no number.
pub fn phone(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("tel:").trim_start_matches("sip:");
    let number = text.split(['@', ';']).next().unwrap_or_default();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 3 || number.chars().any(char::is_alphabetic) {
        return None;
    }
    match (number.trim_start().starts_with('+'), digits.strip_prefix("00")) {
        (true, _) => Some(format!("+{digits}")),
        (false, Some(rest)) => Some(format!("+{rest}")),
        (false, None) => Some(digits),
    }
}

/// An address that a browser can open; a file's path or name at the agent is none.
fn web_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then(|| text.trim().to_owned())
}

/// The turns that are what user or assistant said.
fn spoken(turns: Value) -> Result<Value, Error> {
    let mut kept = Vec::new();
    for turn in turns.try_iter().into_iter().flatten() {
        let role = turn.get_attr("role")?;
        let text = turn.get_attr("text")?;
        if matches!(role.as_str(), Some("user" | "assistant")) && text.as_str().is_some_and(|text| !text.is_empty()) {
            kept.push(turn);
        }
    }
    Ok(Value::from(kept))
}

fn timestamp(text: &str) -> Result<jiff::Timestamp, Error> {
    text.parse().map_err(|_| Error::new(ErrorKind::InvalidOperation, "not a time"))
}

/// A UUID that is always the same for one text: version 8 of RFC 9562, from its SHA-256.
fn uuid(text: &str) -> String {
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&crate::model::Digest::of(text.as_bytes()).0[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

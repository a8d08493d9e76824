//! Filters for what CRMs want in forms of their own.

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

pub fn add(environment: &mut Environment<'static>) {
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

/// A time as this `strftime` form says, in UTC; RFC 3339 without fractions where none is given.
fn utc(text: &str, form: Option<&str>) -> Result<Value, Error> {
    let at = timestamp(text)?.to_zoned(jiff::tz::TimeZone::UTC);
    let form = form.unwrap_or("%Y-%m-%dT%H:%M:%SZ");
    let told = jiff::fmt::strtime::format(form, &at)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("not a form of a time: {error}")))?;
    Ok(Value::from(told))
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

//! Strict checks of JSON: a table of rules for each object, and the first wrong field by its path.
//!
//! A rule is a plain function; it says what is wrong and where below itself, and the object above adds its own name.

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde_json::{Map, Value};

/// A field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The path, such as `callDetails.duration` or `items[2].role`.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

impl Wrong {
    /// Wrong here.
    pub fn here<T>(why: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong { at: String::new(), why: why.into() })
    }

    /// Wrong at this path.
    pub fn at<T>(at: &str, why: impl Into<String>) -> Result<T, Wrong> {
        Err(Wrong { at: at.to_owned(), why: why.into() })
    }

    /// The same, seen from the object that holds `name`.
    pub fn below(self, name: &str) -> Wrong {
        let is_direct = self.at.is_empty() || self.at.starts_with('[');
        let at = if is_direct { format!("{name}{}", self.at) } else { format!("{name}.{}", self.at) };
        Wrong { at, why: self.why }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at.as_str() {
            "" => write!(f, "the body {}", self.why),
            at => write!(f, "{at}: {}", self.why),
        }
    }
}

/// Whether a value is as it must be.
pub type Check = Result<(), Wrong>;

/// A member of an object.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub is_required: bool,
    /// What it must be.
    pub check: fn(&Value) -> Check,
}

/// A member that must be there.
pub const fn required(name: &'static str, check: fn(&Value) -> Check) -> Rule {
    Rule { name, is_required: true, check }
}

/// A member that may be left out.
pub const fn optional(name: &'static str, check: fn(&Value) -> Check) -> Rule {
    Rule { name, is_required: false, check }
}

/// The value as an object.
pub fn map(value: &Value) -> Result<&Map<String, Value>, Wrong> {
    value.as_object().ok_or(()).or_else(|()| Wrong::here(format!("expected an object, got {}", kind(value))))
}

/// An object with these members and no other, in the order of the rules.
pub fn object(value: &Value, rules: &[Rule]) -> Check {
    let members = map(value)?;
    for rule in rules {
        match members.get(rule.name) {
            Some(value) => (rule.check)(value).map_err(|wrong| wrong.below(rule.name))?,
            None if rule.is_required => return Wrong::at(rule.name, "missing"),
            None => {}
        }
    }
    match members.keys().find(|name| !rules.iter().any(|rule| rule.name == name.as_str())) {
        Some(name) => Wrong::at(name, "is not a known field"),
        None => Ok(()),
    }
}

/// A list whose items all pass.
pub fn list(value: &Value, check: impl Fn(&Value) -> Check) -> Check {
    let Some(items) = value.as_array() else {
        return Wrong::here(format!("expected a list, got {}", kind(value)));
    };
    for (index, item) in items.iter().enumerate() {
        check(item).map_err(|wrong| wrong.below(&format!("[{index}]")))?;
    }
    Ok(())
}

/// What a value is, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn string(value: &Value) -> Result<&str, Wrong> {
    value.as_str().ok_or(()).or_else(|()| Wrong::here(format!("expected a text, got {}", kind(value))))
}

/// Any text.
pub fn text(value: &Value) -> Check {
    string(value).map(|_| ())
}

/// A text with something in it.
pub fn filled(value: &Value) -> Check {
    if string(value)?.trim().is_empty() { Wrong::here("is empty") } else { Ok(()) }
}

/// Text of at most `most` characters.
pub fn text_of(value: &Value, most: usize) -> Check {
    let length = string(value)?.chars().count();
    if length > most { Wrong::here(format!("has {length} characters, more than {most}")) } else { Ok(()) }
}

/// Digits and nothing else.
pub fn digits(value: &Value) -> Check {
    let text = string(value)?;
    let is_good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_good { Ok(()) } else { Wrong::here(format!("expected digits, got `{text}`")) }
}

/// True or false.
pub fn boolean(value: &Value) -> Check {
    if value.is_boolean() { Ok(()) } else { Wrong::here(format!("expected true or false, got {}", kind(value))) }
}

/// A whole number that is not negative.
pub fn count(value: &Value) -> Check {
    match value.as_u64() {
        Some(_) => Ok(()),
        None if value.is_i64() => Wrong::here("is negative"),
        None => Wrong::here(format!("expected a whole number, got {}", kind(value))),
    }
}

/// A number that is not negative.
pub fn amount(value: &Value) -> Check {
    match value.as_f64() {
        Some(number) if number >= 0.0 => Ok(()),
        Some(_) => Wrong::here("is negative"),
        None => Wrong::here(format!("expected a number, got {}", kind(value))),
    }
}

/// One of these texts, by letter case.
pub fn one_of(value: &Value, known: &[&str]) -> Check {
    let text = string(value)?;
    if known.contains(&text) {
        return Ok(());
    }
    Wrong::here(format!("`{text}` is none of {}", known.join(", ")))
}

/// Any object.
pub fn any_object(value: &Value) -> Check {
    map(value).map(|_| ())
}

/// A web address.
pub fn address(value: &Value) -> Check {
    let text = string(value)?;
    let is_good = url::Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    if is_good { Ok(()) } else { Wrong::here(format!("`{text}` is no web address")) }
}

/// A GUID in lower or upper case, with hyphens and without braces.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fraction]` with `Z` or an offset, and nothing behind it.
pub fn instant(text: &str) -> Option<Timestamp> {
    (has_form(text) && text.as_bytes().get(10) == Some(&b'T')).then(|| text.parse().ok()).flatten()
}

/// The same with a blank or a `T` in the middle.
pub fn loose_instant(text: &str) -> Option<Timestamp> {
    has_form(text).then(|| text.parse().ok()).flatten()
}

/// A date and time without a zone, exactly in this form of `strptime`.
pub fn civil(text: &str, form: &str) -> Option<DateTime> {
    let read = DateTime::strptime(form, text).ok()?;
    (read.strftime(form).to_string() == text).then_some(read)
}

/// The parser takes more than the forms that the remote systems document, such as a missing minute or a zone's name.
fn has_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    bytes.len() >= 20
        && marks.iter().all(|(at, mark)| bytes[*at] == *mark)
        && !text.contains(['[', ',', 't', 'z'])
        && text.is_ascii()
}

/// An instant with a zone, in the form with `T`.
pub fn time(value: &Value) -> Check {
    let text = string(value)?;
    match instant(text) {
        Some(_) => Ok(()),
        None => Wrong::here(format!("`{text}` is no ISO time with a zone")),
    }
}

/// An instant with a zone, with a blank or a `T` in the middle.
pub fn loose_time(value: &Value) -> Check {
    let text = string(value)?;
    match loose_instant(text) {
        Some(_) => Ok(()),
        None => Wrong::here(format!("`{text}` is no ISO time with a zone")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_one_zone_and_all_their_parts() {
        for good in ["2025-03-04T10:00:00Z", "2025-03-04T10:00:00.123456+00:00", "2025-03-04T10:00:00-05:30"] {
            assert!(instant(good).is_some(), "{good}");
        }
        for bad in [
            "2025-03-04T10:00:00+00:00Z",
            "2025-03-04T10:00:00",
            "2025-03-04 10:00:00Z",
            "2025-03-04T10:00Z",
            "2025-03-04T10:00:00Z[UTC]",
            "2025-02-30T10:00:00Z",
            "",
        ] {
            assert!(instant(bad).is_none(), "{bad}");
        }
        assert!(loose_instant("2025-03-04 10:00:00.120000+00:00").is_some());
        assert!(loose_instant("2025-03-04 10:00:00.120000").is_none());
        assert!(civil("2025-03-04 10:00:00", "%Y-%m-%d %H:%M:%S").is_some());
        assert!(civil("2025-03-04 10:00", "%Y-%m-%d %H:%M:%S").is_none());
    }

    #[test]
    fn the_first_wrong_field_is_named_by_its_path() {
        fn item(value: &Value) -> Check {
            object(value, &[required("role", filled)])
        }
        fn items(value: &Value) -> Check {
            list(value, item)
        }
        let rules = [required("id", digits), optional("items", items)];
        let said = |value: Value| object(&value, &rules).err().map(|wrong| wrong.to_string()).unwrap_or_default();
        assert_eq!(said(serde_json::json!({ "id": "1", "items": [{ "role": "a" }] })), "");
        assert_eq!(said(serde_json::json!({ "id": "1", "items": [{ "role": "a" }, {}] })), "items[1].role: missing");
        assert_eq!(said(serde_json::json!({ "id": 1 })), "id: expected a text, got a whole number");
        assert_eq!(said(serde_json::json!({ "id": "1", "x": 1 })), "x: is not a known field");
        assert_eq!(said(serde_json::json!([])), "the body expected an object, got a list");
    }
}

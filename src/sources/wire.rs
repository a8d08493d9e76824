//! One JSON value of a session file, read as leniently as makes sense: what it is, and what it can be taken for.
//!
//! Invariant: no value is too deep, too odd or too wrong to be passed over: nested values stay raw text until somebody
//! asks for them, one level at a time, so nothing recurses.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How many fields an object and how many items a list may have; the rest is not looked at.
pub(super) const ITEMS_MAX: usize = 100_000;

/// A value as its raw text.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(pub &'a RawValue);

/// The fields of one object, in file order; of equal names the last wins.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    pub(super) fn borrowed(fields: &'a [(String, Box<RawValue>)]) -> Fields<'a> {
        Fields(fields.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Value(value))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.iter().rev().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// Every field, also those that a later one of the same name replaces.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    Number,
    Boolean,
    Null,
}

impl Kind {
    /// Of the value that begins with this byte.
    pub(super) fn of(first: u8) -> Kind {
        match first {
            b'{' => Kind::Object,
            b'[' => Kind::List,
            b'"' => Kind::Text,
            b't' | b'f' => Kind::Boolean,
            b'n' => Kind::Null,
            _ => Kind::Number,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Object => "an object",
            Kind::List => "a list",
            Kind::Text => "a text",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
            Kind::Null => "null",
        })
    }
}

impl<'a> Value<'a> {
    pub(super) fn kind(self) -> Kind {
        self.0.get().bytes().next().map_or(Kind::Null, Kind::of)
    }

    pub(super) fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// A string's text.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.0.get();
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        if !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw);
        deserializer.deserialize_bytes(TextVisitor).ok()
    }

    /// A string, number or boolean as text; a number as it is written, a whole one without `.0`.
    pub(super) fn scalar(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => self.text(),
            Kind::Number => Some(self.0.get().strip_suffix(".0").unwrap_or(self.0.get()).into()),
            Kind::Boolean => Some(self.0.get().into()),
            _ => None,
        }
    }

    /// A number, or a string that is one; finite.
    pub(super) fn number(self) -> Option<f64> {
        let number = match self.kind() {
            Kind::Number => self.0.get().parse::<f64>().ok()?,
            Kind::Text => self.text()?.trim().parse::<f64>().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// A boolean, or the string `true` or `false` in any case.
    pub(super) fn boolean(self) -> Option<bool> {
        let text = match self.kind() {
            Kind::Boolean => Cow::Borrowed(self.0.get()),
            Kind::Text => self.text()?,
            _ => return None,
        };
        let text = text.trim();
        if text.eq_ignore_ascii_case("true") { Some(true) } else { text.eq_ignore_ascii_case("false").then_some(false) }
    }

    /// An object's fields.
    pub(super) fn fields(self) -> Option<Fields<'a>> {
        if self.kind() != Kind::Object {
            return None;
        }
        serde_json::from_str(self.0.get()).ok()
    }

    /// A list's items, up to [`ITEMS_MAX`].
    pub(super) fn items(self) -> Option<Vec<Value<'a>>> {
        if self.kind() != Kind::List {
            return None;
        }
        let items: ItemsOf<&'a RawValue> = serde_json::from_str(self.0.get()).ok()?;
        Some(items.0.into_iter().map(Value).collect())
    }

    /// A list's items as objects; of any other item its kind. Reads the text once, where `items` and `fields` would
    /// read it twice.
    pub(super) fn objects(self) -> Option<Vec<Result<Fields<'a>, Kind>>> {
        if self.kind() != Kind::List {
            return None;
        }
        let at_once = serde_json::from_str::<ItemsOf<ObjectOr<'a>>>(self.0.get());
        match at_once {
            Ok(items) => Some(items.0.into_iter().map(|item| item.0).collect()),
            // An item that is itself unreadable, such as a number beyond all bounds: passed over as raw text.
            Err(_) => Some(self.items()?.into_iter().map(|item| item.fields().ok_or(item.kind())).collect()),
        }
    }
}

/// An object that stands in the file as an object or, as some exporters do, as a string of JSON.
pub(super) fn with_object<T>(value: Value<'_>, read: impl FnOnce(&Fields<'_>) -> T) -> Option<T> {
    if let Some(fields) = value.fields() {
        return Some(read(&fields));
    }
    let text = value.text()?;
    let raw: &RawValue = serde_json::from_str(&text).ok()?;
    Value(raw).fields().map(|fields| read(&fields))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::with_capacity(8);
        while let Some(name) = map.next_key_seed(TextSeed)? {
            if fields.len() < ITEMS_MAX {
                fields.push((name, Value(map.next_value()?)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Fields(fields))
    }
}

struct ItemsOf<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ItemsOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor(PhantomData)).map(ItemsOf)
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ItemsVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < ITEMS_MAX {
            match sequence.next_element()? {
                Some(item) => items.push(item),
                None => return Ok(items),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(items)
    }
}

struct ObjectOr<'a>(Result<Fields<'a>, Kind>);

impl<'de> Deserialize<'de> for ObjectOr<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectOrVisitor)
    }
}

struct ObjectOrVisitor;

impl<'de> Visitor<'de> for ObjectOrVisitor {
    type Value = ObjectOr<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        FieldsVisitor.visit_map(map).map(|fields| ObjectOr(Ok(fields)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(ObjectOr(Err(Kind::List)))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Text)))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Number)))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Number)))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Number)))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Boolean)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(ObjectOr(Err(Kind::Null)))
    }
}

pub(super) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// Reads a string as bytes, the only way in which serde_json lets lone surrogates through.
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(without_surrogates(bytes)), Cow::Borrowed))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(without_surrogates(bytes)))
    }
}

/// A lone surrogate, three bytes of its own, becomes the replacement character, which has three as well.
fn without_surrogates(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let mut bytes = bytes.to_vec();
            for at in 0..bytes.len().saturating_sub(2) {
                if bytes[at] == 0xed && bytes[at + 1] >= 0xa0 {
                    bytes[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

/// Text on one line: control characters and line ends become blanks, blanks in a row become one.
pub(super) fn one_line(text: &str) -> String {
    let gap = |c: char| c.is_whitespace() || c.is_control();
    let mut out = String::with_capacity(text.len());
    for word in text.split(gap).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// A string that says something, trimmed.
pub(super) fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn texts_keep_everything_but_lone_surrogates() {
        let check =
            |json: &str, expected: &str| assert_eq!(Value(&raw(json)).text().as_deref(), Some(expected), "{json}");
        check(r#""plain é""#, "plain é");
        check(r#""a\u0000\n\"b\\""#, "a\u{0}\n\"b\\");
        check(r#""\ud83d\ude00""#, "😀");
        check(r#""x\ud800y""#, "x\u{fffd}y");
        check(r#""\udc00\ud800 é\n""#, "\u{fffd}\u{fffd} é\n");
    }

    #[test]
    fn values_are_taken_for_what_they_can_be() {
        let scalar = |json: &str| Value(&raw(json)).scalar().map(Cow::into_owned);
        assert_eq!(scalar("12.0").as_deref(), Some("12"));
        assert_eq!(scalar("1e3").as_deref(), Some("1e3"));
        assert_eq!(scalar("[1]"), None);
        let number = |json: &str| Value(&raw(json)).number();
        assert_eq!(number("\" 123.4 \""), Some(123.4));
        assert_eq!(number("1e999"), None);
        assert_eq!(number("\"NaN\""), None);
        assert_eq!(number("true"), None);
        let boolean = |json: &str| Value(&raw(json)).boolean();
        assert_eq!(boolean("\"True\""), Some(true));
        assert_eq!(boolean("\"no\""), None);
        assert_eq!(boolean("1"), None);
    }

    #[test]
    fn of_equal_names_the_last_wins_and_odd_names_are_names() {
        let json = raw(r#"{"a": 1, "\u0061": 2, "\ud800": 3}"#);
        let fields = Value(&json).fields().expect("fields");
        assert_eq!(fields.get("a").and_then(Value::number), Some(2.0));
        assert_eq!(fields.get("\u{fffd}").and_then(Value::number), Some(3.0));
    }

    #[test]
    fn objects_of_a_list_are_told_from_what_is_none() {
        let check = |json: &str, expected: &[Option<Kind>]| {
            let json = raw(json);
            let found: Vec<_> = Value(&json).objects().expect("a list").into_iter().map(Result::err).collect();
            assert_eq!(found, expected, "{}", json.get());
        };
        let others =
            [None, Some(Kind::List), Some(Kind::Text), Some(Kind::Number), Some(Kind::Boolean), Some(Kind::Null)];
        check(r#"[{"a": 1}, [[1]], "x", 1.5, true, null]"#, &others);
        check(r#"[{}, [[1]], "\ud800", 1e999, false, null]"#, &others);
        check(r#"[-1, {"a": {"b": "\udc00"}}]"#, &[Some(Kind::Number), None]);
    }

    #[test]
    fn depth_does_not_matter() {
        let deep = raw(&format!("{{\"a\": {}1{}, \"b\": 2}}", "[".repeat(100_000), "]".repeat(100_000)));
        let fields = Value(&deep).fields().expect("fields");
        assert_eq!(fields.get("b").and_then(Value::number), Some(2.0));
        assert_eq!(fields.get("a").and_then(Value::items).map(|items| items.len()), Some(1));
    }

    #[test]
    fn text_on_one_line_has_no_line_ends_and_no_control_characters() {
        assert_eq!(one_line(" a\r\n b\u{0}c\t\u{1b}[0m\u{2028}d "), "a b c [0m d");
    }
}

//! A large file to a call. The same as `convert` does with a small one, but read block by block: the stored bytes, the text
//! and the call, each of them up to the limit, never stand side by side.
//!
//! Invariant: a document becomes the same call, with the same notes, as if it were small.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::config::Settings;
use super::convert::{self, Notes};
use super::decode::{self, REPAIRED, Refused};
use super::stream::{Flaw, Text};
use super::turns;
use super::wire::{Fields, ITEMS_MAX, Kind, TextSeed, Value};
use crate::model::{Call, Digest, Pieces, Turn};
use crate::sources::Converted;

/// Converts the stored bytes of a file; inflating stops at `limit` bytes.
pub(super) fn document(
    settings: &Settings,
    digest: Digest,
    stored: Vec<u8>,
    limit: usize,
) -> Result<Result<Converted, Refused>, Flaw> {
    let mut text = Text::of(stored, limit);
    let fields = fields_of(&mut text);
    let (inflated_bytes, repaired) = text.finish()?;
    Ok(fields.and_then(|fields| {
        let mut notes = Notes::default();
        if repaired {
            notes.add(REPAIRED.to_owned());
        }
        let call = call(settings, fields, &mut notes)?;
        Ok(Converted { call, digest, inflated_bytes, notes: notes.into_list() })
    }))
}

fn call(settings: &Settings, mut fields: OwnedFields, notes: &mut Notes) -> Result<Call, Refused> {
    let mut call = convert::call(settings, &Fields::borrowed(&fields.0), notes)?;
    let transcript = fields.0.iter().rposition(|(name, _)| name == turns::FIELD);
    if let Some(at) = transcript {
        call.turns = turns_of(fields.0.remove(at).1, &settings.time_zone, notes);
    }
    call.extra = fields.0.into_iter().filter(|(name, _)| convert::has_no_place(name)).collect();
    Ok(call)
}

/// The turns of a transcript, whose text goes while they come.
fn turns_of(transcript: Box<RawValue>, zone: &TimeZone, notes: &mut Notes) -> Vec<Turn> {
    if Value(&transcript).kind() != Kind::List {
        return turns::read(Value(&transcript), zone, notes);
    }
    let mut list = Vec::new();
    let text = Pieces::of(String::from(Box::<str>::from(transcript)));
    let mut take = |item: Value<'_>| turns::take(item.fields().ok_or(item.kind()), zone, notes, &mut list);
    let read = Deserializer::from_reader(BufReader::new(text)).deserialize_seq(Items(&mut take));
    debug_assert!(read.is_ok(), "it was JSON before");
    list
}

struct OwnedFields(Vec<(String, Box<RawValue>)>);

fn fields_of(text: &mut Text) -> Result<OwnedFields, Refused> {
    let Some(first) = first_byte(text) else { return Err(decode::empty()) };
    let mut values = Deserializer::from_reader(BufReader::new(text));
    if first != b'{' {
        return Err(not_an_object(&mut values, first));
    }
    let fields = OwnedFields::deserialize(&mut values).map_err(|error| decode::not_json(&error))?;
    match values.end() {
        Ok(()) => Ok(fields),
        Err(_) => Err(decode::more_follows(IgnoredAny::deserialize(&mut values).is_ok())),
    }
}

fn not_an_object<R: Read>(values: &mut Deserializer<serde_json::de::IoRead<R>>, first: u8) -> Refused {
    match IgnoredAny::deserialize(&mut *values) {
        Ok(_) => decode::holds(values.end().ok().map(|()| Kind::of(first))),
        Err(error) => decode::not_json(&error),
    }
}

/// The first byte that is no blank; nothing else than blanks is read. `None` also if there is no text.
fn first_byte(text: &mut Text) -> Option<u8> {
    loop {
        let block = text.fill_buf().ok()?;
        if let Some(byte) = block.iter().find(|byte| !byte.is_ascii_whitespace()) {
            return Some(*byte);
        }
        let length = block.len();
        if length == 0 {
            return None;
        }
        text.consume(length);
    }
}

impl<'de> Deserialize<'de> for OwnedFields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OwnedFieldsVisitor;

        impl<'de> Visitor<'de> for OwnedFieldsVisitor {
            type Value = OwnedFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OwnedFields, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key_seed(TextSeed)? {
                    if fields.len() < ITEMS_MAX {
                        fields.push((name.into_owned(), map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(OwnedFields(fields))
            }
        }

        deserializer.deserialize_map(OwnedFieldsVisitor)
    }
}

/// Hands over a list's items, up to [`ITEMS_MAX`], one at a time.
struct Items<F>(F);

impl<'de, F: FnMut(Value<'_>)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        for _ in 0..ITEMS_MAX {
            let Some(item) = sequence.next_element::<Box<RawValue>>()? else { return Ok(()) };
            (self.0)(Value(&item));
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

//! How a call is kept: JSON, compressed with zstd and its content checksum, so that a flipped bit is an error.
//!
//! In two pieces: the head is what delivery reads of every call, the tail what was said and the fields without a place,
//! which are most of the bytes and which few mappings read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::StoreError;
use crate::memory;
use crate::model::{Digest, Digester, Pieces, Turn};
use crate::redact::RedactedCall;

/// Fast, and half the size of what a file has as gzip.
const LEVEL: i32 = 1;
/// Largest piece that is read back, in bytes of JSON; intake's own limit is the smaller one.
const JSON_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A larger tail is encoded as it is written, not as a whole.
const PIECE_BYTES_MAX: usize = 1024 * 1024;
/// After so much of a large tail, in bytes of JSON, what it was written from goes back to the system.
const GIVE_BACK_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A call as it is kept.
pub struct EncodedCall {
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
    /// Of the JSON, before compression.
    pub head_bytes: usize,
    pub tail_bytes: usize,
    /// Of the call's content.
    pub digest: Digest,
}

#[derive(Serialize, Deserialize, Default)]
struct Tail {
    turns: Vec<Turn>,
    extra: BTreeMap<String, Box<RawValue>>,
}

/// The stored form of a call.
pub fn encode_call(call: RedactedCall) -> Result<EncodedCall, StoreError> {
    let unusable = |cause: String| StoreError::Unusable(format!("a call cannot be encoded: {cause}"));
    let (call, turns, extra) = call.split();
    let head = serde_json::to_vec(&call).map_err(|error| unusable(error.to_string()))?;
    let tail = Tail { turns, extra };
    if tail.bytes_about() > PIECE_BYTES_MAX {
        return encode_large(&head, tail).map_err(|error| unusable(error.to_string()));
    }
    let tail = serde_json::to_vec(&tail).map_err(|error| unusable(error.to_string()))?;
    let digest = Digest::of_parts(&[&head, &tail]);
    let (head_bytes, tail_bytes) = (head.len(), tail.len());
    let head = compress(&head).map_err(|error| unusable(error.to_string()))?;
    let tail = compress(&tail).map_err(|error| unusable(error.to_string()))?;
    Ok(EncodedCall { head, tail, head_bytes, tail_bytes, digest })
}

/// A head's JSON, and the same as it is stored.
pub(super) fn encode_head(call: &RedactedCall) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let unusable = |cause: String| StoreError::Unusable(format!("a call cannot be encoded: {cause}"));
    let json = serde_json::to_vec(call).map_err(|error| unusable(error.to_string()))?;
    let head = compress(&json).map_err(|error| unusable(error.to_string()))?;
    Ok((json, head))
}

impl Tail {
    fn bytes_about(&self) -> usize {
        let turns: usize = self.turns.iter().map(|turn| turn.text.len()).sum();
        turns + self.extra.values().map(|raw| raw.get().len()).sum::<usize>()
    }
}

/// Writes the tail's JSON straight into the compressor and lets go of what is written, so that a call of many megabytes is
/// not in memory twice: neither here nor while the ledger stores what came of it. The JSON is that of [`Tail`].
fn encode_large(head: &[u8], tail: Tail) -> std::io::Result<EncodedCall> {
    let mut digester = Digester::new();
    digester.update(head);
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut tee = Tee { encoder, digester, bytes: 0 };
    tee.write_all(b"{\"turns\":[")?;
    let mut given_back = 0;
    for (index, turn) in tail.turns.into_iter().enumerate() {
        tee.write_all(if index > 0 { b"," } else { b"" })?;
        serde_json::to_writer(&mut tee, &turn)?;
        drop(turn);
        if tee.bytes - given_back > GIVE_BACK_BYTES {
            memory::give_back();
            given_back = tee.bytes;
        }
    }
    memory::give_back();
    tee.write_all(b"],\"extra\":{")?;
    for (index, (name, value)) in tail.extra.into_iter().enumerate() {
        tee.write_all(if index > 0 { b"," } else { b"" })?;
        serde_json::to_writer(&mut tee, &name)?;
        tee.write_all(b":")?;
        std::io::copy(&mut Pieces::of(String::from(Box::<str>::from(value))), &mut tee)?;
    }
    tee.write_all(b"}}")?;
    Ok(EncodedCall {
        head: compress(head)?,
        tail: tee.encoder.finish()?,
        head_bytes: head.len(),
        tail_bytes: tee.bytes,
        digest: tee.digester.finish(),
    })
}

struct Tee {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    digester: Digester,
    bytes: usize,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = self.encoder.write(bytes)?;
        self.digester.update(&bytes[..taken]);
        self.bytes += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn compress(json: &[u8]) -> std::io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => {
                let mut fresh = Compressor::new(LEVEL)?;
                fresh.set_parameter(CParameter::ChecksumFlag(true))?;
                slot.insert(fresh)
            }
        };
        compressor.compress(json)
    })
}

/// Reads a stored call back; without its tail it has no turns and no further fields.
pub fn decode_call(key: &str, head: &[u8], tail: Option<&[u8]>) -> Result<RedactedCall, StoreError> {
    let call: RedactedCall = decode(key, head)?;
    Ok(match tail {
        Some(tail) => {
            let Tail { turns, extra } = decode(key, tail)?;
            call.join(turns, extra)
        }
        None => call,
    })
}

fn decode<T: serde::de::DeserializeOwned>(key: &str, body: &[u8]) -> Result<T, StoreError> {
    let damaged = |cause: String| StoreError::DamagedCall { key: key.to_owned(), cause };
    let size =
        zstd::zstd_safe::get_frame_content_size(body).map_err(|_| damaged("it is not what was written".to_owned()))?;
    let Some(size) = size else {
        // A large piece: its size was not known when its writing began.
        let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(|error| damaged(error.to_string()))?;
        let reader = std::io::BufReader::new(decoder.take(JSON_BYTES_MAX as u64));
        return serde_json::from_reader(reader).map_err(|error| damaged(error.to_string()));
    };
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= JSON_BYTES_MAX)
        .ok_or_else(|| damaged("its size is not readable".to_owned()))?;
    let json = DECOMPRESSOR
        .with_borrow_mut(|slot| {
            let decompressor = match slot {
                Some(decompressor) => decompressor,
                None => slot.insert(Decompressor::new()?),
            };
            decompressor.decompress(body, size)
        })
        .map_err(|error| damaged(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

/// The JSON of a stored piece, without holding it: a tail may be tens of megabytes.
pub(super) fn inflated(piece: impl Read) -> std::io::Result<impl Read> {
    Ok(zstd::stream::read::Decoder::new(piece)?.take(JSON_BYTES_MAX as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;

    fn call() -> RedactedCall {
        let mut call = Call::new("sessions", "s1");
        call.extra.insert("odd".into(), RawValue::from_string("[1, {\"a\":null}]".into()).expect("JSON"));
        crate::redact::redact(call)
    }

    #[test]
    fn a_call_comes_back_as_it_went_in() -> Result<(), StoreError> {
        let encoded = encode_call(call())?;
        let back = decode_call("s1", &encoded.head, Some(&encoded.tail))?;
        assert_eq!(back.call().extra["odd"].get(), "[1, {\"a\":null}]");
        assert_eq!(encode_call(back)?.digest, encoded.digest);
        assert!(decode_call("s1", &encoded.head, None)?.call().extra.is_empty());
        Ok(())
    }

    #[test]
    fn a_large_call_comes_back_as_it_went_in() -> Result<(), StoreError> {
        let mut call = Call::new("sessions", "s1");
        let text = |n: usize| format!("{n} said \"{}\"", "é".repeat(1000));
        call.turns.extend((0..2000).map(|n| Turn::new(crate::model::Role::User, text(n), None)));
        for (name, value) in [("a \"b\"", "[1, {\"a\":null}]"), ("c", "\"\\ud800\"")] {
            call.extra.insert(name.into(), RawValue::from_string(value.into()).expect("JSON"));
        }
        let (head, turns, extra) = crate::redact::redact(call.clone()).split();
        let parts =
            [serde_json::to_vec(&head), serde_json::to_vec(&Tail { turns, extra })].map(|part| part.expect("JSON"));
        let encoded = encode_call(crate::redact::redact(call))?;
        assert!(encoded.tail_bytes > PIECE_BYTES_MAX);
        assert_eq!(encoded.digest, Digest::of_parts(&[&parts[0], &parts[1]]), "large or small, its JSON is the same");
        let back = decode_call("s1", &encoded.head, Some(&encoded.tail))?;
        assert!(back.call().turns.iter().enumerate().all(|(n, turn)| turn.text == text(n)));
        assert_eq!(encode_call(back)?.digest, encoded.digest);
        let mut damaged = encoded.tail.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        assert!(decode_call("s1", &encoded.head, Some(&damaged)).is_err());
        Ok(())
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_a_large_call_was_written_from_is_given_back() -> Result<(), StoreError> {
        const TURNS: usize = 100_000;
        let before = memory::own_kb();
        let mut call = Call::new("sessions", "s1");
        call.turns.extend((0..TURNS).map(|_| Turn::new(crate::model::Role::User, "x".repeat(640), None)));
        // What stands at the end of the heap holds all that is free below it.
        let last = vec![1u8; 640];
        assert!(memory::own_kb() > before + 60_000, "the turns are there");
        let encoded = encode_call(crate::redact::redact(call))?;
        assert!(memory::own_kb() < before + 30_000, "{} KB more", memory::own_kb().saturating_sub(before));
        assert!(encoded.tail_bytes > TURNS * last.len());
        Ok(())
    }

    #[test]
    fn a_flipped_bit_is_an_error_wherever_it_is() -> Result<(), StoreError> {
        let encoded = encode_call(call())?;
        let check = |head: &[u8], tail: &[u8], place: usize| {
            let read = decode_call("s1", head, Some(tail)).and_then(encode_call);
            if let Ok(again) = read {
                assert_eq!(again.digest, encoded.digest, "bit {place} changed the call without an error");
            }
        };
        let flip = |bytes: &[u8], place: usize| {
            let mut damaged = bytes.to_vec();
            damaged[place / 8] ^= 1 << (place % 8);
            damaged
        };
        for place in 0..encoded.head.len() * 8 {
            check(&flip(&encoded.head, place), &encoded.tail, place);
        }
        for place in 0..encoded.tail.len() * 8 {
            check(&encoded.head, &flip(&encoded.tail, place), place);
        }
        Ok(())
    }
}

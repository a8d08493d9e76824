//! How a call is kept: JSON, compressed with zstd and its content checksum, so that a flipped bit is an error.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use super::StoreError;
use crate::model::Digest;
use crate::redact::RedactedCall;

/// Fast, and half the size of what a file has as gzip.
const LEVEL: i32 = 1;
/// Largest call that is read back, in bytes of JSON; intake's own limit is the smaller one.
const JSON_BYTES_MAX: usize = 256 * 1024 * 1024;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// A call as it is kept.
pub struct EncodedCall {
    pub body: Vec<u8>,
    /// Of the JSON, before compression.
    pub json_bytes: usize,
    /// Of the call's content.
    pub digest: Digest,
}

/// The stored form of a call.
pub fn encode_call(call: &RedactedCall) -> Result<EncodedCall, StoreError> {
    let unusable = |cause: String| StoreError::Unusable(format!("a call cannot be encoded: {cause}"));
    let json = serde_json::to_vec(call).map_err(|error| unusable(error.to_string()))?;
    let body = COMPRESSOR
        .with_borrow_mut(|slot| {
            let compressor = match slot {
                Some(compressor) => compressor,
                None => {
                    let mut fresh = Compressor::new(LEVEL)?;
                    fresh.set_parameter(CParameter::ChecksumFlag(true))?;
                    slot.insert(fresh)
                }
            };
            compressor.compress(&json)
        })
        .map_err(|error| unusable(error.to_string()))?;
    Ok(EncodedCall { body, json_bytes: json.len(), digest: Digest::of(&json) })
}

/// Reads a stored call back.
pub fn decode_call(key: &str, body: &[u8]) -> Result<RedactedCall, StoreError> {
    let damaged = |cause: String| StoreError::Damaged { place: format!("call {key}"), cause };
    let size = zstd::zstd_safe::get_frame_content_size(body)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;

    #[test]
    fn a_call_comes_back_as_it_went_in() -> Result<(), StoreError> {
        let mut call = Call::new("sessions", "s1");
        call.extra.insert("odd".into(), serde_json::value::RawValue::from_string("[1, {\"a\":null}]".into()).unwrap());
        let encoded = encode_call(&crate::redact::redact(call))?;
        let back = decode_call("s1", &encoded.body)?;
        assert_eq!(encode_call(&back)?.digest, encoded.digest);
        assert_eq!(back.call().extra["odd"].get(), "[1, {\"a\":null}]");
        Ok(())
    }

    #[test]
    fn a_flipped_bit_is_an_error_wherever_it_is() -> Result<(), StoreError> {
        let body = encode_call(&crate::redact::redact(Call::new("sessions", "s1")))?.body;
        for place in 0..body.len() * 8 {
            let mut damaged = body.clone();
            damaged[place / 8] ^= 1 << (place % 8);
            let read = decode_call("s1", &damaged).and_then(|call| encode_call(&call));
            if let Ok(again) = read {
                assert_eq!(again.body, body, "bit {place} changed the call without an error");
            }
        }
        Ok(())
    }
}

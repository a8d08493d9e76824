//! What can be told of a stored tail while it is read, without holding it: a tail may be tens of megabytes.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::StoreError;
use super::codec::{encode_head, inflated};
use crate::model::{Digest, Digester};
use crate::redact::RedactedCall;

/// What a tail has, without its texts.
#[derive(Deserialize)]
pub struct Outline {
    turns: Vec<IgnoredAny>,
    extra: BTreeMap<String, IgnoredAny>,
}

impl Outline {
    /// Of the stored tail of the call `key`.
    pub fn of(key: &str, tail: impl Read) -> Result<Outline, StoreError> {
        let json = inflated(tail).map_err(|error| damaged(key, &error.to_string()))?;
        serde_json::from_reader(BufReader::new(json)).map_err(|error| damaged(key, &error.to_string()))
    }

    /// Whether a call with this tail, laid over one with the `older` tail, keeps its tail as it is.
    pub fn covers(&self, older: &Outline) -> bool {
        (!self.turns.is_empty() || older.turns.is_empty())
            && older.extra.keys().all(|name| self.extra.contains_key(name))
    }
}

/// A call's head as it is stored.
pub struct EncodedHead {
    pub head: Vec<u8>,
    pub head_bytes: usize,
    /// Of the whole content.
    pub digest: Digest,
}

/// Encodes `call`, which has no turns and no further fields, for a stored `tail` that stays as it is.
pub fn encode_over_tail(call: &RedactedCall, tail: impl Read) -> Result<EncodedHead, StoreError> {
    let key = call.call().key.clone();
    let (json, head) = encode_head(call)?;
    let mut digest = Sum(Digester::new());
    digest.0.update(&json);
    let mut text = inflated(tail).map_err(|error| damaged(key.as_str(), &error.to_string()))?;
    io::copy(&mut text, &mut digest).map_err(|error| damaged(key.as_str(), &error.to_string()))?;
    Ok(EncodedHead { head, head_bytes: json.len(), digest: digest.0.finish() })
}

fn damaged(key: &str, cause: &str) -> StoreError {
    StoreError::DamagedCall { key: key.to_owned(), cause: cause.to_owned() }
}

struct Sum(Digester);

impl io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

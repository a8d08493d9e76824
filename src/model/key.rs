//! The identities that everything hangs on: call key, revision, content digest.
//!
//! Invariant: a call key comes from the source's own id, never from a clock or a random number, so that a replay,
//! a restored backup and a second process all compute the same key.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

/// The stable identity of a call: `<source>-<40 hex digits>`, only `[a-z0-9-]`.
///
/// Hashed because a CRM may fold case, trim blanks or cut a long id: ids that differ only there must stay apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallKey(String);

impl CallKey {
    /// The key of the call that `source` (a configured name, `[a-z0-9-]`) knows as `id` (any text, compared byte by byte).
    pub fn from_source(source: &str, id: &str) -> CallKey {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(source.as_bytes());
        context.update(&[0]);
        context.update(id.as_bytes());
        let hash = context.finish();
        CallKey(format!("{source}-{}", hex::encode(&hash.as_ref()[..20])))
    }

    /// A key read back from the store.
    pub fn from_stored(text: String) -> CallKey {
        CallKey(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts up from 1 each time new evidence changes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u32);

impl Revision {
    pub const FIRST: Revision = Revision(1);

    pub fn next(self) -> Revision {
        Revision(self.0.saturating_add(1))
    }
}

/// A SHA-256 of some bytes: equal digests mean equal content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::of_parts(&[bytes])
    }

    /// Of the parts one after the other.
    pub fn of_parts(parts: &[&[u8]]) -> Digest {
        let mut digester = Digester::new();
        for part in parts {
            digester.update(part);
        }
        digester.finish()
    }
}

/// Makes a [`Digest`] of bytes that come piece by piece.
pub struct Digester(digest::Context);

impl Digester {
    #[expect(clippy::new_without_default, reason = "an empty digest is nobody's default")]
    pub fn new() -> Digester {
        Digester(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        let mut out = [0u8; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        Digest(out)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_a_crm_would_fold_together_get_keys_of_their_own() {
        let ids = ["rm_abc", "rm_ABC", "rm_abc ", " rm_abc", "rm_a\u{0308}bc", "rm_\u{00e4}bc", "rm_abc.json"];
        let keys: std::collections::BTreeSet<_> = ids.iter().map(|id| CallKey::from_source("sessions", id)).collect();
        assert_eq!(keys.len(), ids.len());
        for key in keys {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(key.as_str().chars().all(plain), "{key}");
        }
    }

    #[test]
    fn the_source_and_the_id_cannot_run_into_each_other() {
        assert_ne!(CallKey::from_source("a", "bc").0[2..], CallKey::from_source("ab", "c").0[3..]);
    }
}

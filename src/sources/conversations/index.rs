//! Metadata and egress files by what names them.
//!
//! Invariant: a key that two files claim belongs to neither: nothing is decided by which was read first.

use std::collections::HashMap;

use super::egress::Egress;
use super::files::Stamp;
use super::metadata::CallMetadata;
use super::naming;

/// A companion file with its name and state.
pub(super) struct Kept<T> {
    pub name: String,
    pub stamp: Stamp,
    pub value: T,
}

/// The index of the one file with a key; `None` if there are several.
type Keys = HashMap<String, Option<usize>>;

#[derive(Default)]
pub(super) struct Index {
    pub metadata: Vec<Kept<CallMetadata>>,
    pub egress: Vec<Kept<Egress>>,
    by_session: Keys,
    by_transcript: Keys,
    by_egress: Keys,
}

impl Index {
    pub(super) fn add_metadata(&mut self, kept: Kept<CallMetadata>) {
        let index = self.metadata.len();
        for session in &kept.value.session_ids {
            claim(&mut self.by_session, session, index);
        }
        if let Some(transcript) = &kept.value.transcript {
            claim(&mut self.by_transcript, transcript, index);
        }
        self.metadata.push(kept);
    }

    pub(super) fn add_egress(&mut self, kept: Kept<Egress>) {
        let twin = self.by_egress.get(&kept.value.id).copied().flatten();
        if twin.is_some_and(|twin| self.egress[twin].value.recording == kept.value.recording) {
            return;
        }
        claim(&mut self.by_egress, &kept.value.id, self.egress.len());
        self.egress.push(kept);
    }

    /// The metadata of the call with these session ids in the transcript `name`.
    pub(super) fn metadata_of(&self, session_ids: &[String], name: &str) -> Option<usize> {
        let by_session = session_ids.iter().filter_map(|id| self.by_session.get(id));
        let mut found = by_session.chain(self.by_transcript.get(naming::base(name)));
        let first = (*found.next()?)?;
        if !found.all(|other| *other == Some(first)) {
            return None;
        }
        let said = &self.metadata[first].value.session_ids;
        let agrees = said.is_empty() || session_ids.is_empty() || said.iter().any(|id| session_ids.contains(id));
        agrees.then_some(first)
    }

    pub(super) fn egress_of(&self, id: &str) -> Option<usize> {
        self.by_egress.get(id).copied().flatten()
    }
}

fn claim(keys: &mut Keys, key: &str, index: usize) {
    let slot = keys.entry(key.to_owned()).or_insert(Some(index));
    if *slot != Some(index) {
        *slot = None;
    }
}

//! Looks at the source again before a record that stands there is changed.
//!
//! Invariant: no record is changed on the word of a file that this run has not seen. A ledger that was restored, or that
//! waited while another one delivered, may know less than the record holds; the source knows what is newest.

use std::collections::HashMap;
use std::sync::OnceLock;

use futures_util::{StreamExt, stream};

use super::dispatch::Dispatcher;
use super::intake::{Reading, reread_files};
use crate::model::CallKey;
use crate::problem::Problem;
use crate::sources::{FetchError, RawRef};
use crate::store::{StoreError, UnseenFile};

/// What dispatch may look at.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    pub reading: &'a Reading,
    /// Files that were read since then are known as they are.
    pub since_ms: i64,
}

/// What a look at a call's files came to.
pub(super) enum Look {
    /// A file was changed since it was read, and was read again.
    Superseded,
    /// The source does not answer.
    Unsure(Problem),
}

impl Dispatcher<'_> {
    /// Looks at those files of `keys` that this run has not read. Answers only for calls that are to wait.
    pub(super) async fn look_again(&mut self, keys: &[CallKey]) -> Result<HashMap<CallKey, Look>, StoreError> {
        let Some(evidence) = self.evidence else { return Ok(HashMap::new()) };
        let unseen = self.engine.store.unseen(keys, evidence.since_ms).await?;
        let (mut looks, mut changed) = (HashMap::new(), Vec::new());
        for (file, answer) in look_at(unseen, evidence.reading).await {
            match answer {
                // What is gone says nothing newer.
                Ok(None) => {}
                Ok(Some(raw)) if raw.version == file.version => {}
                Ok(Some(raw)) => {
                    looks.entry(file.key).or_insert(Look::Superseded);
                    changed.push((file.day, raw));
                }
                // It is not of this source, or cannot be read there any more: no wait would tell more.
                Err(FetchError::File(problem)) => {
                    tracing::debug!(code = %problem.code, "a file cannot be looked at; what is known of it counts");
                }
                Err(FetchError::Source(problem)) => {
                    self.cool(&problem);
                    looks.insert(file.key, Look::Unsure(problem));
                }
            }
        }
        if !changed.is_empty() {
            let read = reread_files(self.engine, evidence.reading, changed).await?;
            if let Some(problem) = &read.stopped {
                self.cool(problem);
            }
            self.summary.reread.add(read);
        }
        Ok(looks)
    }
}

type Looked = (UnseenFile, Result<Option<RawRef>, FetchError>);

/// Looks at each file; once the source fails, its answer stands for all that are left: each would take as long to fail.
async fn look_at(files: Vec<UnseenFile>, reading: &Reading) -> Vec<Looked> {
    let failed: OnceLock<Problem> = OnceLock::new();
    let (failed, source) = (&failed, &reading.source);
    stream::iter(files)
        .map(|file| async move {
            if let Some(problem) = failed.get() {
                return (file, Err(FetchError::Source(problem.clone())));
            }
            let answer = source.look(&file.url).await;
            if let Err(FetchError::Source(problem)) = &answer {
                _ = failed.set(problem.clone());
            }
            (file, answer)
        })
        .buffer_unordered(reading.limits.fetches.max(1))
        .collect()
        .await
}

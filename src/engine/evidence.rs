//! Looks at the source again before a record that stands there is changed.
//!
//! Invariant: no record is changed on the word of a file that this run has not seen. A ledger that was restored, or that
//! waited while another one delivered, may know less than the record holds; the source knows what is newest.

use std::collections::HashMap;
use std::sync::OnceLock;

use futures_util::{StreamExt, stream};
use jiff::civil::Date;

use super::dispatch::Dispatcher;
use super::intake::{Reading, reread_files};
use crate::model::CallKey;
use crate::problem::Problem;
use crate::proof::{self, Protection};
use crate::sources::{FetchError, RawRef};
use crate::store::{StoreError, UnseenFile};

/// What dispatch may look at.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    pub readings: &'a [Reading],
    /// Files that were read since then are known as they are.
    pub since_ms: i64,
}

/// The number of the reading that a file belongs to, the file, and what its source says of it.
type Answer = (usize, UnseenFile, Result<Option<RawRef>, FetchError>);

/// The reading whose address leads to `url`; the first where none does, so that its source says what is wrong.
fn reading_of(readings: &[Reading], url: &str) -> usize {
    let fits = |(_, reading): &(usize, &Reading)| url.starts_with(reading.source.address());
    let longest = readings.iter().enumerate().filter(fits).max_by_key(|(_, reading)| reading.source.address().len());
    longest.map_or(0, |(index, _)| index)
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
        let Some(evidence) = self.evidence.filter(|_| !proof::is_off(Protection::RevisionCheck)) else {
            return Ok(HashMap::new());
        };
        // What was seen later than now was seen under a clock that was ahead.
        let seen = evidence.since_ms..self.engine.clock.now_ms().saturating_add(1);
        let unseen = self.engine.store.unseen(keys, seen).await?;
        let (mut looks, mut changed) = (HashMap::new(), Vec::new());
        changed.resize_with(evidence.readings.len(), Vec::<(Option<Date>, RawRef)>::new);
        for (reading, file, answer) in look_at(unseen, evidence.readings).await {
            match answer {
                // What is gone says nothing newer.
                Ok(None) => {}
                Ok(Some(raw)) if raw.version == file.version => {}
                Ok(Some(raw)) => {
                    looks.entry(file.key).or_insert(Look::Superseded);
                    changed[reading].push((file.day, raw));
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
        for (reading, changed) in evidence.readings.iter().zip(changed).filter(|(_, changed)| !changed.is_empty()) {
            let read = reread_files(self.engine, reading, changed).await?;
            if let Some(problem) = &read.stopped {
                self.cool(problem);
            }
            self.summary.reread.add(read);
        }
        Ok(looks)
    }
}

/// Looks at each file at the source that it is of; once a source fails, its answer stands for all that are left of it:
/// each would take as long to fail.
async fn look_at(files: Vec<UnseenFile>, readings: &[Reading]) -> Vec<Answer> {
    let Some(fetches) = readings.iter().map(|reading| reading.limits.fetches).min() else { return Vec::new() };
    let failed: Vec<OnceLock<Problem>> = readings.iter().map(|_| OnceLock::new()).collect();
    let failed = &failed;
    stream::iter(files)
        .map(|file| async move {
            let index = reading_of(readings, &file.url);
            if let Some(problem) = failed[index].get() {
                return (index, file, Err(FetchError::Source(problem.clone())));
            }
            let answer = readings[index].source.look(&file.url).await;
            if let Err(FetchError::Source(problem)) = &answer {
                _ = failed[index].set(problem.clone());
            }
            (index, file, answer)
        })
        .buffer_unordered(fetches.max(1))
        .collect()
        .await
}

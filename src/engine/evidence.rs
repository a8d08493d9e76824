//! Looks at the source again before a record that stands there is changed.
//!
//! Invariant: no record is changed on the word of a file that this run has not seen. A ledger that was restored, or that
//! waited while another one delivered, may know less than the record holds; the source knows what is newest.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use jiff::civil::Date;

use super::dispatch::Dispatcher;
use super::intake::{Reading, reread_files};
use crate::model::CallKey;
use crate::problem::Problem;
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
    /// It could not be told.
    Unsure(Problem),
}

impl Dispatcher<'_> {
    /// Looks at those files of `keys` that this run has not read. Answers only for calls that are to wait.
    pub(super) async fn look_again(&mut self, keys: &[CallKey]) -> Result<HashMap<CallKey, Look>, StoreError> {
        let Some(evidence) = self.evidence else { return Ok(HashMap::new()) };
        let unseen = self.engine.store.unseen(keys, evidence.since_ms).await?;
        let Some(fetches) = evidence.readings.iter().map(|reading| reading.limits.fetches).min() else {
            return Ok(HashMap::new());
        };
        let answers: Vec<Answer> = stream::iter(unseen)
            .map(|file| async move {
                let reading = reading_of(evidence.readings, &file.url);
                let answer = evidence.readings[reading].source.look(&file.url).await;
                (reading, file, answer)
            })
            .buffer_unordered(fetches.max(1))
            .collect()
            .await;
        let mut looks = HashMap::new();
        let mut changed: Vec<Vec<(Option<Date>, RawRef)>> = evidence.readings.iter().map(|_| Vec::new()).collect();
        for (reading, file, answer) in answers {
            match answer {
                // What is gone says nothing newer.
                Ok(None) => {}
                Ok(Some(raw)) if raw.version == file.version => {}
                Ok(Some(raw)) => {
                    looks.entry(file.key).or_insert(Look::Superseded);
                    changed[reading].push((file.day, raw));
                }
                Err(FetchError::File(problem)) => {
                    looks.insert(file.key, Look::Unsure(problem));
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

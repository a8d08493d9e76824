//! Row locks: which request holds which record, from its write until its answer.

use std::collections::HashMap;

/// Locked records and the request that holds each.
#[derive(Debug, Default)]
pub(super) struct Locks {
    holders: HashMap<String, u64>,
}

impl Locks {
    /// Locks all `records` for `request`, or none and names one that another request holds.
    pub(super) fn acquire(&mut self, request: u64, records: &[String]) -> Result<(), String> {
        let is_held = |record: &&String| self.holders.get(*record).is_some_and(|holder| *holder != request);
        if let Some(held) = records.iter().find(is_held) {
            return Err(held.clone());
        }
        for record in records {
            self.holders.insert(record.clone(), request);
        }
        Ok(())
    }

    /// Frees everything `request` holds.
    pub(super) fn release(&mut self, request: u64) {
        self.holders.retain(|_, holder| *holder != request);
    }
}

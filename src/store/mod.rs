//! What the engine remembers: raw files, calls, deliveries, attempts, holds.
//!
//! Invariants: a call and its due deliveries are committed and synced in one transaction; a delivery is changed only
//! under a lease with a fencing token; no transaction is open while a remote call runs. Times and randomness come from
//! the caller. The traits are split by who uses them, so that another database can take the place of SQLite.

mod checksum;
mod codec;
mod soundness;
pub mod sqlite;
mod tail;
mod types;

use std::ops::Range;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::CallKey;
use crate::model::RawRef;

pub use codec::{EncodedCall, decode_call, encode_call};
pub use soundness::{Checked, Conserved, FINDINGS_NAMED_MAX, Finding, Soundness, Step};
pub use types::*;

/// Why the store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused: I/O error, locked for too long, not a database.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// There was no room for what was to be written. Nothing of it is there, and all else is as it was.
    #[error("the disk of the store is full: {0}")]
    Full(String),
    /// The file, or a row, does not read back as it was written.
    #[error("the store is damaged at {place}: {cause}")]
    Damaged { place: String, cause: String },
    /// The stored copy of one call does not read back as it was written; the rest of the store may be sound.
    #[error("the stored call {key} is damaged: {cause}")]
    DamagedCall { key: String, cause: String },
    #[error("the store has schema {found}, and this Trunkline knows only up to {known}")]
    Newer { found: u32, known: u32 },
    #[error("SQLite {0} has a defect that can lose committed data")]
    UnsafeSqlite(String),
}

/// What intake writes.
#[async_trait]
pub trait IntakeStore: Send + Sync {
    /// How these files are in the ledger already in the same version, in the order asked.
    async fn known(&self, source: &str, raws: &[RawRef]) -> Result<Vec<Seen>, StoreError>;

    /// How far these files are under suspicion in the same version, in the order asked.
    async fn suspicions(&self, source: &str, raws: &[RawRef]) -> Result<Vec<Suspicion>, StoreError>;

    /// Notes, before they are read, that these files are in this process's hands; [`IntakeStore::ingest`] ends that.
    async fn take_in_hand(&self, source: &str, raws: &[RawRef]) -> Result<(), StoreError>;

    /// They will not be read after all.
    async fn put_down(&self, source: &str, raws: &[RawRef]) -> Result<(), StoreError>;

    /// Commits raw files, their calls and the due deliveries for `destinations`, all or nothing. The answer says for
    /// each item what became of it, in order. `zone` gives a call its calendar day.
    async fn ingest(
        &self,
        source: &str,
        destinations: &[String],
        zone: &TimeZone,
        items: Vec<IntakeItem>,
        now_ms: i64,
    ) -> Result<Vec<IntakeResult>, StoreError>;

    /// Looks whether the stored copies of these calls read back, and notes the files of those that do not, to be read
    /// again. Answers how many calls are damaged.
    async fn examine(&self, keys: &[CallKey]) -> Result<usize, StoreError>;

    /// This file is no longer at its source: if its call is whole by now, it is not to be read again.
    async fn lost(&self, source: &str, file: &UnseenFile) -> Result<(), StoreError>;

    /// The files of this source that are to be read again because their call is damaged, the newest first.
    async fn to_reread(&self, source: &str) -> Result<Vec<UnseenFile>, StoreError>;
}

/// What dispatch does with deliveries.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Takes back the deliveries of processes that are gone or whose lease has run out. Answers how many. What a process
    /// that died had in hand is under suspicion from then on.
    async fn reclaim(&self, now_ms: i64) -> Result<usize, StoreError>;

    /// Leases due deliveries that are not under suspicion, in the window's order by the time of their calls; with a scope, of
    /// its calls alone. What a replay made due is apart, and not for a process that is older than the replay. What does not read back as it was written is not among them: it becomes a dead letter, and its files are
    /// noted to be read again.
    async fn claim(
        &self,
        destination: &str,
        scope: Option<&Scope>,
        window: Window,
        now_ms: i64,
        lease_until_ms: i64,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Like [`DeliveryStore::claim`], for calls that a process died with: as few at once as [`Suspicion::group`] says.
    /// Nothing else may be in this process's hands.
    async fn claim_suspects(
        &self,
        destination: &str,
        scope: Option<&Scope>,
        parts: Parts,
        growth: u32,
        now_ms: i64,
        lease_until_ms: i64,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Whether a call is due that [`DeliveryStore::claim_suspects`] gives.
    async fn has_suspects(&self, destination: &str, now_ms: i64) -> Result<bool, StoreError>;

    /// Whether something is due that [`DeliveryStore::claim`] gives as replayed.
    async fn has_replayed(&self, destination: &str, now_ms: i64) -> Result<bool, StoreError>;

    /// When the next delivery falls due, if any waits (leases of other processes do not count).
    async fn next_due(&self, destination: &str, scope: Option<&Scope>) -> Result<Option<i64>, StoreError>;

    /// Records, before anything is sent, what is about to be sent. Answers the ids whose lease still held; the others
    /// must not be sent.
    async fn intend(&self, intents: Vec<Intent>, now_ms: i64) -> Result<Vec<i64>, StoreError>;

    /// Records what became of claimed deliveries and ends their leases. A lost lease changes nothing. Answers how many
    /// were settled.
    async fn settle(&self, settlements: Vec<Settlement>, now_ms: i64) -> Result<usize, StoreError>;

    /// Stops a destination until somebody acts; keeps the first `since` of the same code.
    async fn hold(&self, destination: &str, problem: &StoredProblem, now_ms: i64) -> Result<(), StoreError>;

    async fn release_hold(&self, destination: &str) -> Result<(), StoreError>;

    /// The ids of the deliveries that [`DeliveryStore::rearm`] is to make due again.
    async fn find_to_rearm(&self, destination: &str, which: &Rearm) -> Result<Vec<i64>, StoreError>;

    /// Makes those of `ids` due again that still are as `which` says, in one transaction; answers how many. A person's
    /// `retry` also forgets attempts.
    async fn rearm(&self, ids: &[i64], which: &Rearm, now_ms: i64) -> Result<usize, StoreError>;

    /// What other processes do that share this store.
    async fn company(&self) -> Result<Company, StoreError>;

    /// Gives back whatever this process has in hand, as if it had died and been innocent.
    async fn let_go(&self, now_ms: i64) -> Result<(), StoreError>;

    /// The clock was set back to `now_ms`: what was noted for later, or as done later, is taken as of now.
    async fn forget_the_future(&self, now_ms: i64) -> Result<(), StoreError>;

    /// Claims the making of a person for an address; false if somebody else alive has it, or if it was abandoned after
    /// `settled_ms`: what was asked for then may still take effect.
    async fn claim_person(
        &self,
        destination: &str,
        matched_by: [u8; 32],
        now_ms: i64,
        settled_ms: i64,
    ) -> Result<bool, StoreError>;

    async fn release_person(&self, destination: &str, matched_by: [u8; 32]) -> Result<(), StoreError>;

    /// Gives a claim up while it is not known whether a person was made.
    async fn abandon_person(&self, destination: &str, matched_by: [u8; 32], now_ms: i64) -> Result<(), StoreError>;

    /// Makes calls due for a destination that they were not for so far; answers how many.
    async fn enlist(&self, destination: &str, keys: &[CallKey], now_ms: i64) -> Result<usize, StoreError>;

    async fn begin_run(&self, command: &str, now_ms: i64) -> Result<i64, StoreError>;

    async fn end_run(&self, id: i64, summary: &str, now_ms: i64) -> Result<(), StoreError>;
}

/// What people ask.
#[async_trait]
pub trait ReadStore: Send + Sync {
    async fn call(&self, key: &CallKey) -> Result<Option<StoredCall>, StoreError>;

    /// Calls by the source's own id or by call key, exactly.
    async fn find_calls(&self, id: &str) -> Result<Vec<CallKey>, StoreError>;

    async fn calls(&self, filter: &CallFilter) -> Result<Vec<CallRow>, StoreError>;

    async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<DeliveryRow>, StoreError>;

    async fn attempts(&self, delivery_id: i64) -> Result<Vec<AttemptRow>, StoreError>;

    async fn raws(&self, filter: &RawFilter) -> Result<Vec<RawRow>, StoreError>;

    /// How these files of a source stand, and their calls at `destination`, in the order asked.
    async fn standings(&self, source: &str, destination: &str, urls: &[String]) -> Result<Vec<Standing>, StoreError>;

    /// The converted files of these calls that were not last read within `seen`, in milliseconds.
    async fn unseen(&self, keys: &[CallKey], seen: Range<i64>) -> Result<Vec<UnseenFile>, StoreError>;

    async fn holds(&self) -> Result<Vec<HoldRow>, StoreError>;

    /// Deliveries of a destination in this state of the ledger, and with this code if one is given; of the due ones, those
    /// that this process may take. Reads no more than those, however large the ledger is.
    async fn count(
        &self,
        destination: &str,
        state: &'static str,
        code: Option<&'static str>,
        scope: Option<&Scope>,
    ) -> Result<u64, StoreError>;

    /// Deliveries of a destination by state and code.
    async fn tally(&self, destination: &str, scope: Option<&Scope>) -> Result<Vec<Tally>, StoreError>;

    /// Since when the oldest dead letter of a destination is one, and the oldest that waits does.
    async fn oldest_since(&self, destination: &str) -> Result<OldestSince, StoreError>;

    /// Dead letters of `destination` that stand since before `before_ms`, of calls that have a file in the folders of
    /// these days.
    async fn dead_letters(&self, destination: &str, days: (Date, Date), before_ms: i64) -> Result<u64, StoreError>;

    /// Whether any record is known to stand at `destination`.
    async fn ever_delivered(&self, destination: &str) -> Result<bool, StoreError>;

    /// How many of these calls have the session id of a call that another source delivered to `destination`.
    async fn twins(&self, destination: &str, keys: &[CallKey]) -> Result<u64, StoreError>;

    /// When the last run of this command began; with `ended`, of those that came to their end.
    async fn last_run(&self, command: &str, ended: bool) -> Result<Option<i64>, StoreError>;

    /// Figures per call day, newest last; behind them those of all calls without a date, if there are any.
    async fn report(&self, from: Date, to: Date) -> Result<Vec<DayFigures>, StoreError>;
}

/// What a person says about files that could not be understood.
#[async_trait]
pub trait QuarantineStore: Send + Sync {
    /// Takes quarantined files out of the quarantine: they are `gone`. One that is listed again later is read again.
    /// Answers how many were in it.
    async fn dismiss(&self, urls: &[String]) -> Result<usize, StoreError>;

    /// Forgets the deaths of this file, so that it is read again, alone.
    async fn forget_deaths(&self, url: &str) -> Result<(), StoreError>;
}

/// A whole store.
pub trait Store: IntakeStore + DeliveryStore + QuarantineStore + ReadStore {}
impl<T: IntakeStore + DeliveryStore + QuarantineStore + ReadStore> Store for T {}

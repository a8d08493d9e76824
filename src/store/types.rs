//! The rows that go into and come out of a store.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::model::RawRef;
use crate::model::{CallKey, Digest, Revision};
use crate::problem::Problem;
use crate::redact::RedactedCall;
use crate::store::{EncodedCall, StoreError, encode_call};

/// One raw file and what it was converted to.
pub struct IntakeItem {
    pub raw: RawRef,
    /// The day of the folder it was listed under.
    pub day: Option<Date>,
    pub fate: IntakeFate,
}

pub enum IntakeFate {
    Call(Box<IntakeCall>),
    Quarantine(Problem),
}

/// A converted and redacted call, encoded off the writer's thread. Only the encoded form is kept: many wait for one
/// commit, and some are large.
pub struct IntakeCall {
    pub key: CallKey,
    pub source_id: String,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub encoded: EncodedCall,
    /// Of the raw bytes as received.
    pub raw_digest: Digest,
    pub notes: Vec<String>,
}

impl IntakeCall {
    pub fn of(redacted: RedactedCall, raw_digest: Digest, notes: Vec<String>) -> Result<IntakeCall, StoreError> {
        let call = redacted.call();
        let (key, source_id) = (call.key.clone(), call.source_id.clone());
        let (started_at, ended_at) = (call.started_at, call.ended_at);
        Ok(IntakeCall { key, source_id, started_at, ended_at, encoded: encode_call(redacted)?, raw_digest, notes })
    }
}

/// How a file stands in the ledger in the version that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Not at all, in another version, or taken out of the quarantine by a person.
    Never,
    Converted,
    Quarantined,
}

/// Deaths of a process with one file or call alone in hand, after which it is not touched any more.
pub const DEATHS_MAX: u32 = 3;

/// How far a file is under suspicion that it kills the process that reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicion {
    /// It is read with at most so many files in hand, itself among them; 0: it is not under suspicion.
    pub company: u32,
    /// Processes that died with it alone in hand.
    pub deaths: u32,
}

/// What a process died with is tried again in groups that are smaller by this: of 1,000, groups of 31, then alone.
pub const GROUP_DIVISOR: u32 = 32;

impl Suspicion {
    /// How many that are as suspect may be in hand at once, where groups have become larger by `growth`. What was alone
    /// with a death stays alone.
    pub fn group(self, growth: u32) -> usize {
        let growth = if self.deaths == 0 { growth.clamp(1, GROUP_DIVISOR) } else { 1 };
        self.company.max(1).saturating_mul(growth) as usize
    }
}

/// What intake made of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntakeResult {
    NewCall,
    NewRevision,
    /// The same content again, or older evidence that adds nothing.
    NothingNew,
    /// The same content again, and what was damaged in the ledger is whole again.
    Mended,
    Quarantined,
}

/// The calls of one place: those that a file there was converted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The configured name of the source.
    pub source: String,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The address of one file.
    File(String),
    /// The address of a folder, with a slash at its end.
    Folder { address: String, subfolders: bool },
}

/// How much of a call a claim brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// Without turns and further fields, which are most of the bytes.
    Head,
    Whole,
}

/// A delivery under lease, with its call.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub delivery_id: i64,
    pub fence: i64,
    pub lease_until_ms: i64,
    pub revision: Revision,
    /// When the call got the content of this revision.
    pub changed_at_ms: i64,
    pub call: RedactedCall,
    pub remote_id: Option<String>,
    pub delivered_digest: Option<Digest>,
    /// The id of the person that the record was delivered to.
    pub delivered_person: Option<String>,
    /// The person of the last try: object and id.
    pub person: Option<(String, String)>,
    pub matched_by: Option<[u8; 32]>,
    pub match_json: Option<String>,
    pub attempts: u32,
    /// 0 in a full batch, 1 in a small one, 2 alone.
    pub isolation: u32,
    pub rematched: bool,
    /// What was sent last without a known outcome.
    pub intent: Option<PriorIntent>,
}

/// A send whose outcome is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorIntent {
    pub at_ms: i64,
    pub digest: Digest,
    /// The remote has certainly finished with it.
    pub settled: bool,
    /// Nobody could be asked what came of it, and a person has made it due again since.
    pub left_to_person: bool,
}

/// What is about to be sent for one delivery.
#[derive(Clone, Debug)]
pub struct Intent {
    pub delivery_id: i64,
    pub fence: i64,
    pub revision: Revision,
    pub digest: Digest,
    pub matching: Matching,
    pub record_json: String,
}

/// The person that a call was matched to, and why.
#[derive(Clone, Debug)]
pub struct Matching {
    /// Object and id.
    pub person: (String, String),
    /// Digest of the address.
    pub matched_by: Option<[u8; 32]>,
    pub match_json: String,
}

/// What became of a claimed delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub delivery_id: i64,
    pub fence: i64,
    pub change: Change,
    pub attempt: Option<Attempt>,
}

#[derive(Clone, Debug)]
pub enum Change {
    Delivered {
        remote_id: String,
        revision: Revision,
        digest: Digest,
        adopted: bool,
        /// False if the record already had this content and nothing was written.
        written: bool,
        /// Where nothing was intended, because the record was found as it should be.
        matching: Option<Box<Matching>>,
    },
    /// A record stands there and cannot be changed: it holds what the ledger knows of it, and no newer revision.
    Kept {
        remote_id: String,
        /// The revision that it does not hold.
        revision: Revision,
        matching: Box<Matching>,
    },
    Skipped {
        problem: StoredProblem,
        match_json: String,
    },
    /// A person must look.
    Dead {
        problem: StoredProblem,
        intent: IntentFate,
    },
    /// Due again at `next_at_ms`. What it was matched to and what was sent stays, as told.
    Again {
        next_at_ms: i64,
        problem: Option<StoredProblem>,
        /// Counts as a failed attempt.
        counts: bool,
        isolate: bool,
        rematch: bool,
        remote_id: Option<String>,
        intent: IntentFate,
    },
}

/// What to do with the recorded intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntentFate {
    /// Nothing can have been written: forget it.
    #[default]
    Clear,
    /// Something may have been written: keep it for the next look.
    Keep { settled: bool },
    /// Nobody can be asked what came of it: it stays on record, and only a person makes the delivery due again.
    LeaveToPerson,
    /// As it was before this claim.
    Leave,
}

/// One try, for the books.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub operation: &'static str,
    pub batch_rows: usize,
    pub revision: Revision,
    pub outcome: &'static str,
    pub problem: Option<StoredProblem>,
    pub at_ms: i64,
    pub took_ms: i64,
}

/// A [`Problem`] as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredProblem {
    pub code: String,
    pub what: String,
    pub help: String,
}

impl From<&Problem> for StoredProblem {
    fn from(problem: &Problem) -> StoredProblem {
        StoredProblem { code: problem.code.0.to_owned(), what: problem.what.clone(), help: problem.help.clone() }
    }
}

/// How much to claim, and which calls first.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Deliveries at most.
    pub count: usize,
    pub parts: Parts,
    pub order: Order,
    /// What a replay made due, in place of all else.
    pub replayed: bool,
}

/// Which calls go out first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// What other processes do with the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// There is none.
    Alone,
    Idle,
    /// One reads files, or delivers.
    Busy,
}

/// Since when something stands still, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldestSince {
    /// The dead letter that has been one for longest.
    pub dead_ms: Option<i64>,
    /// What has been due for longest, in somebody's hands or not.
    pub waiting_ms: Option<i64>,
}

/// Which deliveries to make due again.
#[derive(Clone, Debug, Default)]
pub struct Rearm {
    /// States to take: `dead`, `skipped`, `due` (waiting for a later try), `delivered`.
    pub states: Vec<&'static str>,
    pub codes: Vec<String>,
    pub keys: Option<Vec<CallKey>>,
    /// Call days, both included.
    pub days: Option<(Date, Date)>,
    /// Folder days, both included: calls that have a raw file there.
    pub folder_days: Option<(Date, Date)>,
    /// Forget the remote record, so that a new one is made.
    pub recreate: bool,
    /// They go out behind everything that is due for another reason, and by processes that did not begin before this one:
    /// an older one knows an older mapping.
    pub replay: bool,
}

pub struct StoredCall {
    pub call: RedactedCall,
    pub revision: Revision,
    pub first_seen_ms: i64,
    pub changed_at_ms: i64,
    pub revisions: Vec<RevisionRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RevisionRow {
    pub revision: u32,
    pub raw_url: String,
    pub raw_version: String,
    pub at_ms: i64,
}

#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    pub days: Option<(Date, Date)>,
    pub limit: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct CallRow {
    pub call_key: String,
    pub source_id: String,
    pub day: Option<String>,
    pub started_at_ms: Option<i64>,
    pub revision: u32,
    /// `destination: state` for each.
    pub deliveries: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub destination: Option<String>,
    pub states: Vec<String>,
    pub codes: Vec<String>,
    pub call_key: Option<String>,
    pub days: Option<(Date, Date)>,
    /// Folder days, both included: calls that have a raw file there.
    pub folder_days: Option<(Date, Date)>,
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRow {
    pub id: i64,
    pub call_key: String,
    pub source_id: String,
    pub day: Option<String>,
    pub destination: String,
    /// `due`, `unknown`, `held`, `leased`, `delivered`, `skipped` or `dead`.
    pub state: String,
    pub desired_revision: u32,
    pub delivered_revision: u32,
    pub remote_id: Option<String>,
    pub person_object: Option<String>,
    pub person_id: Option<String>,
    pub writes: u32,
    pub adopted: bool,
    pub attempts: u32,
    pub problem: Option<StoredProblem>,
    pub next_at_ms: i64,
    pub intent_at_ms: Option<i64>,
    /// Processes that died with this call alone in hand.
    pub deaths: u32,
    pub delivered_at_ms: Option<i64>,
    #[serde(skip)]
    pub match_json: Option<String>,
    #[serde(skip)]
    pub record_json: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub struct AttemptRow {
    pub at_ms: i64,
    pub took_ms: i64,
    pub operation: String,
    pub batch_rows: u32,
    pub revision: u32,
    pub outcome: String,
    pub code: Option<String>,
    pub what: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct RawFilter {
    /// `converted`, `quarantined` or `gone`.
    pub state: Option<&'static str>,
    pub call_key: Option<String>,
    pub url: Option<String>,
    /// A part of the URL.
    pub url_part: Option<String>,
    pub limit: Option<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RawRow {
    pub url: String,
    pub version: String,
    pub bytes: u64,
    pub modified_at_ms: i64,
    pub seen_at_ms: i64,
    /// SHA-256 of the file as received, in hex.
    pub digest: Option<String>,
    pub state: String,
    pub day: Option<String>,
    /// Processes that died with this file alone in hand.
    pub deaths: u32,
    pub problem: Option<StoredProblem>,
    pub notes: Vec<String>,
}

/// How a raw file stands, and its call at one destination.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// `converted`, `quarantined` or `gone`; `None`: it was never read.
    pub file: Option<String>,
    pub call_key: Option<CallKey>,
    pub source_id: Option<String>,
    /// As in [`DeliveryRow::state`]; `None`: the call is not for this destination.
    pub delivery: Option<String>,
    /// Why it is in quarantine, or why its call is not delivered.
    pub problem: Option<StoredProblem>,
}

/// A file on whose word a record is to be changed.
#[derive(Clone, Debug)]
pub struct UnseenFile {
    pub key: CallKey,
    pub url: String,
    /// As it was when it was read.
    pub version: String,
    /// The day of the folder it was listed under.
    pub day: Option<Date>,
}

#[derive(Clone, Debug, Serialize)]
pub struct HoldRow {
    pub destination: String,
    pub problem: StoredProblem,
    pub since_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// As in [`DeliveryRow::state`].
    pub state: String,
    pub code: Option<String>,
    pub count: u64,
}

/// What happened to the calls of one day.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DayFigures {
    /// `None`: the calls without a date.
    pub day: Option<String>,
    pub calls: u64,
    /// Records made.
    pub delivered: u64,
    /// Of these, changed later by a further revision.
    pub updated: u64,
    pub adopted: u64,
    /// Of those delivered, on the person of an earlier address, because the newest matches nobody.
    pub former_person: u64,
    pub skipped: std::collections::BTreeMap<String, u64>,
    pub dead: std::collections::BTreeMap<String, u64>,
    pub waiting: u64,
    pub quarantined: u64,
    /// Matched calls of those that had an address, 0 to 1.
    pub match_rate: Option<f64>,
}

//! Where calls are delivered, and the table of all kinds of destination.
//!
//! Invariant: a destination knows its remote system and nothing of the store or of retry policy. It answers one
//! [`Outcome`] for each record, and the engine decides what follows.

pub mod rest;
pub mod salesforce;
mod unasked;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::CallKey;
use crate::problem::Problem;
use crate::redact::RedactedCall;

pub use unasked::Unasked;

/// One kind of destination.
pub struct DestinationKind {
    pub name: &'static str,
    pub about: &'static str,
}

/// Every kind of destination, in the order in which help and docs list them.
pub const DESTINATIONS: &[DestinationKind] = &[salesforce::KIND, rest::KIND];

/// A record of the remote system that stands for a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Person {
    /// e.g. `Contact` or `Lead`.
    pub object: String,
    pub id: String,
}

/// One record that was considered in a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub object: String,
    pub id: String,
    /// When the record was last changed, as the remote system tells.
    pub modified_at: Option<String>,
    /// Why it was or was not taken, in a few words: "most recently modified Contact", "converted lead, stands for 003…".
    pub remark: String,
}

/// The decision which person a call belongs to, with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    pub verdict: Verdict,
    /// The rule that decided, as the docs name it, e.g. `contact-by-email`, `lead-by-email`, `converted-lead`.
    pub rule: String,
    /// The best [`CANDIDATES_MAX`] candidates, the chosen one first.
    pub candidates: Vec<Candidate>,
    /// How many there were in all.
    pub candidates_total: usize,
}

/// How many candidates of one match are kept.
pub const CANDIDATES_MAX: usize = 10;

/// What a match came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Found(Person),
    NoEmail,
    NoMatch,
    /// Several match and the configured rule is to skip.
    Ambiguous,
}

/// Fields of a remote record by their remote names. Never holds a null.
pub type Record = Map<String, Value>;

/// What a call becomes at this destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// e.g. `Task`.
    pub object: String,
    /// For a new record.
    pub create: Record,
    /// For an existing one: `create` less `person` and what may be set only once.
    pub update: Record,
    /// What puts the record on its person. It goes with `update` only when the person is another than before, so that a
    /// record that somebody moved in the remote system stays where it was moved to.
    pub person: Record,
    /// What was cut or left out on the way, for `why`.
    pub notes: Vec<String>,
}

/// How one record is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Insert with the identity in it; an existing one is told apart by the destination, never doubled.
    Create,
    /// Change the record with this remote id.
    Update { remote_id: String },
}

/// One record to write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub key: CallKey,
    pub object: String,
    pub operation: Operation,
    pub record: Record,
}

/// A record found at the destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Existing {
    pub remote_id: String,
    /// True if it was made by the script that ran before and does not carry our identity yet.
    pub adopted: bool,
    /// The person it stands on, if the remote told.
    pub person_id: Option<String>,
    /// What it holds of the mapped fields, if that was asked for.
    pub record: Option<Record>,
}

/// What one try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The record stands there. `created` is false where it was there already.
    Delivered { remote_id: String, created: bool },
    /// A record with this identity exists (remote id if told) but its content is not what was sent: update it.
    Exists { remote_id: String },
    /// Nothing was written; try again. `smaller`: in a smaller batch, because a neighbour may be the cause.
    Retry { after: Option<Duration>, problem: Problem, smaller: bool },
    /// The person that the record points at is gone, merged or converted: match again, then try once more.
    Rematch { problem: Problem },
    /// This record will never be taken as it is: a person must look.
    Reject { problem: Problem },
    /// It may or may not have been written. `settled`: the remote has certainly finished with the request, so a look-up
    /// now is conclusive; otherwise it may still commit.
    Unknown { problem: Problem, settled: bool },
    /// The destination as a whole cannot take anything until somebody acts.
    Hold { problem: Problem },
}

/// Why nothing is known of one call after a question, although the destination as a whole can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It was not asked, or not to the end.
    NotAsked,
    /// The remote has trouble or wants a pause (`Retry`); that says nothing of this call.
    Pause(Outcome),
    /// Others were answered, this one was not (`Retry`, `Hold`), or cannot be asked for at all (`Reject`): it is the
    /// matter of this call alone.
    Failed(Outcome),
}

/// One answer for each call that was asked for, in their order; `Err` (`Retry` or `Hold`) concerns all of them.
pub type Answers<T> = Result<Vec<Result<T, Unanswered>>, Outcome>;

/// What the remote system does with a second record of the same identity, and so what must be done to make none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubles {
    /// It refuses it: sending again is safe.
    Refused,
    /// It takes it, but can be asked what is there: before anything is sent again, and with `first` before a first send
    /// as well, which finds what another ledger sent.
    LookedUp { first: bool },
    /// It takes it and cannot be asked. What was sent without a known outcome is sent again (`resend`), which may double
    /// it, or waits for a person.
    Unseen { resend: bool },
}

/// What is known of a destination once it has been prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub doubles: Doubles,
    /// If it does not: why, and how to mend it.
    pub key_advice: Option<Advice>,
    /// Things a person should know but that stop nothing.
    pub warnings: Vec<String>,
}

/// What is not as it could be, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    pub what: String,
    pub help: String,
}

/// A remote system that takes records of calls.
///
/// The methods that ask (`prepare`, `match_people`, `look_up`, `adoptable`) answer `Err` with `Retry` or `Hold` for the
/// whole question; what concerns one call alone stands in its own answer. Every method that answers for several items
/// answers in the order of the items, one each.
#[async_trait]
pub trait Destination: Send + Sync {
    /// The configured name, e.g. `salesforce`.
    fn name(&self) -> &str;

    /// Logs in and reads what the remote offers. Called before anything else; cheap when called again.
    async fn prepare(&self) -> Result<Readiness, Outcome>;

    /// Most records in one `write`.
    fn batch_max(&self) -> usize;

    /// Whether the mapping reads what was said or the fields without a place; if not, calls come without them.
    fn reads_whole_calls(&self) -> bool;

    /// Finds the person of each call.
    async fn match_people(&self, calls: &[&RedactedCall]) -> Answers<Match>;

    /// Who makes people for calls that match nobody, where that is configured.
    fn people(&self) -> Option<&dyn CreatesPeople> {
        None
    }

    /// Whether a record can be changed once it is there. If not, a newer revision of a delivered call is not sent.
    fn can_update(&self) -> bool {
        true
    }

    /// The record that `call` becomes; pure. `Err` is a rejection of this call.
    fn map(&self, call: &RedactedCall, person: &Person) -> Result<Mapped, Problem>;

    /// The records that already carry these calls' identity, with what they hold; `None` where there is none.
    async fn look_up(&self, calls: &[&RedactedCall]) -> Answers<Option<Existing>>;

    /// Whether a record that holds `held` says already what `mapped` would change it to; pure. In doubt, false.
    fn stands(&self, held: &Record, mapped: &Mapped) -> bool;

    /// Records without an identity that an earlier script made for calls of `dates`: session id to record. Empty where
    /// adoption is off.
    async fn adoptable(&self, _dates: &[Date]) -> Result<HashMap<String, Existing>, Outcome> {
        Ok(HashMap::new())
    }

    /// The fields that mark an adopted record as ours.
    fn adoption_stamp(&self, _call: &RedactedCall) -> Record {
        Record::new()
    }

    /// The calendar date of the call in the configured zone, for `adoptable`, reports and CSV.
    fn call_date(&self, call: &RedactedCall) -> Option<Date>;

    /// Writes up to `batch_max` records of one operation kind in one request; one outcome each, in order.
    async fn write(&self, writes: &[Write]) -> Vec<Outcome>;

    /// Where a person can look at the record, if the remote has such a page.
    fn link(&self, remote_id: &str) -> Option<String>;

    /// Requests to the remote so far, and its own count of used and allowed ones if it told.
    fn usage(&self) -> Usage;
}

/// A destination that can make a person where none matches.
#[async_trait]
pub trait CreatesPeople: Send + Sync {
    /// Makes a person for a call that matched nobody. The engine serialises this per e-mail address and matches again
    /// before it repeats. Answers the new person, or the existing one that the remote takes it for.
    async fn create_person(&self, call: &RedactedCall) -> Result<Person, Outcome>;

    /// What `create_person` would make of `call`: the object and its fields; pure. `None` if it lacks what that takes.
    fn new_person(&self, call: &RedactedCall) -> Option<(String, Record)>;
}

/// How much of the remote's allowance was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Requests that this process made.
    pub requests: u64,
    /// The remote's own count in its window and its limit.
    pub remote_used: Option<u64>,
    pub remote_max: Option<u64>,
}

//! What pairing came to, for whoever ran it.
//!
//! Invariant: it names files and reasons, never anybody's data, and its lists are bounded; the counts are not.

use std::fmt;

use crate::problem::Problem;

/// How many files each list names.
pub(super) const NAMED_MAX: usize = 200;

/// Why a lead went to no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It names a session, and no transcript here is of that session.
    UnknownSession,
    /// It names neither a session nor a phone number nor an e-mail address that could be compared.
    NoEvidence,
    /// It names a person and no time.
    NoTime,
    /// No call of this person was on at its time.
    NoCall,
    /// Several calls fit equally well; some of their files.
    SeveralCalls(Vec<String>),
    /// Several different leads fit this transcript equally well.
    SeveralLeads(String),
    /// This transcript has a lead with better evidence.
    BetterLead(String),
    /// The same lead is there in another file.
    Duplicate(String),
}

impl Reason {
    /// Whether a call is there, but not exactly one for exactly one lead.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Reason::SeveralCalls(_) | Reason::SeveralLeads(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::UnknownSession => f.write_str("it names a session of which there is no transcript"),
            Reason::NoEvidence => f.write_str("it names no session, phone number or e-mail address"),
            Reason::NoTime => f.write_str("it has no time, and a phone number or e-mail address alone is not enough"),
            Reason::NoCall => f.write_str("no call with its phone number or e-mail address was on at its time"),
            Reason::SeveralCalls(names) => write!(f, "several calls fit it equally well: {}", names.join(", ")),
            Reason::SeveralLeads(name) => write!(f, "several leads fit {name} equally well"),
            Reason::BetterLead(name) => write!(f, "{name} has another lead with better evidence"),
            Reason::Duplicate(name) => write!(f, "it says the same as {name}, which was taken"),
        }
    }
}

/// A readable lead file that went to no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaired {
    /// Its name in the folder of leads.
    pub name: String,
    pub reason: Reason,
}

/// A lead, metadata or egress file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Its address.
    pub url: String,
    pub problem: Problem,
}

/// What pairing came to. Every lead file is counted once: paired, unpaired or malformed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairingReport {
    pub transcripts: usize,
    /// Transcripts that could not be read; each is quarantined with its reason when it is converted.
    pub transcripts_unreadable: usize,
    /// Lead files, readable or not.
    pub leads: usize,
    pub paired: usize,
    /// The first [`Unpaired`] files by name.
    pub unpaired: Vec<Unpaired>,
    pub unpaired_count: usize,
    /// Of the unpaired: how many would fit, but not exactly one to exactly one.
    pub ambiguous_count: usize,
    /// The first files by folder and name that could not be used.
    pub malformed: Vec<Malformed>,
    pub malformed_count: usize,
    /// Of the malformed: how many are lead files.
    pub malformed_leads: usize,
    /// Transcripts for which there is a metadata file.
    pub with_metadata: usize,
    /// Transcripts for which there is an egress file.
    pub with_recording: usize,
}

impl PairingReport {
    pub(super) fn add_unpaired(&mut self, name: &str, reason: Reason) {
        self.unpaired_count += 1;
        self.ambiguous_count += usize::from(reason.is_ambiguous());
        if self.unpaired.len() < NAMED_MAX {
            self.unpaired.push(Unpaired { name: name.to_owned(), reason });
        }
    }

    pub(super) fn add_malformed(&mut self, url: String, problem: Problem) {
        self.malformed_count += 1;
        if self.malformed.len() < NAMED_MAX {
            self.malformed.push(Malformed { url, problem });
        }
    }
}

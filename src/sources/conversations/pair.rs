//! Which lead belongs to which call, by evidence.
//!
//! Invariant: a lead goes to the one call that it fits best, or to none. Neither the order of leads nor that of calls
//! changes anything. Memory grows with the leads; of calls only those that fit one are kept.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::lead::LeadFile;
use super::report::Reason;
use crate::model::Lead;

/// How many calls that fit one lead are kept to be named.
const CANDIDATES_MAX: usize = 3;

/// How well a lead fits a call; the greater, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Nothing but the time, of which there is one of either.
    Time,
    /// The same person, within the grace after the call.
    PersonAfter,
    /// The same person, while the call was on.
    PersonDuring,
    /// One names the other.
    Named,
}

/// What a transcript says that a lead can be compared with.
pub(super) struct CallEvidence {
    /// The call's own id: two files of one call are no two calls.
    pub id: String,
    /// The transcript's name.
    pub name: String,
    pub session_ids: Vec<String>,
    /// The lead file that the call's metadata name.
    pub lead_file: Option<String>,
    /// Comparable numbers and addresses of the caller.
    pub phones: Vec<String>,
    pub emails: Vec<String>,
    /// What the agent took down in the call: number and address.
    pub claims: Vec<(Option<String>, Option<String>)>,
    pub window: Option<(Timestamp, Timestamp)>,
    pub may_have_lead: bool,
}

struct Candidate {
    call: String,
    names: Vec<String>,
}

/// The best calls for one lead.
#[derive(Default)]
struct Candidates {
    fit: Option<Fit>,
    calls: Vec<Candidate>,
    /// The call that was on at its time, whoever's it was; `None` inside if there were several.
    on_at_its_time: Option<Option<String>>,
}

/// Leads that wait for their calls.
pub(super) struct Pairing {
    by_session: HashMap<String, Vec<usize>>,
    by_name: HashMap<String, usize>,
    by_time: Vec<(Timestamp, usize)>,
    candidates: Vec<Candidates>,
    grace: Duration,
    by_time_alone: bool,
}

/// The lead of each transcript by its name, and why the other leads went to none, in order of the leads.
pub(super) struct Settled {
    pub pairs: HashMap<String, usize>,
    pub unpaired: Vec<(usize, Reason)>,
}

impl Pairing {
    /// `leads` by their file names.
    pub(super) fn new(leads: &[(String, LeadFile)], grace: Duration, by_time_alone: bool) -> Pairing {
        let mut by_session: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, (_, lead)) in leads.iter().enumerate() {
            if let Some(session) = &lead.session {
                by_session.entry(session.clone()).or_default().push(index);
            }
        }
        let mut by_time: Vec<_> =
            leads.iter().enumerate().filter_map(|(index, (_, lead))| Some((lead.at?, index))).collect();
        by_time.sort_unstable();
        Pairing {
            by_session,
            by_name: leads.iter().enumerate().map(|(index, (name, _))| (name.clone(), index)).collect(),
            by_time,
            candidates: leads.iter().map(|_| Candidates::default()).collect(),
            grace,
            by_time_alone,
        }
    }

    /// Takes one transcript into account.
    pub(super) fn consider(&mut self, leads: &[(String, LeadFile)], call: &CallEvidence) {
        let mut named: Vec<usize> =
            call.session_ids.iter().filter_map(|id| self.by_session.get(id)).flatten().copied().collect();
        named.extend(call.lead_file.as_ref().and_then(|name| self.by_name.get(name)));
        named.sort_unstable();
        named.dedup();
        for index in &named {
            self.candidates[*index].add(Fit::Named, call);
        }
        let Some((start, end)) = call.window else { return };
        let latest = end.checked_add(self.grace).unwrap_or(Timestamp::MAX);
        let first = self.by_time.partition_point(|(at, _)| *at < start);
        let past = self.by_time.partition_point(|(at, _)| *at <= latest);
        let alone = past - first == 1;
        for (at, index) in &self.by_time[first..past] {
            let (lead, candidates) = (&leads[*index].1, &mut self.candidates[*index]);
            candidates.note_time(&call.id);
            // Whoever names a session belongs there or nowhere, and a call that names its lead has no other.
            if named.contains(index) || lead.session.is_some() || call.lead_file.is_some() || !call.may_have_lead {
                continue;
            }
            if contradicts(lead, call) {
                continue;
            }
            let during = if *at <= end { Fit::PersonDuring } else { Fit::PersonAfter };
            if same_person(lead, call) {
                candidates.add(during, call);
            } else if self.by_time_alone && alone && !names_somebody_else(lead, call) {
                candidates.add(Fit::Time, call);
            }
        }
    }

    /// Gives each lead that fits exactly one call to it, unless others fit that call as well.
    pub(super) fn settle(self, leads: &[(String, LeadFile)]) -> Settled {
        let mut settled = Settled { pairs: HashMap::new(), unpaired: Vec::new() };
        let mut wanted: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, candidates) in self.candidates.iter().enumerate() {
            let only_by_time = candidates.fit == Some(Fit::Time);
            match candidates.calls.as_slice() {
                [] => settled.unpaired.push((index, without_call(&leads[index].1))),
                [_] if only_by_time && candidates.on_at_its_time == Some(None) => {
                    settled.unpaired.push((index, without_call(&leads[index].1)));
                }
                [call] => wanted.entry(&call.call).or_default().push(index),
                several => {
                    let mut names: Vec<String> =
                        several.iter().filter_map(|call| call.names.first().cloned()).collect();
                    names.sort_unstable();
                    settled.unpaired.push((index, Reason::SeveralCalls(names)));
                }
            }
        }
        for indices in wanted.values() {
            self.settle_call(leads, indices, &mut settled);
        }
        settled.unpaired.sort_unstable_by_key(|(index, _)| *index);
        settled
    }

    fn settle_call(&self, leads: &[(String, LeadFile)], indices: &[usize], settled: &mut Settled) {
        let fit = |index: &usize| self.candidates[*index].fit;
        let best = indices.iter().map(fit).max().flatten();
        let of_best = || indices.iter().copied().filter(|index| fit(index) == best);
        let newest = of_best().max_by_key(|index| (leads[*index].1.at, &leads[*index].0));
        let Some(chosen) = newest else { return };
        let call = &self.candidates[chosen].calls[0];
        let name = call.names.first().cloned().unwrap_or_default();
        let same = |index: usize| same_lead(&leads[index].1.lead, &leads[chosen].1.lead);
        let agreed = of_best().all(same);
        for index in indices.iter().copied() {
            let reason = match (index == chosen && agreed, fit(&index) == best) {
                (true, _) => continue,
                (false, true) if !agreed => Reason::SeveralLeads(name.clone()),
                _ if agreed && same(index) => Reason::Duplicate(leads[chosen].0.clone()),
                _ if agreed => Reason::BetterLead(name.clone()),
                _ => Reason::SeveralLeads(name.clone()),
            };
            settled.unpaired.push((index, reason));
        }
        if agreed {
            settled.pairs.extend(call.names.iter().map(|name| (name.clone(), chosen)));
        }
    }
}

impl Candidates {
    fn add(&mut self, fit: Fit, call: &CallEvidence) {
        if self.fit < Some(fit) {
            self.fit = Some(fit);
            self.calls.clear();
        } else if self.fit > Some(fit) {
            return;
        }
        if let Some(known) = self.calls.iter_mut().find(|known| known.call == call.id) {
            if !known.names.contains(&call.name) {
                known.names.push(call.name.clone());
                known.names.sort_unstable();
            }
        } else if self.calls.len() < CANDIDATES_MAX {
            self.calls.push(Candidate { call: call.id.clone(), names: vec![call.name.clone()] });
        }
    }

    fn note_time(&mut self, call: &str) {
        self.on_at_its_time = match self.on_at_its_time.take() {
            None => Some(Some(call.to_owned())),
            Some(Some(known)) if known == call => Some(Some(known)),
            Some(_) => Some(None),
        };
    }
}

fn same_person(lead: &LeadFile, call: &CallEvidence) -> bool {
    lead.phone.as_ref().is_some_and(|phone| call.phones.contains(phone))
        || lead.email.as_ref().is_some_and(|email| call.emails.contains(email))
}

/// Whether both name a person, and not the same.
fn names_somebody_else(lead: &LeadFile, call: &CallEvidence) -> bool {
    (lead.phone.is_some() && !call.phones.is_empty()) || (lead.email.is_some() && !call.emails.is_empty())
}

/// Whether the agent took down other people in this call: colleagues share a phone.
fn contradicts(lead: &LeadFile, call: &CallEvidence) -> bool {
    let differ = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
    let other =
        |(phone, email): &(Option<String>, Option<String>)| differ(phone, &lead.phone) || differ(email, &lead.email);
    !call.claims.is_empty() && call.claims.iter().all(other)
}

/// Whether two files tell of the same prospect in the same words, at whatever time.
fn same_lead(a: &Lead, b: &Lead) -> bool {
    Lead { timestamp: None, ..a.clone() } == Lead { timestamp: None, ..b.clone() }
}

fn without_call(lead: &LeadFile) -> Reason {
    if lead.session.is_some() {
        Reason::UnknownSession
    } else if lead.phone.is_none() && lead.email.is_none() {
        Reason::NoEvidence
    } else if lead.at.is_none() {
        Reason::NoTime
    } else {
        Reason::NoCall
    }
}

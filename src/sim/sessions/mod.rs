//! Days of invented session files with planted truth: what a sync of them must leave in the CRM.
//!
//! Invariant: everything follows from the plan's seed: the same plan gives the same bytes, whichever session is made
//! first. [`Plan::session`] makes one, [`Plan::sessions`] all, [`Plan::people`] whom the CRM must know for the truth to hold.

mod document;
mod hostile;
mod people;
mod speech;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use libdeflater::{CompressionLvl, Compressor};
use serde_json::{Value, json};

pub use document::Generation;
pub use hostile::{Fate, HostileFile, bomb, hostile_files};
pub use people::{People, Person, Who};
use speech::Chance;

use super::salesforce::contact_id;

/// What one invented day looks like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The day of the folder and of the calls.
    pub date: Date,
    pub calls: usize,
    /// How many contacts and open leads the CRM has, each with an address of its own.
    pub contacts: usize,
    pub leads: usize,
    /// Leads that were converted, each to a further contact with the same address.
    pub converted: usize,
    /// Addresses that two further contacts have in common.
    pub shared: usize,
    /// Out of 1,000 sessions, how many are written a second time with more in them.
    pub rewritten_of_1000: u32,
}

/// One invented session file.
#[derive(Clone)]
pub struct PlantedSession {
    /// Without a folder, e.g. `trial_1761700000123_k3x9qd.json.gz`.
    pub file_name: String,
    pub bytes: Vec<u8>,
    pub session_id: String,
    pub truth: Truth,
}

/// What a sync of one session must come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The caller's address as the CRM has it; the file may write it in capitals or with blanks around.
    pub email: Option<String>,
    pub who: Who,
    /// 1, or 2 for a rewritten session.
    pub revision: u32,
    pub generation: Generation,
    pub started_at: Timestamp,
    /// Seconds, exact to the microsecond.
    pub duration_s: f64,
    pub tool_calls: usize,
    pub meeting_booked: bool,
    pub turns: usize,
    pub use_case: Option<String>,
    pub team_size: Option<String>,
    pub pain_points: Vec<String>,
    /// Of the document, before compressing.
    pub document_bytes: usize,
}

impl Plan {
    /// A day of `calls` sessions and a CRM in proportion.
    pub fn new(seed: u64, date: Date, calls: usize) -> Plan {
        Plan {
            seed,
            date,
            calls,
            contacts: (calls / 2).max(1),
            leads: (calls / 4).max(1),
            converted: (calls / 20).max(1),
            shared: (calls / 50).max(1),
            rewritten_of_1000: 20,
        }
    }

    /// Every person that the CRM must have.
    pub fn people(&self) -> People {
        people::all(self)
    }

    /// The sessions as they are first written.
    pub fn sessions(&self) -> impl Iterator<Item = PlantedSession> + '_ {
        let mut press = Press::new();
        (0..self.calls).map(move |index| self.make(index, 1, &mut press))
    }

    /// The sessions that are written again, with the same file name and session id and more in them.
    pub fn rewrites(&self) -> impl Iterator<Item = PlantedSession> + '_ {
        let mut press = Press::new();
        (0..self.calls).filter(|index| self.is_rewritten(*index)).map(move |index| self.make(index, 2, &mut press))
    }

    /// Whether [`Plan::rewrites`] has this session.
    pub fn is_rewritten(&self, index: usize) -> bool {
        Chance::new(self.seed, index as u64, 7).below(1000) < u64::from(self.rewritten_of_1000)
    }

    /// One session by its index below `calls`; `revision` is 1 or 2.
    pub fn session(&self, index: usize, revision: u32) -> PlantedSession {
        self.make(index, revision, &mut Press::new())
    }

    /// The day's folder below a source's address, with its closing slash.
    pub fn day_folder(&self) -> String {
        format!("year={:04}/month={:02}/day={:02}/", self.date.year(), self.date.month(), self.date.day())
    }

    fn make(&self, index: usize, revision: u32, press: &mut Press) -> PlantedSession {
        let draft = document::draft(self, index, revision);
        let plain = Chance::new(self.seed, index as u64, 3).below(100) < 5;
        let (suffix, bytes) = if plain { ("json", draft.document) } else { ("json.gz", press.gzip(&draft.document)) };
        PlantedSession {
            file_name: format!("{}.{suffix}", draft.session_id),
            bytes,
            session_id: draft.session_id,
            truth: draft.truth,
        }
    }
}

/// Writes the plan's day below `folder`; gives the day's folder.
pub fn write_day(folder: &Path, plan: &Plan) -> io::Result<PathBuf> {
    write(folder, plan, plan.sessions())
}

/// Overwrites the sessions that the plan rewrites.
pub fn write_rewrites(folder: &Path, plan: &Plan) -> io::Result<PathBuf> {
    write(folder, plan, plan.rewrites())
}

fn write(folder: &Path, plan: &Plan, sessions: impl Iterator<Item = PlantedSession>) -> io::Result<PathBuf> {
    let day = folder.join(plan.day_folder());
    std::fs::create_dir_all(&day)?;
    for session in sessions {
        std::fs::write(day.join(&session.file_name), &session.bytes)?;
    }
    Ok(day)
}

/// Compresses one document after the other.
struct Press(Compressor);

impl Press {
    fn new() -> Press {
        // Level 1 of 12; the library's own `fastest` is 0, which only stores.
        Press(Compressor::new(CompressionLvl::new(1).unwrap_or_default()))
    }

    fn gzip(&mut self, document: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.0.gzip_compress_bound(document.len())];
        let length = self.0.gzip_compress(document, &mut out).expect("the bound leaves room for every document");
        out.truncate(length);
        out
    }
}

/// Where the ids of a plan's Contacts begin to count; far from those that an org gives by itself.
const FIRST_CONTACT: u64 = 1_000_000;

/// The people of a plan as Salesforce records: `{"Contact": [...], "Lead": [...]}`, to be put into a simulated org in this
/// order as they are. Contacts bring ids of their own, so that a converted Lead can name the one that it became.
pub fn records(plan: &Plan) -> Value {
    let people = plan.people();
    let id = |contact: usize| contact_id(FIRST_CONTACT + contact as u64);
    let person = |person: &Person| json!({ "FirstName": person.first_name, "LastName": person.last_name, "Email": person.email });
    let mut contacts: Vec<Value> = people.contacts.iter().map(person).collect();
    for (index, contact) in contacts.iter_mut().enumerate() {
        contact["Id"] = id(index).into();
    }
    let lead = |lead: &Person| {
        let mut record = person(lead);
        record["Company"] = "Example Company".into();
        if let Some(contact) = lead.converted_to {
            record["IsConverted"] = true.into();
            record["ConvertedContactId"] = id(contact).into();
        }
        record
    };
    json!({ "Contact": contacts, "Lead": people.leads.iter().map(lead).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(calls: usize) -> Plan {
        Plan::new(11, jiff::civil::date(2025, 10, 29), calls)
    }

    #[test]
    fn a_plan_gives_the_same_bytes_in_any_order() {
        let all: Vec<_> = plan(40).sessions().collect();
        for index in [39, 0, 17] {
            let one = plan(40).session(index, 1);
            assert!(one.bytes == all[index].bytes && one.truth == all[index].truth);
        }
        let other = Plan { seed: 12, ..plan(40) };
        assert!(other.session(0, 1).bytes != all[0].bytes);
    }

    #[test]
    fn a_day_has_every_kind_of_caller_generation_and_size() {
        let sessions: Vec<_> = plan(2000).sessions().collect();
        let ids: std::collections::BTreeSet<_> = sessions.iter().map(|session| &session.session_id).collect();
        assert_eq!(ids.len(), sessions.len());
        let share = |test: &dyn Fn(&Truth) -> bool| sessions.iter().filter(|session| test(&session.truth)).count();
        assert!(share(&|truth| matches!(truth.who, Who::Contact(_))) > 900);
        assert!(share(&|truth| matches!(truth.who, Who::Lead(_))) > 200);
        assert!(share(&|truth| matches!(truth.who, Who::ConvertedLead { .. })) > 40);
        assert!(share(&|truth| matches!(truth.who, Who::Several { .. })) > 20);
        assert!(share(&|truth| truth.who == Who::Nobody) > 60);
        assert!(share(&|truth| truth.who == Who::NoEmail) > 100);
        for generation in [Generation::First, Generation::Second, Generation::Third, Generation::Documented] {
            assert!(share(&|truth| truth.generation == generation) > 50, "{generation:?}");
        }
        let mean = sessions.iter().map(|session| session.truth.document_bytes).sum::<usize>() / sessions.len();
        assert!((23_000..31_000).contains(&mean), "{mean} bytes on average");
        assert!(plan(2000).rewrites().count() > 10);
    }

    #[test]
    fn the_people_hold_every_address_that_the_truth_says_somebody_has() {
        let plan = plan(500);
        let people = plan.people();
        for session in plan.sessions() {
            let email = session.truth.email.as_deref();
            let contacts = people.contacts.iter().filter(|person| Some(person.email.as_str()) == email).count();
            let leads = people.leads.iter().filter(|person| Some(person.email.as_str()) == email).count();
            let expected = match &session.truth.who {
                Who::Contact(_) => (1, 0),
                Who::Lead(_) => (0, 1),
                Who::ConvertedLead { .. } => (1, 1),
                Who::Several { contacts, leads } => (contacts.len(), leads.len()),
                Who::Nobody | Who::NoEmail => (0, 0),
            };
            assert_eq!((contacts, leads), expected, "{:?}", session.truth.who);
        }
    }
}

//! Directories of invented transcripts, leads, call metadata and egress files, as LiveKit-style agents leave them, with
//! planted truth: which lead belongs to which call.
//!
//! Invariant: everything follows from the plan's seed. Nobody in it is real: `example.com` and +1555010xxxx. A lead is
//! planted as paired only where the files alone prove it.

mod cast;
mod files;
mod transcripts;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;

/// What a directory looks like.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// Transcript files, one a call.
    pub transcripts: usize,
    /// Lead files of all sorts; cut down if the calls are too few for them.
    pub leads: usize,
    /// Out of 1,000 draws of a lead: how many are malformed, without a partner, and of calls that share a phone.
    pub malformed_of_1000: u64,
    pub partnerless_of_1000: u64,
    pub sharing_of_1000: u64,
    /// When the first call begins.
    pub start: Timestamp,
}

impl Plan {
    pub fn new(seed: u64, transcripts: usize, leads: usize) -> Plan {
        Plan {
            seed,
            transcripts,
            leads,
            malformed_of_1000: 60,
            partnerless_of_1000: 120,
            sharing_of_1000: 200,
            start: Timestamp::constant(1_741_082_400, 0),
        }
    }
}

/// The form in which a transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The saved session with times and metadata.
    Session,
    /// A bare chat context.
    Bare,
    /// The older `{"conversation": []}`.
    Older,
    /// One event a line.
    Lines,
    /// A Mongo export.
    Mongo,
    /// Token fragments of a transcription node, one a line.
    Node,
}

/// What must come out of a directory.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Of each call by its id: the name of its lead file, or none.
    pub leads: BTreeMap<String, Option<String>>,
    /// The address of the recording of each call that has one.
    pub recordings: BTreeMap<String, String>,
    pub forms: BTreeMap<Form, usize>,
    pub lead_files: usize,
    pub malformed: usize,
}

impl Truth {
    /// How many leads have a call.
    pub fn paired(&self) -> usize {
        self.leads.values().flatten().count()
    }
}

/// Writes `conversations/`, `leads/`, `call_metadata/` and `egress/` below `folder`.
pub fn write_directory(folder: &Path, plan: &Plan) -> io::Result<Truth> {
    files::write(folder, &cast::cast(plan))
}

/// Chance that is the same for the same seed, index and purpose.
struct Chance(u64);

impl Chance {
    fn new(seed: u64, index: u64, purpose: u64) -> Chance {
        Chance(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_what_the_plan_says_and_every_form() {
        let folder = tempfile::tempdir().expect("a folder");
        let truth = write_directory(folder.path(), &Plan::new(3, 400, 120)).expect("written");
        let count = |name: &str| std::fs::read_dir(folder.path().join(name)).expect("a folder").count();
        assert_eq!((count("conversations"), truth.leads.len()), (400, 400));
        assert_eq!((count("leads"), truth.lead_files), (120, 120));
        assert_eq!(truth.forms.len(), 6, "{:?}", truth.forms);
        assert!(truth.malformed > 2 && truth.paired() > 50, "{} {}", truth.malformed, truth.paired());
        assert!(count("egress") > 50 && count("call_metadata") > 50);
    }

    #[test]
    fn the_same_plan_gives_the_same_truth() {
        let truth = |seed: u64| {
            let folder = tempfile::tempdir().expect("a folder");
            write_directory(folder.path(), &Plan::new(seed, 60, 20)).expect("written").leads
        };
        assert_eq!(truth(5), truth(5));
        assert_ne!(truth(5), truth(6));
    }
}

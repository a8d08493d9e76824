//! Every named place there is, in the order in which a call comes by.
//!
//! `scripts/chaos` ends the program at each of them in turn, and fails if one is missing here or is never reached.

use super::Step::{self, After, Before, Within};

/// A step of the program at which a test can stop it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub name: &'static str,
    pub steps: &'static [Step],
}

const fn job(name: &'static str) -> Place {
    Place { name, steps: &[Before, Within, After] }
}

const fn step(name: &'static str) -> Place {
    Place { name, steps: &[Before, After] }
}

pub const PLACES: &[Place] = &[
    // opening the ledger: nothing; schema there; registered as an owner
    job("open ledger"),
    // a process's own row
    job("begin run"),
    // reading: companions of transcripts, a day's list, a file's bytes, its call; raw, call and due deliveries
    step("pair"),
    step("poll"),
    step("list"),
    step("read file"),
    step("convert"),
    job("take in hand"),
    job("ingest"),
    job("dismiss"),
    job("enlist"),
    job("rearm"),
    // delivering: leases of the gone, login and description, a lease, the person
    job("reclaim"),
    step("prepare"),
    job("hold"),
    job("release hold"),
    job("claim"),
    step("match"),
    job("claim person"),
    step("make person"),
    job("release person"),
    job("abandon person"),
    // what stands there already, what is to be sent, whether its file is still the newest
    step("look up"),
    step("adopt"),
    step("map"),
    step("look again"),
    // what is about to be sent, the request itself, what became of it
    job("intend"),
    step("send"),
    job("settle"),
    // the end: how each file stands, what is in hand, the run's summary, the log moved into the file
    step("count"),
    step("drain"),
    job("end run"),
    step("close ledger"),
];

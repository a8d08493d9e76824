//! Places where a test can stop or weaken the program, and the seams by which a simulated day runs in one thread.
//!
//! All of it stands behind the feature `proof`, which no released binary has: without it every function here is empty and
//! the compiler takes it away. With it, two things can drive it: the environment of a process (`TRUNKLINE_PROOF`, see
//! [`arm`]), for tests that kill real processes; and hooks on one thread (`enter`), for a simulation.

#[cfg(feature = "proof")]
mod armed;
#[cfg(feature = "proof")]
mod places;
#[cfg(feature = "proof")]
pub use armed::{
    Entered, Hooks, VARIABLE, arm, clock_offset_ms, enter, is_off, lease, reached, runs_in_place, touched, vfs, yields,
};
#[cfg(feature = "proof")]
pub use places::{PLACES, Place};

/// A protection that a test can switch off, to show that it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protection {
    /// Commits are synced to the disk.
    Fsync,
    /// Who has lost a lease changes nothing.
    Fencing,
    /// What has an unknown outcome is looked up before it is sent again.
    LookUp,
    /// Each record of a batch has an outcome of its own.
    RowResults,
    /// An older revision never goes over a newer one.
    RevisionCheck,
}

impl Protection {
    pub const ALL: [(Protection, &'static str); 5] = [
        (Protection::Fsync, "fsync"),
        (Protection::Fencing, "fencing"),
        (Protection::LookUp, "look-up"),
        (Protection::RowResults, "row-results"),
        (Protection::RevisionCheck, "revision-check"),
    ];
}

/// On which side of a durable step the program stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Nothing of it is done.
    Before,
    /// It is done, but not committed or not noted yet.
    Within,
    /// It is done and durable.
    After,
}

impl Step {
    pub const fn name(self) -> &'static str {
        match self {
            Step::Before => "before",
            Step::Within => "within",
            Step::After => "after",
        }
    }
}

#[cfg(not(feature = "proof"))]
mod idle {
    use super::{Protection, Step};

    /// A named place was reached.
    #[inline(always)]
    pub const fn reached(_place: &'static str, _step: Step) {}

    /// Something is touched at a place: `contains` tells whether it holds a text.
    #[inline(always)]
    pub fn touched(_place: &'static str, _contains: impl Fn(&str) -> bool) {}

    /// Whether a protection is switched off.
    #[inline(always)]
    pub const fn is_off(_protection: Protection) -> bool {
        false
    }

    /// Whether work that blocks runs on the thread that asks for it.
    #[inline(always)]
    pub const fn runs_in_place() -> bool {
        false
    }

    /// How often other tasks are let go first.
    #[inline(always)]
    pub const fn yields() -> u32 {
        0
    }

    /// The file system that SQLite shall use in place of its own.
    #[inline(always)]
    pub const fn vfs() -> Option<&'static str> {
        None
    }

    /// How long a claim lasts in place of its usual time.
    #[inline(always)]
    pub const fn lease() -> Option<std::time::Duration> {
        None
    }

    /// How far the machine's clock is off, in milliseconds.
    #[inline(always)]
    pub const fn clock_offset_ms() -> i64 {
        0
    }
}
#[cfg(not(feature = "proof"))]
pub use idle::{clock_offset_ms, is_off, lease, reached, runs_in_place, touched, vfs, yields};

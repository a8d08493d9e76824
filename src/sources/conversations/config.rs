//! What a user sets for a directory of transcripts.
//!
//! Invariant: the defaults never pair a lead by its time alone.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::problem::{self, Problem};

/// Largest transcript once inflated, unless set otherwise.
pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest lead, metadata or egress file, as stored and once inflated.
pub(super) const COMPANION_BYTES_MAX: usize = 1024 * 1024;
/// How long after a call's end a lead may be written, unless set otherwise.
const GRACE: Duration = Duration::from_secs(600);
/// A longer grace would reach over to the caller's call of the next day.
const GRACE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of one directory. Everything but the transcripts has a default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder that holds the transcripts; for [`super::Conversations::open_one`] one transcript file.
    pub transcripts: PathBuf,
    /// The folder of `lead_*.json`.
    pub leads: Option<PathBuf>,
    /// The folder of `metadata_*.json`.
    pub metadata: Option<PathBuf>,
    /// The folder of `EG_*.json`.
    pub egress: Option<PathBuf>,
    /// Whether transcripts in folders below are read too.
    pub subfolders: bool,
    /// Where wall-clock times without a zone were written.
    pub zone: TimeZone,
    /// The same for the times of leads; `zone` if absent.
    pub lead_zone: Option<TimeZone>,
    /// How long after a call's end a lead may be written; at most a day.
    pub grace: Duration,
    /// Pairs a lead and a call that have nothing in common but the time, if there is no other of either.
    pub by_time_alone: bool,
    /// The country code of phone numbers that are written without one, digits only: `1`.
    pub default_country: Option<String>,
    /// Largest transcript, as stored and once inflated.
    pub inflated_bytes_max: usize,
}

impl Settings {
    pub fn new(transcripts: impl Into<PathBuf>) -> Settings {
        Settings {
            transcripts: transcripts.into(),
            leads: None,
            metadata: None,
            egress: None,
            subfolders: false,
            zone: TimeZone::UTC,
            lead_zone: None,
            grace: GRACE,
            by_time_alone: false,
            default_country: None,
            inflated_bytes_max: INFLATED_BYTES_MAX,
        }
    }

    pub(super) fn lead_zone(&self) -> &TimeZone {
        self.lead_zone.as_ref().unwrap_or(&self.zone)
    }

    pub(super) fn country(&self) -> Option<&str> {
        self.default_country.as_deref()
    }

    /// Whether everything can be used that was set.
    pub fn check(&self) -> Result<(), Problem> {
        let bad = |what: &str, help: &str| Err(Problem::new(problem::CONFIG_BAD_VALUE, what, help));
        if self.grace > GRACE_MAX {
            return bad("the time that a lead may come after its call is longer than a day", "Set at most 24 hours.");
        }
        let is_country =
            |code: &String| (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
        if self.default_country.as_ref().is_some_and(|code| !is_country(code)) {
            return bad("the default country is not a country code", "Write one to three digits, such as 1 or 44.");
        }
        Ok(())
    }
}

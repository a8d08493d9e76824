//! Egress files: where the recording of a call stands.
//!
//! Invariant: a recording is known by its egress id alone. The name of its room, which a caller's calls share, is not
//! even read.

use super::shape::{line, present};
use super::times;
use crate::model::Recording;
use crate::problem;
use crate::sources::decode::{self, Refused};
use crate::sources::wire::{Fields, Value};

/// One egress file, read.
#[derive(Clone)]
pub(super) struct Egress {
    pub id: String,
    pub recording: Recording,
}

/// Reads the text of an egress file.
pub(super) fn read(text: &str) -> Result<Egress, Refused> {
    decode::with_fields(text, |fields, _| {
        let Some(id) = line(fields, &["egress_id", "egressId"]) else {
            let what = "is an object, but no egress: it has no egress_id".to_owned();
            return Err(Refused { code: problem::RAW_NO_ID, what });
        };
        Ok(Egress { id, recording: recording(fields) })
    })?
}

fn recording(fields: &Fields<'_>) -> Recording {
    let files = ["files", "file_results"].iter().find_map(|name| fields.get(name)?.objects()).unwrap_or_default();
    let file = files.into_iter().flatten().find(|file| line(file, &["location", "filename"]).is_some());
    let utc = jiff::tz::TimeZone::UTC;
    let time = |name: &str| times::read(present(fields, name)?, &utc);
    let seconds =
        |start: Option<jiff::Timestamp>, end: Option<jiff::Timestamp>| Some(end?.duration_since(start?).as_secs_f64());
    let duration_s = seconds(time("started_at"), time("ended_at")).filter(|seconds| *seconds >= 0.0);
    let size = file.as_ref().and_then(|file| present(file, "size")).and_then(Value::number);
    Recording {
        url: file.as_ref().and_then(|file| line(file, &["location"]).or_else(|| line(file, &["filename"]))),
        duration_s,
        // Larger than any file, and still exact as a float.
        bytes: size.filter(|size| (1.0..9e15).contains(size)).map(|size| size as u64),
    }
}

//! One transcript file to what it says: the call, and the evidence by which companions find it.
//!
//! Invariant: pure: the same bytes, name and settings give the same call. Whatever is odd becomes a note or the reason
//! for quarantine, without anybody's data.

use jiff::{SignedDuration, Timestamp};
use memchr::memmem;
use serde_json::value::RawValue;

use super::config::Settings;
use super::head::{self, Head};
use super::items::{self, CREATE_LEAD, Items};
use super::shape::{self, Notes, Shape};
use crate::model::{Call, Lead};
use crate::problem::{self, Problem};
use crate::sources::decode::{self, Refused};
use crate::sources::inflate::{self, Fault};

/// A call of more than a day is a wrong clock, and its window would take in everybody's leads.
const WINDOW_MAX: SignedDuration = SignedDuration::from_hours(24);

/// How much of a transcript is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Whole,
    /// What pairing needs; items are read only where they hold evidence.
    Evidence,
}

/// One transcript, read.
pub(super) struct Transcript {
    pub head: Head,
    pub items: Items,
    /// The time in the name of the file.
    pub saved_at: Option<jiff::Timestamp>,
    /// The first and last time in the conversation.
    pub heard: Option<(Timestamp, Timestamp)>,
    pub notes: Notes,
    pub inflated_bytes: u64,
}

/// When a call went on, by its own times, else by the first and last time in the conversation.
pub(super) fn window(call: &Call, heard: Option<(Timestamp, Timestamp)>) -> Option<(Timestamp, Timestamp)> {
    let start = call.started_at.or(heard.map(|(first, _)| first))?;
    let by_duration = || start.checked_add(SignedDuration::try_from_secs_f64(call.duration_s?).ok()?).ok();
    let end = call.ended_at.or_else(by_duration).or(heard.map(|(_, last)| last)).unwrap_or(start);
    let latest = start.checked_add(WINDOW_MAX).unwrap_or(start);
    Some((start, end.clamp(start, latest)))
}

/// Reads the stored bytes of the file `name` (its path below the source's folder) at `url`; inflating stops at `limit`.
pub(super) fn read(
    settings: &Settings,
    name: &str,
    url: &str,
    bytes: &[u8],
    limit: usize,
    depth: Depth,
) -> Result<Transcript, Problem> {
    with_text(url, bytes, limit, |text| {
        let mut notes = Notes::default();
        let mut transcript = shape::with_shape(name, text, &mut notes, |shape, notes| {
            of_shape(settings, name, text, shape, depth, notes)
        })?;
        transcript.notes = notes;
        transcript.inflated_bytes = text.len() as u64;
        Ok(transcript)
    })
}

fn of_shape(
    settings: &Settings,
    name: &str,
    text: &str,
    shape: &Shape<'_>,
    depth: Depth,
    notes: &mut Notes,
) -> Result<Transcript, Refused> {
    let head = head::read(settings, name, shape, notes)?;
    let has_lead = || memmem::find(text.as_bytes(), CREATE_LEAD.as_bytes()).is_some();
    let wanted = depth == Depth::Whole || head.call.started_at.is_none() || head.call.ended_at.is_none() || has_lead();
    let zone = &settings.zone;
    let items = match shape {
        _ if !wanted => Items::default(),
        Shape::Object(_) => items::read(shape.items(notes), zone, notes),
        Shape::Lines(lines) => items::read(lines.iter().map(Ok), zone, notes),
    };
    let times = || items.turns.iter().filter_map(|turn| turn.at);
    let heard = times().min().zip(times().max());
    let saved_at =
        super::naming::saved_at(super::naming::stem(name)).and_then(|text| super::times::of_text(&text, zone));
    Ok(Transcript { head, items, heard, saved_at, notes: Notes::default(), inflated_bytes: 0 })
}

/// Completes the call with its conversation and what follows from it.
pub(super) fn finished(transcript: Transcript) -> (Call, Notes) {
    let Transcript { head, items, heard, saved_at, mut notes, .. } = transcript;
    let has_create_lead = items.has_create_lead();
    let taken_down = items.leads().next_back().cloned();
    let mut call = head.call;
    call.turns = items.turns;
    call.actions = items.actions;
    if call.started_at.is_none() && call.ended_at.is_none() {
        if let Some((first, last)) = heard {
            (call.started_at, call.ended_at) = (Some(first), Some(last));
            notes.add("the call's times are those of its first and last words: it has none of its own");
        } else if saved_at.is_some() {
            call.ended_at = saved_at;
            notes.add("the call's end is the time in the file's name: nothing else tells one");
        }
    }
    if call.duration_s.is_none()
        && let (Some(start), Some(end)) = (call.started_at, call.ended_at)
    {
        call.duration_s = Some(end.duration_since(start).as_secs_f64()).filter(|seconds| *seconds >= 0.0);
    }
    if has_create_lead
        && head.lead_generated.is_none()
        && let Ok(yes) = RawValue::from_string("true".to_owned())
    {
        call.extra.insert("lead_generated".to_owned(), yes);
    }
    call.lead = call.lead.take().or(taken_down.filter(|lead| *lead != Lead::default()));
    if let Some(lead) = &call.lead {
        call.caller.email = call.caller.email.take().or_else(|| lead.email.clone());
        call.caller.name = call.caller.name.take().or_else(|| lead.name.clone());
    }
    (call, notes)
}

/// Gives the text of a stored file to `read`; whatever keeps it from being read is told with the file's name.
pub(super) fn with_text<T>(
    url: &str,
    bytes: &[u8],
    limit: usize,
    read: impl FnOnce(&str) -> Result<T, Refused>,
) -> Result<T, Problem> {
    match inflate::with_inflated(bytes, limit, |bytes| read(decode::text_of(bytes)?)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(refused)) => Err(Problem::new(
            refused.code,
            format!("{url} {}", refused.what),
            "Correct the file, or move it elsewhere; it is read again when it changes.",
        )),
        Err(Fault::TooLarge) => Err(too_large(url, limit)),
        Err(Fault::Damaged(why)) => Err(Problem::new(
            problem::RAW_DAMAGED,
            format!("{url} is gzip, but {why}"),
            "Copy the file again from where it was written; it is read again when it changes.",
        )),
    }
}

pub(super) fn too_large(url: &str, limit: usize) -> Problem {
    Problem::new(
        problem::RAW_TOO_LARGE,
        format!("{url} is larger than {} MB", limit / (1024 * 1024)),
        "Raise the limit of the source if the file is a transcript, or move it elsewhere.",
    )
}

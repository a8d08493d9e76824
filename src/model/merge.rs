//! How several files about one call become one call.
//!
//! Invariant: the result is the same in whatever order the files come. Each field has the value of the newest file that
//! has one; an absent or empty value never erases a known one. For that, each field's [`Origin`] is kept beside the call.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Call, Digest, Insights, Party};
use crate::proof::{self, Protection};

/// Which file a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When the file was last changed, in milliseconds since 1970.
    pub at_ms: i64,
    /// SHA-256 of the file.
    #[serde(with = "hex::serde")]
    pub digest: [u8; 32],
    pub url: String,
}

impl Origin {
    pub fn new(at_ms: i64, digest: Digest, url: &str) -> Origin {
        Origin { at_ms, digest: digest.0, url: url.to_owned() }
    }

    /// Whether a value of this file goes before one of `other`. A file that was replaced within its clock's second is
    /// newer; of two files of one second the digest decides, so that the order of arrival does not.
    pub fn replaces(&self, other: &Origin) -> bool {
        let same_time = self.at_ms == other.at_ms;
        let unchecked = proof::is_off(Protection::RevisionCheck);
        unchecked || self.at_ms > other.at_ms || (same_time && (self.url == other.url || self.digest >= other.digest))
    }
}

/// Where the values of a merged call came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// The newest file.
    pub newest: Origin,
    /// The fields whose value is from an older one.
    pub older: BTreeMap<String, Origin>,
}

impl Origins {
    /// Of a call that is known from one file.
    pub fn one(origin: Origin) -> Origins {
        Origins { newest: origin, older: BTreeMap::new() }
    }

    fn of(&self, field: &str) -> &Origin {
        self.older.get(field).unwrap_or(&self.newest)
    }
}

/// Adds what a further file says to a known call of the same identity.
pub fn merge(mut known: Call, origins: Origins, fresh: Call, origin: Origin) -> (Call, Origins) {
    debug_assert_eq!(known.key, fresh.key);
    let mut fields = Fields { known: &origins, fresh: &origin, of: Vec::new() };
    // In full, so that no field of a call can be forgotten here.
    #[rustfmt::skip]
    let Call {
        key: _, source: _, source_id: _, started_at, ended_at, duration_s, direction, status, caller, dialled,
        campaign, recording, lead, insights, actions, turns, extra,
    } = fresh;
    let to = &mut known;
    fields.take("started_at", &mut to.started_at, started_at, Option::is_none);
    fields.take("ended_at", &mut to.ended_at, ended_at, Option::is_none);
    fields.take("duration_s", &mut to.duration_s, duration_s, Option::is_none);
    fields.take("direction", &mut to.direction, direction, Option::is_none);
    fields.take("status", &mut to.status, status, Option::is_none);
    fields.take("dialled", &mut to.dialled, dialled, Option::is_none);
    fields.take("campaign", &mut to.campaign, campaign, Option::is_none);
    fields.take("recording", &mut to.recording, recording, Option::is_none);
    fields.take("lead", &mut to.lead, lead, Option::is_none);
    fields.take("actions", &mut to.actions, actions, Vec::is_empty);
    fields.take("turns", &mut to.turns, turns, Vec::is_empty);
    fields.take_map("extra", &mut to.extra, extra);
    fields.take_party(&mut to.caller, caller);
    fields.take_insights(&mut to.insights, insights);
    let of = fields.of;
    let newest = if origin.replaces(&origins.newest) { origin } else { origins.newest };
    let older = of.into_iter().filter(|(_, from)| *from != newest).collect();
    (known, Origins { newest, older })
}

struct Fields<'a> {
    known: &'a Origins,
    fresh: &'a Origin,
    /// The fields that have a value, and where it is from.
    of: Vec<(String, Origin)>,
}

impl Fields<'_> {
    fn take<T>(&mut self, field: &str, known: &mut T, fresh: T, is_absent: impl Fn(&T) -> bool) {
        if is_absent(&fresh) {
            if !is_absent(known) {
                self.of.push((field.to_owned(), self.known.of(field).clone()));
            }
        } else if is_absent(known) || self.fresh.replaces(self.known.of(field)) {
            *known = fresh;
            self.of.push((field.to_owned(), self.fresh.clone()));
        } else {
            self.of.push((field.to_owned(), self.known.of(field).clone()));
        }
    }

    fn take_party(&mut self, to: &mut Party, Party { email, name, phone }: Party) {
        self.take("email", &mut to.email, email, Option::is_none);
        self.take("name", &mut to.name, name, Option::is_none);
        self.take("phone", &mut to.phone, phone, Option::is_none);
    }

    fn take_insights(&mut self, to: &mut Insights, fresh: Insights) {
        let Insights { use_case, team_size, pain_points, integration_interest, timeline, other } = fresh;
        self.take("use_case", &mut to.use_case, use_case, Option::is_none);
        self.take("team_size", &mut to.team_size, team_size, Option::is_none);
        self.take("pain_points", &mut to.pain_points, pain_points, Vec::is_empty);
        self.take("integration_interest", &mut to.integration_interest, integration_interest, Option::is_none);
        self.take("timeline", &mut to.timeline, timeline, Option::is_none);
        self.take_map("insights", &mut to.other, other);
    }

    /// Each entry is a field of its own.
    fn take_map<T>(&mut self, field: &str, known: &mut BTreeMap<String, T>, mut fresh: BTreeMap<String, T>) {
        let names: BTreeSet<String> = known.keys().chain(fresh.keys()).cloned().collect();
        for name in names {
            let mut value = known.remove(&name);
            self.take(&format!("{field}.{name}"), &mut value, fresh.remove(&name), Option::is_none);
            known.extend(value.map(|value| (name, value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(at_ms: i64, name: &str) -> Origin {
        Origin::new(at_ms, Digest::of(name.as_bytes()), name)
    }

    fn call(timeline: Option<&str>, email: Option<&str>, other: &[(&str, &str)]) -> Call {
        let mut call = Call::new("sessions", "s1");
        call.insights.timeline = timeline.map(str::to_owned);
        call.caller.email = email.map(str::to_owned);
        call.insights.other = other.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        call
    }

    fn merged(order: &[usize], files: &[(Origin, Call)]) -> (String, Origins) {
        let (first, call) = &files[order[0]];
        let start = (call.clone(), Origins::one(first.clone()));
        let (call, origins) = order[1..].iter().fold(start, |(call, origins), &index| {
            let (origin, fresh) = &files[index];
            merge(call, origins, fresh.clone(), origin.clone())
        });
        (serde_json::to_string(&call).expect("a call is JSON"), origins)
    }

    #[test]
    fn newer_evidence_wins_and_its_gaps_are_filled_from_the_older() {
        let files = [
            (origin(1, "a"), call(Some("next quarter"), Some("ada@example.com"), &[])),
            (origin(2, "b"), call(Some("this month"), None, &[("mood", "good")])),
        ];
        let (json, origins) = merged(&[0, 1], &files);
        for part in ["this month", "ada@example.com", "good"] {
            assert!(json.contains(part), "{part}: {json}");
        }
        assert_eq!(origins.older.into_keys().collect::<Vec<_>>(), ["email"]);
    }

    #[test]
    fn three_files_give_the_same_call_in_every_order() {
        let cases = [
            // The value of the middle file arrives last: it is newer than the first one's, though not than the call.
            [
                (origin(1, "a"), call(Some("old"), Some("old@example.com"), &[("x", "old"), ("y", "old")])),
                (origin(2, "b"), call(Some("newer"), Some("new@example.com"), &[("x", "newer")])),
                (origin(3, "c"), call(Some("newest"), None, &[("z", "newest")])),
            ],
            // Files of one moment.
            [
                (origin(1, "a"), call(Some("a"), Some("a@example.com"), &[])),
                (origin(1, "b"), call(Some("b"), None, &[("x", "b")])),
                (origin(1, "c"), call(None, Some("c@example.com"), &[("x", "c")])),
            ],
        ];
        for files in cases {
            let expected = merged(&[0, 1, 2], &files);
            for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                assert_eq!(merged(&order, &files), expected, "{order:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_read_twice_changes_nothing() {
        let files = [
            (origin(1, "a"), call(Some("old"), Some("old@example.com"), &[])),
            (origin(2, "b"), call(Some("new"), None, &[])),
        ];
        let once = merged(&[0, 1], &files);
        assert_eq!(merged(&[0, 1, 0, 1, 0], &files), once);
    }

    #[test]
    fn a_file_replaced_within_its_second_is_newer() {
        let first = (Origin::new(1, Digest::of(b"z"), "a"), call(Some("first"), None, &[]));
        let second = (Origin::new(1, Digest::of(b"b"), "a"), call(Some("second"), None, &[]));
        assert!(merged(&[0, 1], &[first, second]).0.contains("second"));
    }
}

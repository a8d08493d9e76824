//! One look over all folders: companions first, then every transcript once for its evidence.
//!
//! Invariant: nothing of a transcript stays in memory but the names of its companions and, where looks follow each other,
//! its trace. The version of a file is taken before its content, so that a change in between is seen by the next look; what
//! was read of a file that has not changed since is taken as it is.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::config::{COMPANION_BYTES_MAX, Settings};
use super::convert::{self, Depth, Transcript};
use super::files::{Folder, Stamp};
use super::head::Head;
use super::index::{Index, Kept};
use super::lead::{self, LeadFile};
use super::pair::{CallEvidence, Pairing};
use super::report::PairingReport;
use super::trace::{KEPT_MAX, Trace};
use super::{egress, metadata, phone};
use crate::model::Digest;
use crate::problem::Problem;
use crate::sources::decode::Refused;

/// What belongs to one transcript; indices into [`Prepared`].
#[derive(Clone, Default)]
struct Companions {
    /// The call they belong to: a transcript that was replaced by another call's has none of them.
    call: String,
    lead: Option<usize>,
    metadata: Option<usize>,
    egress: Option<usize>,
}

/// What a look leaves for the next one.
#[derive(Clone, Copy)]
pub(super) enum Keeping<'a> {
    /// There is no next one.
    Nothing,
    /// The traces of transcripts; what the look before has left is used.
    Traces { before: Option<&'a Prepared> },
}

impl<'a> Keeping<'a> {
    fn before(self) -> Option<&'a Prepared> {
        match self {
            Keeping::Nothing => None,
            Keeping::Traces { before } => before,
        }
    }
}

/// The state of all folders at one time.
pub(super) struct Prepared {
    leads: Vec<(String, LeadFile)>,
    lead_stamps: Vec<Stamp>,
    index: Index,
    companions: HashMap<String, Companions>,
    /// By name, with the state in which the transcript was read; `None` for what is no transcript.
    traces: HashMap<String, (Stamp, Option<Arc<Trace>>)>,
    pub report: PairingReport,
}

impl Prepared {
    /// Reads all folders; `names` are the transcripts in `folder`. `given` is a lead that somebody gave to the first of
    /// them by hand.
    pub(super) fn scan(
        settings: &Settings,
        folder: &Folder,
        names: &[String],
        given: Option<&(Folder, String)>,
        keeping: Keeping<'_>,
    ) -> Result<Prepared, Problem> {
        let mut prepared = Prepared {
            leads: Vec::new(),
            lead_stamps: Vec::new(),
            index: Index::default(),
            companions: HashMap::new(),
            traces: HashMap::new(),
            report: PairingReport::default(),
        };
        prepared.read_companions(settings, given.is_none(), keeping.before())?;
        let mut pairing = Pairing::new(&prepared.leads, settings.grace, settings.by_time_alone);
        for name in names {
            prepared.report.transcripts += 1;
            match prepared.trace(settings, folder, name, keeping) {
                Some(trace) => {
                    let evidence = prepared.evidence(settings, name, &trace);
                    pairing.consider(&prepared.leads, &evidence);
                }
                None => prepared.report.transcripts_unreadable += 1,
            }
        }
        let settled = pairing.settle(&prepared.leads);
        for (name, lead) in settled.pairs {
            prepared.companions.entry(name).or_default().lead = Some(lead);
        }
        for (index, reason) in settled.unpaired {
            prepared.report.add_unpaired(&prepared.leads[index].0, reason);
        }
        prepared.report.paired = prepared.leads.len() - prepared.report.unpaired_count;
        if let (Some((folder, lead)), Some(name)) = (given, names.first()) {
            prepared.give(settings, folder, lead, name)?;
        }
        Ok(prepared)
    }

    fn read_companions(
        &mut self,
        settings: &Settings,
        with_leads: bool,
        before: Option<&Prepared>,
    ) -> Result<(), Problem> {
        let folder = |root: &Option<std::path::PathBuf>| {
            root.clone().map(|root| Folder { root, bytes_max: COMPANION_BYTES_MAX })
        };
        if let Some(folder) = folder(&settings.leads).filter(|_| with_leads) {
            let malformed = self.report.malformed_count;
            let known = before.into_iter().flat_map(|before| before.leads.iter().zip(&before.lead_stamps));
            let known = known.map(|((name, lead), stamp)| (name.as_str(), (stamp, lead))).collect();
            self.report.leads =
                each(&folder, "lead_", &known, &mut self.report, |name, text| lead::read(name, text, settings))?
                    .into_iter()
                    .map(|kept| {
                        self.leads.push((kept.name, kept.value));
                        self.lead_stamps.push(kept.stamp);
                    })
                    .count();
            self.report.malformed_leads = self.report.malformed_count - malformed;
            self.report.leads += self.report.malformed_leads;
        }
        if let Some(folder) = folder(&settings.metadata) {
            let read = |_: &str, text: &str| metadata::read(text, settings);
            let known = by_name(before.map(|before| before.index.metadata.as_slice()));
            each(&folder, "metadata_", &known, &mut self.report, read)?
                .into_iter()
                .for_each(|kept| self.index.add_metadata(kept));
        }
        if let Some(folder) = folder(&settings.egress) {
            let read = |_: &str, text: &str| egress::read(text);
            let known = by_name(before.map(|before| before.index.egress.as_slice()));
            each(&folder, "EG_", &known, &mut self.report, read)?
                .into_iter()
                .for_each(|kept| self.index.add_egress(kept));
        }
        Ok(())
    }

    /// What pairing needs of a transcript; `None` if it cannot be read.
    fn trace(&mut self, settings: &Settings, folder: &Folder, name: &str, keeping: Keeping<'_>) -> Option<Arc<Trace>> {
        let keeps = matches!(keeping, Keeping::Traces { .. }) && self.traces.len() < KEPT_MAX;
        let stamp = if keeps { folder.stamp(name).ok().flatten() } else { None };
        let known = keeping.before().and_then(|before| before.traces.get(name));
        let trace = match known.filter(|(then, _)| stamp.as_ref() == Some(then)) {
            Some((_, trace)) => trace.clone(),
            None => {
                // Not kept: a right to read it can come without a change.
                let bytes = folder.read(name).ok()?;
                let (url, limit) = (folder.url(name), settings.inflated_bytes_max);
                let transcript = convert::read(settings, name, &url, &bytes, limit, Depth::Evidence).ok();
                transcript.map(|transcript| Arc::new(Trace::of(settings, transcript)))
            }
        };
        if let Some(stamp) = stamp {
            self.traces.insert(name.to_owned(), (stamp, trace.clone()));
        }
        trace
    }

    /// Notes the companions of a transcript, and says what it can be compared by.
    fn evidence(&mut self, settings: &Settings, name: &str, trace: &Trace) -> CallEvidence {
        let mut head = trace.head();
        let metadata = self.index.metadata_of(&head.session_ids, name);
        let kept = metadata.map(|index| &self.index.metadata[index].value);
        if let Some(metadata) = kept {
            metadata.complete(&mut head);
        }
        let lead_file = kept.and_then(|metadata| metadata.lead.clone());
        let egress = head.egress_id.as_deref().and_then(|id| self.index.egress_of(id));
        self.report.with_metadata += usize::from(metadata.is_some());
        self.report.with_recording += usize::from(egress.is_some());
        let mut evidence = evidence_of(settings, name, lead_file, trace, head);
        // A bare transcript does not know its session; its metadata do.
        evidence.session_ids.extend(kept.into_iter().flat_map(|metadata| metadata.session_ids.iter().cloned()));
        let call = evidence.id.clone();
        self.companions.insert(name.to_owned(), Companions { call, lead: None, metadata, egress });
        evidence
    }

    /// Takes a lead that a person gave to a transcript, whatever the evidence says.
    fn give(&mut self, settings: &Settings, folder: &Folder, lead: &str, name: &str) -> Result<(), Problem> {
        let kept = one(folder, lead, &|name: &str, text: &str| lead::read(name, text, settings))?;
        self.report.leads += 1;
        self.report.paired += 1;
        self.companions.entry(name.to_owned()).or_default().lead = Some(self.leads.len());
        self.leads.push((kept.name, kept.value));
        self.lead_stamps.push(kept.stamp);
        Ok(())
    }

    /// The version and time of a transcript with all that belongs to it.
    pub(super) fn state(&self, name: &str, stamp: &Stamp) -> (String, Timestamp) {
        let (mut version, mut newest) = (stamp.version(), stamp.modified_at);
        let Some(companions) = self.companions.get(name) else { return (version, newest) };
        let lead = companions.lead.map(|index| (&self.leads[index].0, &self.lead_stamps[index]));
        let metadata = companions.metadata.map(|index| &self.index.metadata[index]);
        let egress = companions.egress.map(|index| &self.index.egress[index]);
        let files =
            [lead, metadata.map(|kept| (&kept.name, &kept.stamp)), egress.map(|kept| (&kept.name, &kept.stamp))];
        let mut parts = String::new();
        for (name, stamp) in files.into_iter().flatten() {
            newest = newest.max(stamp.modified_at);
            parts.push_str(&format!("{name}\n{}\n", stamp.version()));
        }
        if !parts.is_empty() {
            version.push('+');
            version.push_str(&hex::encode(&Digest::of(parts.as_bytes()).0[..8]));
        }
        (version, newest)
    }

    /// Adds to a transcript what belongs to it.
    pub(super) fn complete(&self, name: &str, transcript: &mut Transcript) {
        let Some(companions) = self.companions.get(name) else { return };
        let head = &mut transcript.head;
        if !companions.call.is_empty() && companions.call != head.call.source_id {
            transcript
                .notes
                .add("the file held another call when leads were paired: its lead and metadata wait for the next run");
            return;
        }
        if let Some(index) = companions.metadata {
            self.index.metadata[index].value.complete(head);
        }
        head.call.recording = companions.egress.map(|index| self.index.egress[index].value.recording.clone());
        head.call.lead = companions.lead.map(|index| self.leads[index].1.lead.clone());
    }
}

fn evidence_of(settings: &Settings, name: &str, lead_file: Option<String>, trace: &Trace, head: Head) -> CallEvidence {
    let call = &head.call;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| phone::normal(text, settings.country()));
    let address = |text: &Option<String>| text.as_deref().and_then(phone::email);
    let claims = trace.claims.clone();
    let phones = number(&call.caller.phone).into_iter().chain(claims.iter().filter_map(|(phone, _)| phone.clone()));
    let emails = address(&call.caller.email).into_iter().chain(claims.iter().filter_map(|(_, email)| email.clone()));
    CallEvidence {
        id: call.source_id.clone(),
        name: name.to_owned(),
        lead_file,
        phones: phones.collect(),
        emails: emails.collect(),
        window: trace.window(&head),
        may_have_lead: trace.may_have_lead,
        session_ids: head.session_ids,
        claims,
    }
}

/// What an earlier look has read, by name, with the state in which it was.
type Before<'a, T> = HashMap<&'a str, (&'a Stamp, &'a T)>;

fn by_name<T>(kept: Option<&[Kept<T>]>) -> Before<'_, T> {
    kept.into_iter().flatten().map(|kept| (kept.name.as_str(), (&kept.stamp, &kept.value))).collect()
}

/// The readable files of a folder whose names begin like this; the others go to the report.
fn each<T: Clone>(
    folder: &Folder,
    start: &str,
    before: &Before<'_, T>,
    report: &mut PairingReport,
    read: impl Fn(&str, &str) -> Result<T, Refused>,
) -> Result<Vec<Kept<T>>, Problem> {
    let ours = |name: &str| name.starts_with(start) && (name.ends_with(".json") || name.ends_with(".json.gz"));
    let mut kept = Vec::new();
    for name in folder.names(false, ours)? {
        let known =
            before.get(name.as_str()).filter(|(stamp, _)| folder.stamp(&name).ok().flatten().as_ref() == Some(*stamp));
        if let Some((stamp, value)) = known {
            kept.push(Kept { name, stamp: (*stamp).clone(), value: (*value).clone() });
            continue;
        }
        match one(folder, &name, &read) {
            Ok(file) => kept.push(file),
            Err(problem) => report.add_malformed(folder.url(&name), problem),
        }
    }
    Ok(kept)
}

fn one<T>(folder: &Folder, name: &str, read: &impl Fn(&str, &str) -> Result<T, Refused>) -> Result<Kept<T>, Problem> {
    let stamp = folder.stamp(name)?;
    let bytes = folder.read(name)?;
    let value = convert::with_text(&folder.url(name), &bytes, folder.bytes_max, |text| read(name, text))?;
    let stamp = stamp.unwrap_or(Stamp { modified_at: Timestamp::UNIX_EPOCH, bytes: bytes.len() as u64 });
    Ok(Kept { name: name.to_owned(), stamp, value })
}

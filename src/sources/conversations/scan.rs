//! One look over all folders: companions first, then every transcript once for its evidence.
//!
//! Invariant: nothing of a transcript stays in memory but the names of its companions. A companion's version is taken
//! before its content, so that a change in between is seen by the next look.

use std::collections::HashMap;

use jiff::Timestamp;

use super::config::{COMPANION_BYTES_MAX, Settings};
use super::convert::{self, Depth, Transcript};
use super::files::{Folder, Stamp};
use super::index::{Index, Kept};
use super::lead::{self, LeadFile};
use super::pair::{CallEvidence, Pairing};
use super::report::PairingReport;
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

/// The state of all folders at one time.
pub(super) struct Prepared {
    leads: Vec<(String, LeadFile)>,
    lead_stamps: Vec<Stamp>,
    index: Index,
    companions: HashMap<String, Companions>,
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
    ) -> Result<Prepared, Problem> {
        let mut prepared = Prepared {
            leads: Vec::new(),
            lead_stamps: Vec::new(),
            index: Index::default(),
            companions: HashMap::new(),
            report: PairingReport::default(),
        };
        prepared.read_companions(settings, given.is_none())?;
        let mut pairing = Pairing::new(&prepared.leads, settings.grace, settings.by_time_alone);
        for name in names {
            prepared.report.transcripts += 1;
            match prepared.evidence(settings, folder, name) {
                Ok(evidence) => pairing.consider(&prepared.leads, &evidence),
                Err(_) => prepared.report.transcripts_unreadable += 1,
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

    fn read_companions(&mut self, settings: &Settings, with_leads: bool) -> Result<(), Problem> {
        let folder = |root: &Option<std::path::PathBuf>| {
            root.clone().map(|root| Folder { root, bytes_max: COMPANION_BYTES_MAX })
        };
        if let Some(folder) = folder(&settings.leads).filter(|_| with_leads) {
            let before = self.report.malformed_count;
            self.report.leads =
                each(&folder, "lead_", &mut self.report, |name, text| lead::read(name, text, settings))?
                    .into_iter()
                    .map(|kept| {
                        self.leads.push((kept.name, kept.value));
                        self.lead_stamps.push(kept.stamp);
                    })
                    .count();
            self.report.malformed_leads = self.report.malformed_count - before;
            self.report.leads += self.report.malformed_leads;
        }
        if let Some(folder) = folder(&settings.metadata) {
            let read = |_: &str, text: &str| metadata::read(text, settings);
            each(&folder, "metadata_", &mut self.report, read)?
                .into_iter()
                .for_each(|kept| self.index.add_metadata(kept));
        }
        if let Some(folder) = folder(&settings.egress) {
            let read = |_: &str, text: &str| egress::read(text);
            each(&folder, "EG_", &mut self.report, read)?.into_iter().for_each(|kept| self.index.add_egress(kept));
        }
        Ok(())
    }

    /// Reads a transcript for its evidence and notes its companions.
    fn evidence(&mut self, settings: &Settings, folder: &Folder, name: &str) -> Result<CallEvidence, Problem> {
        let bytes = folder.read(name)?;
        let limit = settings.inflated_bytes_max;
        let mut transcript = convert::read(settings, name, &folder.url(name), &bytes, limit, Depth::Evidence)?;
        drop(bytes);
        let metadata = self.index.metadata_of(&transcript.head.session_ids, name);
        let kept = metadata.map(|index| &self.index.metadata[index].value);
        if let Some(metadata) = kept {
            metadata.complete(&mut transcript.head);
        }
        let lead_file = kept.and_then(|metadata| metadata.lead.clone());
        let egress = transcript.head.egress_id.as_deref().and_then(|id| self.index.egress_of(id));
        self.report.with_metadata += usize::from(metadata.is_some());
        self.report.with_recording += usize::from(egress.is_some());
        let mut evidence = evidence_of(settings, name, lead_file, &transcript);
        // A bare transcript does not know its session; its metadata do.
        evidence.session_ids.extend(kept.into_iter().flat_map(|metadata| metadata.session_ids.iter().cloned()));
        let call = evidence.id.clone();
        self.companions.insert(name.to_owned(), Companions { call, lead: None, metadata, egress });
        Ok(evidence)
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

fn evidence_of(settings: &Settings, name: &str, lead_file: Option<String>, transcript: &Transcript) -> CallEvidence {
    let call = &transcript.head.call;
    let number = |text: &Option<String>| text.as_deref().and_then(|text| phone::normal(text, settings.country()));
    let address = |text: &Option<String>| text.as_deref().and_then(phone::email);
    let claims: Vec<_> = transcript.items.leads().map(|lead| (number(&lead.phone), address(&lead.email))).collect();
    let phones = number(&call.caller.phone).into_iter().chain(claims.iter().filter_map(|(phone, _)| phone.clone()));
    let emails = address(&call.caller.email).into_iter().chain(claims.iter().filter_map(|(_, email)| email.clone()));
    CallEvidence {
        id: call.source_id.clone(),
        name: name.to_owned(),
        session_ids: transcript.head.session_ids.clone(),
        lead_file,
        phones: phones.collect(),
        emails: emails.collect(),
        window: transcript.window(),
        may_have_lead: transcript.may_have_lead(),
        claims,
    }
}

/// The readable files of a folder whose names begin like this; the others go to the report.
fn each<T>(
    folder: &Folder,
    start: &str,
    report: &mut PairingReport,
    read: impl Fn(&str, &str) -> Result<T, Refused>,
) -> Result<Vec<Kept<T>>, Problem> {
    let ours = |name: &str| name.starts_with(start) && (name.ends_with(".json") || name.ends_with(".json.gz"));
    let mut kept = Vec::new();
    for name in folder.names(false, ours)? {
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

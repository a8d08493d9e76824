//! The files of a cast, written.
//!
//! Invariant: a caller's recordings share the name of their room, as they do in life; only the egress id tells them apart.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::SignedDuration;
use serde_json::json;

use super::cast::{Body, Call, Cast, LeadFile, id, session};
use super::transcripts::{document, egress_id, name};
use super::{Form, Truth};

pub(super) fn write(folder: &Path, cast: &Cast) -> io::Result<Truth> {
    let mut truth = Truth::default();
    let [transcripts, leads, metadata, egress] =
        ["conversations", "leads", "call_metadata", "egress"].map(|name| folder.join(name));
    for folder in [&transcripts, &leads, &metadata, &egress] {
        fs::create_dir_all(folder)?;
    }
    for call in &cast.calls {
        fs::write(transcripts.join(name(call)), bytes(call)?)?;
        if let Some(lead) = &call.metadata {
            let path = metadata.join(format!("metadata_{}.json", session(call)));
            fs::write(path, call_metadata(call, lead.as_deref()))?;
        }
        let has_campaign = matches!(call.form, Form::Session | Form::Mongo) || call.metadata.is_some();
        if call.recorded {
            fs::write(egress.join(format!("{}.json", egress_id(call))), egress_file(call))?;
            if has_campaign {
                truth.recordings.insert(id(call), location(call));
            }
        }
        truth.leads.insert(id(call), call.lead.clone());
        *truth.forms.entry(call.form).or_default() += 1;
    }
    for lead in &cast.leads {
        fs::write(leads.join(&lead.name), lead_bytes(lead))?;
        truth.malformed += usize::from(matches!(lead.body, Body::Malformed(_)));
    }
    truth.lead_files = cast.leads.len();
    Ok(truth)
}

fn bytes(call: &Call) -> io::Result<Vec<u8>> {
    let document = document(call).into_bytes();
    if !call.gzip {
        return Ok(document);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&document)?;
    encoder.finish()
}

fn call_metadata(call: &Call, lead: Option<&str>) -> String {
    let mut campaign = json!({ "campaignId": "64b0c0ffee00000000000001" });
    if call.recorded {
        campaign["egressId"] = egress_id(call).into();
    }
    // What the worker knew as its session, which bare transcripts do not know themselves.
    json!({
        "session_id": session(call), "dialed_number": "+15550109999", "campaign_metadata": campaign,
        "files": {
            "recording": null, "conversation": format!("/srv/agent/conversations/{}", name(call)),
            "lead": lead.map(|name| format!("/srv/agent/leads/{name}")),
        },
        "timestamps": {
            "call_start": format!("{}+00:00Z", call.start.strftime("%Y-%m-%dT%H:%M:%S%.6f")),
            "call_end": format!("{}+00:00Z", call.end.strftime("%Y-%m-%dT%H:%M:%S%.6f")),
        },
        "status": "ready_for_upload", "upload_attempts": 0, "last_upload_attempt": null,
    })
    .to_string()
}

fn location(call: &Call) -> String {
    format!("https://recordings.example.com/{}.ogg", egress_id(call))
}

fn egress_file(call: &Call) -> String {
    let ended = call.end + SignedDuration::from_secs(1);
    json!({
        "egress_id": egress_id(call), "room_id": format!("RM_{:06}", call.index),
        "room_name": format!("number-_{}", call.phone.trim_start_matches('+')),
        "started_at": call.start.as_nanosecond() as i64, "ended_at": ended.as_nanosecond() as i64,
        "files": [{ "filename": format!("{}.ogg", egress_id(call)), "location": location(call) }],
    })
    .to_string()
}

fn lead_bytes(file: &LeadFile) -> Vec<u8> {
    let (person, phone, email, at, session) = match &file.body {
        Body::Malformed(damage) => return malformed(*damage).to_vec(),
        Body::Lead { person, phone, email, at, session } => (person, phone, email, at, session),
    };
    let mut lead = json!({
        "name": format!("Person {person}"), "email": email.as_deref().unwrap_or_default(), "company": "Example Company",
        "interest": "demo", "phone": phone.as_deref().unwrap_or_default(), "job_title": "", "budget": "", "timeline": "",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string(), "source": "Voice assistant", "status": "new",
    });
    if let Some(session) = session {
        lead["campaign_metadata"] = json!({ "campaignId": "64b0c0ffee00000000000001", "sessionId": session });
    }
    lead.to_string().into_bytes()
}

fn malformed(damage: usize) -> &'static [u8] {
    let damages: [&[u8]; 7] = [
        b"",
        b"{\"name\": \"Person\", \"email\": \"person@exam",
        b"[]",
        b"null",
        b"\xff\xfe\x00{",
        b"{\"name\": \"\", \"email\": null, \"phone\": []}",
        b"\x1f\x8b\x08\x00damaged",
    ];
    damages[damage % damages.len()]
}

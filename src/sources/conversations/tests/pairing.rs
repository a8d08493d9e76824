//! Leads find their calls by evidence, in any order, or none.

use std::time::Duration;

use super::super::files::Folder;
use super::super::report::{PairingReport, Reason};
use super::super::scan::{Keeping, Prepared};
use super::*;
use crate::sim::conversations::{Plan, Truth, write_directory};

/// A call of a given number from ten o'clock on, for two minutes.
fn call(id: &str, phone: &str, minute: u32) -> String {
    format!(
        r#"{{"session_id": "{id}", "start_time": "2025-03-04 10:{minute:02}:00", "end_time": "2025-03-04 10:{:02}:00",
            "items": [], "metadata": {{"participant_attributes": {{"sip.phoneNumber": "{phone}"}}}}}}"#,
        minute + 2
    )
}

fn lead(phone: &str, clock: &str) -> String {
    format!(r#"{{"name": "Test Person", "phone": "{phone}", "timestamp": "2025-03-04T{clock}"}}"#)
}

fn reasons(place: &Place) -> Vec<(String, Reason)> {
    let report = open(place.settings()).prepare().unwrap_or_else(|problem| panic!("{problem}"));
    report.unpaired.into_iter().map(|unpaired| (unpaired.name, unpaired.reason)).collect()
}

#[test]
fn a_lead_that_names_a_session_goes_there_or_nowhere() {
    let place = Place::new();
    place
        .put("conversations/a.json", &call("a", "+15550100100", 0))
        .put("conversations/b.json", &call("b", "+15550100200", 0))
        .put(
            "leads/lead_1.json",
            r#"{"phone": "+15550100200", "timestamp": "2025-03-04T10:01:00", "campaign_metadata": {"sessionId": "a"}}"#,
        )
        .put(
            "leads/lead_2.json",
            r#"{"phone": "+15550100200", "timestamp": "2025-03-04T10:01:00", "campaign_metadata": {"sessionId": "z"}}"#,
        );
    assert!(place.lead_of("a.json").is_some() && place.lead_of("b.json").is_none());
    assert_eq!(reasons(&place), [("lead_2.json".to_owned(), Reason::UnknownSession)]);
}

#[test]
fn the_grace_has_an_end_and_a_lead_before_its_call_is_none() {
    let check = |clock: &str, minutes: u64, paired: bool| {
        let place = Place::new();
        place
            .put("conversations/a.json", &call("a", "+15550100100", 0))
            .put("leads/lead_1.json", &lead("(555) 010-0100", clock));
        let mut settings = place.settings();
        settings.grace = Duration::from_secs(60 * minutes);
        settings.default_country = Some("1".to_owned());
        let report = open(settings).prepare().expect("prepared");
        assert_eq!(report.paired, usize::from(paired), "{clock}: {report:?}");
    };
    check("09:59:59", 10, false);
    check("10:00:00", 10, true);
    check("10:12:00", 10, true);
    check("10:12:01", 10, false);
    check("10:02:01", 0, false);
    check("11:00:00", 60, true);
}

#[test]
fn the_times_of_leads_have_a_zone_of_their_own() {
    let place = Place::new();
    place
        .put("conversations/a.json", &call("a", "+15550100100", 0))
        .put("leads/lead_1.json", &lead("+15550100100", "05:01:00"));
    let mut settings = place.settings();
    assert_eq!(open(settings.clone()).prepare().expect("prepared").paired, 0);
    settings.lead_zone = Some(jiff::tz::TimeZone::fixed(jiff::tz::offset(-5)));
    assert_eq!(open(settings).prepare().expect("prepared").paired, 1);
}

#[test]
fn what_fits_several_goes_to_none_and_is_told() {
    let place = Place::new();
    place
        .put("conversations/a.json", &call("a", "+15550100100", 0))
        .put("conversations/b.json", &call("b", "+15550100100", 1))
        .put("conversations/c.json", &call("c", "+15550100300", 0))
        .put("leads/lead_1.json", &lead("+15550100100", "10:01:30"))
        .put("leads/lead_2.json", &lead("+15550100300", "10:01:00"))
        .put("leads/lead_3.json", &lead("+15550100300", "10:01:00").replace("Test", "Other"))
        .put("leads/lead_4.json", &lead("", "10:01:00"))
        .put("leads/lead_5.json", r#"{"name": "Test Person", "phone": "+15550100300"}"#)
        .put("leads/lead_6.json", "{");
    assert!(["a.json", "b.json", "c.json"].iter().all(|name| place.lead_of(name).is_none()));
    let expected = [
        ("lead_1.json", Reason::SeveralCalls(vec!["a.json".to_owned(), "b.json".to_owned()])),
        ("lead_2.json", Reason::SeveralLeads("c.json".to_owned())),
        ("lead_3.json", Reason::SeveralLeads("c.json".to_owned())),
        ("lead_4.json", Reason::NoEvidence),
        ("lead_5.json", Reason::NoTime),
    ];
    assert_eq!(reasons(&place), expected.map(|(name, reason)| (name.to_owned(), reason)));
    let report = open(place.settings()).prepare().expect("prepared");
    assert_eq!((report.leads, report.paired, report.malformed_leads, report.ambiguous_count), (6, 0, 1, 3));
    assert!(report.malformed[0].problem.what.contains("lead_6.json"), "{report:?}");
    assert!(!format!("{report:?}").contains("Person"), "{report:?}");
}

#[test]
fn better_evidence_wins_and_the_same_lead_twice_counts_once() {
    let place = Place::new();
    let named = r#"{"name": "Named Person", "phone": "+15550100900", "campaign_metadata": {"sessionId": "a"}}"#;
    place
        .put("conversations/a.json", &call("a", "+15550100100", 0))
        .put("conversations/b.json", &call("b", "+15550100200", 0))
        .put("leads/lead_1.json", &lead("+15550100100", "10:01:00"))
        .put("leads/lead_2.json", named)
        .put("leads/lead_3.json", &lead("+15550100200", "10:01:00"))
        .put("leads/lead_4.json", &lead("+15550100200", "10:01:05"));
    assert_eq!(place.lead_of("a.json").and_then(|lead| lead.name).as_deref(), Some("Named Person"));
    assert_eq!(place.lead_of("b.json").and_then(|lead| lead.timestamp).as_deref(), Some("2025-03-04T10:01:05"));
    let expected = [
        ("lead_1.json", Reason::BetterLead("a.json".to_owned())),
        ("lead_3.json", Reason::Duplicate("lead_4.json".to_owned())),
    ];
    assert_eq!(reasons(&place), expected.map(|(name, reason)| (name.to_owned(), reason)));
}

#[test]
fn time_alone_pairs_only_when_allowed_and_only_one_with_one() {
    let check = |files: &[(&str, String)], allowed: bool, paired: usize| {
        let place = Place::new();
        for (name, text) in files {
            place.put(name, text);
        }
        let mut settings = place.settings();
        settings.by_time_alone = allowed;
        assert_eq!(open(settings).prepare().expect("prepared").paired, paired, "{files:?}");
    };
    let one = ("conversations/a.json", call("a", "", 0));
    let its_lead = ("leads/lead_1.json", lead("+15550100100", "10:01:00"));
    check(&[one.clone(), its_lead.clone()], false, 0);
    check(&[one.clone(), its_lead.clone()], true, 1);
    check(&[one.clone(), its_lead.clone(), ("conversations/b.json", call("b", "", 1))], true, 0);
    check(&[one.clone(), its_lead.clone(), ("conversations/b.json", call("b", "+15550100200", 1))], true, 0);
    check(&[one, its_lead.clone(), ("leads/lead_2.json", lead("", "10:05:00"))], true, 0);
    check(&[("conversations/a.json", call("a", "+15550100200", 0)), its_lead], true, 0);
}

#[test]
fn a_lead_that_arrives_later_makes_a_new_version_and_the_rest_stays_known() {
    let place = Place::new();
    place
        .put("conversations/a.json", &call("a", "+15550100100", 0))
        .put("conversations/b.json", &call("b", "+15550100200", 0));
    let source = open(place.settings());
    let before = listed(&source);
    place.put("leads/lead_1.json", &lead("+15550100100", "10:01:00"));
    source.prepare().expect("prepared");
    let after = listed(&source);
    assert_ne!(after[0].version, before[0].version);
    assert!(after[0].modified_at >= before[0].modified_at);
    assert_eq!(after[1], before[1]);
    assert_eq!(run(source.look(&after[0].url)).expect("looked"), Some(after[0].clone()));
    place.put(
        "call_metadata/metadata_b.json",
        r#"{"session_id": "b", "dialed_number": "+15550109999", "campaign_metadata": {"egressId": "EG_1"}}"#,
    );
    source.prepare().expect("prepared");
    let with_metadata = listed(&source);
    assert_ne!(with_metadata[1].version, after[1].version);
    place.put("egress/EG_1.json", r#"{"egress_id": "EG_1", "files": [{"filename": "a.ogg"}]}"#);
    source.prepare().expect("prepared");
    assert_ne!(listed(&source)[1].version, with_metadata[1].version);
}

#[test]
fn a_bare_transcript_is_of_the_session_that_its_metadata_name() {
    let place = Place::new();
    place
        .put("conversations/a.json", r#"{"items": []}"#)
        .put("conversations/b.json", r#"{"items": []}"#)
        .put("call_metadata/metadata_1.json", r#"{"session_id": "s1", "files": {"conversation": "C:\\agent\\b.json"}}"#)
        .put("leads/lead_1.json", r#"{"name": "Test Person", "campaign_metadata": {"sessionId": "s1"}}"#);
    assert!(place.lead_of("a.json").is_none() && place.lead_of("b.json").is_some());
}

#[test]
fn metadata_that_two_files_claim_belong_to_none() {
    let place = Place::new();
    place
        .put("conversations/a.json", &call("a", "", 0))
        .put("call_metadata/metadata_1.json", r#"{"session_id": "a", "dialed_number": "+15550109991"}"#)
        .put("call_metadata/metadata_2.json", r#"{"session_id": "a", "dialed_number": "+15550109992"}"#)
        .put(
            "call_metadata/metadata_3.json",
            r#"{"session_id": "z", "dialed_number": "+15550109993", "files": {"conversation": "a.json"}}"#,
        );
    assert_eq!(place.calls()[0].1.call.dialled, None);
}

#[test]
fn one_transcript_takes_the_lead_that_somebody_gives_it() {
    let place = Place::new();
    place.put("session.json", &call("a", "+15550100100", 0)).put("given.json", &lead("+15550100999", "23:00:00"));
    let path = |name: &str| place.0.path().join(name);
    let source = Conversations::open_one(Settings::new(path("session.json")), Some(path("given.json"))).expect("open");
    assert_eq!(source.address(), format!("file://{}", path("session.json").display()));
    let calls = calls(&source);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].1.call.lead.as_ref().and_then(|lead| lead.phone.as_deref()), Some("+15550100999"));
    place.put("given.json", "{}");
    let source = Conversations::open_one(Settings::new(path("session.json")), Some(path("given.json"))).expect("open");
    assert!(source.prepare().expect_err("no lead").what.contains("given.json"));
    let source = Conversations::open_one(Settings::new(path("session.json")), None).expect("open");
    assert_eq!(source.prepare().expect("prepared").transcripts, 1);
}

fn planted(plan: &Plan) -> (tempfile::TempDir, Truth) {
    let folder = tempfile::tempdir().expect("a folder");
    let truth = write_directory(folder.path(), plan).expect("written");
    (folder, truth)
}

#[test]
fn exactly_the_planted_pairs_come_out() {
    for seed in [1, 2, 3] {
        let (folder, truth) = planted(&Plan::new(seed, 400, 120));
        let source = open(settings(folder.path()));
        let report = source.prepare().unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!((report.transcripts, report.transcripts_unreadable), (400, 0));
        assert_eq!((report.leads, report.paired), (truth.lead_files, truth.paired()), "seed {seed}: {report:#?}");
        assert_eq!(report.malformed_leads, truth.malformed, "seed {seed}");
        assert_eq!(report.with_recording, truth.recordings.len(), "seed {seed}");
        let mut seen = 0;
        for (_, converted) in calls(&source) {
            let call = converted.call;
            let planted =
                truth.leads.get(&call.source_id).unwrap_or_else(|| panic!("{} was not planted", call.source_id));
            let expected = planted.as_ref().map(|name| {
                let text = std::fs::read(folder.path().join("leads").join(name)).expect("a lead");
                let lead: serde_json::Value = serde_json::from_slice(&text).expect("a lead");
                ["name", "timestamp"].map(|field| lead[field].as_str().map(str::to_owned))
            });
            // What the agent took down by tool has no time; a lead file has one.
            let found = call.lead.filter(|lead| lead.timestamp.is_some()).map(|lead| [lead.name, lead.timestamp]);
            assert_eq!(found, expected, "seed {seed}, {}: {planted:?}", call.source_id);
            let recording = call.recording.and_then(|recording| recording.url);
            assert_eq!(recording.as_ref(), truth.recordings.get(&call.source_id));
            seen += 1;
        }
        assert_eq!(seen, truth.leads.len());
    }
}

#[test]
fn the_order_of_files_changes_nothing() {
    let (folder, _) = planted(&Plan::new(9, 300, 110));
    let settings = settings(folder.path());
    let transcripts = Folder { root: settings.transcripts.clone(), bytes_max: 1 << 20 };
    let mut names = transcripts.names(false, |_| true).expect("names");
    let states = |names: &[String]| {
        let prepared = Prepared::scan(&settings, &transcripts, names, None, Keeping::Nothing)
            .unwrap_or_else(|problem| panic!("{problem}"));
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        let states: Vec<_> = sorted
            .iter()
            .map(|name| prepared.state(name, &transcripts.stamp(name).expect("a stamp").expect("a file")))
            .collect();
        (states, prepared.report)
    };
    let first = states(&names);
    names.reverse();
    assert!(states(&names) == first);
    let middle = names.len() / 3;
    names.rotate_left(middle);
    assert!(states(&names) == first);
}

/// Puts other bytes of the same length into a file, as if nothing had been written since.
fn spoil_unseen(path: &Path) {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a file");
    let length = std::fs::read(path).expect("a file").len();
    std::fs::write(path, vec![b'x'; length]).expect("a writable file");
    std::fs::File::options().write(true).open(path).and_then(|file| file.set_modified(modified)).expect("a file");
}

#[test]
fn a_look_that_follows_another_reads_what_changed_and_tells_what_a_first_look_would() {
    let (folder, _) = planted(&Plan::new(5, 200, 80));
    let settings = settings(folder.path());
    let transcripts = Folder { root: settings.transcripts.clone(), bytes_max: 1 << 20 };
    let look = |keeping: Keeping<'_>| {
        let names = transcripts.names(false, |_| true).expect("names");
        let prepared = Prepared::scan(&settings, &transcripts, &names, None, keeping);
        let prepared = prepared.unwrap_or_else(|problem| panic!("{problem}"));
        let stamp = |name: &str| transcripts.stamp(name).expect("a stamp").expect("a file");
        let states: Vec<_> = names.iter().map(|name| prepared.state(name, &stamp(name))).collect();
        (states, prepared)
    };
    let is_as_a_first_look = |before: &Prepared| {
        let (first, second) = (look(Keeping::Nothing), look(Keeping::Traces { before: Some(before) }));
        assert!(first.0 == second.0 && first.1.report == second.1.report);
        second.1
    };
    let before = is_as_a_first_look(&look(Keeping::Traces { before: None }).1);
    let files = |kind: &str| {
        let entries = std::fs::read_dir(folder.path().join(kind)).expect("a folder");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.sort_unstable();
        files
    };
    // One of each is gone, one is another now.
    for kind in ["conversations", "leads", "call_metadata", "egress"] {
        let files = files(kind);
        std::fs::remove_file(&files[3]).expect("a file");
        std::fs::copy(&files[7], &files[11]).expect("two files");
    }
    let before = is_as_a_first_look(&before);
    // What nothing tells to have changed is not read.
    for kind in ["conversations", "leads", "call_metadata", "egress"] {
        files(kind).iter().take(20).for_each(|path| spoil_unseen(path));
    }
    let found = |report: &PairingReport| {
        (report.paired, report.with_metadata, report.with_recording, report.transcripts_unreadable)
    };
    let (_, after) = look(Keeping::Traces { before: Some(&before) });
    assert_eq!(found(&after.report), found(&before.report));
    let (_, anew) = look(Keeping::Nothing);
    assert_eq!(anew.report.transcripts_unreadable, before.report.transcripts_unreadable + 20);
    assert!(anew.report.with_metadata < before.report.with_metadata);
}

#[test]
fn three_thousand_leads_find_their_calls_among_ten_thousand() {
    let (folder, truth) = planted(&Plan::new(4, 10_000, 3_000));
    let report = open(settings(folder.path())).prepare().unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((report.transcripts, report.transcripts_unreadable, report.leads), (10_000, 0, 3_000));
    assert_eq!((report.paired, report.malformed_leads), (truth.paired(), truth.malformed));
    assert_eq!(report.paired + report.unpaired_count + report.malformed_leads, report.leads);
    assert!(report.unpaired.len() == 200 && report.unpaired_count > 200 && report.ambiguous_count > 50);
}

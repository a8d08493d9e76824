//! Files and revisions, in whatever order they come.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_arrives_while_the_older_is_sent_makes_the_delivery_due_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    assert_eq!(ingest(&store, vec![item("s", 100, 1.0, 1)]).await, [IntakeResult::NewCall]);
    let one = claim(&store, 1, 0).await.remove(0);
    assert_eq!(ingest(&store, vec![item("s", 100, 2.0, 2)]).await, [IntakeResult::NewRevision]);
    assert_eq!(state_of(&store, "s").await, "leased");
    store.settle(vec![delivered(&one, "00T1")], 1).await.expect("works");
    let next = claim(&store, 1, 2).await.remove(0);
    assert_eq!((next.revision, next.remote_id.as_deref()), (Revision(2), Some("00T1")));
    assert_eq!(next.call.call().duration_s, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_arrives_while_the_older_is_skipped_or_refused_makes_the_delivery_due_again() {
    let problem = || StoredProblem { code: "TL0401".to_owned(), what: "none".to_owned(), help: String::new() };
    let ends = [
        Change::Skipped { problem: problem(), match_json: "{}".to_owned() },
        Change::Dead { problem: problem(), intent: IntentFate::Clear },
    ];
    for change in ends {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), "a");
        ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
        let one = claim(&store, 1, 0).await.remove(0);
        ingest(&store, vec![item("s", 100, 2.0, 2)]).await;
        let ended = Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None };
        store.settle(vec![ended.clone()], 1).await.expect("works");
        let next = claim(&store, 1, 2).await.remove(0);
        assert_eq!(next.revision, Revision(2));
        store.settle(vec![Settlement { fence: next.fence, ..ended }], 3).await.expect("works");
        assert!(claim(&store, 1, 4).await.is_empty(), "nothing newer came, so this end holds");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_and_number_of_arrivals_does_not_matter() {
    let versions = || vec![item("s", 100, 1.0, 1), item("s", 100, 2.0, 2), item("s", 100, 3.0, 3)];
    let orders: [&[usize]; 5] = [&[0, 1, 2], &[2, 1, 0], &[1, 2, 0], &[2, 2, 0, 1, 2], &[0, 2]];
    for order in orders {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), "a");
        for index in order {
            ingest(&store, vec![versions().remove(*index)]).await;
        }
        let key = CallKey::from_source("sessions", "s");
        let stored = store.call(&key).await.expect("works").expect("it is there");
        assert_eq!(stored.call.call().duration_s, Some(3.0), "{order:?}");
        let again = ingest(&store, vec![versions().remove(2)]).await;
        assert_eq!(again, [IntakeResult::NothingNew], "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_late_file_goes_before_that_of_an_older_one_in_every_order_and_after_a_restart() {
    // The newest file knows no direction; of the other two the newer one's is right, whenever it comes.
    let file = |modified_s: i64, direction: Option<Direction>| {
        let mut call = Call::new("sessions", "s");
        call.direction = direction;
        let digest = Digest::of(&modified_s.to_be_bytes());
        let fate = IntakeCall::of(redact(call), digest, Vec::new()).expect("a call that can be encoded");
        let fate = IntakeFate::Call(Box::new(fate));
        IntakeItem { raw: raw(&format!("s{modified_s}"), modified_s), day: None, fate }
    };
    let direction = |modified_s| [None, Some(Direction::Outbound), Some(Direction::Inbound), None][modified_s as usize];
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let folder = tempfile::tempdir().expect("a folder");
        for modified_s in order {
            ingest(&open(folder.path(), &modified_s.to_string()), vec![file(modified_s, direction(modified_s))]).await;
        }
        let store = open(folder.path(), "reader");
        let stored = store.call(&CallKey::from_source("sessions", "s")).await.expect("works").expect("the call");
        assert_eq!(stored.call.call().direction, Some(Direction::Inbound), "{order:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_file_is_told_from_a_converted_one_and_can_be_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let problem = Problem::new(RAW_EMPTY, "empty", "");
    let bad = IntakeItem { raw: raw("bad", 1), day: None, fate: IntakeFate::Quarantine(problem) };
    assert_eq!(
        ingest(&store, vec![item("good", 1, 1.0, 1), bad]).await,
        [IntakeResult::NewCall, IntakeResult::Quarantined]
    );
    let asked = [raw("good", 1), raw("good", 2), raw("bad", 1), raw("never", 1)];
    assert_eq!(
        store.known("sessions", &asked).await.expect("works"),
        [Seen::Converted, Seen::Never, Seen::Quarantined, Seen::Never]
    );
    assert_eq!(ingest(&store, vec![item("bad", 1, 1.0, 1)]).await, [IntakeResult::NewCall]);
    let left = RawFilter { state: Some("quarantined"), ..RawFilter::default() };
    assert!(store.raws(&left).await.expect("works").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_read_again_and_cannot_be_is_in_quarantine_like_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 1, 1.0, 1)]).await;
    let ledger = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    ledger.execute("UPDATE raw SET reread = 1", ()).expect("works");
    assert_eq!(store.known("sessions", &[raw("s", 2)]).await.expect("works"), [Seen::Never]);
    let fate = IntakeFate::Quarantine(Problem::new(RAW_EMPTY, "empty", ""));
    ingest(&store, vec![IntakeItem { raw: raw("s", 2), day: None, fate }]).await;
    assert_eq!(store.known("sessions", &[raw("s", 2)]).await.expect("works"), [Seen::Quarantined]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_revision_is_due_wherever_the_call_went_whoever_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let to = |name: &str| [name.to_owned()];
    let first = store.ingest("sessions", &to("crm"), &TimeZone::UTC, vec![item("s", 100, 1.0, 1)], 0).await;
    assert_eq!(first.expect("works"), [IntakeResult::NewCall]);
    let claimed = store.claim("crm", None, window(1, Parts::Head), 0, LEASE_MS).await.expect("works");
    store.settle(vec![delivered(&claimed[0], "1")], 0).await.expect("works");
    // Another command reads the next file of it, for another destination.
    assert_eq!(ingest(&store, vec![item("s", 100, 2.0, 2)]).await, [IntakeResult::NewRevision]);
    for destination in ["crm", CRM] {
        let claimed = store.claim(destination, None, window(1, Parts::Head), 0, LEASE_MS).await.expect("works");
        assert_eq!(claimed.iter().map(|one| one.revision).collect::<Vec<_>>(), [Revision(2)], "{destination}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revisions_number_that_decays_stops_no_neighbour() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    for revision in 1..=3_i64 {
        ingest(&store, vec![item("s", 100, revision as f64, revision)]).await;
    }
    let ledger = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    ledger.execute("UPDATE call SET revision = 2", ()).expect("works");
    assert_eq!(
        ingest(&store, vec![item("s", 100, 4.0, 4), item("neighbour", 200, 1.0, 1)]).await,
        [IntakeResult::NewRevision, IntakeResult::NewCall]
    );
    let revisions: Vec<Revision> = claim(&store, 2, 0).await.iter().map(|one| one.revision).collect();
    assert_eq!(revisions, [Revision(4), Revision(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_counts_as_seen_by_a_run_only_within_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let mut keys = Vec::new();
    for (id, seen_ms) in
        [("before", 90), ("at its beginning", 100), ("in it", 150), ("under a clock that was ahead", 900)]
    {
        let one = item(id, 100, 1.0, 1);
        keys.push(Call::new("sessions", id).key.clone());
        store.ingest("sessions", &[CRM.to_owned()], &TimeZone::UTC, vec![one], seen_ms).await.expect("works");
    }
    let unseen = store.unseen(&keys, 100..200).await.expect("works");
    let urls: Vec<&str> = unseen.iter().map(|file| file.url.as_str()).collect();
    assert_eq!(urls, ["file:///sessions/before.json", "file:///sessions/under a clock that was ahead.json"]);
}

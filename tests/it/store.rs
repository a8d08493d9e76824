//! Contract: what the engine relies on when it keeps calls and deliveries. Written against the traits, run on SQLite.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use trunkline::model::{Call, CallKey, Digest, Direction, Revision};
use trunkline::problem::{Problem, RAW_EMPTY};
use trunkline::redact::redact;
use trunkline::sources::RawRef;
use trunkline::store::sqlite::SqliteStore;
use trunkline::store::{
    Change, Claimed, DeliveryFilter, DeliveryStore, IntakeCall, IntakeFate, IntakeItem, IntakeResult, IntakeStore,
    Intent, IntentFate, Matching, OldestSince, Order, Parts, Place, RawFilter, ReadStore, Rearm, Scope, Seen,
    Settlement, StoreError, StoredProblem, Window,
};

pub const CRM: &str = "salesforce";
pub const LEASE_MS: i64 = 600_000;

pub fn open(folder: &Path, owner: &str) -> SqliteStore {
    SqliteStore::open(&folder.join("calls.db"), owner, 0).unwrap_or_else(|error| panic!("{error}"))
}

pub fn item(id: &str, started_s: i64, duration_s: f64, modified_s: i64) -> IntakeItem {
    let mut call = Call::new("sessions", id);
    call.started_at = Timestamp::from_second(started_s).ok();
    call.duration_s = Some(duration_s);
    let digest = Digest::of(format!("{id} {duration_s}").as_bytes());
    let fate = IntakeCall::of(redact(call), digest, Vec::new()).expect("a call that can be encoded");
    IntakeItem { raw: raw(id, modified_s), day: Some(date(2026, 11, 20)), fate: IntakeFate::Call(Box::new(fate)) }
}

fn raw(id: &str, modified_s: i64) -> RawRef {
    RawRef {
        url: format!("file:///sessions/{id}.json"),
        version: modified_s.to_string(),
        bytes: 1,
        modified_at: Timestamp::from_second(modified_s).expect("a time"),
    }
}

pub async fn ingest(store: &SqliteStore, items: Vec<IntakeItem>) -> Vec<IntakeResult> {
    let to = [CRM.to_owned()];
    store.ingest("sessions", &to, &TimeZone::UTC, items, 0).await.expect("a store that works")
}

pub fn window(count: usize, parts: Parts) -> Window {
    Window { count, parts, order: Order::OldestFirst, replayed: false }
}

pub async fn claim(store: &SqliteStore, count: usize, now_ms: i64) -> Vec<Claimed> {
    store.claim(CRM, None, window(count, Parts::Whole), now_ms, now_ms + LEASE_MS).await.expect("a store that works")
}

async fn rearm(store: &SqliteStore, which: &Rearm, now_ms: i64) -> usize {
    let ids = store.find_to_rearm(CRM, which).await.expect("a store that works");
    store.rearm(&ids, which, now_ms).await.expect("a store that works")
}

fn delivered(one: &Claimed, remote_id: &str) -> Settlement {
    let change = Change::Delivered {
        remote_id: remote_id.to_owned(),
        revision: one.revision,
        digest: Digest::of(b"content"),
        adopted: false,
        written: true,
        matching: None,
    };
    Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None }
}

pub fn again(one: &Claimed, next_at_ms: i64, intent: IntentFate) -> Settlement {
    let change = Change::Again {
        next_at_ms,
        problem: None,
        counts: true,
        isolate: false,
        rematch: false,
        remote_id: None,
        intent,
    };
    Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None }
}

fn intent(one: &Claimed, content: &[u8]) -> Intent {
    Intent {
        delivery_id: one.delivery_id,
        fence: one.fence,
        revision: one.revision,
        digest: Digest::of(content),
        matching: Matching { person: ("Contact".into(), "003".into()), matched_by: None, match_json: "{}".into() },
        record_json: "{}".into(),
    }
}

async fn state_of(store: &SqliteStore, id: &str) -> String {
    let rows = store.deliveries(&DeliveryFilter::default()).await.expect("a store that works");
    rows.into_iter().find(|row| row.source_id == id).map(|row| row.state).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn due_deliveries_are_claimed_once_and_the_oldest_call_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("late", 300, 1.0, 1), item("early", 100, 1.0, 1), item("middle", 200, 1.0, 1)]).await;
    let first = claim(&store, 2, 0).await;
    let names: Vec<&str> = first.iter().map(|one| one.call.call().source_id.as_str()).collect();
    assert_eq!(names, ["early", "middle"]);
    let second = open(folder.path(), "b");
    let names: Vec<String> = claim(&second, 10, 0).await.iter().map(|one| one.call.call().source_id.clone()).collect();
    assert_eq!(names, ["late"]);
    assert!(claim(&store, 10, 0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_the_calls_of_one_folder_or_file_and_of_no_neighbour() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let places = ["calls/one", "calls/below/two", "calls0", "calls/oneself", "other/one"];
    let items = places.iter().enumerate().map(|(number, place)| {
        let mut item = item(place, number as i64, 1.0, 1);
        item.raw.url = format!("file:///{place}");
        item
    });
    ingest(&store, items.collect()).await;
    let of = |place: Place| Scope { source: "sessions".to_owned(), place };
    let folder_of = |subfolders: bool| of(Place::Folder { address: "file:///calls/".to_owned(), subfolders });
    let check = async |scope: Scope, expected: &[&str]| {
        let tally = store.tally(CRM, Some(&scope)).await.expect("works");
        assert_eq!(tally.iter().map(|row| row.count).sum::<u64>(), expected.len() as u64, "{scope:?}");
        let due = store.next_due(CRM, Some(&scope)).await.expect("works");
        assert_eq!(due.is_some(), !expected.is_empty(), "{scope:?}");
        let claimed = store.claim(CRM, Some(&scope), window(9, Parts::Head), 0, LEASE_MS).await.expect("works");
        let ids: Vec<&str> = claimed.iter().map(|one| one.call.call().source_id.as_str()).collect();
        assert_eq!(ids, expected, "{scope:?}");
        let back = claimed.iter().map(|one| again(one, 0, IntentFate::Leave)).collect();
        store.settle(back, 0).await.expect("works");
    };
    check(of(Place::File("file:///calls/one".to_owned())), &["calls/one"]).await;
    check(of(Place::File("file:///calls/nothing".to_owned())), &[]).await;
    check(folder_of(false), &["calls/one", "calls/oneself"]).await;
    check(folder_of(true), &["calls/one", "calls/below/two", "calls/oneself"]).await;
    check(Scope { source: "conversations".to_owned(), ..folder_of(true) }, &[]).await;

    // Where a place has so many calls that they are most of what is due, another way leads to the same.
    let many = (0..5100).map(|number| {
        let mut item = item(&format!("many/{number:04}"), 10_000 - number, 1.0, 1);
        item.raw.url = format!("file:///many/{number:04}");
        item
    });
    ingest(&store, many.collect()).await;
    let many = of(Place::Folder { address: "file:///many/".to_owned(), subfolders: true });
    let claimed = store.claim(CRM, Some(&many), window(2, Parts::Head), 0, LEASE_MS).await.expect("works");
    let ids: Vec<&str> = claimed.iter().map(|one| one.call.call().source_id.as_str()).collect();
    assert_eq!(ids, ["many/5099", "many/5098"], "the oldest first, and none of another folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_lease_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (slow, quick) = (open(folder.path(), "slow"), open(folder.path(), "quick"));
    ingest(&slow, vec![item("s", 100, 1.0, 1)]).await;
    let stale = claim(&slow, 1, 0).await.remove(0);
    assert_eq!(quick.reclaim(LEASE_MS).await.expect("works"), 0, "a lease holds until its end");
    assert_eq!(quick.reclaim(LEASE_MS + 1).await.expect("works"), 1);
    let fresh = claim(&quick, 1, LEASE_MS + 1).await.remove(0);
    assert!(fresh.fence > stale.fence);

    let late = LEASE_MS + 2;
    assert!(slow.intend(vec![intent(&stale, b"stale")], late).await.expect("works").is_empty());
    assert_eq!(slow.settle(vec![delivered(&stale, "00Tstale")], late).await.expect("works"), 0);
    // A token that was guessed or kept is worth nothing to another process either.
    assert_eq!(slow.settle(vec![delivered(&fresh, "00Tstolen")], late).await.expect("works"), 0);
    assert_eq!(quick.intend(vec![intent(&fresh, b"fresh")], late).await.expect("works"), [fresh.delivery_id]);
    assert_eq!(quick.settle(vec![delivered(&fresh, "00Tfresh")], late).await.expect("works"), 1);
    assert_eq!(quick.settle(vec![delivered(&fresh, "00Ttwice")], late).await.expect("works"), 0);
    let row = quick.deliveries(&DeliveryFilter::default()).await.expect("works").remove(0);
    assert_eq!((row.state.as_str(), row.remote_id.as_deref(), row.writes), ("delivered", Some("00Tfresh"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_may_be_sent_under_a_lease_that_has_run_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
    let one = claim(&store, 1, 0).await.remove(0);
    assert!(store.intend(vec![intent(&one, b"x")], LEASE_MS).await.expect("works").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leases_of_a_dead_process_are_free_at_once_and_those_of_a_living_one_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let living = open(folder.path(), "living");
    let dying = open(folder.path(), "dying");
    ingest(&living, vec![item("a", 100, 1.0, 1), item("b", 200, 1.0, 1)]).await;
    assert_eq!((claim(&living, 1, 0).await.len(), claim(&dying, 1, 0).await.len()), (1, 1));
    let third = open(folder.path(), "third");
    assert_eq!(third.reclaim(1).await.expect("works"), 0);
    drop(dying);
    assert_eq!(third.reclaim(1).await.expect("works"), 1);
    let freed = claim(&third, 10, 1).await;
    assert_eq!(freed.iter().map(|one| one.call.call().source_id.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_of_a_dead_process_is_kept_and_settles_from_the_moment_it_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let dying = open(folder.path(), "dying");
    ingest(&dying, vec![item("s", 100, 1.0, 1)]).await;
    let one = claim(&dying, 1, 0).await.remove(0);
    dying.intend(vec![intent(&one, b"first")], 1000).await.expect("works");
    drop(dying);
    let store = open(folder.path(), "next");
    store.reclaim(70_000).await.expect("works");
    assert_eq!(state_of(&store, "s").await, "unknown");
    let one = claim(&store, 1, 70_000).await.remove(0);
    let prior = one.intent.expect("what was sent is on record");
    assert_eq!((prior.at_ms, prior.digest, prior.settled), (70_000, Digest::of(b"first"), false));

    // Another content on top: neither can be assumed to stand there.
    store.intend(vec![intent(&one, b"second")], 70_001).await.expect("works");
    store.settle(vec![again(&one, 0, IntentFate::Keep { settled: true })], 70_002).await.expect("works");
    let prior = claim(&store, 1, 70_003).await.remove(0).intent.expect("still unknown");
    assert!(prior.settled);
    assert!(prior.digest != Digest::of(b"first") && prior.digest != Digest::of(b"second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_without_a_known_outcome_stays_on_record_also_of_a_dead_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
    let one = claim(&store, 1, 0).await.remove(0);
    store.intend(vec![intent(&one, b"first")], 1000).await.expect("works");
    let problem = StoredProblem { code: "TL0702".into(), what: "what".into(), help: "help".into() };
    let change = Change::Dead { problem, intent: IntentFate::Keep { settled: false } };
    let dead = Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None };
    store.settle(vec![dead], 2000).await.expect("works");
    assert_eq!(state_of(&store, "s").await, "dead");
    rearm(&store, &Rearm { states: vec!["dead"], ..Rearm::default() }, 3000).await;
    let prior = claim(&store, 1, 3000).await.remove(0).intent.expect("what was sent is on record");
    assert_eq!((prior.at_ms, prior.digest), (2000, Digest::of(b"first")));
}

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
async fn a_dead_letter_that_may_have_arrived_stays_dead_also_if_a_revision_came_while_it_was_settled() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 1, 1.0, 1)]).await;
    let one = claim(&store, 1, 0).await.remove(0);
    ingest(&store, vec![item("s", 1, 2.0, 2)]).await;
    let problem = StoredProblem { code: "TL0702".into(), what: "what".into(), help: "help".into() };
    let change = Change::Dead { problem, intent: IntentFate::Clear };
    let settlement = Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None };
    store.settle(vec![settlement], 0).await.expect("works");
    ingest(&store, vec![item("s", 1, 3.0, 3)]).await;
    assert_eq!(state_of(&store, "s").await, "dead");
    let which = Rearm { states: vec!["dead"], ..Rearm::default() };
    assert_eq!(rearm(&store, &which, 0).await, 1);
    let again = claim(&store, 1, 0).await.remove(0);
    assert_eq!((again.revision.0, again.intent.is_none()), (3, true), "a person sends the newest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_without_a_known_outcome_stays_on_record_also_of_a_skipped_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 1, 1.0, 1)]).await;
    let one = claim(&store, 1, 0).await.remove(0);
    store.intend(vec![intent(&one, b"sent")], 0).await.expect("works");
    let back = again(&one, 0, IntentFate::Keep { settled: false });
    store.settle(vec![back], 0).await.expect("works");
    let one = claim(&store, 1, 0).await.remove(0);
    let problem = StoredProblem { code: "TL0402".into(), what: "what".into(), help: "help".into() };
    let change = Change::Skipped { problem, match_json: "{}".to_owned() };
    let settlement = Settlement { delivery_id: one.delivery_id, fence: one.fence, change, attempt: None };
    store.settle(vec![settlement], 0).await.expect("works");
    ingest(&store, vec![item("s", 1, 2.0, 2)]).await;
    assert!(claim(&store, 1, 0).await.remove(0).intent.is_some(), "it is resolved before anything is sent");
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
async fn sixty_four_tasks_that_commit_at_once_all_find_their_work_in_the_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for index in 0..8 {
                    let id = format!("{task}_{index}");
                    assert_eq!(ingest(&store, vec![item(&id, 100, 1.0, 1)]).await, [IntakeResult::NewCall]);
                    // What was answered for is committed: another connection sees it.
                    let found = store.call(&CallKey::from_source("sessions", &id)).await.expect("works");
                    assert!(found.is_some(), "{id} was acknowledged and is not there");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    drop(store);
    let store = open(folder.path(), "b");
    assert_eq!(claim(&store, 1000, 0).await.len(), 512);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_on_one_file_never_claim_the_same_delivery() {
    let folder = tempfile::tempdir().expect("a folder");
    let stores = [open(folder.path(), "a"), open(folder.path(), "b")];
    ingest(&stores[0], (0..200).map(|index| item(&index.to_string(), index, 1.0, 1)).collect()).await;
    let claimers: Vec<_> = stores
        .into_iter()
        .map(|store| {
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let some = claim(&store, 7, 0).await;
                    if some.is_empty() {
                        return mine;
                    }
                    let settled = some.iter().map(|one| delivered(one, "00T")).collect();
                    assert_eq!(store.settle(settled, 1).await.expect("works"), some.len());
                    mine.extend(some.into_iter().map(|one| one.delivery_id));
                }
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for claimer in claimers {
        for id in claimer.await.expect("no claimer panics") {
            assert!(seen.insert(id), "delivery {id} was claimed twice");
        }
    }
    assert_eq!(seen.len(), 200);
}

#[test]
fn processes_that_open_a_new_ledger_at_once_all_can() {
    for round in 0..10 {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let barrier = Arc::new(Barrier::new(6));
        let openers: Vec<_> = (0..6)
            .map(|number| {
                let (folder, barrier) = (folder.clone(), barrier.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    let path = folder.path().join("calls.db");
                    SqliteStore::open(&path, &number.to_string(), 0).map_err(|error| error.to_string())
                })
            })
            .collect();
        let opened: Vec<_> = openers.into_iter().map(|opener| opener.join().expect("no opener panics")).collect();
        let failed: Vec<&String> = opened.iter().filter_map(|opened| opened.as_ref().err()).collect();
        assert!(failed.is_empty(), "round {round}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_again_changes_nothing_and_a_newer_ledger_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
    drop(store);
    for owner in ["b", "c"] {
        drop(open(folder.path(), owner));
    }
    let store = open(folder.path(), "d");
    assert_eq!(claim(&store, 10, 0).await.len(), 1);
    drop(store);
    let raw = rusqlite::Connection::open(&path).expect("a database");
    raw.pragma_update(None, "user_version", 99).expect("works");
    drop(raw);
    let refused = SqliteStore::open(&path, "e", 0).err();
    assert!(matches!(refused, Some(StoreError::Newer { found: 99, .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_and_never_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("damaged", 100, 1.0, 1)]).await;
    drop(store);
    let raw = rusqlite::Connection::open(&path).expect("a database");
    let mut head: Vec<u8> = raw.query_row("SELECT head FROM call_body", (), |row| row.get(0)).expect("a head");
    let middle = head.len() / 2;
    head[middle] ^= 0x10;
    raw.execute("UPDATE call_body SET head = ?1", [head]).expect("works");
    drop(raw);
    let store = open(folder.path(), "b");
    let read = store.call(&CallKey::from_source("sessions", "damaged")).await;
    assert!(matches!(read, Err(StoreError::DamagedCall { .. })));
    // Its neighbours are handed out, it is not.
    ingest(&store, vec![item("sound", 200, 1.0, 1)]).await;
    let claimed = claim(&store, 10, 0).await;
    assert_eq!(claimed.iter().map(|one| one.call.call().source_id.as_str()).collect::<Vec<_>>(), ["sound"]);
    assert_eq!(state_of(&store, "damaged").await, "dead");
    // New evidence takes the place of what is damaged.
    assert_eq!(ingest(&store, vec![item("damaged", 100, 2.0, 2)]).await, [IntakeResult::NewRevision]);
    let claimed = claim(&store, 10, 0).await;
    assert_eq!(claimed.iter().map(|one| one.call.call().duration_s).collect::<Vec<_>>(), [Some(2.0)]);
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("calls.db");
    let text = "this is somebody's letter, not a database\n".repeat(100);
    fs::write(&path, &text).expect("works");
    assert!(SqliteStore::open(&path, "a", 0).is_err());
    assert_eq!(fs::read_to_string(&path).expect("works"), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_made_by_one_process_and_by_nobody_while_it_is_uncertain() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (open(folder.path(), "one"), open(folder.path(), "other"));
    let address = [7; 32];
    let may = async |store: &SqliteStore, now_ms: i64| {
        store.claim_person(CRM, address, now_ms, now_ms - 30_000).await.expect("works")
    };
    assert!(may(&one, 1000).await);
    assert!(may(&one, 1000).await, "asking again is no second claim");
    assert!(!may(&other, 100_000).await, "a living process keeps its claim");
    one.abandon_person(CRM, address, 100_000).await.expect("works");
    assert!(!may(&one, 129_999).await, "nobody while it may still take effect");
    assert!(may(&other, 130_000).await);
    drop(other);
    one.reclaim(200_000).await.expect("works");
    assert!(!may(&one, 229_999).await, "a dead process's claim settles as well");
    assert!(may(&one, 230_000).await);
    one.release_person(CRM, address).await.expect("works");
    assert!(may(&open(folder.path(), "third"), 230_001).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_its_beginning_and_a_retry_forgets_attempts() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, vec![item("s", 100, 1.0, 1)]).await;
    let problem = |code: &str| StoredProblem { code: code.into(), what: "what".into(), help: "help".into() };
    store.hold(CRM, &problem("TL0504"), 10).await.expect("works");
    store.hold(CRM, &problem("TL0504"), 20).await.expect("works");
    assert_eq!(state_of(&store, "s").await, "held");
    assert_eq!(store.holds().await.expect("works")[0].since_ms, 10);
    store.hold(CRM, &problem("TL0505"), 30).await.expect("works");
    assert_eq!(store.holds().await.expect("works")[0].since_ms, 30);
    store.release_hold(CRM).await.expect("works");
    let one = claim(&store, 1, 0).await.remove(0);
    store.settle(vec![again(&one, 5000, IntentFate::Clear)], 1).await.expect("works");
    assert_eq!(store.next_due(CRM, None).await.expect("works"), Some(5000));
    assert!(claim(&store, 1, 4999).await.is_empty());
    let which = Rearm { states: vec!["due"], ..Rearm::default() };
    assert_eq!(rearm(&store, &which, 2).await, 1);
    assert_eq!(claim(&store, 1, 2).await.remove(0).attempts, 0);
}

#[tokio::test]
async fn newest_first_claims_the_latest_call_first_and_a_replay_is_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a1");
    ingest(&store, [3, 1, 2].map(|at| item(&format!("rm_{at}"), at * 100, 60.0, 1)).into()).await;
    let take = async |count, order, replayed, now_ms| {
        let window = Window { count, parts: Parts::Head, order, replayed };
        let claimed = store.claim(CRM, None, window, now_ms, now_ms + LEASE_MS).await.expect("works");
        claimed.into_iter().map(|one| (one.call.call().source_id.clone(), one)).unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (ids, claimed) = take(2, Order::NewestFirst, false, 0).await;
    assert_eq!(ids, ["rm_3", "rm_2"]);
    store
        .settle(claimed.iter().map(|one| delivered(one, &one.delivery_id.to_string())).collect(), 1)
        .await
        .expect("works");
    let replay = Rearm { states: vec!["delivered"], replay: true, ..Rearm::default() };
    assert_eq!(rearm(&store, &replay, 1).await, 2);
    for (order, replayed, ids) in [
        (Order::NewestFirst, false, vec!["rm_1"]),
        (Order::NewestFirst, true, vec!["rm_3", "rm_2"]),
        (Order::OldestFirst, true, vec![]),
    ] {
        assert_eq!(take(9, order, replayed, 2).await.0, ids, "{order:?}, replayed: {replayed}");
    }
}

#[tokio::test]
async fn how_long_something_stands_still_counts_from_when_it_began_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a1");
    let oldest = async || store.oldest_since(CRM).await.expect("works");
    assert_eq!(oldest().await, OldestSince::default());
    ingest(&store, vec![item("rm_1", 100, 60.0, 1), item("rm_2", 200, 60.0, 1)]).await;
    let problem = StoredProblem { code: "TL0601".into(), what: "refused".into(), help: String::new() };
    let back = claim(&store, 1, 1000).await;
    assert_eq!(oldest().await, OldestSince { dead_ms: None, waiting_ms: Some(0) }, "also while it is in hand");
    store.settle(vec![again(&back[0], 2000, IntentFate::Clear)], 1000).await.expect("works");
    assert_eq!(oldest().await.waiting_ms, Some(0), "tries change nothing of it");
    let claimed = claim(&store, 9, 5000).await;
    let dead = Change::Dead { problem, intent: IntentFate::Clear };
    let dead = claimed.iter().map(|one| Settlement { change: dead.clone(), ..delivered(one, "") });
    store.settle(dead.collect(), 6000).await.expect("works");
    assert_eq!(oldest().await, OldestSince { dead_ms: Some(6000), waiting_ms: None });
    rearm(&store, &Rearm { states: vec!["dead"], ..Rearm::default() }, 7000).await;
    assert_eq!(oldest().await, OldestSince { dead_ms: None, waiting_ms: Some(7000) });
}

#[tokio::test]
async fn a_report_and_the_counts_are_what_the_listing_shows_after_every_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a1");
    let day_s = 86_400;
    let seen = std::cell::RefCell::new(std::collections::BTreeSet::new());
    // By day and state, of the listing, of the report and of the tally.
    let agree = async |step: &str| {
        let rows = store.deliveries(&DeliveryFilter::default()).await.expect("works");
        let mut listed = std::collections::BTreeMap::<(Option<String>, &str), u64>::new();
        let mut states = std::collections::BTreeMap::<String, u64>::new();
        for row in &rows {
            let state = if row.state == "leased" || row.state == "unknown" { "due" } else { row.state.as_str() };
            *listed.entry((row.day.clone(), state)).or_default() += 1;
            *states.entry(row.state.clone()).or_default() += 1;
            seen.borrow_mut().insert(row.state.clone());
        }
        let mut reported = std::collections::BTreeMap::new();
        for day in &store.report(date(1970, 1, 1), date(1970, 1, 9)).await.expect("works") {
            let (skipped, dead) = (day.skipped.values().sum::<u64>(), day.dead.values().sum::<u64>());
            let figures = [("delivered", day.delivered), ("skipped", skipped), ("dead", dead), ("due", day.waiting)];
            assert_eq!(figures.iter().map(|(_, count)| count).sum::<u64>(), day.calls, "{step}");
            let some = figures.into_iter().filter(|(_, count)| *count > 0);
            reported.extend(some.map(|(state, count)| ((day.day.clone(), state), count)));
        }
        assert_eq!(reported, listed, "{step}");
        let mut tallied = std::collections::BTreeMap::<String, u64>::new();
        for row in store.tally(CRM, None).await.expect("works") {
            *tallied.entry(row.state).or_default() += row.count;
        }
        assert_eq!(tallied, states, "{step}");
        let due = states.get("due").copied().unwrap_or_default() + states.get("unknown").copied().unwrap_or_default();
        assert_eq!(store.count(CRM, "due", None, None).await.expect("works"), due, "{step}");
        assert_eq!(store.next_due(CRM, None).await.expect("works").is_some(), due > 0, "{step}");
    };
    agree("nothing").await;
    let mut items: Vec<IntakeItem> = (0..6).map(|n| item(&format!("rm_{n}"), n * day_s, 1.0, 1)).collect();
    let undated = Call::new("sessions", "undated");
    let fate = IntakeCall::of(redact(undated), Digest::of(b"undated"), Vec::new()).expect("a call that can be encoded");
    items.push(IntakeItem { raw: raw("undated", 1), day: None, fate: IntakeFate::Call(Box::new(fate)) });
    ingest(&store, items).await;
    agree("read").await;
    let claimed = claim(&store, 5, 0).await;
    agree("claimed").await;
    let problem = || StoredProblem { code: "TL0601".into(), what: "refused".into(), help: String::new() };
    let settle = |one: &Claimed, change: Change| Settlement { change, ..delivered(one, "") };
    let settlements = vec![
        delivered(&claimed[0], "00T1"),
        settle(&claimed[1], Change::Skipped { problem: problem(), match_json: "{}".to_owned() }),
        settle(&claimed[2], Change::Dead { problem: problem(), intent: IntentFate::Clear }),
        again(&claimed[3], 5, IntentFate::Clear),
        delivered(&claimed[4], "00T2"),
    ];
    assert_eq!(store.settle(settlements, 1).await.expect("works"), 5);
    agree("settled").await;
    // Its day is another one now, and with it that of its delivery.
    ingest(&store, vec![item("rm_0", 7 * day_s, 2.0, 2)]).await;
    agree("changed").await;
    for which in [
        Rearm { states: vec!["delivered"], replay: true, ..Rearm::default() },
        Rearm { states: vec!["dead", "skipped"], ..Rearm::default() },
    ] {
        assert!(rearm(&store, &which, 9).await > 0);
        agree("due again").await;
    }
    drop(store);
    let younger = open(folder.path(), "a2");
    assert_eq!(younger.count(CRM, "due", None, None).await.expect("works"), 7);
    for state in ["due", "leased", "delivered", "skipped", "dead"] {
        assert!(seen.borrow().contains(state), "no step had one that is {state}");
    }
}

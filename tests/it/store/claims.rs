//! Leases: who may deliver what, in which order.

use super::*;

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
async fn a_claim_takes_the_calls_that_fit_into_memory_together_and_a_larger_one_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    ingest(&store, ["one", "two", "three", "four"].into_iter().zip(1..).map(|(id, at)| item(id, at, 1.0, 1)).collect())
        .await;
    let ledger = rusqlite::Connection::open(folder.path().join("calls.db")).expect("a database");
    let large = CallKey::from_source("sessions", "three");
    // What a body comes to when it is read; a claim may come to 24 MiB.
    let sizes =
        "UPDATE call_body SET tail_bytes = 0, head_bytes = CASE call_key WHEN ?1 THEN 100 ELSE 12 END * 1048576";
    assert_eq!(ledger.execute(sizes, [large.as_str()]).expect("works"), 4);
    let mut claims = Vec::new();
    for _ in 0..4 {
        let claimed = claim(&store, 10, 0).await;
        claims.push(claimed.into_iter().map(|one| one.call.call().source_id.clone()).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(claims, ["one two", "three", "four", ""]);
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
async fn what_a_clock_that_was_ahead_put_off_is_due_and_a_pause_of_today_lasts() {
    const HOUR_MS: i64 = 3_600_000;
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    for (id, at_ms) in [("next year", 8_760 * HOUR_MS), ("in an hour", HOUR_MS)] {
        ingest(&store, vec![item(id, 100, 1.0, 1)]).await;
        let one = claim(&store, 1, 0).await.remove(0);
        assert_eq!(store.settle(vec![again(&one, at_ms, IntentFate::Clear)], 0).await.expect("works"), 1);
    }
    assert!(claim(&store, 10, 1000).await.is_empty());
    store.forget_the_future(1000).await.expect("works");
    let due =
        async |now_ms| claim(&store, 10, now_ms).await.iter().map(|one| one.call.call().source_id.clone()).collect();
    let (now, later): (Vec<String>, Vec<String>) = (due(1000).await, due(HOUR_MS).await);
    assert_eq!((now, later), (vec!["next year".to_owned()], vec!["in an hour".to_owned()]));
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

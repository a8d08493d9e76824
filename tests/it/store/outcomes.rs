//! What was sent, what became of it, and what is told of it.

use super::*;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_run_counts_as_ended_once_it_ended_and_no_other_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path(), "a");
    let last = async |command, ended| store.last_run(command, ended).await.expect("works");
    assert_eq!((last("sync", false).await, last("sync", true).await), (None, None));
    let mut runs = Vec::new();
    for (command, at_ms) in [("sync", 10), ("serve", 20), ("sync", 30)] {
        runs.push(store.begin_run(command, at_ms).await.expect("works"));
    }
    store.end_run(runs[0], "{}", 40).await.expect("works");
    assert_eq!((last("sync", false).await, last("sync", true).await), (Some(30), Some(10)));
    assert_eq!((last("serve", false).await, last("serve", true).await), (Some(20), None));
    store.end_run(runs[1], "{}", 50).await.expect("works");
    assert_eq!((last("sync", true).await, last("serve", true).await), (Some(10), Some(20)));
}

//! Promise: one call, one record, however odd its id or address is, and also where another program or an earlier life
//! of the ledger has been there before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trunkline::sim::salesforce::{Fault, FaultKind};

use crate::support::network::{LateNetwork, Loss};
use crate::support::rest_kits::{ForCallData, Kit};
use crate::support::session::session;
use crate::support::world::{DAY, KeyField, World, text};

const BOTH: [KeyField; 2] = [KeyField::There, KeyField::Missing];

/// A Task as the script before us made it.
fn script_task(world: &World, who: &str, id: &str, date: &str) -> String {
    world.org.insert(
        "Task",
        json!({
            "Subject": format!("Voice AI Call - {date}"), "WhoId": who, "Status": "Completed", "ActivityDate": date,
            "Description": format!("Voice AI Call Summary\nDuration: 6 minutes\nSession ID: {id}\n\nby the script"),
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_an_earlier_script_are_taken_over_and_not_doubled() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        let ada = world.contact("ada@example.com");
        let other = world.contact("other@example.com");
        let cases = [
            ("same_person", &ada, "2026-11-20"),
            ("another_person", &other, "2026-11-20"),
            ("local_date", &ada, "2026-11-19"),
            ("later_date", &ada, "2026-11-21"),
        ];
        for (id, who, date) in cases {
            script_task(&world, who, id, date);
            world.put(&format!("{id}.json"), &session(id, "ada@example.com", "2026-11-20T01:00:00", 60));
        }
        world.put("fresh.json", &session("fresh", "ada@example.com", "2026-11-20T02:00:00", 60));

        for round in ["first run", "second run", "after the ledger was lost"] {
            if round == "after the ledger was lost" {
                world.forget_the_ledger();
            }
            let summary = world.sync().await;
            if round == "first run" {
                assert_eq!((summary.delivery.adopted, summary.delivery.delivered), (4, 1), "{key_field:?}");
            }
            assert_eq!(world.tasks().len(), 5, "{key_field:?}, {round}");
            for (id, ..) in cases {
                assert_eq!(text(&world.task(id), "CallObject"), id, "{key_field:?}, {round}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_still_runs_beside_us_makes_no_third_task() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        let ada = world.contact("ada@example.com");
        world.put("s.json", &session("both", "ada@example.com", "2026-11-20T01:00:00", 60));
        world.sync().await;
        let ours = text(&world.task("both"), "Id").to_owned();
        let theirs = script_task(&world, &ada, "both", "2026-11-20");
        world.forget_the_ledger();
        world.put("s.json", &session("both", "ada@example.com", "2026-11-20T01:00:00", 90));
        world.sync().await;
        assert_eq!(world.tasks().len(), 2, "{key_field:?}");
        let task = |id: &str| world.tasks().into_iter().find(|task| text(task, "Id") == id).expect("it is still there");
        assert_eq!(task(&ours)["CallDurationInSeconds"], json!(90), "{key_field:?}: ours is the one that is updated");
        assert!(text(&task(&theirs), "Description").ends_with("by the script"), "{key_field:?}");
    }
}

/// Ids that differ, and that a database, a form or an eye may take for the same.
fn ids_that_look_alike() -> Vec<String> {
    ["rm_abc", "rm_ABC", "Rm_aBc", "rm_a\u{308}bc", "rm_\u{e4}bc", "rm_\u{c4}bc", "rm  abc", "rm abc"]
        .iter()
        .map(|id| (*id).to_owned())
        .chain([" rm_abc".to_owned(), "rm_abc ".to_owned(), "rm_abc\u{a0}".to_owned(), "rm_abc\n".to_owned()])
        .chain(["a".repeat(255), "a".repeat(256), "a".repeat(255) + "b", "A".repeat(300), "\u{1f600}".repeat(200)])
        .chain(["rm'abc".to_owned(), "rm\\abc".to_owned(), "rm\"abc".to_owned(), "rm%abc_".to_owned()])
        // Zero width: joiner, non-joiner, space, word joiner, mark of byte order, soft hyphen, variation selector.
        .chain(
            ["\u{200d}", "\u{200c}", "\u{200b}", "\u{2060}", "\u{feff}", "\u{ad}", "\u{fe0f}"]
                .map(|none| format!("rm_a{none}bc")),
        )
        .chain([
            "\u{200b}rm_abc".to_owned(),
            "rm_abc\u{200b}".to_owned(),
            "rm_\u{430}bc".to_owned(),
            "rm_abc\t".to_owned(),
        ])
        .chain(
            ["\u{fb01}", "fi", "\u{212b}", "\u{c5}", "\u{131}", "i", "\u{130}", "I", "\u{df}", "ss"]
                .map(|text| format!("rm_{text}")),
        )
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_look_alike_are_calls_of_their_own_at_the_call_data_api() {
    let ids = ids_that_look_alike();
    let world = ForCallData::world().await;
    for (index, id) in ids.iter().enumerate() {
        world.put(&format!("{index}.json"), &session(id, "ada@example.com", "2026-11-20T01:00:00", index as i64 + 1));
    }
    for round in ["first run", "second run"] {
        world.sync_to_the_end().await;
        let calls = world.api().calls();
        let keys: BTreeSet<String> = calls.iter().map(|call| call["callDetails"]["callId"].to_string()).collect();
        assert_eq!((calls.len(), keys.len()), (ids.len(), ids.len()), "{round}: one call for each id, and no id twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_a_crm_folds_together_stay_apart_also_after_the_ledger_was_lost() {
    let ids = ids_that_look_alike();
    for key_field in BOTH {
        let world = World::new(key_field).await;
        world.contact("ada@example.com");
        for (index, id) in ids.iter().enumerate() {
            world.put(
                &format!("{index}.json"),
                &session(id, "ada@example.com", "2026-11-20T01:00:00", index as i64 + 1),
            );
        }
        for round in ["first run", "second run", "after the ledger was lost"] {
            if round == "after the ledger was lost" {
                world.forget_the_ledger();
            }
            world.sync().await;
            let mut seconds: Vec<i64> =
                world.tasks().iter().filter_map(|task| task["CallDurationInSeconds"].as_i64()).collect();
            seconds.sort_unstable();
            let expected: Vec<i64> = (1..=ids.len() as i64).collect();
            assert_eq!(seconds, expected, "{key_field:?}, {round}: one Task for each id, and no id twice");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_data_and_never_a_query() {
    let world = World::new(KeyField::Missing).await;
    let victim = world.contact("victim@example.com");
    let quoted = world.contact("d'arcy.o'neil@example.com");
    let slashed = world.contact("back\\slash@example.com");
    let cases = [
        ("apostrophes", "D'Arcy.O'Neil@example.com", Some(&quoted)),
        ("backslash", "back\\slash@example.com", Some(&slashed)),
        ("or", "x' OR Email LIKE '%@example.com", None),
        ("escaped", "x\\' OR Email != '", None),
        ("closing", "x') OR (Email != '", None),
        ("newline", "victim@example.com\n' OR Email != '", None),
        ("comment", "victim@example.com'--", None),
        ("percent", "%@example.com", None),
        ("underscore", "_ictim@example.com", None),
        ("nul", "victim@example.com\u{0}", None),
        ("wide", "ｖictim@example.com", None),
        ("list", "victim@example.com,other@example.com", None),
        ("plain", " VICTIM@example.com ", Some(&victim)),
    ];
    for (id, email, _) in cases {
        world.put(&format!("{id}.json"), &session(id, email, "2026-11-20T01:00:00", 60));
    }
    let summary = world.sync().await;
    assert!(summary.delivery.hold.is_none() && summary.delivery.waiting == 0, "{:?}", summary.delivery);
    for (id, email, person) in cases {
        let found: Vec<String> = world.tasks_of(id).iter().map(|task| text(task, "WhoId").to_owned()).collect();
        let expected: Vec<String> = person.into_iter().cloned().collect();
        assert_eq!(found, expected, "{id}: {email:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_of_one_unknown_address_make_one_lead_even_if_an_answer_is_lost() {
    let lost = [
        None,
        Some(FaultKind::DropAfterCommit),
        Some(FaultKind::UnavailableAfterCommit),
        Some(FaultKind::DropBeforeCommit),
    ];
    for key_field in BOTH {
        for kind in lost {
            let world = World::new(key_field).await.configure("[salesforce]\nno_match = \"create_lead\"");
            if let Some(kind) = kind {
                world.fault(Fault::new(kind).times(1).on_method("POST").on_path("/sobjects/Lead"));
            }
            for (id, email) in [("one", "new@example.com"), ("two", " New@Example.com"), ("three", "third@example.com")]
            {
                world.put(&format!("{id}.json"), &session(id, email, "2026-11-20T01:00:00", 60));
            }
            world.sync().await;
            if let Some(kind) = kind {
                assert_eq!(world.met(kind), 1, "the fault was never met");
            }
            let leads = world.org.records("Lead");
            assert_eq!(leads.len(), 2, "{key_field:?}, {kind:?}: {leads:#?}");
            let who = |id: &str| text(&world.task(id), "WhoId").to_owned();
            assert_eq!(who("one"), who("two"), "{key_field:?}, {kind:?}");
            assert_ne!(who("one"), who("three"), "{key_field:?}, {kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converted_lead_stands_for_the_contact_that_it_became() {
    let world = World::new(KeyField::There).await;
    let contact = world.contact("new.address@example.com");
    world.org.insert(
        "Lead",
        json!({
            "LastName": "Ruiz", "Company": "Example", "Email": "old.address@example.com", "IsConverted": true,
            "ConvertedContactId": contact,
        }),
    );
    world.put("s.json", &session("converted", "old.address@example.com", &format!("{DAY}T09:00:00"), 60));
    world.sync().await;
    assert_eq!(text(&world.task("converted"), "WhoId"), contact);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_whose_ids_read_the_same_on_a_task_get_a_task_each() {
    for key_field in [KeyField::There, KeyField::Missing] {
        let world = World::new(key_field).await;
        let (ada, ben) = (world.contact("ada@example.com"), world.contact("ben@example.com"));
        world.put("one.json", &session(" rm_1", "ada@example.com", "2026-11-20T09:00:00", 60));
        world.sync().await;
        world.put("two.json", &session("rm_1", "ben@example.com", "2026-11-20T10:00:00", 60));
        world.sync().await;
        let mut on: Vec<String> = world.tasks().iter().map(|task| text(task, "WhoId").to_owned()).collect();
        on.sort();
        assert_eq!(on, [ada, ben], "{key_field:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_moved_stays_where_it_was_moved_to_until_the_caller_is_another() {
    for key_field in BOTH {
        let world = World::new(key_field).await;
        let (ada, ben) = (world.contact("ada@example.com"), world.contact("ben@example.com"));
        let boss = world.contact("boss@example.com");
        let who = || text(&world.task("moved"), "WhoId").to_owned();
        world.put("s.json", &session("moved", "ada@example.com", "2026-11-20T01:00:00", 60));
        world.sync().await;
        assert_eq!(who(), ada, "{key_field:?}");
        let id = text(&world.task("moved"), "Id").to_owned();
        world.org.update(&id, json!({ "WhoId": boss }));

        world.put("s.json", &session("moved", "ada@example.com", "2026-11-20T01:00:00", 90));
        world.sync().await;
        assert_eq!(world.task("moved")["CallDurationInSeconds"], json!(90), "{key_field:?}");
        assert_eq!(who(), boss, "{key_field:?}: what somebody moved stays");

        world.put("s.json", &session("moved", "ben@example.com", "2026-11-20T01:00:00", 90));
        world.sync().await;
        assert_eq!(who(), ben, "{key_field:?}: another caller is another person");
        assert_eq!(world.tasks().len(), 1, "{key_field:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_subject_of_the_earlier_script_is_asked_for_in_queries_that_the_org_takes() {
    let subject = format!("{} {{date}}", "Звонок ".repeat(30));
    let world = World::new(KeyField::There).await.configure(&format!("[salesforce]\nadopt_subject = \"{subject}\""));
    world.contact("ada@example.com");
    for day in 1..=20 {
        let start = format!("2026-11-{day:02}T09:00:00");
        world.put(&format!("{day}.json"), &session(&format!("rm_{day}"), "ada@example.com", &start, 60));
    }
    let summary = world.sync().await;
    assert_eq!((summary.delivery.delivered, summary.delivery.waiting), (20, 0), "{:?}", summary.delivery);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_holder_nobody_can_see_is_told_and_not_tried_for_nights() {
    let world = World::new(KeyField::There).await;
    world.contact("ada@example.com");
    for id in ["rm_1", "rm_2"] {
        world.put(&format!("{id}.json"), &session(id, "ada@example.com", "2026-11-20T09:00:00", 60));
    }
    let message = "duplicate value found: Call_Key__c duplicates value on record with id: <unknown>";
    world.fault(Fault::new(FaultKind::FailRow).failing_with("DUPLICATE_VALUE", message));
    let summary = world.sync().await;
    assert_eq!(summary.delivery.dead.values().sum::<u64>(), 2, "{:?}", summary.delivery);
    let calls = world.org.counters().api_calls;
    assert!(calls < 30, "{calls} requests");
    world.org.clear_faults();
    assert_eq!(world.retry().await.delivery.delivered, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_that_the_org_never_takes_is_a_dead_letter_at_last() {
    let world = World::new(KeyField::There)
        .await
        .configure("[salesforce]\nno_match = \"create_lead\"\n[delivery]\nattempts_max = 4");
    world.put("one.json", &session("rm_1", "ada@example.com", "2026-11-20T09:00:00", 60));
    let (code, message) = ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "LeadTrigger: System.LimitException: Too many SOQL");
    world.fault(Fault::new(FaultKind::FailRow).on_path("/sobjects/Lead").failing_with(code, message));
    let summary = world.sync().await;
    assert_eq!(summary.delivery.dead.get("TL0606"), Some(&1), "{:?}", summary.delivery);
    world.org.clear_faults();
    assert_eq!(world.retry().await.delivery.delivered, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_people_whom_a_slow_org_takes_long_to_make_are_delivered_in_the_same_run() {
    let world = World::new(KeyField::There).await.configure("[salesforce]\nno_match = \"create_lead\"");
    world.contact("ada@example.com");
    for index in 0..40 {
        let (id, email) = (format!("rm_{index}"), format!("caller{index}@example.com"));
        world.put(&format!("{id}.json"), &session(&id, &email, "2026-11-20T09:00:00", 60));
    }
    world.put("known.json", &session("known", "ada@example.com", "2026-11-20T08:00:00", 60));
    // Each write takes 20 seconds.
    let network = LateNetwork::new(world.clock.clone(), Loss::Cut, 0, Duration::ZERO);
    let summary = world.sync_over(Arc::new(network)).await;
    assert_eq!((summary.delivery.delivered, summary.delivery.waiting), (41, 0), "{:?}", summary.delivery);
    assert_eq!(world.org.records("Lead").len(), 40);
}

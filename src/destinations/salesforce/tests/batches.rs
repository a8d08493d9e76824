//! Batches of 200 in which anything may happen to any record: each outcome is that of its own record.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::net::{Net, Seen, reply};
use super::*;
use crate::destinations::{Destination, Outcome};
use crate::problem as p;

const BATCHES: u64 = 10_000;
const ROWS: usize = 200;

/// What the org makes of one record. It stands in the record's Subject, so that the org need not know its place.
const FATES: [(&str, Option<(&str, &str)>); 5] = [
    ("taken", None),
    ("locked", Some(("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"))),
    ("invalid", Some(("FIELD_CUSTOM_VALIDATION_EXCEPTION", "a rule of the org says no"))),
    ("failed", Some(("UNKNOWN_EXCEPTION", "An unexpected error occurred"))),
    ("double", Some(("DUPLICATE_VALUE", "duplicate value found: Call_Key__c duplicates value on record with id: "))),
];

/// What the org does with the answers as a whole.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Whole {
    AsAsked,
    OneLess,
    OneMore,
    Shuffled,
}

fn id_of(number: usize) -> String {
    format!("00T{number:012}AAA")
}

/// A record with a number of its own; every eighth has the key of the one before, as a double within the batch.
fn write_of(number: usize, fate: &str, is_update: bool) -> Write {
    let mut write = if is_update { update("s", &id_of(number)) } else { create("s") };
    write.record.insert("Subject".into(), format!("{number} {fate}").into());
    write.record.insert("Call_Key__c".into(), format!("key {}", number - usize::from(number % 8 == 7)).into());
    write
}

fn answer_of(record: &Value) -> Value {
    let (number, fate) = record["Subject"].as_str().and_then(|text| text.split_once(' ')).expect("as written");
    let id = id_of(number.parse().expect("a number"));
    let Some((code, message)) = FATES.iter().find(|one| one.0 == fate).expect("a fate").1 else {
        return json!({"id": id, "success": true, "errors": []});
    };
    let message =
        if code == "DUPLICATE_VALUE" { format!("{message}{}", id_of(900_000 + id.len())) } else { message.into() };
    json!({"success": false, "errors": [{"statusCode": code, "message": message, "fields": []}]})
}

fn answers(seen: &Seen, whole: Whole, seed: u64) -> Value {
    let mut answers: Vec<Value> = seen.json()["records"].as_array().expect("records").iter().map(answer_of).collect();
    match whole {
        Whole::AsAsked => {}
        Whole::OneLess => _ = answers.pop(),
        Whole::OneMore => answers.push(json!({"id": id_of(1), "success": true, "errors": []})),
        Whole::Shuffled => answers.shuffle(&mut StdRng::seed_from_u64(seed)),
    }
    answers.into()
}

/// What must be said of a record, whatever its neighbours met.
fn is_own(outcome: &Outcome, number: usize, fate: &str, is_update: bool) -> bool {
    match (fate, outcome) {
        ("taken", Outcome::Delivered { remote_id, created }) => *remote_id == id_of(number) && *created != is_update,
        ("locked", Outcome::Retry { problem, smaller: true, .. }) => problem.code == p::ROW_LOCKED,
        ("invalid", Outcome::Reject { .. }) => true,
        ("failed", Outcome::Unknown { problem, .. }) => problem.code == p::OUTCOME_UNKNOWN,
        ("double", Outcome::Exists { remote_id }) => *remote_id == id_of(900_018),
        _ => false,
    }
}

/// Sends the batches of these seeds and checks each outcome. Answers what the org did with how many.
async fn send(seeds: Range<u64>) -> BTreeMap<String, u64> {
    let next = Arc::new(Mutex::new((Whole::AsAsked, 0)));
    let told = Arc::clone(&next);
    let net = Net::new(move |seen| {
        let (whole, seed) = *told.lock().expect("nobody panicked");
        seen.path().ends_with("/composite/sobjects").then(|| reply(200, answers(seen, whole, seed)))?
    });
    let destination = destination(&net);
    destination.prepare().await.expect("an org that is ready");
    let mut met = BTreeMap::new();
    for seed in seeds {
        let mut rng = StdRng::seed_from_u64(seed);
        let is_update = rng.random_bool(0.5);
        let whole = *[Whole::AsAsked, Whole::AsAsked, Whole::OneLess, Whole::OneMore, Whole::Shuffled]
            .choose(&mut rng)
            .filter(|whole| is_update || **whole != Whole::Shuffled)
            .unwrap_or(&Whole::AsAsked);
        *next.lock().expect("nobody panicked") = (whole, seed);
        let fates: Vec<&str> = (0..ROWS).map(|_| FATES.choose(&mut rng).expect("some").0).collect();
        let writes: Vec<Write> = fates.iter().enumerate().map(|(at, fate)| write_of(at, fate, is_update)).collect();
        let outcomes = destination.write(&writes).await;
        assert_eq!(outcomes.len(), ROWS, "batch {seed}");
        for (number, (outcome, fate)) in outcomes.iter().zip(&fates).enumerate() {
            let fits = match whole {
                Whole::AsAsked => is_own(outcome, number, fate, is_update),
                Whole::OneLess | Whole::OneMore | Whole::Shuffled => matches!(outcome, Outcome::Unknown { .. }),
            };
            assert!(fits, "batch {seed} ({whole:?}, update {is_update}), record {number}, {fate}: {outcome:?}");
        }
        *met.entry(format!("{whole:?}")).or_default() += 1;
    }
    met
}

#[tokio::test]
async fn each_record_of_a_batch_has_its_own_outcome_wherever_it_stands() {
    // The network keeps what it has seen: one for a hundred batches.
    const OF_ONE_NET: u64 = 100;
    let mut met = BTreeMap::<String, u64>::new();
    for first in (0..BATCHES).step_by(OF_ONE_NET as usize) {
        for (what, count) in send(first..first + OF_ONE_NET).await {
            *met.entry(what).or_default() += count;
        }
    }
    assert!(met.len() == 4 && met.values().all(|count| *count > BATCHES / 20), "{met:?}");
}

//! Writes a batch of records in one request and reads one outcome for each.
//!
//! Invariant: outcomes stand in the order of the records, one each, whatever the org answers. No write is sent twice
//! here: what follows an outcome is the engine's decision.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Ask, Client, read_json};
use super::outcome::{self, Effect, Row};
use super::refusal::Fault;
use crate::destinations::{Operation, Outcome, Record, Write};

/// Most records that Salesforce takes in one request.
pub const RECORDS_MAX: usize = 200;
const COLLECTIONS: &str = "/composite/sobjects";

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "allOrNone")]
    all_or_none: bool,
    records: Vec<BodyRecord<'a>>,
}

#[derive(Serialize)]
struct BodyRecord<'a> {
    attributes: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(flatten)]
    fields: &'a Record,
}

#[derive(Deserialize)]
struct RowAnswer {
    #[serde(default)]
    id: Option<String>,
    success: bool,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// Writes the records; creates and updates go in requests of their own, and so does what is over the limit.
pub async fn write(client: &Client, key_field: &str, writes: &[Write]) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; writes.len()];
    for update in [false, true] {
        let is_update = |write: &Write| matches!(write.operation, Operation::Update { .. });
        let places: Vec<usize> = (0..writes.len()).filter(|place| is_update(&writes[*place]) == update).collect();
        for chunk in places.chunks(RECORDS_MAX) {
            let records: Vec<&Write> = chunk.iter().map(|place| &writes[*place]).collect();
            let answers = write_one_request(client, key_field, &records, update).await;
            for (place, answer) in chunk.iter().zip(answers) {
                outcomes[*place] = Some(answer);
            }
        }
    }
    let unanswered = || outcome::of_nonsense("Salesforce gives no result for this record", Effect::Write);
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
}

async fn write_one_request(client: &Client, key_field: &str, writes: &[&Write], update: bool) -> Vec<Outcome> {
    let everyone = |outcome: Outcome| vec![outcome; writes.len()];
    let records = writes.iter().map(|write| BodyRecord {
        attributes: json!({ "type": write.object }),
        id: match &write.operation {
            Operation::Update { remote_id } => Some(remote_id),
            Operation::Create => None,
        },
        fields: &write.record,
    });
    let body = Body { all_or_none: false, records: records.collect() };
    let Ok(encoded) = serde_json::to_vec(&body) else {
        return everyone(outcome::of_nonsense("the records cannot be written as JSON", Effect::Read));
    };
    let ask = Ask {
        method: if update { Method::PATCH } else { Method::POST },
        path: COLLECTIONS,
        body: Some(encoded),
        effect: Effect::Write,
        counted: true,
        header: None,
    };
    let rows = writes.len();
    let response = match client.send(&ask).await {
        Ok(response) => response,
        Err(failure) => {
            let row = writes.first().map(|write| Row { key_field, key: write.key.as_str(), update, rows });
            return everyone(failure.into_outcome(Effect::Write, row));
        }
    };
    let answers: Vec<RowAnswer> = match read_json(&response, Effect::Write) {
        Ok(answers) => answers,
        Err(outcome) => return everyone(outcome),
    };
    if answers.len() != writes.len() {
        return everyone(outcome::of_nonsense(
            "Salesforce answers for more or fewer records than were sent",
            Effect::Write,
        ));
    }
    let settle = |(answer, write): (RowAnswer, &&Write)| {
        of_answer(answer, write, Row { key_field, key: write.key.as_str(), update, rows })
    };
    answers.into_iter().zip(writes).map(settle).collect()
}

fn of_answer(answer: RowAnswer, write: &Write, row: Row) -> Outcome {
    if !answer.success {
        return outcome::of_row(&answer.errors, row);
    }
    match (&write.operation, answer.id.filter(|id| !id.is_empty())) {
        (Operation::Update { remote_id }, _) => Outcome::Delivered { remote_id: remote_id.clone(), created: false },
        (Operation::Create, Some(remote_id)) => Outcome::Delivered { remote_id, created: true },
        (Operation::Create, None) => {
            outcome::of_nonsense("Salesforce reports a new record without its id", Effect::Write)
        }
    }
}

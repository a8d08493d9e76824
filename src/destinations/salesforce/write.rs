//! Writes a batch of records in one request and reads one outcome for each.
//!
//! Invariant: outcomes stand in the order of the records, one each, whatever the org answers. No write is sent twice
//! here: what follows an outcome is the engine's decision.

use std::collections::HashSet;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Ask, Client, read_json};
use super::outcome::{self, Effect, Row};
use super::refusal::{Fault, null_as_empty};
use super::soql::InQuery;
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
    #[serde(default, deserialize_with = "null_as_empty")]
    errors: Vec<Fault>,
}

impl RowAnswer {
    /// The record and the error, if an update failed because something is gone and it is not told what.
    fn open_question<'a>(&'a self, write: &'a Write) -> Option<(&'a str, &'a Fault)> {
        let id = remote_id(write).filter(|_| !self.success)?;
        Some((id, self.errors.iter().find(|fault| outcome::is_gone_without_a_name(fault))?))
    }
}

#[derive(Deserialize)]
struct IdRow {
    #[serde(rename = "Id")]
    id: String,
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
    let rows = writes.len();
    let answers = match send_records(client, key_field, writes, update).await {
        Ok(answers) => answers,
        Err(outcome) => return vec![outcome; rows],
    };
    let standing = still_there(client, writes, &answers).await;
    let settle = |(answer, write): (RowAnswer, &&Write)| {
        let open = answer.open_question(write);
        match (open, &standing) {
            (Some(_), Err(outcome)) => outcome.clone(),
            (Some((id, fault)), Ok(ids)) if ids.contains(short(id)) => outcome::of_gone_person(fault),
            _ => of_answer(answer, write, Row { key_field, key: write.key.as_str(), update, rows }),
        }
    };
    answers.into_iter().zip(writes).map(settle).collect()
}

/// One request, one answer for each record; `Err` is the outcome of all.
async fn send_records(
    client: &Client,
    key_field: &str,
    writes: &[&Write],
    update: bool,
) -> Result<Vec<RowAnswer>, Outcome> {
    let records = writes.iter().map(|write| BodyRecord {
        attributes: json!({ "type": write.object }),
        id: remote_id(write),
        fields: &write.record,
    });
    let body = Body { all_or_none: false, records: records.collect() };
    let encoded = serde_json::to_vec(&body)
        .map_err(|_| outcome::of_nonsense("the records cannot be written as JSON", Effect::Read))?;
    let ask = Ask {
        method: if update { Method::PATCH } else { Method::POST },
        path: COLLECTIONS,
        body: Some(encoded),
        effect: Effect::Write,
        counted: true,
        header: None,
    };
    let response = client.send(&ask).await.map_err(|failure| {
        let row = writes.first().map(|write| Row { key_field, key: write.key.as_str(), update, rows: writes.len() });
        failure.into_outcome(Effect::Write, row)
    })?;
    let answers: Vec<RowAnswer> = read_json(&response, Effect::Write)?;
    if answers.len() == writes.len() {
        return Ok(answers);
    }
    Err(outcome::of_nonsense("Salesforce answers for more or fewer records than were sent", Effect::Write))
}

fn remote_id(write: &Write) -> Option<&str> {
    match &write.operation {
        Operation::Update { remote_id } => Some(remote_id),
        Operation::Create => None,
    }
}

/// The 15 characters that tell records apart in both forms of an id.
fn short(id: &str) -> &str {
    id.get(..15).unwrap_or(id)
}

/// Which records stand there still, of those whose errors leave open whether they or their persons are gone.
async fn still_there(client: &Client, writes: &[&Write], answers: &[RowAnswer]) -> Result<HashSet<String>, Outcome> {
    let open = writes.iter().zip(answers).filter_map(|(write, answer)| answer.open_question(write));
    let ids: Vec<String> = open.map(|(id, _)| id.to_owned()).collect();
    let object = writes.first().map_or("Task", |write| write.object.as_str());
    let before = format!("SELECT Id FROM {object} WHERE Id");
    let query = InQuery { before: &before, values: &ids, after: " AND IsDeleted = false", all_rows: true };
    let mut standing = HashSet::new();
    client.query_in(&query, &mut |row: IdRow| _ = standing.insert(short(&row.id).to_owned())).await?;
    Ok(standing)
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

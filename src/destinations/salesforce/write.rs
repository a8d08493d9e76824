//! Writes a batch of records in one request and reads one outcome for each.
//!
//! Invariant: outcomes stand in the order of the records, one each, whatever the org answers. No write is sent twice
//! here: what follows an outcome is the engine's decision.

use std::collections::HashSet;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answers::{self, RowAnswer};
use super::blame;
use super::client::{Ask, Client, read_json};
use super::describe::Facts;
use super::existing;
use super::outcome::{self, Effect, Row};
use super::refusal::Fault;
use super::rules::Verdict;
use super::soql::InQuery;
use crate::destinations::{Operation, Outcome, Record, Write};
use crate::proof::{self, Protection};

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
struct IdRow {
    #[serde(rename = "Id")]
    id: String,
}

/// What became of the records, and what was learned on the way.
pub struct Written {
    pub outcomes: Vec<Outcome>,
    /// Fields whose texts turned out too long, with the length that the org takes.
    pub lengths: Vec<(String, usize)>,
}

/// Where the records go.
struct Place<'a> {
    client: &'a Client,
    key_field: &'a str,
    facts: &'a Facts,
}

/// Writes the records; creates and updates go in requests of their own, and so does what is over the limit.
pub async fn write(client: &Client, key_field: &str, facts: &Facts, writes: &[Write]) -> Written {
    let place = Place { client, key_field, facts };
    let mut outcomes: Vec<Option<Outcome>> = vec![None; writes.len()];
    let mut lengths = Vec::new();
    for update in [false, true] {
        let is_update = |write: &Write| matches!(write.operation, Operation::Update { .. });
        let places: Vec<usize> = (0..writes.len()).filter(|place| is_update(&writes[*place]) == update).collect();
        for chunk in places.chunks(RECORDS_MAX) {
            let records: Vec<&Write> = chunk.iter().map(|place| &writes[*place]).collect();
            let written = write_one_request(&place, &records, update).await;
            for (place, answer) in chunk.iter().zip(written.outcomes) {
                outcomes[*place] = Some(answer);
            }
            lengths.extend(written.lengths);
        }
    }
    let unanswered = || outcome::of_nonsense("Salesforce gives no result for this record", Effect::Write);
    Written { outcomes: outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect(), lengths }
}

async fn write_one_request(place: &Place<'_>, writes: &[&Write], update: bool) -> Written {
    let (rows, key_field) = (writes.len(), place.key_field);
    let answers = match send_records(place, writes, update).await {
        Ok(answers) => answers,
        Err(outcome) => return Written { outcomes: vec![outcome; rows], lengths: Vec::new() },
    };
    let shut = blame::shut_for_all(place.facts, writes, &answers);
    let standing = still_there(place.client, writes, &answers).await;
    let judge = |index: usize| {
        let (answer, write) = (&answers[index], writes[index]);
        if proof::is_off(Protection::RowResults) {
            return Outcome::Delivered { remote_id: answer.id.clone().unwrap_or_default(), created: !update };
        }
        let row = Row { key_field, key: write.key.as_str(), update, rows, shut: shut[index] };
        match (open_question(answer, write), &standing) {
            (Some(_), Err(outcome)) => outcome.clone(),
            (Some((id, fault)), Ok(ids)) if ids.contains(short(id)) => outcome::of_gone_person(fault),
            _ => of_answer(answer, write, row),
        }
    };
    let mut outcomes: Vec<Outcome> = (0..rows).map(judge).collect();
    find_holders(place, writes, &answers, &mut outcomes).await;
    let lengths = blame::lengths_told(place.facts, writes, &answers, &mut outcomes);
    Written { outcomes, lengths }
}

/// Finds the record that holds a call's key where the org refused the key as a double without telling the holder's id.
async fn find_holders(place: &Place<'_>, writes: &[&Write], answers: &[RowAnswer], outcomes: &mut [Outcome]) {
    let key = |index: usize| writes[index].record.get(place.key_field).and_then(Value::as_str);
    let open: Vec<(usize, &str)> = (0..writes.len())
        .filter(|&index| answers[index].fault(Verdict::DuplicateValue).is_some())
        .filter(|&index| !matches!(outcomes[index], Outcome::Exists { .. }))
        .filter_map(|index| Some((index, key(index)?)))
        .collect();
    if open.is_empty() {
        return;
    }
    let keys: Vec<String> = open.iter().map(|(_, key)| (*key).to_owned()).collect();
    match existing::holders(place.client, place.key_field, &keys).await {
        Ok(holders) => {
            for (index, key) in open {
                if let Some(remote_id) = holders.get(key) {
                    outcomes[index] = Outcome::Exists { remote_id: remote_id.clone() };
                } else if let Outcome::Unknown { problem, .. } = &outcomes[index] {
                    outcomes[index] = outcome::of_unseen_holder(&problem.what);
                }
            }
        }
        Err(outcome) => open.into_iter().for_each(|(index, _)| outcomes[index] = outcome.clone()),
    }
}

/// One request, one answer for each record; `Err` is the outcome of all.
async fn send_records(place: &Place<'_>, writes: &[&Write], update: bool) -> Result<Vec<RowAnswer>, Outcome> {
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
    let response = place.client.send(&ask).await.map_err(|failure| {
        let (key_field, rows) = (place.key_field, writes.len());
        let row = writes.first().map(|write| Row { key_field, key: write.key.as_str(), update, rows, shut: true });
        failure.into_outcome(Effect::Write, row)
    })?;
    let body: Value = read_json(&response, Effect::Write)?;
    let miscounted =
        || outcome::of_nonsense("Salesforce answers for more or fewer records than were sent", Effect::Write);
    let answers = answers::read(&body, writes.len()).ok_or_else(miscounted)?;
    match is_out_of_order(writes, &answers) {
        true => {
            Err(outcome::of_nonsense("Salesforce answers in another order than that of the records", Effect::Write))
        }
        false => Ok(answers),
    }
}

/// Results stand in the order of the records. They do not where one names an updated record at another one's place.
fn is_out_of_order(writes: &[&Write], answers: &[RowAnswer]) -> bool {
    let asked: HashSet<&str> = writes.iter().filter_map(|write| remote_id(write)).map(short).collect();
    let mut named = writes.iter().zip(answers).filter_map(|(write, answer)| remote_id(write).zip(answer.id.as_deref()));
    named.any(|(own, named)| short(own) != short(named) && asked.contains(short(named)))
}

/// The record and the error, if an update failed because something is gone and it is not told what.
fn open_question<'a>(answer: &'a RowAnswer, write: &'a Write) -> Option<(&'a str, &'a Fault)> {
    let id = remote_id(write).filter(|_| answer.failed())?;
    Some((id, answer.faults.iter().find(|fault| outcome::is_gone_without_a_name(fault))?))
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
    let open = writes.iter().zip(answers).filter_map(|(write, answer)| open_question(answer, write));
    let ids: Vec<String> = open.map(|(id, _)| id.to_owned()).collect();
    let object = writes.first().map_or("Task", |write| write.object.as_str());
    let before = format!("SELECT Id FROM {object} WHERE Id");
    let query = InQuery { before: &before, values: &ids, after: " AND IsDeleted = false", all_rows: true };
    let mut standing = HashSet::new();
    client.query_in(&query, &mut |row: IdRow| _ = standing.insert(short(&row.id).to_owned())).await?;
    Ok(standing)
}

fn of_answer(answer: &RowAnswer, write: &Write, row: Row) -> Outcome {
    match answer.success {
        Some(true) => {}
        Some(false) => return outcome::of_row(&answer.faults, row),
        None => return outcome::of_nonsense("Salesforce does not say what became of this record", Effect::Write),
    }
    match (&write.operation, answer.id.clone()) {
        (Operation::Update { remote_id }, _) => Outcome::Delivered { remote_id: remote_id.clone(), created: false },
        (Operation::Create, Some(remote_id)) => Outcome::Delivered { remote_id, created: true },
        (Operation::Create, None) => {
            outcome::of_nonsense("Salesforce reports a new record without its id", Effect::Write)
        }
    }
}

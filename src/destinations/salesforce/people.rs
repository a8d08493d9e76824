//! Finds the person of each call by e-mail: a Contact, else a Lead, else the Contact that a converted Lead became.
//!
//! Invariant: the same rows give the same decision whatever their order, and of thousands of duplicates only the best
//! few are held. Addresses are compared without regard to case, as Salesforce does.

use std::collections::HashMap;

use serde::Deserialize;

use super::client::Client;
use super::config::SeveralRule;
use super::soql::InQuery;
use super::time::parse_time;
use crate::destinations::{CANDIDATES_MAX, Candidate, Match, Outcome, Person, Verdict};
use crate::model::Call;

/// Longest address that an e-mail field of Salesforce can hold.
const EMAIL_CHARS_MAX: usize = 80;
const CONTACTS: &str = "SELECT Id, Email, CreatedDate, LastModifiedDate FROM Contact WHERE Email";
const LEADS: &str =
    "SELECT Id, Email, IsConverted, ConvertedContactId, CreatedDate, LastModifiedDate FROM Lead WHERE Email";

/// Where a candidate comes from, the most wanted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Contact,
    Lead,
    ConvertedLead,
}

/// One record that carries the address.
struct Found {
    tier: Tier,
    /// The record itself.
    id: String,
    /// Whom the Task is to stand on: the record, or the Contact that it became.
    person_id: String,
    modified: Option<String>,
    /// Smaller is better.
    rank: (Tier, i64, String),
}

/// All that was found for one address: the best few and the number of all.
#[derive(Default)]
struct Pile {
    best: Vec<Found>,
    seen: usize,
    /// How many of the best tier, so that "several" is meant within it.
    per_tier: [usize; 3],
}

impl Pile {
    /// Keeps the best; `Found`s of the same record count once as long as it is among them.
    fn add(&mut self, found: Found) {
        if self.best.iter().any(|other| other.id == found.id) {
            return;
        }
        self.seen += 1;
        self.per_tier[found.tier as usize] += 1;
        let place = self.best.partition_point(|other| other.rank < found.rank);
        if place < CANDIDATES_MAX {
            self.best.insert(place, found);
            self.best.truncate(CANDIDATES_MAX);
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PersonRow {
    id: String,
    email: Option<String>,
    is_converted: Option<bool>,
    #[serde(default)]
    converted_contact_id: Option<String>,
    #[serde(default)]
    created_date: Option<String>,
    #[serde(default)]
    last_modified_date: Option<String>,
}

/// Finds the person of each call, in order.
pub async fn match_people(client: &Client, rule: SeveralRule, calls: &[&Call]) -> Result<Vec<Match>, Outcome> {
    let mut piles: HashMap<String, Pile> = HashMap::new();
    for address in calls.iter().filter_map(|call| address(call)).filter(|address| can_be_stored(address)) {
        piles.entry(address).or_default();
    }
    let everyone = sorted(piles.keys());
    gather(client, CONTACTS, &everyone, &mut piles, |row| as_contact(row, rule)).await?;
    let rest = sorted(piles.iter().filter(|(_, pile)| pile.best.is_empty()).map(|(address, _)| address));
    gather(client, LEADS, &rest, &mut piles, |row| as_lead(row, rule)).await?;
    let decide_one = |call: &&Call| match address(call) {
        None => nobody(Verdict::NoEmail, "no-email"),
        Some(address) => piles.get(&address).map_or_else(|| nobody(Verdict::NoMatch, "no-match"), |p| decide(p, rule)),
    };
    Ok(calls.iter().map(decide_one).collect())
}

/// The address to compare by: trimmed, lower case; `None` if blank.
fn address(call: &Call) -> Option<String> {
    let trimmed = call.caller.email.as_deref()?.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_lowercase())
}

/// Whether an e-mail field of Salesforce can hold this: one that it cannot matches nobody, and is not asked about.
fn can_be_stored(address: &str) -> bool {
    let blank = |c: char| c.is_control() || c.is_whitespace();
    address.chars().count() <= EMAIL_CHARS_MAX && address.contains('@') && !address.contains(blank)
}

fn sorted<'a>(addresses: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut list: Vec<String> = addresses.cloned().collect();
    list.sort_unstable();
    list
}

async fn gather(
    client: &Client,
    select: &str,
    addresses: &[String],
    piles: &mut HashMap<String, Pile>,
    convert: impl Fn(PersonRow) -> Option<Found> + Send + Sync,
) -> Result<(), Outcome> {
    let query = InQuery { before: select, values: addresses, after: "", all_rows: false };
    let mut take = |row: PersonRow| {
        let Some(pile) = row.email.as_deref().and_then(|email| piles.get_mut(&email.trim().to_lowercase())) else {
            return;
        };
        if let Some(found) = convert(row) {
            pile.add(found);
        }
    };
    client.query_in(&query, &mut take).await
}

fn as_contact(row: PersonRow, rule: SeveralRule) -> Option<Found> {
    let person_id = row.id.clone();
    Some(found(row, Tier::Contact, person_id, rule))
}

fn as_lead(row: PersonRow, rule: SeveralRule) -> Option<Found> {
    if row.is_converted != Some(true) {
        let person_id = row.id.clone();
        return Some(found(row, Tier::Lead, person_id, rule));
    }
    let person_id = row.converted_contact_id.clone().filter(|id| !id.is_empty())?;
    Some(found(row, Tier::ConvertedLead, person_id, rule))
}

fn found(row: PersonRow, tier: Tier, person_id: String, rule: SeveralRule) -> Found {
    let nanos = |text: &Option<String>| text.as_deref().and_then(parse_time).map(|time| time.as_microsecond());
    let order = match rule {
        SeveralRule::OldestCreated => nanos(&row.created_date).unwrap_or(i64::MAX),
        _ => nanos(&row.last_modified_date).map_or(i64::MAX, |time| -time),
    };
    Found { rank: (tier, order, row.id.clone()), tier, id: row.id, person_id, modified: row.last_modified_date }
}

fn nobody(verdict: Verdict, rule: &str) -> Match {
    Match { verdict, rule: rule.to_owned(), candidates: Vec::new(), candidates_total: 0 }
}

fn decide(pile: &Pile, rule: SeveralRule) -> Match {
    let Some(first) = pile.best.first() else { return nobody(Verdict::NoMatch, "no-match") };
    let one_person = pile.best.iter().all(|f| f.tier != first.tier || f.person_id == first.person_id);
    let several = pile.per_tier[first.tier as usize] > 1 && !(one_person && pile.seen <= CANDIDATES_MAX);
    let skipped = several && rule == SeveralRule::Skip;
    let object = if first.tier == Tier::Lead { "Lead" } else { "Contact" };
    let person = Person { object: object.to_owned(), id: first.person_id.clone() };
    let remark = |index: usize, found: &Found| match (index, skipped) {
        (0, false) => chosen_remark(found, several, rule),
        (_, true) => "one of several; the rule is to skip".to_owned(),
        _ => passed_over_remark(found, first.tier),
    };
    let candidates = pile.best.iter().enumerate().map(|(index, found)| Candidate {
        object: if found.tier == Tier::Contact { "Contact" } else { "Lead" }.to_owned(),
        id: found.id.clone(),
        modified_at: found.modified.clone(),
        remark: remark(index, found),
    });
    Match {
        verdict: if skipped { Verdict::Ambiguous } else { Verdict::Found(person) },
        rule: match first.tier {
            Tier::Contact => "contact-by-email",
            Tier::Lead => "lead-by-email",
            Tier::ConvertedLead => "converted-lead",
        }
        .to_owned(),
        candidates: candidates.collect(),
        candidates_total: pile.seen,
    }
}

fn chosen_remark(found: &Found, several: bool, rule: SeveralRule) -> String {
    let kind = match found.tier {
        Tier::Contact => "Contact".to_owned(),
        Tier::Lead => "Lead".to_owned(),
        Tier::ConvertedLead => format!("converted Lead, stands for Contact {}", found.person_id),
    };
    match (several, rule) {
        (false, _) if found.tier == Tier::ConvertedLead => kind,
        (false, _) => format!("the only {kind} with this address"),
        (true, SeveralRule::OldestCreated) => format!("oldest {kind}"),
        (true, _) => format!("most recently modified {kind}"),
    }
}

fn passed_over_remark(found: &Found, chosen: Tier) -> String {
    match found.tier {
        tier if tier == chosen => "another with the same address".to_owned(),
        Tier::ConvertedLead => format!("converted Lead, stands for Contact {}", found.person_id),
        _ => "another with the same address".to_owned(),
    }
}

#[cfg(test)]
#[path = "tests/people.rs"]
mod tests;

//! Makes a Lead for a caller whom the org does not know.
//!
//! Invariant: the org's duplicate rules are obeyed: if one names a record, that record is the person. There is no key
//! that makes a Lead safe to send twice, so an unknown outcome is matched again before anything is repeated.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::client::{Ask, Client, Failure, read_json};
use super::outcome::{Effect, Row};
use crate::destinations::{Outcome, Person, Record};
use crate::map::single_line;
use crate::model::Call;
use crate::problem::{NO_EMAIL, Problem};

/// The object that unknown callers become.
pub const OBJECT: &str = "Lead";
/// Hosts where an address says nothing about a company; their subdomains and country forms count too.
const FREE_MAIL: &[&str] = &[
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "yahoo.com",
    "ymail.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "aol.com",
    "gmx.com",
    "gmx.net",
    "gmx.de",
    "web.de",
    "mail.com",
    "proton.me",
    "protonmail.com",
    "yandex.com",
    "yandex.ru",
    "mail.ru",
    "qq.com",
    "163.com",
    "126.com",
    "zoho.com",
    "fastmail.com",
];

/// The Lead that `call` would become; `None` without an e-mail address.
pub fn lead_of(call: &Call) -> Option<Record> {
    let email = single_line(call.caller.email.as_deref()?);
    let (local, domain) = email.rsplit_once('@').unwrap_or((email.as_str(), ""));
    let booked = call.actions.iter().filter_map(|action| action.customer_name.as_deref());
    let mut names = booked.chain(call.caller.name.as_deref()).map(single_line).filter(|name| !name.is_empty());
    let name = names.next().unwrap_or_else(|| local.to_owned());
    let (first, last) = name.rsplit_once(' ').map_or(("", name.as_str()), |(first, last)| (first.trim(), last));
    let mut lead = Record::new();
    let mut set = |field: &str, text: &str| _ = lead.insert(field.to_owned(), Value::from(text));
    set("LastName", &shorten(if last.is_empty() { "Unknown" } else { last }, 80));
    set("Company", &shorten(&company_of(domain), 255));
    set("Email", &email);
    set("LeadSource", "Voice AI");
    if !first.is_empty() {
        set("FirstName", &shorten(first, 40));
    }
    (!email.is_empty()).then_some(lead)
}

fn company_of(domain: &str) -> String {
    let domain = domain.trim().to_lowercase();
    let is_free = FREE_MAIL.contains(&domain.as_str())
        || ["yahoo.", "hotmail.", "outlook.", "live.", "gmx."].iter().any(|start| domain.starts_with(start));
    if is_free || domain.is_empty() { "Unknown".to_owned() } else { domain }
}

fn shorten(text: &str, characters: usize) -> String {
    let mut left = characters;
    let fits = |c: &char| {
        let fits = c.len_utf16() <= left;
        left = if fits { left - c.len_utf16() } else { 0 };
        fits
    };
    text.chars().take_while(fits).collect()
}

#[derive(Deserialize)]
struct Created {
    id: String,
}

/// Makes the Lead, or names the record that a duplicate rule points at.
pub async fn create_person(client: &Client, call: &Call) -> Result<Person, Outcome> {
    let no_address = || Problem::new(NO_EMAIL, "no Lead can be made without an e-mail address", "");
    let lead = lead_of(call).ok_or_else(|| Outcome::Reject { problem: no_address() })?;
    let ask = Ask {
        method: Method::POST,
        path: "/sobjects/Lead",
        body: Some(Value::Object(lead).to_string().into_bytes()),
        effect: Effect::Write,
        counted: true,
        header: Some(("Sforce-Auto-Assign", "FALSE")),
    };
    match client.send(&ask).await {
        Ok(response) => {
            let created: Created = read_json(&response, Effect::Write)?;
            Ok(Person { object: OBJECT.to_owned(), id: created.id })
        }
        Err(failure) => named_duplicate(&failure).ok_or_else(|| {
            failure
                .into_outcome(Effect::Write, Some(Row { key_field: "", key: "", update: false, rows: 1, shut: true }))
        }),
    }
}

/// The person that a duplicate rule takes the new Lead for: a Contact before a Lead.
fn named_duplicate(failure: &Failure) -> Option<Person> {
    let Failure::Refused(refusal) = failure else { return None };
    let named = |wanted: &str| refusal.duplicates.iter().find(|(object, _)| object == wanted);
    let (object, id) = named("Contact").or_else(|| named("Lead"))?;
    Some(Person { object: object.clone(), id: id.clone() })
}

#[cfg(test)]
#[path = "tests/lead.rs"]
mod tests;

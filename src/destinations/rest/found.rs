//! What the answer to a question says is there: pure.
//!
//! Invariant: only an answer that was understood says that nothing is there. Whatever has not the form that the table tells is
//! a problem, since a record that is taken for missing is made a second time.

use serde_json::Value;

use super::answer::{Answer, at};
use super::config::Ask;
use crate::problem::{ANSWER_UNREADABLE, Problem, scrub};

/// Names of an answer's members that a problem tells.
const NAMES_MAX: usize = 12;

/// What one question asks for.
pub struct Question<'a> {
    /// `look_up` or `person`.
    pub name: &'static str,
    pub ask: &'a Ask,
    /// Whom or which call an item has to name.
    pub is: &'a str,
    /// An item without its key may be somebody else's: others were seen to have one.
    pub keyless: bool,
    /// It asks for one record alone: an answer that names others did not filter.
    pub is_of_one: bool,
}

/// What a status of `none` says: that nothing is there, unless it comes with a page or a text, as a gateway answers for an
/// address that leads nowhere.
pub fn none(answer: &Answer, question: &Question<'_>) -> Result<Vec<String>, Problem> {
    match answer.is_data() {
        true => Ok(Vec::new()),
        false => Err(unreadable(answer, question, "is not JSON")),
    }
}

/// The ids of the items that are of whom `question` asks for.
pub fn found(answer: &Answer, question: &Question<'_>) -> Result<Vec<String>, Problem> {
    let ask = question.ask;
    if answer.says_no() {
        return Err(unreadable(answer, question, "says that it failed"));
    }
    let Some(body) = &answer.json else {
        if ask.items_or_absent && answer.text.trim().is_empty() {
            return Ok(Vec::new());
        }
        return Err(unreadable(answer, question, "is not JSON"));
    };
    let items: Vec<&Value> = match body.pointer(&ask.items) {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(Value::Null) | None if ask.items_or_absent => Vec::new(),
        Some(Value::Null) => return Err(unreadable(answer, question, &format!("has null at {}", place(&ask.items)))),
        None => return Err(unreadable(answer, question, &format!("has no `{}`", ask.items))),
        Some(one) => vec![one],
    };
    let mut ids = Vec::new();
    let mut without_key = false;
    for item in &items {
        let told: Vec<String> = ask.key.iter().filter_map(|key| at(item, key)).collect();
        without_key |= told.is_empty();
        if !ask.key.is_empty() && !told.iter().any(|told| told.eq_ignore_ascii_case(question.is)) {
            continue;
        }
        let Some(id) = ask.id.iter().find_map(|id| at(item, id)) else {
            return Err(unreadable(answer, question, &format!("has an item without {}", places(&ask.id))));
        };
        ids.push(id);
    }
    if ids.is_empty() && without_key && !ask.key.is_empty() && !question.keyless {
        return Err(unreadable(answer, question, &format!("has an item without {}", places(&ask.key))));
    }
    match ids.is_empty() && question.is_of_one && !is_whole(items.len(), ask.page_max) {
        true => Err(unfiltered(answer, question, items.len())),
        false => Ok(ids),
    }
}

/// Whether the answer to the probe is one of a look-up, whatever it lists.
pub fn lists(answer: &Answer, ask: &Ask) -> Result<(), Problem> {
    let absent = || match &answer.json {
        Some(body) => body.pointer(&ask.items).is_none_or(Value::is_null),
        None => answer.text.trim().is_empty(),
    };
    let is_list = answer.body().pointer(&ask.items).is_some_and(Value::is_array);
    match !answer.says_no() && (is_list || (ask.items_or_absent && absent())) {
        true => Ok(()),
        false => Err(no_probe(answer)),
    }
}

/// Neither the answer of a look-up, nor an API's word that it offers none.
pub fn no_probe(answer: &Answer) -> Problem {
    let (from, status, members) = (&answer.from, answer.status.as_u16(), members(answer));
    Problem::new(
        ANSWER_UNREADABLE,
        format!("{from}: the answer to look_up.probe (HTTP {status}) is not that of a look-up; {members}"),
        "mend look_up in the destination's table, or what stands in front of the API; if it offers no look-up, set \
         look_up = false; then run `trunkline retry`",
    )
}

/// Whether a list that does not name a call shows that the call is not there: an empty one, or one of a question that lists
/// others too, as far as it was not cut.
fn is_whole(items: usize, page_max: Option<usize>) -> bool {
    items == 0 || page_max.is_some_and(|page_max| items < page_max)
}

/// A question about one call was answered with others.
fn unfiltered(answer: &Answer, question: &Question<'_>, items: usize) -> Problem {
    let (name, from) = (question.name, &answer.from);
    let count = match items {
        1 => "a record of another call".to_owned(),
        items => format!("{items} records of other calls"),
    };
    Problem::new(
        ANSWER_UNREADABLE,
        format!(
            "{from}: the answer to {name} names {count} and not the one that was asked for, which may stand behind them"
        ),
        format!(
            "have {name} ask for one call alone; where the API can only list several, say in {name}.page_max how many a page \
             holds at most; then run `trunkline retry`"
        ),
    )
}

/// Whether an item of the answer has one of the places of its key, whatever stands there.
pub fn has_key(answer: &Answer, ask: &Ask) -> bool {
    let items = answer.json.as_ref().and_then(|body| body.pointer(&ask.items)).and_then(Value::as_array);
    let has = |item: &Value| ask.key.iter().any(|key| item.pointer(key).is_some());
    items.is_some_and(|items| items.iter().any(has))
}

fn unreadable(answer: &Answer, question: &Question<'_>, what: &str) -> Problem {
    let name = question.name;
    let status = answer.status.as_u16();
    Problem::new(
        ANSWER_UNREADABLE,
        format!("{}: the answer to {name} (HTTP {status}) {what}; {}", answer.from, members(answer)),
        format!(
            "mend `items`, `key` and `id` of {name} in the destination's table; where the API leaves the list out when it \
             finds nothing, set {name}.items_or_absent = true; then run `trunkline retry`"
        ),
    )
}

/// What stands at the top level, by names alone: values are somebody's.
fn members(answer: &Answer) -> String {
    match &answer.json {
        None if answer.text.trim().is_empty() => "it is empty".to_owned(),
        None => "it is a text or a page".to_owned(),
        Some(Value::Object(members)) if members.is_empty() => "it is an empty object".to_owned(),
        Some(Value::Object(members)) => {
            let names: Vec<String> = members.keys().take(NAMES_MAX).map(|name| scrub(name)).collect();
            let more = if members.len() > NAMES_MAX { ", ..." } else { "" };
            format!("at its top level stand: {}{more}", names.join(", "))
        }
        Some(Value::Array(items)) => format!("it is a list of {}", items.len()),
        Some(Value::Null) => "it is null".to_owned(),
        Some(_) => "it is a single value".to_owned(),
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "its top level".to_owned() } else { format!("`{pointer}`") }
}

fn places(pointers: &[String]) -> String {
    let quoted: Vec<String> = pointers.iter().map(|pointer| format!("`{pointer}`")).collect();
    quoted.join(" or ")
}

#[cfg(test)]
#[path = "tests/found.rs"]
mod tests;

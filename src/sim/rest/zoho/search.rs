//! Zoho's search: by criteria such as `((Email:equals:a)or(Phone:equals:b))`, by e-mail or by phone, in pages.

use serde_json::{Value, json};

use super::super::harness::{Answer, Request};
use super::super::table::Record;
use super::{invalid, shown};

const PAGE_MAX: usize = 200;

/// Answers a search of these records: 204 where it finds none.
pub(super) fn answer(records: &[&Record], request: &Request) -> Result<Answer, Answer> {
    if let Some(name) = request.parameter_beyond(&["criteria", "email", "phone", "fields", "page", "per_page"]) {
        return Err(invalid(format!("{name}: is not a known parameter")));
    }
    let number = |name: &str, default: usize| match request.parameter(name) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| invalid(format!("{name}: `{text}` is no page"))),
    };
    let (page, per_page) = (number("page", 1)?, number("per_page", PAGE_MAX)?);
    if per_page > PAGE_MAX {
        return Err(invalid(format!("per_page: is more than {PAGE_MAX}")));
    }
    let criteria = match (request.parameter("criteria"), request.parameter("email"), request.parameter("phone")) {
        (Some(text), None, None) => read(text).map_err(|why| invalid(format!("criteria: {why}")))?,
        (None, Some(email), None) => any_of(&["Email", "Secondary_Email"], email),
        (None, None, Some(phone)) => any_of(&["Phone", "Mobile", "Other_Phone"], phone),
        _ => return Err(invalid("criteria: expected one of criteria, email and phone")),
    };
    let found: Vec<&&Record> = records.iter().filter(|record| criteria.fits(record)).collect();
    let shown: Vec<Value> =
        found.iter().skip((page - 1) * per_page).take(per_page).map(|record| shown(record)).collect();
    if shown.is_empty() {
        return Ok(Answer::empty(204));
    }
    let more = page * per_page < found.len();
    let info = json!({ "per_page": per_page, "count": shown.len(), "page": page, "more_records": more });
    Ok(Answer::json(200, &json!({ "data": shown, "info": info })))
}

#[derive(Debug, PartialEq)]
enum Criteria {
    Is { field: String, operator: String, value: String },
    All(Vec<Criteria>),
    Any(Vec<Criteria>),
}

fn any_of(fields: &[&str], value: &str) -> Criteria {
    let is = |field: &&str| Criteria::Is {
        field: (*field).to_owned(),
        operator: "equals".to_owned(),
        value: value.to_owned(),
    };
    Criteria::Any(fields.iter().map(is).collect())
}

impl Criteria {
    fn fits(&self, record: &Record) -> bool {
        match self {
            Criteria::All(parts) => parts.iter().all(|part| part.fits(record)),
            Criteria::Any(parts) => parts.iter().any(|part| part.fits(record)),
            Criteria::Is { field, operator, value } => {
                let stored = if field == "id" { record.id.clone() } else { record.text(field).to_lowercase() };
                let wanted = value.to_lowercase();
                match operator.as_str() {
                    "equals" => stored == wanted,
                    "starts_with" => stored.starts_with(&wanted),
                    _ => wanted.split(',').any(|one| one == stored),
                }
            }
        }
    }
}

/// The criteria in their brackets.
fn read(text: &str) -> Result<Criteria, String> {
    let mut rest = text;
    let criteria = group(&mut rest)?;
    if rest.is_empty() { Ok(criteria) } else { Err(format!("`{rest}` is left over")) }
}

fn group(rest: &mut &str) -> Result<Criteria, String> {
    *rest = rest.strip_prefix('(').ok_or_else(|| format!("a bracket is missing before `{rest}`"))?;
    let criteria = if rest.starts_with('(') { joined(rest)? } else { comparison(rest)? };
    *rest = rest.strip_prefix(')').ok_or("a bracket is not closed")?;
    Ok(criteria)
}

fn joined(rest: &mut &str) -> Result<Criteria, String> {
    let mut parts = vec![group(rest)?];
    let mut word = None;
    while !rest.starts_with(')') && !rest.is_empty() {
        let next = ["and", "or"].into_iter().find(|word| rest.starts_with(word));
        let next = next.ok_or_else(|| format!("expected `and` or `or` before `{rest}`"))?;
        if word.is_some_and(|word| word != next) {
            return Err("`and` and `or` need brackets of their own".to_owned());
        }
        word = Some(next);
        *rest = &rest[next.len()..];
        parts.push(group(rest)?);
    }
    Ok(if word == Some("or") { Criteria::Any(parts) } else { Criteria::All(parts) })
}

/// `Field:operator:value`; a backslash makes the next character of the value a plain one.
fn comparison(rest: &mut &str) -> Result<Criteria, String> {
    let mut parts = rest.splitn(3, ':');
    let (Some(field), Some(operator), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("`{rest}` is not in the form Field:operator:value"));
    };
    if !["equals", "starts_with", "in"].contains(&operator) {
        return Err(format!("{operator} is no operator"));
    }
    let (field, operator) = (field.to_owned(), operator.to_owned());
    *rest = &rest[field.len() + operator.len() + 2..];
    let mut value = String::new();
    let mut is_plain = false;
    for (at, c) in rest.char_indices() {
        match c {
            '\\' if !is_plain => is_plain = true,
            ')' if !is_plain => {
                *rest = &rest[at..];
                return if value.is_empty() {
                    Err(format!("{field} has no value"))
                } else {
                    Ok(Criteria::Is { field, operator, value })
                };
            }
            '(' if !is_plain => return Err(format!("a bracket in the value of {field} needs a backslash")),
            c => {
                is_plain = false;
                value.push(c);
            }
        }
    }
    Err("a bracket is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_are_read_with_their_brackets_and_backslashes() {
        let is = |value: &str| Criteria::Is {
            field: "Call_Key".to_owned(),
            operator: "equals".to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(read("(Call_Key:equals:retell:a)"), Ok(is("retell:a")));
        assert_eq!(read(r"(Call_Key:equals:a\(b\)c)"), Ok(is("a(b)c")));
        assert_eq!(read("((Call_Key:equals:a)or(Call_Key:equals:b))"), Ok(Criteria::Any(vec![is("a"), is("b")])));
        for bad in ["", "Call_Key:equals:a", "(Call_Key:equals:a", "(Call_Key:is:a)", "(Call_Key:equals:)", "(a)b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

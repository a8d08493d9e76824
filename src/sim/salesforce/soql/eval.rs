//! Running a plan: candidates from the indexes where the filter allows, then the whole filter, order, offset and limit.
//!
//! Nulls as in Salesforce: only `= null` and the negations match them.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde_json::Value;

use super::super::derive::read;
use super::super::org::State;
use super::super::table::{Record, RowNumber, Table};
use super::super::value::instant_text;
use super::parser::Operator;
use super::plan::{Filter, Leaf, Operand, Path, Piece, Plan, Test};

/// The rows a query yields, in order; `is_all` includes deleted and archived ones.
pub(in super::super) fn run(state: &State, plan: &Plan, is_all: bool) -> Vec<RowNumber> {
    let table = state.table(&plan.object);
    let mut rows = matching_rows(state, plan, is_all);
    if !plan.order.is_empty() {
        sort(state, plan, table, &mut rows);
    }
    let kept = rows.into_iter().skip(plan.offset);
    match plan.limit {
        Some(limit) => kept.take(limit).collect(),
        None => kept.collect(),
    }
}

/// The rows the filter accepts, in order of creation.
fn matching_rows(state: &State, plan: &Plan, is_all: bool) -> Vec<RowNumber> {
    let table = state.table(&plan.object);
    let is_wanted = |row: &RowNumber| {
        table.row(*row).is_some_and(|record| {
            let is_visible = is_all || !record.is_deleted() && !record.flag("IsArchived");
            is_visible && plan.filter.as_ref().is_none_or(|filter| accepts(state, filter, record))
        })
    };
    match plan.filter.as_ref().and_then(|filter| candidates(table, filter)) {
        Some(mut rows) => {
            rows.sort_unstable();
            rows.dedup();
            rows.retain(is_wanted);
            rows
        }
        None => (0..table.len() as RowNumber).filter(is_wanted).collect(),
    }
}

/// Rows among which all matches are, if an index tells.
fn candidates(table: &Table, filter: &Filter) -> Option<Vec<RowNumber>> {
    match filter {
        Filter::All(terms) => terms.iter().filter_map(|term| candidates(table, term)).min_by_key(Vec::len),
        Filter::Any(terms) => {
            let found: Option<Vec<_>> = terms.iter().map(|term| candidates(table, term)).collect();
            Some(found?.concat())
        }
        Filter::Not(_) => None,
        Filter::Test(path, test) if path.hops.is_empty() => match test {
            Test::Compare(Operator::Equal, Operand::Text { text, .. }) if !text.is_empty() => {
                by_index(table, path.leaf.name(), [text])
            }
            Test::In { texts, has_null: false, .. } => by_index(table, path.leaf.name(), texts),
            _ => None,
        },
        Filter::Test(..) => None,
    }
}

fn by_index<'a>(table: &Table, field: &str, texts: impl IntoIterator<Item = &'a String>) -> Option<Vec<RowNumber>> {
    let mut rows = Vec::new();
    for text in texts {
        if field == "Id" {
            rows.extend(table.find(text));
        } else {
            rows.extend(table.lookup(field, text)?);
        }
    }
    Some(rows)
}

fn sort(state: &State, plan: &Plan, table: &Table, rows: &mut Vec<RowNumber>) {
    let keys = |row: RowNumber| -> Vec<Value> {
        let Some(record) = table.row(row) else { return Vec::new() };
        plan.order.iter().map(|key| lowered(value(state, &key.path, record))).collect()
    };
    let mut keyed: Vec<_> = rows.iter().map(|row| (keys(*row), *row)).collect();
    keyed.sort_by(|(left, _), (right, _)| {
        let mut orders = plan.order.iter().zip(left.iter().zip(right)).map(|(key, (left, right))| {
            match (left.is_null(), right.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if key.nulls_last => Ordering::Greater,
                (true, false) => Ordering::Less,
                (false, true) if key.nulls_last => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ if key.is_descending => compare(right, left),
                _ => compare(left, right),
            }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    *rows = keyed.into_iter().map(|(_, row)| row).collect();
}

fn lowered(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| Value::from(text.to_lowercase()))
}

fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
    }
}

/// What stands at the end of a path; null where a parent is missing.
pub(super) fn value<'a>(state: &'a State, path: &Path, record: &'a Record) -> &'a Value {
    const NULL: &Value = &Value::Null;
    let mut record = record;
    for hop in &path.hops {
        match parent(state, record, &hop.reference) {
            Some((_, next)) => record = next,
            None => return NULL,
        }
    }
    match &path.leaf {
        Leaf::Field(field) => read(field, record),
        Leaf::Loose(name) => record.get(name),
        Leaf::Type => NULL,
    }
}

/// The record a reference field leads to, and its object's name.
pub(super) fn parent<'a>(state: &'a State, record: &Record, reference: &str) -> Option<(&'static str, &'a Record)> {
    let id = record.get(reference).as_str()?;
    let object = state.schema.object_of(id)?;
    Some((object.name, state.table(object).by_id(id)?))
}

fn type_name(state: &State, path: &Path, record: &Record) -> Value {
    let mut current: (&str, &Record) = ("", record);
    for hop in &path.hops {
        match parent(state, current.1, &hop.reference) {
            Some(next) => current = next,
            None => return Value::Null,
        }
    }
    Value::from(current.0)
}

fn accepts(state: &State, filter: &Filter, record: &Record) -> bool {
    match filter {
        Filter::All(terms) => terms.iter().all(|term| accepts(state, term, record)),
        Filter::Any(terms) => terms.iter().any(|term| accepts(state, term, record)),
        Filter::Not(inner) => !accepts(state, inner, record),
        Filter::Test(path, test) if matches!(path.leaf, Leaf::Type) => passes(test, &type_name(state, path, record)),
        Filter::Test(path, test) => passes(test, value(state, path, record)),
    }
}

fn passes(test: &Test, value: &Value) -> bool {
    match test {
        Test::IsNull => value.is_null(),
        Test::Compare(operator, operand) => passes_comparison(*operator, operand, value),
        Test::In { has_null, .. } if value.is_null() => *has_null,
        Test::In { texts, numbers, ignores_case, .. } => match value {
            Value::String(text) => is_member(texts, text, *ignores_case),
            other => other.as_f64().is_some_and(|number| numbers.contains(&number)),
        },
        Test::Like(pattern) => value.as_str().is_some_and(|text| like(pattern, text)),
        Test::Span(operator, from, until) => {
            let text = value.as_str().unwrap_or_default();
            let (from, until) = (from.as_str(), until.as_str());
            let is_set = !text.is_empty();
            match operator {
                Operator::Equal => is_set && text >= from && text < until,
                Operator::NotEqual => !(is_set && text >= from && text < until),
                Operator::Less => is_set && text < from,
                Operator::Greater => is_set && text >= until,
                Operator::LessOrEqual => is_set && text < until,
                Operator::GreaterOrEqual => is_set && text >= from,
            }
        }
    }
}

fn is_member(texts: &HashSet<String>, text: &str, ignores_case: bool) -> bool {
    if ignores_case { texts.contains(&text.to_lowercase()) } else { texts.contains(text) }
}

fn passes_comparison(operator: Operator, operand: &Operand, value: &Value) -> bool {
    if value.is_null() {
        // An empty literal is how SOQL also writes null.
        let is_empty = matches!(operand, Operand::Text { text, .. } if text.is_empty());
        return match operator {
            Operator::Equal => is_empty,
            Operator::NotEqual => !is_empty,
            _ => false,
        };
    }
    let order = match (operand, value) {
        (Operand::Text { text, ignores_case: true }, Value::String(known)) => known.to_lowercase().cmp(text),
        (Operand::Text { text, .. }, Value::String(known)) => known.cmp(text),
        _ => compare(value, &operand.to_value()),
    };
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::Greater => order.is_gt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

/// Whether a text matches a LIKE pattern, ignoring case: greedy, with one step back to the last `%`.
fn like(pattern: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
    let (mut at, mut next, mut retry) = (0, 0, None);
    while at < text.len() {
        match pattern.get(next) {
            Some(Piece::Any) => {
                retry = Some((next + 1, at));
                next += 1;
                continue;
            }
            Some(Piece::One) => {}
            Some(Piece::Exactly(character)) if *character == text[at] => {}
            _ => match retry {
                Some((after_any, from)) => {
                    retry = Some((after_any, from + 1));
                    (next, at) = (after_any, from + 1);
                    continue;
                }
                None => return false,
            },
        }
        at += 1;
        next += 1;
    }
    pattern[next..].iter().all(|piece| *piece == Piece::Any)
}

/// The days a date literal means, as texts: from the first up to, not including, the second.
pub(super) fn span_of(word: &str, now: Timestamp, zone: &TimeZone, as_instants: bool) -> Option<(String, String)> {
    let today = now.to_zoned(zone.clone()).date();
    let (from, until) = days_of(word, today)?;
    let text = |day: Date| -> Option<String> {
        if as_instants {
            Some(instant_text(day.to_zoned(zone.clone()).ok()?.timestamp()))
        } else {
            Some(day.to_string())
        }
    };
    Some((text(from)?, text(until)?))
}

fn days_of(word: &str, today: Date) -> Option<(Date, Date)> {
    let add = |day: Date, span: Span| day.checked_add(span).ok();
    let month = today.first_of_month();
    let year = today.first_of_year();
    if let Some((name, count)) = word.split_once(':') {
        let days: i32 = count.parse().ok()?;
        let tomorrow = add(today, 1.day())?;
        return match name {
            "LAST_N_DAYS" => Some((add(today, (-days).days())?, tomorrow)),
            "NEXT_N_DAYS" => Some((tomorrow, add(tomorrow, days.days())?)),
            "N_DAYS_AGO" => Some((add(today, (-days).days())?, add(today, (1 - days).days())?)),
            _ => None,
        };
    }
    match word {
        "TODAY" => Some((today, add(today, 1.day())?)),
        "YESTERDAY" => Some((add(today, (-1).day())?, today)),
        "TOMORROW" => Some((add(today, 1.day())?, add(today, 2.days())?)),
        "LAST_90_DAYS" => Some((add(today, (-90).days())?, add(today, 1.day())?)),
        "THIS_MONTH" => Some((month, add(month, 1.month())?)),
        "LAST_MONTH" => Some((add(month, (-1).month())?, month)),
        "THIS_YEAR" => Some((year, add(year, 1.year())?)),
        "LAST_YEAR" => Some((add(year, (-1).year())?, year)),
        _ => None,
    }
}

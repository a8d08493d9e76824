//! Upsert by key in two steps: look every key up, then write. What happens in between is the race that a client must
//! survive: both see no record, one creates it, the other gets `DUPLICATE_VALUE`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::ids;
use super::super::org::State;
use super::super::problem::Problem;
use super::super::schema::{Field, Kind, Object};
use super::super::table::RowNumber;
use super::batch::{Action, Planned};

/// What the key of a row led to.
#[derive(Debug, Clone)]
pub(in super::super) enum Lookup {
    New,
    One(RowNumber),
    Several(Vec<RowNumber>),
    Refused(Problem),
}

/// One row of an upsert: its key and the other fields.
#[derive(Debug)]
pub(in super::super) struct KeyRow {
    pub(in super::super) key: Value,
    pub(in super::super) body: Map<String, Value>,
}

/// The field an upsert names, if it exists, is visible and can serve.
pub(in super::super) fn upsert_field<'a>(object: &'a Object, name: &str) -> Result<&'a Field, Problem> {
    object.field(name).filter(|field| field.is_upsert_key()).ok_or_else(|| {
        let message = format!("Provided external ID field does not exist or is not accessible: {name}");
        Problem::new(404, "NOT_FOUND", message)
    })
}

/// The records that hold `value` in `field`; deleted ones never match an upsert, but may block a unique value.
pub(in super::super) fn find(
    state: &State,
    object: &Object,
    field: &Field,
    value: &Value,
    for_uniqueness: bool,
) -> Vec<RowNumber> {
    let table = state.table(object);
    if field.kind == Kind::Id {
        let row = value.as_str().and_then(ids::normalise).and_then(|id| table.find(&id));
        return row.into_iter().filter(|row| table.row(*row).is_some_and(|record| !record.is_deleted())).collect();
    }
    let is_same = |known: &Value| match (known.as_str(), value.as_str()) {
        (Some(known), Some(wanted)) if field.case_sensitive => known == wanted,
        (Some(known), Some(wanted)) => known.to_lowercase() == wanted.to_lowercase(),
        _ => known == value,
    };
    let is_match = |row: &RowNumber| {
        table.row(*row).is_some_and(|record| {
            let counts = if for_uniqueness {
                !record.is_deleted() || state.settings.recycled_blocks_unique
            } else {
                !record.is_deleted() && (state.settings.upsert_finds_archived || !record.flag("IsArchived"))
            };
            counts && is_same(record.get(&field.name))
        })
    };
    match value.as_str().and_then(|text| table.lookup(&field.name, text)) {
        Some(rows) => rows.iter().copied().filter(is_match).collect(),
        None => (0..table.len() as RowNumber).filter(is_match).collect(),
    }
}

/// First step: looks every key up, refusing rows without a key and rows that share one.
pub(in super::super) fn look_up(state: &State, object: &Object, field: &Field, rows: &[KeyRow]) -> Vec<Lookup> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    for row in rows {
        *uses.entry(same_key(field, &row.key)).or_default() += 1;
    }
    rows.iter()
        .map(|row| {
            let shown = match &row.key {
                Value::String(text) => text.trim().to_owned(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            if shown.is_empty() && field.kind == Kind::Id {
                return Lookup::New;
            }
            if shown.is_empty() {
                let message = format!("{} not specified", field.name);
                return Lookup::Refused(Problem::row("MISSING_ARGUMENT", message, &[]));
            }
            if uses.get(&same_key(field, &row.key)).is_some_and(|count| *count > 1) {
                let message = format!("Duplicate external id specified: {shown}");
                return Lookup::Refused(Problem::row("DUPLICATE_VALUE", message, &[&field.name]));
            }
            match find(state, object, field, &trimmed(&row.key), false).as_slice() {
                [] if field.kind == Kind::Id => {
                    let problem = Problem::row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]);
                    Lookup::Refused(problem.with_status(404))
                }
                [] => Lookup::New,
                [one] => Lookup::One(*one),
                several => Lookup::Several(several.to_vec()),
            }
        })
        .collect()
}

fn trimmed(key: &Value) -> Value {
    key.as_str().map_or_else(|| key.clone(), |text| Value::from(text.trim()))
}

fn same_key(field: &Field, key: &Value) -> String {
    match key.as_str() {
        Some(text) if field.case_sensitive => text.trim().to_owned(),
        Some(text) => text.trim().to_lowercase(),
        None => key.to_string(),
    }
}

/// Second step: what to do with each row, from what its key led to a moment ago.
pub(in super::super) fn plan_upsert(
    object: &Arc<Object>,
    field: &Field,
    rows: Vec<KeyRow>,
    found: Vec<Lookup>,
) -> Vec<Planned> {
    rows.into_iter()
        .zip(found)
        .map(|(row, found)| {
            let mut body = row.body;
            let action = match found {
                Lookup::New if field.kind == Kind::Id => Action::Insert,
                Lookup::New => {
                    body.insert(field.name.to_string(), row.key);
                    Action::Insert
                }
                Lookup::One(number) => Action::Update(number),
                Lookup::Several(_) => {
                    let message = format!("Duplicate external id specified: {}", row.key);
                    Action::Refuse(Problem::row("DUPLICATE_EXTERNAL_ID", message, &[&field.name]))
                }
                Lookup::Refused(problem) => Action::Refuse(problem),
            };
            Planned { object: Arc::clone(object), body, action }
        })
        .collect()
}

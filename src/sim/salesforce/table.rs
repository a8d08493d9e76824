//! The rows of one object: append-only, found by id or through hash indexes on the fields that queries look up.
//!
//! Index keys are lower-cased, so an index yields candidates; who asks compares again with the field's own rule.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::schema::Object;

/// The number of a row; rows never move.
pub(super) type RowNumber = u32;

/// One record: its values by field name, nulls left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record {
    values: Vec<(Arc<str>, Value)>,
}

impl Record {
    /// The value of a field under its canonical name, null if it has none.
    pub(super) fn get(&self, name: &str) -> &Value {
        const NULL: &Value = &Value::Null;
        self.values.iter().find(|(known, _)| &**known == name).map_or(NULL, |(_, value)| value)
    }

    /// The value as text, empty if it is null or no text.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &str {
        self.text("Id")
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.flag("IsDeleted")
    }

    pub(super) fn set(&mut self, name: &Arc<str>, value: Value) {
        let position = self.values.iter().position(|(known, _)| known == name);
        match (position, value.is_null()) {
            (Some(index), true) => {
                self.values.remove(index);
            }
            (Some(index), false) => self.values[index].1 = value,
            (None, true) => {}
            (None, false) => self.values.push((Arc::clone(name), value)),
        }
    }

    /// Sets a field of `object` by its canonical name; a name the object lacks is ignored.
    pub(super) fn put(&mut self, object: &Object, name: &str, value: Value) {
        if let Some(field) = object.stored_field(name) {
            self.set(&field.name, value);
        }
    }

    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    }
}

#[derive(Debug, Default)]
struct Index {
    field: Arc<str>,
    rows: HashMap<String, Vec<RowNumber>>,
}

impl Index {
    fn add(&mut self, row: RowNumber, value: &Value) {
        if let Some(text) = value.as_str() {
            let rows = self.rows.entry(text.to_lowercase()).or_default();
            match rows.last() {
                Some(last) if *last > row => {
                    if let Err(position) = rows.binary_search(&row) {
                        rows.insert(position, row);
                    }
                }
                _ => rows.push(row),
            }
        }
    }

    fn remove(&mut self, row: RowNumber, value: &Value) {
        let Some(text) = value.as_str() else { return };
        let key = text.to_lowercase();
        if let Some(rows) = self.rows.get_mut(&key) {
            if let Ok(position) = rows.binary_search(&row) {
                rows.remove(position);
            }
            if rows.is_empty() {
                self.rows.remove(&key);
            }
        }
    }
}

/// All rows of one object, deleted ones included.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Record>,
    by_id: HashMap<String, RowNumber>,
    indexes: Vec<Index>,
    serial: u64,
}

impl Table {
    /// A table that goes on counting ids at `serial`.
    pub(super) fn with_serial(serial: u64) -> Table {
        Table { serial, ..Table::default() }
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// The number the next id is made from.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn row(&self, row: RowNumber) -> Option<&Record> {
        self.rows.get(row as usize)
    }

    pub(super) fn find(&self, id: &str) -> Option<RowNumber> {
        self.by_id.get(id).copied()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Record> {
        self.row(self.find(id)?)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.rows.iter()
    }

    /// The rows whose field has this text in any letter case, or `None` if the field has no index.
    pub(super) fn lookup(&self, field: &str, text: &str) -> Option<&[RowNumber]> {
        let index = self.indexes.iter().find(|index| &*index.field == field)?;
        Some(index.rows.get(&text.to_lowercase()).map_or(&[], Vec::as_slice))
    }

    pub(super) fn push(&mut self, record: Record) -> RowNumber {
        let row = RowNumber::try_from(self.rows.len()).expect("a simulated table holds fewer than 2^32 rows");
        self.by_id.insert(record.id().to_owned(), row);
        for index in &mut self.indexes {
            index.add(row, record.get(&index.field));
        }
        self.rows.push(record);
        row
    }

    /// Takes back the last [`Table::push`].
    pub(super) fn pop(&mut self) {
        if let Some(record) = self.rows.pop() {
            let row = self.rows.len() as RowNumber;
            self.by_id.remove(record.id());
            for index in &mut self.indexes {
                index.remove(row, record.get(&index.field));
            }
        }
    }

    /// Puts `record` in the place of a row and returns what stood there.
    pub(super) fn replace(&mut self, row: RowNumber, record: Record) -> Option<Record> {
        let place = self.rows.get_mut(row as usize)?;
        let previous = std::mem::replace(place, record);
        for index in &mut self.indexes {
            let (old, new) = (previous.get(&index.field), place.get(&index.field));
            if old != new {
                index.remove(row, old);
                index.add(row, new);
            }
        }
        Some(previous)
    }

    /// Makes the indexes those of `object`; called when the schema was rebuilt.
    pub(super) fn reindex(&mut self, object: &Object) {
        let wanted: Vec<_> = object.fields.iter().filter(|field| field.indexed).map(|field| &field.name).collect();
        self.indexes.retain(|index| wanted.contains(&&index.field));
        for name in wanted {
            if self.indexes.iter().any(|index| index.field == *name) {
                continue;
            }
            let mut index = Index { field: Arc::clone(name), rows: HashMap::new() };
            for (row, record) in self.rows.iter().enumerate() {
                index.add(row as RowNumber, record.get(name));
            }
            self.indexes.push(index);
        }
    }
}

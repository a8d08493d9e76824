//! Records of one kind, in the order of arrival.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A record: its fields as the system shows them, without the id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) fields: Map<String, Value>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) is_deleted: bool,
}

impl Record {
    /// One field as text; empty if it is absent or none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Puts these in; a null takes the field away.
    pub(super) fn merge(&mut self, changes: Map<String, Value>, now: Timestamp) {
        for (name, value) in changes {
            match value {
                Value::Null => _ = self.fields.remove(&name),
                value => _ = self.fields.insert(name, value),
            }
        }
        self.updated = now;
    }
}

/// Records of one kind.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<Record>);

impl Table {
    pub(super) fn add(&mut self, id: String, fields: Map<String, Value>, now: Timestamp) -> &Record {
        self.0.push(Record { id, fields: Map::new(), created: now, updated: now, is_deleted: false });
        let last = self.0.len() - 1;
        self.0[last].merge(fields, now);
        &self.0[last]
    }

    /// Those that are not deleted.
    pub(super) fn live(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.0.iter().filter(|record| !record.is_deleted)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Record> {
        self.live().find(|record| record.id == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Record> {
        self.0.iter_mut().find(|record| record.id == id && !record.is_deleted)
    }

    pub(super) fn has_deleted(&self, id: &str) -> bool {
        self.0.iter().any(|record| record.id == id && record.is_deleted)
    }

    /// The first one with this text in this field.
    pub(super) fn with(&self, name: &str, value: &str) -> Option<&Record> {
        self.live().find(|record| !value.is_empty() && record.text(name) == value)
    }

    /// All live records with their ids in `id_name`, for the administrator.
    pub(super) fn shown(&self, id_name: &str) -> Vec<Value> {
        let with_id = |record: &Record| {
            let mut fields = record.fields.clone();
            fields.insert(id_name.to_owned(), json!(record.id));
            Value::Object(fields)
        };
        self.live().map(with_id).collect()
    }

    /// Seeds a record, with the id that it brings or this one.
    pub(super) fn seed(&mut self, record: Value, id_name: &str, id: String) -> Result<String, String> {
        let Value::Object(mut fields) = record else { return Err("expected an object".to_owned()) };
        let id = match fields.remove(id_name) {
            Some(Value::String(own)) => own,
            Some(Value::Number(own)) => own.to_string(),
            Some(_) => return Err(format!("{id_name}: expected a text or a number")),
            None => id,
        };
        if self.get(&id).is_some() {
            return Err(format!("{id_name}: {id} is there already"));
        }
        self.add(id.clone(), fields, Timestamp::UNIX_EPOCH);
        Ok(id)
    }
}

//! Rows as JSON, straight into the answer: attributes first, then the selected fields in their order, parents nested.

use std::collections::BTreeSet;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::super::derive::read;
use super::super::org::State;
use super::super::schema::Object;
use super::super::table::{Record as Row, RowNumber};
use super::eval::parent;
use super::plan::{Hop, Leaf, Path, Plan};

/// The `records` of one page of a query.
pub(in super::super) struct Page<'a> {
    pub(in super::super) state: &'a State,
    pub(in super::super) plan: &'a Plan,
    pub(in super::super) rows: &'a [RowNumber],
    /// `/services/data/v66.0`.
    pub(in super::super) root: &'a str,
}

impl Serialize for Page<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns: Vec<_> = self.plan.columns.iter().map(|path| (path.hops.as_slice(), &path.leaf)).collect();
        let table = self.state.table(&self.plan.object);
        let mut sequence = serializer.serialize_seq(Some(self.rows.len()))?;
        for record in self.rows.iter().filter_map(|row| table.row(*row)) {
            let object = self.plan.object.name;
            let (state, root) = (self.state, self.root);
            sequence.serialize_element(&Selection { state, root, kind: object, object, record, columns: &columns })?;
        }
        sequence.end()
    }
}

type Column<'a> = (&'a [Hop], &'a Leaf);

struct Selection<'a> {
    state: &'a State,
    root: &'a str,
    /// The attribute `type`, which is `Name` for a polymorphic parent.
    kind: &'a str,
    object: &'a str,
    record: &'a Row,
    columns: &'a [Column<'a>],
}

impl Serialize for Selection<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("attributes", &attributes(self.kind, self.object, self.record.id(), self.root))?;
        let mut written = BTreeSet::new();
        for (hops, leaf) in self.columns {
            let name = hops.first().map_or_else(|| leaf.name(), |hop| hop.relationship);
            if !written.insert(name) {
                continue;
            }
            match hops.first() {
                None => match leaf {
                    Leaf::Field(field) => map.serialize_entry(name, read(field, self.record))?,
                    Leaf::Loose(field) => map.serialize_entry(name, self.record.get(field))?,
                    Leaf::Type => map.serialize_entry(name, self.object)?,
                },
                Some(hop) => match parent(self.state, self.record, &hop.reference) {
                    None => map.serialize_entry(name, &Value::Null)?,
                    Some((object, record)) => {
                        let through: Vec<Column<'_>> = self
                            .columns
                            .iter()
                            .filter(|(hops, _)| hops.first().is_some_and(|first| first.reference == hop.reference))
                            .map(|(hops, leaf)| (&hops[1..], *leaf))
                            .collect();
                        let kind = if hop.is_polymorphic { "Name" } else { object };
                        let (state, root) = (self.state, self.root);
                        map.serialize_entry(name, &Selection { state, root, kind, object, record, columns: &through })?;
                    }
                },
            }
        }
        map.end()
    }
}

fn attributes(kind: &str, object: &str, id: &str, root: &str) -> Value {
    json!({ "type": kind, "url": format!("{root}/sobjects/{object}/{id}") })
}

/// One whole record, as `GET /sobjects/<object>/<id>` shows it.
pub(in super::super) struct Record<'a> {
    pub(in super::super) state: &'a State,
    pub(in super::super) object: &'a Object,
    pub(in super::super) row: RowNumber,
    pub(in super::super) root: &'a str,
    /// Only these fields, by canonical name; all visible ones if empty.
    pub(in super::super) fields: &'a [String],
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_wanted = |name: &str| self.fields.is_empty() || self.fields.iter().any(|field| field == name);
        let columns: Vec<Path> = self
            .object
            .visible_fields()
            .filter(|field| is_wanted(&field.name))
            .map(|field| Path { hops: Vec::new(), leaf: Leaf::Field(Box::new(field.clone())) })
            .collect();
        let columns: Vec<_> = columns.iter().map(|path| (path.hops.as_slice(), &path.leaf)).collect();
        let Some(record) = self.state.table(self.object).row(self.row) else { return serializer.serialize_unit() };
        let (state, root, object) = (self.state, self.root, self.object.name);
        Selection { state, root, kind: object, object, record, columns: &columns }.serialize(serializer)
    }
}

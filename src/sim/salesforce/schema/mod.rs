//! What objects and fields the org has: the standard tables of [`tables`] plus the custom fields of the settings.
//!
//! A [`Schema`] is rebuilt whenever the settings change and is shared read-only; records keep values by field name, so
//! they outlive a rebuild.

mod tables;

use std::collections::HashMap;
use std::sync::Arc;

use super::settings::{CustomField, CustomType, Settings};

/// What a field holds; decides how values are read, compared and described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Id,
    Reference,
    Text,
    LongText,
    Email,
    Phone,
    Url,
    Picklist,
    Combobox,
    Boolean,
    Int,
    Double,
    Date,
    DateTime,
}

impl Kind {
    /// Whether values are JSON strings that are trimmed, measured and compared without regard to case.
    pub(super) fn is_text(self) -> bool {
        matches!(
            self,
            Kind::Text | Kind::LongText | Kind::Email | Kind::Phone | Kind::Url | Kind::Picklist | Kind::Combobox
        )
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Kind::Int | Kind::Double)
    }
}

/// One field and all its properties.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Arc<str>,
    pub(super) label: String,
    pub(super) kind: Kind,
    /// Characters of a text, digits of a number.
    pub(super) size: u32,
    pub(super) createable: bool,
    pub(super) updateable: bool,
    pub(super) filterable: bool,
    pub(super) sortable: bool,
    pub(super) groupable: bool,
    /// Must have a value, and no default supplies one.
    pub(super) required: bool,
    pub(super) default: Option<&'static str>,
    pub(super) nillable: bool,
    pub(super) restricted: bool,
    pub(super) indexed: bool,
    pub(super) name_field: bool,
    pub(super) custom: bool,
    pub(super) unique: bool,
    pub(super) external_id: bool,
    pub(super) case_sensitive: bool,
    pub(super) values: Vec<String>,
    pub(super) targets: &'static [&'static str],
    pub(super) relationship: Option<&'static str>,
}

impl Field {
    /// Whether an upsert may name this field.
    pub(super) fn is_upsert_key(&self) -> bool {
        self.external_id || self.kind == Kind::Id
    }

    pub(super) fn is_polymorphic(&self) -> bool {
        self.targets.len() > 1
    }
}

/// One object: its names, what may be done with it, and its visible fields.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) label_plural: &'static str,
    pub(super) prefix: &'static str,
    /// Whether the API may write it at all.
    pub(super) writable: bool,
    pub(super) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    hidden: Vec<String>,
}

impl Object {
    /// The field with this name in any letter case, if the API user may see it.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.stored_field(name).filter(|field| !self.is_hidden(&field.name))
    }

    /// The field with this name, hidden or not.
    pub(super) fn stored_field(&self, name: &str) -> Option<&Field> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => *self.by_name.get(&name.to_ascii_lowercase())?,
        };
        self.fields.get(index)
    }

    /// The fields the API user may see.
    pub(super) fn visible_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !self.is_hidden(&field.name))
    }

    /// The reference field behind a relationship name such as `Who`.
    pub(super) fn relationship(&self, name: &str) -> Option<&Field> {
        self.visible_fields().find(|field| field.relationship.is_some_and(|known| known.eq_ignore_ascii_case(name)))
    }

    fn is_hidden(&self, name: &str) -> bool {
        !self.hidden.is_empty() && self.hidden.iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
    }
}

/// All objects of the org.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) objects: Vec<Arc<Object>>,
    by_name: HashMap<String, usize>,
}

impl Schema {
    /// The standard objects with the custom and hidden fields of `settings`.
    pub(super) fn new(settings: &Settings) -> Schema {
        let objects: Vec<_> = tables::OBJECTS.iter().map(|table| Arc::new(build(table, settings))).collect();
        let by_name =
            objects.iter().enumerate().map(|(index, object)| (object.name.to_ascii_lowercase(), index)).collect();
        Schema { objects, by_name }
    }

    /// The object with this name in any letter case.
    pub(super) fn object(&self, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(*self.by_name.get(&name.to_ascii_lowercase())?)
    }

    /// The object an id belongs to.
    pub(super) fn object_of(&self, id: &str) -> Option<&Arc<Object>> {
        let prefix = super::ids::prefix(id);
        self.objects.iter().find(|object| object.prefix == prefix)
    }
}

fn build(table: &tables::Table, settings: &Settings) -> Object {
    let mut fields: Vec<Field> = tables::SYSTEM.iter().chain(table.columns).map(standard_field).collect();
    let is_activity = matches!(table.name, "Task" | "Event");
    if is_activity && let Some(key) = &settings.key_field {
        let definition = CustomField {
            name: key.name.clone(),
            length: key.length,
            external_id: key.external_id,
            unique: key.unique,
            case_sensitive: key.case_sensitive,
            ..CustomField::default()
        };
        fields.push(custom_field(&definition));
    }
    let belongs = |custom: &&CustomField| {
        custom.object.eq_ignore_ascii_case(table.name) || is_activity && custom.object.eq_ignore_ascii_case("Activity")
    };
    fields.extend(settings.custom_fields.iter().filter(belongs).map(custom_field));
    let by_name = fields.iter().enumerate().map(|(index, field)| (field.name.to_ascii_lowercase(), index)).collect();
    let hidden = settings
        .hidden_fields
        .iter()
        .filter_map(|path| path.split_once('.'))
        .filter(|(object, _)| object.eq_ignore_ascii_case(table.name))
        .map(|(_, field)| field.to_owned())
        .collect();
    Object {
        name: table.name,
        label: table.label,
        label_plural: table.label_plural,
        prefix: table.prefix,
        writable: table.writable,
        fields,
        by_name,
        hidden,
    }
}

fn standard_field(column: &tables::Column) -> Field {
    let has = |flag: char| column.flags.contains(flag);
    let default = column.default;
    Field {
        name: Arc::from(column.name),
        label: column.label.to_owned(),
        kind: column.kind,
        size: column.size,
        createable: has('C'),
        updateable: has('U'),
        filterable: has('F'),
        sortable: has('S'),
        groupable: has('G'),
        required: has('r'),
        default,
        nillable: !has('r') && default.is_none() && !has('a') && column.kind != Kind::Boolean,
        restricted: has('x'),
        indexed: has('i'),
        name_field: has('n'),
        custom: false,
        unique: false,
        external_id: false,
        case_sensitive: false,
        values: column.values.iter().map(|value| (*value).to_owned()).collect(),
        targets: column.targets,
        relationship: column.relationship,
    }
}

fn custom_field(definition: &CustomField) -> Field {
    let (kind, usual_size) = match definition.kind {
        CustomType::Text => (Kind::Text, 255),
        CustomType::LongText => (Kind::LongText, 32_768),
        CustomType::Url => (Kind::Url, 255),
        CustomType::Phone => (Kind::Phone, 40),
        CustomType::Email => (Kind::Email, 80),
        CustomType::Picklist => (Kind::Picklist, 255),
        CustomType::Number => (Kind::Double, 18),
        CustomType::Checkbox => (Kind::Boolean, 0),
        CustomType::Date => (Kind::Date, 0),
        CustomType::DateTime => (Kind::DateTime, 0),
    };
    let is_long = kind == Kind::LongText;
    Field {
        name: Arc::from(definition.name.as_str()),
        label: definition.name.trim_end_matches("__c").replace('_', " "),
        kind,
        size: if definition.length == 0 { usual_size } else { definition.length },
        createable: true,
        updateable: true,
        filterable: !is_long,
        sortable: !is_long,
        groupable: !is_long,
        required: false,
        default: None,
        nillable: kind != Kind::Boolean,
        restricted: definition.restricted,
        indexed: definition.external_id || definition.unique,
        name_field: false,
        custom: true,
        unique: definition.unique,
        external_id: definition.external_id,
        case_sensitive: definition.case_sensitive,
        values: definition.values.clone(),
        targets: &[],
        relationship: None,
    }
}

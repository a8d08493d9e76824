//! A statement checked against the schema: every name resolved, every value read with its field's type.
//!
//! All error texts about fields, objects and values come from here.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::ids;
use super::super::org::State;
use super::super::schema::{Field, Kind, Object};
use super::super::value::{parse_date, parse_instant};
use super::parser::{Condition, Literal, Name, Operator, Selected, Statement, parse};
use super::{OFFSET_MAX, Refused, STATEMENT_CHARS_MAX, eval};

/// What `Who`, `What` and `Owner` offer of whatever record they lead to.
const NAME_FIELDS: &[&str] =
    &["Id", "Name", "Type", "FirstName", "LastName", "Email", "Phone", "Title", "Username", "Alias"];

/// A query that can be run any number of times.
#[derive(Debug)]
pub(in super::super) struct Plan {
    pub(in super::super) object: Arc<Object>,
    pub(in super::super) is_count: bool,
    pub(super) columns: Vec<Path>,
    pub(super) filter: Option<Filter>,
    pub(super) order: Vec<SortKey>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

/// A field of the record or of a parent.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) hops: Vec<Hop>,
    pub(super) leaf: Leaf,
}

#[derive(Debug, Clone)]
pub(super) struct Hop {
    /// The reference field that leads to the parent.
    pub(super) reference: Arc<str>,
    pub(super) relationship: &'static str,
    pub(super) is_polymorphic: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Leaf {
    Field(Box<Field>),
    /// A field of a record whose object is only known row by row.
    Loose(&'static str),
    /// The object's own name, `Who.Type`.
    Type,
}

impl Leaf {
    pub(super) fn name(&self) -> &str {
        match self {
            Leaf::Field(field) => &field.name,
            Leaf::Loose(name) => name,
            Leaf::Type => "Type",
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Leaf::Field(field) => field.kind,
            Leaf::Loose("Id") => Kind::Id,
            Leaf::Loose(_) | Leaf::Type => Kind::Text,
        }
    }

    fn is_case_sensitive(&self) -> bool {
        matches!(self, Leaf::Field(field) if field.case_sensitive)
    }
}

#[derive(Debug)]
pub(super) struct SortKey {
    pub(super) path: Path,
    pub(super) is_descending: bool,
    pub(super) nulls_last: bool,
}

#[derive(Debug)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Test(Path, Test),
}

#[derive(Debug)]
pub(super) enum Test {
    IsNull,
    Compare(Operator, Operand),
    /// Texts as [`Operand::text`] makes them.
    In {
        texts: HashSet<String>,
        numbers: Vec<f64>,
        has_null: bool,
        ignores_case: bool,
    },
    Like(Vec<Piece>),
    /// A date literal: from the first text up to, not including, the second.
    Span(Operator, String, String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Boolean(bool),
    Number(f64),
    /// Lower-cased if the comparison ignores case.
    Text {
        text: String,
        ignores_case: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Exactly(char),
    One,
    Any,
}

/// Parses and checks a statement.
pub(in super::super) fn plan(state: &State, statement: &str) -> Result<Plan, Refused> {
    if statement.chars().count() > STATEMENT_CHARS_MAX {
        let message = format!("SOQL statements cannot be longer than {STATEMENT_CHARS_MAX} characters.");
        return Err(Refused::malformed(message));
    }
    plan_statement(state, &parse(statement)?)
}

fn plan_statement(state: &State, statement: &Statement) -> Result<Plan, Refused> {
    let object = state.schema.object(&statement.object.text).ok_or_else(|| unknown_object(&statement.object.text))?;
    let planner = Planner { state, object, alias: statement.alias.as_deref() };
    let is_count = statement.selected == [Selected::Count];
    let mut columns = Vec::new();
    for selected in &statement.selected {
        match selected {
            Selected::Field(name) => columns.push(planner.path(name)?),
            Selected::Fields(which) => columns.extend(planner.all_fields(which)?),
            Selected::Count if is_count => {}
            Selected::Count => return Err(Refused::unexpected("count")),
        }
    }
    let filter = statement.condition.as_ref().map(|condition| planner.filter(condition)).transpose()?;
    let mut order = Vec::new();
    for ordering in &statement.order {
        let path = planner.path(&ordering.name)?;
        if let Leaf::Field(field) = &path.leaf
            && !field.sortable
        {
            let reason = format!("field '{}' can not be sorted in a query call", field.name);
            return Err(Refused::pointing("MALFORMED_QUERY", ordering.name.at, reason));
        }
        order.push(SortKey { path, is_descending: ordering.is_descending, nulls_last: ordering.nulls_last });
    }
    let offset = statement.offset.unwrap_or_default();
    if offset > OFFSET_MAX {
        let reason = format!("Maximum SOQL offset allowed is {OFFSET_MAX}");
        return Err(Refused { code: "NUMBER_OUTSIDE_VALID_RANGE", reason, at: None });
    }
    Ok(Plan { object: Arc::clone(object), is_count, columns, filter, order, limit: statement.limit, offset })
}

fn unknown_object(name: &str) -> Refused {
    let reason = format!(
        "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the \
         '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    );
    Refused { code: "INVALID_TYPE", reason, at: None }
}

fn unknown_field(name: &str, object: &str, at: usize) -> Refused {
    let reason = format!(
        "No such column '{name}' on entity '{object}'. If you are attempting to use a custom field, be sure to append \
         the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate \
         names."
    );
    Refused::pointing("INVALID_FIELD", at, reason)
}

struct Planner<'a> {
    state: &'a State,
    object: &'a Arc<Object>,
    alias: Option<&'a str>,
}

impl Planner<'_> {
    /// Resolves a dotted path; the last part is a field, the others relationships.
    fn path(&self, name: &Name) -> Result<Path, Refused> {
        let mut parts: Vec<&str> = name.text.split('.').collect();
        let is_own = |part: &str| {
            part.eq_ignore_ascii_case(self.object.name) && self.object.relationship(part).is_none()
                || self.alias.is_some_and(|alias| part.eq_ignore_ascii_case(alias))
        };
        if parts.len() > 1 && is_own(parts[0]) {
            parts.remove(0);
        }
        let last = parts.pop().unwrap_or_default();
        let mut object = Some(self.object);
        let mut hops = Vec::new();
        for part in parts {
            let field = object.and_then(|object| object.relationship(part)).ok_or_else(|| {
                let reason = format!(
                    "Didn't understand relationship '{part}' in field path. If you are attempting to use a custom \
                     relationship, be sure to append the '__r' after the custom relationship name. Please reference \
                     your WSDL or the describe call for the appropriate names."
                );
                Refused::pointing("INVALID_FIELD", name.at, reason)
            })?;
            let is_polymorphic = field.is_polymorphic();
            hops.push(Hop {
                reference: Arc::clone(&field.name),
                relationship: field.relationship.unwrap_or_default(),
                is_polymorphic,
            });
            object = if is_polymorphic { None } else { self.state.schema.object(field.targets[0]) };
        }
        let leaf = match object {
            Some(object) => match object.field(last) {
                Some(field) => Leaf::Field(Box::new(field.clone())),
                None => return Err(unknown_field(last, object.name, name.at)),
            },
            None => match NAME_FIELDS.iter().find(|known| known.eq_ignore_ascii_case(last)) {
                Some(&"Type") => Leaf::Type,
                Some(known) => Leaf::Loose(known),
                None => return Err(unknown_field(last, "Name", name.at)),
            },
        };
        Ok(Path { hops, leaf })
    }

    fn all_fields(&self, which: &str) -> Result<Vec<Path>, Refused> {
        if !matches!(which, "ALL" | "STANDARD" | "CUSTOM") {
            return Err(Refused::unexpected(which));
        }
        let wanted = |field: &&Field| which == "ALL" || field.custom == (which == "CUSTOM");
        let path = |field: &Field| Path { hops: Vec::new(), leaf: Leaf::Field(Box::new(field.clone())) };
        Ok(self.object.visible_fields().filter(wanted).map(path).collect())
    }

    fn filter(&self, condition: &Condition) -> Result<Filter, Refused> {
        let all = |terms: &[Condition]| terms.iter().map(|term| self.filter(term)).collect::<Result<Vec<_>, _>>();
        Ok(match condition {
            Condition::All(terms) => Filter::All(all(terms)?),
            Condition::Any(terms) => Filter::Any(all(terms)?),
            Condition::Not(inner) => Filter::Not(Box::new(self.filter(inner)?)),
            Condition::Compare(name, operator, literal) => self.compare(name, *operator, literal)?,
            Condition::Like(name, pattern) => {
                let path = self.filterable(name)?;
                Filter::Test(path, Test::Like(pattern.iter().map(piece).collect()))
            }
            Condition::In(name, members) => self.members(name, members)?,
            Condition::InQuery(name, inner) => {
                let path = self.filterable(name)?;
                Filter::Test(path, self.inner_query(inner)?)
            }
        })
    }

    fn filterable(&self, name: &Name) -> Result<Path, Refused> {
        let path = self.path(name)?;
        match &path.leaf {
            Leaf::Field(field) if !field.filterable => {
                let reason = format!("field '{}' can not be filtered in a query call", field.name);
                Err(Refused::pointing("INVALID_FIELD", name.at, reason))
            }
            _ => Ok(path),
        }
    }

    fn compare(&self, name: &Name, operator: Operator, literal: &Literal) -> Result<Filter, Refused> {
        let path = self.filterable(name)?;
        let kind = path.leaf.kind();
        if *literal == Literal::Null {
            let is_null = Filter::Test(path, Test::IsNull);
            return match operator {
                Operator::Equal => Ok(is_null),
                Operator::NotEqual => Ok(Filter::Not(Box::new(is_null))),
                _ => Err(Refused::malformed("null value can only be compared with = or !=")),
            };
        }
        if let (Kind::Date | Kind::DateTime, Literal::Word(word)) = (kind, literal) {
            let zone = jiff::tz::TimeZone::get(&self.state.settings.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
            let (from, until) = eval::span_of(word, self.state.now, &zone, kind == Kind::DateTime)
                .ok_or_else(|| Refused::unexpected(word))?;
            return Ok(Filter::Test(path, Test::Span(operator, from, until)));
        }
        let operand = operand(&path.leaf, literal, name)?;
        Ok(Filter::Test(path, Test::Compare(operator, operand)))
    }

    fn members(&self, name: &Name, members: &[Literal]) -> Result<Filter, Refused> {
        let path = self.filterable(name)?;
        let mut texts = HashSet::with_capacity(members.len());
        let (mut numbers, mut has_null) = (Vec::new(), false);
        for member in members {
            if *member == Literal::Null {
                has_null = true;
                continue;
            }
            match operand(&path.leaf, member, name)? {
                Operand::Text { text, .. } if text.is_empty() => has_null = true,
                Operand::Text { text, .. } => _ = texts.insert(text),
                Operand::Number(number) => numbers.push(number),
                Operand::Boolean(_) => return Err(Refused::unexpected("IN")),
            }
        }
        let ignores_case = ignores_case(&path.leaf);
        Ok(Filter::Test(path, Test::In { texts, numbers, has_null, ignores_case }))
    }

    fn inner_query(&self, inner: &Statement) -> Result<Test, Refused> {
        let plan = plan_statement(self.state, inner)?;
        let [column] = plan.columns.as_slice() else {
            return Err(Refused::malformed("Semi join sub-selects can only query one field"));
        };
        let table = self.state.table(&plan.object);
        let texts = eval::run(self.state, &plan, false)
            .into_iter()
            .filter_map(|row| eval::value(self.state, column, table.row(row)?).as_str().map(str::to_owned))
            .collect();
        Ok(Test::In { texts, numbers: Vec::new(), has_null: false, ignores_case: false })
    }
}

fn piece((character, is_escaped): &(char, bool)) -> Piece {
    match character {
        '%' if !is_escaped => Piece::Any,
        '_' if !is_escaped => Piece::One,
        other => Piece::Exactly(other.to_lowercase().next().unwrap_or(*other)),
    }
}

fn ignores_case(leaf: &Leaf) -> bool {
    leaf.kind().is_text() && !leaf.is_case_sensitive()
}

/// Reads a literal as its field's type.
fn operand(leaf: &Leaf, literal: &Literal, name: &Name) -> Result<Operand, Refused> {
    let kind = leaf.kind();
    let exact = |text: String| Operand::Text { text, ignores_case: false };
    match (kind, literal) {
        (Kind::Id | Kind::Reference, Literal::Text(text)) => match ids::normalise(text) {
            Some(id) => Ok(exact(id)),
            None if text.is_empty() => Ok(exact(String::new())),
            None => {
                let reason = format!("invalid ID field: {text}");
                Err(Refused::pointing("INVALID_QUERY_FILTER_OPERATOR", name.at, reason))
            }
        },
        (kind, Literal::Text(text)) if kind.is_text() => {
            let ignores_case = ignores_case(leaf);
            let text = if ignores_case { text.to_lowercase() } else { text.clone() };
            Ok(Operand::Text { text, ignores_case })
        }
        (Kind::Boolean, Literal::Boolean(flag)) => Ok(Operand::Boolean(*flag)),
        (kind, Literal::Plain(text)) if kind.is_number() => {
            text.parse().map(Operand::Number).map_err(|_| wrong_type(leaf, name))
        }
        (Kind::Date, Literal::Plain(text)) if !text.contains('T') => {
            parse_date(text).map(exact).ok_or_else(|| wrong_type(leaf, name))
        }
        (Kind::DateTime, Literal::Plain(text)) => parse_instant(text).map(exact).ok_or_else(|| wrong_type(leaf, name)),
        (_, Literal::Word(word)) => Err(Refused::unexpected(word)),
        _ => Err(wrong_type(leaf, name)),
    }
}

fn wrong_type(leaf: &Leaf, name: &Name) -> Refused {
    let (wanted, quotes) = match leaf.kind() {
        Kind::Boolean => ("boolean", "should not be enclosed in quotes"),
        Kind::Int => ("int", "should not be enclosed in quotes"),
        Kind::Double => ("double", "should not be enclosed in quotes"),
        Kind::Date => ("date", "should not be enclosed in quotes"),
        Kind::DateTime => ("dateTime", "should not be enclosed in quotes"),
        Kind::Id | Kind::Reference => ("ID", "should be enclosed in quotes"),
        _ => ("string", "should be enclosed in quotes"),
    };
    let reason = format!("value of filter criterion for field '{}' must be of type {wanted} and {quotes}", leaf.name());
    Refused::pointing("INVALID_FIELD", name.at, reason)
}

impl Operand {
    /// The value as a record would hold it, for comparisons by order.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Operand::Boolean(flag) => Value::Bool(*flag),
            Operand::Number(number) => Value::from(*number),
            Operand::Text { text, .. } => Value::from(text.as_str()),
        }
    }
}

//! Writing one record: every check in its order, the lock, the row, and a journal to take it all back.
//!
//! Requests with several rows and upserts are built from this in [`batch`] and [`upsert`].

mod batch;
mod check;
mod upsert;

use std::sync::Arc;

use serde_json::Value;

pub(super) use batch::{Action, Planned, RowResult, run};
pub(super) use upsert::{KeyRow, Lookup, find, look_up, plan_upsert, upsert_field};

use super::counters::count;
use super::derive::{complete, derive};
use super::org::State;
use super::problem::Problem;
use super::schema::Object;
use super::table::{Record, RowNumber};
use super::value::instant_text;

/// Field values by canonical name, checked one by one.
pub(super) type Values = Vec<(Arc<str>, Value)>;

/// What a write needs to know of its request.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The request's number, under which it holds locks.
    pub(super) request: u64,
    pub(super) method: String,
    pub(super) path: String,
    /// `Sforce-Duplicate-Rule-Header: allowSave=true`.
    pub(super) allows_duplicates: bool,
    /// Not `Sforce-Auto-Assign: FALSE`.
    pub(super) assigns: bool,
}

enum Step {
    Inserted(Arc<Object>),
    Replaced { object: Arc<Object>, row: RowNumber, before: Record, is_delete: bool },
}

/// Writes rows and remembers how to take them back.
pub(super) struct Writer<'a> {
    pub(super) state: &'a mut State,
    pub(super) origin: &'a Origin,
    journal: Vec<Step>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(state: &'a mut State, origin: &'a Origin) -> Writer<'a> {
        Writer { state, origin, journal: Vec::new() }
    }

    /// Creates a record and returns its id.
    pub(super) fn insert(&mut self, object: &Arc<Object>, values: Values) -> Result<String, Problem> {
        check::writable(self.state, object)?;
        if self.state.settings.storage_full {
            return Err(Problem::row("STORAGE_LIMIT_EXCEEDED", "storage limit exceeded", &[]));
        }
        let mut record = Record::default();
        for (name, value) in values {
            record.set(&name, value);
        }
        self.meet_faults(&record)?;
        check::required(object, &record)?;
        check::references(self.state, object, &record, None)?;
        check::validation_rules(self.state, object, &record)?;
        check::triggers(self.state, object, &record)?;
        check::lead_duplicates(self.state, object, &record, self.origin.allows_duplicates)?;
        check::unique(self.state, object, &record, None)?;
        if let Some(owner) = &self.state.settings.assignment_owner
            && self.origin.assigns
            && matches!(object.name, "Lead" | "Case")
        {
            record.put(object, "OwnerId", Value::from(owner.as_str()));
        }
        complete(self.state, object, &mut record);
        derive(self.state, object, &mut record);
        if object.name == "Task" && !record.flag("IsClosed") && !record.get("ActivityDate").is_null() {
            self.lock(&parents(&record))?;
        }
        let id = record.id().to_owned();
        self.state.table_mut(object).push(record);
        self.journal.push(Step::Inserted(Arc::clone(object)));
        Ok(id)
    }

    /// Changes a record that is not deleted.
    pub(super) fn update(&mut self, object: &Arc<Object>, row: RowNumber, values: Values) -> Result<(), Problem> {
        check::writable(self.state, object)?;
        let before = self.state.table(object).row(row).cloned().unwrap_or_default();
        self.meet_faults(&before)?;
        if before.is_deleted() {
            return Err(Problem::row("ENTITY_IS_DELETED", "entity is deleted", &[]).with_status(404));
        }
        if object.name == "Lead" && before.flag("IsConverted") {
            return Err(check::converted_lead());
        }
        let mut record = before.clone();
        for (name, value) in values {
            record.set(&name, value);
        }
        check::required(object, &record)?;
        check::references(self.state, object, &record, Some(&before))?;
        check::validation_rules(self.state, object, &record)?;
        check::triggers(self.state, object, &record)?;
        check::unique(self.state, object, &record, Some(row))?;
        derive(self.state, object, &mut record);
        let mut locked = parents(&before);
        locked.extend(parents(&record));
        locked.push(record.id().to_owned());
        self.lock(&locked)?;
        if record == before {
            count(&mut self.state.counters.updated_without_change, object.name);
        }
        self.stamp(object, &mut record);
        self.store(object, row, record, before, false);
        Ok(())
    }

    /// Moves a record to the recycle bin.
    pub(super) fn delete(&mut self, object: &Arc<Object>, row: RowNumber) -> Result<(), Problem> {
        check::writable(self.state, object)?;
        let before = self.state.table(object).row(row).cloned().unwrap_or_default();
        self.meet_faults(&before)?;
        if before.is_deleted() {
            return Err(Problem::row("ENTITY_IS_DELETED", "entity is deleted", &[]).with_status(404));
        }
        let mut locked = parents(&before);
        locked.push(before.id().to_owned());
        self.lock(&locked)?;
        let mut record = before.clone();
        record.put(object, "IsDeleted", Value::Bool(true));
        self.stamp(object, &mut record);
        self.store(object, row, record, before, true);
        Ok(())
    }

    /// Keeps what was written, and counts it.
    pub(super) fn commit(self) {
        let counters = &mut self.state.counters;
        for step in &self.journal {
            match step {
                Step::Inserted(object) => count(&mut counters.created, object.name),
                Step::Replaced { object, is_delete: true, .. } => count(&mut counters.deleted, object.name),
                Step::Replaced { object, .. } => count(&mut counters.updated, object.name),
            }
        }
        if !self.journal.is_empty() {
            self.state.revision += 1;
        }
    }

    /// Takes everything back.
    pub(super) fn roll_back(self) {
        for step in self.journal.into_iter().rev() {
            match step {
                Step::Inserted(object) => self.state.table_mut(&object).pop(),
                Step::Replaced { object, row, before, .. } => {
                    self.state.table_mut(&object).replace(row, before);
                }
            }
        }
    }

    fn stamp(&self, object: &Object, record: &mut Record) {
        let now = Value::from(instant_text(self.state.now));
        record.put(object, "LastModifiedDate", now.clone());
        record.put(object, "SystemModstamp", now);
        record.put(object, "LastModifiedById", Value::from(self.state.user_id.as_str()));
    }

    fn store(&mut self, object: &Arc<Object>, row: RowNumber, record: Record, before: Record, is_delete: bool) {
        self.state.table_mut(object).replace(row, record);
        self.journal.push(Step::Replaced { object: Arc::clone(object), row, before, is_delete });
    }

    fn lock(&mut self, records: &[String]) -> Result<(), Problem> {
        let status = self.state.settings.lock_row_http_status;
        let locked = self.state.locks.acquire(self.origin.request, records);
        locked.map_err(|held| Problem::lock(&held).with_status(status))
    }

    fn meet_faults(&mut self, record: &Record) -> Result<(), Problem> {
        let parent = parents(record).into_iter().next().unwrap_or_else(|| record.id().to_owned());
        let state = &mut *self.state;
        let drawn = state.faults.draw_row(&mut state.random, &self.origin.method, &self.origin.path, &parent);
        match drawn {
            Some((kind, problem)) => {
                state.count_fault(kind);
                let is_lock = problem.code == "UNABLE_TO_LOCK_ROW";
                let status = if is_lock { state.settings.lock_row_http_status } else { problem.status };
                Err(problem.with_status(status))
            }
            None => Ok(()),
        }
    }
}

/// The records that a write of this one locks besides itself.
fn parents(record: &Record) -> Vec<String> {
    ["WhoId", "WhatId", "AccountId"]
        .into_iter()
        .filter_map(|name| record.get(name).as_str().map(str::to_owned))
        .collect()
}

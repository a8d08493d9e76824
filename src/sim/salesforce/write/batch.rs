//! Writing the rows of one request: all bodies are read first, then rows are written in order, each for itself or all or
//! none.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::counters::count;
use super::super::org::State;
use super::super::problem::Problem;
use super::super::schema::Object;
use super::super::table::{Record, RowNumber};
use super::super::value::Refusal;
use super::{Origin, Values, Writer, check};

/// What to do with one row.
#[derive(Debug, Clone)]
pub(in super::super) enum Action {
    Insert,
    Update(RowNumber),
    Delete(RowNumber),
    Refuse(Problem),
}

/// One row of a request, its record already looked up.
#[derive(Debug)]
pub(in super::super) struct Planned {
    pub(in super::super) object: Arc<Object>,
    pub(in super::super) body: Map<String, Value>,
    pub(in super::super) action: Action,
}

/// The id of a written row and whether it is new, or why it was not written.
pub(in super::super) type RowResult = Result<(String, bool), Problem>;

/// Writes the rows; the outer error is one that fails the request before anything is written.
pub(in super::super) fn run(
    state: &mut State,
    origin: &Origin,
    rows: Vec<Planned>,
    all_or_none: bool,
) -> Result<Vec<RowResult>, Problem> {
    if state.closed {
        return Err(Problem::unavailable());
    }
    let mut ready = Vec::with_capacity(rows.len());
    for row in &rows {
        ready.push(read_body(state, row)?);
    }
    apply_chunk_triggers(state, &rows, &mut ready);
    let mut writer = Writer::new(state, origin);
    let results: Vec<RowResult> =
        rows.iter().zip(ready).map(|(row, values)| values.and_then(|values| write(&mut writer, row, values))).collect();
    let refused = results.iter().filter(|result| result.is_err()).count();
    if refused == 0 || !all_or_none {
        writer.commit();
    } else {
        writer.roll_back();
    }
    for problem in results.iter().filter_map(|result| result.as_ref().err()) {
        count(&mut state.counters.rows_refused, &problem.code);
    }
    if refused == 0 || !all_or_none {
        return Ok(results);
    }
    let rolled_back = || {
        let message =
            "Record rolled back because not all records were valid and the request was using AllOrNone header";
        Problem::row("ALL_OR_NONE_OPERATION_ROLLED_BACK", message, &[])
    };
    Ok(results.into_iter().map(|result| result.and_then(|_| Err(rolled_back()))).collect())
}

fn read_body(state: &State, row: &Planned) -> Result<Result<Values, Problem>, Problem> {
    let is_insert = match &row.action {
        Action::Insert => true,
        Action::Update(_) => false,
        Action::Delete(_) => return Ok(Ok(Values::new())),
        Action::Refuse(problem) => return Ok(Err(problem.clone())),
    };
    match check::values(state, &row.object, &row.body, is_insert) {
        Ok(values) => Ok(Ok(values)),
        Err(Refusal::Row(problem)) => Ok(Err(problem)),
        Err(Refusal::Body(problem)) => Err(problem),
    }
}

fn apply_chunk_triggers(state: &State, rows: &[Planned], ready: &mut [Result<Values, Problem>]) {
    let mut start = 0;
    for chunk in rows.chunk_by(|left, right| left.object.name == right.object.name) {
        let ready = &mut ready[start..start + chunk.len()];
        start += chunk.len();
        let valid = ready.iter().filter_map(|values| values.as_ref().ok());
        if let Some(problem) = check::chunk_trigger(state, &chunk[0].object, valid) {
            ready.iter_mut().filter(|values| values.is_ok()).for_each(|values| *values = Err(problem.clone()));
        }
    }
}

fn write(writer: &mut Writer<'_>, row: &Planned, values: Values) -> RowResult {
    let id_of = |writer: &Writer<'_>, number| {
        writer.state.table(&row.object).row(number).map_or_else(String::new, |record: &Record| record.id().to_owned())
    };
    match &row.action {
        Action::Insert => writer.insert(&row.object, values).map(|id| (id, true)),
        Action::Update(number) => {
            writer.update(&row.object, *number, values)?;
            Ok((id_of(writer, *number), false))
        }
        Action::Delete(number) => {
            writer.delete(&row.object, *number)?;
            Ok((id_of(writer, *number), false))
        }
        Action::Refuse(problem) => Err(problem.clone()),
    }
}

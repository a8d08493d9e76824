//! `/query`, `/queryAll` and the pages after the first: statements become plans, plans become cursors.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::answer::Answer;
use super::ids;
use super::org::State;
use super::problem::Problem;
use super::soql::{self, Page, Plan};
use super::table::RowNumber;

/// Open cursors of the user; the oldest goes when there is one more.
const CURSORS_MAX: usize = 10;
/// The smallest page a client may ask for.
const PAGE_ROWS_MIN: usize = 200;

#[derive(Debug)]
struct Cursor {
    id: String,
    plan: Arc<Plan>,
    rows: Arc<Vec<RowNumber>>,
    page_rows: usize,
    is_finished: bool,
}

/// The result sets that have further pages.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: VecDeque<Cursor>,
    serial: u64,
}

impl Cursors {
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    fn add(&mut self, plan: Arc<Plan>, rows: Arc<Vec<RowNumber>>, page_rows: usize) -> String {
        if self.open.len() >= CURSORS_MAX {
            let oldest = self.open.iter().position(|cursor| cursor.is_finished).unwrap_or(0);
            self.open.remove(oldest);
        }
        self.serial += 1;
        let id = ids::make("01g", self.serial);
        self.open.push_back(Cursor { id: id.clone(), plan, rows, page_rows, is_finished: false });
        id
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    total_size: usize,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_records_url: Option<String>,
    records: Page<'a>,
}

/// Runs a statement and answers with its first page.
pub(super) fn first_page(
    state: &mut State,
    statement: &str,
    is_all: bool,
    asked_rows: Option<usize>,
    root: &str,
) -> Result<Answer, Problem> {
    let plan = soql::plan(state, statement).map_err(|refused| refused.to_problem(statement))?;
    let rows = soql::run(state, &plan, is_all);
    if plan.is_count {
        let body = serde_json::json!({ "totalSize": rows.len(), "done": true, "records": [] });
        return Ok(Answer::json(200, &body));
    }
    let largest = state.settings.query_page_rows.max(1);
    let page_rows = asked_rows.map_or(largest, |rows| rows.max(PAGE_ROWS_MIN).min(largest));
    let (plan, rows) = (Arc::new(plan), Arc::new(rows));
    let cursor = (rows.len() > page_rows).then(|| state.cursors.add(Arc::clone(&plan), Arc::clone(&rows), page_rows));
    Ok(page(state, &plan, &rows, 0, page_rows, cursor.as_deref(), root))
}

/// Answers with the page that a locator (`01g…-2000`) names.
pub(super) fn next_page(state: &mut State, locator: &str, root: &str) -> Result<Answer, Problem> {
    let invalid = || Problem::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let (id, offset) = locator.rsplit_once('-').ok_or_else(invalid)?;
    let offset: usize = offset.parse().map_err(|_| invalid())?;
    let cursor = state.cursors.open.iter_mut().find(|cursor| cursor.id == id).ok_or_else(invalid)?;
    if offset > cursor.rows.len() {
        return Err(invalid());
    }
    let page_rows = cursor.page_rows;
    cursor.is_finished |= offset + page_rows >= cursor.rows.len();
    let (plan, rows) = (Arc::clone(&cursor.plan), Arc::clone(&cursor.rows));
    Ok(page(state, &plan, &rows, offset, page_rows, Some(id), root))
}

fn page(
    state: &State,
    plan: &Plan,
    rows: &[RowNumber],
    offset: usize,
    page_rows: usize,
    cursor: Option<&str>,
    root: &str,
) -> Answer {
    let end = (offset + page_rows).min(rows.len());
    let next = cursor.filter(|_| end < rows.len());
    let body = Body {
        total_size: rows.len(),
        done: next.is_none(),
        next_records_url: next.map(|id| format!("{root}/query/{id}-{end}")),
        records: Page { state, plan, rows: &rows[offset..end], root },
    };
    Answer::json(200, &body)
}

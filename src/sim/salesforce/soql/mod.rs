//! SOQL: text to tokens ([`lexer`]), to a statement ([`parser`]), to a checked plan ([`plan`]), to rows ([`eval`]), to
//! JSON ([`render`]).
//!
//! Covered: one object with paths to its parents, `COUNT()`, `FIELDS()`, the whole WHERE grammar with date literals and
//! semi-joins, ORDER BY, LIMIT, OFFSET. Not covered: GROUP BY and other aggregates, child subqueries, TYPEOF.

mod eval;
mod lexer;
mod parser;
mod plan;
mod render;

pub(super) use eval::run;
pub(super) use plan::{Plan, plan};
pub(super) use render::{Page, Record};

use super::problem::Problem;

/// Most characters of a statement.
pub(super) const STATEMENT_CHARS_MAX: usize = 100_000;
/// Most characters of a string literal.
const LITERAL_CHARS_MAX: usize = 4_000;
/// Largest OFFSET.
const OFFSET_MAX: usize = 2_000;
/// Characters of the statement echoed on each side of an error.
const ECHO_CHARS: usize = 40;

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    code: &'static str,
    reason: String,
    /// Where in the statement, for errors that point there.
    at: Option<usize>,
}

impl Refused {
    fn malformed(reason: impl Into<String>) -> Refused {
        Refused { code: "MALFORMED_QUERY", reason: reason.into(), at: None }
    }

    fn pointing(code: &'static str, at: usize, reason: impl Into<String>) -> Refused {
        Refused { code, reason: reason.into(), at: Some(at) }
    }

    fn unexpected(token: &str) -> Refused {
        Refused::malformed(format!("unexpected token: '{token}'"))
    }

    /// The answer: a pointing error echoes the statement around the place, with a caret below it.
    pub(super) fn to_problem(&self, statement: &str) -> Problem {
        let message = match self.at {
            None => self.reason.clone(),
            Some(at) => point(statement, at, &self.reason),
        };
        Problem::new(400, self.code, message)
    }
}

fn point(statement: &str, at: usize, reason: &str) -> String {
    let before = statement.get(..at).unwrap_or(statement);
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let row = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    let line = statement[line_start..].lines().next().unwrap_or_default();
    let skipped = (column - 1).saturating_sub(ECHO_CHARS);
    let echo: String = line.chars().skip(skipped).take(column - 1 - skipped + ECHO_CHARS).collect();
    let caret = " ".repeat(column - 1 - skipped);
    format!("\n{echo}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{reason}")
}

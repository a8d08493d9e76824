//! `trunkline explain <code>`.

use clap::Args;

use super::{Exit, Failure, Output};
use crate::problem::{CODES, CONFIG_BAD_VALUE, Problem, find};

#[derive(Args)]
pub struct Arguments {
    /// An error code, e.g. TL0402 or 402; without one, all are listed.
    code: Option<String>,
}

pub fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let Some(code) = &arguments.code else {
        for info in CODES {
            output.line(format!("{}  {}", info.code, info.sentence))?;
        }
        return Ok(Exit::Done);
    };
    let info = find(code).ok_or_else(|| {
        Problem::new(
            CONFIG_BAD_VALUE,
            format!("there is no error code `{code}`"),
            "`trunkline explain` without a code lists them all",
        )
    })?;
    output.line(info.page.trim_end())?;
    Ok(Exit::Done)
}

//! Where answers and words go: stdout for data, stderr for words.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::problem::Problem;

/// The two streams; tests put buffers in.
pub struct Output {
    data: Box<dyn Write + Send>,
    words: Box<dyn Write + Send>,
    terminal: bool,
}

impl Output {
    /// The process's own streams.
    pub fn standard() -> Output {
        Output {
            data: Box::new(io::stdout()),
            words: Box::new(io::stderr()),
            terminal: io::stderr().is_terminal() && io::stdout().is_terminal(),
        }
    }

    /// Whether a person watches.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A line of the answer.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.data, "{}", text.as_ref())
    }

    /// A JSON answer.
    pub fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.data, value).map_err(io::Error::from)?;
        writeln!(self.data)
    }

    /// A table of the answer.
    pub fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| visible(cell)));
        }
        for line in table.lines() {
            writeln!(self.data, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// A line of words for a person. That nobody can read it stops nothing.
    pub fn say(&mut self, text: impl AsRef<str>) {
        if writeln!(self.words, "{}", text.as_ref()).is_err() {
            tracing::debug!("stderr is closed");
        }
    }

    pub fn problem(&mut self, problem: &Problem) {
        self.say(format!("error {problem}"));
        self.say(format!("  more: trunkline explain {}", problem.code));
    }
}

/// Text from elsewhere, made harmless for a terminal: control characters are shown, not obeyed.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Like [`visible`], but line ends stay.
pub fn visible_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

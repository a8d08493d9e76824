//! Where answers and words go: stdout for data, stderr for words.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::problem::{CONFIG_CONTRADICTION, Problem};

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
            data: Box::new(UntilClosed { inner: io::stdout(), is_closed: false }),
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

/// A stream whose reader may leave (`trunkline why rm_1 | head -1`): what comes after that is dropped, and the command ends
/// as it would have.
struct UntilClosed<W> {
    inner: W,
    is_closed: bool,
}

impl<W> UntilClosed<W> {
    fn unless_closed<T>(&mut self, result: io::Result<T>, then: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(then)
            }
            other => other,
        }
    }
}

impl<W: Write> Write for UntilClosed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed {
            return Ok(bytes.len());
        }
        let result = self.inner.write(bytes);
        self.unless_closed(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let result = self.inner.flush();
        self.unless_closed(result, ())
    }
}

/// Asks for a yes on a terminal; without one nobody can agree.
pub fn agreed(question: &str) -> Result<bool, Problem> {
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let answer =
        if asks { dialoguer::Confirm::new().with_prompt(question).default(false).interact().ok() } else { None };
    answer.ok_or_else(|| {
        Problem::new(CONFIG_CONTRADICTION, format!("{question} There is no terminal to answer on"), "add --yes")
    })
}

/// Text from elsewhere, made harmless for a terminal: control characters are shown, not obeyed.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Like [`visible`], but line ends stay.
pub fn visible_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that ends with this error.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_who_leaves_is_no_error_and_a_full_disk_is() {
        let check = |kind: io::ErrorKind, fine: bool| {
            let data = Box::new(UntilClosed { inner: Broken(kind), is_closed: false });
            let mut output = Output { data, words: Box::new(io::sink()), terminal: false };
            assert_eq!(output.line("one").is_ok(), fine, "{kind}");
            assert_eq!(output.json(&["two"]).is_ok(), fine, "{kind}");
            assert_eq!(output.table(&["three"], vec![vec!["3".to_owned()]]).is_ok(), fine, "{kind}");
        };
        check(io::ErrorKind::BrokenPipe, true);
        check(io::ErrorKind::StorageFull, false);
    }
}

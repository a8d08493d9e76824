//! Progress as a bar on a terminal, as lines otherwise.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{Event, Progress, counted, thousands};
use crate::store::Step;

/// How many files or deliveries pass between two lines.
const LINE_EVERY: u64 = 5_000;

/// How often a spinner turns.
const TICK: std::time::Duration = std::time::Duration::from_millis(120);

/// A bar for each phase.
pub struct Bars {
    bar: ProgressBar,
    listed: AtomicU64,
}

impl Bars {
    pub fn new() -> Bars {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} {bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix("reading");
        Bars { bar, listed: AtomicU64::new(0) }
    }
}

impl Progress for Bars {
    fn event(&self, event: Event) {
        match event {
            Event::Listed(count) => self.bar.set_length(self.listed.fetch_add(count, Ordering::SeqCst) + count),
            Event::Read(count) | Event::Settled(count) => self.bar.inc(count),
            Event::Delivering(count) => {
                self.bar.set_prefix("delivering");
                self.bar.set_length(count);
                self.bar.set_position(0);
            }
            Event::Waiting { seconds, reason } => self.bar.set_message(format!("waiting {seconds} s: {reason}")),
            Event::Warning(text) => self.bar.println(format!("warning: {text}")),
            Event::Note(text) => self.bar.println(text),
            Event::Due(_) | Event::Delivered { .. } => {}
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows that something goes on that cannot be counted.
pub struct Spinner(ProgressBar);

impl Spinner {
    pub fn new(text: &'static str) -> Spinner {
        let bar = ProgressBar::new_spinner().with_message(text);
        bar.enable_steady_tick(TICK);
        Spinner(bar)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line now and then, for logs.
#[derive(Default)]
pub struct Lines {
    state: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    delivering: bool,
    done: u64,
    told: u64,
    /// Why the engine waits, once told; the same reason is not told twice in a row.
    waiting: String,
}

impl Progress for Lines {
    fn event(&self, event: Event) {
        if let Some(text) = self.told(event) {
            line(&text);
        }
    }
}

impl Lines {
    /// The line that an event is worth, if it is worth one.
    fn told(&self, event: Event) -> Option<String> {
        let mut counts = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match event {
            Event::Listed(_) | Event::Due(_) | Event::Delivered { .. } => None,
            Event::Read(count) | Event::Settled(count) => {
                counts.done += count;
                counts.waiting.clear();
                if counts.done - counts.told < LINE_EVERY {
                    return None;
                }
                counts.told = counts.done;
                let what = if counts.delivering { "calls settled" } else { "files read" };
                Some(format!("{} {what}", thousands(counts.done)))
            }
            Event::Delivering(count) => {
                *counts = Counts { delivering: true, ..Counts::default() };
                (count > 0).then(|| counted(count, "call is due", "calls are due"))
            }
            Event::Waiting { reason, .. } if reason == counts.waiting => None,
            Event::Waiting { reason, .. } => {
                counts.waiting.clone_from(&reason);
                Some(format!("waiting, and trying again: {reason}"))
            }
            Event::Warning(text) => Some(format!("warning: {text}")),
            Event::Note(text) => Some(text),
        }
    }
}

/// Steps of a check: a bar on a terminal, a line now and then otherwise.
pub struct Steps {
    bar: Option<ProgressBar>,
    told: u64,
}

impl Steps {
    pub fn new(terminal: bool) -> Steps {
        let bar = terminal.then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{prefix:<20} {bar:30} {pos}/{len}") {
                bar.set_style(style);
            }
            bar
        });
        Steps { bar, told: 0 }
    }

    pub fn told(&mut self, step: Step) {
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(step.what);
                bar.set_length(step.of);
                bar.set_position(step.done);
            }
            None => {
                if step.done < self.told {
                    self.told = 0;
                }
                if step.done >= self.told + LINE_EVERY {
                    self.told = step.done;
                    line(&format!("{} of {} {} checked", thousands(step.done), thousands(step.of), step.what));
                }
            }
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line of words where no [`super::Output`] is at hand.
pub fn line(text: &str) {
    use std::io::Write;
    if writeln!(std::io::stderr(), "{text}").is_err() {
        tracing::debug!("stderr is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_wait_is_told_once_until_something_moves() {
        let lines = Lines::default();
        let wait = |reason: &str| lines.told(Event::Waiting { seconds: 4, reason: reason.to_owned() });
        assert_eq!(wait("no answer").as_deref(), Some("waiting, and trying again: no answer"));
        assert_eq!((wait("no answer"), wait("no answer")), (None, None));
        assert_eq!(wait("busy").as_deref(), Some("waiting, and trying again: busy"));
        assert_eq!(lines.told(Event::Settled(1)), None);
        assert_eq!(wait("busy").as_deref(), Some("waiting, and trying again: busy"));
    }
}

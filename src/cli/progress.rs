//! Progress as a bar on a terminal, as lines otherwise.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::{Event, Progress, counted, thousands};

/// How many files or deliveries pass between two lines.
const LINE_EVERY: u64 = 5_000;

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
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
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
}

impl Progress for Lines {
    fn event(&self, event: Event) {
        let mut counts = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match event {
            Event::Listed(_) => {}
            Event::Read(count) | Event::Settled(count) => {
                counts.done += count;
                if counts.done - counts.told >= LINE_EVERY {
                    counts.told = counts.done;
                    let what = if counts.delivering { "calls settled" } else { "files read" };
                    line(&format!("{} {what}", thousands(counts.done)));
                }
            }
            Event::Delivering(count) => {
                *counts = Counts { delivering: true, ..Counts::default() };
                if count > 0 {
                    line(&counted(count, "call is due", "calls are due"));
                }
            }
            Event::Waiting { seconds, reason } => line(&format!("waiting {seconds} s: {reason}")),
            Event::Warning(text) => line(&format!("warning: {text}")),
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

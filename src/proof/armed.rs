//! What the feature `proof` puts behind each place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock};

use super::{Protection, Step};

/// The variable that arms a process, such as `crash=settle/within:3 off=fsync`: words separated by blanks.
///
/// - `crash=PLACE/STEP:N` ends the process, without any tidying, when it reaches that place for the N-th time (from 1);
/// - `off=PROTECTION` switches a protection off;
/// - `trace=FILE` appends each place, as it is first reached, to a file.
pub const VARIABLE: &str = "TRUNKLINE_PROOF";

/// What a simulation puts behind the places, on its own thread.
pub trait Hooks {
    fn reached(&self, place: &'static str, step: Step);
    fn is_off(&self, protection: Protection) -> bool;
    /// How often other tasks are let go first, each time that work is handed over.
    fn yields(&self) -> u32;
    /// The name of SQLite's file system, as registered.
    fn vfs(&self) -> Option<&'static str>;
}

thread_local! {
    static HOOKS: RefCell<Option<Rc<dyn Hooks>>> = const { RefCell::new(None) };
}

/// Hooks stand until this is dropped.
pub struct Entered(Option<Rc<dyn Hooks>>);

/// Puts hooks behind the places, for this thread. From then on, work that blocks runs in place on it.
pub fn enter(hooks: Rc<dyn Hooks>) -> Entered {
    Entered(HOOKS.with(|current| current.borrow_mut().replace(hooks)))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        HOOKS.with(|current| *current.borrow_mut() = before);
    }
}

fn hooks() -> Option<Rc<dyn Hooks>> {
    HOOKS.with(|current| current.borrow().clone())
}

#[derive(Debug, Default)]
struct Plan {
    crash: Option<(String, u64)>,
    off: BTreeSet<Protection>,
    trace: Option<std::path::PathBuf>,
    seen: Mutex<BTreeMap<String, u64>>,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Reads [`VARIABLE`] out of a process's environment. An unknown word is an error, so that no test runs unarmed.
pub fn arm(environment: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(words) = environment.get(VARIABLE) else { return Ok(()) };
    let mut plan = Plan::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("crash", place)) => {
                let (place, times) = place.rsplit_once(':').ok_or_else(|| format!("`{word}` has no `:N`"))?;
                let times = times.parse().map_err(|_| format!("`{word}` has no number behind `:`"))?;
                plan.crash = Some((place.to_owned(), times));
            }
            Some(("off", name)) => {
                let found = Protection::ALL.iter().find(|(_, known)| *known == name);
                plan.off.insert(found.ok_or_else(|| format!("`{name}` is no protection"))?.0);
            }
            Some(("trace", path)) => plan.trace = Some(path.into()),
            _ => return Err(format!("`{word}` is unknown")),
        }
    }
    PLAN.set(plan).map_err(|_| "armed twice".to_owned())
}

/// A named place was reached.
pub fn reached(place: &'static str, step: Step) {
    if let Some(hooks) = hooks() {
        hooks.reached(place, step);
    }
    if let Some(plan) = PLAN.get() {
        plan.reached(place, step);
    }
}

impl Plan {
    fn reached(&self, place: &'static str, step: Step) {
        let name = format!("{place}/{}", step.name());
        let times = {
            let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            *times
        };
        if times == 1 && self.trace.as_ref().is_some_and(|path| append(path, &name).is_err()) {
            // A trace that cannot be written would let a place count as never reached.
            std::process::abort();
        }
        if self.crash.as_ref().is_some_and(|(place, at)| *place == name && *at == times) {
            std::process::abort();
        }
    }
}

fn append(path: &std::path::Path, name: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{name}\n").as_bytes())
}

/// Whether a protection is switched off.
pub fn is_off(protection: Protection) -> bool {
    match hooks() {
        Some(hooks) => hooks.is_off(protection),
        None => PLAN.get().is_some_and(|plan| plan.off.contains(&protection)),
    }
}

/// Whether work that blocks runs on the thread that asks for it.
pub fn runs_in_place() -> bool {
    hooks().is_some()
}

/// How often other tasks are let go first.
pub fn yields() -> u32 {
    hooks().map_or(0, |hooks| hooks.yields())
}

/// The file system that SQLite shall use in place of its own.
pub fn vfs() -> Option<&'static str> {
    hooks().and_then(|hooks| hooks.vfs())
}

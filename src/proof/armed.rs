//! What the feature `proof` puts behind each place.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::{PLACES, Protection, Step};

/// The variable that arms a process, such as `crash=settle/within:3 off=fsync`: words separated by blanks.
///
/// - `crash=PLACE/STEP:N` ends the process, without any tidying, when it reaches that place for the N-th time (from 1);
/// - `stop=PLACE/STEP:N` stops it there as SIGSTOP does, until somebody lets it go on;
/// - `off=PROTECTION` switches a protection off;
/// - `trace=FILE` appends each place, as it is first reached, to a file;
/// - `places=FILE` writes all places there are to a file;
/// - `poison=PLACE:TEXT` ends the process there whenever what is touched contains the text; `panic=PLACE:TEXT` panics;
/// - `lease=MS` is how long a claim lasts;
/// - `clock=FILE` names a file with the milliseconds that the machine's clock is off; it is read each time.
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
    stop: Option<(String, u64)>,
    off: BTreeSet<Protection>,
    trace: Option<PathBuf>,
    /// Whether it panics only, the place and the text.
    poisons: Vec<(bool, String, String)>,
    lease: Option<Duration>,
    clock: Option<PathBuf>,
    seen: Mutex<BTreeMap<String, u64>>,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Reads [`VARIABLE`] out of a process's environment. An unknown word is an error, so that no test runs unarmed.
pub fn arm(environment: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(words) = environment.get(VARIABLE) else { return Ok(()) };
    let mut plan = Plan::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("crash", place)) => plan.crash = Some(moment(place)?),
            Some(("stop", place)) => plan.stop = Some(moment(place)?),
            Some(("off", name)) => {
                let found = Protection::ALL.iter().find(|(_, known)| *known == name);
                plan.off.insert(found.ok_or_else(|| format!("`{name}` is no protection"))?.0);
            }
            Some(("trace", path)) => plan.trace = Some(path.into()),
            Some(("places", path)) => list(path.as_ref()).map_err(|error| format!("{path}: {error}"))?,
            Some((kind @ ("poison" | "panic"), word)) => {
                let (place, text) = word.split_once(':').ok_or_else(|| format!("`{word}` has no `:`"))?;
                plan.poisons.push((kind == "panic", place.to_owned(), text.to_owned()));
            }
            Some(("lease", ms)) => {
                plan.lease = Some(Duration::from_millis(ms.parse().map_err(|_| format!("`{ms}` is no number"))?));
            }
            Some(("clock", path)) => plan.clock = Some(path.into()),
            _ => return Err(format!("`{word}` is unknown")),
        }
    }
    PLAN.set(plan).map_err(|_| "armed twice".to_owned())
}

/// `PLACE/STEP:N`, of a place that there is. Blanks in its name are written as `-`.
fn moment(text: &str) -> Result<(String, u64), String> {
    let (place, times) = text.rsplit_once(':').ok_or_else(|| format!("`{text}` has no `:N`"))?;
    let times = times.parse().map_err(|_| format!("`{text}` has no number behind `:`"))?;
    match all().any(|known| known == place) {
        true => Ok((place.to_owned(), times)),
        false => Err(format!("`{place}` is no place")),
    }
}

fn all() -> impl Iterator<Item = String> {
    PLACES.iter().flat_map(|place| place.steps.iter().map(|step| name(place.name, *step)))
}

fn name(place: &str, step: Step) -> String {
    format!("{}/{}", place.replace(' ', "-"), step.name())
}

fn list(path: &std::path::Path) -> std::io::Result<()> {
    std::fs::write(path, all().map(|name| name + "\n").collect::<String>())
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
        let name = name(place, step);
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
        let is_it = |moment: &Option<(String, u64)>| moment.as_ref() == Some(&(name.clone(), times));
        if is_it(&self.crash) {
            std::process::abort();
        }
        #[cfg(unix)]
        if is_it(&self.stop) {
            // SAFETY: raise sends a signal to this process and touches no memory.
            let sent = unsafe { libc::raise(libc::SIGSTOP) };
            assert_eq!(sent, 0, "a process can stop itself");
        }
    }
}

fn append(path: &std::path::Path, name: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{name}\n").as_bytes())
}

/// Something is touched at a place: `contains` tells whether it holds a text.
pub fn touched(place: &'static str, contains: impl Fn(&str) -> bool) {
    let poisons = PLAN.get().map_or(&[][..], |plan| &plan.poisons);
    if let Some((panics, _, text)) = poisons.iter().find(|(_, at, text)| at == place && contains(text)) {
        assert!(!panics, "{place} was told to panic at {text}");
        std::process::abort();
    }
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

/// How long a claim lasts in place of its usual time.
pub fn lease() -> Option<Duration> {
    PLAN.get().and_then(|plan| plan.lease)
}

/// How far the machine's clock is off, in milliseconds.
pub fn clock_offset_ms() -> i64 {
    let file = PLAN.get().and_then(|plan| plan.clock.as_ref());
    let text = file.and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

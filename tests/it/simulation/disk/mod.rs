//! A disk in memory that forgets: what was not synced may be lost, torn or out of order when the power goes.
//!
//! It is a model of what POSIX promises and no more. A write is there for every reader at once, and durable after the sync
//! of its file. A new name is durable after the first sync of its file, and deletions before it with it, because the folder is
//! synced then. After a failed sync nobody knows which of the
//! writes are durable, and the next sync, though it succeeds, does not make up for them.

mod vfs;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::ffi;

pub use vfs::names;

/// Bytes of a sector: what a torn write is cut at.
const SECTOR: usize = 512;
/// Bytes of a region of shared memory, as SQLite asks for them.
const REGION: usize = 32 * 1024;
const SHARED_LOCKS: usize = 8;

/// A code of SQLite.
pub type Code = i32;

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

#[derive(Default)]
struct Node {
    /// What readers see.
    now: Vec<u8>,
    /// What a loss of power leaves; `None` while the name itself is not durable.
    durable: Option<Vec<u8>>,
    /// What happened since the last sync.
    changes: Vec<Change>,
    locks: BTreeMap<u64, i32>,
    shared: Shared,
}

/// The shared memory beside a database.
#[derive(Default)]
struct Shared {
    regions: Vec<Box<[u64; REGION / 8]>>,
    readers: [BTreeSet<u64>; SHARED_LOCKS],
    writer: [Option<u64>; SHARED_LOCKS],
    users: BTreeSet<u64>,
}

struct Handle {
    process: usize,
    name: String,
    /// Its process was killed: nothing that it does has an effect.
    dead: bool,
    is_temporary: bool,
}

/// How the disk misbehaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ills {
    /// Of each read, write and sync.
    pub error: f64,
    /// Writes that need more room are refused.
    pub full: bool,
}

/// What strikes at a step of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The process is killed in the middle of it.
    Kill,
    /// The power goes.
    PowerLoss,
    /// The step fails, and the process lives on.
    Error,
    /// There is no room from this step on, until somebody makes some.
    Full,
}

/// Hears of a blow: on whom it fell, and what it was.
type Told = Box<dyn Fn(usize, Blow)>;

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub struct DiskFigures {
    pub syncs: u64,
    pub writes: u64,
    /// By what failed.
    pub errors: BTreeMap<&'static str, u64>,
    pub refused_full: u64,
    pub writes_lost: u64,
    pub writes_torn: u64,
    pub blows_within: u64,
}

impl DiskFigures {
    fn count_error(&mut self, code: Code) {
        let what = match code {
            ffi::SQLITE_IOERR_READ => "errors of reads",
            ffi::SQLITE_IOERR_WRITE => "errors of writes",
            ffi::SQLITE_IOERR_TRUNCATE => "errors of truncations",
            ffi::SQLITE_IOERR_FSYNC => "errors of syncs",
            _ => "errors of deletions",
        };
        *self.errors.entry(what).or_default() += 1;
    }
}

pub struct Disk {
    nodes: BTreeMap<String, Node>,
    handles: BTreeMap<u64, Handle>,
    /// Processes that were struck down and not begun anew: what is left of them must not act.
    dead: BTreeSet<usize>,
    next: u64,
    random: StdRng,
    pub ills: Ills,
    /// The number of the coming change to durable state at which a blow falls, and who it is meant for.
    pub blow: Option<(u64, usize, Blow)>,
    /// Told when a blow falls.
    pub told: Option<Told>,
    /// Files that were deleted, but whose deletion is not durable.
    ghosts: BTreeMap<String, Vec<u8>>,
    steps: u64,
    pub figures: DiskFigures,
    /// Shared memory that nobody may use any more but a pointer may still lead to.
    retired: Vec<Box<[u64; REGION / 8]>>,
}

thread_local! {
    static DISK: RefCell<Disk> = RefCell::new(Disk::new(0));
}

/// Puts a new disk in place of this thread's. No store of the old one may be open.
pub fn format(seed: u64) {
    DISK.with(|disk| *disk.borrow_mut() = Disk::new(seed));
}

pub fn with<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with(|disk| work(&mut disk.borrow_mut()))
}

impl Disk {
    fn new(seed: u64) -> Disk {
        Disk {
            nodes: BTreeMap::new(),
            handles: BTreeMap::new(),
            dead: BTreeSet::new(),
            next: 1,
            random: StdRng::seed_from_u64(seed),
            ills: Ills::default(),
            blow: None,
            told: None,
            ghosts: BTreeMap::new(),
            steps: 0,
            figures: DiskFigures::default(),
            retired: Vec::new(),
        }
    }

    /// Changes to durable state so far: a place for a blow.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A new process begins.
    pub fn begin(&mut self, process: usize) {
        self.dead.remove(&process);
    }

    /// The process is gone: its files are as it left them, its locks are free.
    pub fn kill(&mut self, process: usize) {
        self.dead.insert(process);
        let mine: Vec<u64> = self
            .handles
            .iter()
            .filter(|(_, handle)| handle.process == process && !handle.dead)
            .map(|(id, _)| *id)
            .collect();
        for id in mine {
            self.release(id);
            if let Some(handle) = self.handles.get_mut(&id) {
                handle.dead = true;
            }
        }
    }

    /// The power goes: every process is gone, and of what was not synced anything may be left.
    pub fn lose_power(&mut self) {
        self.dead.extend(self.handles.values().map(|handle| handle.process));
        let all: Vec<u64> = self.handles.keys().copied().collect();
        for id in all {
            self.release(id);
            if let Some(handle) = self.handles.get_mut(&id) {
                handle.dead = true;
            }
        }
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            let Some(mut node) = self.nodes.remove(&name) else { continue };
            let changes = std::mem::take(&mut node.changes);
            let Some(mut left) = node.durable.take() else {
                self.figures.writes_lost += changes.len() as u64;
                continue;
            };
            // What reached the platter: a beginning of the changes, or any of them, in a torn state or not.
            let in_order = self.random.random_bool(0.5);
            let kept = self.random.random_range(0..=changes.len());
            for (index, change) in changes.into_iter().enumerate() {
                let keep = if in_order { index < kept } else { self.random.random_bool(0.5) };
                if !keep {
                    self.figures.writes_lost += 1;
                    continue;
                }
                apply(&mut left, &self.torn(change));
            }
            self.ghosts.remove(&name);
            let fresh = Node { now: left.clone(), durable: Some(left), ..Node::default() };
            self.nodes.insert(name, fresh);
        }
        for (name, left) in std::mem::take(&mut self.ghosts) {
            if self.random.random_bool(0.5) {
                self.nodes.insert(name, Node { now: left.clone(), durable: Some(left), ..Node::default() });
            }
        }
    }

    fn torn(&mut self, change: Change) -> Change {
        match change {
            Change::Write(at, mut bytes) if bytes.len() > SECTOR && self.random.random_bool(0.3) => {
                let sectors = bytes.len() / SECTOR;
                bytes.truncate(self.random.random_range(0..=sectors) * SECTOR);
                self.figures.writes_torn += 1;
                Change::Write(at, bytes)
            }
            whole => whole,
        }
    }

    fn release(&mut self, id: u64) {
        let Some(handle) = self.handles.get(&id) else { return };
        let Some(node) = self.nodes.get_mut(&handle.name) else { return };
        node.locks.remove(&id);
        for slot in 0..SHARED_LOCKS {
            node.shared.readers[slot].remove(&id);
            if node.shared.writer[slot] == Some(id) {
                node.shared.writer[slot] = None;
            }
        }
        node.shared.users.remove(&id);
        if node.shared.users.is_empty() {
            // The first who comes makes it anew, as SQLite's own file system does.
            self.retired.append(&mut node.shared.regions);
        }
    }

    fn alive(&mut self, id: u64, code: Code) -> Result<&mut Node, Code> {
        let handle = self.handles.get(&id).filter(|handle| !handle.dead).ok_or(code)?;
        self.nodes.get_mut(&handle.name).ok_or(code)
    }

    /// A step that changes something durable: it may be the one at which a blow falls, and it may fail.
    fn step(&mut self, id: u64, code: Code) -> Result<(), Code> {
        let handle = self.handles.get(&id).ok_or(code)?;
        if handle.dead {
            return Err(code);
        }
        let process = handle.process;
        self.steps += 1;
        if let Some((at, whose, blow)) = self.blow
            && whose == process
            && self.steps >= at
        {
            self.blow = None;
            match blow {
                Blow::Error => {
                    self.figures.count_error(code);
                    return Err(code);
                }
                Blow::Full => {
                    self.ills.full = true;
                    return Ok(());
                }
                Blow::Kill | Blow::PowerLoss => {}
            }
            self.figures.blows_within += 1;
            if blow == Blow::Kill {
                self.kill(process);
            } else {
                self.lose_power();
            }
            if let Some(told) = &self.told {
                told(process, blow);
            }
            return Err(code);
        }
        self.fails(code)
    }

    fn fails(&mut self, code: Code) -> Result<(), Code> {
        if self.ills.error > 0.0 && self.random.random_bool(self.ills.error) {
            self.figures.count_error(code);
            return Err(code);
        }
        Ok(())
    }

    fn open(&mut self, process: usize, name: Option<&str>, may_create: bool) -> Result<u64, Code> {
        if self.dead.contains(&process) {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let id = self.next;
        self.next += 1;
        let is_temporary = name.is_none();
        let name = name.map_or_else(|| format!("(temporary {id})"), str::to_owned);
        if !self.nodes.contains_key(&name) {
            if !may_create && !is_temporary {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            self.nodes.insert(name.clone(), Node::default());
        }
        self.handles.insert(id, Handle { process, name, dead: false, is_temporary });
        Ok(id)
    }

    fn close(&mut self, id: u64) {
        self.release(id);
        if let Some(handle) = self.handles.remove(&id)
            && handle.is_temporary
        {
            self.nodes.remove(&handle.name);
        }
    }

    fn read(&mut self, id: u64, out: &mut [u8], at: usize) -> Result<(), Code> {
        self.alive(id, ffi::SQLITE_IOERR_READ)?;
        self.fails(ffi::SQLITE_IOERR_READ)?;
        let node = self.alive(id, ffi::SQLITE_IOERR_READ)?;
        let there = node.now.len().saturating_sub(at).min(out.len());
        out[..there].copy_from_slice(node.now.get(at..at + there).unwrap_or_default());
        out[there..].fill(0);
        if there < out.len() { Err(ffi::SQLITE_IOERR_SHORT_READ) } else { Ok(()) }
    }

    fn write(&mut self, id: u64, bytes: &[u8], at: usize) -> Result<(), Code> {
        self.step(id, ffi::SQLITE_IOERR_WRITE)?;
        let full = self.ills.full;
        let node = self.alive(id, ffi::SQLITE_IOERR_WRITE)?;
        if full && at + bytes.len() > node.now.len() {
            self.figures.refused_full += 1;
            return Err(ffi::SQLITE_FULL);
        }
        let change = Change::Write(at, bytes.to_vec());
        apply(&mut node.now, &change);
        node.changes.push(change);
        self.figures.writes += 1;
        Ok(())
    }

    fn truncate(&mut self, id: u64, length: usize) -> Result<(), Code> {
        self.step(id, ffi::SQLITE_IOERR_TRUNCATE)?;
        let node = self.alive(id, ffi::SQLITE_IOERR_TRUNCATE)?;
        let change = Change::Cut(length);
        apply(&mut node.now, &change);
        node.changes.push(change);
        Ok(())
    }

    fn sync(&mut self, id: u64) -> Result<(), Code> {
        let failed = self.step(id, ffi::SQLITE_IOERR_FSYNC);
        let dead = self.handles.get(&id).is_none_or(|handle| handle.dead);
        let mut random = StdRng::seed_from_u64(self.random.random());
        if dead {
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        let node = self.alive(id, ffi::SQLITE_IOERR_FSYNC)?;
        let changes = std::mem::take(&mut node.changes);
        match failed {
            Ok(()) => {
                let name_is_new = node.durable.is_none();
                let durable = node.durable.get_or_insert_default();
                changes.into_iter().for_each(|change| apply(durable, &change));
                self.figures.syncs += 1;
                if name_is_new {
                    // The folder is synced with it, and so is what was deleted there.
                    self.ghosts.clear();
                }
                Ok(())
            }
            Err(code) => {
                // Some arrived, the others count as clean although they did not.
                if let Some(durable) = &mut node.durable {
                    changes.into_iter().filter(|_| random.random_bool(0.5)).for_each(|change| apply(durable, &change));
                }
                Err(code)
            }
        }
    }

    fn size(&mut self, id: u64) -> Result<usize, Code> {
        Ok(self.alive(id, ffi::SQLITE_IOERR_FSTAT)?.now.len())
    }

    fn delete(&mut self, process: usize, name: &str, is_durable: bool) -> Result<(), Code> {
        if self.dead.contains(&process) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        self.fails(ffi::SQLITE_IOERR_DELETE)?;
        let Some(node) = self.nodes.remove(name) else { return Err(ffi::SQLITE_IOERR_DELETE_NOENT) };
        if let (false, Some(durable)) = (is_durable, node.durable) {
            self.ghosts.insert(name.to_owned(), durable);
        }
        Ok(())
    }

    fn exists(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }

    fn lock(&mut self, id: u64, level: i32) -> Result<(), Code> {
        let node = self.alive(id, ffi::SQLITE_IOERR_LOCK)?;
        let mine = node.locks.get(&id).copied().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let others = node.locks.iter().filter(|(other, _)| **other != id).map(|(_, level)| *level).max();
        let others = others.unwrap_or(ffi::SQLITE_LOCK_NONE);
        let free = match level {
            ffi::SQLITE_LOCK_SHARED => others < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_RESERVED => others < ffi::SQLITE_LOCK_RESERVED,
            _ => others < ffi::SQLITE_LOCK_SHARED,
        };
        if !free {
            return Err(ffi::SQLITE_BUSY);
        }
        node.locks.insert(id, level.max(mine));
        Ok(())
    }

    fn unlock(&mut self, id: u64, level: i32) -> Result<(), Code> {
        let node = self.alive(id, ffi::SQLITE_IOERR_UNLOCK)?;
        if level == ffi::SQLITE_LOCK_NONE {
            node.locks.remove(&id);
        } else {
            node.locks.insert(id, level);
        }
        Ok(())
    }

    fn is_reserved(&mut self, id: u64) -> Result<bool, Code> {
        let node = self.alive(id, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?;
        Ok(node.locks.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED))
    }

    /// The address of a region of shared memory; `None` if it is not there and shall not be made.
    fn region(&mut self, id: u64, index: usize, make: bool) -> Result<Option<*mut u64>, Code> {
        let node = self.alive(id, ffi::SQLITE_IOERR_SHMOPEN)?;
        node.shared.users.insert(id);
        while make && node.shared.regions.len() <= index {
            node.shared.regions.push(Box::new([0; REGION / 8]));
        }
        Ok(node.shared.regions.get_mut(index).map(|region| region.as_mut_ptr()))
    }

    fn shared_lock(&mut self, id: u64, slots: std::ops::Range<usize>, flags: i32) -> Result<(), Code> {
        let node = self.alive(id, ffi::SQLITE_IOERR_SHMLOCK)?;
        let (readers, writer) = (&mut node.shared.readers, &mut node.shared.writer);
        let is_shared = flags & ffi::SQLITE_SHM_SHARED != 0;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            for slot in slots {
                if is_shared {
                    readers[slot].remove(&id);
                } else if writer[slot] == Some(id) {
                    writer[slot] = None;
                }
            }
            return Ok(());
        }
        let taken = |slot: usize| {
            writer[slot].is_some_and(|owner| owner != id)
                || (!is_shared && readers[slot].iter().any(|reader| *reader != id))
        };
        if slots.clone().any(taken) {
            return Err(ffi::SQLITE_BUSY);
        }
        for slot in slots {
            if is_shared {
                readers[slot].insert(id);
            } else {
                writer[slot] = Some(id);
            }
        }
        Ok(())
    }

    fn leave_shared(&mut self, id: u64) {
        let Some(handle) = self.handles.get(&id) else { return };
        let Some(node) = self.nodes.get_mut(&handle.name) else { return };
        node.shared.users.remove(&id);
        if node.shared.users.is_empty() {
            self.retired.append(&mut node.shared.regions);
        }
    }

    fn fill(&mut self, out: &mut [u8]) {
        self.random.fill(out);
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, new) => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        Change::Cut(length) => bytes.truncate(*length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, OpenFlags};

    fn open(process: usize) -> rusqlite::Result<Connection> {
        with(|disk| disk.begin(process));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs("/x/a.db", flags, names()[process])?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        Ok(connection)
    }

    /// Commits until the power goes; gives how many commits were acknowledged and how many are there afterwards.
    fn commits_over_a_power_loss(seed: u64, synchronous: &str) -> (i64, rusqlite::Result<i64>) {
        format(seed);
        let mut random = StdRng::seed_from_u64(seed);
        let mut acknowledged = 0;
        for _ in 0..random.random_range(1..4) {
            let Ok(connection) = open(0) else { break };
            let prepared = connection
                .pragma_update(None, "synchronous", synchronous)
                .and_then(|()| connection.pragma_update(None, "wal_autocheckpoint", 8))
                .and_then(|()| connection.execute_batch("CREATE TABLE IF NOT EXISTS t (n INTEGER, text TEXT)"));
            if prepared.is_err() {
                break;
            }
            let after = random.random_range(1..60);
            with(|disk| disk.blow = Some((disk.steps() + after, 0, Blow::PowerLoss)));
            let text = "x".repeat(3000);
            while connection.execute("INSERT INTO t VALUES (?1, ?2)", (acknowledged, &text)).is_ok() {
                acknowledged += 1;
            }
        }
        let found = open(1).and_then(|connection| connection.query_row("SELECT count(*) FROM t", (), |row| row.get(0)));
        (acknowledged, found)
    }

    #[test]
    fn what_sqlite_acknowledged_survives_a_loss_of_power_and_only_with_syncs() {
        let (mut lost, mut lost_without) = (0, 0);
        for seed in 0..200 {
            let (acknowledged, found) = commits_over_a_power_loss(seed, "FULL");
            lost += u32::from(acknowledged > 0 && !found.is_ok_and(|found| found >= acknowledged));
            let (acknowledged, found) = commits_over_a_power_loss(seed, "OFF");
            lost_without += u32::from(acknowledged > 0 && !found.is_ok_and(|found| found >= acknowledged));
        }
        assert_eq!(lost, 0, "runs that lost an acknowledged commit");
        assert!(lost_without > 50, "without syncs {lost_without} of 200 runs lost one: the disk is too kind");
    }
}

//! From files to calls and due deliveries, a bounded number at a time.
//!
//! Invariant: memory does not grow with the number or the size of files: small files are read many at once under a small
//! limit, and whatever is larger is put off and then goes through one at a time.

use std::sync::Arc;

use futures_util::future::join;
use futures_util::{Stream, StreamExt, stream};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::hands::Groups;
use super::summary::{QUARANTINE_NAMED_MAX, SuspectFile};
use super::workers::{Lost, Workers};
use super::{Engine, Event, IntakeSummary};
use crate::memory;
use crate::problem::{self, Problem};
use crate::proof::{self, Step};
use crate::redact::redact;
use crate::sources::{FetchError, ObjectSource, RawRef};
use crate::store::{
    DEATHS_MAX, IntakeCall, IntakeFate, IntakeItem, IntakeResult, RawFilter, Seen, StoreError, Suspicion,
};

/// Files asked of the ledger at once.
const LISTED_CHUNK: usize = 500;
/// Files committed in one transaction.
const COMMIT_FILES_MAX: usize = 250;
/// Bytes of encoded calls committed in one transaction, give or take a file.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A listed file above this is read alone.
const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// A file that inflates beyond this is converted alone.
const SMALL_INFLATED_BYTES_MAX: usize = 1024 * 1024;

/// How much is in flight.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Files being fetched at once.
    pub fetches: usize,
    /// Largest file after inflating, in bytes.
    pub inflated_bytes_max: usize,
}

/// What is read, and for whom.
pub struct Reading {
    pub source: Arc<dyn ObjectSource>,
    /// The destinations for which new calls become due, by name.
    pub destinations: Vec<String>,
    /// Gives a call its calendar day.
    pub zone: TimeZone,
    pub limits: IntakeLimits,
}

/// What is read of files that stand in quarantine in the version that is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantined {
    /// Each, again: a right that was given or a newer Trunkline changes no version.
    ReadAgain,
    /// None: a look a few seconds later finds the same.
    LeftAlone,
}

/// Reads every file of `days` that the ledger does not know yet. A source that fails ends the reading; what was read by
/// then is kept and the cause stands in the summary. Files that a process died with are left for [`read_suspects`].
pub async fn intake(
    engine: &Engine,
    reading: &Reading,
    days: &[Date],
    quarantined: Quarantined,
) -> Result<IntakeSummary, StoreError> {
    // First: what a process died with is not read beside others.
    engine.store.reclaim(engine.clock.now_ms()).await?;
    let mut reader = Reader { quarantined, ..Reader::new(engine, reading)? };
    for day in days {
        proof::reached("list", Step::Before);
        let mut listing = reading.source.list(*day).chunks(LISTED_CHUNK);
        while let Some(chunk) = listing.next().await {
            proof::reached("list", Step::After);
            if engine.stop.is_asked() || reader.summary.stopped.is_some() {
                return Ok(reader.summary);
            }
            let mut raws = Vec::with_capacity(chunk.len());
            for listed in chunk {
                match listed {
                    Ok(raw) => raws.push(raw),
                    Err(problem) => reader.summary.stopped = Some(problem),
                }
            }
            reader.take(Some(*day), raws).await?;
        }
    }
    Ok(reader.summary)
}

/// Reads the files that `summary` left because a process died with them in hand: the least suspect first, few at once,
/// and nothing else meanwhile.
pub async fn read_suspects(engine: &Engine, reading: &Reading, summary: &mut IntakeSummary) -> Result<(), StoreError> {
    let mut suspects = std::mem::take(&mut summary.suspects);
    if suspects.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(engine, reading)?;
    suspects.sort_by_key(|one| (one.suspicion.deaths, std::cmp::Reverse(one.suspicion.company), one.day));
    let mut groups = Groups::default();
    while let Some(first) = suspects.first() {
        if engine.stop.is_asked() || reader.summary.stopped.is_some() {
            break;
        }
        let (day, suspicion) = (first.day, first.suspicion);
        let is_alike = |one: &&SuspectFile| one.day == day && one.suspicion == suspicion;
        let group = suspects.iter().take(suspicion.group(groups.growth())).take_while(is_alike).count();
        let group = suspects.drain(..group).map(|one| one.raw).collect();
        let Some(_hands) = engine.hands.alone(engine.clock.as_ref(), &engine.stop).await else { break };
        reader.read(day, group).await?;
        groups.survived();
    }
    summary.add(reader.summary);
    Ok(())
}

/// Reads quarantined files again, those whose URL contains `part` (all if `None`). One that is no longer at the source is
/// taken out of the quarantine.
pub async fn reread(engine: &Engine, reading: &Reading, part: Option<String>) -> Result<IntakeSummary, StoreError> {
    engine.store.reclaim(engine.clock.now_ms()).await?;
    let mut reader = Reader::new(engine, reading)?;
    if let Err(problem) = reading.source.probe().await {
        // Of a source that is not there, every file looks gone.
        reader.summary.stopped = Some(problem);
        return Ok(reader.summary);
    }
    let filter = RawFilter { state: Some("quarantined"), url_part: part, ..RawFilter::default() };
    for row in engine.store.raws(&filter).await? {
        let day = row.day.as_deref().and_then(|day| day.parse().ok());
        match reading.source.look(&row.url).await {
            Ok(Some(raw)) => {
                engine.store.forget_deaths(&row.url).await?;
                reader.take(day, vec![raw]).await?;
            }
            Ok(None) => {
                engine.store.dismiss(std::slice::from_ref(&row.url)).await?;
                reader.summary.gone += 1;
                if reader.summary.gone_files.len() < QUARANTINE_NAMED_MAX {
                    reader.summary.gone_files.push(row.url);
                }
            }
            Err(FetchError::File(problem)) => reader.count(&row.url, &problem),
            Err(FetchError::Source(problem)) => {
                reader.summary.stopped = Some(problem);
                break;
            }
        }
    }
    let mut summary = reader.summary;
    read_suspects(engine, reading, &mut summary).await?;
    Ok(summary)
}

/// Reads the files of damaged calls again, the newest first. One that cannot be read any more is told, and its call stays
/// as it is.
pub async fn mend(engine: &Engine, reading: &Reading) -> Result<IntakeSummary, StoreError> {
    let files = engine.store.to_reread(reading.source.name()).await?;
    if files.is_empty() {
        return Ok(IntakeSummary::default());
    }
    let mut reader = Reader::new(engine, reading)?;
    for file in files {
        let lost = |why: &str| Event::Warning(format!("the file of a damaged call, {}, {why}", file.url));
        match reading.source.look(&file.url).await {
            Ok(Some(raw)) => reader.take(file.day, vec![raw]).await?,
            Ok(None) => {
                engine.progress.event(lost("is no longer at the source: see trunkline explain TL0804"));
                engine.store.lost(reading.source.name(), &file).await?;
            }
            Err(FetchError::File(problem)) => engine.progress.event(lost(&format!("cannot be read: {}", problem.what))),
            Err(FetchError::Source(problem)) => {
                reader.summary.stopped = Some(problem);
                break;
            }
        }
    }
    let mut summary = reader.summary;
    read_suspects(engine, reading, &mut summary).await?;
    Ok(summary)
}

/// Reads these files, each with the day of its folder and one after the other, if the ledger does not know them in this
/// version. For who holds a place in [`Engine`]'s hands already.
pub(super) async fn reread_files(
    engine: &Engine,
    reading: &Reading,
    files: Vec<(Option<Date>, RawRef)>,
) -> Result<IntakeSummary, StoreError> {
    let mut reader = Reader::new(engine, reading)?;
    for (day, raw) in files {
        let fresh = reader.fresh(day, vec![raw]).await?;
        reader.read(day, fresh).await?;
        // They are alone in hand already, but for the calls that wait for them.
        for SuspectFile { day, raw, .. } in std::mem::take(&mut reader.summary.suspects) {
            reader.read(day, vec![raw]).await?;
        }
    }
    Ok(reader.summary)
}

struct Reader<'a> {
    engine: &'a Engine,
    reading: &'a Reading,
    quarantined: Quarantined,
    workers: Workers,
    summary: IntakeSummary,
}

enum Taken {
    Item(Box<IntakeItem>),
    /// Too large to be read beside others.
    Large(RawRef),
    SourceFailed(Problem),
}

/// What is committed together.
#[derive(Default)]
struct Batch {
    items: Vec<IntakeItem>,
    large: Vec<RawRef>,
    source_failed: Option<Problem>,
}

impl Batch {
    /// Takes from `taken` until the batch is full or nothing is left.
    async fn collect<S>(taken: &mut S) -> Result<Batch, StoreError>
    where
        S: Stream<Item = Result<Taken, StoreError>> + Unpin,
    {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        while batch.items.len() < COMMIT_FILES_MAX && bytes < COMMIT_BYTES_MAX && batch.source_failed.is_none() {
            match taken.next().await {
                Some(one) => match one? {
                    Taken::Item(item) => {
                        if let IntakeFate::Call(call) = &item.fate {
                            bytes += call.encoded.head.len() + call.encoded.tail.len();
                        }
                        batch.items.push(*item);
                    }
                    Taken::Large(raw) => batch.large.push(raw),
                    Taken::SourceFailed(problem) => batch.source_failed = Some(problem),
                },
                None => break,
            }
        }
        Ok(batch)
    }
}

impl<'a> Reader<'a> {
    fn new(engine: &'a Engine, reading: &'a Reading) -> Result<Reader<'a>, StoreError> {
        let workers =
            Workers::start().map_err(|error| StoreError::Unusable(format!("no thread can be started: {error}")))?;
        let (quarantined, summary) = (Quarantined::ReadAgain, IntakeSummary::default());
        Ok(Reader { engine, reading, quarantined, workers, summary })
    }

    /// Fetches, converts and commits those of `raws` that are not known, but for those under suspicion.
    async fn take(&mut self, day: Option<Date>, raws: Vec<RawRef>) -> Result<(), StoreError> {
        let fresh = self.fresh(day, raws).await?;
        if fresh.is_empty() {
            return Ok(());
        }
        let engine = self.engine;
        let _hands = engine.hands.beside_others().await;
        self.read(day, fresh).await
    }

    /// Those of `raws` that are to be read now. What a process died with is left for later, and is not read at all after
    /// [`DEATHS_MAX`] deaths.
    async fn fresh(&mut self, day: Option<Date>, raws: Vec<RawRef>) -> Result<Vec<RawRef>, StoreError> {
        let count = raws.len() as u64;
        self.summary.files += count;
        self.engine.progress.event(Event::Listed(count));
        let known = self.engine.store.known(self.reading.source.name(), &raws).await?;
        let is_fresh = |seen: &Seen| match seen {
            Seen::Never => true,
            Seen::Quarantined => self.quarantined == Quarantined::ReadAgain,
            Seen::Converted => false,
        };
        let fresh: Vec<RawRef> =
            raws.into_iter().zip(&known).filter(|(_, seen)| is_fresh(seen)).map(|(raw, _)| raw).collect();
        let skipped = count - fresh.len() as u64;
        self.summary.files_known += skipped;
        self.engine.progress.event(Event::Read(skipped));
        let suspicions = self.engine.store.suspicions(self.reading.source.name(), &fresh).await?;
        let (mut unread, mut now) = (Vec::new(), Vec::with_capacity(fresh.len()));
        for (raw, suspicion) in fresh.into_iter().zip(suspicions) {
            match suspicion {
                Suspicion { company: 0, .. } => now.push(raw),
                Suspicion { deaths: DEATHS_MAX.., .. } => unread.push(never_read(raw, day)),
                suspicion => self.summary.suspects.push(SuspectFile { day, raw, suspicion }),
            }
        }
        self.commit(unread).await?;
        Ok(now)
    }

    /// Fetches, converts and commits all of `raws`.
    async fn read(&mut self, day: Option<Date>, raws: Vec<RawRef>) -> Result<(), StoreError> {
        if raws.is_empty() {
            return Ok(());
        }
        let name = self.reading.source.name();
        self.engine.store.take_in_hand(name, &raws).await?;
        let listed = raws.clone();
        self.read_noted(day, raws).await?;
        if self.engine.stop.is_asked() || self.summary.stopped.is_some() {
            self.engine.store.put_down(name, &listed).await?;
        }
        Ok(())
    }

    async fn read_noted(&mut self, day: Option<Date>, raws: Vec<RawRef>) -> Result<(), StoreError> {
        let (source, limits, workers) = (&self.reading.source, self.reading.limits, self.workers.clone());
        let workers = &workers;
        let small = SMALL_INFLATED_BYTES_MAX.min(limits.inflated_bytes_max);
        let mut taken = stream::iter(raws)
            .map(|raw| async move {
                if raw.bytes > SMALL_FILE_BYTES_MAX {
                    return Ok(Taken::Large(raw));
                }
                match read_one(workers, source, raw, day, small).await? {
                    Taken::Item(item) if is_too_large(&item.fate) => Ok(Taken::Large(item.raw)),
                    other => Ok::<Taken, StoreError>(other),
                }
            })
            .buffer_unordered(limits.fetches.max(1));
        let mut batch = Batch::default();
        loop {
            // The next batch is read while this one is committed.
            let ended = self.engine.stop.is_asked() || self.summary.stopped.is_some();
            let next = async { if ended { Ok(Batch::default()) } else { Batch::collect(&mut taken).await } };
            let (committed, next) = join(self.commit(std::mem::take(&mut batch.items)), next).await;
            committed?;
            for raw in std::mem::take(&mut batch.large) {
                match read_one(workers, source, raw, day, limits.inflated_bytes_max).await? {
                    Taken::Item(item) => self.commit(vec![*item]).await?,
                    Taken::SourceFailed(problem) => self.summary.stopped = Some(problem),
                    Taken::Large(_) => {}
                }
                memory::give_back();
            }
            batch = next?;
            if let Some(problem) = batch.source_failed.take() {
                self.summary.stopped = Some(problem);
            }
            if batch.items.is_empty() && batch.large.is_empty() {
                return Ok(());
            }
        }
    }

    async fn commit(&mut self, items: Vec<IntakeItem>) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let now_ms = self.engine.clock.now_ms();
        let named: Vec<(String, Option<Problem>)> = items
            .iter()
            .map(|item| match &item.fate {
                IntakeFate::Quarantine(problem) => (item.raw.url.clone(), Some(problem.clone())),
                IntakeFate::Call(_) => (String::new(), None),
            })
            .collect();
        let Reading { source, destinations, zone, .. } = self.reading;
        let results = self.engine.store.ingest(source.name(), destinations, zone, items, now_ms).await?;
        self.engine.progress.event(Event::Read(results.len() as u64));
        let is_due = |one: &&IntakeResult| !matches!(one, IntakeResult::NothingNew | IntakeResult::Quarantined);
        let due = results.iter().filter(is_due).count();
        if due > 0 {
            self.engine.progress.event(Event::Due(due as u64));
        }
        for (result, (url, problem)) in results.into_iter().zip(named) {
            match result {
                IntakeResult::NewCall => self.summary.new_calls += 1,
                IntakeResult::NewRevision => self.summary.new_revisions += 1,
                IntakeResult::NothingNew => self.summary.nothing_new += 1,
                IntakeResult::Mended => self.summary.mended += 1,
                IntakeResult::Quarantined => {
                    if let Some(problem) = problem {
                        self.count(&url, &problem);
                    }
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, url: &str, problem: &Problem) {
        self.summary.quarantined += 1;
        if self.summary.quarantine.len() < QUARANTINE_NAMED_MAX {
            self.summary.quarantine.push((url.to_owned(), format!("{}: {}", problem.code, problem.what)));
        }
    }
}

/// One file to an item for the ledger. Only a store that cannot encode is an error.
async fn read_one(
    workers: &Workers,
    source: &Arc<dyn ObjectSource>,
    raw: RawRef,
    day: Option<Date>,
    inflated_bytes_max: usize,
) -> Result<Taken, StoreError> {
    proof::reached("read file", Step::Before);
    let fetched = source.fetch(&raw).await;
    proof::reached("read file", Step::After);
    let fate = match fetched {
        Ok(bytes) => convert(workers, source, &raw, bytes, inflated_bytes_max).await?,
        Err(FetchError::File(problem)) => IntakeFate::Quarantine(problem),
        Err(FetchError::Source(problem)) => return Ok(Taken::SourceFailed(problem)),
    };
    Ok(Taken::Item(Box::new(IntakeItem { raw, day, fate })))
}

/// A file that killed the process each time goes into quarantine as it was listed.
fn never_read(raw: RawRef, day: Option<Date>) -> IntakeItem {
    let what = format!("{DEATHS_MAX} processes died while they read this file and nothing else");
    let help = "look at the file and report it as a defect; `trunkline retry --quarantine` reads it again, alone";
    IntakeItem { raw, day, fate: IntakeFate::Quarantine(Problem::new(problem::RAW_KILLS, what, help)) }
}

fn is_too_large(fate: &IntakeFate) -> bool {
    matches!(fate, IntakeFate::Quarantine(problem) if problem.code == problem::RAW_TOO_LARGE)
}

/// Inflate, decode, convert, redact, encode: the work of a processor, off the reactor. A panic on hostile input
/// quarantines the one file.
async fn convert(
    workers: &Workers,
    source: &Arc<dyn ObjectSource>,
    raw: &RawRef,
    bytes: bytes::Bytes,
    inflated_bytes_max: usize,
) -> Result<IntakeFate, StoreError> {
    let (source, raw) = (Arc::clone(source), raw.clone());
    let url = raw.url.clone();
    let work = move || {
        proof::reached("convert", Step::Before);
        proof::touched("convert", |text| bytes.windows(text.len()).any(|part| part == text.as_bytes()));
        let converted = match source.convert(&raw, bytes, inflated_bytes_max) {
            Ok(converted) => converted,
            Err(problem) => return Ok(IntakeFate::Quarantine(problem)),
        };
        let (raw_digest, notes) = (converted.digest, converted.notes);
        let call = IntakeCall::of(redact(converted.call), raw_digest, notes)?;
        proof::reached("convert", Step::After);
        Ok(IntakeFate::Call(Box::new(call)))
    };
    match workers.run(work).await {
        Ok(fate) => fate,
        Err(Lost::Panicked) => Ok(IntakeFate::Quarantine(Problem::new(
            problem::RAW_NOT_JSON,
            format!("{url} broke the converter"),
            "keep the file and report it as a defect",
        ))),
        Err(Lost::Stopped) => Err(StoreError::Unusable("reading stopped: its threads are gone".to_owned())),
    }
}

//! The one thread that writes. Jobs that wait together share a transaction, and so one sync of the disk.
//!
//! Invariant: a job's answer is sent only after the commit that holds its effect; a job that fails is rolled back alone.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::StoreError;
use crate::offload::{blocking, step_aside};
use crate::proof::{self, Step};

/// Jobs that may wait; beyond that, senders wait.
const QUEUE_MAX: usize = 256;
/// Jobs in one transaction.
const GROUP_MAX: usize = 64;

/// A piece of work and the place where its answer goes.
trait Job: Send {
    /// Does the work inside the transaction; true if its effect shall be kept.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Whether it failed because there was no room.
    fn is_full(&self) -> bool;
    /// Answers the asker, once it is known how the transaction ended.
    fn finish(self: Box<Self>, ended: Result<(), StoreError>);
}

struct Work<T, F> {
    name: &'static str,
    job: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.result = self.job.take().map(|job| job(connection));
        proof::reached(self.name, Step::Within);
        matches!(self.result, Some(Ok(_)))
    }

    fn is_full(&self) -> bool {
        matches!(self.result, Some(Err(StoreError::Full(_))))
    }

    fn finish(self: Box<Self>, ended: Result<(), StoreError>) {
        proof::reached(self.name, Step::After);
        let result = match (self.result, ended) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(error),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(stopped()),
        };
        // The asker may have gone away (a cancelled run): the effect is committed all the same.
        if self.answer.send(result).is_err() {
            tracing::debug!("nobody waits for the store's answer");
        }
    }
}

pub struct Writer {
    hands: Hands,
}

/// Who does the jobs.
enum Hands {
    Thread {
        jobs: Option<mpsc::SyncSender<Box<dyn Job>>>,
        thread: Option<JoinHandle<()>>,
    },
    /// In a simulation: whoever asks does all jobs that wait.
    Askers(Box<Mutex<Waiting>>),
}

struct Waiting {
    connection: Connection,
    jobs: VecDeque<Box<dyn Job>>,
}

impl Writer {
    pub fn start(connection: Connection) -> Result<Writer, StoreError> {
        if proof::runs_in_place() {
            let waiting = Waiting { connection, jobs: VecDeque::new() };
            return Ok(Writer { hands: Hands::Askers(Box::new(Mutex::new(waiting))) });
        }
        let (jobs, inbox) = mpsc::sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(connection, &inbox))
            .map_err(|error| StoreError::Unusable(format!("the writer cannot start: {error}")))?;
        Ok(Writer { hands: Hands::Thread { jobs: Some(jobs), thread: Some(thread) } })
    }

    /// `name` is that of the place, for tests.
    pub async fn run<T, F>(&self, name: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        proof::reached(name, Step::Before);
        let (answer, answered) = oneshot::channel();
        let boxed: Box<dyn Job> = Box::new(Work { name, job: Some(job), result: None, answer });
        match &self.hands {
            Hands::Thread { jobs, .. } => {
                let Some(jobs) = jobs.clone() else {
                    return Err(stopped());
                };
                // The queue is short and the writer fast: `send` blocks for at most a few commits, and only under overload.
                if let Err(mpsc::TrySendError::Full(boxed)) = jobs.try_send(boxed) {
                    blocking(move || jobs.send(boxed)).await.map_err(|_| stopped())?;
                }
            }
            Hands::Askers(waiting) => {
                lock(waiting).jobs.push_back(boxed);
                step_aside().await;
                lock(waiting).work();
            }
        }
        answered.await.map_err(|_| stopped())?
    }
}

impl Waiting {
    fn work(&mut self) {
        while !self.jobs.is_empty() {
            let count = self.jobs.len().min(GROUP_MAX);
            commit(&mut self.connection, self.jobs.drain(..count).collect());
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stopped() -> StoreError {
    StoreError::Unusable("the writer has stopped".to_owned())
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Hands::Thread { jobs, thread } = &mut self.hands else { return };
        proof::reached("close ledger", Step::Before);
        *jobs = None;
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
        // The writer's connection was the last: the log is in the main file, and the lock file still there.
        proof::reached("close ledger", Step::After);
    }
}

fn work(mut connection: Connection, inbox: &mpsc::Receiver<Box<dyn Job>>) {
    while let Ok(first) = inbox.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(next) = inbox.try_recv()
        {
            group.push(next);
        }
        commit(&mut connection, group);
    }
}

fn commit(connection: &mut Connection, mut group: Vec<Box<dyn Job>>) {
    let ended = run_group(connection, &mut group);
    let mut ended = ended.into_iter();
    for job in group {
        job.finish(ended.next().unwrap_or_else(|| Err(stopped())));
    }
}

/// Runs the jobs in one transaction; how it ended for each.
fn run_group(connection: &mut Connection, group: &mut [Box<dyn Job>]) -> Vec<Result<(), StoreError>> {
    let count = group.len();
    let all = |cause: StoreError| vec![Err(cause); count];
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(cause) => return all(cause.into()),
    };
    let mut ended = Vec::with_capacity(count);
    for job in group {
        ended.push(transaction.savepoint().map_err(StoreError::from).and_then(|savepoint| {
            let kept = job.run(&savepoint);
            let mut savepoint = savepoint;
            if kept {
                savepoint.commit()?
            } else {
                savepoint.rollback()?
            }
            Ok(())
        }));
        if transaction.is_autocommit() {
            // SQLite gave up the whole transaction, as it may on a full disk: what follows would stand outside of any.
            return all(match job.is_full() {
                true => StoreError::Full("the transaction was rolled back".to_owned()),
                false => StoreError::Unusable("the transaction was rolled back".to_owned()),
            });
        }
    }
    match transaction.commit() {
        Ok(()) => ended,
        Err(cause) => all(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs that wait together, of which the one in the middle needs more room than there is.
    #[tokio::test]
    async fn on_a_full_disk_each_answer_tells_what_is_there() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut connection = Connection::open(folder.path().join("small.db"))?;
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE page (name TEXT, bytes BLOB)")?;
        connection.pragma_update(None, "max_page_count", 20)?;
        let (mut group, mut answers): (Vec<Box<dyn Job>>, _) = (Vec::new(), Vec::new());
        for (name, bytes) in [("first", 10), ("large", 1_000_000), ("last", 10)] {
            let job = move |connection: &Connection| {
                connection.execute("INSERT INTO page VALUES (?1, zeroblob(?2))", (name, bytes))?;
                Ok(())
            };
            let (answer, answered) = oneshot::channel();
            group.push(Box::new(Work { name, job: Some(job), result: None, answer }));
            answers.push((name, answered));
        }
        commit(&mut connection, group);
        for (name, answered) in answers {
            let answer: Result<(), StoreError> = answered.await?;
            let sql = "SELECT count(*) FROM page WHERE name = ?1";
            let there: u64 = connection.query_row(sql, [name], |row| row.get(0))?;
            match answer {
                Ok(()) => assert_eq!(there, 1, "{name} was acknowledged"),
                Err(StoreError::Full(_)) => assert_eq!(there, 0, "{name} was refused"),
                Err(error) => return Err(error.into()),
            }
            assert!(there == 0 || name != "large", "there is no room for it");
        }
        assert!(connection.is_autocommit(), "no transaction is left open");
        Ok(())
    }
}

//! A few threads for the work of a processor: inflating, parsing, encoding.
//!
//! Few and fixed, because each keeps its buffers: a pool that grows with the number of files in flight would make memory
//! grow with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::{offload, proof};

/// Jobs that may wait for a thread.
const QUEUE_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when the last handle is dropped.
#[derive(Clone)]
pub struct Workers {
    jobs: mpsc::SyncSender<Job>,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Panicked,
    /// No thread runs any more.
    Stopped,
}

impl Workers {
    /// One thread for each processor.
    pub fn start() -> std::io::Result<Workers> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(QUEUE_MAX);
        let inbox = Arc::new(Mutex::new(inbox));
        let count = match proof::runs_in_place() {
            true => 0,
            false => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        };
        for number in 0..count {
            let inbox = Arc::clone(&inbox);
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || work(&inbox))?;
        }
        Ok(Workers { jobs })
    }

    /// Runs `job` on one of the threads. Callers bound how many they have in flight below the queue's length.
    pub async fn run<T, F>(&self, job: F) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        if proof::runs_in_place() {
            return offload::attempt(job).await.map_err(|_| Lost::Panicked);
        }
        let (answer, answered) = oneshot::channel();
        let boxed: Job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|_| Lost::Panicked);
            if answer.send(result).is_err() {
                tracing::debug!("nobody waits for a worker's result");
            }
        });
        let jobs = self.jobs.clone();
        if let Err(mpsc::TrySendError::Full(boxed)) = jobs.try_send(boxed) {
            offload::blocking(move || jobs.send(boxed)).await.map_err(|_| Lost::Stopped)?;
        }
        answered.await.unwrap_or(Err(Lost::Stopped))
    }
}

fn work(inbox: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(mpsc::RecvError) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_is_told_and_the_thread_goes_on() -> std::io::Result<()> {
        let workers = Workers::start()?;
        for _ in 0..8 {
            assert_eq!(workers.run(|| -> u8 { panic!("on purpose") }).await, Err(Lost::Panicked));
            assert_eq!(workers.run(|| 7).await, Ok(7));
        }
        Ok(())
    }
}

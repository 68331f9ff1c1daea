//! The seat of one worker: a child process, and another one when that has died.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::pool::{ChildPool, ChildProcess};
use super::protocol::{FromChild, Task, TaskResult, ToChild};
use crate::engine::EngineError;
use crate::model::{
    Attempt, AttemptOutcome, AttemptTimings, Failure, Job, JobKind, StopCause, WorkerProgress,
};
use crate::transfer::{Counters, RunServices, name_of};

/// How long a child may take to write down what it has once it is told to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a worker's jobs are carried out.
#[derive(Debug)]
pub struct ChildExecutor {
    pool: Arc<ChildPool>,
    worker: usize,
    /// `None` after it has died.
    process: Option<ChildProcess>,
}

/// What is known of a transfer before it is done.
#[derive(Debug, Default)]
struct TransferProgress {
    /// Body bytes so far.
    bytes: u64,
    /// Whether its body was entered in the manifest as begun.
    noted: bool,
}

/// A reader's number, and its wait for its turn.
type RateRequest<'a> = (u64, Pin<Box<dyn Future<Output = u64> + Send + 'a>>);

/// How a transfer was lost.
enum ChildLost {
    /// The child is not there any more.
    Died,
    /// The run has ended.
    Cancelled(StopCause),
}

/// Opens a seat for each of these workers: all children are started before one is waited for.
///
/// # Errors
/// If one cannot be started.
pub async fn open_all(
    pool: &Arc<ChildPool>,
    workers: impl Iterator<Item = usize> + Clone,
) -> Result<Vec<ChildExecutor>, EngineError> {
    let fault = |worker| move |reason| EngineError::Loop { worker, reason };
    let mut started = Vec::new();
    for worker in workers {
        started.push((worker, pool.start().map_err(fault(worker))?));
    }
    let mut executors = Vec::new();
    for (worker, process) in started {
        let process = Some(pool.wait_until_ready(process).await.map_err(fault(worker))?);
        executors.push(ChildExecutor { pool: Arc::clone(pool), worker, process });
    }
    Ok(executors)
}

impl ChildExecutor {
    /// Has one attempt made at `job`. `cut` ends it early; `slot` shows how it goes.
    pub async fn transfer(
        &mut self,
        job: &Job,
        progress: &WorkerProgress,
        cut: impl Future<Output = StopCause>,
    ) -> Attempt {
        let mut process = match self.process.take() {
            Some(process) => Ok(process),
            None => self.pool.replacement().await,
        };
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let mut known = TransferProgress::default();
        progress.begin(&job.url);
        let carried = match &mut process {
            Ok(process) => self.exchange(process, job, progress, cut, &mut known).await,
            Err(cause) => Err(ChildLost::Cancelled(*cause)),
        };
        progress.end();
        let (lost, process) = match (carried, process) {
            (Ok(done), process) => {
                self.process = process.ok();
                self.pool.transfer_context.count(done.counters);
                self.pool.record_peak(self.worker, done.peak_memory);
                let phases = AttemptTimings { started, started_at, ..done.attempt.timings };
                return Attempt { worker: self.worker, timings: phases, ..done.attempt };
            }
            (Err(lost), process) => (lost, process.ok()),
        };
        let how = match process {
            Some(process) => {
                // What else it has done is not known.
                self.pool.transfer_context.count(Counters { requests: 1, ..Counters::default() });
                process.end().await
            }
            None => String::new(),
        };
        let failure = match lost {
            ChildLost::Died => Failure::Worker(how),
            ChildLost::Cancelled(cause) => Failure::Cancelled(cause),
        };
        let phases = AttemptTimings {
            started,
            started_at,
            connect: None,
            first_byte: None,
            total: started.elapsed(),
        };
        self.lost_attempt(job, known, failure, phases)
    }

    /// The attempt of a child that has not told what came of it.
    fn lost_attempt(
        &self,
        job: &Job,
        known: TransferProgress,
        failure: Failure,
        phases: AttemptTimings,
    ) -> Attempt {
        let continues = job.kind == JobKind::Body;
        let before = job.part.as_ref().filter(|_| continues).map_or(0, |part| part.bytes);
        Attempt {
            outcome: AttemptOutcome::Failed(failure),
            head: None,
            bytes: 0,
            wire_bytes: known.bytes.saturating_sub(before),
            text: None,
            begun: job.begun || known.noted,
            // What it may have added is cut off before the rest is asked for.
            part: job.part.clone().filter(|_| !known.noted),
            name: None,
            digests: Vec::new(),
            claims: Vec::new(),
            timings: phases,
            worker: self.worker,
        }
    }

    async fn exchange(
        &self,
        process: &mut ChildProcess,
        job: &Job,
        progress: &WorkerProgress,
        cut: impl Future<Output = StopCause>,
        known: &mut TransferProgress,
    ) -> Result<TaskResult, ChildLost> {
        let transfer_context = &self.pool.transfer_context;
        let wanted = transfer_context
            .expected_digests()
            .map(|wanted| wanted.about(&name_of(job)))
            .unwrap_or_default();
        let task = Task { job: job.clone(), wanted };
        process.send(&ToChild::Task(Box::new(task))).await;
        let mut turn: Option<RateRequest<'_>> = None;
        let mut cancelled = None;
        let patience = sleep(Duration::MAX);
        tokio::pin!(cut, patience);
        loop {
            let word = tokio::select! {
                word = process.recv() => word.ok_or(ChildLost::Died)?,
                (number, booked) = poll_rate_request(&mut turn) => {
                    turn = None;
                    process.send(&ToChild::RateGranted { number, booked }).await;
                    continue;
                }
                cause = &mut cut, if cancelled.is_none() => {
                    cancelled = Some(cause);
                    patience.set(sleep(PATIENCE));
                    process.send(&ToChild::Cancel(cause)).await;
                    continue;
                }
                () = &mut patience, if cancelled.is_some() => {
                    return Err(cancelled.map_or(ChildLost::Died, ChildLost::Cancelled));
                }
            };
            match word {
                FromChild::Ready(_) => return Err(ChildLost::Died),
                FromChild::Progress { bytes, promised } => {
                    progress.promise(promised);
                    progress.received(bytes.saturating_sub(known.bytes));
                    known.bytes = bytes;
                }
                FromChild::RequestRate { number, left } => {
                    turn = Some((number, transfer_context.wait_for_rate(left)))
                }
                FromChild::ReportRead { bytes, booked } => {
                    transfer_context.report_read(bytes, booked)
                }
                FromChild::ReserveBytes(bytes) => {
                    process.send(&ToChild::BytesReserved(transfer_context.reserve(bytes))).await
                }
                FromChild::RecordPartial { begin, bytes } => {
                    let noted = transfer_context.store().note(job, &begin, bytes);
                    known.noted |= begin.at == 0 && job.kind == JobKind::Body;
                    process.send(&ToChild::PartialRecorded(noted)).await;
                }
                FromChild::Done(done) => return Ok(*done),
            }
        }
    }

    /// Lets the child leave.
    pub async fn shutdown(self) {
        if let Some(process) = self.process {
            process.exit().await;
        }
    }
}

/// Waits for the turn of a reader, if one waits.
async fn poll_rate_request(turn: &mut Option<RateRequest<'_>>) -> (u64, u64) {
    match turn {
        Some((number, turn)) => (*number, turn.await),
        None => std::future::pending().await,
    }
}

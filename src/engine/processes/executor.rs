//! Carries out the jobs of one worker in a child process, and in a new one if that dies.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::pool::{ChildPool, ChildProcess};
use super::protocol::{FromChild, Task, TaskResult, ToChild};
use crate::engine::error::EngineError;
use crate::model::{
    Attempt, AttemptOutcome, AttemptTimings, Failure, Job, JobKind, StopCause, WorkerProgress,
};
use crate::plan::Timeouts;
use crate::policy::suspension::was_suspended;
use crate::store::BodyInfo;
use crate::transfer::{MemoryPermit, TransferCounts, name_of};

/// How long a child may take to end a cancelled transfer and record what it has; after that it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The child process of one worker.
#[derive(Debug)]
pub(crate) struct ChildExecutor {
    pool: Arc<ChildPool>,
    worker: usize,
    /// `None` after it has died, until the next job.
    process: Option<ChildProcess>,
}

/// What the parent knows of a transfer in progress.
#[derive(Debug, Default)]
struct TransferProgress {
    /// Body bytes so far.
    bytes: u64,
    /// Whether the manifest has an entry of its partial file from this attempt.
    recorded: bool,
}

/// The number of a request for leave to read, and the wait for it.
type RateRequest<'a> = (u64, Pin<Box<dyn Future<Output = u64> + Send + 'a>>);

/// The wait for memory.
type MemoryRequest<'a> = Pin<Box<dyn Future<Output = MemoryPermit> + Send + 'a>>;

/// Why a child did not return a result.
enum ChildLost {
    /// The child has died.
    Died,
    /// It has been silent for longer than its transfer may be: it is stopped or stuck.
    Silent(Duration),
    /// The transfer was cancelled and the child did not end it in time.
    Cancelled(StopCause),
}

/// Starts a child for each of the workers. All are started before the first is waited for, since starting takes a process
/// most of the time.
///
/// # Errors
/// If one cannot be started.
pub(crate) async fn open_all(
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
    /// Makes one attempt at `job`. `progress` shows how it goes; `cancel` resolves when the attempt must end,
    /// with the cause.
    pub(crate) async fn transfer(
        &mut self,
        job: &Job,
        progress: &WorkerProgress,
        cancel: impl Future<Output = StopCause>,
    ) -> Box<Attempt> {
        let mut process = match self.process.take() {
            Some(process) => Ok(process),
            None => self.pool.replacement().await,
        };
        let started = Instant::now();
        let mut known = TransferProgress::default();
        progress.begin(&job.url);
        let expected = self.pool.transfer_context.expected_digests();
        let expected = expected.map(|expected| expected.restricted_to(&name_of(job)));
        let task = Task { job: job.clone(), expected };
        let result = match &mut process {
            Ok(process) => self.exchange(process, task, progress, cancel, &mut known).await,
            Err(cause) => Err(ChildLost::Cancelled(*cause)),
        };
        progress.end();
        let (lost, process) = match (result, process) {
            (Ok(mut done), process) => {
                self.process = process.ok();
                self.pool.add_usage(self.worker, &done.usage);
                done.attempt.worker = self.worker;
                return done.attempt;
            }
            (Err(lost), process) => (lost, process.ok()),
        };
        let status = match process {
            Some(process) => {
                // What else it has done is not known.
                let counts = TransferCounts { requests: 1, ..TransferCounts::default() };
                self.pool.transfer_context.add_counts(counts);
                process.end().await
            }
            None => String::new(),
        };
        let failure = match lost {
            ChildLost::Died => Failure::Worker(status),
            ChildLost::Silent(limit) => {
                Failure::Worker(format!("{status} after no response for {}s", limit.as_secs_f64()))
            }
            ChildLost::Cancelled(cause) => Failure::Cancelled(cause),
        };
        let timings = AttemptTimings { connect: None, first_byte: None, total: started.elapsed() };
        Box::new(self.lost_attempt(job, known, failure, timings))
    }

    /// The failed attempt of a child that did not return a result.
    fn lost_attempt(
        &self,
        job: &Job,
        known: TransferProgress,
        failure: Failure,
        timings: AttemptTimings,
    ) -> Attempt {
        let continues = job.kind == JobKind::Body;
        let before = job.part.as_ref().filter(|_| continues).map_or(0, |part| part.bytes);
        Attempt {
            outcome: AttemptOutcome::Failed(failure),
            head: None,
            bytes: 0,
            wire_bytes: known.bytes.saturating_sub(before),
            text: None,
            begun: job.begun || known.recorded,
            // Bytes that the child may have added are cut off before the rest is requested.
            part: job.part.clone().filter(|_| !known.recorded),
            name: None,
            digests: Vec::new(),
            claims: Vec::new(),
            timings,
            heads: Vec::new(),
            set_cookies: Vec::new(),
            exchange: None,
            head_by: None,
            worker: self.worker,
        }
    }

    /// Sends a task and serves the child until the result.
    ///
    /// Message order: the child works on one task at a time, and the first message that is not part of it is `Done`, so no
    /// message has to name its task. `ReserveBytes`, `AskForWaiting` and `RecordPartial` are blocking calls: the child sends nothing else
    /// until the answer has come, which the parent therefore sends before it looks at anything else. `RequestRate` may wait
    /// for seconds, during which a `Cancel` must still reach the child; so its answer is awaited beside the other messages,
    /// and it alone is numbered, as the reader that asked may be gone by then. So is that of `ReserveMemory`, of which a
    /// task has one at a time. After a `Cancel` the child still sends `Done`,
    /// with what it has recorded; it is killed only if that does not come in time.
    async fn exchange(
        &self,
        process: &mut ChildProcess,
        task: Task,
        progress: &WorkerProgress,
        cancel: impl Future<Output = StopCause>,
        known: &mut TransferProgress,
    ) -> Result<TaskResult, ChildLost> {
        let services = self.pool.transfer_context.services();
        let body = BodyInfo::of(&task.job);
        let is_body = task.job.kind == JobKind::Body;
        let most = silence(self.pool.transfer_context.config().timeouts());
        let task = ToChild::Task(Box::new(task));
        if timeout(most, process.send(&task)).await.is_err() {
            return Err(ChildLost::Silent(most));
        }
        let mut rate_request: Option<RateRequest<'_>> = None;
        let mut memory_request: Option<MemoryRequest<'_>> = None;
        // What the child has of the memory of the run; a turn is the last of it.
        let mut memory = Vec::new();
        let mut cancelled = None;
        let patience = sleep(Duration::MAX);
        let silent = sleep(most);
        tokio::pin!(cancel, patience, silent);
        loop {
            let message = tokio::select! {
                message = process.recv() => message.ok_or(ChildLost::Died)?,
                (number, charged) = poll_rate_request(&mut rate_request) => {
                    rate_request = None;
                    process.send(&ToChild::RateGranted { number, charged }).await;
                    continue;
                }
                permit = poll_memory_request(&mut memory_request) => {
                    memory_request = None;
                    memory.push(permit);
                    process.send(&ToChild::MemoryReserved).await;
                    continue;
                }
                cause = &mut cancel, if cancelled.is_none() => {
                    cancelled = Some(cause);
                    patience.set(sleep(PATIENCE));
                    process.send(&ToChild::Cancel(cause)).await;
                    continue;
                }
                () = &mut patience, if cancelled.is_some() => {
                    return Err(cancelled.map_or(ChildLost::Died, ChildLost::Cancelled));
                }
                () = &mut silent, if cancelled.is_none() => {
                    let (due, now) = (silent.deadline().into_std(), Instant::now());
                    if !was_suspended(due, now) {
                        return Err(ChildLost::Silent(most));
                    }
                    silent.set(sleep(most));
                    continue;
                }
            };
            silent.set(sleep(most));
            match message {
                FromChild::Ready(_) | FromChild::Used(_) => return Err(ChildLost::Died),
                FromChild::Progress { bytes, promised } => {
                    progress.promise(promised);
                    progress.received(bytes.saturating_sub(known.bytes));
                    known.bytes = bytes;
                }
                FromChild::RequestRate { number, left } => {
                    rate_request = Some((number, services.wait_for_rate(left)));
                }
                FromChild::ReserveMemory(need) => {
                    memory_request = Some(services.reserve_memory(need));
                }
                FromChild::AskForWaiting => {
                    let answer = ToChild::MemoryWanted(services.is_memory_wanted());
                    process.send(&answer).await;
                }
                FromChild::EndTurn => drop(memory.pop()),
                FromChild::ReportRead { bytes, charged } => services.report_read(bytes, charged),
                FromChild::ReserveBytes(bytes) => {
                    let answer = ToChild::BytesReserved(services.reserve_bytes(bytes));
                    process.send(&answer).await;
                }
                FromChild::RecordPartial { begin, bytes } => {
                    let record = |body| services.record_partial(body, &begin, bytes);
                    let recorded = body.as_ref().map_or(Ok(()), record);
                    known.recorded |= begin.at == 0 && is_body;
                    process.send(&ToChild::PartialRecorded(recorded)).await;
                }
                FromChild::Done(result) => return Ok(*result),
            }
        }
    }

    /// Lets the child exit, and waits for that.
    pub(crate) async fn shutdown(self) {
        if let Some(process) = self.process {
            let used = process.exit().await;
            self.pool.add_usage(self.worker, &used);
        }
    }
}

/// How long a child may send nothing during a transfer: as long as the server of the transfer may, and a while to say so.
fn silence(timeouts: &Timeouts) -> Duration {
    timeouts.attempt.map_or(timeouts.stall, |attempt| attempt.min(timeouts.stall)) + PATIENCE
}

/// Waits for the memory that was asked for, if there is such a request.
async fn poll_memory_request(request: &mut Option<MemoryRequest<'_>>) -> MemoryPermit {
    match request {
        Some(reserved) => reserved.await,
        None => std::future::pending().await,
    }
}

/// Waits for the byte rate to grant a request, if there is one. Returns its number and the bytes charged in advance.
async fn poll_rate_request(request: &mut Option<RateRequest<'_>>) -> (u64, u64) {
    match request {
        Some((number, granted)) => (*number, granted.await),
        None => std::future::pending().await,
    }
}

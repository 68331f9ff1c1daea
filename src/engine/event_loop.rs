//! An event loop: an OS thread with a current-thread runtime, a client or child processes of its own, and the workers
//! that run on it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::cancel::CancelToken;
use super::error::EngineError;
use super::executor::Executor;
use super::processes::{self, ChildPool};
use super::worker::{RunContext, work};
use crate::model::StopCause;
use crate::resource_usage::run_queue_delay;
use crate::transfer::{Client, TransferContext, TransferCounts};

/// The workers of one event loop, numbered from 1.
pub(super) type WorkerRange = RangeInclusive<usize>;

/// What executors are built from.
#[derive(Debug, Clone)]
pub(super) struct LoopResources {
    pub transfer_context: Arc<TransferContext>,
    /// Starts child processes; `None` if transfers are made in this one.
    pub pool: Option<Arc<ChildPool>>,
}

/// Event loops whose executors are ready.
pub(super) struct EventLoops {
    go: Vec<oneshot::Sender<()>>,
    ended: mpsc::UnboundedReceiver<LoopEnd>,
}

/// How an event loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoopEnd {
    Finished,
    Panicked,
}

/// Reports how an event loop has ended when dropped: also if its thread panics.
struct ExitNotifier {
    end: LoopEnd,
    sender: mpsc::UnboundedSender<LoopEnd>,
}

impl ExitNotifier {
    fn finished(mut self) {
        self.end = LoopEnd::Finished;
    }
}

impl Drop for ExitNotifier {
    fn drop(&mut self) {
        let _ = self.sender.send(self.end);
    }
}

/// Opens an event loop for each range of workers. When this returns, all of them have their executors and none has
/// started: the clock of the run starts after that.
///
/// # Errors
/// If a thread, a runtime, a client or a child process cannot be started.
pub(super) async fn open_all(
    ranges: Vec<WorkerRange>,
    resources: &LoopResources,
    context: &Arc<RunContext>,
) -> Result<EventLoops, EngineError> {
    let (sender, ended) = mpsc::unbounded_channel();
    let mut readiness = Vec::new();
    let mut go = Vec::new();
    for range in ranges {
        let (ready, is_ready) = oneshot::channel();
        let (start, may_start) = oneshot::channel();
        let notifier = ExitNotifier { end: LoopEnd::Panicked, sender: sender.clone() };
        let (resources, context, worker) = (resources.clone(), Arc::clone(context), *range.start());
        let transfer_context = Arc::clone(&resources.transfer_context);
        let body = move || {
            let (result, opened) = match open(resources, &range) {
                Ok(opened) => (Ok(()), Some(opened)),
                Err(error) => (Err(error), None),
            };
            let _ = ready.send(result);
            if let Some((runtime, executors)) = opened
                && runtime.block_on(may_start).is_ok()
            {
                let before = run_queue_delay();
                run_workers(&runtime, executors, context, range);
                transfer_context.add_counts(waited_since(before));
            }
            // Whoever waits for the loop may be the last owner: the store releases its lock when it is dropped.
            drop(transfer_context);
            notifier.finished();
        };
        let name = format!("worker-{worker}");
        let spawned = thread::Builder::new().name(name).spawn(body);
        spawned.map_err(|reason| EngineError::Loop { worker, reason })?;
        readiness.push(is_ready);
        go.push(start);
    }
    for is_ready in readiness {
        is_ready.await.map_err(|_| EngineError::Panicked)??;
    }
    Ok(EventLoops { go, ended })
}

impl EventLoops {
    /// Starts all workers and waits until they have ended. If a loop panics, the run is stopped, as its jobs are lost.
    ///
    /// # Errors
    /// [`EngineError::Panicked`] if a loop did.
    pub(super) async fn join(mut self, cancel: &CancelToken) -> Result<(), EngineError> {
        let mut result = Ok(());
        let loops = self.go.len();
        for go in self.go {
            let _ = go.send(());
        }
        for _ in 0..loops {
            if self.ended.recv().await != Some(LoopEnd::Finished) {
                cancel.drain(StopCause::Fatal);
                result = Err(EngineError::Panicked);
            }
        }
        result
    }
}

fn open(
    resources: LoopResources,
    range: &WorkerRange,
) -> Result<(Runtime, Vec<Executor>), EngineError> {
    let worker = *range.start();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|reason| EngineError::Loop { worker, reason })?;
    let executors = runtime.block_on(executors(resources, range))?;
    Ok((runtime, executors))
}

/// An executor for each worker. Local ones share the client of the loop.
async fn executors(
    resources: LoopResources,
    range: &WorkerRange,
) -> Result<Vec<Executor>, EngineError> {
    let LoopResources { transfer_context, pool } = resources;
    if let Some(pool) = pool {
        let executors = processes::open_all(&pool, range.clone()).await?;
        return Ok(executors
            .into_iter()
            .map(|executor| Executor::Child(Box::new(executor)))
            .collect());
    }
    let client = Arc::new(Client::new(transfer_context)?);
    Ok(range.clone().map(|_| Executor::Local(Arc::clone(&client))).collect())
}

/// How long the calling thread has waited for a processor since `before`, as a count.
pub(super) fn waited_since(before: Option<Duration>) -> TransferCounts {
    let waited = run_queue_delay().zip(before).map(|(now, before)| now.saturating_sub(before));
    let run_queue_delay = waited.unwrap_or_default().as_nanos() as u64;
    TransferCounts { run_queue_delay, ..TransferCounts::default() }
}

fn run_workers(
    runtime: &Runtime,
    executors: Vec<Executor>,
    context: Arc<RunContext>,
    range: WorkerRange,
) {
    runtime.block_on(async {
        let mut workers = JoinSet::new();
        for (worker, executor) in range.zip(executors) {
            let context = Arc::clone(&context);
            workers.spawn(async move { work(&context, executor, worker).await });
        }
        while let Some(worker) = workers.join_next().await {
            worker.expect("a worker does not panic");
        }
    });
}

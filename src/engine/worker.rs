//! The worker: the one loop that every strategy runs. A strategy only decides on which event loops.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use tokio::sync::OwnedSemaphorePermit;

use super::cancel::CancelToken;
use super::cookies::RunCookies;
use super::event_channel::EventSender;
use super::executor::Executor;
use super::queue::{Queue, Work};
use super::records::{cancelled_record, finished_event, record_of_attempt};
use super::spill::Spill;
use crate::model::{
    Attempt, AttemptOutcome, CapturedExchange, Event, Failure, JobKind, Outcome, ProgressBoard,
    QueuedJob, Record, StopCause, Target,
};
use crate::scheduler::LastHost;
use crate::store::Store;
use crate::sync::{ByteBudget, lock};

/// Texts of a job that are too short to be counted, bytes.
const SHORT: usize = 4096;

/// What all workers of a run share.
#[derive(Debug)]
pub(super) struct RunContext {
    pub store: Store,
    pub queue: Queue,
    pub spill: Mutex<Spill>,
    pub cookies: Arc<RunCookies>,
    pub cancel: CancelToken,
    pub board: Arc<ProgressBoard>,
    pub events: EventSender,
    /// For the texts of the jobs in progress.
    pub texts: ByteBudget,
}

impl RunContext {
    /// Locks the spilled targets.
    pub(super) fn spill(&self) -> MutexGuard<'_, Spill> {
        lock(&self.spill)
    }

    /// Emits an event; waits while the reports are behind. If the receiver is gone, the event is dropped: `watch_stops`
    /// sees that too, and stops the run.
    pub(super) async fn emit(&self, event: Event) {
        self.emit_with(event, &mut None).await;
    }

    /// Emits an event as [`emit`](Self::emit) does. If it is the failure of a target, `exchange` is what its last attempt
    /// has brought, which is taken.
    async fn emit_with(&self, event: Event, exchange: &mut Option<Box<CapturedExchange>>) {
        if let Event::Finished { record, .. } = &event
            && record.outcome == Outcome::Failed
            && let Err(failure) = self.store.note_failure(record, exchange.take())
        {
            self.events.send(Event::Notice(format!("cannot record a failure: {failure}"))).await;
            self.cancel.abort(StopCause::Disk);
        }
        self.events.send(event).await;
    }

    /// Emits the record of an entry that was never a job.
    pub(super) async fn emit_record(
        &self,
        record: Record,
        target: Option<Arc<Target>>,
        name: Option<Arc<str>>,
    ) {
        self.emit(Event::Finished { record: Box::new(record), target, name }).await;
    }

    /// Commits what an attempt has brought, as far as it is saved: enters a whole body in the manifest and gives it its
    /// final name, or appends it to an archive. The attempt fails if that does.
    ///
    /// The manifest entry is queued first and awaited after the connection has gone back to the client, so that entries
    /// of bodies that end at the same time are written together.
    async fn commit_body(&self, job: &QueuedJob, attempt: &mut Attempt, executor: &Executor) {
        let record = |attempt: &Attempt| record_of_attempt(job, Box::new(attempt.clone()), None);
        let pending = self.store.enter(&job.request, attempt, &record);
        executor.release_client().await;
        let committed = match pending {
            // A body that is put into an object store meanwhile has no entry; the next run finds it there.
            Ok(pending) => tokio::select! {
                biased;
                committed = self.store.commit(&job.request, attempt, pending) => committed,
                cause = self.cancel.aborted() => Err(Failure::Cancelled(cause)),
            },
            Err(failure) => Err(failure),
        };
        match committed {
            Ok(name) => attempt.name = name,
            Err(failure) => attempt.outcome = AttemptOutcome::Failed(failure),
        }
    }

    /// Waits until the jobs in progress leave room for the texts of this one. Short ones always have room.
    async fn take_texts(&self, job: &QueuedJob) -> Option<OwnedSemaphorePermit> {
        match job.text_bytes() {
            ..SHORT => None,
            bytes => Some(self.texts.take(bytes).await),
        }
    }

    /// Resolves when the transfer of this job must be aborted, with the cause.
    async fn aborted(&self, job: &QueuedJob) -> StopCause {
        let JobKind::Segment { .. } = job.request.kind else { return self.cancel.aborted().await };
        tokio::select! {
            cause = self.cancel.aborted() => cause,
            cause = self.queue.segments_cancelled(job) => cause,
        }
    }

    /// Emits the `cancelled` record of a job's target.
    pub(super) async fn emit_cancelled(&self, job: &QueuedJob, cause: StopCause) {
        self.emit(finished_event(job, cancelled_record(job, cause))).await;
    }
}

/// Takes jobs, carries them out and settles them until the queue is closed and empty, or the run is stopped.
pub(super) async fn work(context: &RunContext, mut executor: Executor, worker: usize) {
    let progress = context.board.worker(worker);
    let mut last = LastHost::default();
    while let Some(work) = context.queue.next(&mut last).await {
        match work {
            Work::Emit(Some(event)) => context.emit(event).await,
            Work::Emit(None) => {}
            Work::Transfer(job) => {
                let mut next = Some(job);
                while let Some(mut job) = next.take() {
                    let _texts = context.take_texts(&job).await;
                    let wall = SystemTime::now();
                    job.on_start(Instant::now(), wall);
                    context.cookies.attach(&mut job, wall);
                    let abort = context.aborted(&job);
                    let mut attempt =
                        executor.transfer(&job.request, worker, progress, abort).await;
                    context.cookies.receive(&mut job, &mut attempt);
                    if !attempt.heads.is_empty() {
                        context.emit(Event::Heads(mem::take(&mut attempt.heads))).await;
                    }
                    context.commit_body(&job, &mut attempt, &executor).await;
                    let mut exchange = attempt.exchange.take();
                    let (events, follow_up) = context.queue.settle(job, attempt);
                    next = follow_up;
                    for event in events {
                        context.emit_with(event, &mut exchange).await;
                    }
                    if let Some(exchange) = exchange {
                        context.store.drop_exchange(exchange);
                    }
                }
            }
        }
    }
    executor.shutdown().await;
}

//! The worker: the only loop there is. Every strategy runs it; a strategy only says where.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use tokio::sync::mpsc::Sender;

use super::cancel::CancelToken;
use super::executor::Executor;
use super::queue::{Queue, Work};
use super::records::{cancelled_record, finished_event};
use super::spill::Spill;
use crate::model::{
    Attempt, AttemptOutcome, Event, JobKind, ProgressBoard, QueuedJob, Record, StopCause, Target,
};
use crate::scheduler::LastHost;
use crate::store::Store;

/// What all workers of a run share.
#[derive(Debug)]
pub struct RunContext {
    pub store: Store,
    pub queue: Queue,
    pub spill: Mutex<Spill>,
    pub cancel: CancelToken,
    pub board: Arc<ProgressBoard>,
    pub events: Sender<Event>,
}

impl RunContext {
    /// The targets that were put aside.
    pub fn spill(&self) -> MutexGuard<'_, Spill> {
        self.spill.lock().expect("no holder panics")
    }

    /// Tells what happened; waits while the reports are behind. Where nobody listens any more, nobody is told.
    pub async fn emit(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// Tells the row of an entry that never was a job.
    pub async fn emit_record(
        &self,
        record: Record,
        target: Option<Arc<Target>>,
        name: Option<Arc<str>>,
    ) {
        self.emit(Event::Finished { record: Box::new(record), target, name }).await;
    }

    /// Gives a whole body its final name. Meanwhile its connection goes back to the client; and bodies that end in the
    /// same moment are written down together.
    async fn commit_body(
        &self,
        job: &QueuedJob,
        mut attempt: Attempt,
        executor: &Executor,
    ) -> Attempt {
        let is_kept = matches!(job.request.kind, JobKind::Body | JobKind::Assemble(_));
        if attempt.outcome != AttemptOutcome::Whole || !is_kept {
            executor.release_client().await;
            return attempt;
        }
        let entered = self.store.enter(&job.request, &attempt);
        executor.release_client().await;
        match entered.and_then(|entered| self.store.commit(&job.request, &attempt, entered)) {
            Ok(name) => attempt.name = name,
            Err(failure) => attempt.outcome = AttemptOutcome::Failed(failure),
        }
        attempt
    }

    /// Waits until what is under way for this job is to end.
    async fn aborted(&self, job: &QueuedJob) -> StopCause {
        let JobKind::Segment { .. } = job.request.kind else { return self.cancel.aborted().await };
        tokio::select! {
            cause = self.cancel.aborted() => cause,
            cause = self.queue.segments_cancelled(job) => cause,
        }
    }

    /// Tells the row of a job that is not done because the run ends.
    pub async fn emit_cancelled(&self, job: &QueuedJob, cause: StopCause) {
        self.emit(finished_event(job, cancelled_record(job, cause))).await;
    }
}

/// Works until there is nothing left to do.
pub async fn work(context: &RunContext, mut executor: Executor, worker: usize) {
    let progress = context.board.worker(worker);
    let mut last = LastHost::default();
    while let Some(work) = context.queue.next(&mut last).await {
        match work {
            Work::Emit(Some(event)) => context.emit(event).await,
            Work::Emit(None) => {}
            Work::Transfer(job) => {
                let mut next = Some(job);
                while let Some(mut job) = next.take() {
                    job.on_start(Instant::now(), SystemTime::now());
                    let abort = context.aborted(&job);
                    let attempt = executor.transfer(&job.request, worker, progress, abort).await;
                    let attempt = context.commit_body(&job, attempt, &executor).await;
                    let (events, at_once) = context.queue.settle(*job, attempt);
                    next = at_once;
                    for event in events {
                        context.emit(event).await;
                    }
                }
            }
        }
    }
    executor.shutdown().await;
}

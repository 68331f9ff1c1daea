//! The worker: the only loop there is. Every strategy runs it; a strategy only says where.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc::Sender;

use super::queue::{Queue, Work};
use super::row::{finished, undone};
use super::seat::Seat;
use super::spill::Spill;
use super::stop::Stop;
use crate::policy::LastHost;
use crate::record::{Attempt, Cause, Ending, Event, Job, Purpose, Record, Slots, Target};
use crate::store::Store;

/// What all workers of a run share.
#[derive(Debug)]
pub struct Floor {
    pub store: Store,
    pub queue: Queue,
    pub spill: Mutex<Spill>,
    pub stop: Stop,
    pub slots: Arc<Slots>,
    pub events: Sender<Event>,
}

impl Floor {
    /// The targets that were put aside.
    pub fn spill(&self) -> MutexGuard<'_, Spill> {
        self.spill.lock().expect("no holder panics")
    }

    /// Tells what happened; waits while the reports are behind. Where nobody listens any more, nobody is told.
    pub async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// Tells the row of an entry that never was a job.
    pub async fn row(&self, record: Record, target: Option<Arc<Target>>, name: Option<Arc<str>>) {
        self.tell(Event::Finished { record: Box::new(record), target, name }).await;
    }

    /// Gives a whole body its final name. Meanwhile its connection goes back to the client; and bodies that end in the
    /// same moment are written down together.
    async fn kept(&self, job: &Job, mut attempt: Attempt, seat: &Seat) -> Attempt {
        let is_kept = matches!(job.purpose, Purpose::Body | Purpose::Seal(_));
        if attempt.ending != Ending::Whole || !is_kept {
            seat.take_back().await;
            return attempt;
        }
        let entered = self.store.enter(job, &attempt);
        seat.take_back().await;
        match entered.and_then(|entered| self.store.keep(job, &attempt, entered)) {
            Ok(name) => attempt.name = name,
            Err(failure) => attempt.ending = Ending::Failed(failure),
        }
        attempt
    }

    /// Waits until what is under way for this job is to end.
    async fn cut_short(&self, job: &Job) -> Cause {
        let Purpose::Segment { .. } = job.purpose else { return self.stop.cut_short().await };
        tokio::select! {
            cause = self.stop.cut_short() => cause,
            cause = self.queue.called_off(job) => cause,
        }
    }

    /// Tells the row of a job that is not done because the run ends.
    pub async fn leave(&self, job: &Job, cause: Cause) {
        self.tell(finished(job, undone(job, cause))).await;
    }
}

/// Works until there is nothing left to do.
pub async fn work(floor: &Floor, mut seat: Seat, worker: usize) {
    let slot = floor.slots.of(worker);
    let mut last = LastHost::default();
    while let Some(work) = floor.queue.next(&mut last).await {
        match work {
            Work::Tell(Some(event)) => floor.tell(event).await,
            Work::Tell(None) => {}
            Work::Transfer(job) => {
                let mut next = Some(job);
                while let Some(job) = next.take() {
                    let cut = floor.cut_short(&job);
                    let attempt = seat.transfer(&job, worker, slot, cut).await;
                    let attempt = floor.kept(&job, attempt, &seat).await;
                    let (events, at_once) = floor.queue.settle(*job, attempt);
                    next = at_once;
                    for event in events {
                        floor.tell(event).await;
                    }
                }
            }
        }
    }
    seat.leave().await;
}

//! The queue: the asynchronous door to the schedule. Workers of any thread take jobs from it and settle them into
//! it; the feeder brings targets as fast as there is room.

use std::sync::{Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use super::stop::Stop;
use super::window::Window;
use crate::policy::{Next, Rules, Schedule, Verdict, verdict};
use crate::record::{
    Attempt, Cause, Event, Failure, Job, Outcome, Record, RecordError, Target, Timings, redacted,
};

/// The queue of one run.
#[derive(Debug)]
pub struct Queue {
    rules: Rules,
    /// Looked at before each job is handed out: none is begun once what was under way has been told to end.
    stop: Stop,
    state: Mutex<State>,
    /// Waiting workers stand here one behind another; only the foremost watches the bell and the time.
    door: tokio::sync::Mutex<()>,
    bell: Notify,
    room: Notify,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    window: Window,
    feeding: bool,
}

enum Turn {
    Job(Box<Job>),
    WaitUntil(Instant),
    Wait,
    Over,
}

impl Queue {
    /// An empty queue that admits targets as long as `window` has room for them, and hands out jobs until `stop`.
    pub fn new(rules: Rules, window: Window, stop: Stop) -> Self {
        let schedule = Schedule::default();
        Self {
            rules,
            stop,
            state: Mutex::new(State { schedule, window, feeding: true }),
            door: tokio::sync::Mutex::default(),
            bell: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Waits for room for the entry of this index.
    ///
    /// # Errors
    /// The cause, if the run is ended first.
    pub async fn wait_for_room(&self, index: u64) -> Result<(), Cause> {
        loop {
            match self.stop.cause() {
                Some(cause) => return Err(cause),
                None if self.lock().window.has_room(index) => return Ok(()),
                None => {}
            }
            self.room.notified().await;
        }
    }

    /// Brings a target; it must have been waited for room for.
    pub fn admit(&self, target: Target) {
        let mut state = self.lock();
        state.window.enter(target.index);
        state.schedule.admit(Job::first(target, Instant::now()));
        drop(state);
        self.bell.notify_one();
    }

    /// No more targets come.
    pub fn close(&self) {
        self.lock().feeding = false;
        self.bell.notify_one();
    }

    /// Lets those who wait see that the run has been stopped; what is left is found in `leftovers`.
    pub fn stopped(&self) {
        self.room.notify_one();
        self.bell.notify_one();
    }

    /// The next job that is due, as soon as there is one; `None` once there will be none any more.
    pub async fn next(&self) -> Option<Box<Job>> {
        if let Turn::Job(job) = self.turn() {
            return Some(job);
        }
        let _foremost = self.door.lock().await;
        loop {
            match self.turn() {
                Turn::Job(job) => return Some(job),
                Turn::Over => return None,
                Turn::Wait => self.bell.notified().await,
                Turn::WaitUntil(moment) => tokio::select! {
                    () = self.bell.notified() => {}
                    () = tokio::time::sleep_until(moment.into()) => {}
                },
            }
        }
    }

    fn turn(&self) -> Turn {
        let mut state = self.lock();
        if self.stop.cause().is_some() {
            return Turn::Over;
        }
        match state.schedule.next(Instant::now()) {
            Next::Job(job) => Turn::Job(job),
            Next::Wait(moment) => Turn::WaitUntil(moment),
            Next::Nothing if !state.feeding && state.window.is_empty() => Turn::Over,
            Next::Nothing => Turn::Wait,
        }
    }

    /// Settles what came of a job: the target's row, or its next job in the queue and a word about why.
    pub fn settle(&self, job: Job, attempt: Attempt) -> Event {
        match verdict(&job, &attempt, &self.rules, SystemTime::now(), fastrand::f64()) {
            Verdict::Whole => self.finish(&job, &attempt, None),
            Verdict::Failed(failure) => self.finish(&job, &attempt, Some(failure)),
            Verdict::Hop { job: next, wait } => {
                let status = attempt.head.as_ref().map_or(0, |head| head.status);
                let (from, to) = (redacted(&job.url), redacted(&next.url));
                self.resume(next, wait);
                Event::Redirected { from, to, status }
            }
            Verdict::Again { job: next, wait, failure } => {
                let (url, next_url) = (redacted(&job.url), redacted(&next.url));
                self.resume(next, wait);
                Event::Retrying { url, failure, next: next_url, wait }
            }
        }
    }

    /// The rows of all that was admitted and not done when the run was stopped.
    pub fn leftovers(&self) -> Vec<Record> {
        let mut state = self.lock();
        let cause = self.stop.cause().unwrap_or(Cause::Fatal);
        state.schedule.drain().map(|job| undone(&job, cause)).collect()
    }

    fn resume(&self, job: Job, wait: std::time::Duration) {
        let now = Instant::now();
        self.lock().schedule.resume(job, now + wait, now);
        self.bell.notify_one();
    }

    fn finish(&self, job: &Job, attempt: &Attempt, failure: Option<Failure>) -> Event {
        let mut state = self.lock();
        state.window.leave(job.target.index);
        let over = !state.feeding && state.window.is_empty();
        drop(state);
        self.room.notify_one();
        if over {
            self.bell.notify_one();
        }
        Event::Finished(Box::new(record_of(job, attempt, failure)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// The row of a target whose last attempt is this one.
fn record_of(job: &Job, attempt: &Attempt, failure: Option<Failure>) -> Record {
    let phases = &attempt.phases;
    let (started, started_at) = job.started.unwrap_or((phases.started, phases.started_at));
    let since_first = |time: std::time::Duration| (phases.started - started + time).as_secs_f64();
    let mut record = blank(job);
    if let Some(head) = &attempt.head {
        record.http_status = Some(head.status);
        record.http_version = Some(head.version);
        record.remote_addr = head.remote_addr;
        record.content_type.clone_from(&head.content_type);
        record.etag.clone_from(&head.etag);
        record.last_modified.clone_from(&head.last_modified);
    }
    let served = failure.is_none() && job.target.urls.len() > 1;
    Record {
        final_url: Some(redacted(&job.url)),
        outcome: if failure.is_none() { Outcome::Ok } else { Outcome::Failed },
        bytes: attempt.bytes,
        wire_bytes: job.wire_bytes + attempt.wire_bytes,
        attempts: job.attempt,
        worker: Some(attempt.worker),
        served_by: served.then(|| redacted(&job.target.urls[job.mirror])),
        error: failure.as_ref().map(RecordError::from),
        started_at: Some(started_at),
        timings: Timings {
            queued: Some(started.duration_since(job.queued).as_secs_f64()),
            connect: phases.connect.map(since_first),
            first_byte: phases.first_byte.map(since_first),
            total: Some(since_first(phases.total)),
        },
        ..record
    }
}

/// The row of a target that was not done.
pub(super) fn undone(job: &Job, cause: Cause) -> Record {
    let failure = Failure::Cancelled(cause);
    Record {
        outcome: Outcome::Failed,
        wire_bytes: job.wire_bytes,
        attempts: job.attempt - u32::from(job.hops == 0),
        error: Some(RecordError::from(&failure)),
        started_at: job.started.map(|(_, started_at)| started_at),
        ..blank(job)
    }
}

fn blank(job: &Job) -> Record {
    let target = &job.target;
    Record::blank(target.index, target.source.clone(), target.line, redacted(target.url()))
}

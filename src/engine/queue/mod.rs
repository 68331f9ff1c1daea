//! The queue: asynchronous access to the scheduler. Workers of any thread take jobs from it and settle them; the feeder
//! adds targets as fast as there is room.
//!
//! # Who is woken, and when
//!
//! All state is under one lock; a change is followed by a call of [`Queue::wake_waiters`] before the lock is released.
//! Four parties may wait, each for a `Notify` of its own. That keeps one permit, so a wake-up between "nothing to do" and
//! "sleep" is not lost.
//!
//! - *Workers without a job* queue up on `front`; only the first of them sleeps on `jobs`, until the next alarm of the
//!   scheduler. It takes its job, leaves, and the next one becomes the first and looks for itself. So a job that becomes
//!   startable wakes one thread, not all of them.
//! - *A worker that has just settled a job* calls `next` itself: for one startable job nobody needs to be woken.
//! - *The feeder* waits for room. As long as no worker is idle it is woken once per [`CHANGES`] changes only.
//! - *The refill and lookup tasks* wait for hosts with room for spilled targets, and for names to resolve.

mod segments;
mod settle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;
use url::Url;

use self::segments::SegmentedDownload;
use super::cancel::CancelToken;
use super::failure_limits::FailureCounter;
use super::in_flight::InFlight;
use super::spill::ClaimedTarget;
use crate::model::{Event, HostStats, HostWait, JobKind, QueuedJob, SavePlace, StopCause, Target};
use crate::plan::SegmentOptions;
use crate::policy::{RetryRules, robots};
use crate::scheduler::{AdmitRoom, LastHost, NameLookup, NextJob, ResolveError, Scheduler};
use crate::sync::lock;

/// Changes after which a feeder that waits for room is woken while all workers are busy: to wake it for each job that
/// leaves would cost more than the job itself.
const CHANGES: u32 = 64;

/// The queue of one run.
#[derive(Debug)]
pub(super) struct Queue {
    rules: RetryRules,
    /// The product token that robots.txt files know this program by.
    robots_token: String,
    /// Checked before each job is handed out, so that none starts once the run is stopped.
    cancel: CancelToken,
    state: Mutex<QueueState>,
    /// Held by the first of the waiting workers, the only one that waits for `jobs` and for the next alarm.
    front: tokio::sync::Mutex<()>,
    /// Wakes the first of the waiting workers.
    jobs: Notify,
    /// Wakes the feeder, which waits for room.
    room: Notify,
    /// Wakes the task that readmits spilled targets.
    refill: Notify,
    /// Wakes the task that looks names up.
    lookups: Notify,
}

#[derive(Debug)]
struct QueueState {
    scheduler: Scheduler,
    in_flight: InFlight,
    failures: FailureCounter,
    split: SegmentOptions,
    /// Targets whose bodies are fetched in segments, by index.
    segmented: HashMap<u64, SegmentedDownload>,
    /// Whether more targets may come.
    is_open: bool,
    /// Workers that wait for a job.
    idle_workers: usize,
    /// Until when the first of them sleeps; `None` if it is awake, or there is none.
    asleep: Option<WaitUntil>,
    /// Changes since the feeder began to wait for room; `None` if it does not wait.
    changes_unseen: Option<u32>,
    /// Whether the notice that the network is down was given and no reply has come since.
    network_down_reported: bool,
}

/// Until when a worker sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitUntil {
    Deadline(Instant),
    Notified,
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Carry out this job, and settle it.
    Transfer(Box<QueuedJob>),
    /// Emit this event, if there is one: a job was settled without a request.
    Emit(Option<Event>),
}

/// What a look at the queue finds.
enum Poll {
    Work(Work),
    /// This job, if the rules of its host allow it.
    CheckRobots(Box<QueuedJob>, Arc<robots::RobotsRules>),
    Wait(WaitUntil),
    Closed,
}

/// Where a target is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Into the queue.
    Queue,
    /// Into the spill: its host has its share of the queue, while idle workers may find jobs of other hosts further on in
    /// the list.
    Spill,
}

impl Queue {
    /// An empty queue.
    pub(super) fn new(
        rules: RetryRules,
        failures: FailureCounter,
        robots_token: String,
        scheduler: Scheduler,
        in_flight: InFlight,
        split: SegmentOptions,
        cancel: CancelToken,
    ) -> Self {
        let state = QueueState {
            scheduler,
            in_flight,
            failures,
            split,
            segmented: HashMap::new(),
            is_open: true,
            idle_workers: 0,
            asleep: None,
            changes_unseen: None,
            network_down_reported: false,
        };
        Self {
            rules,
            robots_token,
            cancel,
            state: Mutex::new(state),
            front: tokio::sync::Mutex::default(),
            jobs: Notify::new(),
            room: Notify::new(),
            refill: Notify::new(),
            lookups: Notify::new(),
        }
    }

    /// Waits until the entry of this index may be started.
    ///
    /// # Errors
    /// The cause, if the run is stopped first.
    pub(super) async fn wait_for_turn(&self) -> Result<(), StopCause> {
        self.wait_for(|state| state.in_flight.has_room().then_some(())).await
    }

    /// Waits until there is room for the target of this index and URL. `can_spill` says whether the spill has room.
    ///
    /// # Errors
    /// The cause, if the run is stopped first.
    pub(super) async fn wait_for_admission(
        &self,
        url: &Url,
        can_spill: impl Fn() -> bool,
    ) -> Result<Admission, StopCause> {
        self.wait_for(|state| {
            if !state.in_flight.has_room() {
                return None;
            }
            match state.scheduler.room(url) {
                AdmitRoom::Queue => Some(Admission::Queue),
                AdmitRoom::Spill if state.idle_workers_have_no_job() && can_spill() => {
                    Some(Admission::Spill)
                }
                _ => None,
            }
        })
        .await
    }

    async fn wait_for<T>(&self, found: impl Fn(&QueueState) -> Option<T>) -> Result<T, StopCause> {
        loop {
            {
                if let Some(cause) = self.cancel.cause() {
                    return Err(cause);
                }
                let mut state = self.lock();
                if let Some(found) = found(&state) {
                    return Ok(found);
                }
                state.changes_unseen = Some(0);
            }
            self.room.notified().await;
        }
    }

    /// Adds a target whose body goes to `place`, after `wait_for_admission`.
    pub(super) fn admit(&self, target: Target, place: Option<SavePlace>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.in_flight.add(target.index, target.text_bytes());
        state.push_job(QueuedJob::first(target, place, now), now, Scheduler::admit);
        self.wake_waiters(&mut state, NextWaker::WaitingWorker);
    }

    /// Notes that a target was spilled.
    pub(super) fn defer(&self, target: &Target) {
        let mut state = self.lock();
        state.in_flight.add(target.index, target.text_bytes());
        state.scheduler.defer(target.url(), Instant::now());
        self.wake_waiters(&mut state, NextWaker::WaitingWorker);
    }

    /// Waits for a host that has room for its spilled targets.
    pub(super) async fn wait_for_refill(&self) -> Arc<str> {
        loop {
            if let Some(host) = self.lock().scheduler.host_to_refill() {
                return host;
            }
            self.refill.notified().await;
        }
    }

    /// Adds spilled targets, in their order.
    pub(super) fn readmit(&self, targets: Vec<ClaimedTarget>) {
        let now = Instant::now();
        let mut state = self.lock();
        for (target, place) in targets {
            state.push_job(QueuedJob::first(target, place, now), now, Scheduler::readmit);
        }
        self.wake_waiters(&mut state, NextWaker::WaitingWorker);
    }

    /// Waits for names to look up.
    pub(super) async fn wait_for_lookups(&self) -> Vec<NameLookup> {
        loop {
            let names: Vec<_> = self.lock().scheduler.take_lookups().collect();
            if !names.is_empty() {
                return names;
            }
            self.lookups.notified().await;
        }
    }

    /// Applies the result of a lookup for this host. Returns a notice if no host can be reached any more.
    pub(super) fn set_addresses(
        &self,
        host: &str,
        addresses: Result<Arc<[IpAddr]>, ResolveError>,
    ) -> Option<Event> {
        let mut state = self.lock();
        let is_unreachable = matches!(addresses, Err(ResolveError::Unavailable(_)));
        state.scheduler.set_addresses(host, addresses, Instant::now());
        self.wake_waiters(&mut state, NextWaker::WaitingWorker);
        if is_unreachable { state.network_notice() } else { None }
    }

    /// Closes the queue: no more targets come.
    pub(super) fn close(&self) {
        self.lock().is_open = false;
        self.jobs.notify_one();
    }

    /// Wakes the feeder and the workers after the run was stopped; `take_remaining` has the jobs that are left.
    pub(super) fn wake_all(&self) {
        self.room.notify_one();
        self.jobs.notify_one();
    }

    /// Waits for the next thing to do; `None` once the queue is closed and empty, or the run is stopped.
    pub(super) async fn next(&self, last: &mut LastHost) -> Option<Work> {
        match self.poll(last, None) {
            Poll::Work(work) => return Some(work),
            Poll::CheckRobots(job, rules) => return Some(self.start(job, &rules)),
            Poll::Wait(_) | Poll::Closed => {}
        }
        let idle = IdleWorker::new(self);
        let _front = self.front.lock().await;
        loop {
            match self.poll(last, Some(&idle)) {
                Poll::Work(work) => return Some(work),
                Poll::CheckRobots(job, rules) => return Some(self.start(job, &rules)),
                Poll::Closed => return None,
                Poll::Wait(WaitUntil::Notified) => self.jobs.notified().await,
                Poll::Wait(WaitUntil::Deadline(moment)) => tokio::select! {
                    () = self.jobs.notified() => {}
                    () = tokio::time::sleep_until(moment.into()) => {}
                },
            }
        }
    }

    /// Looks for something to do. `idle` is given by the first of the waiting workers, which sleeps if there is nothing.
    fn poll(&self, last: &mut LastHost, idle: Option<&IdleWorker<'_>>) -> Poll {
        let mut state = self.lock();
        if idle.is_some() {
            state.asleep = None;
        }
        if self.cancel.cause().is_some() {
            return Poll::Closed;
        }
        let sleep = match state.scheduler.next(last, Instant::now()) {
            NextJob::Job(job, rules) => {
                self.wake_waiters(&mut state, NextWaker::WaitingWorker);
                return match rules {
                    None => Poll::Work(Work::Transfer(job)),
                    Some(rules) => Poll::CheckRobots(job, rules),
                };
            }
            NextJob::Failed(job, failure) => {
                let event = self.give_up(&mut state, &job, failure);
                self.wake_waiters(&mut state, NextWaker::WaitingWorker);
                return Poll::Work(Work::Emit(event));
            }
            _ if !state.is_open && state.in_flight.is_empty() => return Poll::Closed,
            NextJob::Wait(moment) => WaitUntil::Deadline(moment),
            NextJob::Nothing => WaitUntil::Notified,
        };
        // What has just become due may have names to look up, or room for spilled targets.
        self.wake_waiters(&mut state, NextWaker::ReturningWorker);
        if idle.is_some() {
            state.asleep = Some(sleep);
        }
        Poll::Wait(sleep)
    }

    /// Takes the jobs of all targets that were not settled when the run was stopped.
    pub(super) fn take_remaining(&self) -> Vec<QueuedJob> {
        let mut state = self.lock();
        let (mut targets, mut segments) = (Vec::new(), Vec::new());
        for job in state.scheduler.drain() {
            match job.request.kind {
                JobKind::Body => targets.push(job),
                JobKind::Segment { .. } => segments.push(job),
                JobKind::Assemble(_) | JobKind::Robots { .. } => {}
            }
        }
        targets.extend(state.merge(segments));
        targets
    }

    /// The hosts whose jobs wait while workers have nothing to do.
    pub(super) fn waits(&self) -> Vec<HostWait> {
        let state = self.lock();
        if state.idle_workers > 0 { state.scheduler.waits(Instant::now()) } else { Vec::new() }
    }

    /// Host statistics, sorted by number of requests, descending.
    pub(super) fn host_stats(&self) -> Vec<HostStats> {
        self.lock().scheduler.host_stats(Instant::now())
    }

    /// Wakes those for whom a change matters. The first of the waiting workers is woken if there is a job that no
    /// returning worker takes, if it would sleep past an alarm, or if the run is over. `asleep` is cleared with the
    /// wake-up, so that it is woken once, however many changes follow before it runs; it sets `asleep` again by itself.
    fn wake_waiters(&self, state: &mut QueueState, waker: NextWaker) {
        if let Some(sleep) = state.asleep {
            let returning = usize::from(waker == NextWaker::ReturningWorker);
            let has_spare_job = state.scheduler.startable() > returning;
            let is_due_sooner = state.scheduler.next_alarm().is_some_and(|moment| match sleep {
                WaitUntil::Notified => true,
                WaitUntil::Deadline(until) => moment < until,
            });
            let is_over =
                self.cancel.cause().is_some() || (!state.is_open && state.in_flight.is_empty());
            if has_spare_job || is_due_sooner || is_over {
                state.asleep = None;
                self.jobs.notify_one();
            }
        }
        if state.scheduler.host_to_refill().is_some() {
            self.refill.notify_one();
        }
        if state.scheduler.has_lookups() {
            self.lookups.notify_one();
        }
        if let Some(changes) = &mut state.changes_unseen {
            *changes += 1;
            if *changes >= CHANGES || state.idle_workers > 0 {
                state.changes_unseen = None;
                self.room.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }
}

impl QueueState {
    /// Whether workers wait and no job is startable. A startable one may not have been taken yet by the worker that
    /// was woken for it.
    fn idle_workers_have_no_job(&self) -> bool {
        self.idle_workers > 0 && self.scheduler.startable() == 0
    }
}

/// Who takes the next startable job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextWaker {
    /// A waiting worker, which has to be woken.
    WaitingWorker,
    /// The calling worker, which polls the queue next; it need not be woken.
    ReturningWorker,
}

/// Counts a worker as idle until dropped.
struct IdleWorker<'a>(&'a Queue);

impl<'a> IdleWorker<'a> {
    fn new(queue: &'a Queue) -> Self {
        queue.lock().idle_workers += 1;
        // An idle worker is a reason for the feeder to spill and read on.
        queue.room.notify_one();
        Self(queue)
    }
}

impl Drop for IdleWorker<'_> {
    fn drop(&mut self) {
        self.0.lock().idle_workers -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::num::{NonZeroU64, NonZeroUsize};
    use std::time::Duration;

    use super::*;
    use crate::model::EntryOptions;
    use crate::plan::{RetryOptions, RobotsPolicy};
    use crate::scheduler::{HostLimits, HostPolicies, JobOrder};

    /// Jobs of one host that the queue below has room for.
    const SHARE: u64 = 32;

    /// A queue whose hosts may be asked one thing at a time.
    fn queue() -> Queue {
        let hosts = HostPolicies {
            limits: Box::new(|_| HostLimits {
                ceiling: Some(1),
                gap: Duration::ZERO,
                failures: 3,
                patience: Duration::from_secs(30),
            }),
            name: Box::new(|_| None),
            robots: RobotsPolicy::Ignored,
            longest_rest: Duration::from_secs(600),
        };
        let capacity = crate::scheduler::QueueCapacity {
            jobs: 1024,
            jobs_of_many_hosts: 1024,
            bytes: 1 << 20,
        };
        let scheduler = Scheduler::new(hosts, JobOrder::RoundRobinByHost, capacity, Duration::ZERO);
        let retry =
            RetryOptions { times: 0, base: Duration::ZERO, max_retry_after: Duration::ZERO };
        let rules = RetryRules { retry, max_redirects: 0 };
        let split = SegmentOptions { most: NonZeroUsize::MIN, least: NonZeroU64::MIN };
        let (in_flight, cancel) = (InFlight::new(false), CancelToken::default());
        let failures = FailureCounter::new(None);
        Queue::new(rules, failures, "fetch".to_owned(), scheduler, in_flight, split, cancel)
    }

    fn target(index: u64) -> Target {
        let urls = vec![format!("http://a.test/{index}").parse().unwrap()];
        let options = EntryOptions::default();
        Target { index, source: "list".into(), line: Some(index), listed: None, urls, options }
    }

    /// What comes of waiting, if that is over at once.
    async fn now<T>(waits: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            found = waits => Some(found),
            () = ready(()) => None,
        }
    }

    #[tokio::test]
    async fn targets_are_put_aside_for_a_worker_only_if_there_is_no_job_for_it() {
        let queue = queue();
        let idle = IdleWorker::new(&queue);
        for index in 1..=SHARE {
            queue.admit(target(index), None);
        }
        let next = target(SHARE + 1);
        let spot = || queue.wait_for_admission(next.url(), || true);
        assert_eq!(now(spot()).await, None, "a job is on its way to the worker");
        assert!(matches!(now(queue.next(&mut LastHost::default())).await, Some(Some(_))));
        assert_eq!(now(spot()).await, Some(Ok(Admission::Queue)));
        queue.admit(target(SHARE + 2), None);
        assert_eq!(
            now(spot()).await,
            Some(Ok(Admission::Spill)),
            "its host is asked all it may be"
        );
        drop(idle);
        assert_eq!(now(spot()).await, None, "nobody waits for another host's job");
    }
}

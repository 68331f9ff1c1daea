//! The queue: the asynchronous door to the schedule. Workers of any thread take jobs from it and settle them into
//! it; the feeder brings targets as fast as there is room.

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
use super::in_flight::InFlight;
use super::spill::ClaimedTarget;
use crate::model::{Destination, Event, HostStats, Job, JobKind, StopCause, Target};
use crate::plan::{MaxFailures, SegmentOptions};
use crate::policy::{RetryRules, robots};
use crate::scheduler::{AdmitRoom, LastHost, NextJob, ResolveError, Scheduler};

/// As long as all workers are busy, the feeder is told of changes by so many at a time: to wake it for each job that
/// leaves would cost more than the job itself.
const CHANGES: u32 = 64;

/// The queue of one run.
#[derive(Debug)]
pub struct Queue {
    rules: RetryRules,
    most_failures: Option<MaxFailures>,
    /// Who we are to robots.txt.
    robots_token: String,
    /// Looked at before each job is handed out: none is begun once what was under way has been told to end.
    cancel: CancelToken,
    state: Mutex<QueueState>,
    /// Waiting workers stand here one behind another; only the foremost watches the bell and the time.
    door: tokio::sync::Mutex<()>,
    bell: Notify,
    room: Notify,
    hunger: Notify,
    names: Notify,
}

#[derive(Debug)]
struct QueueState {
    schedule: Scheduler,
    in_flight: InFlight,
    split: SegmentOptions,
    /// Targets whose bodies come in segments, by index.
    divisions: HashMap<u64, SegmentedDownload>,
    feeding: bool,
    /// Workers that wait for a job.
    free: usize,
    /// Until when the foremost of them sleeps, if it does.
    asleep: Option<WaitUntil>,
    /// Changes that the feeder, who waits for room, has not been told of.
    changes_unseen: Option<u32>,
    settled: u64,
    failed: u64,
    cut_off: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitUntil {
    Deadline(Instant),
    Notified,
}

/// What a worker is to do.
#[derive(Debug)]
pub enum Work {
    /// Make this request, and settle it.
    Transfer(Box<Job>),
    /// Pass this on, if there is anything to be told: a job is settled without a request.
    Emit(Option<Event>),
}

enum Poll {
    Work(Work),
    /// This job, if its host allows it.
    CheckRobots(Box<Job>, Arc<robots::RobotsRules>),
    Wait(WaitUntil),
    Closed,
}

/// Where there is room for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// In the queue.
    Queue,
    /// Aside, for its host has its share of the queue while others may have jobs for workers that are free.
    Spill,
}

impl Queue {
    /// An empty queue.
    pub fn new(
        rules: RetryRules,
        most_failures: Option<MaxFailures>,
        robots_token: String,
        schedule: Scheduler,
        in_flight: InFlight,
        split: SegmentOptions,
        cancel: CancelToken,
    ) -> Self {
        let state = QueueState {
            schedule,
            in_flight,
            split,
            divisions: HashMap::new(),
            feeding: true,
            free: 0,
            asleep: None,
            changes_unseen: None,
            settled: 0,
            failed: 0,
            cut_off: false,
        };
        Self {
            rules,
            most_failures,
            robots_token,
            cancel,
            state: Mutex::new(state),
            door: tokio::sync::Mutex::default(),
            bell: Notify::new(),
            room: Notify::new(),
            hunger: Notify::new(),
            names: Notify::new(),
        }
    }

    /// Waits until the entry of this index may be begun.
    ///
    /// # Errors
    /// The cause, if the run is ended first.
    pub async fn wait_for_turn(&self, index: u64) -> Result<(), StopCause> {
        self.wait_for(|state| state.in_flight.has_room(index).then_some(())).await
    }

    /// Waits for a spot for the target of this index and URL. `aside` says whether targets can be put aside.
    ///
    /// # Errors
    /// The cause, if the run is ended first.
    pub async fn wait_for_admission(
        &self,
        index: u64,
        url: &Url,
        spilled: impl Fn() -> bool,
    ) -> Result<Admission, StopCause> {
        self.wait_for(|state| {
            if !state.in_flight.has_room(index) {
                return None;
            }
            match state.schedule.room(url) {
                AdmitRoom::Queue => Some(Admission::Queue),
                AdmitRoom::Spill if state.idle_workers_have_no_job() && spilled() => {
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

    /// Brings a target whose body goes to `place`; it must have been waited for a spot for.
    pub fn admit(&self, target: Target, place: Option<Destination>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.in_flight.add(target.index);
        state.push_job(Job::first(target, place, now), now, Scheduler::admit);
        self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
    }

    /// A target was put aside.
    pub fn defer(&self, index: u64, url: &Url) {
        let mut state = self.lock();
        state.in_flight.add(index);
        state.schedule.defer(url, Instant::now());
        self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
    }

    /// Waits for a host that has room for targets that were put aside.
    pub async fn wait_for_refill(&self) -> Arc<str> {
        loop {
            if let Some(host) = self.lock().schedule.host_to_refill() {
                return host;
            }
            self.hunger.notified().await;
        }
    }

    /// Brings targets that were put aside, in their order.
    pub fn readmit(&self, targets: Vec<ClaimedTarget>) {
        let now = Instant::now();
        let mut state = self.lock();
        for (target, place) in targets {
            state.push_job(Job::first(target, place, now), now, Scheduler::readmit);
        }
        self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
    }

    /// Waits for names that have to be looked up, each with the host that waits for it.
    pub async fn wait_for_lookups(&self) -> Vec<(Arc<str>, String)> {
        loop {
            let names: Vec<_> = self.lock().schedule.take_lookups().collect();
            if !names.is_empty() {
                return names;
            }
            self.names.notified().await;
        }
    }

    /// A lookup for this host has ended. A word about it, if there is one to be said.
    pub fn set_addresses(
        &self,
        host: &str,
        found: Result<Arc<[IpAddr]>, ResolveError>,
    ) -> Option<Event> {
        let mut state = self.lock();
        let out_of_reach = matches!(found, Err(ResolveError::Unavailable(_)));
        state.schedule.set_addresses(host, found, Instant::now());
        self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
        if out_of_reach { state.unreachable_notice() } else { None }
    }

    /// No more targets come.
    pub fn close(&self) {
        self.lock().feeding = false;
        self.bell.notify_one();
    }

    /// Lets those who wait see that the run has been stopped; what is left is found in `leftovers`.
    pub fn wake_all(&self) {
        self.room.notify_one();
        self.bell.notify_one();
    }

    /// The next thing to do, as soon as there is one; `None` once there will be none any more.
    pub async fn next(&self, last: &mut LastHost) -> Option<Work> {
        match self.poll(last, None) {
            Poll::Work(work) => return Some(work),
            Poll::CheckRobots(job, rules) => return Some(self.start(job, &rules)),
            Poll::Wait(_) | Poll::Closed => {}
        }
        let waiting = Waiters::new(self);
        let _foremost = self.door.lock().await;
        loop {
            match self.poll(last, Some(&waiting)) {
                Poll::Work(work) => return Some(work),
                Poll::CheckRobots(job, rules) => return Some(self.start(job, &rules)),
                Poll::Closed => return None,
                Poll::Wait(WaitUntil::Notified) => self.bell.notified().await,
                Poll::Wait(WaitUntil::Deadline(moment)) => tokio::select! {
                    () = self.bell.notified() => {}
                    () = tokio::time::sleep_until(moment.into()) => {}
                },
            }
        }
    }

    fn poll(&self, last: &mut LastHost, foremost: Option<&Waiters<'_>>) -> Poll {
        let mut state = self.lock();
        if foremost.is_some() {
            state.asleep = None;
        }
        if self.cancel.cause().is_some() {
            return Poll::Closed;
        }
        let sleep = match state.schedule.next(last, Instant::now()) {
            NextJob::Job(job, rules) => {
                self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
                return match rules {
                    None => Poll::Work(Work::Transfer(job)),
                    Some(rules) => Poll::CheckRobots(job, rules),
                };
            }
            NextJob::Failed(job, failure) => {
                let event = self.give_up(&mut state, &job, failure);
                self.wake_waiters(&mut state, NextWaker::OneOfTheWaiting);
                return Poll::Work(Work::Emit(event));
            }
            _ if !state.feeding && state.in_flight.is_empty() => return Poll::Closed,
            NextJob::Wait(moment) => WaitUntil::Deadline(moment),
            NextJob::Nothing => WaitUntil::Notified,
        };
        // Looking at what is due may have found names to look up.
        self.wake_waiters(&mut state, NextWaker::ReturningWorker);
        if foremost.is_some() {
            state.asleep = Some(sleep);
        }
        Poll::Wait(sleep)
    }

    /// The targets that were in the queue and not done when the run was stopped.
    pub fn take_remaining(&self) -> Vec<Job> {
        let mut state = self.lock();
        let (mut targets, mut segments) = (Vec::new(), Vec::new());
        for job in state.schedule.drain() {
            match job.kind {
                JobKind::Body => targets.push(job),
                JobKind::Segment { .. } => segments.push(job),
                JobKind::Assemble(_) | JobKind::Robots(_) => {}
            }
        }
        targets.extend(state.merge(segments));
        targets
    }

    /// The hosts that were asked most, first.
    pub fn host_stats(&self) -> Vec<HostStats> {
        self.lock().schedule.host_stats(Instant::now())
    }

    /// Wakes those for whom something has changed. A worker that comes by itself takes one job; the foremost of the
    /// waiting is woken only for more than that, or to sleep less long.
    fn wake_waiters(&self, state: &mut QueueState, comes: NextWaker) {
        if let Some(sleep) = state.asleep {
            let spare =
                state.schedule.startable() > usize::from(comes == NextWaker::ReturningWorker);
            let sooner = state.schedule.next_alarm().is_some_and(|moment| match sleep {
                WaitUntil::Notified => true,
                WaitUntil::Deadline(until) => moment < until,
            });
            let over =
                self.cancel.cause().is_some() || (!state.feeding && state.in_flight.is_empty());
            if spare || sooner || over {
                state.asleep = None;
                self.bell.notify_one();
            }
        }
        if state.schedule.host_to_refill().is_some() {
            self.hunger.notify_one();
        }
        if state.schedule.has_lookups() {
            self.names.notify_one();
        }
        if let Some(changes) = &mut state.changes_unseen {
            *changes += 1;
            if *changes >= CHANGES || state.free > 0 {
                state.changes_unseen = None;
                self.room.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().expect("no holder panics")
    }
}

impl QueueState {
    /// Whether workers wait for a job and there is none to be handed out, as soon as they look.
    fn idle_workers_have_no_job(&self) -> bool {
        self.free > 0 && self.schedule.startable() == 0
    }
}

/// Whether somebody will look at the queue in a moment anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextWaker {
    OneOfTheWaiting,
    ReturningWorker,
}

/// A worker that waits for a job, as long as this value lives.
struct Waiters<'a>(&'a Queue);

impl<'a> Waiters<'a> {
    fn new(queue: &'a Queue) -> Self {
        queue.lock().free += 1;
        // The feeder may look further for those who have nothing to do.
        queue.room.notify_one();
        Self(queue)
    }
}

impl Drop for Waiters<'_> {
    fn drop(&mut self) {
        self.0.lock().free -= 1;
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
        let schedule = Scheduler::new(hosts, JobOrder::RoundRobinByHost, 1024, Duration::ZERO);
        let retry =
            RetryOptions { times: 0, base: Duration::ZERO, max_retry_after: Duration::ZERO };
        let rules = RetryRules { retry, max_redirects: 0 };
        let split = SegmentOptions { most: NonZeroUsize::MIN, least: NonZeroU64::MIN };
        let (in_flight, cancel) = (InFlight::new(false), CancelToken::default());
        Queue::new(rules, None, "fetch".to_owned(), schedule, in_flight, split, cancel)
    }

    fn target(index: u64) -> Target {
        let urls = vec![format!("http://a.test/{index}").parse().unwrap()];
        let options = EntryOptions::default();
        Target { index, source: "list".into(), line: Some(index), urls, options }
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
        let free = Waiters::new(&queue);
        for index in 1..=SHARE {
            queue.admit(target(index), None);
        }
        let next = target(SHARE + 1);
        let spot = || queue.wait_for_admission(next.index, next.url(), || true);
        assert_eq!(now(spot()).await, None, "a job is on its way to the worker");
        assert!(matches!(now(queue.next(&mut LastHost::default())).await, Some(Some(_))));
        assert_eq!(now(spot()).await, Some(Ok(Admission::Queue)));
        queue.admit(target(SHARE + 2), None);
        assert_eq!(
            now(spot()).await,
            Some(Ok(Admission::Spill)),
            "its host is asked all it may be"
        );
        drop(free);
        assert_eq!(now(spot()).await, None, "nobody waits for another host's job");
    }
}

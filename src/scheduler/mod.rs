//! The scheduler: which job comes next. Each host has a queue with limits of its own, and hosts take turns. Pure; time is
//! an argument, and so is what is known of hosts.

mod adaptive_limit;
mod circuit_breaker;
mod host_feedback;
mod host_limits;
mod host_queue;
mod ready_sets;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

pub(crate) use self::host_feedback::host_feedback;
pub(crate) use self::host_limits::{host_limits, interval_of, is_written_as_loopback};

pub(crate) use self::host_queue::{ADDRESS_LIFETIME, ResolveError};
use self::host_queue::{
    Dequeued, HostQueue, QueueEnd, Resolution, RetentionReason, RobotsState, StartTime,
};
pub use self::host_queue::{HostFeedback, HostLimits};
use self::ready_sets::{DelayedJobs, ReadySets, SlotState, StartRank};
use crate::model::{Failure, FailureClass, HostStats, HostWait, QueuedJob, WaitReason, host_of};
use crate::plan::RobotsPolicy;
use crate::policy::robots;

/// Hosts without jobs that are remembered.
const HOSTS_KEPT: usize = 4096;

/// Hosts without jobs that are remembered for a gap, a wait or a failure.
const RESTING_KEPT: usize = 16 * HOSTS_KEPT;

/// Bytes of memory for the robots.txt rules of all hosts.
const RULES_KEPT: usize = 64 * 1024 * 1024;

/// Memory that the rules of a robots.txt take, as a multiple of its size (measured: 4).
const RULES_GROW: usize = 5;

/// Hosts in the host statistics.
const TABLE: usize = 20;

/// Jobs in a row that a worker may take from one host while others have jobs.
const STAY: u32 = 16;

/// Jobs of each host for which there is room. So where hosts take turns in a list, a worker still finds several of one host,
/// and makes their requests over one connection.
const JOBS_PER_HOST: usize = 8;

/// The order in which jobs start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOrder {
    /// Hosts take turns.
    RoundRobinByHost,
    /// In list order, as far as each job's host allows.
    ListOrder,
}

/// What is decided about hosts before the first request.
pub struct HostPolicies {
    /// The limits of a URL's host.
    pub limits: HostInfo<HostLimits>,
    /// The name to resolve before a URL's host can be reached; `None` if there is none.
    pub name: HostInfo<Option<String>>,
    /// Whether their robots.txt is obeyed.
    pub robots: RobotsPolicy,
    /// How long a host may refuse every request before its jobs fail.
    pub longest_rest: Duration,
}

/// A property of the host of a URL.
pub(crate) type HostInfo<T> = Box<dyn Fn(&Url) -> T + Send>;

impl fmt::Debug for HostPolicies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HostPolicies")
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueCapacity {
    /// The most jobs in memory, if they are those of few hosts.
    pub jobs: usize,
    /// The most jobs in memory, if they are those of many.
    pub jobs_of_many_hosts: usize,
    /// The most bytes of their texts; the last job may exceed that.
    pub bytes: usize,
}

/// All jobs that no worker has, by host.
///
/// A host's queue changes only through the scheduler's methods, each of which ends with `refresh`: that is what keeps
/// `sets` true.
#[derive(Debug)]
pub struct Scheduler {
    policies: HostPolicies,
    order: JobOrder,
    /// The most jobs in memory, and bytes of their texts. One host may have a share of them.
    capacity: QueueCapacity,
    /// The queue of each slot; `None` if the slot is vacant.
    queues: Vec<Option<HostQueue>>,
    vacant: Vec<usize>,
    by_host: HashMap<Arc<str>, usize>,
    sets: ReadySets,
    delayed: DelayedJobs,
    lookups: VecDeque<NameLookup>,
    /// Jobs in memory, delayed ones included.
    job_count: usize,
    /// The bytes of their texts.
    text_bytes: usize,
    pacer: StartPacer,
    rules_bytes: usize,
    /// Statistics of hosts that were forgotten.
    retired: Vec<HostStats>,
}

/// Spreads all starts evenly (`--rate`).
#[derive(Debug)]
struct StartPacer {
    gap: Duration,
    next: Option<Instant>,
}

/// What a worker is to do.
#[derive(Debug)]
pub enum NextJob {
    /// Make this request, if the rules of its host allow it.
    Job(Box<QueuedJob>, Option<Arc<robots::RobotsRules>>),
    /// Settle this job without a request.
    Failed(Box<QueuedJob>, Failure),
    /// No job may start before this moment.
    Wait(Instant),
    /// No job may start until something changes.
    Nothing,
}

/// A name to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameLookup {
    /// The host that waits for it.
    pub host: Arc<str>,
    /// The name.
    pub name: String,
    /// When a connection to the last answer failed: an answer from before is of no use.
    pub not_before: Option<Instant>,
}

/// Whether there is room for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmitRoom {
    /// There is.
    Queue,
    /// Its host has its share of the queue: the target may be spilled to read on for other hosts.
    Spill,
    /// The queue is full.
    None,
}

impl Scheduler {
    /// A scheduler that keeps at most `capacity` in memory and starts at most one job per `gap` over all hosts.
    pub fn new(
        policies: HostPolicies,
        order: JobOrder,
        capacity: QueueCapacity,
        gap: Duration,
    ) -> Self {
        Self {
            policies,
            order,
            capacity,
            queues: Vec::new(),
            vacant: Vec::new(),
            by_host: HashMap::new(),
            sets: ReadySets::default(),
            delayed: DelayedJobs::default(),
            lookups: VecDeque::new(),
            job_count: 0,
            text_bytes: 0,
            pacer: StartPacer { gap, next: None },
            rules_bytes: 0,
            retired: Vec::new(),
        }
    }

    /// Whether there is room for a target at this URL.
    pub fn room(&self, url: &Url) -> AdmitRoom {
        if self.job_count >= self.most_jobs() || self.text_bytes >= self.capacity.bytes {
            return AdmitRoom::None;
        }
        match self.by_host.get(host_of(url).as_ref()) {
            // Targets of one host keep their order: behind spilled ones, the next is spilled too.
            Some(slot) if self.queue(*slot).spilled > 0 => AdmitRoom::Spill,
            Some(slot) if self.has_share(*slot) => AdmitRoom::Spill,
            _ => AdmitRoom::Queue,
        }
    }

    /// Notes that a target of this URL's host was spilled.
    pub fn defer(&mut self, url: &Url, now: Instant) {
        let slot = self.slot_of(url, now);
        let queue = self.queue_mut(slot);
        queue.spilled += 1;
        if queue.spilled == 1 {
            self.refresh(slot, now);
        }
    }

    /// A host that has room for its spilled targets.
    pub fn host_to_refill(&self) -> Option<Arc<str>> {
        self.sets.first_refillable().map(|slot| Arc::clone(&self.queue(slot).host))
    }

    /// Adds a spilled target's first job, behind all others of its host.
    pub fn readmit(&mut self, job: QueuedJob, now: Instant) {
        let slot = self.slot_of(&job.request.url, now);
        let queue = self.queue_mut(slot);
        queue.spilled = queue.spilled.saturating_sub(1);
        self.add(slot, job, now, QueueEnd::Back);
    }

    /// Adds a target's first job, behind all others of its host.
    pub fn admit(&mut self, job: QueuedJob, now: Instant) {
        let slot = self.slot_of(&job.request.url, now);
        self.add(slot, job, now, QueueEnd::Back);
    }

    /// Puts back a job that continues a target: once it is due, it goes ahead of first jobs.
    pub fn resume(&mut self, job: QueuedJob, due: Instant, now: Instant) {
        let slot = self.slot_of(&job.request.url, now);
        if due <= now {
            return self.add(slot, job, now, QueueEnd::Front);
        }
        self.count_in(slot, &job);
        self.queue_mut(slot).delayed += 1;
        self.delayed.add(job, due);
        self.refresh(slot, now);
    }

    /// When a job for the host of this URL that is due at `due` may start at the earliest; `None` if the host is given up
    /// before.
    pub fn earliest_start(&mut self, url: &Url, due: Instant, now: Instant) -> Option<Instant> {
        let slot = self.slot_of(url, now);
        self.queue(slot).earliest_start(due, now)
    }

    /// Takes out all jobs of the target of this index that are for the host of this URL.
    pub fn withdraw(&mut self, url: &Url, index: u64, now: Instant) -> Vec<QueuedJob> {
        let slot = self.slot_of(url, now);
        let host = Arc::clone(&self.queue(slot).host);
        let is_wanted = |job: &QueuedJob| {
            job.request.target.index == index && host_of(&job.request.url) == *host
        };
        let mut withdrawn = self.delayed.extract(is_wanted);
        let queue = self.queue_mut(slot);
        queue.delayed -= withdrawn.len();
        let ready = std::mem::take(&mut queue.ready);
        let (wanted, rest): (VecDeque<_>, _) = ready.into_iter().partition(is_wanted);
        queue.ready = rest;
        withdrawn.extend(wanted);
        withdrawn.iter().for_each(|job| self.count_out(slot, job));
        self.refresh(slot, now);
        withdrawn
    }

    /// Counts a job that is put into the queue of this slot.
    fn count_in(&mut self, slot: usize, job: &QueuedJob) {
        self.job_count += 1;
        self.text_bytes += job.text_bytes();
        self.queue_mut(slot).text_bytes += job.text_bytes();
    }

    /// Counts a job that was taken out of the queue of this slot.
    fn count_out(&mut self, slot: usize, job: &QueuedJob) {
        self.job_count -= 1;
        self.text_bytes -= job.text_bytes();
        self.queue_mut(slot).text_bytes -= job.text_bytes();
    }

    fn add(&mut self, slot: usize, job: QueuedJob, now: Instant, end: QueueEnd) {
        self.count_in(slot, &job);
        self.queue_mut(slot).add(job, end);
        self.refresh(slot, now);
    }

    /// Takes the next job. The worker stays with the host that it served `last`, for `STAY` jobs, if that has one:
    /// the connection is at hand.
    pub fn next(&mut self, last: &mut LastHost, now: Instant) -> NextJob {
        self.run_timers(now);
        if let Some(slot) = self.sets.first_failing() {
            let failed = self.queue_mut(slot).pop_failed();
            if let Some((job, _)) = &failed {
                self.count_out(slot, job);
            }
            self.refresh(slot, now);
            if let Some((job, failure)) = failed {
                return NextJob::Failed(Box::new(job), failure);
            }
        }
        let Some(first) = self.sets.first_startable() else {
            return self.next_alarm().map_or(NextJob::Nothing, NextJob::Wait);
        };
        if let Some(moment) = self.pacer.next.filter(|moment| *moment > now) {
            return NextJob::Wait(self.next_alarm().map_or(moment, |alarm| alarm.min(moment)));
        }
        let may_stay = self.order == JobOrder::RoundRobinByHost && last.times < STAY;
        let same = last.host.as_ref().filter(|_| may_stay).and_then(|host| self.by_host.get(host));
        let slot = same.copied().filter(|slot| self.sets.is_startable(*slot)).unwrap_or(first);
        let queue = self.queue_mut(slot);
        let (host, taken) = (Arc::clone(&queue.host), queue.take(now));
        self.pacer.on_start(now);
        last.on_served(host);
        if let Some(Dequeued::Job(job, _)) = &taken {
            self.count_out(slot, job);
        }
        self.refresh(slot, now);
        match taken.expect("a startable queue has a job") {
            Dequeued::Robots(job) => NextJob::Job(Box::new(job), None),
            Dequeued::Job(job, rules) => NextJob::Job(Box::new(job), rules),
        }
    }

    /// The next moment at which something may be due.
    pub fn next_alarm(&mut self) -> Option<Instant> {
        [self.sets.next_alarm(), self.delayed.next_due()].into_iter().flatten().min()
    }

    /// Queues the delayed jobs that are due, and refreshes the hosts whose alarm is.
    fn run_timers(&mut self, now: Instant) {
        while let Some(job) = self.delayed.pop(now) {
            let slot = self.slot_of(&job.request.url, now);
            self.count_out(slot, &job);
            self.queue_mut(slot).delayed -= 1;
            self.add(slot, job, now, QueueEnd::Front);
        }
        while let Some(slot) = self.sets.pop_alarm(now) {
            self.refresh(slot, now);
        }
    }

    /// Applies what an attempt at this URL, started at `started`, says of its host.
    pub fn on_feedback(
        &mut self,
        url: &Url,
        feedback: HostFeedback,
        started: Instant,
        now: Instant,
    ) {
        let slot = self.slot_of(url, now);
        self.queue_mut(slot).on_feedback(feedback, started, now);
        self.refresh(slot, now);
    }

    /// Undoes the start of a job at this URL that was taken and makes no request.
    pub fn cancel_start(&mut self, url: &Url, now: Instant) {
        let slot = self.slot_of(url, now);
        self.queue_mut(slot).cancel_start(now);
        self.refresh(slot, now);
    }

    /// Sets the rules of a host, from a robots.txt of `file_bytes` bytes. If there is no memory for them, nothing of
    /// the host is allowed, which is on the safe side.
    pub fn set_robots(
        &mut self,
        host: &str,
        rules: robots::RobotsRules,
        file_bytes: usize,
        now: Instant,
    ) {
        let bytes = file_bytes.saturating_mul(RULES_GROW);
        while self.rules_bytes + bytes > RULES_KEPT
            && let Some(slot) = self.sets.pop_idle(0)
        {
            self.retire(slot);
        }
        // Looked up only now: without jobs, the host may be among those that were just forgotten.
        let Some(slot) = self.by_host.get(host).copied() else { return };
        let fits = self.rules_bytes + bytes <= RULES_KEPT;
        let (rules, bytes) =
            if fits { (rules, bytes) } else { (robots::RobotsRules::nothing(), 0) };
        self.rules_bytes += bytes;
        self.queue_mut(slot).set_robots(Arc::new(rules), bytes);
        self.refresh(slot, now);
    }

    /// Counts an attempt at this URL in the statistics of its host.
    pub fn count(&mut self, url: &Url, bytes: u64, failure: Option<FailureClass>) {
        if let Some(slot) = self.by_host.get(host_of(url).as_ref()).copied() {
            self.queue_mut(slot).count(bytes, failure);
        }
    }

    /// Takes the names to resolve.
    pub fn take_lookups(&mut self) -> impl Iterator<Item = NameLookup> {
        std::mem::take(&mut self.lookups).into_iter()
    }

    /// Applies the result of a lookup for this host.
    pub fn set_addresses(
        &mut self,
        host: &str,
        addresses: Result<Arc<[IpAddr]>, ResolveError>,
        now: Instant,
    ) {
        if let Some(slot) = self.by_host.get(host).copied() {
            self.queue_mut(slot).set_addresses(addresses, now);
            self.refresh(slot, now);
        }
    }

    /// Whether there are names to resolve.
    pub fn has_lookups(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Hosts with a job that may start now, or must fail.
    pub fn startable(&self) -> usize {
        self.sets.ready()
    }

    /// The number of hosts that have jobs, and for how long they are tried, if they are several and none of them can be
    /// reached.
    pub fn unreachable_hosts(&self) -> Option<(u64, Duration)> {
        let (hosts, slot) = self.sets.all_unreachable().filter(|(hosts, _)| *hosts > 1)?;
        Some((hosts as u64, self.queue(slot).patience()))
    }

    /// The hosts whose jobs wait for anything but a transfer in progress, those first that wait for the shortest time.
    pub fn waits(&self, now: Instant) -> Vec<HostWait> {
        let mut waits: Vec<_> =
            self.queues.iter().flatten().filter_map(|queue| queue.wait(now)).collect();
        waits.extend(self.pacer_wait(now));
        waits.sort_by_key(|wait| (wait.until.is_none(), wait.until));
        waits
    }

    /// The wait of all hosts for the time between two starts, as one host without a name.
    fn pacer_wait(&self, now: Instant) -> Option<HostWait> {
        let until = self.pacer.next.filter(|moment| *moment > now && self.startable() > 0)?;
        let (host, jobs) = (Arc::from(""), self.job_count as u64);
        Some(HostWait { host, reason: WaitReason::Gap, until: Some(until), jobs })
    }

    /// Takes all jobs out, in no order.
    pub fn drain(&mut self) -> Vec<QueuedJob> {
        (self.job_count, self.text_bytes) = (0, 0);
        self.queues.iter_mut().flatten().for_each(|queue| queue.text_bytes = 0);
        let ready = self.queues.iter_mut().flatten().flat_map(|queue| {
            let HostQueue { ready, robots, .. } = queue;
            ready.drain(..).chain(robots.drain(..))
        });
        self.delayed.drain().chain(ready).collect()
    }

    /// Host statistics, sorted by number of requests, descending.
    pub fn host_stats(&mut self, now: Instant) -> Vec<HostStats> {
        let mut stats = std::mem::take(&mut self.retired);
        for queue in self.queues.iter_mut().flatten() {
            queue.record_wait(now);
            stats.push(queue.stats());
        }
        keep_busiest(&mut stats);
        stats
    }

    /// Brings the sets and lookups up to date after a change in a host's queue.
    fn refresh(&mut self, slot: usize, now: Instant) {
        let (share, share_bytes) = (self.share(slot), self.share_bytes());
        let queue = self.queues[slot].as_mut().expect("the slot is taken");
        queue.open_breaker_after_patience(now);
        queue.record_wait(now);
        if queue.len() > 0 || queue.spilled > 0 {
            self.lookups.extend(queue.take_lookup(now).map(|(name, not_before)| NameLookup {
                host: Arc::clone(&queue.host),
                name,
                not_before,
            }));
        }
        let retention = queue.retention_reason(now);
        if retention != RetentionReason::Jobs {
            queue.release_memory();
        }
        let start = queue.start(now);
        let rank = match self.order {
            JobOrder::RoundRobinByHost => StartRank::Last,
            JobOrder::ListOrder => {
                StartRank::ListIndex(queue.ready.front().map_or(0, |job| job.request.target.index))
            }
        };
        let state = SlotState {
            startable: (start == StartTime::Now).then_some(rank),
            is_failing: start == StartTime::ToFail,
            has_work: queue.len() > 0 || queue.in_progress > 0,
            is_unreachable: queue.is_failing(),
            is_refillable: queue.spilled > 0
                && queue.len() <= share / 2
                && queue.text_bytes <= share_bytes / 2,
            retention,
            alarm: queue.alarm(now),
        };
        self.sets.update(slot, &state);
    }

    /// The slot of a URL's host. A new host may take the place of one that is long unused.
    fn slot_of(&mut self, url: &Url, now: Instant) -> usize {
        let host = host_of(url);
        if let Some(slot) = self.by_host.get(host.as_ref()) {
            return *slot;
        }
        for unused in [self.sets.pop_idle(HOSTS_KEPT), self.sets.pop_resting(RESTING_KEPT)] {
            unused.into_iter().for_each(|slot| self.retire(slot));
        }
        let host: Arc<str> = host.into();
        let name = (self.policies.name)(url);
        let robots = match self.policies.robots {
            RobotsPolicy::Ignored => RobotsState::AllowAll,
            RobotsPolicy::Obeyed => RobotsState::Unknown,
        };
        let queue = HostQueue::new(
            Arc::clone(&host),
            (self.policies.limits)(url),
            Resolution::of_name(name),
            robots,
            self.policies.longest_rest,
            now,
        );
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.queues.push(None);
            self.queues.len() - 1
        });
        self.queues[slot] = Some(queue);
        self.by_host.insert(host, slot);
        slot
    }

    /// Forgets a host that is unused, but for its statistics.
    fn retire(&mut self, slot: usize) {
        let Some(queue) = self.queues[slot].take() else { return };
        self.by_host.remove(&queue.host);
        self.vacant.push(slot);
        self.rules_bytes -= queue.rules_bytes();
        self.retired.push(queue.stats());
        if self.retired.len() > 2 * TABLE {
            keep_busiest(&mut self.retired);
        }
    }

    /// The most jobs in memory.
    fn most_jobs(&self) -> usize {
        match self.order {
            JobOrder::ListOrder => self.capacity.jobs,
            JobOrder::RoundRobinByHost => (JOBS_PER_HOST * self.sets.with_work())
                .clamp(self.capacity.jobs, self.capacity.jobs_of_many_hosts),
        }
    }

    /// The most jobs of one host in memory: enough to keep it busy, and no more than half of the capacity.
    fn share(&self, slot: usize) -> usize {
        if self.order == JobOrder::ListOrder {
            return self.capacity.jobs;
        }
        let half = self.capacity.jobs / 2;
        self.queue(slot).ceiling().map_or(half, |ceiling| (4 * ceiling).clamp(32, half.max(32)))
    }

    /// The bytes of text that one host may have in memory.
    fn share_bytes(&self) -> usize {
        match self.order {
            JobOrder::ListOrder => self.capacity.bytes,
            JobOrder::RoundRobinByHost => self.capacity.bytes / 2,
        }
    }

    /// Whether the host of a slot has its share of the queue.
    fn has_share(&self, slot: usize) -> bool {
        let queue = self.queue(slot);
        queue.len() >= self.share(slot) || queue.text_bytes >= self.share_bytes()
    }

    fn queue(&self, slot: usize) -> &HostQueue {
        self.queues[slot].as_ref().expect("the slot is taken")
    }

    fn queue_mut(&mut self, slot: usize) -> &mut HostQueue {
        self.queues[slot].as_mut().expect("the slot is taken")
    }
}

/// The host that a worker served last, and how many times in a row.
#[derive(Debug, Default)]
pub struct LastHost {
    host: Option<Arc<str>>,
    times: u32,
}

impl LastHost {
    fn on_served(&mut self, host: Arc<str>) {
        let same = self.host.as_ref() == Some(&host);
        self.times = if same { self.times + 1 } else { 1 };
        self.host = Some(host);
    }
}

impl StartPacer {
    /// Spreads starts evenly without drifting: a start that comes late does not push back the next one, and what
    /// was missed in a longer pause is not made up for.
    fn on_start(&mut self, now: Instant) {
        if self.gap.is_zero() {
            return;
        }
        let due = self.next.filter(|due| now.duration_since(*due) < self.gap).unwrap_or(now);
        self.next = Some(due + self.gap);
    }
}

/// Keeps the hosts with the most requests, those first.
fn keep_busiest(stats: &mut Vec<HostStats>) {
    stats.sort_unstable_by(|one, other| {
        other.requests.cmp(&one.requests).then(one.host.cmp(&other.host))
    });
    stats.truncate(TABLE);
}

#[cfg(test)]
mod tests;

//! Which job comes next. Each host has a lane with its own limits; the lanes take turns. Pure; time is an argument,
//! and so is whatever is known of hosts.

mod adaptive_limit;
mod circuit_breaker;
mod host_feedback;
mod host_limits;
mod host_queue;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

pub use self::host_feedback::host_feedback;
pub use self::host_limits::{host_limits, interval_of, is_written_as_loopback};

use self::host_queue::{
    Dequeued, HostQueue, QueueEnd, Resolution, RetentionReason, RobotsState, StartTime,
};
pub use self::host_queue::{HostFeedback, HostLimits, ResolveError};
use crate::model::{Failure, FailureClass, HostStats, QueuedJob, host_of};
use crate::plan::RobotsPolicy;
use crate::policy::robots;

/// Hosts that are remembered though they have no jobs.
const HOSTS_KEPT: usize = 4096;

/// Hosts that are remembered for their manners, though they have no jobs.
const RESTING_KEPT: usize = 16 * HOSTS_KEPT;

/// Bytes that may be spent on what hosts allow.
const RULES_KEPT: usize = 64 * 1024 * 1024;

/// What a robots.txt takes in memory, of its size (measured: four times).
const RULES_GROW: usize = 5;

/// Rows of the table of hosts.
const TABLE: usize = 20;

/// How often in a row a worker may stay with its host while others have jobs.
const STAY: u32 = 16;

/// In which order jobs start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOrder {
    /// Hosts take turns.
    RoundRobinByHost,
    /// As listed, as far as each job's host allows.
    ListOrder,
}

/// What is known of hosts before the first request.
pub struct HostPolicies {
    /// What the host of a URL may be asked at most.
    pub limits: HostInfo<HostLimits>,
    /// The name that has to be looked up to reach the host of a URL, if any.
    pub name: HostInfo<Option<String>>,
    /// Whether their robots.txt is obeyed.
    pub robots: RobotsPolicy,
    /// How long one may refuse everything before nothing more is asked of it.
    pub longest_rest: Duration,
}

/// What is known of the host of a URL.
pub type HostInfo<T> = Box<dyn Fn(&Url) -> T + Send>;

impl fmt::Debug for HostPolicies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Hosts")
    }
}

/// The jobs that nobody works on.
#[derive(Debug)]
pub struct Scheduler {
    hosts: HostPolicies,
    turns: JobOrder,
    /// Jobs in memory, at most; and for one host, at most a share of them.
    room: usize,
    queues: Vec<Option<HostSlot>>,
    vacant: Vec<usize>,
    by_host: HashMap<Arc<str>, usize>,
    /// Lanes whose next job may start now, by rank.
    startable: BTreeSet<(u64, usize)>,
    /// Lanes whose next job is to fail.
    to_fail: BTreeSet<usize>,
    /// Lanes that have room for what was put aside.
    hungry: BTreeSet<usize>,
    /// Lanes of which nothing is known that matters, the one longest unused first.
    idle: BTreeSet<(u64, usize)>,
    /// Lanes without jobs whose hosts have a gap, a wait or a failure to remember, the one longest unused first.
    resting: BTreeSet<(u64, usize)>,
    /// When a lane has to be looked at again.
    alarms: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Jobs that wait for a moment of their own.
    moments: BinaryHeap<Reverse<(Instant, u64)>>,
    waiting: BTreeMap<u64, QueuedJob>,
    names: VecDeque<(Arc<str>, String)>,
    tickets: u64,
    held: usize,
    pace: StartPacer,
    rules_bytes: usize,
    retired: Vec<HostStats>,
}

/// A lane and where it stands in the schedule's books.
#[derive(Debug)]
struct HostSlot {
    queue: HostQueue,
    rank: Option<u64>,
    idle: Option<u64>,
    alarm: Option<Instant>,
}

/// Starts in all, spread evenly.
#[derive(Debug)]
struct StartPacer {
    gap: Duration,
    next: Option<Instant>,
}

/// What a worker is to do.
#[derive(Debug)]
pub enum NextJob {
    /// Make this request, if it is allowed.
    Job(Box<QueuedJob>, Option<Arc<robots::RobotsRules>>),
    /// Settle this one without a request.
    Failed(Box<QueuedJob>, Failure),
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing as things stand.
    Nothing,
}

/// Whether there is room for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmitRoom {
    /// There is.
    Queue,
    /// Not for one more of its host, but for others: it may be put aside.
    Spill,
    /// Not now.
    None,
}

impl Scheduler {
    /// A schedule that keeps at most `room` jobs in memory and starts at most one job per `gap` in all.
    pub fn new(hosts: HostPolicies, turns: JobOrder, room: usize, gap: Duration) -> Self {
        Self {
            hosts,
            turns,
            room,
            queues: Vec::new(),
            vacant: Vec::new(),
            by_host: HashMap::new(),
            startable: BTreeSet::new(),
            to_fail: BTreeSet::new(),
            hungry: BTreeSet::new(),
            idle: BTreeSet::new(),
            resting: BTreeSet::new(),
            alarms: BinaryHeap::new(),
            moments: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            names: VecDeque::new(),
            tickets: 0,
            held: 0,
            pace: StartPacer { gap, next: None },
            rules_bytes: 0,
            retired: Vec::new(),
        }
    }

    /// Whether there is room for a target at this URL.
    pub fn room(&self, url: &Url) -> AdmitRoom {
        if self.held >= self.room {
            return AdmitRoom::None;
        }
        match self.by_host.get(host_of(url).as_ref()) {
            Some(at) if self.slot(*at).queue.aside > 0 => AdmitRoom::Spill,
            Some(at) if self.slot(*at).queue.held() >= self.share(*at) => AdmitRoom::Spill,
            _ => AdmitRoom::Queue,
        }
    }

    /// A target of this URL's host was put aside for want of room.
    pub fn defer(&mut self, url: &Url, now: Instant) {
        let at = self.host_slot_of(url, now);
        let queue = &mut self.slot_mut(at).queue;
        queue.aside += 1;
        if queue.aside == 1 {
            self.refresh(at, now);
        }
    }

    /// A host that has room again for targets that were put aside.
    pub fn host_to_refill(&self) -> Option<Arc<str>> {
        self.hungry.first().map(|at| Arc::clone(&self.slot(*at).queue.host))
    }

    /// Adds a target that was put aside, behind those of its host that are here.
    pub fn readmit(&mut self, job: QueuedJob, now: Instant) {
        let at = self.host_slot_of(&job.request.url, now);
        let queue = &mut self.slot_mut(at).queue;
        queue.aside = queue.aside.saturating_sub(1);
        self.add(at, job, now, QueueEnd::Back);
    }

    /// Adds a target's first job, behind all others of its host.
    pub fn admit(&mut self, job: QueuedJob, now: Instant) {
        let at = self.host_slot_of(&job.request.url, now);
        self.add(at, job, now, QueueEnd::Back);
    }

    /// Puts back a job that continues what was begun: once it is due, it goes ahead of what was not.
    pub fn resume(&mut self, job: QueuedJob, due: Instant, now: Instant) {
        let at = self.host_slot_of(&job.request.url, now);
        if due <= now {
            return self.add(at, job, now, QueueEnd::Front);
        }
        self.held += 1;
        self.slot_mut(at).queue.waiting += 1;
        self.tickets += 1;
        self.moments.push(Reverse((due, self.tickets)));
        self.waiting.insert(self.tickets, job);
        self.refresh(at, now);
    }

    /// Takes out all jobs of the target of this index that are for the host of this URL.
    pub fn withdraw(&mut self, url: &Url, index: u64, now: Instant) -> Vec<QueuedJob> {
        let at = self.host_slot_of(url, now);
        let host = Arc::clone(&self.slot(at).queue.host);
        let is_it = |job: &QueuedJob| {
            job.request.target.index == index && host_of(&job.request.url) == *host
        };
        let waiting: Vec<_> =
            self.waiting.extract_if(.., |_, job| is_it(job)).map(|(_, job)| job).collect();
        let queue = &mut self.slot_mut(at).queue;
        queue.waiting -= waiting.len();
        let ready = std::mem::take(&mut queue.ready);
        let (gone, stays): (VecDeque<_>, _) = ready.into_iter().partition(is_it);
        queue.ready = stays;
        let gone: Vec<_> = waiting.into_iter().chain(gone).collect();
        self.held -= gone.len();
        self.refresh(at, now);
        gone
    }

    fn add(&mut self, at: usize, job: QueuedJob, now: Instant, end: QueueEnd) {
        self.held += 1;
        self.slot_mut(at).queue.add(job, end);
        self.refresh(at, now);
    }

    /// Takes the next job. A worker stays with the host that it served `last`, for a while, if that has one.
    pub fn next(&mut self, last: &mut LastHost, now: Instant) -> NextJob {
        self.wake(now);
        if let Some(at) = self.to_fail.first().copied() {
            let failed = self.slot_mut(at).queue.pop_failed();
            self.refresh(at, now);
            if let Some((job, failure)) = failed {
                self.held -= 1;
                return NextJob::Failed(Box::new(job), failure);
            }
        }
        let Some((_, first)) = self.startable.first().copied() else { return self.later() };
        if let Some(moment) = self.pace.next.filter(|moment| *moment > now) {
            return NextJob::Wait(self.next_alarm().map_or(moment, |alarm| alarm.min(moment)));
        }
        let at = self.choose(first, last);
        let queue = &mut self.slot_mut(at).queue;
        let (host, taken) = (Arc::clone(&queue.host), queue.take(now));
        self.pace.start(now);
        last.served(host);
        self.refresh(at, now);
        match taken.expect("a startable lane has a job") {
            Dequeued::Robots(job) => NextJob::Job(Box::new(job), None),
            Dequeued::Job(job, rules) => {
                self.held -= 1;
                NextJob::Job(Box::new(job), rules)
            }
        }
    }

    fn choose(&self, first: usize, last: &LastHost) -> usize {
        let stay = self.turns == JobOrder::RoundRobinByHost && last.times < STAY;
        let same = last.host.as_ref().filter(|_| stay).and_then(|host| self.by_host.get(host));
        same.copied().filter(|at| self.slot(*at).rank.is_some()).unwrap_or(first)
    }

    fn later(&mut self) -> NextJob {
        self.next_alarm().map_or(NextJob::Nothing, NextJob::Wait)
    }

    /// The next moment at which something may be due.
    pub fn next_alarm(&mut self) -> Option<Instant> {
        while let Some(Reverse((moment, at))) = self.alarms.peek().copied() {
            let current = self.queues[at].as_ref().is_some_and(|slot| slot.alarm == Some(moment));
            if current {
                break;
            }
            self.alarms.pop();
        }
        let queue = self.alarms.peek().map(|Reverse((moment, _))| *moment);
        let job = self.moments.peek().map(|Reverse((moment, _))| *moment);
        [queue, job].into_iter().flatten().min()
    }

    /// Looks at all whose moment has come.
    fn wake(&mut self, now: Instant) {
        while let Some(Reverse((moment, ticket))) = self.moments.peek().copied() {
            if moment > now {
                break;
            }
            self.moments.pop();
            // It may have been withdrawn.
            let Some(job) = self.waiting.remove(&ticket) else { continue };
            let at = self.host_slot_of(&job.request.url, now);
            self.held -= 1;
            self.slot_mut(at).queue.waiting -= 1;
            self.add(at, job, now, QueueEnd::Front);
        }
        while let Some(Reverse((moment, at))) = self.alarms.peek().copied() {
            if moment > now {
                break;
            }
            self.alarms.pop();
            if self.queues[at].as_ref().is_some_and(|slot| slot.alarm == Some(moment)) {
                self.slot_mut(at).alarm = None;
                self.refresh(at, now);
            }
        }
    }

    /// An attempt at this URL that was started at `started` has ended, and says this of its host.
    pub fn on_feedback(
        &mut self,
        url: &Url,
        feedback: HostFeedback,
        started: Instant,
        now: Instant,
    ) {
        let at = self.host_slot_of(url, now);
        self.slot_mut(at).queue.on_feedback(feedback, started, now);
        self.refresh(at, now);
    }

    /// A job at this URL that was taken is not started after all.
    pub fn cancel_start(&mut self, url: &Url, now: Instant) {
        let at = self.host_slot_of(url, now);
        self.slot_mut(at).queue.cancel_start(now);
        self.refresh(at, now);
    }

    /// What this host allows is known; it was told in so many bytes. Where there is no room to remember it, nothing is
    /// allowed, which is on the safe side.
    pub fn set_robots(
        &mut self,
        host: &str,
        rules: robots::RobotsRules,
        told: usize,
        now: Instant,
    ) {
        let bytes = told.saturating_mul(RULES_GROW);
        while self.rules_bytes + bytes > RULES_KEPT && !self.idle.is_empty() {
            let longest = self.idle.pop_first();
            self.retire(longest);
        }
        // Only now, since the host may have lost its jobs meanwhile and be among the forgotten.
        let Some(at) = self.by_host.get(host).copied() else { return };
        let fits = self.rules_bytes + bytes <= RULES_KEPT;
        let (rules, bytes) =
            if fits { (rules, bytes) } else { (robots::RobotsRules::nothing(), 0) };
        self.rules_bytes += bytes;
        self.slot_mut(at).queue.set_robots(Arc::new(rules), bytes);
        self.refresh(at, now);
    }

    /// Counts an attempt at this URL in the table of hosts.
    pub fn count(&mut self, url: &Url, bytes: u64, failure: Option<FailureClass>) {
        if let Some(at) = self.by_host.get(host_of(url).as_ref()).copied() {
            self.slot_mut(at).queue.count(bytes, failure);
        }
    }

    /// The names to look up, each with the host that waits for it.
    pub fn take_lookups(&mut self) -> impl Iterator<Item = (Arc<str>, String)> {
        std::mem::take(&mut self.names).into_iter()
    }

    /// A lookup for this host has ended.
    pub fn set_addresses(
        &mut self,
        host: &str,
        found: Result<Arc<[IpAddr]>, ResolveError>,
        now: Instant,
    ) {
        if let Some(at) = self.by_host.get(host).copied() {
            self.slot_mut(at).queue.set_addresses(found, now);
            self.refresh(at, now);
        }
    }

    /// Whether there are names to look up.
    pub fn has_lookups(&self) -> bool {
        !self.names.is_empty()
    }

    /// How many hosts have a job that may start now, or is to fail.
    pub fn startable(&self) -> usize {
        self.startable.len() + self.to_fail.len()
    }

    /// Whether several hosts have jobs and none of them can be reached.
    pub fn network_seems_down(&self) -> bool {
        let mut hosts = 0;
        for slot in self.queues.iter().flatten() {
            if slot.queue.held() > 0 || slot.queue.in_progress > 0 {
                hosts += 1;
                if !slot.queue.is_failing() {
                    return false;
                }
            }
        }
        hosts > 1
    }

    /// Takes all jobs out, in no order.
    pub fn drain(&mut self) -> Vec<QueuedJob> {
        self.moments.clear();
        self.held = 0;
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let ready = self.queues.iter_mut().flatten().flat_map(|slot| {
            let HostQueue { ready, asking, .. } = &mut slot.queue;
            ready.drain(..).chain(asking.drain(..))
        });
        waiting.chain(ready).collect()
    }

    /// The hosts that were asked most, first.
    pub fn host_stats(&mut self, now: Instant) -> Vec<HostStats> {
        let mut rows = std::mem::take(&mut self.retired);
        for slot in self.queues.iter_mut().flatten() {
            slot.queue.record_wait(now);
            rows.push(slot.queue.stats());
        }
        keep_the_most_asked(&mut rows);
        rows
    }

    /// Brings the books up to date with what has changed in a lane.
    fn refresh(&mut self, at: usize, now: Instant) {
        let share = self.share(at);
        let slot = self.queues[at].as_mut().expect("the lane is there");
        let queue = &mut slot.queue;
        queue.open_breaker_after_patience(now);
        queue.record_wait(now);
        if queue.held() > 0 || queue.aside > 0 {
            self.names.extend(queue.take_lookup(now).map(|name| (Arc::clone(&queue.host), name)));
        }
        let start = queue.start(now);
        let alarm = queue.alarm(now);
        if alarm != slot.alarm {
            slot.alarm = alarm;
            self.alarms.extend(alarm.map(|moment| Reverse((moment, at))));
        }
        if let Some(rank) = slot.rank.take() {
            self.startable.remove(&(rank, at));
        }
        if start == StartTime::Now {
            self.tickets += 1;
            let rank = match self.turns {
                JobOrder::RoundRobinByHost => self.tickets,
                JobOrder::ListOrder => {
                    queue.ready.front().map_or(0, |job| job.request.target.index)
                }
            };
            self.startable.insert((rank, at));
            slot.rank = Some(rank);
        }
        set(&mut self.to_fail, at, start == StartTime::ToFail);
        set(&mut self.hungry, at, queue.aside > 0 && queue.held() <= share / 2);
        if let Some(turn) = slot.idle.take() {
            self.idle.remove(&(turn, at));
            self.resting.remove(&(turn, at));
        }
        let unused = match queue.retention_reason(now) {
            RetentionReason::Jobs => return,
            RetentionReason::Limits => &mut self.resting,
            RetentionReason::Nothing => &mut self.idle,
        };
        self.tickets += 1;
        slot.idle = Some(self.tickets);
        unused.insert((self.tickets, at));
    }

    /// The lane of a URL's host; a new one takes the place of one that is long idle.
    fn host_slot_of(&mut self, url: &Url, now: Instant) -> usize {
        let host = host_of(url);
        if let Some(at) = self.by_host.get(host.as_ref()) {
            return *at;
        }
        if self.idle.len() > HOSTS_KEPT {
            let longest = self.idle.pop_first();
            self.retire(longest);
        }
        if self.resting.len() > RESTING_KEPT {
            let longest = self.resting.pop_first();
            self.retire(longest);
        }
        let host: Arc<str> = host.into();
        let place = (self.hosts.name)(url).map_or(Resolution::NotNeeded, Resolution::Wanted);
        let allowed = match self.hosts.robots {
            RobotsPolicy::Ignored => RobotsState::AllowAll,
            RobotsPolicy::Obeyed => RobotsState::Unknown,
        };
        let limits = (self.hosts.limits)(url);
        let rest = self.hosts.longest_rest;
        let queue = HostQueue::new(Arc::clone(&host), limits, place, allowed, rest, now);
        let slot = Some(HostSlot { queue, rank: None, idle: None, alarm: None });
        let at = match self.vacant.pop() {
            Some(at) => {
                self.queues[at] = slot;
                at
            }
            None => {
                self.queues.push(slot);
                self.queues.len() - 1
            }
        };
        self.by_host.insert(host, at);
        at
    }

    /// Forgets a host that is not used, but for its row.
    fn retire(&mut self, unused: Option<(u64, usize)>) {
        let Some((_, at)) = unused else { return };
        let Some(slot) = self.queues[at].take() else { return };
        self.by_host.remove(&slot.queue.host);
        self.vacant.push(at);
        self.rules_bytes -= slot.queue.rules_bytes();
        self.retired.push(slot.queue.stats());
        if self.retired.len() > 2 * TABLE {
            keep_the_most_asked(&mut self.retired);
        }
    }

    /// Jobs of one host that may be in memory: enough to keep it busy, and no more than half of the room.
    fn share(&self, at: usize) -> usize {
        if self.turns == JobOrder::ListOrder {
            return self.room;
        }
        let half = self.room / 2;
        self.slot(at).queue.ceiling().map_or(half, |ceiling| (4 * ceiling).clamp(32, half.max(32)))
    }

    fn slot(&self, at: usize) -> &HostSlot {
        self.queues[at].as_ref().expect("the lane is there")
    }

    fn slot_mut(&mut self, at: usize) -> &mut HostSlot {
        self.queues[at].as_mut().expect("the lane is there")
    }
}

/// The host that a worker served last, and how often in a row.
#[derive(Debug, Default)]
pub struct LastHost {
    host: Option<Arc<str>>,
    times: u32,
}

impl LastHost {
    fn served(&mut self, host: Arc<str>) {
        let same = self.host.as_ref() == Some(&host);
        self.times = if same { self.times + 1 } else { 1 };
        self.host = Some(host);
    }
}

impl StartPacer {
    /// Spreads starts evenly without drifting: a start that comes late does not push back the next one, and what
    /// was missed in a longer pause is not made up for.
    fn start(&mut self, now: Instant) {
        if self.gap.is_zero() {
            return;
        }
        let due = self.next.filter(|due| now.duration_since(*due) < self.gap).unwrap_or(now);
        self.next = Some(due + self.gap);
    }
}

fn keep_the_most_asked(rows: &mut Vec<HostStats>) {
    rows.sort_by(|one, other| other.requests.cmp(&one.requests).then(one.host.cmp(&other.host)));
    rows.truncate(TABLE);
}

fn set(set: &mut BTreeSet<usize>, at: usize, inside: bool) {
    if inside {
        set.insert(at);
    } else {
        set.remove(&at);
    }
}

#[cfg(test)]
mod tests;

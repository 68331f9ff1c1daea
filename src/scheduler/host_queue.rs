//! The queue of one host: its jobs, and when the next of them may start. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adaptive_limit::AdaptiveLimit;
use super::circuit_breaker::{BreakerConfig, BreakerState, Probe};
use crate::model::{
    EntryOptions, Failure, FailureClass, HostStats, HostWait, Job, JobKind, QueuedJob, Target,
    WaitReason,
};
use crate::policy::{carries_secrets, robots};

/// How long an answer to a lookup is used.
pub(crate) const ADDRESS_LIFETIME: Duration = Duration::from_secs(60);

/// How long a host that cannot be reached is not looked up again after a lookup that has found the same addresses.
const CONFIRMED_FOR: Duration = Duration::from_secs(5);

/// The limits of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// The most requests in progress; `None` if there is no limit.
    pub ceiling: Option<usize>,
    /// The least time between two starts.
    pub gap: Duration,
    /// Failures in a row to reach it after which it is paused.
    pub failures: u32,
    /// How long it is probed if it cannot be reached.
    pub patience: Duration,
}

/// What an attempt says of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFeedback {
    /// It replies as it should, and asks for this wait, if any.
    Served(Option<Duration>),
    /// It can be reached; nothing else is known.
    Reached,
    /// It asks for fewer requests, and for this wait, if any.
    Refused(Option<Duration>),
    /// It asks for a wait longer than `--max-retry-after`: all its jobs fail with this.
    RefusedPermanently(Failure),
    /// It was busy and asked for no wait, or broke off or fell silent in the middle of a reply.
    Strained,
    /// It could not be reached: nothing was sent.
    Unreachable(Failure),
    /// Nothing: the attempt was cancelled, or failed for a reason of its own.
    Neutral,
}

/// Whether the addresses of a host are known.
#[derive(Debug, Clone)]
pub(super) enum Resolution {
    /// The connection resolves the name, or there is none.
    NotNeeded,
    /// The name has to be resolved.
    Wanted(NameQuery),
    /// The name is being resolved.
    Pending(NameQuery),
    /// The host has been found.
    Found(FoundAddresses),
}

/// Where a host is, and how long that is believed.
#[derive(Debug, Clone)]
pub(super) struct FoundAddresses {
    name: String,
    addresses: Arc<[IpAddr]>,
    at: Instant,
    /// Until then a failed connection is no reason to look the name up again: that has just been done.
    confirmed_until: Instant,
}

/// A name to look up.
#[derive(Debug, Clone)]
pub(super) struct NameQuery {
    name: String,
    /// The last answer, if there was one.
    known: Option<Arc<[IpAddr]>>,
    /// When a connection to what is known failed; `None` if it only is old.
    failed_at: Option<Instant>,
}

impl Resolution {
    /// A host whose name has to be looked up, if that is so.
    pub(super) fn of_name(name: Option<String>) -> Self {
        name.map_or(Self::NotNeeded, |name| {
            Self::Wanted(NameQuery { name, known: None, failed_at: None })
        })
    }
}

/// Whether the robots.txt of a host is known.
#[derive(Debug, Clone)]
pub(super) enum RobotsState {
    /// It is not obeyed (no `--robots`).
    AllowAll,
    /// It has to be requested before anything else.
    Unknown,
    /// It is being requested.
    Pending,
    /// It has these rules.
    By(Arc<robots::RobotsRules>),
}

/// What a queue hands out.
#[derive(Debug)]
pub(super) enum Dequeued {
    /// A job, and the rules that its URL must meet.
    Job(QueuedJob, Option<Arc<robots::RobotsRules>>),
    /// A new request for the robots.txt of the host.
    Robots(QueuedJob),
}

/// Why the queue of a host is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetentionReason {
    /// It has jobs.
    Jobs,
    /// It has none, but a gap, a wait or a failure of its host to remember.
    Limits,
    /// For nothing: a new queue would be the same.
    Nothing,
}

/// The end of a queue that a job is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueEnd {
    Front,
    Back,
}

/// When the next job of a host may start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StartTime {
    /// At once.
    Now,
    /// Never: it must fail, at once.
    ToFail,
    /// At this moment, if nothing changes.
    At(Instant, WaitReason),
    /// When something has changed.
    Blocked(WaitReason),
    /// There is no job.
    NoJob,
}

/// The queue of one host.
#[derive(Debug)]
pub(super) struct HostQueue {
    pub host: Arc<str>,
    /// Jobs without a wait of their own, in list order; those that continue a target are at the front.
    pub ready: VecDeque<QueuedJob>,
    /// Requests for a robots.txt: retries, and redirects from other hosts. They go first, and need no rules.
    pub robots: VecDeque<QueuedJob>,
    /// Jobs in the scheduler's `DelayedJobs`.
    pub delayed: usize,
    /// Spilled targets; they come after the jobs in the queue.
    pub spilled: u64,
    /// The bytes of the texts of its jobs.
    pub text_bytes: usize,
    pub in_progress: usize,
    resolution: Resolution,
    robots_state: RobotsState,
    rules_bytes: usize,
    breaker_config: BreakerConfig,
    breaker: BreakerState,
    last_reached: Option<Instant>,
    adaptive: AdaptiveLimit,
    longest_rest: Duration,
    blocked: Option<(WaitReason, Instant)>,
    stats: HostStats,
}

impl HostQueue {
    pub(super) fn new(
        host: Arc<str>,
        limits: HostLimits,
        resolution: Resolution,
        robots_state: RobotsState,
        longest_rest: Duration,
        now: Instant,
    ) -> Self {
        Self {
            stats: HostStats::of(&host),
            host,
            ready: VecDeque::new(),
            robots: VecDeque::new(),
            delayed: 0,
            spilled: 0,
            text_bytes: 0,
            in_progress: 0,
            resolution,
            robots_state,
            rules_bytes: 0,
            breaker_config: BreakerConfig {
                failures_before_delay: limits.failures,
                patience: limits.patience,
            },
            breaker: BreakerState::Closed,
            last_reached: None,
            adaptive: AdaptiveLimit::new(limits.ceiling, limits.gap, now),
            longest_rest,
            blocked: None,
        }
    }

    /// Why the queue is kept: whether the host may be forgotten if there is no room.
    pub(super) fn retention_reason(&self, now: Instant) -> RetentionReason {
        if self.len() > 0 || self.spilled > 0 || self.in_progress > 0 {
            return RetentionReason::Jobs;
        }
        let is_fresh = matches!(self.breaker, BreakerState::Closed) && self.adaptive.is_full(now);
        if is_fresh { RetentionReason::Nothing } else { RetentionReason::Limits }
    }

    /// Gives back the memory of its queues if they are empty: hosts without jobs are kept by the thousand.
    pub(super) fn release_memory(&mut self) {
        for queue in [&mut self.ready, &mut self.robots] {
            if queue.is_empty() && queue.capacity() > 0 {
                *queue = VecDeque::new();
            }
        }
    }

    /// Jobs in memory that no worker has.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.robots.len() + self.delayed
    }

    /// Adds a job at one end.
    pub(super) fn add(&mut self, job: QueuedJob, end: QueueEnd) {
        match (&job.request.kind, end) {
            (JobKind::Robots { .. }, _) => self.robots.push_back(job),
            (_, QueueEnd::Back) => self.ready.push_back(job),
            (_, QueueEnd::Front) => self.ready.push_front(job),
        }
    }

    /// When the next job may start.
    pub(super) fn start(&self, now: Instant) -> StartTime {
        if self.ready.is_empty() && self.robots.is_empty() {
            return StartTime::NoJob;
        }
        match &self.breaker {
            BreakerState::Open(_) => return StartTime::ToFail,
            BreakerState::Failing { probe: Probe::At(moment), .. } if *moment > now => {
                return StartTime::At(*moment, WaitReason::Unreachable);
            }
            BreakerState::Failing { probe: Probe::StartedAt(_), .. } => {
                return StartTime::Blocked(WaitReason::Unreachable);
            }
            _ => {}
        }
        if matches!(self.resolution, Resolution::Wanted(_) | Resolution::Pending(_)) {
            return StartTime::Blocked(WaitReason::Lookup);
        }
        if matches!(self.robots_state, RobotsState::Pending) && self.robots.is_empty() {
            return StartTime::Blocked(WaitReason::Robots);
        }
        if self.adaptive.limit().is_some_and(|limit| self.in_progress >= limit) {
            return StartTime::Blocked(WaitReason::Limit);
        }
        self.adaptive
            .paused_until(now)
            .map_or(StartTime::Now, |(moment, why)| StartTime::At(moment, why))
    }

    /// When a job that is due at `due` may start at the earliest; `None` if the host is given up before.
    pub(super) fn earliest_start(&self, due: Instant, now: Instant) -> Option<Instant> {
        let start = match &self.breaker {
            BreakerState::Open(_) => return None,
            BreakerState::Failing { probe: Probe::At(moment), .. } => due.max(*moment),
            _ => due,
        };
        let start = self.adaptive.paused_until(now).map_or(start, |(moment, _)| start.max(moment));
        let deadline = self.breaker.deadline(self.breaker_config);
        deadline.is_none_or(|deadline| start < deadline).then_some(start)
    }

    /// When the queue has to be refreshed if nothing changes before; `None` if never.
    pub(super) fn alarm(&self, now: Instant) -> Option<Instant> {
        let next = match self.start(now) {
            StartTime::At(moment, _) => Some(moment),
            _ => self.adaptive.held_until(now),
        };
        let expiry = self.addresses_expire().filter(|_| self.len() > 0);
        let deadline = self.breaker.deadline(self.breaker_config);
        deadline.into_iter().chain(next).chain(expiry).min()
    }

    /// When the addresses of the host are too old to be used.
    fn addresses_expire(&self) -> Option<Instant> {
        match &self.resolution {
            Resolution::Found(found) => Some(found.at + ADDRESS_LIFETIME),
            _ => None,
        }
    }

    /// Opens the breaker if the host has been unreachable for too long.
    pub(super) fn open_breaker_after_patience(&mut self, now: Instant) {
        self.breaker.open_after_patience(self.breaker_config, now);
    }

    /// The name to look up now, if any, and the moment before which an answer is too old.
    pub(super) fn take_lookup(&mut self, now: Instant) -> Option<(String, Option<Instant>)> {
        if self.addresses_expire().is_some_and(|expiry| expiry <= now) {
            self.look_up_again(None);
        }
        match &self.resolution {
            Resolution::Wanted(query) if self.breaker.may_start(now) => {
                let query = query.clone();
                let lookup = (query.name.clone(), query.failed_at);
                self.resolution = Resolution::Pending(query);
                Some(lookup)
            }
            _ => None,
        }
    }

    /// The lookup has ended. A host that was found before and has not failed since stays where it was, if nothing is found.
    pub(super) fn set_addresses(
        &mut self,
        found: Result<Arc<[IpAddr]>, ResolveError>,
        now: Instant,
    ) {
        let Resolution::Pending(query) = &self.resolution else { return };
        let NameQuery { name, known, failed_at } = query.clone();
        match (found, known) {
            (Ok(addresses), known) => {
                let is_known = |address| known.iter().any(|known| known.contains(address));
                let is_confirmed = failed_at.is_some() && addresses.iter().all(is_known);
                if failed_at.is_some() && !is_confirmed {
                    // It has moved: what failed says nothing about the new place.
                    self.breaker.on_reached();
                }
                let confirmed_until = if is_confirmed { now + CONFIRMED_FOR } else { now };
                let found = FoundAddresses { name, addresses, at: now, confirmed_until };
                self.resolution = Resolution::Found(found);
            }
            (Err(_), Some(addresses)) if failed_at.is_none() => {
                let found = FoundAddresses { name, addresses, at: now, confirmed_until: now };
                self.resolution = Resolution::Found(found);
            }
            (Err(ResolveError::NoSuchName(failure)), _) => {
                self.breaker = BreakerState::Open(failure);
            }
            (Err(ResolveError::Unavailable(failure)), known) => {
                self.resolution = Resolution::Wanted(NameQuery { name, known, failed_at });
                self.breaker.on_unreachable(failure, now, self.breaker_config, now);
            }
        }
    }

    /// An attempt that was started at `started` has reached no address of the host.
    fn distrust_addresses(&mut self, started: Instant, now: Instant) {
        // Those of an attempt that was started before were others.
        if let Resolution::Found(found) = &self.resolution
            && found.at <= started
            && found.confirmed_until <= now
        {
            self.look_up_again(Some(now));
        }
    }

    fn look_up_again(&mut self, failed_at: Option<Instant>) {
        if let Resolution::Found(FoundAddresses { name, addresses, .. }) = &self.resolution {
            let (name, known) = (name.clone(), Some(Arc::clone(addresses)));
            self.resolution = Resolution::Wanted(NameQuery { name, known, failed_at });
        }
    }

    /// Takes the next job, which starts now; before the first one, a request for robots.txt if it is obeyed.
    pub(super) fn take(&mut self, now: Instant) -> Option<Dequeued> {
        if let Some(mut job) = self.robots.pop_front() {
            self.start_one(&mut job, now);
            return Some(Dequeued::Job(job, None));
        }
        if matches!(self.robots_state, RobotsState::Unknown) {
            let mut job = robots_job(&self.ready.front()?.request, &self.host, now);
            self.robots_state = RobotsState::Pending;
            self.start_one(&mut job, now);
            return Some(Dequeued::Robots(job));
        }
        let rules = match &self.robots_state {
            RobotsState::By(rules) => Some(Arc::clone(rules)),
            _ => None,
        };
        let mut job = self.ready.pop_front()?;
        self.start_one(&mut job, now);
        Some(Dequeued::Job(job, rules))
    }

    fn start_one(&mut self, job: &mut QueuedJob, now: Instant) {
        self.in_progress += 1;
        self.stats.requests += 1;
        self.stats.peak = self.stats.peak.max(self.in_progress);
        self.adaptive.on_start(now);
        self.breaker.on_start(now);
        // A redirected job still has the addresses of the host it comes from.
        job.request.addresses = match &self.resolution {
            Resolution::Found(found) => Some(Arc::clone(&found.addresses)),
            _ => None,
        };
    }

    /// Undoes the start of a job that was taken and makes no request.
    pub(super) fn cancel_start(&mut self, now: Instant) {
        self.in_progress -= 1;
        self.stats.requests -= 1;
        self.breaker.on_end(now);
        self.adaptive.on_start_cancelled();
    }

    /// Sets the rules of the host, which take `bytes` bytes of memory.
    pub(super) fn set_robots(&mut self, rules: Arc<robots::RobotsRules>, bytes: usize) {
        self.robots_state = RobotsState::By(rules);
        self.rules_bytes = bytes;
    }

    /// Bytes of memory that the rules take.
    pub(super) fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// Removes the next job that must fail without a request, with its failure; `None` if there is none.
    pub(super) fn pop_failed(&mut self) -> Option<(QueuedJob, Failure)> {
        match &self.breaker {
            BreakerState::Open(failure) => {
                let job = self.robots.pop_front().or_else(|| self.ready.pop_front())?;
                Some((job, failure.clone()))
            }
            _ => None,
        }
    }

    /// Applies what an attempt, started at `started`, says of the host.
    pub(super) fn on_feedback(&mut self, feedback: HostFeedback, started: Instant, now: Instant) {
        self.in_progress -= 1;
        if matches!(
            feedback,
            HostFeedback::Served(_)
                | HostFeedback::Reached
                | HostFeedback::Refused(_)
                | HostFeedback::Strained
        ) {
            self.breaker.on_reached();
            self.last_reached = Some(now);
        }
        self.breaker.on_end(started);
        match feedback {
            HostFeedback::Served(asked) => self.adaptive.on_served(asked, self.stats.peak, now),
            HostFeedback::Refused(asked) => {
                self.adaptive.on_refused(asked, self.in_progress, started, now);
                self.open_breaker_if_it_refuses_everything(now);
            }
            HostFeedback::Strained => self.adaptive.on_strained(self.in_progress, started, now),
            HostFeedback::RefusedPermanently(failure) => self.breaker = BreakerState::Open(failure),
            HostFeedback::Unreachable(failure) => {
                self.distrust_addresses(started, now);
                // A reply to another request since then counts for the host.
                let since = Some(started).max(self.last_reached).unwrap_or(started);
                self.breaker.on_unreachable(failure, since, self.breaker_config, now);
            }
            HostFeedback::Reached | HostFeedback::Neutral => {}
        }
    }

    /// Gives up a host that has refused every request for as long as it could have asked to wait.
    fn open_breaker_if_it_refuses_everything(&mut self, now: Instant) {
        let rest = self.longest_rest;
        if self.adaptive.refused_for(now).is_some_and(|refused| refused >= rest) {
            let failure = Failure::HostRefused(format!(
                "the host has refused every request for {} s",
                rest.as_secs()
            ));
            self.breaker = BreakerState::Open(failure);
        }
    }

    /// The configured limit of requests in progress; `None` if there is none.
    pub(super) fn ceiling(&self) -> Option<usize> {
        self.adaptive.ceiling()
    }

    /// Whether the last attempts to reach the host failed.
    pub(super) fn is_failing(&self) -> bool {
        matches!(self.breaker, BreakerState::Failing { .. })
    }

    /// For how long the host is tried while it cannot be reached.
    pub(super) fn patience(&self) -> Duration {
        self.breaker_config.patience
    }

    /// What the jobs of the host wait for, unless that is a transfer in progress.
    pub(super) fn wait(&self, now: Instant) -> Option<HostWait> {
        let jobs = self.len() as u64 + self.spilled;
        let (reason, until) = match self.start(now) {
            StartTime::At(_, WaitReason::Unreachable)
            | StartTime::Blocked(WaitReason::Unreachable) => {
                (WaitReason::Unreachable, self.breaker.deadline(self.breaker_config))
            }
            StartTime::At(moment, reason) => (reason, Some(moment)),
            StartTime::Blocked(reason @ (WaitReason::Lookup | WaitReason::Robots)) => {
                (reason, None)
            }
            // All of its jobs wait as well; the host may be asked no sooner than the first of them is due.
            StartTime::NoJob if jobs > 0 => {
                (WaitReason::RetryAfter, Some(self.adaptive.held_until(now)?))
            }
            _ => return None,
        };
        Some(HostWait { host: Arc::clone(&self.host), reason, until, jobs })
    }

    /// Adds the time since the last call to the wait reason that applied.
    pub(super) fn record_wait(&mut self, now: Instant) {
        let why = match self.start(now) {
            StartTime::At(_, why) | StartTime::Blocked(why) => Some(why),
            _ => None,
        };
        if let Some((why, since)) = self.blocked {
            *self.stats.waited.entry(why).or_default() += now.saturating_duration_since(since);
        }
        self.blocked = why.map(|why| (why, now));
    }

    /// Counts an attempt of `bytes` bytes.
    pub(super) fn count(&mut self, bytes: u64, failure: Option<FailureClass>) {
        self.stats.bytes += bytes;
        if let Some(class) = failure {
            *self.stats.failures.entry(class).or_default() += 1;
        }
    }

    /// The statistics so far.
    pub(super) fn stats(&self) -> HostStats {
        HostStats { limit: self.adaptive.limit(), ..self.stats.clone() }
    }
}

/// The request for the robots.txt that `job` waits for, whose rules are for `host`.
fn robots_job(job: &Job, host: &Arc<str>, now: Instant) -> QueuedJob {
    let urls = vec![robots::robots_url(&job.url)];
    let options = EntryOptions::default();
    let source = Arc::from("robots.txt");
    let target = Target { index: 0, source, line: None, listed: None, urls, options };
    let mut robots = QueuedJob::first(target, None, now);
    robots.request.kind =
        JobKind::Robots { host: Arc::clone(host), is_listed: carries_secrets(job) };
    robots
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// The name does not exist, or has no address that may be used.
    NoSuchName(Failure),
    /// No resolver could be reached; the name is tried again.
    Unavailable(Failure),
}

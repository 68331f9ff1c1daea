//! The queue of one host: its jobs, and when the next of them may start. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::adaptive_limit::AdaptiveLimit;
use super::circuit_breaker::{BreakerConfig, BreakerState, Probe};
use crate::model::{
    EntryOptions, Failure, FailureClass, HostStats, JobKind, QueuedJob, Target, WaitReason,
};
use crate::policy::robots;

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
    /// This name has to be resolved.
    Wanted(String),
    /// This name is being resolved.
    Pending(String),
    /// These are its addresses.
    Found(Arc<[IpAddr]>),
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
    /// For nothing: a new queue would do as well.
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
    pub fn new(
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
            in_progress: 0,
            resolution,
            robots_state,
            rules_bytes: 0,
            breaker_config: BreakerConfig { failures: limits.failures, patience: limits.patience },
            breaker: BreakerState::Closed,
            last_reached: None,
            adaptive: AdaptiveLimit::new(limits.ceiling, limits.gap, now),
            longest_rest,
            blocked: None,
        }
    }

    /// Why the queue is kept: whether the host may be forgotten if there is no room.
    pub fn retention_reason(&self, now: Instant) -> RetentionReason {
        if self.len() > 0 || self.spilled > 0 || self.in_progress > 0 {
            return RetentionReason::Jobs;
        }
        let is_fresh = matches!(self.breaker, BreakerState::Closed) && self.adaptive.is_full(now);
        if is_fresh { RetentionReason::Nothing } else { RetentionReason::Limits }
    }

    /// Jobs in memory that no worker has.
    pub fn len(&self) -> usize {
        self.ready.len() + self.robots.len() + self.delayed
    }

    /// Adds a job at one end.
    pub fn add(&mut self, job: QueuedJob, end: QueueEnd) {
        match (&job.request.kind, end) {
            (JobKind::Robots(_), _) => self.robots.push_back(job),
            (_, QueueEnd::Back) => self.ready.push_back(job),
            (_, QueueEnd::Front) => self.ready.push_front(job),
        }
    }

    /// When the next job may start.
    pub fn start(&self, now: Instant) -> StartTime {
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

    /// When the queue has to be refreshed if nothing changes before; `None` if never.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let next = match self.start(now) {
            StartTime::At(moment, _) => Some(moment),
            _ => self.adaptive.held_until(now),
        };
        self.breaker.deadline(self.breaker_config).into_iter().chain(next).min()
    }

    /// Opens the breaker if the host has been unreachable for too long.
    pub fn open_breaker_after_patience(&mut self, now: Instant) {
        self.breaker.open_after_patience(self.breaker_config, now);
    }

    /// Takes the name to resolve now; `None` if there is none, or the breaker allows no request.
    pub fn take_lookup(&mut self, now: Instant) -> Option<String> {
        match &self.resolution {
            Resolution::Wanted(name) if self.breaker.may_probe(now) => {
                let name = name.clone();
                self.resolution = Resolution::Pending(name.clone());
                Some(name)
            }
            _ => None,
        }
    }

    /// Applies the result of the lookup.
    pub fn set_addresses(&mut self, found: Result<Arc<[IpAddr]>, ResolveError>, now: Instant) {
        let Resolution::Pending(name) = &self.resolution else { return };
        match found {
            Ok(addresses) => self.resolution = Resolution::Found(addresses),
            Err(ResolveError::NoSuchName(failure)) => self.breaker = BreakerState::Open(failure),
            Err(ResolveError::Unavailable(failure)) => {
                self.resolution = Resolution::Wanted(name.clone());
                self.breaker.on_unreachable(failure, now, self.breaker_config, now);
            }
        }
    }

    /// Takes the next job, which starts now; before the first one, a request for robots.txt if it is obeyed.
    pub fn take(&mut self, now: Instant) -> Option<Dequeued> {
        if let Some(mut job) = self.robots.pop_front() {
            self.start_one(&mut job, now);
            return Some(Dequeued::Job(job, None));
        }
        if matches!(self.robots_state, RobotsState::Unknown) {
            let mut job = robots_job(&self.ready.front()?.request.url, &self.host, now);
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
            Resolution::Found(addresses) => Some(Arc::clone(addresses)),
            _ => None,
        };
    }

    /// Undoes the start of a job that was taken and makes no request.
    pub fn cancel_start(&mut self, now: Instant) {
        self.in_progress -= 1;
        self.stats.requests -= 1;
        self.breaker.on_end(now);
        self.adaptive.on_start_cancelled();
    }

    /// Sets the rules of the host, which take `bytes` bytes of memory.
    pub fn set_robots(&mut self, rules: Arc<robots::RobotsRules>, bytes: usize) {
        self.robots_state = RobotsState::By(rules);
        self.rules_bytes = bytes;
    }

    /// Bytes of memory that the rules take.
    pub fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// Removes the next job that must fail without a request, with its failure; `None` if there is none.
    pub fn pop_failed(&mut self) -> Option<(QueuedJob, Failure)> {
        match &self.breaker {
            BreakerState::Open(failure) => {
                let job = self.robots.pop_front().or_else(|| self.ready.pop_front())?;
                Some((job, failure.clone()))
            }
            _ => None,
        }
    }

    /// Applies what an attempt, started at `started`, says of the host.
    pub fn on_feedback(&mut self, feedback: HostFeedback, started: Instant, now: Instant) {
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
            let failure = Failure::RateLimited { status: 429, wait: None };
            self.breaker = BreakerState::Open(failure);
        }
    }

    /// The configured limit of requests in progress; `None` if there is none.
    pub fn ceiling(&self) -> Option<usize> {
        self.adaptive.ceiling()
    }

    /// Whether the last attempts to reach the host failed.
    pub fn is_failing(&self) -> bool {
        matches!(self.breaker, BreakerState::Failing { .. })
    }

    /// Adds the time since the last call to the wait reason that applied.
    pub fn record_wait(&mut self, now: Instant) {
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
    pub fn count(&mut self, bytes: u64, failure: Option<FailureClass>) {
        self.stats.bytes += bytes;
        if let Some(class) = failure {
            *self.stats.failures.entry(class).or_default() += 1;
        }
    }

    /// The statistics so far.
    pub fn stats(&self) -> HostStats {
        HostStats { limit: self.adaptive.limit(), ..self.stats.clone() }
    }
}

/// The request for the robots.txt of a URL, whose rules are for `host`.
fn robots_job(url: &Url, host: &Arc<str>, now: Instant) -> QueuedJob {
    let urls = vec![robots::robots_url(url)];
    let options = EntryOptions::default();
    let source = Arc::from("robots.txt");
    let target = Target { index: 0, source, line: None, urls, options };
    let mut robots = QueuedJob::first(target, None, now);
    robots.request.kind = JobKind::Robots(Arc::clone(host));
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

//! One host's lane: the jobs that are for it, and when the next of them may start. Pure; time is an argument.

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

/// What a host may be asked at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// Requests in progress; `None`: any number.
    pub ceiling: Option<usize>,
    /// Time between two starts.
    pub gap: Duration,
    /// After so many failures in a row to reach it, it is left alone for a while.
    pub failures: u32,
    /// How long it is waited for when it cannot be reached.
    pub patience: Duration,
}

/// What an attempt says about its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostFeedback {
    /// It replies as it should, and asks for a wait if it says so.
    Served(Option<Duration>),
    /// It can be reached; nothing more is known.
    Reached,
    /// It asks for fewer requests, and for a wait if it says so.
    Refused(Option<Duration>),
    /// It asks for a wait that is too long: nothing more is asked of it.
    RefusedPermanently(Failure),
    /// It was busy and asked for no wait, broke off, or fell silent in the middle of a reply.
    Strained,
    /// It could not be reached: nothing was sent.
    Unreachable(Failure),
    /// Nothing: the attempt was cut short by us, or failed for a reason of its own.
    Neutral,
}

/// Where a host is.
#[derive(Debug, Clone)]
pub(super) enum Resolution {
    /// Not ours to find out.
    NotNeeded,
    /// To be looked up under this name.
    Wanted(String),
    /// Being looked up under this name.
    Pending(String),
    /// Found.
    Found(Arc<[IpAddr]>),
}

/// What a host allows, as far as known.
#[derive(Debug, Clone)]
pub(super) enum RobotsState {
    /// Nobody wants to know.
    AllowAll,
    /// To be asked for before anything else.
    Unknown,
    /// Being asked for.
    Pending,
    /// This.
    By(Arc<robots::RobotsRules>),
}

/// What a lane hands out.
#[derive(Debug)]
pub(super) enum Dequeued {
    /// A job, and what its host allows.
    Job(QueuedJob, Option<Arc<robots::RobotsRules>>),
    /// A request for what the host allows, made for its jobs.
    Robots(QueuedJob),
}

/// What a lane is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetentionReason {
    /// It has jobs.
    Jobs,
    /// It has none, but a gap, a wait or a failure of its host to remember.
    Limits,
    /// A new lane would do as well.
    Nothing,
}

/// Which end of a lane a job is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueEnd {
    Front,
    Back,
}

/// When a lane's next job may start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StartTime {
    /// At once.
    Now,
    /// At once, to fail.
    ToFail,
    /// At this moment, if nothing changes.
    At(Instant, WaitReason),
    /// When something has changed.
    Blocked(WaitReason),
    /// There is no job.
    NoJob,
}

/// One host's lane.
#[derive(Debug)]
pub(super) struct HostQueue {
    pub host: Arc<str>,
    /// Jobs that may start as far as they are concerned, in list order; those that were begun go ahead.
    pub ready: VecDeque<QueuedJob>,
    /// Requests for what some host allows. They go ahead of all others, and whatever this host itself allows.
    pub robots: VecDeque<QueuedJob>,
    /// Jobs that wait for a moment of their own.
    pub delayed: usize,
    /// Jobs that were put aside for want of room; they come after those that are here.
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

    /// How well the host could be forgotten, should there be no room.
    pub fn retention_reason(&self, now: Instant) -> RetentionReason {
        if self.len() > 0 || self.spilled > 0 || self.in_progress > 0 {
            return RetentionReason::Jobs;
        }
        let is_fresh = matches!(self.breaker, BreakerState::Closed) && self.adaptive.is_full(now);
        if is_fresh { RetentionReason::Nothing } else { RetentionReason::Limits }
    }

    /// Jobs in memory that nobody works on.
    pub fn len(&self) -> usize {
        self.ready.len() + self.robots.len() + self.delayed
    }

    /// Adds a job, behind all others or, if it continues what was begun, ahead of them.
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

    /// When the lane has to be looked at again, if nothing changes before.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let next = match self.start(now) {
            StartTime::At(moment, _) => Some(moment),
            _ => self.adaptive.held_until(now),
        };
        self.breaker.deadline(self.breaker_config).into_iter().chain(next).min()
    }

    /// Ends the patience with a host that cannot be reached, if its time has come.
    pub fn open_breaker_after_patience(&mut self, now: Instant) {
        self.breaker.open_after_patience(self.breaker_config, now);
    }

    /// The name to look up now, if any.
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

    /// The lookup has ended.
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

    /// Takes the next job, to be started now; before the first one, a request for what the host allows.
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
        // What another host's name was resolved to is of no use here.
        job.request.addresses = match &self.resolution {
            Resolution::Found(addresses) => Some(Arc::clone(addresses)),
            _ => None,
        };
    }

    /// A job that was taken is not started after all.
    pub fn cancel_start(&mut self, now: Instant) {
        self.in_progress -= 1;
        self.stats.requests -= 1;
        self.breaker.on_end(now);
        self.adaptive.on_start_cancelled();
    }

    /// What the host allows is known; to keep it takes so many bytes.
    pub fn set_robots(&mut self, rules: Arc<robots::RobotsRules>, bytes: usize) {
        self.robots_state = RobotsState::By(rules);
        self.rules_bytes = bytes;
    }

    /// Bytes that it takes to keep what the host allows.
    pub fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// Takes the next job, to fail like this.
    pub fn pop_failed(&mut self) -> Option<(QueuedJob, Failure)> {
        match &self.breaker {
            BreakerState::Open(failure) => {
                let job = self.robots.pop_front().or_else(|| self.ready.pop_front())?;
                Some((job, failure.clone()))
            }
            _ => None,
        }
    }

    /// An attempt that was started at `started` has ended, and says this.
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
                // What it replied to meanwhile counts for it.
                let since = Some(started).max(self.last_reached).unwrap_or(started);
                self.breaker.on_unreachable(failure, since, self.breaker_config, now);
            }
            HostFeedback::Reached | HostFeedback::Neutral => {}
        }
    }

    /// A host that has refused everything for as long as it might have asked to wait is taken at its word.
    fn open_breaker_if_it_refuses_everything(&mut self, now: Instant) {
        let rest = self.longest_rest;
        if self.adaptive.refused_for(now).is_some_and(|refused| refused >= rest) {
            let failure = Failure::RateLimited { status: 429, wait: None };
            self.breaker = BreakerState::Open(failure);
        }
    }

    /// Requests in progress that it may be asked at most, whatever it is trusted with.
    pub fn ceiling(&self) -> Option<usize> {
        self.adaptive.ceiling()
    }

    /// Whether the host is one that cannot be reached.
    pub fn is_failing(&self) -> bool {
        matches!(self.breaker, BreakerState::Failing { .. })
    }

    /// Notes for how long and why the lane's next job could not start.
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

    /// An attempt has ended, with so many bytes.
    pub fn count(&mut self, bytes: u64, failure: Option<FailureClass>) {
        self.stats.bytes += bytes;
        if let Some(class) = failure {
            *self.stats.failures.entry(class).or_default() += 1;
        }
    }

    /// What is known of the host so far.
    pub fn stats(&self) -> HostStats {
        HostStats { limit: self.adaptive.limit(), ..self.stats.clone() }
    }
}

/// The request for what the host of a URL allows, for this host.
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
    /// It does not exist, or has no address that may be used.
    NoSuchName(Failure),
    /// Nobody could be asked.
    Unavailable(Failure),
}

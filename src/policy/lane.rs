//! One host's lane: the jobs that are for it, and when the next of them may start. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::health::{Health, Hope};
use super::robots;
use super::trust::Trust;
use crate::record::{Class, Failure, HostRow, Job, Options, Purpose, Target, Why};

/// What a host may be asked at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
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
pub enum Signal {
    /// It replies as it should, and asks for a wait if it says so.
    Served(Option<Duration>),
    /// It can be reached; nothing more is known.
    Reached,
    /// It asks for fewer requests, and for a wait if it says so.
    Refused(Option<Duration>),
    /// It asks for a wait that is too long: nothing more is asked of it.
    RefusedForGood(Failure),
    /// It was busy and asked for no wait, broke off, or fell silent in the middle of a reply.
    Strained,
    /// It could not be reached: nothing was sent.
    NotReached(Failure),
    /// Nothing: the attempt was cut short by us, or failed for a reason of its own.
    Nothing,
}

/// Where a host is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Not ours to find out.
    Known,
    /// To be looked up under this name.
    Unknown(String),
    /// Being looked up under this name.
    Asked(String),
    /// Found.
    Found(Arc<[IpAddr]>),
}

/// What a host allows, as far as known.
#[derive(Debug, Clone)]
pub(super) enum Allowed {
    /// Nobody wants to know.
    All,
    /// To be asked for before anything else.
    Unknown,
    /// Being asked for.
    Asked,
    /// This.
    By(Arc<robots::Rules>),
}

/// What a lane hands out.
#[derive(Debug)]
pub(super) enum Taken {
    /// A job, and what its host allows.
    Job(Job, Option<Arc<robots::Rules>>),
    /// A request for what the host allows, made for its jobs.
    Robots(Job),
}

/// When a lane's next job may start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At once.
    Now,
    /// At once, to fail.
    ToFail,
    /// At this moment, if nothing changes.
    At(Instant, Why),
    /// When something has changed.
    Blocked(Why),
    /// There is no job.
    NoJob,
}

/// One host's lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub host: Arc<str>,
    /// Jobs that may start as far as they are concerned, in list order; those that were begun go ahead.
    pub ready: VecDeque<Job>,
    /// Jobs that wait for a moment of their own.
    pub waiting: usize,
    /// Jobs that were put aside for want of room; they come after those that are here.
    pub aside: u64,
    pub in_progress: usize,
    pub place: Place,
    allowed: Allowed,
    hope: Hope,
    health: Health,
    trust: Trust,
    longest_rest: Duration,
    blocked: Option<(Why, Instant)>,
    row: HostRow,
}

impl Lane {
    pub fn new(
        host: Arc<str>,
        limits: Limits,
        place: Place,
        allowed: Allowed,
        longest_rest: Duration,
        now: Instant,
    ) -> Self {
        Self {
            row: HostRow::of(&host),
            host,
            ready: VecDeque::new(),
            waiting: 0,
            aside: 0,
            in_progress: 0,
            place,
            allowed,
            hope: Hope { failures: limits.failures, patience: limits.patience },
            health: Health::Up,
            trust: Trust::new(limits.ceiling, limits.gap, now),
            longest_rest,
            blocked: None,
        }
    }

    /// Whether the host can be forgotten, should there be no room: it has no jobs, and has not asked for a wait that
    /// is not over.
    pub fn is_idle(&self, now: Instant) -> bool {
        let has_jobs = self.held() > 0 || self.aside > 0 || self.in_progress > 0;
        !has_jobs && self.trust.held_until(now).is_none()
    }

    /// Jobs in memory that nobody works on.
    pub fn held(&self) -> usize {
        self.ready.len() + self.waiting
    }

    /// When the next job may start.
    pub fn start(&self, now: Instant) -> Start {
        if self.ready.is_empty() {
            return Start::NoJob;
        }
        match &self.health {
            Health::Barred(_) => return Start::ToFail,
            Health::Failing { probe_at, .. } if *probe_at > now => {
                return Start::At(*probe_at, Why::Unreachable);
            }
            Health::Failing { .. } if self.in_progress > 0 => {
                return Start::Blocked(Why::Unreachable);
            }
            _ => {}
        }
        if matches!(self.place, Place::Unknown(_) | Place::Asked(_)) {
            return Start::Blocked(Why::Lookup);
        }
        if matches!(self.allowed, Allowed::Asked) && !self.next_is_for_robots() {
            return Start::Blocked(Why::Robots);
        }
        if self.trust.limit().is_some_and(|limit| self.in_progress >= limit) {
            return Start::Blocked(Why::Limit);
        }
        self.trust.rests_until(now).map_or(Start::Now, |(moment, why)| Start::At(moment, why))
    }

    /// When the lane has to be looked at again, if nothing changes before.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let next = match self.start(now) {
            Start::At(moment, _) => Some(moment),
            _ => self.trust.held_until(now),
        };
        self.health.deadline(self.hope).into_iter().chain(next).min()
    }

    /// Ends the patience with a host that cannot be reached, if its time has come.
    pub fn lose_patience(&mut self, now: Instant) {
        self.health.lose_patience(self.hope, now);
    }

    /// The name to look up now, if any.
    pub fn name_wanted(&mut self, now: Instant) -> Option<String> {
        match &self.place {
            Place::Unknown(name) if self.health.may_try(now) => {
                let name = name.clone();
                self.place = Place::Asked(name.clone());
                Some(name)
            }
            _ => None,
        }
    }

    /// The lookup has ended.
    pub fn looked_up(&mut self, found: Result<Arc<[IpAddr]>, Lookup>, now: Instant) {
        let Place::Asked(name) = &self.place else { return };
        match found {
            Ok(addresses) => self.place = Place::Found(addresses),
            Err(Lookup::NoSuchName(failure)) => self.health = Health::Barred(failure),
            Err(Lookup::OutOfReach(failure)) => {
                self.place = Place::Unknown(name.clone());
                self.health.not_reached(failure, now, self.hope, now);
            }
        }
    }

    /// Whether the next job asks what some host allows: it may, whatever its own host does.
    fn next_is_for_robots(&self) -> bool {
        self.ready.front().is_some_and(|job| matches!(job.purpose, Purpose::Robots(_)))
    }

    /// Takes the next job, to be started now; before the first one, a request for what the host allows.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        if matches!(self.allowed, Allowed::Unknown) && !self.next_is_for_robots() {
            let mut job = robots_job(&self.ready.front()?.url, &self.host, now);
            self.allowed = Allowed::Asked;
            self.start_one(&mut job, now);
            return Some(Taken::Robots(job));
        }
        let rules = match &self.allowed {
            Allowed::By(rules) if !self.next_is_for_robots() => Some(Arc::clone(rules)),
            _ => None,
        };
        let mut job = self.ready.pop_front()?;
        self.start_one(&mut job, now);
        Some(Taken::Job(job, rules))
    }

    fn start_one(&mut self, job: &mut Job, now: Instant) {
        self.in_progress += 1;
        self.row.requests += 1;
        self.row.peak = self.row.peak.max(self.in_progress);
        self.trust.starts(now);
        if let Place::Found(addresses) = &self.place {
            job.addresses = Some(Arc::clone(addresses));
        }
    }

    /// A job that was taken is not started after all.
    pub fn untake(&mut self) {
        self.in_progress -= 1;
        self.row.requests -= 1;
        self.trust.starts_not();
    }

    /// What the host allows is known.
    pub fn allow(&mut self, rules: Arc<robots::Rules>) {
        self.allowed = Allowed::By(rules);
    }

    /// Takes the next job, to fail like this.
    pub fn take_to_fail(&mut self) -> Option<(Job, Failure)> {
        match &self.health {
            Health::Barred(failure) => Some((self.ready.pop_front()?, failure.clone())),
            _ => None,
        }
    }

    /// An attempt that was started at `started` has ended, and says this.
    pub fn learn(&mut self, signal: Signal, started: Instant, now: Instant) {
        self.in_progress -= 1;
        if matches!(
            signal,
            Signal::Served(_) | Signal::Reached | Signal::Refused(_) | Signal::Strained
        ) {
            self.health.reached();
        }
        match signal {
            Signal::Served(asked) => self.trust.served(asked, self.row.peak, now),
            Signal::Refused(asked) => {
                self.trust.refused(asked, self.in_progress, started, now);
                self.bar_if_it_refuses_everything(now);
            }
            Signal::Strained => self.trust.strained(self.in_progress, started, now),
            Signal::RefusedForGood(failure) => self.health = Health::Barred(failure),
            Signal::NotReached(failure) => {
                self.health.not_reached(failure, started, self.hope, now);
            }
            Signal::Reached | Signal::Nothing => {}
        }
    }

    /// A host that has refused everything for as long as it might have asked to wait is taken at its word.
    fn bar_if_it_refuses_everything(&mut self, now: Instant) {
        let rest = self.longest_rest;
        if self.trust.refused_for(now).is_some_and(|refused| refused >= rest) {
            let failure = Failure::RateLimited { status: 429, wait: None };
            self.health = Health::Barred(failure);
        }
    }

    /// Requests in progress that it may be asked at most, whatever it is trusted with.
    pub fn ceiling(&self) -> Option<usize> {
        self.trust.ceiling()
    }

    /// Whether the host is one that cannot be reached.
    pub fn is_failing(&self) -> bool {
        matches!(self.health, Health::Failing { .. })
    }

    /// Notes for how long and why the lane's next job could not start.
    pub fn account(&mut self, now: Instant) {
        let why = match self.start(now) {
            Start::At(_, why) | Start::Blocked(why) => Some(why),
            _ => None,
        };
        if let Some((why, since)) = self.blocked {
            *self.row.waited.entry(why).or_default() += now.saturating_duration_since(since);
        }
        self.blocked = why.map(|why| (why, now));
    }

    /// A target of the host is settled.
    pub fn count(&mut self, bytes: u64, failure: Option<Class>) {
        self.row.bytes += bytes;
        if let Some(class) = failure {
            *self.row.failures.entry(class).or_default() += 1;
        }
    }

    /// What is known of the host so far.
    pub fn row(&self) -> HostRow {
        HostRow { limit: self.trust.limit(), ..self.row.clone() }
    }
}

/// The request for what the host of a URL allows, for this host.
fn robots_job(url: &Url, host: &Arc<str>, now: Instant) -> Job {
    let urls = vec![robots::robots_url(url)];
    let options = Options::default();
    let source = Arc::from("robots.txt");
    let target = Target { index: 0, source, line: None, urls, options };
    Job { purpose: Purpose::Robots(Arc::clone(host)), ..Job::first(target, now) }
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It does not exist, or has no address that may be used.
    NoSuchName(Failure),
    /// Nobody could be asked.
    OutOfReach(Failure),
}

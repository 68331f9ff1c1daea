//! One host's lane: the jobs that are for it, and when the next of them may start. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::health::{Health, Hope, Probe};
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

/// What a lane is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It has jobs.
    Jobs,
    /// It has none, but a gap, a wait or a failure of its host to remember.
    Manners,
    /// A new lane would do as well.
    Nothing,
}

/// Which end of a lane a job is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Front,
    Back,
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
    /// Requests for what some host allows. They go ahead of all others, and whatever this host itself allows.
    pub asking: VecDeque<Job>,
    /// Jobs that wait for a moment of their own.
    pub waiting: usize,
    /// Jobs that were put aside for want of room; they come after those that are here.
    pub aside: u64,
    pub in_progress: usize,
    pub place: Place,
    allowed: Allowed,
    rules_bytes: usize,
    hope: Hope,
    health: Health,
    last_reached: Option<Instant>,
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
            asking: VecDeque::new(),
            waiting: 0,
            aside: 0,
            in_progress: 0,
            place,
            allowed,
            rules_bytes: 0,
            hope: Hope { failures: limits.failures, patience: limits.patience },
            health: Health::Up,
            last_reached: None,
            trust: Trust::new(limits.ceiling, limits.gap, now),
            longest_rest,
            blocked: None,
        }
    }

    /// How well the host could be forgotten, should there be no room.
    pub fn keep(&self, now: Instant) -> Keep {
        if self.held() > 0 || self.aside > 0 || self.in_progress > 0 {
            return Keep::Jobs;
        }
        let is_fresh = matches!(self.health, Health::Up) && self.trust.is_full(now);
        if is_fresh { Keep::Nothing } else { Keep::Manners }
    }

    /// Jobs in memory that nobody works on.
    pub fn held(&self) -> usize {
        self.ready.len() + self.asking.len() + self.waiting
    }

    /// Adds a job, behind all others or, if it continues what was begun, ahead of them.
    pub fn add(&mut self, job: Job, end: End) {
        match (&job.purpose, end) {
            (Purpose::Robots(_), _) => self.asking.push_back(job),
            (_, End::Back) => self.ready.push_back(job),
            (_, End::Front) => self.ready.push_front(job),
        }
    }

    /// When the next job may start.
    pub fn start(&self, now: Instant) -> Start {
        if self.ready.is_empty() && self.asking.is_empty() {
            return Start::NoJob;
        }
        match &self.health {
            Health::Barred(_) => return Start::ToFail,
            Health::Failing { probe: Probe::At(moment), .. } if *moment > now => {
                return Start::At(*moment, Why::Unreachable);
            }
            Health::Failing { probe: Probe::StartedAt(_), .. } => {
                return Start::Blocked(Why::Unreachable);
            }
            _ => {}
        }
        if matches!(self.place, Place::Unknown(_) | Place::Asked(_)) {
            return Start::Blocked(Why::Lookup);
        }
        if matches!(self.allowed, Allowed::Asked) && self.asking.is_empty() {
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

    /// Takes the next job, to be started now; before the first one, a request for what the host allows.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        if let Some(mut job) = self.asking.pop_front() {
            self.start_one(&mut job, now);
            return Some(Taken::Job(job, None));
        }
        if matches!(self.allowed, Allowed::Unknown) {
            let mut job = robots_job(&self.ready.front()?.url, &self.host, now);
            self.allowed = Allowed::Asked;
            self.start_one(&mut job, now);
            return Some(Taken::Robots(job));
        }
        let rules = match &self.allowed {
            Allowed::By(rules) => Some(Arc::clone(rules)),
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
        self.health.starts(now);
        // What another host's name was resolved to is of no use here.
        job.addresses = match &self.place {
            Place::Found(addresses) => Some(Arc::clone(addresses)),
            _ => None,
        };
    }

    /// A job that was taken is not started after all.
    pub fn untake(&mut self, now: Instant) {
        self.in_progress -= 1;
        self.row.requests -= 1;
        self.health.ends(now);
        self.trust.starts_not();
    }

    /// What the host allows is known; to keep it takes so many bytes.
    pub fn allow(&mut self, rules: Arc<robots::Rules>, bytes: usize) {
        self.allowed = Allowed::By(rules);
        self.rules_bytes = bytes;
    }

    /// Bytes that it takes to keep what the host allows.
    pub fn rules_bytes(&self) -> usize {
        self.rules_bytes
    }

    /// Takes the next job, to fail like this.
    pub fn take_to_fail(&mut self) -> Option<(Job, Failure)> {
        match &self.health {
            Health::Barred(failure) => {
                let job = self.asking.pop_front().or_else(|| self.ready.pop_front())?;
                Some((job, failure.clone()))
            }
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
            self.last_reached = Some(now);
        }
        self.health.ends(started);
        match signal {
            Signal::Served(asked) => self.trust.served(asked, self.row.peak, now),
            Signal::Refused(asked) => {
                self.trust.refused(asked, self.in_progress, started, now);
                self.bar_if_it_refuses_everything(now);
            }
            Signal::Strained => self.trust.strained(self.in_progress, started, now),
            Signal::RefusedForGood(failure) => self.health = Health::Barred(failure),
            Signal::NotReached(failure) => {
                // What it replied to meanwhile counts for it.
                let since = Some(started).max(self.last_reached).unwrap_or(started);
                self.health.not_reached(failure, since, self.hope, now);
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

    /// An attempt has ended, with so many bytes.
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
    Job { purpose: Purpose::Robots(Arc::clone(host)), ..Job::first(target, None, now) }
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It does not exist, or has no address that may be used.
    NoSuchName(Failure),
    /// Nobody could be asked.
    OutOfReach(Failure),
}

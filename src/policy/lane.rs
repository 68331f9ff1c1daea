//! One host's lane: the jobs that are for it, and when the next of them may start. Pure; time is an argument.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::robots;
use crate::record::{Class, Failure, HostRow, Job, Options, Purpose, Target, Why};

/// The gap that a refusal without a Retry-After opens; it doubles with each further one in a row.
const FIRST_GAP: Duration = Duration::from_millis(100);

/// The longest gap that refusals open.
const WIDEST_GAP: Duration = Duration::from_secs(30);

/// The longest gap that a host opens that is busy or breaks off, but does not say that it is asked too often. It may
/// be about a few URLs that never work.
const WIDEST_GAP_UNASKED: Duration = Duration::from_secs(1);

/// A gap below this is none.
const NO_GAP: Duration = Duration::from_millis(5);

/// Replies without trouble before a host is trusted with more.
const CLEAN: u32 = 10;

/// The first pause before a host that cannot be reached is probed; it doubles.
const FIRST_PROBE: Duration = Duration::from_millis(500);

/// The longest pause between two probes.
const LONGEST_PROBE: Duration = Duration::from_secs(8);

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

/// How a host is.
#[derive(Debug)]
enum Health {
    /// It replies, as far as known.
    Up,
    /// It could not be reached of late.
    Failing { since: Instant, failures: u32, probe_at: Instant, last: Failure },
    /// Nothing more is asked of it: each of its jobs fails like this.
    Barred(Failure),
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
    limits: Limits,
    /// The number of requests in progress that the host is trusted with, where that is below the ceiling.
    trust: Option<f64>,
    /// The time between two starts that refusals have opened; it closes quickly.
    penalty: Duration,
    /// Refusals without a reply in good order between them.
    strikes: u32,
    /// The time between two starts at which the host does not refuse, as far as it has let us know; it shrinks slowly.
    pace: Duration,
    next_start: Option<Instant>,
    held_until: Option<Instant>,
    health: Health,
    clean: u32,
    last_cut: Option<Instant>,
    window: Window,
    blocked: Option<(Why, Instant)>,
    row: HostRow,
}

/// What a host served since it was last held: the measure of what it allows.
#[derive(Debug)]
struct Window {
    since: Instant,
    served: u32,
}

impl Lane {
    pub fn new(
        host: Arc<str>,
        limits: Limits,
        place: Place,
        allowed: Allowed,
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
            limits,
            trust: None,
            penalty: Duration::ZERO,
            strikes: 0,
            pace: Duration::ZERO,
            next_start: None,
            held_until: None,
            health: Health::Up,
            clean: 0,
            last_cut: None,
            window: Window { since: now, served: 0 },
            blocked: None,
        }
    }

    /// Whether the host can be forgotten, should there be no room: it has no jobs, and has not asked for a wait that
    /// is not over.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.held() == 0 && self.aside == 0 && self.in_progress == 0 && !self.is_held(now)
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|moment| moment > now)
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
        if self.limit().is_some_and(|limit| self.in_progress >= limit) {
            return Start::Blocked(Why::Limit);
        }
        match (self.held_until, self.next_start) {
            (Some(held), _) if held > now => Start::At(held, Why::RetryAfter),
            (_, Some(next)) if next > now => Start::At(next, Why::Gap),
            _ => Start::Now,
        }
    }

    /// When the lane has to be looked at again, if nothing changes before.
    pub fn alarm(&self, now: Instant) -> Option<Instant> {
        let next = match self.start(now) {
            Start::At(moment, _) => Some(moment),
            _ => self.held_until.filter(|moment| *moment > now),
        };
        self.deadline().into_iter().chain(next).min()
    }

    /// When patience with a host that cannot be reached ends.
    fn deadline(&self) -> Option<Instant> {
        match &self.health {
            Health::Failing { since, .. } => Some(*since + self.limits.patience),
            _ => None,
        }
    }

    /// Ends the patience with a host that cannot be reached.
    pub fn lose_patience(&mut self, now: Instant) {
        if let Health::Failing { last, .. } = &self.health
            && self.deadline().is_some_and(|deadline| deadline <= now)
        {
            self.health = Health::Barred(Failure::HostDown(last.to_string()));
        }
    }

    /// The name to look up now, if any.
    pub fn name_wanted(&mut self, now: Instant) -> Option<String> {
        let due = match &self.health {
            Health::Up => true,
            Health::Failing { probe_at, .. } => *probe_at <= now,
            Health::Barred(_) => false,
        };
        match &self.place {
            Place::Unknown(name) if due => {
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
                self.not_reached(failure, now, now);
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
        let gap = self.limits.gap.max(self.penalty).max(self.pace);
        self.next_start = Some(now + gap).filter(|_| !gap.is_zero());
        if let Place::Found(addresses) = &self.place {
            job.addresses = Some(Arc::clone(addresses));
        }
    }

    /// A job that was taken is not started after all.
    pub fn untake(&mut self) {
        self.in_progress -= 1;
        self.row.requests -= 1;
        self.next_start = None;
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
        match signal {
            Signal::Served(asked) => self.served(asked, now),
            Signal::Reached => self.reached(),
            Signal::Refused(asked) => self.refused(asked, started, now),
            Signal::Strained => self.strained(started, now),
            Signal::RefusedForGood(failure) => self.health = Health::Barred(failure),
            Signal::NotReached(failure) => self.not_reached(failure, started, now),
            Signal::Nothing => {}
        }
    }

    /// A reply came, of whatever kind: the host can be reached.
    fn reached(&mut self) {
        if !matches!(self.health, Health::Barred(Failure::RateLimited { .. })) {
            self.health = Health::Up;
        }
    }

    /// Trust grows by one, and the gaps shrink, with each round of replies without trouble.
    fn served(&mut self, asked: Option<Duration>, now: Instant) {
        self.reached();
        self.held_until = self.held_until.max(asked.map(|wait| now + wait));
        self.strikes = 0;
        self.window.served += 1;
        self.clean += 1;
        if self.clean < CLEAN {
            return;
        }
        self.clean = 0;
        let shrunk = |gap: Duration, to: f64| {
            Some(gap.mul_f64(to)).filter(|gap| *gap > NO_GAP).unwrap_or_default()
        };
        self.penalty = shrunk(self.penalty, 0.25);
        self.pace = shrunk(self.pace, 0.9);
        let full = self.limits.ceiling.unwrap_or(self.row.peak) as f64;
        self.trust = self.trust.map(|trust| trust + 1.0).filter(|trust| *trust < full);
    }

    /// The host asks for less. Of the requests that were under way when it first said so, one counts.
    fn refused(&mut self, asked: Option<Duration>, started: Instant, now: Instant) {
        self.reached();
        let asked = asked.filter(|wait| !wait.is_zero());
        if let Some(wait) = asked {
            self.held_until = self.held_until.max(Some(now + wait));
        }
        if self.counts(started, now) {
            match asked {
                Some(wait) => self.pace = self.pace_that_was_allowed(wait, now),
                None => {
                    self.halve();
                    self.strike(WIDEST_GAP);
                }
            }
            self.window = Window { since: now + asked.unwrap_or_default(), served: 0 };
        }
    }

    /// It may be too much for the host, or for one of its URLs: it is asked half as much, and once that is one request
    /// at a time, more slowly.
    fn strained(&mut self, started: Instant, now: Instant) {
        self.reached();
        if self.counts(started, now) {
            if self.limit() == Some(1) {
                self.strike(WIDEST_GAP_UNASKED);
            }
            self.halve();
            self.window = Window { since: now, served: 0 };
        }
    }

    /// Whether a reply to what was started then is the first that asks for less since the host was asked less.
    fn counts(&mut self, started: Instant, now: Instant) -> bool {
        let counts = self.last_cut.is_none_or(|cut| started >= cut);
        if counts {
            self.last_cut = Some(now);
            self.clean = 0;
        }
        counts
    }

    /// Opens the gap further with each time in a row.
    fn strike(&mut self, widest: Duration) {
        let doubled = FIRST_GAP.saturating_mul(2u32.saturating_pow(self.strikes));
        self.strikes += 1;
        self.penalty = self.penalty.max(doubled.min(widest));
    }

    fn halve(&mut self) {
        let trusted = self.limit().unwrap_or(self.in_progress + 1).min(self.in_progress + 1);
        self.trust = Some((trusted as f64 / 2.0).max(1.0));
    }

    /// The time between two starts at which the host would just not have refused: what it served over the time that
    /// it served and wants to rest, and a little more.
    fn pace_that_was_allowed(&self, wait: Duration, now: Instant) -> Duration {
        let span = now.saturating_duration_since(self.window.since) + wait;
        match span.checked_div(self.window.served) {
            Some(each) => each.mul_f64(1.05).min(wait),
            None => (self.pace * 2).clamp(FIRST_GAP, WIDEST_GAP).min(wait),
        }
    }

    fn not_reached(&mut self, failure: Failure, started: Instant, now: Instant) {
        let (since, failures) = match &self.health {
            Health::Up => (started, 1),
            Health::Failing { since, failures, .. } => (*since, failures + 1),
            Health::Barred(_) => return,
        };
        let parked = failures.checked_sub(self.limits.failures);
        let pause = parked.map_or(Duration::ZERO, |more| {
            FIRST_PROBE.saturating_mul(2u32.saturating_pow(more)).min(LONGEST_PROBE)
        });
        self.health = Health::Failing { since, failures, probe_at: now + pause, last: failure };
        self.lose_patience(now);
    }

    /// Requests in progress that it may be asked at most, whatever it is trusted with.
    pub fn ceiling(&self) -> Option<usize> {
        self.limits.ceiling
    }

    fn limit(&self) -> Option<usize> {
        let trusted = self.trust.map(|trust| trust as usize);
        [self.limits.ceiling, trusted].into_iter().flatten().min()
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
        HostRow { limit: self.limit(), ..self.row.clone() }
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

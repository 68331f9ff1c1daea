//! The queue: the asynchronous door to the schedule. Workers of any thread take jobs from it and settle them into
//! it; the feeder brings targets as fast as there is room.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use url::Url;

use super::row::{given_up, settled, undone};
use super::stop::Stop;
use super::window::Window;
use crate::plan::MostFailures;
use crate::policy::{
    self, LastHost, Lookup, Next, Room, Rules, Schedule, Verdict, robots, signal, verdict,
};
use crate::record::{
    Attempt, Cause, Ending, Event, Failure, HostRow, Job, Outcome, Purpose, Record, Target,
    redacted,
};

/// The queue of one run.
#[derive(Debug)]
pub struct Queue {
    rules: Rules,
    most_failures: Option<MostFailures>,
    /// Who we are to robots.txt.
    robots_token: String,
    /// Looked at before each job is handed out: none is begun once what was under way has been told to end.
    stop: Stop,
    state: Mutex<State>,
    /// Waiting workers stand here one behind another; only the foremost watches the bell and the time.
    door: tokio::sync::Mutex<()>,
    bell: Notify,
    room: Notify,
    hunger: Notify,
    names: Notify,
}

#[derive(Debug)]
struct State {
    schedule: Schedule,
    window: Window,
    feeding: bool,
    /// Workers that wait for a job.
    free: usize,
    /// Until when the foremost of them sleeps, if it does.
    asleep: Option<Sleep>,
    settled: u64,
    failed: u64,
    cut_off: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Until(Instant),
    UntilCalled,
}

/// What a worker is to do.
#[derive(Debug)]
pub enum Work {
    /// Make this request, and settle it.
    Transfer(Box<Job>),
    /// Pass this on, if there is anything to be told: a job is settled without a request.
    Tell(Option<Event>),
}

enum Turn {
    Work(Work),
    /// This job, if its host allows it.
    Ask(Box<Job>, Arc<robots::Rules>),
    Sleep(Sleep),
    Over,
}

/// Where there is room for a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// In the queue.
    Queue,
    /// Aside, for its host has its share of the queue while others may have jobs for workers that are free.
    Aside,
}

impl Queue {
    /// An empty queue.
    pub fn new(
        rules: Rules,
        most_failures: Option<MostFailures>,
        robots_token: String,
        schedule: Schedule,
        window: Window,
        stop: Stop,
    ) -> Self {
        let state = State {
            schedule,
            window,
            feeding: true,
            free: 0,
            asleep: None,
            settled: 0,
            failed: 0,
            cut_off: false,
        };
        Self {
            rules,
            most_failures,
            robots_token,
            stop,
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
    pub async fn wait_for_turn(&self, index: u64) -> Result<(), Cause> {
        self.wait_for(|state| state.window.has_room(index).then_some(())).await
    }

    /// Waits for a spot for the target of this index and URL. `aside` says whether targets can be put aside.
    ///
    /// # Errors
    /// The cause, if the run is ended first.
    pub async fn wait_for_spot(
        &self,
        index: u64,
        url: &Url,
        aside: impl Fn() -> bool,
    ) -> Result<Spot, Cause> {
        self.wait_for(|state| {
            if !state.window.has_room(index) {
                return None;
            }
            match state.schedule.room(url) {
                Room::Here => Some(Spot::Queue),
                Room::Aside if state.free > 0 && aside() => Some(Spot::Aside),
                _ => None,
            }
        })
        .await
    }

    async fn wait_for<T>(&self, found: impl Fn(&State) -> Option<T>) -> Result<T, Cause> {
        loop {
            {
                if let Some(cause) = self.stop.cause() {
                    return Err(cause);
                }
                let state = self.lock();
                if let Some(found) = found(&state) {
                    return Ok(found);
                }
            }
            self.room.notified().await;
        }
    }

    /// Brings a target; it must have been waited for a spot for.
    pub fn admit(&self, target: Target) {
        let now = Instant::now();
        let mut state = self.lock();
        state.window.enter(target.index);
        state.schedule.admit(Job::first(target, now), now);
        self.after(&mut state, Comes::Nobody);
    }

    /// A target was put aside.
    pub fn put_aside(&self, index: u64, url: &Url) {
        let mut state = self.lock();
        state.window.enter(index);
        state.schedule.put_aside(url, Instant::now());
        self.after(&mut state, Comes::Nobody);
    }

    /// Waits for a host that has room for targets that were put aside.
    pub async fn hungry(&self) -> Arc<str> {
        loop {
            if let Some(host) = self.lock().schedule.hungry() {
                return host;
            }
            self.hunger.notified().await;
        }
    }

    /// Brings targets that were put aside, in their order.
    pub fn bring_back(&self, targets: Vec<Target>) {
        let now = Instant::now();
        let mut state = self.lock();
        for target in targets {
            state.schedule.bring_back(Job::first(target, now), now);
        }
        self.after(&mut state, Comes::Nobody);
    }

    /// Waits for names that have to be looked up, each with the host that waits for it.
    pub async fn names_wanted(&self) -> Vec<(Arc<str>, String)> {
        loop {
            let names: Vec<_> = self.lock().schedule.names_wanted().collect();
            if !names.is_empty() {
                return names;
            }
            self.names.notified().await;
        }
    }

    /// A lookup for this host has ended. A word about it, if there is one to be said.
    pub fn looked_up(&self, host: &str, found: Result<Arc<[IpAddr]>, Lookup>) -> Option<Event> {
        let mut state = self.lock();
        let out_of_reach = matches!(found, Err(Lookup::OutOfReach(_)));
        state.schedule.looked_up(host, found, Instant::now());
        self.after(&mut state, Comes::Nobody);
        if out_of_reach { state.notice_of_cut_off() } else { None }
    }

    /// No more targets come.
    pub fn close(&self) {
        self.lock().feeding = false;
        self.bell.notify_one();
    }

    /// Lets those who wait see that the run has been stopped; what is left is found in `leftovers`.
    pub fn stopped(&self) {
        self.room.notify_one();
        self.bell.notify_one();
    }

    /// The next thing to do, as soon as there is one; `None` once there will be none any more.
    pub async fn next(&self, last: &mut LastHost) -> Option<Work> {
        match self.turn(last, None) {
            Turn::Work(work) => return Some(work),
            Turn::Ask(job, rules) => return Some(self.ask(job, &rules)),
            Turn::Sleep(_) | Turn::Over => {}
        }
        let waiting = Waiting::of(self);
        let _foremost = self.door.lock().await;
        loop {
            match self.turn(last, Some(&waiting)) {
                Turn::Work(work) => return Some(work),
                Turn::Ask(job, rules) => return Some(self.ask(job, &rules)),
                Turn::Over => return None,
                Turn::Sleep(Sleep::UntilCalled) => self.bell.notified().await,
                Turn::Sleep(Sleep::Until(moment)) => tokio::select! {
                    () = self.bell.notified() => {}
                    () = tokio::time::sleep_until(moment.into()) => {}
                },
            }
        }
    }

    fn turn(&self, last: &mut LastHost, foremost: Option<&Waiting<'_>>) -> Turn {
        let mut state = self.lock();
        if foremost.is_some() {
            state.asleep = None;
        }
        if self.stop.cause().is_some() {
            return Turn::Over;
        }
        let sleep = match state.schedule.next(last, Instant::now()) {
            Next::Job(job, rules) => {
                self.after(&mut state, Comes::Nobody);
                return match rules {
                    None => Turn::Work(Work::Transfer(job)),
                    Some(rules) => Turn::Ask(job, rules),
                };
            }
            Next::Failed(job, failure) => {
                let event = self.give_up(&mut state, &job, failure);
                self.after(&mut state, Comes::Nobody);
                return Turn::Work(Work::Tell(event));
            }
            _ if !state.feeding && state.window.is_empty() => return Turn::Over,
            Next::Wait(moment) => Sleep::Until(moment),
            Next::Nothing => Sleep::UntilCalled,
        };
        // Looking at what is due may have found names to look up.
        self.after(&mut state, Comes::Worker);
        if foremost.is_some() {
            state.asleep = Some(sleep);
        }
        Turn::Sleep(sleep)
    }

    /// Asks the rules of its host about a job that was taken. That may take a while: the queue is not locked.
    fn ask(&self, job: Box<Job>, rules: &robots::Rules) -> Work {
        if rules.allows(&job.url) {
            return Work::Transfer(job);
        }
        let mut state = self.lock();
        state.schedule.untake(&job.url, Instant::now());
        let event = self.give_up(&mut state, &job, Failure::Robots);
        self.after(&mut state, Comes::Worker);
        Work::Tell(event)
    }

    /// Settles what came of a job: the target's row, or its next job in the queue and a word about why; and a word
    /// about the network, if there is one to be said.
    pub fn settle(&self, job: Job, attempt: Attempt) -> impl Iterator<Item = Event> + use<> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let signal = signal(&attempt, &self.rules, wall);
        let not_reached = matches!(signal, policy::Signal::NotReached(_));
        let failure = match &attempt.ending {
            Ending::Failed(failure) => Some(failure.class()),
            _ => None,
        };
        let mut state = self.lock();
        state.schedule.learn(&job.url, signal, attempt.phases.started, now);
        state.schedule.count(&job.url, attempt.wire_bytes, failure);
        let event = match verdict(&job, &attempt, &self.rules_for(&job), wall, fastrand::f64()) {
            Verdict::Whole => self.finish(&mut state, &job, &attempt, None),
            Verdict::Failed(failure) => self.finish(&mut state, &job, &attempt, Some(failure)),
            Verdict::Hop { job: next, wait } => {
                let status = attempt.head.as_ref().map_or(0, |head| head.status);
                let (from, to) = (redacted(&job.url), redacted(&next.url));
                state.schedule.resume(next, now + wait, now);
                Some(Event::Redirected { from, to, status })
            }
            Verdict::Again { job: next, wait, failure } => {
                Some(again(&mut state, &job, next, wait, failure, now))
            }
        };
        let notice = if not_reached { state.notice_of_cut_off() } else { None };
        if !not_reached && state.cut_off && attempt.head.is_some() {
            state.cut_off = false;
        }
        self.after(&mut state, Comes::Worker);
        event.into_iter().chain(notice)
    }

    fn rules_for(&self, job: &Job) -> Rules {
        match job.purpose {
            Purpose::Body => self.rules,
            Purpose::Robots(_) => Rules { max_redirects: robots::MOST_REDIRECTS, ..self.rules },
        }
    }

    fn give_up(&self, state: &mut State, job: &Job, failure: Failure) -> Option<Event> {
        let now = Instant::now();
        match policy::given_up(job, failure, &self.rules, fastrand::f64()) {
            Verdict::Again { job: next, wait, failure } => {
                Some(again(state, job, next, wait, failure, now))
            }
            Verdict::Failed(failure) => match &job.purpose {
                Purpose::Body => Some(self.row(state, job, given_up(job, failure))),
                Purpose::Robots(host) => {
                    self.allow(state, host, robots::Reply::Failed(&failure));
                    None
                }
            },
            other => unreachable!("a job that is given up is not {other:?}"),
        }
    }

    /// The rows of all that is in the queue and not done when the run was stopped.
    pub fn leftovers(&self) -> Vec<(Record, Arc<Target>)> {
        let mut state = self.lock();
        let cause = self.stop.cause().unwrap_or(Cause::Fatal);
        let jobs = state.schedule.drain().into_iter();
        let listed = jobs.filter(|job| job.purpose == Purpose::Body);
        listed.map(|job| (undone(&job, cause), Arc::clone(&job.target))).collect()
    }

    /// The hosts that were asked most, first.
    pub fn table(&self) -> Vec<HostRow> {
        self.lock().schedule.table(Instant::now())
    }

    /// Ends a job with its last attempt: the target's row, or what its host allows.
    fn finish(
        &self,
        state: &mut State,
        job: &Job,
        attempt: &Attempt,
        failure: Option<Failure>,
    ) -> Option<Event> {
        let Purpose::Robots(host) = &job.purpose else {
            return Some(self.row(state, job, settled(job, attempt, failure)));
        };
        match &failure {
            None => {
                let text = attempt.text.as_deref().unwrap_or_default();
                self.allow(state, host, robots::Reply::Body(text));
            }
            Some(Failure::Cancelled(_)) => {}
            Some(failure) => self.allow(state, host, robots::Reply::Failed(failure)),
        }
        None
    }

    fn allow(&self, state: &mut State, host: &str, reply: robots::Reply<'_>) {
        let rules = robots::rules_of_reply(reply, &self.robots_token);
        state.schedule.allow(host, rules, Instant::now());
    }

    fn row(&self, state: &mut State, job: &Job, record: Record) -> Event {
        state.window.leave(job.target.index);
        state.settled += 1;
        state.failed += u64::from(record.outcome == Outcome::Failed);
        if self.is_too_much(state) {
            self.stop.drain(Cause::TooManyFailures);
        }
        Event::Finished { record: Box::new(record), target: Some(Arc::clone(&job.target)) }
    }

    /// Whether more has failed than was thought to be tolerable.
    fn is_too_much(&self, state: &State) -> bool {
        match self.most_failures {
            None => false,
            Some(MostFailures::Number(most)) => state.failed > most,
            Some(MostFailures::Share(share)) => {
                state.settled >= 100 && state.failed as f64 > share.as_f64() * state.settled as f64
            }
        }
    }

    /// Wakes those for whom something has changed. A worker that comes by itself takes one job; the foremost of the
    /// waiting is woken only for more than that, or to sleep less long.
    fn after(&self, state: &mut State, comes: Comes) {
        if let Some(sleep) = state.asleep {
            let spare = state.schedule.startable() > usize::from(comes == Comes::Worker);
            let sooner = state.schedule.alarm().is_some_and(|moment| match sleep {
                Sleep::UntilCalled => true,
                Sleep::Until(until) => moment < until,
            });
            let over = self.stop.cause().is_some() || (!state.feeding && state.window.is_empty());
            if spare || sooner || over {
                state.asleep = None;
                self.bell.notify_one();
            }
        }
        if state.schedule.hungry().is_some() {
            self.hunger.notify_one();
        }
        if state.schedule.wants_names() {
            self.names.notify_one();
        }
        self.room.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// Whether somebody will look at the queue in a moment anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Nobody,
    Worker,
}

impl State {
    /// The network is said to be down once each time it goes.
    fn notice_of_cut_off(&mut self) -> Option<Event> {
        if self.cut_off || !self.schedule.seems_cut_off() {
            return None;
        }
        self.cut_off = true;
        Some(Event::Notice("the network seems down; waiting".to_owned()))
    }
}

fn again(
    state: &mut State,
    job: &Job,
    next: Job,
    wait: Duration,
    failure: Failure,
    now: Instant,
) -> Event {
    let (url, next_url) = (redacted(&job.url), redacted(&next.url));
    state.schedule.resume(next, now + wait, now);
    Event::Retrying { url, failure, next: next_url, wait }
}

/// A worker that waits for a job, as long as this value lives.
struct Waiting<'a>(&'a Queue);

impl<'a> Waiting<'a> {
    fn of(queue: &'a Queue) -> Self {
        queue.lock().free += 1;
        // The feeder may look further for those who have nothing to do.
        queue.room.notify_one();
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().free -= 1;
    }
}

//! The queue: the asynchronous door to the schedule. Workers of any thread take jobs from it and settle them into
//! it; the feeder brings targets as fast as there is room.

mod division;
mod settle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::Notify;
use url::Url;

use self::division::Division;
use super::spill::Placed;
use super::stop::Stop;
use super::window::Window;
use crate::plan::{MostFailures, Split};
use crate::policy::{LastHost, Lookup, Next, Room, Rules, Schedule, robots};
use crate::record::{Cause, Event, HostRow, Job, Place, Purpose, Target};

/// As long as all workers are busy, the feeder is told of changes by so many at a time: to wake it for each job that
/// leaves would cost more than the job itself.
const CHANGES: u32 = 64;

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
    split: Split,
    /// Targets whose bodies come in segments, by index.
    divisions: HashMap<u64, Division>,
    feeding: bool,
    /// Workers that wait for a job.
    free: usize,
    /// Until when the foremost of them sleeps, if it does.
    asleep: Option<Sleep>,
    /// Changes that the feeder, who waits for room, has not been told of.
    changes_unseen: Option<u32>,
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
        split: Split,
        stop: Stop,
    ) -> Self {
        let state = State {
            schedule,
            window,
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
                Room::Aside if state.has_nothing_for_the_free() && aside() => Some(Spot::Aside),
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
    pub fn admit(&self, target: Target, place: Option<Place>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.window.enter(target.index);
        state.bring(Job::first(target, place, now), now, Schedule::admit);
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
    pub fn bring_back(&self, targets: Vec<Placed>) {
        let now = Instant::now();
        let mut state = self.lock();
        for (target, place) in targets {
            state.bring(Job::first(target, place, now), now, Schedule::bring_back);
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

    /// The targets that were in the queue and not done when the run was stopped.
    pub fn leftovers(&self) -> Vec<Job> {
        let mut state = self.lock();
        let (mut targets, mut segments) = (Vec::new(), Vec::new());
        for job in state.schedule.drain() {
            match job.purpose {
                Purpose::Body => targets.push(job),
                Purpose::Segment { .. } => segments.push(job),
                Purpose::Seal(_) | Purpose::Robots(_) => {}
            }
        }
        targets.extend(state.undivided(segments));
        targets
    }

    /// The hosts that were asked most, first.
    pub fn table(&self) -> Vec<HostRow> {
        self.lock().schedule.table(Instant::now())
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
        if let Some(changes) = &mut state.changes_unseen {
            *changes += 1;
            if *changes >= CHANGES || state.free > 0 {
                state.changes_unseen = None;
                self.room.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    /// Whether workers wait for a job and there is none to be handed out, as soon as they look.
    fn has_nothing_for_the_free(&self) -> bool {
        self.free > 0 && self.schedule.startable() == 0
    }
}

/// Whether somebody will look at the queue in a moment anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comes {
    Nobody,
    Worker,
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

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::num::{NonZeroU64, NonZeroUsize};
    use std::time::Duration;

    use super::*;
    use crate::plan::{Retry, Robots};
    use crate::policy::{Hosts, Limits, Turns};
    use crate::record::Options;

    /// Jobs of one host that the queue below has room for.
    const SHARE: u64 = 32;

    /// A queue whose hosts may be asked one thing at a time.
    fn queue() -> Queue {
        let hosts = Hosts {
            limits: Box::new(|_| Limits {
                ceiling: Some(1),
                gap: Duration::ZERO,
                failures: 3,
                patience: Duration::from_secs(30),
            }),
            name: Box::new(|_| None),
            robots: Robots::Ignored,
            longest_rest: Duration::from_secs(600),
        };
        let schedule = Schedule::new(hosts, Turns::ByHost, 1024, Duration::ZERO);
        let retry = Retry { times: 0, base: Duration::ZERO, max_retry_after: Duration::ZERO };
        let rules = Rules { retry, max_redirects: 0 };
        let split = Split { most: NonZeroUsize::MIN, least: NonZeroU64::MIN };
        let (window, stop) = (Window::new(false), Stop::default());
        Queue::new(rules, None, "fetch".to_owned(), schedule, window, split, stop)
    }

    fn target(index: u64) -> Target {
        let urls = vec![format!("http://a.test/{index}").parse().unwrap()];
        let options = Options::default();
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
        let free = Waiting::of(&queue);
        for index in 1..=SHARE {
            queue.admit(target(index), None);
        }
        let next = target(SHARE + 1);
        let spot = || queue.wait_for_spot(next.index, next.url(), || true);
        assert_eq!(now(spot()).await, None, "a job is on its way to the worker");
        assert!(matches!(now(queue.next(&mut LastHost::default())).await, Some(Some(_))));
        assert_eq!(now(spot()).await, Some(Ok(Spot::Queue)));
        queue.admit(target(SHARE + 2), None);
        assert_eq!(now(spot()).await, Some(Ok(Spot::Aside)), "its host is asked all it may be");
        drop(free);
        assert_eq!(now(spot()).await, None, "nobody waits for another host's job");
    }
}

//! Settling: what becomes of a job once its attempt has ended, or none is made.

use std::time::{Duration, Instant, SystemTime};

use super::super::row::{finished, given_up, settled};
use super::{Comes, Queue, State, Work};
use crate::plan::MostFailures;
use crate::policy::{self, Rules, Signal, Verdict, robots, signal, verdict};
use crate::record::{
    Attempt, Cause, Class, Ending, Event, Failure, Job, Outcome, Purpose, Record, redacted,
};

impl Queue {
    /// Asks the rules of its host about a job that was taken. That may take a while: the queue is not locked.
    pub(super) fn ask(&self, job: Box<Job>, rules: &robots::Rules) -> Work {
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
    /// about the network, if there is one to be said. A job that makes no request is for the same worker, at once.
    pub fn settle(
        &self,
        mut job: Job,
        mut attempt: Attempt,
    ) -> (impl Iterator<Item = Event> + use<>, Option<Box<Job>>) {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let signal = signal(&attempt, &self.rules.retry, wall);
        let not_reached = matches!(signal, Signal::NotReached(_));
        let is_answered = attempt.head.is_some();
        let mut state = self.lock();
        if let Purpose::Seal(_) = job.purpose {
            state.unseal(&mut job, &mut attempt);
        } else {
            state.schedule.learn(&job.url, signal, attempt.phases.started, now);
            state.schedule.count(&job.url, attempt.wire_bytes, class_of(&attempt));
        }
        let verdict = verdict(&job, &attempt, &self.rules_for(&job), wall, fastrand::f64());
        let (event, next) = match job.purpose {
            Purpose::Segment { .. } => self.settle_segment(&mut state, &job, attempt, verdict, now),
            _ => (self.follow(&mut state, &job, &attempt, verdict, now), None),
        };
        let notice = if not_reached { state.notice_of_cut_off() } else { None };
        if !not_reached && state.cut_off && is_answered {
            state.cut_off = false;
        }
        let comes = if next.is_some() { Comes::Nobody } else { Comes::Worker };
        self.after(&mut state, comes);
        (event.into_iter().chain(notice), next)
    }

    /// Does what follows an attempt.
    pub(super) fn follow(
        &self,
        state: &mut State,
        job: &Job,
        attempt: &Attempt,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Event> {
        match verdict {
            Verdict::Whole => self.finish(state, job, attempt, None),
            Verdict::Failed(failure) => self.finish(state, job, attempt, Some(failure)),
            Verdict::Anew(next) => {
                state.resume(next, now, now);
                None
            }
            Verdict::Divided(next) => {
                state.divide(next, Some(attempt), now, now);
                None
            }
            Verdict::Hop { job: next, wait } => {
                let status = attempt.head.as_ref().map_or(0, |head| head.status);
                let (from, to) = (redacted(&job.url), redacted(&next.url));
                state.resume(next, now + wait, now);
                Some(Event::Redirected { from, to, status })
            }
            Verdict::Again { job: next, wait, failure } => {
                Some(again(state, job, next, wait, failure, now))
            }
        }
    }

    fn rules_for(&self, job: &Job) -> Rules {
        match job.purpose {
            Purpose::Robots(_) => Rules { max_redirects: robots::MOST_REDIRECTS, ..self.rules },
            _ => self.rules,
        }
    }

    pub(super) fn give_up(&self, state: &mut State, job: &Job, failure: Failure) -> Option<Event> {
        let now = Instant::now();
        let verdict = policy::given_up(job, failure, &self.rules, fastrand::f64());
        self.follow_unasked(state, job, verdict, now)
    }

    /// Does what follows when a job is given up before its request.
    pub(super) fn follow_unasked(
        &self,
        state: &mut State,
        job: &Job,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Event> {
        match verdict {
            Verdict::Again { job: next, wait, failure } => {
                Some(again(state, job, next, wait, failure, now))
            }
            Verdict::Failed(failure) => match &job.purpose {
                Purpose::Body | Purpose::Seal(_) => {
                    Some(self.row(state, job, given_up(job, failure)))
                }
                Purpose::Segment { .. } => self.give_up_segment(state, job, failure, now),
                Purpose::Robots(host) => {
                    self.allow(state, host, robots::Reply::Failed(&failure));
                    None
                }
            },
            other => unreachable!("a job that is given up is not {other:?}"),
        }
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
        let told = match reply {
            robots::Reply::Body(text) => text.len(),
            robots::Reply::Failed(_) => 0,
        };
        state.schedule.allow(host, rules, told, Instant::now());
    }

    fn row(&self, state: &mut State, job: &Job, record: Record) -> Event {
        state.window.leave(job.target.index);
        self.count(state, &record);
        finished(job, record)
    }

    /// Takes note of a row that was settled without a job.
    pub fn told(&self, record: &Record) {
        self.count(&mut self.lock(), record);
    }

    fn count(&self, state: &mut State, record: &Record) {
        state.settled += 1;
        state.failed += u64::from(record.outcome == Outcome::Failed);
        match record.error.as_ref().map(|error| error.class) {
            Some(Class::Disk) => self.stop.cut(Cause::Disk),
            Some(Class::Quota) => self.stop.cut(Cause::Quota),
            _ if self.is_too_much(state) => self.stop.drain(Cause::TooManyFailures),
            _ => {}
        }
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
}

impl State {
    /// The network is said to be down once each time it goes.
    pub(super) fn notice_of_cut_off(&mut self) -> Option<Event> {
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
    state.resume(next, now + wait, now);
    Event::Retrying { url, failure, next: next_url, wait }
}

/// The class of failure that a host is charged with.
fn class_of(attempt: &Attempt) -> Option<Class> {
    match &attempt.ending {
        Ending::Failed(Failure::Cancelled(Cause::Sibling)) => None,
        Ending::Failed(failure) => Some(failure.class()),
        _ => None,
    }
}

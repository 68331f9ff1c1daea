//! Settling: what becomes of a job once its attempt has ended, or none is made.

use std::time::{Duration, Instant, SystemTime};

use super::super::records::{finished_event, record_of_attempt, record_of_failure};
use super::{NextWaker, Queue, QueueState, Work};
use crate::model::{
    Attempt, AttemptOutcome, Event, Failure, FailureClass, Job, JobKind, Outcome, Record,
    StopCause, redacted,
};
use crate::plan::MaxFailures;
use crate::policy::{self, NextAction, RetryRules, next_action, robots};
use crate::scheduler::{HostFeedback, host_feedback};

impl Queue {
    /// Asks the rules of its host about a job that was taken. That may take a while: the queue is not locked.
    pub(super) fn start(&self, job: Box<Job>, rules: &robots::RobotsRules) -> Work {
        if rules.allows(&job.url) {
            return Work::Transfer(job);
        }
        let mut state = self.lock();
        state.schedule.cancel_start(&job.url, Instant::now());
        let event = self.give_up(&mut state, &job, Failure::Robots);
        self.wake_waiters(&mut state, NextWaker::ReturningWorker);
        Work::Emit(event)
    }

    /// Settles what came of a job: the target's row, or its next job in the queue and a word about why; and a word
    /// about the network, if there is one to be said. A job that makes no request is for the same worker, at once.
    pub fn settle(
        &self,
        mut job: Job,
        mut attempt: Attempt,
    ) -> (impl Iterator<Item = Event> + use<>, Option<Box<Job>>) {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let feedback = host_feedback(&attempt, &self.rules.retry, wall);
        let not_reached = matches!(feedback, HostFeedback::Unreachable(_));
        let is_answered = attempt.head.is_some();
        let mut state = self.lock();
        if let JobKind::Assemble(_) = job.kind {
            state.undo_assembly(&mut job, &mut attempt);
        } else {
            state.schedule.on_feedback(&job.url, feedback, attempt.timings.started, now);
            state.schedule.count(&job.url, attempt.wire_bytes, class_of(&attempt));
        }
        let action = next_action(&job, &attempt, &self.rules_for(&job), wall, fastrand::f64());
        let (event, next) = match job.kind {
            JobKind::Segment { .. } => self.settle_segment(&mut state, &job, attempt, action, now),
            _ => (self.apply_next_action(&mut state, &job, &attempt, action, now), None),
        };
        let notice = if not_reached { state.unreachable_notice() } else { None };
        if !not_reached && state.cut_off && is_answered {
            state.cut_off = false;
        }
        let comes =
            if next.is_some() { NextWaker::OneOfTheWaiting } else { NextWaker::ReturningWorker };
        self.wake_waiters(&mut state, comes);
        (event.into_iter().chain(notice), next)
    }

    /// Does what follows an attempt.
    pub(super) fn apply_next_action(
        &self,
        state: &mut QueueState,
        job: &Job,
        attempt: &Attempt,
        action: NextAction,
        now: Instant,
    ) -> Option<Event> {
        match action {
            NextAction::Done => self.finish(state, job, attempt, None),
            NextAction::Failed(failure) => self.finish(state, job, attempt, Some(failure)),
            NextAction::Restart(next) => {
                state.resume(next, now, now);
                None
            }
            NextAction::Split(next) => {
                state.start_segments(next, Some(attempt), now, now);
                None
            }
            NextAction::FollowRedirect { job: next, wait } => {
                let status = attempt.head.as_ref().map_or(0, |head| head.status);
                let (from, to) = (redacted(&job.url), redacted(&next.url));
                state.resume(next, now + wait, now);
                Some(Event::Redirected { from, to, status })
            }
            NextAction::Retry { job: next, wait, failure } => {
                Some(schedule_retry(state, job, next, wait, failure, now))
            }
        }
    }

    fn rules_for(&self, job: &Job) -> RetryRules {
        match job.kind {
            JobKind::Robots(_) => {
                RetryRules { max_redirects: robots::MOST_REDIRECTS, ..self.rules }
            }
            _ => self.rules,
        }
    }

    pub(super) fn give_up(
        &self,
        state: &mut QueueState,
        job: &Job,
        failure: Failure,
    ) -> Option<Event> {
        let now = Instant::now();
        let action = policy::action_without_request(job, failure, &self.rules, fastrand::f64());
        self.apply_without_request(state, job, action, now)
    }

    /// Does what follows when a job is given up before its request.
    pub(super) fn apply_without_request(
        &self,
        state: &mut QueueState,
        job: &Job,
        action: NextAction,
        now: Instant,
    ) -> Option<Event> {
        match action {
            NextAction::Retry { job: next, wait, failure } => {
                Some(schedule_retry(state, job, next, wait, failure, now))
            }
            NextAction::Failed(failure) => match &job.kind {
                JobKind::Body | JobKind::Assemble(_) => {
                    Some(self.emit_record(state, job, record_of_failure(job, failure)))
                }
                JobKind::Segment { .. } => self.give_up_segment(state, job, failure, now),
                JobKind::Robots(host) => {
                    self.apply_robots(state, host, robots::RobotsReply::Failed(&failure));
                    None
                }
            },
            other => unreachable!("a job that is given up is not {other:?}"),
        }
    }

    /// Ends a job with its last attempt: the target's row, or what its host allows.
    fn finish(
        &self,
        state: &mut QueueState,
        job: &Job,
        attempt: &Attempt,
        failure: Option<Failure>,
    ) -> Option<Event> {
        let JobKind::Robots(host) = &job.kind else {
            return Some(self.emit_record(state, job, record_of_attempt(job, attempt, failure)));
        };
        match &failure {
            None => {
                let text = attempt.text.as_deref().unwrap_or_default();
                self.apply_robots(state, host, robots::RobotsReply::Body(text));
            }
            Some(Failure::Cancelled(_)) => {}
            Some(failure) => self.apply_robots(state, host, robots::RobotsReply::Failed(failure)),
        }
        None
    }

    fn apply_robots(&self, state: &mut QueueState, host: &str, reply: robots::RobotsReply<'_>) {
        let rules = robots::rules_of_reply(reply, &self.robots_token);
        let told = match reply {
            robots::RobotsReply::Body(text) => text.len(),
            robots::RobotsReply::Failed(_) => 0,
        };
        state.schedule.set_robots(host, rules, told, Instant::now());
    }

    fn emit_record(&self, state: &mut QueueState, job: &Job, record: Record) -> Event {
        state.in_flight.remove(job.target.index);
        self.count_outcome(state, &record);
        finished_event(job, record)
    }

    /// Takes note of a row that was settled without a job.
    pub fn record_settled(&self, record: &Record) {
        self.count_outcome(&mut self.lock(), record);
    }

    fn count_outcome(&self, state: &mut QueueState, record: &Record) {
        state.settled += 1;
        state.failed += u64::from(record.outcome == Outcome::Failed);
        match record.error.as_ref().map(|error| error.class) {
            Some(FailureClass::Disk) => self.cancel.abort(StopCause::Disk),
            Some(FailureClass::Quota) => self.cancel.abort(StopCause::Quota),
            _ if self.failure_limit_reached(state) => self.cancel.drain(StopCause::TooManyFailures),
            _ => {}
        }
    }

    /// Whether more has failed than was thought to be tolerable.
    fn failure_limit_reached(&self, state: &QueueState) -> bool {
        match self.most_failures {
            None => false,
            Some(MaxFailures::Number(most)) => state.failed > most,
            Some(MaxFailures::Share(share)) => {
                state.settled >= 100 && state.failed as f64 > share.as_f64() * state.settled as f64
            }
        }
    }
}

impl QueueState {
    /// The network is said to be down once each time it goes.
    pub(super) fn unreachable_notice(&mut self) -> Option<Event> {
        if self.cut_off || !self.schedule.network_seems_down() {
            return None;
        }
        self.cut_off = true;
        Some(Event::Notice("the network seems down; waiting".to_owned()))
    }
}

fn schedule_retry(
    state: &mut QueueState,
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
fn class_of(attempt: &Attempt) -> Option<FailureClass> {
    match &attempt.outcome {
        AttemptOutcome::Failed(Failure::Cancelled(StopCause::Sibling)) => None,
        AttemptOutcome::Failed(failure) => Some(failure.class()),
        _ => None,
    }
}

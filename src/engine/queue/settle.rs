//! Settling: what becomes of a job once its attempt has ended, or if none is made.

use std::time::{Duration, Instant, SystemTime};

use super::super::records::{finished_event, record_of_attempt, record_of_failure};
use super::{NextWaker, Queue, QueueState, Work};
use crate::model::{
    Attempt, AttemptOutcome, Event, Failure, FailureClass, JobKind, QueuedJob, Record, StopCause,
    redacted,
};
use crate::policy::{self, NextAction, RetryRules, next_action, robots, target_rules};
use crate::scheduler::{HostFeedback, host_feedback};

impl Queue {
    /// Hands out a job if the rules of its host allow its URL, and gives it up otherwise. Matching may take a while, so
    /// the queue is not locked for it.
    pub(super) fn start(&self, job: Box<QueuedJob>, rules: &robots::RobotsRules) -> Work {
        let url = &job.request.url;
        if rules.allows(url) {
            return Work::Transfer(job);
        }
        let mut state = self.lock();
        state.scheduler.cancel_start(url, Instant::now());
        let event = self.give_up(&mut state, &job, Failure::Robots);
        self.wake_waiters(&mut state, NextWaker::ReturningWorker);
        Work::Emit(event)
    }

    /// Settles the attempt of a job. Returns the events to emit: the target's record or what is done instead, and a
    /// notice about the network; and a job without a request, which the same worker is to carry out at once.
    pub(crate) fn settle(
        &self,
        mut job: Box<QueuedJob>,
        mut attempt: Box<Attempt>,
    ) -> (impl Iterator<Item = Event> + use<>, Option<Box<QueuedJob>>) {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let feedback = host_feedback(&attempt, &self.rules.retry, wall);
        let is_unreachable = matches!(feedback, HostFeedback::Unreachable(_));
        let got_reply = attempt.head.is_some();
        let mut state = self.lock();
        // Under one lock, in this order: the host's limits first, since the job that follows may be for the same host
        // and must meet them; then what follows; then the wake-up, which looks at both.
        if let JobKind::Assemble(_) = job.request.kind {
            state.undo_assembly(&mut job, &mut attempt);
        } else {
            let url = &job.request.url;
            match target_rules::was_forbidden(&attempt) {
                true => state.scheduler.cancel_start(url, now),
                false => state.scheduler.on_feedback(url, feedback, job.last_started, now),
            }
            state.scheduler.count(url, attempt.wire_bytes, charged_class(&attempt));
        }
        let rules = match job.request.kind {
            JobKind::Robots { .. } => {
                RetryRules { max_redirects: robots::MAX_REDIRECTS, ..self.rules }
            }
            _ => self.rules,
        };
        let action = next_action(&job, &attempt, &rules, wall, fastrand::f64());
        let (event, next) = match job.request.kind {
            JobKind::Segment { .. } => self.settle_segment(&mut state, &job, attempt, action, now),
            _ => (self.apply_next_action(&mut state, &job, attempt, action, now), None),
        };
        let notice = if is_unreachable { state.network_notice() } else { None };
        if got_reply && !is_unreachable {
            state.network_down_reported = false;
        }
        // With a job at hand, the worker does not come back for another one.
        let waker =
            if next.is_some() { NextWaker::WaitingWorker } else { NextWaker::ReturningWorker };
        self.wake_waiters(&mut state, waker);
        (event.into_iter().chain(notice), next)
    }

    /// Applies what follows an attempt. A job that follows is put back before its event is returned, so that a target
    /// is never absent from the queue while it is unsettled: an empty queue ends the run.
    pub(super) fn apply_next_action(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        attempt: Box<Attempt>,
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
                state.start_segments(next, Some(&attempt), now, now);
                None
            }
            NextAction::FollowRedirect { job: next, wait } => {
                let status = attempt.head.as_ref().map_or(0, |head| head.status);
                let (from, to) = (redacted(&job.request.url), redacted(&next.request.url));
                state.resume(next, now + wait, now);
                Some(Event::Redirected { from, to, status })
            }
            NextAction::Retry { job: next, wait, failure } => {
                Some(schedule_retry(state, job, next, wait, failure, now))
            }
        }
    }

    /// Gives up a job before its request, as its host is unreachable or does not allow it.
    pub(super) fn give_up(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        failure: Failure,
    ) -> Option<Event> {
        let now = Instant::now();
        let action = policy::action_without_request(job, failure, &self.rules, fastrand::f64());
        self.apply_without_request(state, job, action, now)
    }

    /// Applies what follows a job that was given up before its request.
    pub(super) fn apply_without_request(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        action: NextAction,
        now: Instant,
    ) -> Option<Event> {
        match action {
            NextAction::Retry { job: next, wait, failure } => {
                Some(schedule_retry(state, job, next, wait, failure, now))
            }
            NextAction::Failed(failure) => match &job.request.kind {
                JobKind::Body | JobKind::Assemble(_) => {
                    Some(self.settle_target(state, job, record_of_failure(job, failure)))
                }
                JobKind::Segment { .. } => self.give_up_segment(state, job, failure, now),
                JobKind::Robots { host, .. } => {
                    self.apply_robots(state, host, robots::RobotsReply::Failed(&failure));
                    None
                }
            },
            other => unreachable!("a job that is given up is not {other:?}"),
        }
    }

    /// Ends a job with its last attempt: settles the target, or applies the robots.txt of a host.
    fn finish(
        &self,
        state: &mut QueueState,
        job: &QueuedJob,
        attempt: Box<Attempt>,
        failure: Option<Failure>,
    ) -> Option<Event> {
        let JobKind::Robots { host, .. } = &job.request.kind else {
            return Some(self.settle_target(state, job, record_of_attempt(job, attempt, failure)));
        };
        match &failure {
            None => {
                let text = attempt.text.as_deref().unwrap_or_default();
                self.apply_robots(state, host, robots::RobotsReply::Body(text));
            }
            // The run ends; the host's jobs are cancelled, not disallowed.
            Some(Failure::Cancelled(_)) => {}
            Some(failure) => self.apply_robots(state, host, robots::RobotsReply::Failed(failure)),
        }
        None
    }

    fn apply_robots(&self, state: &mut QueueState, host: &str, reply: robots::RobotsReply<'_>) {
        let rules = robots::rules_of_reply(reply, &self.robots_token);
        let file_bytes = match reply {
            robots::RobotsReply::Body(text) => text.len(),
            robots::RobotsReply::Failed(_) => 0,
        };
        state.scheduler.set_robots(host, rules, file_bytes, Instant::now());
    }

    /// Settles a target with its record.
    fn settle_target(&self, state: &mut QueueState, job: &QueuedJob, record: Record) -> Event {
        state.in_flight.remove(job.request.target.index, record.text_bytes());
        // Before the waiting workers are woken: past a limit none of them may start another job.
        state.failures.on_record(&record, &self.cancel);
        finished_event(job, record)
    }

    /// Counts a record that was settled without a job.
    pub(crate) fn record_settled(&self, record: &Record) {
        let mut state = self.lock();
        state.in_flight.pass(record.index, record.text_bytes());
        state.failures.on_record(record, &self.cancel);
    }

    /// Notes the record of an invalid line, which counts for no limit of failures.
    pub(crate) fn record_invalid(&self, record: &Record) {
        self.lock().in_flight.pass(record.index, record.text_bytes());
    }
}

impl QueueState {
    /// A notice that no host can be reached; `None` if some can, or it was given and no reply has come since.
    pub(super) fn network_notice(&mut self) -> Option<Event> {
        let (hosts, patience) =
            self.scheduler.unreachable_hosts().filter(|_| !self.network_down_reported)?;
        self.network_down_reported = true;
        let patience = patience.as_secs_f64();
        Some(Event::Notice(format!("{hosts} hosts unreachable; retrying for up to {patience} s")))
    }
}

fn schedule_retry(
    state: &mut QueueState,
    job: &QueuedJob,
    next: QueuedJob,
    wait: Duration,
    failure: Failure,
    now: Instant,
) -> Event {
    let (url, next_url) = (redacted(&job.request.url), redacted(&next.request.url));
    let due = now + wait;
    let start = state.scheduler.earliest_start(&next.request.url, due, now);
    let starts_in = start.map(|start| start - now);
    state.resume(next, due, now);
    Event::Retrying { url, failure, next: next_url, wait, starts_in }
}

/// The class of failure that counts against the host; `None` if none does.
fn charged_class(attempt: &Attempt) -> Option<FailureClass> {
    match &attempt.outcome {
        AttemptOutcome::Failed(Failure::Cancelled(StopCause::Sibling)) => None,
        AttemptOutcome::Failed(failure) => Some(failure.class()),
        _ => None,
    }
}

//! The attempts of one target: when each was made, how it ended, and how long the target waited before it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{AttemptDetail, FailureClass};

/// Attempts that are kept; of more, the last ones.
const MAX_KEPT: usize = 100;

/// The attempts made for a target so far. Redirect hops belong to the attempt that led to them.
#[derive(Debug, Clone, Default)]
pub struct AttemptLog {
    /// Failed attempts, in the order in which they ended.
    failed: VecDeque<LoggedAttempt>,
    /// The attempt in progress; `None` until its first request.
    current: Option<StartedAttempt>,
    /// When the last request ended.
    ended: Option<Instant>,
    /// The sum of all waits.
    waited: Duration,
}

#[derive(Debug, Clone)]
struct StartedAttempt {
    start: Instant,
    /// How long the target waited before it.
    wait: Duration,
    /// How long it waited between the requests of this attempt.
    redirect_wait: Duration,
}

#[derive(Debug, Clone)]
struct LoggedAttempt {
    started: StartedAttempt,
    end: Instant,
    class: FailureClass,
}

impl AttemptLog {
    /// Records that a request is started. The first one of an attempt is its start; a later one, such as a redirect's
    /// hop, has waited since the previous one ended.
    pub fn on_start(&mut self, now: Instant) {
        let wait = self.wait_until(now);
        self.waited += wait;
        match &mut self.current {
            Some(current) => current.redirect_wait += wait,
            none => {
                *none = Some(StartedAttempt { start: now, wait, redirect_wait: Duration::ZERO });
            }
        }
    }

    /// Records that the request of a segment was started. The earliest one is the start of the attempt.
    pub fn on_segment_start(&mut self, started: Instant) {
        let Some(current) = &mut self.current else { return self.on_start(started) };
        // Requests of segments run at the same time, and the one that is recorded first may have started last.
        let earlier = current.start.saturating_duration_since(started).min(current.wait);
        self.waited = self.waited.saturating_sub(earlier);
        current.start = current.start.min(started);
        current.wait -= earlier;
    }

    /// Records that a request ended at this time.
    pub fn on_end(&mut self, end: Instant) {
        self.ended = self.ended.max(Some(end));
    }

    /// Records that the attempt in progress failed. This does nothing if it made no request.
    pub fn on_failure(&mut self, class: FailureClass) {
        let Some(started) = self.current.take() else { return };
        let end = self.ended.unwrap_or(started.start).max(started.start);
        self.push(LoggedAttempt { started, end, class });
    }

    /// Adds the failed attempts at a segment of the target, but for the last `skipped` ones.
    pub fn add_segment(&mut self, segment: &Self, skipped: usize) {
        self.ended = self.ended.max(segment.ended);
        let counted = segment.failed.len().saturating_sub(skipped);
        segment.failed.iter().take(counted).for_each(|attempt| self.push(attempt.clone()));
    }

    /// Adds the time for which the segments of the target waited.
    pub fn add_wait(&mut self, wait: Duration) {
        self.waited += wait;
    }

    /// How long the target has waited between requests.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// How long the target has waited if it is given up at this time.
    pub fn waited_until(&self, now: Instant) -> Duration {
        match self.current {
            Some(_) => self.waited,
            None => self.waited + self.wait_until(now),
        }
    }

    /// The time that the attempt in progress spent on requests before its last one, which was started at `last`. Waits
    /// between requests are left out.
    pub fn spent_before(&self, last: Instant) -> Duration {
        let current = self.current.as_ref();
        current.map_or(Duration::ZERO, |current| {
            last.saturating_duration_since(current.start).saturating_sub(current.redirect_wait)
        })
    }

    /// When the last request ended.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// The attempts as records have them, for a target whose first request was started at `first`. The attempt in
    /// progress, if it has made a request, ended at `end`: with a failure of this class, or successfully.
    pub fn details(
        &self,
        first: Instant,
        end: Instant,
        class: Option<FailureClass>,
    ) -> Vec<AttemptDetail> {
        let detail = |started: &StartedAttempt, end: Instant, class| AttemptDetail {
            start: started.start.saturating_duration_since(first).as_secs_f64(),
            total: end.saturating_duration_since(started.start).as_secs_f64(),
            class,
            wait: started.wait.as_secs_f64(),
            redirect_wait: started.redirect_wait.as_secs_f64(),
        };
        let failed = self.failed.iter().map(|one| detail(&one.started, one.end, Some(one.class)));
        let last = self.current.as_ref().map(|started| detail(started, end, class));
        let all: Vec<_> = failed.chain(last).collect();
        let surplus = all.len().saturating_sub(MAX_KEPT);
        all.into_iter().skip(surplus).collect()
    }

    fn wait_until(&self, now: Instant) -> Duration {
        self.ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(ended))
    }

    fn push(&mut self, attempt: LoggedAttempt) {
        if self.failed.len() == MAX_KEPT {
            self.failed.pop_front();
        }
        self.failed.push_back(attempt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_attempt_has_its_start_its_end_and_the_wait_before_it() {
        let first = Instant::now();
        let mut log = AttemptLog::default();
        log.on_start(first);
        log.on_end(first + SECOND);
        log.on_failure(FailureClass::Reset);
        log.on_start(first + 4 * SECOND);
        let details = log.details(first, first + 6 * SECOND, None);
        let detail = |start, total, class, wait| AttemptDetail {
            start,
            total,
            class,
            wait,
            ..AttemptDetail::default()
        };
        let reset = Some(FailureClass::Reset);
        assert_eq!(details, [detail(0.0, 1.0, reset, 0.0), detail(4.0, 2.0, None, 3.0)]);
        assert_eq!(log.waited(), 3 * SECOND);
    }

    #[test]
    fn the_wait_before_a_redirects_hop_is_no_time_of_a_request() {
        let first = Instant::now();
        let mut log = AttemptLog::default();
        log.on_start(first);
        log.on_end(first + SECOND);
        log.on_start(first + 5 * SECOND);
        assert_eq!(log.spent_before(first + 5 * SECOND), SECOND);
        let details = log.details(first, first + 7 * SECOND, None);
        assert_eq!((details[0].total, details[0].wait, details[0].redirect_wait), (7.0, 0.0, 4.0));
        assert_eq!(log.waited(), 4 * SECOND);
    }

    #[test]
    fn the_last_hundred_attempts_are_kept() {
        let first = Instant::now();
        let mut log = AttemptLog::default();
        for step in 0..250 {
            log.on_start(first + step * SECOND);
            log.on_end(first + step * SECOND);
            log.on_failure(FailureClass::Http5xx);
        }
        log.on_start(first + 250 * SECOND);
        let details = log.details(first, first + 250 * SECOND, None);
        assert_eq!(details.len(), MAX_KEPT);
        assert_eq!((details[0].start, details[99].start), (151.0, 250.0));
        assert_eq!(log.waited(), 250 * SECOND, "those that were dropped included");
    }

    #[test]
    fn an_attempt_in_segments_starts_with_the_first_of_them() {
        let first = Instant::now();
        let mut log = AttemptLog::default();
        log.on_end(first);
        log.on_segment_start(first + 5 * SECOND);
        log.on_segment_start(first + 3 * SECOND);
        let details = log.details(first, first + 6 * SECOND, None);
        assert_eq!((details[0].start, details[0].wait, details[0].total), (3.0, 3.0, 3.0));
        assert_eq!(log.waited(), 3 * SECOND);
    }
}

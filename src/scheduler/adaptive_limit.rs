//! The adaptive limit of a host: how many requests at a time, and how soon after one another. Refusals halve it, successful
//! replies raise it again (additive increase, multiplicative decrease). Pure; time is an argument.

use std::time::{Duration, Instant};

use crate::model::WaitReason;

/// The gap after a refusal without a Retry-After; it doubles with each further one in a row.
const FIRST_GAP: Duration = Duration::from_millis(100);

/// The longest gap after refusals.
const WIDEST_GAP: Duration = Duration::from_secs(30);

/// The longest gap for a host that is busy or breaks connections off, but does not ask for fewer requests: that may be
/// due to a few URLs that never work.
const WIDEST_GAP_UNASKED: Duration = Duration::from_secs(1);

/// Gaps shorter than this are treated as zero.
const NO_GAP: Duration = Duration::from_millis(5);

/// Successful replies before the limit is raised.
const RAISE_AFTER: u32 = 10;

/// The adaptive limit of one host.
#[derive(Debug)]
pub(super) struct AdaptiveLimit {
    /// The configured limit of requests in progress; `None` if there is none.
    ceiling: Option<usize>,
    /// The configured time between two starts.
    gap: Duration,
    /// The adapted limit of requests in progress; `None` while it is the ceiling.
    most: Option<f64>,
    /// The time between two starts after refusals; it shrinks quickly.
    penalty: Duration,
    /// Refusals in a row, without a successful reply between them.
    strikes: u32,
    /// Since when the host has refused every request; `None` if it does not.
    refusing_since: Option<Instant>,
    /// The time between two starts that the host has been found to allow; it shrinks slowly.
    pace: Duration,
    next_start: Option<Instant>,
    held_until: Option<Instant>,
    clean: u32,
    last_cut: Option<Instant>,
    window: ServedSinceBackoff,
}

/// Successful replies since the last back-off: the measure of the rate that a host allows.
#[derive(Debug)]
struct ServedSinceBackoff {
    since: Instant,
    served: u32,
}

impl AdaptiveLimit {
    /// A limit at its configured maximum.
    pub(super) fn new(ceiling: Option<usize>, gap: Duration, now: Instant) -> Self {
        Self {
            ceiling,
            gap,
            most: None,
            penalty: Duration::ZERO,
            strikes: 0,
            refusing_since: None,
            pace: Duration::ZERO,
            next_start: None,
            held_until: None,
            clean: 0,
            last_cut: None,
            window: ServedSinceBackoff { since: now, served: 0 },
        }
    }

    /// The configured limit of requests in progress; `None` if there is none.
    pub(super) fn ceiling(&self) -> Option<usize> {
        self.ceiling
    }

    /// The current limit of requests in progress; `None` if there is none.
    pub(super) fn limit(&self) -> Option<usize> {
        [self.ceiling, self.most.map(|most| most as usize)].into_iter().flatten().min()
    }

    /// Until when no request may start, and why; `None` if one may.
    pub(super) fn paused_until(&self, now: Instant) -> Option<(Instant, WaitReason)> {
        let held = self.held_until(now).map(|moment| (moment, WaitReason::RetryAfter));
        let gap =
            self.next_start.filter(|next| *next > now).map(|moment| (moment, WaitReason::Gap));
        held.or(gap)
    }

    /// Whether the limit is at its configured maximum and no wait is pending: there is nothing to remember.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.most.is_none()
            && self.penalty.is_zero()
            && self.pace.is_zero()
            && self.paused_until(now).is_none()
    }

    /// Until when the host has asked for no requests (Retry-After).
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|moment| *moment > now)
    }

    /// Records the start of a request.
    pub(super) fn on_start(&mut self, now: Instant) {
        let gap = self.gap.max(self.penalty).max(self.pace);
        self.next_start = Some(now + gap).filter(|_| !gap.is_zero());
    }

    /// Undoes the start of a request that is not made.
    pub(super) fn on_start_cancelled(&mut self) {
        self.next_start = None;
    }

    /// Records a successful reply, which may ask for a wait. After [`RAISE_AFTER`] of them the limit is raised by one, up
    /// to the ceiling or the `peak` so far, and the gaps shrink.
    pub(super) fn on_served(&mut self, asked: Option<Duration>, peak: usize, now: Instant) {
        self.hold(asked, now);
        self.strikes = 0;
        self.refusing_since = None;
        self.window.served += 1;
        self.clean += 1;
        if self.clean < RAISE_AFTER {
            return;
        }
        self.clean = 0;
        self.penalty = scaled_gap(self.penalty, 0.25);
        self.pace = scaled_gap(self.pace, 0.9);
        let full = self.ceiling.unwrap_or(peak) as f64;
        self.most = self.most.map(|most| most + 1.0).filter(|most| *most < full);
    }

    /// Records a refusal. Of all requests that were in progress at the first refusal, only one counts.
    pub(super) fn on_refused(
        &mut self,
        asked: Option<Duration>,
        in_progress: usize,
        started: Instant,
        now: Instant,
    ) {
        self.refusing_since.get_or_insert(started);
        let asked = asked.filter(|wait| !wait.is_zero());
        self.hold(asked, now);
        if !self.counts(started, now) {
            return;
        }
        match asked {
            Some(wait) => self.pace = self.pace_that_was_allowed(wait, now),
            None => {
                self.halve(in_progress);
                self.double_backoff(WIDEST_GAP);
            }
        }
        self.window = ServedSinceBackoff { since: now + asked.unwrap_or_default(), served: 0 };
    }

    /// Records a sign that it may be too much for the host, or for one of its URLs: halves the limit, and once that is one
    /// request at a time, opens a gap.
    pub(super) fn on_strained(&mut self, in_progress: usize, started: Instant, now: Instant) {
        if !self.counts(started, now) {
            return;
        }
        if self.limit() == Some(1) {
            self.double_backoff(WIDEST_GAP_UNASKED);
        }
        self.halve(in_progress);
        self.window = ServedSinceBackoff { since: now, served: 0 };
    }

    /// For how long the host has refused every request; `None` if it does not.
    pub(super) fn refused_for(&self, now: Instant) -> Option<Duration> {
        self.refusing_since.map(|since| now.saturating_duration_since(since))
    }

    fn hold(&mut self, asked: Option<Duration>, now: Instant) {
        self.held_until = self.held_until.max(asked.map(|wait| now + wait));
    }

    /// Whether a refusal of a request started at `started` is the first one since the limit was last lowered: requests
    /// that were in progress at that moment say nothing of the lowered limit.
    fn counts(&mut self, started: Instant, now: Instant) -> bool {
        let counts = self.last_cut.is_none_or(|cut| started >= cut);
        if counts {
            self.last_cut = Some(now);
            self.clean = 0;
        }
        counts
    }

    /// Doubles the gap with each refusal in a row.
    fn double_backoff(&mut self, widest: Duration) {
        let doubled = FIRST_GAP.saturating_mul(2u32.saturating_pow(self.strikes));
        self.strikes += 1;
        self.penalty = self.penalty.max(doubled.min(widest));
    }

    fn halve(&mut self, in_progress: usize) {
        let in_progress = in_progress + 1;
        let limit = self.limit().unwrap_or(in_progress).min(in_progress);
        self.most = Some((limit as f64 / 2.0).max(1.0));
    }

    /// The time between two starts at which the host would just not have refused: the time in which it served its replies
    /// and the wait that it asks for, divided by the replies, and 5% more.
    fn pace_that_was_allowed(&self, wait: Duration, now: Instant) -> Duration {
        let span = now.saturating_duration_since(self.window.since) + wait;
        match span.checked_div(self.window.served) {
            Some(each) => each.mul_f64(1.05).min(wait),
            None => (self.pace * 2).clamp(FIRST_GAP, WIDEST_GAP).min(wait),
        }
    }
}

fn scaled_gap(gap: Duration, to: f64) -> Duration {
    Some(gap.mul_f64(to)).filter(|gap| *gap > NO_GAP).unwrap_or_default()
}

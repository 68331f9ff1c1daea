//! How much a host is trusted with: how many requests at once, and how soon after one another. Refusals cut it, replies
//! in good order open it again (additive increase, multiplicative decrease). Pure; time is an argument.

use std::time::{Duration, Instant};

use crate::model::WaitReason;

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

/// What a host is trusted with.
#[derive(Debug)]
pub(super) struct AdaptiveLimit {
    /// Requests in progress, whatever the trust; `None`: any number.
    ceiling: Option<usize>,
    /// Time between two starts, whatever the trust.
    gap: Duration,
    /// Requests in progress, where that is below the ceiling.
    most: Option<f64>,
    /// The time between two starts that refusals have opened; it closes quickly.
    penalty: Duration,
    /// Refusals without a reply in good order between them.
    strikes: u32,
    /// Since when the host has refused everything.
    refusing_since: Option<Instant>,
    /// The time between two starts at which the host does not refuse, as far as it has let us know; it shrinks slowly.
    pace: Duration,
    next_start: Option<Instant>,
    held_until: Option<Instant>,
    clean: u32,
    last_cut: Option<Instant>,
    window: ServedSinceBackoff,
}

/// What a host served since it was last held: the measure of what it allows.
#[derive(Debug)]
struct ServedSinceBackoff {
    since: Instant,
    served: u32,
}

impl AdaptiveLimit {
    /// Full trust within these limits.
    pub fn new(ceiling: Option<usize>, gap: Duration, now: Instant) -> Self {
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

    /// Requests in progress, whatever the trust.
    pub fn ceiling(&self) -> Option<usize> {
        self.ceiling
    }

    /// Requests in progress, as things stand.
    pub fn limit(&self) -> Option<usize> {
        [self.ceiling, self.most.map(|most| most as usize)].into_iter().flatten().min()
    }

    /// Until when nothing may start, and why; `None` if it may.
    pub fn paused_until(&self, now: Instant) -> Option<(Instant, WaitReason)> {
        let held = self.held_until(now).map(|moment| (moment, WaitReason::RetryAfter));
        let gap =
            self.next_start.filter(|next| *next > now).map(|moment| (moment, WaitReason::Gap));
        held.or(gap)
    }

    /// Whether nothing has happened that matters for the next request.
    pub fn is_full(&self, now: Instant) -> bool {
        self.most.is_none()
            && self.penalty.is_zero()
            && self.pace.is_zero()
            && self.paused_until(now).is_none()
    }

    /// Until when the host has asked not to be asked.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|moment| *moment > now)
    }

    /// A request starts.
    pub fn on_start(&mut self, now: Instant) {
        let gap = self.gap.max(self.penalty).max(self.pace);
        self.next_start = Some(now + gap).filter(|_| !gap.is_zero());
    }

    /// The request that was to start does not.
    pub fn on_start_cancelled(&mut self) {
        self.next_start = None;
    }

    /// A reply in good order, which may ask for a wait. With each round of them the host is trusted with one request
    /// more, up to the ceiling or the `peak` so far, and the gaps shrink.
    pub fn on_served(&mut self, asked: Option<Duration>, peak: usize, now: Instant) {
        self.hold(asked, now);
        self.strikes = 0;
        self.refusing_since = None;
        self.window.served += 1;
        self.clean += 1;
        if self.clean < CLEAN {
            return;
        }
        self.clean = 0;
        self.penalty = scaled_gap(self.penalty, 0.25);
        self.pace = scaled_gap(self.pace, 0.9);
        let full = self.ceiling.unwrap_or(peak) as f64;
        self.most = self.most.map(|most| most + 1.0).filter(|most| *most < full);
    }

    /// The host asks for less. Of the requests that were under way when it first said so, one counts.
    pub fn on_refused(
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

    /// It may be too much for the host, or for one of its URLs: it is asked half as much, and once that is one request
    /// at a time, more slowly.
    pub fn on_strained(&mut self, in_progress: usize, started: Instant, now: Instant) {
        if !self.counts(started, now) {
            return;
        }
        if self.limit() == Some(1) {
            self.double_backoff(WIDEST_GAP_UNASKED);
        }
        self.halve(in_progress);
        self.window = ServedSinceBackoff { since: now, served: 0 };
    }

    /// For how long the host has refused everything.
    pub fn refused_for(&self, now: Instant) -> Option<Duration> {
        self.refusing_since.map(|since| now.saturating_duration_since(since))
    }

    fn hold(&mut self, asked: Option<Duration>, now: Instant) {
        self.held_until = self.held_until.max(asked.map(|wait| now + wait));
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
    fn double_backoff(&mut self, widest: Duration) {
        let doubled = FIRST_GAP.saturating_mul(2u32.saturating_pow(self.strikes));
        self.strikes += 1;
        self.penalty = self.penalty.max(doubled.min(widest));
    }

    fn halve(&mut self, in_progress: usize) {
        let under_way = in_progress + 1;
        let trusted = self.limit().unwrap_or(under_way).min(under_way);
        self.most = Some((trusted as f64 / 2.0).max(1.0));
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
}

fn scaled_gap(gap: Duration, to: f64) -> Duration {
    Some(gap.mul_f64(to)).filter(|gap| *gap > NO_GAP).unwrap_or_default()
}

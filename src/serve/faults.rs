//! The fault policy: decides about delays, errors and rate limits before a request is answered. Pure: the time is an
//! argument, and random decisions are a function of the seed.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::random_body;
use crate::units::{Rate, Share};

/// The maximum number of paths in each of the two generations; both together take about 18 MiB.
const MAX_PATHS: usize = 400_000;

/// The purpose of a draw ([`random_body::draw`]).
const JITTER: u64 = 1;
/// The purpose of a draw ([`random_body::draw`]).
const ERROR: u64 = 2;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FaultDecision {
    /// The delay before its response.
    pub delay: Duration,
    /// The kind of its response.
    pub reply: ReplyKind,
}

/// The kind of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKind {
    /// The requested one.
    Serve,
    /// An injected error.
    Fail,
    /// 429, with this time until a retry.
    Refuse(Duration),
}

/// The delays, errors and limits of a server, with the state that they need.
pub(super) struct FaultPolicy {
    latency: Duration,
    jitter: Duration,
    error_rate: Share,
    window: Option<RateWindow>,
    counts: RequestCounts,
}

impl FaultPolicy {
    /// The policy of a server that has had no requests yet.
    pub(super) fn new(
        latency: Duration,
        jitter: Duration,
        error_rate: Share,
        rate: Option<Rate>,
    ) -> Self {
        let counts = RequestCounts::with_max_paths(MAX_PATHS);
        Self { latency, jitter, error_rate, window: rate.map(RateWindow::new), counts }
    }

    /// Decides about the next request for the path of this key. A refused request is delayed without jitter, and not counted
    /// among the requests for its path, so that the decisions about the others do not depend on the time.
    pub(super) fn decide(&mut self, key: u64, now: Instant) -> FaultDecision {
        if let Some(Err(wait)) = self.window.as_mut().map(|window| window.admit(now)) {
            return FaultDecision { delay: self.latency, reply: ReplyKind::Refuse(wait) };
        }
        if self.jitter.is_zero() && self.error_rate == Share::NONE {
            return FaultDecision { delay: self.latency, reply: ReplyKind::Serve };
        }
        let turn = self.counts.count(key);
        let jitter = self.jitter.mul_f64(random_body::unit(random_body::draw(key, JITTER, turn)));
        let fails =
            random_body::unit(random_body::draw(key, ERROR, turn)) < self.error_rate.as_f64();
        let reply = if fails { ReplyKind::Fail } else { ReplyKind::Serve };
        FaultDecision { delay: self.latency.saturating_add(jitter), reply }
    }
}

/// Retry-After in whole seconds, rounded up, so that a client that obeys it is never too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A fixed rate window. A request opens it, and it admits the number of requests of the rate; the first request after its
/// end opens the next one.
struct RateWindow {
    rate: Rate,
    ends: Option<Instant>,
    admitted: u32,
}

impl RateWindow {
    fn new(rate: Rate) -> Self {
        Self { rate, ends: None, admitted: 0 }
    }

    /// Admits a request; if the window is full, returns the time until it ends.
    fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.ends {
            Some(ends) if now < ends && self.admitted == self.rate.events.get() => {
                return Err(ends - now);
            }
            Some(ends) if now < ends => self.admitted += 1,
            _ => (self.ends, self.admitted) = (Some(now + self.rate.per), 1),
        }
        Ok(())
    }
}

/// Counts the requests per path in bounded memory. When the young generation is full, it becomes the old one, and the
/// previous old one is dropped. A path is remembered if fewer than `max_paths` other paths are requested between two
/// requests for it; otherwise its count starts again at zero.
struct RequestCounts {
    /// The maximum number of paths per generation.
    max_paths: usize,
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
}

impl RequestCounts {
    fn with_max_paths(max_paths: usize) -> Self {
        Self { max_paths, young: HashMap::new(), old: HashMap::new() }
    }

    /// Counts a request and returns the number of earlier ones.
    fn count(&mut self, key: u64) -> u64 {
        if let Some(count) = self.young.get_mut(&key) {
            *count += 1;
            return *count - 1;
        }
        if self.young.len() >= self.max_paths {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let before = self.old.get(&key).copied().unwrap_or(0);
        self.young.insert(key, before + 1);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;

    const SECOND: Duration = Duration::from_secs(1);

    fn failing(share: &str) -> FaultPolicy {
        FaultPolicy::new(Duration::ZERO, Duration::ZERO, units::share(share).unwrap(), None)
    }

    fn replies(faults: &mut FaultPolicy, keys: impl Iterator<Item = u64>) -> Vec<ReplyKind> {
        keys.map(|key| faults.decide(key, Instant::now()).reply).collect()
    }

    #[test]
    fn the_share_of_errors_is_the_share_asked_for() {
        let errors = |share: &str| {
            let replies = replies(
                &mut failing(share),
                (0..20_000).map(|n| random_body::key(0, &n.to_string())),
            );
            replies.iter().filter(|reply| **reply == ReplyKind::Fail).count()
        };
        assert_eq!(errors("0%"), 0);
        assert!((350..450).contains(&errors("2%")), "{}", errors("2%"));
        assert_eq!(errors("100%"), 20_000);
    }

    #[test]
    fn what_happens_to_a_request_does_not_depend_on_the_requests_for_other_paths() {
        let alone = replies(&mut failing("50%"), std::iter::repeat_n(5, 64));
        let mut faults = failing("50%");
        let among_others: Vec<_> = (0..64u64)
            .map(|n| {
                faults.decide(100 + n, Instant::now());
                faults.decide(5, Instant::now()).reply
            })
            .collect();
        assert_eq!(alone, among_others);
        assert!(alone.contains(&ReplyKind::Fail) && alone.contains(&ReplyKind::Serve));
    }

    #[test]
    fn jitter_lies_between_nothing_and_its_most_and_is_drawn_anew_each_time() {
        let mut faults = FaultPolicy::new(SECOND, SECOND, Share::NONE, None);
        let delays: Vec<_> = (0..100).map(|_| faults.decide(5, Instant::now()).delay).collect();
        assert!(delays.iter().all(|delay| (SECOND..2 * SECOND).contains(delay)));
        assert_ne!(delays[0], delays[1]);
        let mut again = FaultPolicy::new(SECOND, SECOND, Share::NONE, None);
        assert!(delays.iter().all(|delay| again.decide(5, Instant::now()).delay == *delay));
    }

    #[test]
    fn a_window_admits_its_number_and_tells_the_others_when_it_ends() {
        let start = Instant::now();
        let mut window = RateWindow::new(units::rate("2/10s").unwrap());
        assert_eq!(window.admit(start), Ok(()));
        assert_eq!(window.admit(start + SECOND), Ok(()));
        assert_eq!(window.admit(start + 2 * SECOND), Err(8 * SECOND));
        assert_eq!(window.admit(start + Duration::from_millis(9_500)), Err(SECOND / 2));
        assert_eq!(window.admit(start + 10 * SECOND), Ok(()));
        assert_eq!(window.admit(start + 30 * SECOND), Ok(()));
        assert_eq!(window.admit(start + 31 * SECOND), Ok(()));
        assert_eq!(window.admit(start + 32 * SECOND), Err(8 * SECOND));
    }

    #[test]
    fn who_waits_as_told_is_admitted() {
        let start = Instant::now();
        let mut window = RateWindow::new(units::rate("1/1500ms").unwrap());
        window.admit(start).unwrap();
        let asked = start + Duration::from_millis(1);
        let wait = whole_seconds(window.admit(asked).unwrap_err());
        assert_eq!(wait, 2);
        assert_eq!(window.admit(asked + Duration::from_secs(wait)), Ok(()));
        assert_eq!(whole_seconds(SECOND), 1);
        assert_eq!(whole_seconds(Duration::from_nanos(1)), 1);
    }

    #[test]
    fn a_refused_request_is_no_visit() {
        let start = Instant::now();
        let mut faults = failing("50%");
        faults.window = Some(RateWindow::new(units::rate("1/s").unwrap()));
        let served: Vec<_> = (0..32u32)
            .map(|turn| {
                let served = faults.decide(5, start + turn * SECOND).reply;
                let refused = faults.decide(5, start + turn * SECOND).reply;
                assert_eq!(refused, ReplyKind::Refuse(SECOND));
                served
            })
            .collect();
        assert_eq!(served, replies(&mut failing("50%"), std::iter::repeat_n(5, 32)));
    }

    #[test]
    fn visits_are_counted_in_bounded_memory() {
        let mut counts = RequestCounts::with_max_paths(100);
        assert_eq!(counts.count(0), 0);
        for other in 1..1000 {
            assert_eq!(counts.count(other), 0);
            assert!(counts.young.len() + counts.old.len() <= 200);
        }
        assert_eq!(counts.count(950), 1);
        assert_eq!(counts.count(950), 2);
        assert_eq!(counts.count(0), 0);
    }
}

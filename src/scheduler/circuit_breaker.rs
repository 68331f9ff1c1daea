//! Whether a host can be reached, and how long that is hoped for. Pure; time is an argument.

use std::time::{Duration, Instant};

use crate::model::Failure;

/// The first pause before a host that cannot be reached is probed; it doubles.
const FIRST_PROBE: Duration = Duration::from_millis(500);

/// The longest pause between two probes.
const LONGEST_PROBE: Duration = Duration::from_secs(8);

/// How a host is.
#[derive(Debug)]
pub(super) enum BreakerState {
    /// It replies, as far as known.
    Closed,
    /// It could not be reached of late: the next job is a probe, and there is one at a time.
    Failing {
        /// Since when: the start of the first of the failures in a row, or the last reply, if that came later.
        since: Instant,
        /// How many there were.
        failures: u32,
        /// The next probe, or the one under way.
        probe: Probe,
        /// The last of them.
        last: Failure,
    },
    /// Nothing more is asked of it: each of its jobs fails like this.
    Open(Failure),
}

/// A job that is to show whether a host can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It may start at this moment.
    At(Instant),
    /// It is under way; it was started at this moment.
    StartedAt(Instant),
}

/// How long a host is hoped for.
#[derive(Debug, Clone, Copy)]
pub(super) struct BreakerConfig {
    /// After so many failures in a row it is left alone for a while.
    pub failures: u32,
    /// After so long without success it is given up.
    pub patience: Duration,
}

impl BreakerState {
    /// A reply came, of whatever kind.
    pub fn on_reached(&mut self) {
        if !matches!(self, Self::Open(Failure::RateLimited { .. })) {
            *self = Self::Closed;
        }
    }

    /// A request starts.
    pub fn on_start(&mut self, now: Instant) {
        if let Self::Failing { probe, .. } = self {
            *probe = Probe::StartedAt(now);
        }
    }

    /// A request ends that was started at this moment. If it was the probe, another one may start.
    pub fn on_end(&mut self, started: Instant) {
        if let Self::Failing { probe, .. } = self
            && matches!(probe, Probe::StartedAt(moment) if *moment <= started)
        {
            *probe = Probe::At(started);
        }
    }

    /// Nothing could be sent. `since` is when that began, if it did not before.
    pub fn on_unreachable(
        &mut self,
        failure: Failure,
        since: Instant,
        breaker_config: BreakerConfig,
        now: Instant,
    ) {
        let (since, failures, under_way) = match self {
            Self::Closed => (since, 1, None),
            Self::Failing { since, failures, probe, .. } => {
                let under_way = matches!(probe, Probe::StartedAt(_)).then_some(*probe);
                (*since, *failures + 1, under_way)
            }
            Self::Open(_) => return,
        };
        let pause = failures.checked_sub(breaker_config.failures).map_or(Duration::ZERO, |more| {
            FIRST_PROBE.saturating_mul(2u32.saturating_pow(more)).min(LONGEST_PROBE)
        });
        let probe = under_way.unwrap_or(Probe::At(now + pause));
        *self = Self::Failing { since, failures, probe, last: failure };
        self.open_after_patience(breaker_config, now);
    }

    /// When patience ends.
    pub fn deadline(&self, breaker_config: BreakerConfig) -> Option<Instant> {
        match self {
            Self::Failing { since, .. } => Some(*since + breaker_config.patience),
            _ => None,
        }
    }

    /// Ends the patience, if its time has come.
    pub fn open_after_patience(&mut self, breaker_config: BreakerConfig, now: Instant) {
        let over = self.deadline(breaker_config).is_some_and(|deadline| deadline <= now);
        if let Self::Failing { last, .. } = self
            && over
        {
            *self = Self::Open(Failure::HostDown(last.to_string()));
        }
    }

    /// Whether something may be tried now.
    pub fn may_probe(&self, now: Instant) -> bool {
        match self {
            Self::Closed => true,
            Self::Failing { probe, .. } => matches!(probe, Probe::At(moment) if *moment <= now),
            Self::Open(_) => false,
        }
    }
}

//! Whether a host can be reached, and how long that is hoped for. Pure; time is an argument.

use std::time::{Duration, Instant};

use crate::record::Failure;

/// The first pause before a host that cannot be reached is probed; it doubles.
const FIRST_PROBE: Duration = Duration::from_millis(500);

/// The longest pause between two probes.
const LONGEST_PROBE: Duration = Duration::from_secs(8);

/// How a host is.
#[derive(Debug)]
pub(super) enum Health {
    /// It replies, as far as known.
    Up,
    /// It could not be reached of late: the next job is a probe, not before its moment.
    Failing {
        /// When the first of the failures in a row began.
        since: Instant,
        /// How many there were.
        failures: u32,
        /// When the next probe may start.
        probe_at: Instant,
        /// The last of them.
        last: Failure,
    },
    /// Nothing more is asked of it: each of its jobs fails like this.
    Barred(Failure),
}

/// How long a host is hoped for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hope {
    /// After so many failures in a row it is left alone for a while.
    pub failures: u32,
    /// After so long without success it is given up.
    pub patience: Duration,
}

impl Health {
    /// A reply came, of whatever kind.
    pub fn reached(&mut self) {
        if !matches!(self, Self::Barred(Failure::RateLimited { .. })) {
            *self = Self::Up;
        }
    }

    /// Nothing could be sent, by a request that was started at `started`.
    pub fn not_reached(&mut self, failure: Failure, started: Instant, hope: Hope, now: Instant) {
        let (since, failures) = match self {
            Self::Up => (started, 1),
            Self::Failing { since, failures, .. } => (*since, *failures + 1),
            Self::Barred(_) => return,
        };
        let pause = failures.checked_sub(hope.failures).map_or(Duration::ZERO, |more| {
            FIRST_PROBE.saturating_mul(2u32.saturating_pow(more)).min(LONGEST_PROBE)
        });
        *self = Self::Failing { since, failures, probe_at: now + pause, last: failure };
        self.lose_patience(hope, now);
    }

    /// When patience ends.
    pub fn deadline(&self, hope: Hope) -> Option<Instant> {
        match self {
            Self::Failing { since, .. } => Some(*since + hope.patience),
            _ => None,
        }
    }

    /// Ends the patience, if its time has come.
    pub fn lose_patience(&mut self, hope: Hope, now: Instant) {
        let over = self.deadline(hope).is_some_and(|deadline| deadline <= now);
        if let Self::Failing { last, .. } = self
            && over
        {
            *self = Self::Barred(Failure::HostDown(last.to_string()));
        }
    }

    /// Whether something may be tried now.
    pub fn may_try(&self, now: Instant) -> bool {
        match self {
            Self::Up => true,
            Self::Failing { probe_at, .. } => *probe_at <= now,
            Self::Barred(_) => false,
        }
    }
}

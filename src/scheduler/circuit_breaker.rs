//! The circuit breaker of a host: after failures to reach it, one probe at a time; after `--host-patience`, its jobs fail.
//! Pure; time is an argument.

use std::time::{Duration, Instant};

use crate::model::Failure;

/// The first pause before a host that cannot be reached is probed; it doubles.
const FIRST_PROBE_DELAY: Duration = Duration::from_millis(500);

/// The longest pause between two probes.
const LONGEST_PROBE_DELAY: Duration = Duration::from_secs(8);

/// Whether a host can be reached.
#[derive(Debug)]
pub(super) enum BreakerState {
    /// It replies, as far as is known.
    Closed,
    /// The last attempts to reach it failed: the next job is a probe, and there is one at a time.
    Failing {
        /// The start of the first of the failures in a row, or the last reply if that came later.
        since: Instant,
        /// Failures in a row.
        failures: u32,
        /// The next probe, or the one in progress.
        probe: Probe,
        /// The last failure.
        last: Failure,
    },
    /// No more requests are made: each of its jobs fails with this.
    Open(Failure),
}

/// A job that shows whether a host can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// It may start at this moment.
    At(Instant),
    /// It is in progress, started at this moment.
    StartedAt(Instant),
}

/// When probes are spaced out, and when the breaker opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct BreakerConfig {
    /// Failures in a row after which probes are spaced out.
    pub failures_before_delay: u32,
    /// Time without success after which the host is given up.
    pub patience: Duration,
}

impl BreakerState {
    /// Records a reply, of whatever kind. It does not close a breaker that opened because the host refused more requests:
    /// that holds for the rest of the run.
    pub(super) fn on_reached(&mut self) {
        if !matches!(self, Self::Open(Failure::HostRefused(_))) {
            *self = Self::Closed;
        }
    }

    /// Records the start of a request.
    pub(super) fn on_start(&mut self, now: Instant) {
        if let Self::Failing { probe, .. } = self {
            *probe = Probe::StartedAt(now);
        }
    }

    /// Records the end of a request that was started at `started`. If it was the probe, another one may start.
    pub(super) fn on_end(&mut self, started: Instant) {
        if let Self::Failing { probe, .. } = self
            && matches!(probe, Probe::StartedAt(moment) if *moment <= started)
        {
            *probe = Probe::At(started);
        }
    }

    /// Records that the host could not be reached; since `since`, if the breaker was closed.
    pub(super) fn on_unreachable(
        &mut self,
        failure: Failure,
        since: Instant,
        breaker_config: BreakerConfig,
        now: Instant,
    ) {
        let (since, failures, probe_in_progress) = match self {
            Self::Closed => (since, 1, None),
            Self::Failing { since, failures, probe, .. } => {
                let in_progress = matches!(probe, Probe::StartedAt(_)).then_some(*probe);
                (*since, *failures + 1, in_progress)
            }
            Self::Open(_) => return,
        };
        let pause = failures.checked_sub(breaker_config.failures_before_delay).map_or(
            Duration::ZERO,
            |more| {
                FIRST_PROBE_DELAY.saturating_mul(2u32.saturating_pow(more)).min(LONGEST_PROBE_DELAY)
            },
        );
        let probe = probe_in_progress.unwrap_or(Probe::At(now + pause));
        *self = Self::Failing { since, failures, probe, last: failure };
        self.open_after_patience(breaker_config, now);
    }

    /// When the breaker opens, if no reply comes; `None` unless the host is failing.
    pub(super) fn deadline(&self, breaker_config: BreakerConfig) -> Option<Instant> {
        match self {
            Self::Failing { since, .. } => Some(*since + breaker_config.patience),
            _ => None,
        }
    }

    /// Opens the breaker if its deadline has passed.
    pub(super) fn open_after_patience(&mut self, breaker_config: BreakerConfig, now: Instant) {
        let over = self.deadline(breaker_config).is_some_and(|deadline| deadline <= now);
        if let Self::Failing { last, .. } = self
            && over
        {
            *self = Self::Open(match last {
                // Nobody has said where the host is; whether it can be reached is not known.
                Failure::Dns { .. } => last.clone(),
                _ => Failure::HostDown(last.to_string()),
            });
        }
    }

    /// Whether a request may be made now.
    pub(super) fn may_start(&self, now: Instant) -> bool {
        match self {
            Self::Closed => true,
            Self::Failing { probe, .. } => matches!(probe, Probe::At(moment) if *moment <= now),
            Self::Open(_) => false,
        }
    }
}

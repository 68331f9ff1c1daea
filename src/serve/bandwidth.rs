//! Bandwidth: computes the size and time of the pieces of a body, so that its average rate is exact.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// The time per piece in seconds: short enough for a smooth transfer, long enough for a low overhead.
const PIECE_SECONDS: f64 = 0.02;

/// The maximum delay that a late body may make up for, so that timers of whole milliseconds do not slow it down.
const MAX_CATCH_UP: Duration = Duration::from_millis(100);

/// A rate, as the time per byte.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Bandwidth {
    seconds_per_byte: f64,
}

impl Bandwidth {
    /// A rate of `bytes` per second.
    pub(super) fn per_second(bytes: NonZeroU64) -> Self {
        Self { seconds_per_byte: 1.0 / bytes.get() as f64 }
    }

    /// The rate at which `bytes` bytes take this time; for zero bytes, that of one byte.
    pub(super) fn spread(bytes: u64, over: Duration) -> Self {
        Self { seconds_per_byte: over.as_secs_f64() / bytes.max(1) as f64 }
    }

    /// The slower of the two.
    pub(super) fn or_slower(self, other: Self) -> Self {
        if other > self { other } else { self }
    }

    /// The length of the next piece in bytes, at most `max_length`.
    pub(super) fn piece(self, max_length: usize) -> usize {
        // The cast saturates, even if a byte takes no time at all.
        ((PIECE_SECONDS / self.seconds_per_byte) as usize).clamp(1, max_length.max(1))
    }

    /// When a piece of `bytes` bytes may be sent, if the previous one was due at `before`. The time of a piece passes before
    /// it is sent, so a body never takes less than its time.
    pub(super) fn due(self, before: Instant, now: Instant, bytes: usize) -> Instant {
        let earliest = now.checked_sub(MAX_CATCH_UP).map_or(before, |limit| before.max(limit));
        earliest + Duration::from_secs_f64(self.seconds_per_byte * bytes as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_second(bytes: u64) -> Bandwidth {
        Bandwidth::per_second(NonZeroU64::new(bytes).unwrap())
    }

    #[test]
    fn pieces_are_small_at_a_slow_pace_and_bounded_at_a_fast_one() {
        assert_eq!(per_second(1).piece(1000), 1);
        assert_eq!(per_second(10_000).piece(1000), 200);
        assert_eq!(per_second(u64::MAX).piece(1000), 1000);
        assert_eq!(Bandwidth::spread(0, Duration::ZERO).piece(1000), 1000);
    }

    #[test]
    fn a_piece_is_paid_for_before_it_goes() {
        let start = Instant::now();
        assert_eq!(per_second(100).due(start, start, 50), start + Duration::from_millis(500));
    }

    #[test]
    fn a_body_that_was_late_catches_up_by_a_credit_and_no_more() {
        let start = Instant::now();
        let late = start + Duration::from_secs(60);
        assert_eq!(per_second(1).due(start, late, 1), late - MAX_CATCH_UP + Duration::from_secs(1));
    }

    #[test]
    fn the_slower_of_two_paces_counts() {
        assert_eq!(per_second(10).or_slower(per_second(20)), per_second(10));
        assert_eq!(per_second(20).or_slower(per_second(10)), per_second(10));
    }
}

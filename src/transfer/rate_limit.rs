//! Limits the byte rate of a whole run, and the number of bytes that it reads.

use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The maximum number of bytes charged in advance for a read; corrected once its size is known.
const ADVANCE: u64 = 16 * 1024;

/// The byte rate of a run, shared by all transfers of all threads (a token bucket without saved tokens, first come first
/// served).
///
/// Fairness: the asynchronous mutex wakes its waiters in the order in which they came, and a reader that comes back
/// joins the end of the queue. So each of N transfers gets an equal share however large its reads are, and only the first
/// in the queue holds a timer.
///
/// Advance charge: how much a read brings is known only after it. If nothing were charged before, all waiting readers
/// would pass at the same moment, as each would find everything paid for; so a reader is charged [`ADVANCE`] bytes when its
/// turn comes, or what is left of its body if that is less, and [`RateLimiter::charge`] corrects this afterwards.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Bytes per second.
    rate: NonZeroU64,
    /// Held by the first reader in the queue; the others wait for it.
    queue: tokio::sync::Mutex<()>,
    /// The moment when all bytes charged so far are paid for.
    paid_until: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// A limiter to `rate` bytes per second.
    pub(super) fn new(rate: NonZeroU64) -> Self {
        let (queue, paid_until) = Default::default();
        Self { rate, queue, paid_until }
    }

    /// Waits until all bytes charged so far are paid for, and charges some in advance. `left` is the number of bytes that
    /// the caller still expects, if known. Returns the number of bytes charged, to be given to [`RateLimiter::charge`].
    pub(super) async fn wait(&self, left: Option<u64>) -> u64 {
        let advance = left.map_or(ADVANCE, |left| left.min(ADVANCE));
        let _first_in_queue = self.queue.lock().await;
        let turn = self.charge(0, 0);
        sleep_until(turn).await;
        self.charge(advance, 0);
        advance
    }

    /// Charges `bytes` that were read, less the `charged` ones that were charged in advance. Returns the moment when
    /// all is paid for. Time during which nobody reads is not saved up: that moment is never in the past.
    pub(super) fn charge(&self, bytes: u64, charged: u64) -> Instant {
        let now = Instant::now();
        let cost = |bytes: u64| Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        let mut paid_until = self.paid_until.lock().expect("lock poisoned");
        let from = paid_until.unwrap_or(now) + cost(bytes);
        let until = from.checked_sub(cost(charged)).unwrap_or(now).max(now);
        *paid_until = Some(until);
        until
    }
}

/// The number of body bytes that a run may read.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    read: AtomicU64,
}

impl Quota {
    /// A quota of `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, read: AtomicU64::new(0) }
    }

    /// Counts bytes that were read. Returns whether the quota covers them.
    pub(super) fn reserve(&self, bytes: u64) -> bool {
        self.read.fetch_add(bytes, Relaxed) + bytes <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn limiter(rate: u64) -> RateLimiter {
        RateLimiter::new(NonZeroU64::new(rate).unwrap())
    }

    /// Starts one reader per element of `pieces`, which reads pieces of that size for `seconds` of a simulated clock.
    /// Returns the number of bytes that each reader got.
    async fn read(rate: u64, pieces: &[u64], seconds: u64) -> Vec<u64> {
        let rate_limiter = Arc::new(limiter(rate));
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut readers = Vec::new();
        for piece in pieces.iter().copied() {
            let rate_limiter = Arc::clone(&rate_limiter);
            readers.push(tokio::spawn(async move {
                let mut read = 0;
                loop {
                    let charged = rate_limiter.wait(None).await;
                    if Instant::now() >= end {
                        return read;
                    }
                    rate_limiter.charge(piece, charged);
                    read += piece;
                }
            }));
        }
        let mut read = Vec::new();
        for reader in readers {
            read.push(reader.await.unwrap());
        }
        read
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_readers_gets_the_rate_and_no_more() {
        const MIB: u64 = 1024 * 1024;
        for readers in [1, 5, 64] {
            let read: u64 = read(MIB, &vec![10_000; readers], 5).await.iter().sum();
            let share = read as f64 / (5 * MIB) as f64;
            assert!((0.95..=1.05).contains(&share), "{readers} readers got {share} of it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn readers_get_equal_shares_whatever_the_rate() {
        let read = read(50_000, &[1000; 4], 20).await;
        let (least, most) = (read.iter().min().unwrap(), read.iter().max().unwrap());
        assert!(most - least <= 2000, "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_are_not_delayed_by_the_advance_charge() {
        let read: u64 = read(1024 * 1024, &[100; 8], 2).await.iter().sum();
        assert!(read as f64 >= 0.9 * 2.0 * 1024.0 * 1024.0 * 0.05, "{read}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_read_without_waiting_delay_the_next_reader() {
        let rate_limiter = limiter(1000);
        let start = Instant::now();
        rate_limiter.charge(2000, 0);
        rate_limiter.wait(Some(1)).await;
        assert_eq!((Instant::now() - start).as_secs_f64().round(), 2.0);
    }

    #[test]
    fn a_quota_covers_its_limit_and_no_byte_more() {
        let quota = Quota::new(10);
        assert!(quota.reserve(4));
        assert!(quota.reserve(6));
        assert!(!quota.reserve(1));
    }
}

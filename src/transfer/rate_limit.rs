//! The byte rate of a whole run: whoever wants to read waits in line until what has been read is paid for, so the rate
//! is divided fairly among all transfers of all threads.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::run_services::RunServices;

/// Bytes that a reader is taken to get until it has told how many it got.
const A_PIECE: u64 = 16 * 1024;

/// The line before the reading.
#[derive(Debug)]
pub struct RateLimiter(RateSource);

#[derive(Debug)]
enum RateSource {
    /// Absent, for there is no limit.
    Unlimited,
    Local(RateLimit),
    /// Where the children of one parent stand.
    Parent(Arc<dyn RunServices>),
}

#[derive(Debug)]
struct RateLimit {
    rate: NonZeroU64,
    /// Readers stand here one behind another; only the foremost watches the time.
    line: tokio::sync::Mutex<()>,
    paid_until: Mutex<Option<Instant>>,
}

/// Leave to read once.
#[derive(Debug)]
pub struct Permit {
    pub(super) advance: u64,
}

impl RateLimiter {
    /// So many bytes a second, or any number.
    pub fn new(rate: Option<NonZeroU64>) -> Self {
        let (line, paid_until) = Default::default();
        Self(rate.map_or(RateSource::Unlimited, |rate| {
            RateSource::Local(RateLimit { rate, line, paid_until })
        }))
    }

    /// The line that `parent` keeps.
    pub fn remote(parent: Arc<dyn RunServices>) -> Self {
        Self(RateSource::Parent(parent))
    }

    /// Whether anybody is ever held up here.
    pub fn is_limited(&self) -> bool {
        !matches!(self.0, RateSource::Unlimited)
    }

    /// Waits until it is this reader's turn. `left` is how much it may still get, where that is known.
    pub async fn wait(&self, left: Option<u64>) -> Permit {
        let limit = match &self.0 {
            RateSource::Unlimited => return Permit { advance: 0 },
            RateSource::Parent(parent) => {
                return Permit { advance: parent.wait_for_rate(left).await };
            }
            RateSource::Local(limit) => limit,
        };
        let advance = left.map_or(A_PIECE, |left| left.min(A_PIECE));
        let _foremost = limit.line.lock().await;
        let turn = limit.charge(0, 0);
        sleep_until(turn).await;
        limit.charge(advance, 0);
        Permit { advance }
    }

    /// So many bytes have been read with this leave.
    pub fn correct(&self, leave: Permit, bytes: u64) {
        match &self.0 {
            RateSource::Unlimited => {}
            RateSource::Parent(parent) => parent.report_read(bytes, leave.advance),
            RateSource::Local(limit) => {
                limit.charge(bytes, leave.advance);
            }
        }
    }

    /// So many bytes have been read without asking.
    pub fn charge(&self, bytes: u64) {
        self.correct(Permit { advance: 0 }, bytes);
    }
}

impl RateLimit {
    /// Books bytes, and takes back others that were booked before; tells when all will be paid for. What is not used
    /// is not saved up.
    fn charge(&self, bytes: u64, back: u64) -> Instant {
        let now = Instant::now();
        let cost = |bytes: u64| Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        let mut paid_until = self.paid_until.lock().expect("no holder panics");
        let from = paid_until.unwrap_or(now) + cost(bytes);
        let until = from.checked_sub(cost(back)).unwrap_or(now).max(now);
        *paid_until = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Reads pieces of such sizes with so many readers for some seconds of a made-up clock; the bytes of each.
    async fn read(rate: u64, pieces: &[u64], seconds: u64) -> Vec<u64> {
        let rate_limiter = Arc::new(RateLimiter::new(NonZeroU64::new(rate)));
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut readers = Vec::new();
        for piece in pieces.iter().copied() {
            let rate_limiter = Arc::clone(&rate_limiter);
            readers.push(tokio::spawn(async move {
                let mut read = 0;
                loop {
                    let leave = rate_limiter.wait(None).await;
                    if Instant::now() >= end {
                        return read;
                    }
                    rate_limiter.correct(leave, piece);
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
    async fn small_bodies_are_not_held_up_by_what_they_might_have_been() {
        let read: u64 = read(1024 * 1024, &[100; 8], 2).await.iter().sum();
        assert!(read as f64 >= 0.9 * 2.0 * 1024.0 * 1024.0 * 0.05, "{read}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_without_asking_is_paid_for_by_the_next() {
        let rate_limiter = RateLimiter::new(NonZeroU64::new(1000));
        let start = Instant::now();
        rate_limiter.charge(2000);
        rate_limiter.wait(Some(1)).await;
        assert_eq!((Instant::now() - start).as_secs_f64().round(), 2.0);
    }

    #[tokio::test]
    async fn without_a_limit_nobody_waits() {
        let rate_limiter = RateLimiter::new(None);
        rate_limiter.charge(u64::MAX);
        rate_limiter.wait(None).await;
    }
}

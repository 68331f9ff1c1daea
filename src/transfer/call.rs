//! What is known of a request while it is under way: shared between the transfer, the connection made for it and
//! the clock that watches both.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use url::Url;

use crate::plan::Clocks;
use crate::record::{Cause, Failure, Job};

tokio::task_local! {
    /// The request that this task makes. A client tells neither its connector nor its resolver which request they
    /// work for; both are first polled by the task that makes it.
    pub static CALL: Arc<Call>;
}

/// A request under way. Moments are microseconds since the start, plus one, so that zero means not yet.
#[derive(Debug)]
pub struct Call {
    url: Url,
    addresses: Option<Arc<[IpAddr]>>,
    started: Instant,
    connecting: AtomicU64,
    connected: AtomicU64,
    progress: AtomicU64,
    bytes: AtomicU64,
}

impl Call {
    pub fn new(job: &Job, started: Instant) -> Self {
        let zero = AtomicU64::default;
        Self {
            url: job.url.clone(),
            addresses: job.addresses.clone(),
            started,
            connecting: zero(),
            connected: zero(),
            progress: zero(),
            bytes: zero(),
        }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What the host's name was resolved to, if that was done before.
    pub fn addresses(&self) -> Option<Arc<[IpAddr]>> {
        self.addresses.clone()
    }

    /// A connection is being made. When the token is dropped it is not any more, whatever came of it.
    pub fn connects(self: &Arc<Self>) -> Connecting {
        self.connecting.store(self.moment(), Relaxed);
        Connecting(Arc::clone(self))
    }

    /// So many body bytes have arrived.
    pub fn receives(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.progress.store(self.moment(), Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Whether a connection was begun for this request, rather than an open one taken.
    pub fn dialled(&self) -> bool {
        self.connecting.load(Relaxed) > 0
    }

    /// From the start to the connection; `None` if none was made.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn moment(&self) -> u64 {
        self.started.elapsed().as_micros() as u64 + 1
    }

    /// The moment when silence becomes a stall; `None` while a connection is being made, which has its own clock.
    fn stalls_at(&self, stall: Duration) -> Option<Instant> {
        let progress = self.progress.load(Relaxed);
        if progress == 0 && self.dialled() {
            return None;
        }
        Some(self.started + Duration::from_micros(progress) + stall)
    }
}

/// A connection being made for a request.
pub struct Connecting(Arc<Call>);

impl Connecting {
    pub fn succeeds(self) {
        self.0.connected.store(self.0.moment(), Relaxed);
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.progress.store(self.0.moment(), Relaxed);
    }
}

/// Carries `work` out within its clocks: the one for the next byte, the one for the attempt, and the end of the run.
///
/// # Errors
/// [`Failure::Stalled`], [`Failure::Timeout`] or [`Failure::Cancelled`], whichever comes first.
pub async fn watched<T>(
    call: &Call,
    clocks: &Clocks,
    cut: impl Future<Output = Cause>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let attempt_ends = clocks.attempt.map(|attempt| call.started + attempt);
    let next_look = |now: Instant| {
        let stall = call.stalls_at(clocks.stall).unwrap_or(now + clocks.stall);
        attempt_ends.map_or(stall, |end| end.min(stall))
    };
    let alarm = tokio::time::sleep_until(next_look(call.started).into());
    tokio::pin!(alarm, cut, work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            cause = &mut cut => return Err(Failure::Cancelled(cause)),
            () = &mut alarm => {
                let now = Instant::now();
                if let (Some(end), Some(limit)) = (attempt_ends, clocks.attempt) && end <= now {
                    return Err(Failure::Timeout(limit));
                }
                if call.stalls_at(clocks.stall).is_some_and(|moment| moment <= now) {
                    return Err(Failure::Stalled(clocks.stall));
                }
                alarm.as_mut().reset(next_look(now).into());
            }
        }
    }
}

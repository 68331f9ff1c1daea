//! What is known of a request while it is under way: shared between the transfer, the connection made for it and
//! the clock that watches both.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use url::Url;

use super::context::TransferContext;
use crate::model::{Failure, Job, StopCause};
use crate::plan::Timeouts;

tokio::task_local! {
    /// The request that this task makes. A client tells neither its connector nor its resolver which request they
    /// work for; both are first polled by the task that makes it.
    pub static CURRENT_REQUEST: Arc<RequestState>;
}

/// A request under way. Moments are microseconds since the start, plus one, so that zero means not yet.
#[derive(Debug)]
pub struct RequestState {
    url: Url,
    addresses: Option<Arc<[IpAddr]>>,
    started: Instant,
    connecting: AtomicU64,
    connected: AtomicU64,
    own: Mutex<Option<SocketAddr>>,
    progress: AtomicU64,
    held_up: AtomicBool,
    bytes: AtomicU64,
}

impl RequestState {
    pub fn new(job: &Job, started: Instant) -> Self {
        let zero = AtomicU64::default;
        Self {
            url: job.url.clone(),
            addresses: job.addresses.clone(),
            started,
            connecting: zero(),
            connected: zero(),
            own: Mutex::default(),
            progress: zero(),
            held_up: AtomicBool::new(false),
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
    pub fn start_connect(self: &Arc<Self>) -> ConnectTimer {
        self.connecting.store(self.moment(), Relaxed);
        ConnectTimer(Arc::clone(self))
    }

    /// Waits until the byte rate of the run allows a read, and returns the number of bytes charged in advance. The time is
    /// not counted as a stall.
    pub async fn wait_for_rate(&self, context: &TransferContext, promised: Option<u64>) -> u64 {
        if !context.config.is_rate_limited {
            return 0;
        }
        self.held_up.store(true, Relaxed);
        let left = promised.map(|promised| promised.saturating_sub(self.bytes()));
        let charged = context.wait_for_rate(left).await;
        self.progress.store(self.moment(), Relaxed);
        self.held_up.store(false, Relaxed);
        charged
    }

    /// So many body bytes have arrived.
    pub fn on_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.progress.store(self.moment(), Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The request is sent again: a connection made for it before may have served another one meanwhile.
    pub fn release_connection(&self) {
        *self.own.lock().expect("no holder panics") = None;
    }

    /// Whether the connection with this local address was made for the request. One may be made in vain: where
    /// another becomes idle first, the library takes that.
    pub fn claim_connection(&self, connection: SocketAddr) -> bool {
        *self.own.lock().expect("no holder panics") == Some(connection)
    }

    /// From the start to the connection; `None` if none was made.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn moment(&self) -> u64 {
        self.started.elapsed().as_micros() as u64 + 1
    }

    /// The moment when silence becomes a stall; `None` while a connection is being made, which has its own clock, and
    /// while it is us who do not read.
    fn stall_deadline(&self, stall: Duration) -> Option<Instant> {
        let progress = self.progress.load(Relaxed);
        let connecting = progress == 0 && self.connecting.load(Relaxed) > 0;
        if connecting || self.held_up.load(Relaxed) {
            return None;
        }
        Some(self.started + Duration::from_micros(progress) + stall)
    }
}

/// A connection being made for a request.
pub struct ConnectTimer(Arc<RequestState>);

impl ConnectTimer {
    /// There it is, with this local address.
    pub fn succeeds(self, connection: Option<SocketAddr>) {
        *self.0.own.lock().expect("no holder panics") = connection;
        self.0.connected.store(self.0.moment(), Relaxed);
    }
}

impl Drop for ConnectTimer {
    fn drop(&mut self) {
        self.0.progress.store(self.0.moment(), Relaxed);
    }
}

/// Carries `work` out within its clocks: the one for the next byte, the one for the attempt, and the end of the run.
///
/// # Errors
/// [`Failure::Stalled`], [`Failure::Timeout`] or [`Failure::Cancelled`], whichever comes first.
pub async fn with_timeouts<T>(
    request_state: &RequestState,
    timeouts: &Timeouts,
    cut: impl Future<Output = StopCause>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let attempt_ends = timeouts.attempt.map(|attempt| request_state.started + attempt);
    let next_look = |now: Instant| {
        let stall = request_state.stall_deadline(timeouts.stall).unwrap_or(now + timeouts.stall);
        attempt_ends.map_or(stall, |end| end.min(stall))
    };
    let alarm = tokio::time::sleep_until(next_look(request_state.started).into());
    tokio::pin!(alarm, cut, work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            cause = &mut cut => return Err(Failure::Cancelled(cause)),
            () = &mut alarm => {
                let now = Instant::now();
                if let (Some(end), Some(limit)) = (attempt_ends, timeouts.attempt) && end <= now {
                    return Err(Failure::Timeout(limit));
                }
                if request_state.stall_deadline(timeouts.stall).is_some_and(|moment| moment <= now) {
                    return Err(Failure::Stalled(timeouts.stall));
                }
                alarm.as_mut().reset(next_look(now).into());
            }
        }
    }
}

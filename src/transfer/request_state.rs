//! Timestamps and counters of a request in progress, shared by the transfer, the connection made for it and the timeouts of
//! both.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use url::Url;

use super::client::ProxyRoute;
use super::context::TransferContext;
use super::happy_eyeballs::Candidates;
use crate::model::{Failure, Job, StopCause};
use crate::plan::Timeouts;
use crate::policy::suspension::was_suspended;

/// How often an attempt is given more time because the process was stopped: a machine that is always late has no other end.
const MOST_STOPS: usize = 5;

tokio::task_local! {
    /// The request that the current task makes. The library does not tell its connector and resolver for which request they
    /// work; but both are first polled by the task that makes the request.
    pub static CURRENT_REQUEST: Arc<RequestState>;
}

/// A request in progress. Moments are microseconds since the start, plus one, so that zero means not yet.
#[derive(Debug)]
pub(super) struct RequestState {
    url: Url,
    addresses: Option<Arc<[IpAddr]>>,
    started: Instant,
    connecting: AtomicU64,
    connected: AtomicU64,
    own: Mutex<Option<SocketAddr>>,
    progress: AtomicU64,
    held_up: AtomicBool,
    bytes: AtomicU64,
    route: ProxyRoute,
    certificate: Option<usize>,
    client: AtomicU64,
    candidates: Mutex<Candidates>,
    is_in_tls_handshake: AtomicBool,
    looked_up: Mutex<Option<String>>,
}

impl RequestState {
    /// The request for `job` over this route, which may show the client certificate with this number.
    pub(super) fn new(
        job: &Job,
        route: ProxyRoute,
        certificate: Option<usize>,
        started: Instant,
    ) -> Self {
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
            route,
            certificate,
            client: zero(),
            candidates: Mutex::default(),
            is_in_tls_handshake: AtomicBool::new(false),
            looked_up: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The addresses of the host, if they were looked up before.
    pub(super) fn addresses(&self) -> Option<Arc<[IpAddr]>> {
        self.addresses.clone()
    }

    /// Marks a connection attempt as in progress until the returned guard is dropped.
    pub(super) fn start_connect(self: &Arc<Self>) -> ConnectTimer {
        self.connecting.store(self.moment(), Relaxed);
        self.is_in_tls_handshake.store(false, Relaxed);
        ConnectTimer(Arc::clone(self))
    }

    /// Waits until the byte rate of the run allows a read, and returns the number of bytes charged in advance. The time is
    /// not counted as a stall.
    pub(super) async fn wait_for_rate(
        &self,
        context: &TransferContext,
        promised: Option<u64>,
    ) -> u64 {
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

    /// Counts body bytes that have arrived.
    pub(super) fn on_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.progress.store(self.moment(), Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// How its connection is made.
    pub(super) fn route(&self) -> ProxyRoute {
        self.route
    }

    /// Whether it is a proxy that replies: its own replies cannot be told from those that it passes on. Through a tunnel, it is
    /// the origin.
    pub(super) fn is_answered_by_proxy(&self) -> bool {
        self.route == ProxyRoute::ByProxy && self.url.scheme() == "http"
    }

    /// The addresses to which its connection may be made.
    pub(super) fn candidates(&self) -> MutexGuard<'_, Candidates> {
        self.candidates.lock().expect("lock poisoned")
    }

    /// Notes that `name` was looked up to make its connection.
    pub(super) fn set_looked_up(&self, name: &str) {
        *self.looked_up.lock().expect("lock poisoned") = Some(name.to_owned());
    }

    /// The name that was looked up to make its connection; `None` if the addresses were known before.
    pub(super) fn take_looked_up(&self) -> Option<String> {
        self.looked_up.lock().expect("lock poisoned").take()
    }

    /// Notes that a TLS handshake begins for the request of this task, so the current address has answered.
    pub(super) fn note_handshake() {
        let _ =
            CURRENT_REQUEST.try_with(|request| request.is_in_tls_handshake.store(true, Relaxed));
    }

    /// Whether a TLS handshake has begun on the connection that is being made.
    pub(super) fn is_in_tls_handshake(&self) -> bool {
        self.is_in_tls_handshake.load(Relaxed)
    }

    /// Whether the time `limit` for its connection was over long ago, because the process was stopped meanwhile.
    pub(super) fn is_connect_late(&self, limit: Duration) -> bool {
        let connecting = Duration::from_micros(self.connecting.load(Relaxed));
        was_suspended(self.started + connecting + limit, Instant::now())
    }

    /// The number of the client certificate that its connection may show.
    pub(super) fn certificate(&self) -> Option<usize> {
        self.certificate
    }

    /// The client with this number sends the request.
    pub(super) fn set_client(&self, number: u64) {
        self.client.store(number, Relaxed);
    }

    /// The number of the client that sends the request.
    pub(super) fn client(&self) -> u64 {
        self.client.load(Relaxed)
    }

    /// Forgets the connection made for the request, before it is sent again: meanwhile it may have served another request.
    pub(super) fn release_connection(&self) {
        *self.own.lock().expect("lock poisoned") = None;
    }

    /// Whether the connection with this local address was made for the request. It need not be the one that the request uses:
    /// if another connection becomes idle first, the library takes that.
    pub(super) fn claim_connection(&self, connection: SocketAddr) -> bool {
        *self.own.lock().expect("lock poisoned") == Some(connection)
    }

    /// The time from the start to the connection; `None` if none was made.
    pub(super) fn connect_time(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    /// The time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn moment(&self) -> u64 {
        self.started.elapsed().as_micros() as u64 + 1
    }

    /// The moment from which silence is a stall; `None` while a connection is being made, which has a timeout of its own, and
    /// while the byte rate keeps us from reading.
    fn stall_deadline(&self, stall: Duration) -> Option<Instant> {
        let progress = self.progress.load(Relaxed);
        let connecting = progress == 0 && self.connecting.load(Relaxed) > 0;
        if connecting || self.held_up.load(Relaxed) {
            return None;
        }
        Some(self.started + Duration::from_micros(progress) + stall)
    }
}

/// A guard for a connection attempt of a request.
pub(super) struct ConnectTimer(Arc<RequestState>);

impl ConnectTimer {
    /// Reports that the connection is open, with this local address.
    pub(super) fn succeeds(self, connection: Option<SocketAddr>) {
        *self.0.own.lock().expect("lock poisoned") = connection;
        self.0.connected.store(self.0.moment(), Relaxed);
    }
}

impl Drop for ConnectTimer {
    fn drop(&mut self) {
        self.0.progress.store(self.0.moment(), Relaxed);
    }
}

/// The clocks of one attempt.
struct Clocks<'a> {
    request_state: &'a RequestState,
    timeouts: &'a Timeouts,
    /// When `--max-time` is over.
    attempt_ends: Option<Instant>,
    /// When the process last ran again after it was stopped.
    resumed: Option<Instant>,
    /// How often it was stopped.
    stops: usize,
}

impl<'a> Clocks<'a> {
    fn new(request_state: &'a RequestState, timeouts: &'a Timeouts) -> Self {
        let attempt_ends = timeouts.attempt.map(|attempt| request_state.started + attempt);
        Self { request_state, timeouts, attempt_ends, resumed: None, stops: 0 }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        let stall = self.timeouts.stall;
        let deadline = self.request_state.stall_deadline(stall)?;
        Some(self.resumed.map_or(deadline, |resumed| deadline.max(resumed + stall)))
    }

    fn next_check(&self, now: Instant) -> Instant {
        let stall = self.stall_deadline().unwrap_or(now + self.timeouts.stall);
        self.attempt_ends.map_or(stall, |end| end.min(stall))
    }

    /// Fails if a clock has run out. An alarm that was missed because the process was stopped moves them instead.
    fn check(&mut self, due: Instant, now: Instant) -> Result<(), Failure> {
        if self.stops < MOST_STOPS && was_suspended(due, now) {
            self.stops += 1;
            self.resumed = Some(now);
            self.attempt_ends = self.attempt_ends.map(|end| end + (now - due));
        }
        if let (Some(end), Some(limit)) = (self.attempt_ends, self.timeouts.attempt)
            && end <= now
        {
            return Err(Failure::Timeout(limit));
        }
        if self.stall_deadline().is_some_and(|moment| moment <= now) {
            return Err(Failure::Stalled(self.timeouts.stall));
        }
        Ok(())
    }
}

/// Runs `work` under its timeouts: `--stall-timeout`, `--max-time`, and `cancel`, which resolves when the attempt must end.
///
/// # Errors
/// [`Failure::Stalled`], [`Failure::Timeout`] or [`Failure::Cancelled`], whichever comes first.
pub(super) async fn with_timeouts<T>(
    request_state: &RequestState,
    timeouts: &Timeouts,
    cancel: impl Future<Output = StopCause>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut clocks = Clocks::new(request_state, timeouts);
    let alarm = tokio::time::sleep_until(clocks.next_check(request_state.started).into());
    tokio::pin!(alarm, cancel, work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            cause = &mut cancel => return Err(Failure::Cancelled(cause)),
            () = &mut alarm => {
                let (due, now) = (alarm.deadline().into_std(), Instant::now());
                clocks.check(due, now)?;
                alarm.as_mut().reset(clocks.next_check(now).into());
            }
        }
    }
}

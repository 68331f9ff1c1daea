//! The state of a request in progress: timestamps, counters and addresses, shared by the transfer, the connection made for it
//! and their timeouts.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use url::Url;

use super::client::ProxyRoute;
use super::context::TransferContext;
use super::happy_eyeballs::Candidates;
use crate::model::{Failure, Job, SpeedRule, StopCause};
use crate::plan::{MinSpeed, Timeouts};
use crate::policy::suspension::was_suspended;

/// How often an attempt is given more time because the process was suspended. Without a limit, an attempt would never time out
/// on a machine whose alarms are always late.
const MAX_SUSPENSIONS: usize = 5;

/// The minimum time between two checks of the speed of a body.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(10);

tokio::task_local! {
    /// The request that the current task makes. The library does not say for which request it calls the connector
    /// and the resolver; but both are first polled by the task that makes the request.
    pub static CURRENT_REQUEST: Arc<RequestState>;
}

/// A request in progress. A moment is stored as microseconds since the start plus one; zero means not yet.
#[derive(Debug)]
pub(super) struct RequestState {
    url: Url,
    addresses: Option<Arc<[IpAddr]>>,
    started: Instant,
    /// When the last attempt to connect began.
    connecting: AtomicU64,
    /// When the connection made for the request was open.
    connected: AtomicU64,
    /// The local address of the connection made for the request.
    own_connection: Mutex<Option<SocketAddr>>,
    /// When something last happened that ends a silence: a connect ended, or bytes arrived.
    progress: AtomicU64,
    /// When the current wait that is not the server's began; zero outside of one.
    held_since: AtomicU64,
    /// The length of earlier such waits, in microseconds.
    held_for: AtomicU64,
    /// When the body began.
    body_from: AtomicU64,
    bytes: AtomicU64,
    route: ProxyRoute,
    certificate: Option<usize>,
    client: AtomicU64,
    candidates: Mutex<Candidates>,
    is_in_tls_handshake: AtomicBool,
    looked_up: Mutex<Option<String>>,
}

impl RequestState {
    /// The state of the request for `job` over `route`, which may show the client certificate with the number `certificate`.
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
            own_connection: Mutex::default(),
            progress: zero(),
            held_since: zero(),
            held_for: zero(),
            body_from: zero(),
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
        let left = promised.map(|promised| promised.saturating_sub(self.bytes()));
        self.hold_clocks(context.wait_for_rate(left)).await
    }

    /// Waits for something that is not the server's: the time is counted neither as a stall nor as slowness.
    pub(super) async fn hold_clocks<T>(&self, wait: impl Future<Output = T>) -> T {
        let from = self.moment();
        self.held_since.store(from, Relaxed);
        let result = wait.await;
        let now = self.moment();
        self.held_for.fetch_add(now - from, Relaxed);
        self.progress.store(now, Relaxed);
        self.held_since.store(0, Relaxed);
        result
    }

    /// Notes that the body begins, so that its speed is measured from now on.
    pub(super) fn start_body(&self) {
        self.body_from.store(self.moment(), Relaxed);
    }

    /// Whether the body has lasted for at least the time of `speed`, and was slower than its rate on average.
    pub(super) fn is_slower_than(&self, speed: MinSpeed) -> bool {
        let sample = self.body_sample().unwrap_or_default();
        speed.is_too_slow(BodySample::default(), sample) == Some(true)
    }

    /// The body bytes that have arrived, and the time that the server had for them; `None` before the body.
    fn body_sample(&self) -> Option<BodySample> {
        let now = self.moment();
        let from = self.body_from.load(Relaxed).checked_sub(1)?;
        let held = match self.held_since.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        let held_in_all = self.held_for.load(Relaxed) + held;
        let time = Duration::from_micros((now - 1 - from).saturating_sub(held_in_all));
        Some(BodySample { bytes: self.bytes(), time })
    }

    /// Counts body bytes that have arrived.
    pub(super) fn on_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.progress.store(self.moment(), Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Where its connection is made to.
    pub(super) fn route(&self) -> ProxyRoute {
        self.route
    }

    /// Whether a proxy replies, whose own replies cannot be distinguished from those of the origin that it passes on. Through
    /// a tunnel (https), the origin replies.
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

    /// Notes that a TLS handshake begins for the request of this task, which means that the current address has answered.
    pub(super) fn note_handshake() {
        let _ =
            CURRENT_REQUEST.try_with(|request| request.is_in_tls_handshake.store(true, Relaxed));
    }

    /// Whether a TLS handshake has begun on the connection that is being made.
    pub(super) fn is_in_tls_handshake(&self) -> bool {
        self.is_in_tls_handshake.load(Relaxed)
    }

    /// Whether the connect timeout `limit` ran out while the process was suspended: it is noticed long after it was due.
    pub(super) fn is_connect_late(&self, limit: Duration) -> bool {
        let connecting = Duration::from_micros(self.connecting.load(Relaxed));
        was_suspended(self.started + connecting + limit, Instant::now())
    }

    /// The number of the client certificate that its connection may show.
    pub(super) fn certificate(&self) -> Option<usize> {
        self.certificate
    }

    /// Notes the number of the client that sends the request.
    pub(super) fn set_client(&self, number: u64) {
        self.client.store(number, Relaxed);
    }

    /// The number of the client that sends the request.
    pub(super) fn client(&self) -> u64 {
        self.client.load(Relaxed)
    }

    /// Forgets the connection made for the request, before it is sent again: meanwhile it may have served another request.
    pub(super) fn forget_own_connection(&self) {
        *self.own_connection.lock().expect("lock poisoned") = None;
    }

    /// Whether the connection with this local address was made for the request. The request may use another one: the library
    /// prefers a connection that becomes idle first.
    pub(super) fn is_own_connection(&self, connection: SocketAddr) -> bool {
        *self.own_connection.lock().expect("lock poisoned") == Some(connection)
    }

    /// The time from the start to the connection; `None` if none was made.
    pub(super) fn connect_time(&self) -> Option<Duration> {
        self.connected.load(Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    /// The time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The present moment, as the fields store it.
    fn moment(&self) -> u64 {
        self.started.elapsed().as_micros() as u64 + 1
    }

    /// The moment at which continued silence is a stall; `None` while a connection is being made, which has its own timeout,
    /// and during a wait that is not the server's.
    fn stall_deadline(&self, stall: Duration) -> Option<Instant> {
        let progress = self.progress.load(Relaxed);
        let connecting = progress == 0 && self.connecting.load(Relaxed) > 0;
        if connecting || self.held_since.load(Relaxed) > 0 {
            return None;
        }
        Some(self.started + Duration::from_micros(progress) + stall)
    }
}

/// A guard for a connection that is being made for a request.
pub(super) struct ConnectTimer(Arc<RequestState>);

impl ConnectTimer {
    /// Notes that the connection is open, with this local address.
    pub(super) fn on_connected(self, connection: Option<SocketAddr>) {
        *self.0.own_connection.lock().expect("lock poisoned") = connection;
        self.0.connected.store(self.0.moment(), Relaxed);
    }
}

impl Drop for ConnectTimer {
    fn drop(&mut self) {
        self.0.progress.store(self.0.moment(), Relaxed);
    }
}

/// The bytes of a body that have arrived, and the time that the server had for them.
#[derive(Debug, Clone, Copy, Default)]
struct BodySample {
    bytes: u64,
    time: Duration,
}

impl MinSpeed {
    /// Whether a body was too slow between one sample and a later one; `None` if the time between them is less than a period.
    fn is_too_slow(self, from: BodySample, to: BodySample) -> Option<bool> {
        let time = to.time.saturating_sub(from.time);
        let bytes = (to.bytes - from.bytes) as f64;
        (time >= self.over).then(|| bytes < self.rate.get() as f64 * time.as_secs_f64())
    }
}

/// The timeouts of one attempt, as they run.
struct Clocks<'a> {
    request_state: &'a RequestState,
    timeouts: &'a Timeouts,
    /// When `--max-time` is over.
    attempt_ends: Option<Instant>,
    /// The sample at the start of the current period of `--min-speed`.
    speed_from: BodySample,
    /// When the process last resumed after a suspension.
    resumed: Option<Instant>,
    /// The number of suspensions noticed.
    suspensions: usize,
}

impl<'a> Clocks<'a> {
    fn new(request_state: &'a RequestState, timeouts: &'a Timeouts) -> Self {
        let attempt_ends = timeouts.attempt.map(|attempt| request_state.started + attempt);
        let speed_from = BodySample::default();
        Self { request_state, timeouts, attempt_ends, speed_from, resumed: None, suspensions: 0 }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        let stall = self.timeouts.stall;
        let deadline = self.request_state.stall_deadline(stall)?;
        Some(self.resumed.map_or(deadline, |resumed| deadline.max(resumed + stall)))
    }

    /// When to check the timeouts next.
    fn next_check(&self, now: Instant) -> Instant {
        let stall = self.stall_deadline().unwrap_or(now + self.timeouts.stall);
        let next = self.attempt_ends.map_or(stall, |end| end.min(stall));
        self.speed_check(now).map_or(next, |check| check.min(next))
    }

    /// When to check the speed next; `None` without `--min-speed`.
    fn speed_check(&self, now: Instant) -> Option<Instant> {
        let over = self.timeouts.min_speed?.over;
        let sample = self.request_state.body_sample().unwrap_or_default();
        let passed = sample.time.saturating_sub(self.speed_from.time);
        // Not at once if the period is over already: it was checked just now.
        Some(now + over.saturating_sub(passed).max(MIN_CHECK_INTERVAL))
    }

    /// Fails if a period of `--min-speed` is over and the body was too slow in it. Otherwise a new one begins.
    fn check_speed(&mut self) -> Result<(), Failure> {
        let (Some(speed), Some(sample)) =
            (self.timeouts.min_speed, self.request_state.body_sample())
        else {
            return Ok(());
        };
        match speed.is_too_slow(self.speed_from, sample) {
            Some(true) => {
                let rule = SpeedRule::Option;
                Err(Failure::TooSlow { rate: speed.rate.get(), over: speed.over, rule })
            }
            Some(false) => {
                self.speed_from = sample;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Fails if a timeout has run out. If the alarm was missed because the process was suspended, moves the deadlines instead.
    fn check(&mut self, due: Instant, now: Instant) -> Result<(), Failure> {
        if self.suspensions < MAX_SUSPENSIONS && was_suspended(due, now) {
            self.suspensions += 1;
            self.resumed = Some(now);
            self.attempt_ends = self.attempt_ends.map(|end| end + (now - due));
            self.speed_from = self.request_state.body_sample().unwrap_or_default();
        }
        if let (Some(end), Some(limit)) = (self.attempt_ends, self.timeouts.attempt)
            && end <= now
        {
            return Err(Failure::Timeout(limit));
        }
        if self.stall_deadline().is_some_and(|moment| moment <= now) {
            return Err(Failure::Stalled(self.timeouts.stall));
        }
        self.check_speed()
    }
}

/// Runs `work` under its timeouts: `--stall-timeout`, `--max-time`, `--min-speed`, and `cancel`, which resolves when the
/// attempt must end.
///
/// # Errors
/// [`Failure::Stalled`], [`Failure::Timeout`], [`Failure::TooSlow`] or [`Failure::Cancelled`], whichever comes first.
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::model::{QueuedJob, test_fixtures};

    #[test]
    fn a_speed_is_an_average_over_a_whole_stretch() {
        let speed = MinSpeed { rate: NonZeroU64::new(10).unwrap(), over: Duration::from_secs(30) };
        let sample = |bytes, seconds| BodySample { bytes, time: Duration::from_secs(seconds) };
        for (from, to, expected) in [
            (sample(0, 0), sample(0, 29), None),
            (sample(0, 0), sample(299, 30), Some(true)),
            (sample(0, 0), sample(300, 30), Some(false)),
            (sample(0, 0), sample(300, 40), Some(true)),
            (sample(5000, 100), sample(5300, 130), Some(false)),
            (sample(5000, 100), sample(5299, 130), Some(true)),
        ] {
            assert_eq!(speed.is_too_slow(from, to), expected, "{from:?} {to:?}");
        }
    }

    #[tokio::test]
    async fn a_wait_of_our_own_is_not_the_servers_time() {
        let job = QueuedJob::first(test_fixtures::target("http://a.b/"), None, Instant::now());
        let state = RequestState::new(&job.request, ProxyRoute::Direct, None, Instant::now());
        assert!(state.body_sample().is_none(), "there is no body yet");
        let (began, wait) = (Instant::now(), Duration::from_millis(30));
        state.start_body();
        state.hold_clocks(tokio::time::sleep(wait)).await;
        let sample = state.body_sample().unwrap();
        assert!(sample.time + wait <= began.elapsed() + Duration::from_millis(1), "{sample:?}");
    }
}

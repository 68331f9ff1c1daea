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
use crate::model::{Failure, Job, SpeedRule, StopCause};
use crate::plan::{MinSpeed, Timeouts};
use crate::policy::suspension::was_suspended;

/// How often an attempt is given more time because the process was stopped: a machine that is always late has no other end.
const MOST_STOPS: usize = 5;

/// The least time between two looks at the speed of a body.
const LEAST_CHECK: Duration = Duration::from_millis(10);

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
    /// Since when a wait of our own has lasted; zero if there is none.
    held_since: AtomicU64,
    /// Microseconds of earlier waits.
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

    /// Notes that the body begins, whose speed is measured.
    pub(super) fn start_body(&self) {
        self.body_from.store(self.moment(), Relaxed);
    }

    /// Whether the body has brought less than this on average so far, and for at least that long.
    pub(super) fn is_slower_than(&self, speed: MinSpeed) -> bool {
        let sample = self.body_sample().unwrap_or_default();
        speed.is_too_slow(BodySample::default(), sample) == Some(true)
    }

    /// How much of the body has arrived, and how long the server had for that; `None` before the body.
    fn body_sample(&self) -> Option<BodySample> {
        let now = self.moment();
        let from = self.body_from.load(Relaxed).checked_sub(1)?;
        let held = match self.held_since.load(Relaxed) {
            0 => 0,
            since => now.saturating_sub(since),
        };
        let ours = self.held_for.load(Relaxed) + held;
        let time = Duration::from_micros((now - 1 - from).saturating_sub(ours));
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
        if connecting || self.held_since.load(Relaxed) > 0 {
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

/// How much of a body has arrived, and how long the server had for that.
#[derive(Debug, Clone, Copy, Default)]
struct BodySample {
    bytes: u64,
    time: Duration,
}

impl MinSpeed {
    /// Whether a body is too slow, from one sample to a later one: `None` if the stretch between them is not over yet.
    fn is_too_slow(self, from: BodySample, to: BodySample) -> Option<bool> {
        let time = to.time.saturating_sub(from.time);
        let bytes = (to.bytes - from.bytes) as f64;
        (time >= self.over).then(|| bytes < self.rate.get() as f64 * time.as_secs_f64())
    }
}

/// The clocks of one attempt.
struct Clocks<'a> {
    request_state: &'a RequestState,
    timeouts: &'a Timeouts,
    /// When `--max-time` is over.
    attempt_ends: Option<Instant>,
    /// Where the stretch began over which the speed is measured.
    speed_from: BodySample,
    /// When the process last ran again after it was stopped.
    resumed: Option<Instant>,
    /// How often it was stopped.
    stops: usize,
}

impl<'a> Clocks<'a> {
    fn new(request_state: &'a RequestState, timeouts: &'a Timeouts) -> Self {
        let attempt_ends = timeouts.attempt.map(|attempt| request_state.started + attempt);
        let speed_from = BodySample::default();
        Self { request_state, timeouts, attempt_ends, speed_from, resumed: None, stops: 0 }
    }

    fn stall_deadline(&self) -> Option<Instant> {
        let stall = self.timeouts.stall;
        let deadline = self.request_state.stall_deadline(stall)?;
        Some(self.resumed.map_or(deadline, |resumed| deadline.max(resumed + stall)))
    }

    fn next_check(&self, now: Instant) -> Instant {
        let stall = self.stall_deadline().unwrap_or(now + self.timeouts.stall);
        let next = self.attempt_ends.map_or(stall, |end| end.min(stall));
        self.speed_check(now).map_or(next, |check| check.min(next))
    }

    /// When the speed is to be looked at, as far as is known by now.
    fn speed_check(&self, now: Instant) -> Option<Instant> {
        let over = self.timeouts.min_speed?.over;
        let sample = self.request_state.body_sample().unwrap_or_default();
        let passed = sample.time.saturating_sub(self.speed_from.time);
        // Not at once, if the time is over already: it was looked at just now.
        Some(now + over.saturating_sub(passed).max(LEAST_CHECK))
    }

    /// Fails if the body was too slow over the last stretch.
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

    /// Fails if a clock has run out. An alarm that was missed because the process was stopped moves them instead.
    fn check(&mut self, due: Instant, now: Instant) -> Result<(), Failure> {
        if self.stops < MOST_STOPS && was_suspended(due, now) {
            self.stops += 1;
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

/// Runs `work` under its timeouts: `--stall-timeout`, `--max-time`, `--min-speed`, and `cancel`, which resolves when the attempt must end.
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

//! The context that all clients of a run share: configuration, TLS settings, resolver, services and counters. Made once, before
//! the clock starts.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use super::client::{ProxyRoute, ProxyRules};
use super::client_certificate::ClientIdentities;
use super::outgoing::{self, InterfaceError};
use super::resolver::Resolver;
use super::run_services::{LocalServices, RunServices};
use super::tls::{self, TlsError};
use crate::digest::ExpectedDigests;
use crate::model::{Failure, serde_helpers};
use crate::plan::{BodyOptions, HostOverrides, HttpOptions, Plan, Timeouts, Verbosity};
use crate::policy::target_rules::is_forbidden;
use crate::store::Store;

/// The configuration of all clients of a run; plain data, which is also sent to child processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClientConfig {
    pub(super) http: HttpOptions,
    pub(super) timeouts: Timeouts,
    pub(super) bodies: BodyOptions,
    /// Additional header fields by host name.
    pub(super) host_headers: BTreeMap<String, HostHeaders>,
    /// The certificates to show to origins that ask for one.
    pub(super) identities: ClientIdentities,
    /// Certificates (DER) trusted in addition to the system's.
    pub(super) certificates: Vec<Vec<u8>>,
    /// The number of idle connections that a library client may keep open.
    pub(super) idle: usize,
    /// Bytes that the server may send on an HTTP/2 stream before they are read.
    pub(super) http2_window: u32,
    /// The same for all streams of an HTTP/2 connection: enough that a stream that is read slowly does not hold up others.
    pub(super) http2_connection_window: u32,
    /// Whether the run has a byte rate that reads have to wait for.
    pub(super) is_rate_limited: bool,
    /// Whether the run keeps the cookies that replies set.
    pub(super) keeps_cookies: bool,
    /// Whether the heads of requests and replies are recorded (`-vv`).
    pub(super) records_heads: bool,
}

/// The additional header fields for requests to one host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HostHeaders(
    #[serde(with = "serde_helpers::fields")] pub(super) Vec<(http::HeaderName, http::HeaderValue)>,
);

/// Counters of one process, updated by all of its clients.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    pub(super) unlisted: AtomicU64,
    pub(super) withheld: AtomicU64,
    pub(super) uncertified: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) handshakes: AtomicU64,
    /// In nanoseconds.
    pub(super) run_queue_delay: AtomicU64,
}

/// The values of [`Counters`] and of the resolver's count, for a run or for one task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransferCounts {
    /// Requests sent.
    pub requests: u64,
    /// Complete bodies that the checksum file does not name.
    pub unlisted: u64,
    /// Requests for bodies from which a header field of their host was withheld, because others may listen on the way.
    pub withheld: u64,
    /// Replies over plain http, which have no certificate to check (`--min-cert-days`).
    pub uncertified: u64,
    /// Connections opened.
    pub connections: u64,
    /// TLS handshakes with origins.
    pub handshakes: u64,
    /// Host names looked up.
    pub lookups: u64,
    /// The time for which workers were ready to run and waited for a processor, in nanoseconds.
    #[serde(default)]
    pub run_queue_delay: u64,
}

/// The maximum number of origins in an [`OriginSet`]. Beyond it all are forgotten; each is added again when it next shows the
/// property.
const MAX_ORIGINS: usize = 1_000;

/// The origins that have shown a property, such as that they require HTTP/1.1.
#[derive(Debug, Default)]
pub(super) struct OriginSet {
    /// Whether there are any, so that most requests need not take the lock.
    any: AtomicBool,
    origins: Mutex<HashSet<Origin>>,
}

impl OriginSet {
    pub(super) fn insert(&self, origin: Origin) {
        let mut origins = self.origins.lock().expect("lock poisoned");
        if origins.len() >= MAX_ORIGINS {
            origins.clear();
        }
        origins.insert(origin);
        self.any.store(true, Relaxed);
    }

    pub(super) fn contains(&self, url: &Url) -> bool {
        let is_listed = || self.origins.lock().expect("lock poisoned").contains(&url.origin());
        self.any.load(Relaxed) && is_listed()
    }
}

/// What all clients of a run share.
#[derive(Debug)]
pub(crate) struct TransferContext {
    pub(super) config: ClientConfig,
    /// The TLS settings without a client certificate, then those with each of them.
    pub(super) tls: Vec<rustls::ClientConfig>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) proxy_rules: Arc<ProxyRules>,
    /// The origins that have refused a request over HTTP/2 because they require HTTP/1.1.
    pub(super) http1_origins: OriginSet,
    /// The origins that have asked for a client certificate.
    pub(super) certificate_origins: Arc<OriginSet>,
    /// The origins of [`certificate_origins`](Self::certificate_origins) that have replied to a request.
    pub(super) satisfied_origins: OriginSet,
    /// Warnings about the client certificates, for the user.
    warnings: Vec<String>,
    pub(super) counters: Arc<Counters>,
    pub(super) store: Store,
    services: Arc<dyn RunServices>,
    expected_digests: Option<Arc<ExpectedDigests>>,
}

/// Bytes that servers may send on all HTTP/2 streams of a run before they are read; divided among the jobs.
const ALL_HTTP2_WINDOWS: u32 = 10 * 1024 * 1024;

/// The least window of one stream.
const MIN_HTTP2_WINDOW: u32 = 64 * 1024;

/// The greatest window of one stream. With a round trip of 100 ms it allows 20 MiB per second.
const MAX_HTTP2_WINDOW: u32 = 2 * 1024 * 1024;

/// Why a [`TransferContext`] or a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContextError {
    /// A certificate file cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Connections cannot be made from the given interface.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The HTTP library rejects the configuration.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl ClientConfig {
    /// The HTTP options.
    pub(crate) fn http(&self) -> &HttpOptions {
        &self.http
    }

    /// The timeouts of every attempt.
    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The configuration for `plan`. Reads the certificate files. `idle` is the number of idle connections that a
    /// [`Client`](super::Client) may keep open. `warn` is called with each warning.
    fn from_plan(
        plan: &Plan,
        idle: usize,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self, ContextError> {
        let fields = |host: &HostOverrides| HostHeaders(host.headers.clone());
        let hosts = plan.host_limits.hosts.iter();
        let certificates = tls::read_cacerts(&plan.http)?;
        let identities = ClientIdentities::read(plan, warn)?;
        outgoing::ensure_usable(plan.http.interface.as_ref())?;
        let jobs = u32::try_from(plan.strategy.jobs()).unwrap_or(u32::MAX);
        let http2_window =
            (ALL_HTTP2_WINDOWS / jobs.max(1)).clamp(MIN_HTTP2_WINDOW, MAX_HTTP2_WINDOW);
        Ok(Self {
            http: plan.http.clone(),
            timeouts: plan.timeouts,
            bodies: plan.bodies.clone(),
            host_headers: hosts.map(|(name, host)| (name.clone(), fields(host))).collect(),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            // Each client certificate has a library client of its own.
            idle: idle.div_ceil(1 + identities.count()),
            identities,
            http2_window,
            http2_connection_window: ALL_HTTP2_WINDOWS.max(http2_window.saturating_mul(jobs)),
            is_rate_limited: plan.host_limits.limit_rate.is_some(),
            keeps_cookies: plan.cookies.jar.is_some(),
            records_heads: plan.report.verbosity >= Verbosity::Trace,
        })
    }
}

impl TransferContext {
    /// The context of the process that carries the run. `expected` are the digests that bodies must have, `store` is where
    /// bodies go, `idle` is the number of idle connections that a client may keep open.
    ///
    /// # Errors
    /// If a certificate file or the interface of `--interface` cannot be used.
    pub(crate) fn new(
        plan: &Plan,
        resolver: Arc<Resolver>,
        expected: Arc<ExpectedDigests>,
        store: Store,
        idle: usize,
    ) -> Result<Self, ContextError> {
        let mut warnings = Vec::new();
        let config = ClientConfig::from_plan(plan, idle, &mut |warning| warnings.push(warning))?;
        let (rate, quota) = (plan.host_limits.limit_rate, plan.bodies.quota);
        let services = Arc::new(LocalServices::new(rate, quota, store.clone()));
        let expected = (*expected != ExpectedDigests::default()).then_some(expected);
        let context = Self::with_services(config, resolver, services, store, expected);
        Ok(Self { warnings, ..context })
    }

    /// The context of a child process, without expected digests: each task has those of its body.
    pub(crate) fn for_child(
        config: ClientConfig,
        resolver: Arc<Resolver>,
        services: Arc<dyn RunServices>,
        store: Store,
    ) -> Self {
        Self::with_services(config, resolver, services, store, None)
    }

    fn with_services(
        config: ClientConfig,
        resolver: Arc<Resolver>,
        services: Arc<dyn RunServices>,
        store: Store,
        expected_digests: Option<Arc<ExpectedDigests>>,
    ) -> Self {
        let certificate_origins = Arc::default();
        let tls = tls::client_config(&config.http, &config.certificates);
        let tls = config.identities.all_settings(&tls, &certificate_origins);
        let proxy_rules = Arc::new(ProxyRules::new(&config.http.proxy));
        let (counters, http1_origins) = (Arc::default(), OriginSet::default());
        Self {
            config,
            tls,
            resolver,
            proxy_rules,
            http1_origins,
            certificate_origins,
            satisfied_origins: OriginSet::default(),
            warnings: Vec::new(),
            counters,
            store,
            services,
            expected_digests,
        }
    }

    /// The configuration of the clients, for child processes.
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Warnings about the client certificates, for the user.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The services of the run.
    pub(crate) fn services(&self) -> &dyn RunServices {
        &*self.services
    }

    /// The resolver of the run.
    pub(crate) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// Where bodies go.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The digests that bodies of the run must have; `None` if there are none.
    pub(crate) fn expected_digests(&self) -> Option<&ExpectedDigests> {
        self.expected_digests.as_deref()
    }

    /// The counters at this moment.
    pub(crate) fn counts(&self) -> TransferCounts {
        let Counters {
            requests,
            unlisted,
            withheld,
            uncertified,
            connections,
            handshakes,
            run_queue_delay,
        } = &*self.counters;
        TransferCounts {
            requests: requests.load(Relaxed),
            unlisted: unlisted.load(Relaxed),
            withheld: withheld.load(Relaxed),
            uncertified: uncertified.load(Relaxed),
            connections: connections.load(Relaxed),
            handshakes: handshakes.load(Relaxed),
            lookups: self.resolver.lookups(),
            run_queue_delay: run_queue_delay.load(Relaxed),
        }
    }

    /// Adds the counts of a child process or an event loop.
    pub(crate) fn add_counts(&self, counts: TransferCounts) {
        self.counters.requests.fetch_add(counts.requests, Relaxed);
        self.counters.unlisted.fetch_add(counts.unlisted, Relaxed);
        self.counters.withheld.fetch_add(counts.withheld, Relaxed);
        self.counters.uncertified.fetch_add(counts.uncertified, Relaxed);
        self.counters.connections.fetch_add(counts.connections, Relaxed);
        self.counters.handshakes.fetch_add(counts.handshakes, Relaxed);
        self.counters.run_queue_delay.fetch_add(counts.run_queue_delay, Relaxed);
        self.resolver.count(counts.lookups);
    }

    /// The host name that has to be looked up before a connection for `url` can be made; `None` if there is none, a proxy
    /// looks it up, or the URL may not be requested.
    pub(crate) fn name_needed(&self, url: &Url) -> Option<String> {
        if is_forbidden(&self.config.http.targets, url) {
            return None;
        }
        match self.proxy_rules.route_to(url) {
            ProxyRoute::ByProxy => None,
            ProxyRoute::Direct => self.resolver.name_needed(url),
        }
    }

    /// Whether the server of `url` has asked for a client certificate and has not replied to any request since.
    pub(super) fn awaits_certificate(&self, url: &Url) -> bool {
        self.certificate_origins.contains(url) && !self.satisfied_origins.contains(url)
    }

    /// Waits until the byte rate of the run allows a read. Returns the number of bytes charged in advance.
    pub(super) async fn wait_for_rate(&self, left: Option<u64>) -> u64 {
        if self.config.is_rate_limited { self.services.wait_for_rate(left).await } else { 0 }
    }

    /// Charges `bytes` that were read to the byte rate of the run, less the `charged` ones that were charged in advance.
    pub(super) fn report_read(&self, bytes: u64, charged: u64) {
        if self.config.is_rate_limited {
            self.services.report_read(bytes, charged);
        }
    }

    /// Counts body bytes that were read against the quota of the run.
    ///
    /// # Errors
    /// [`Failure::Quota`] if the quota does not cover them.
    pub(super) fn reserve_bytes(&self, bytes: u64) -> Result<(), Failure> {
        match self.config.bodies.quota {
            Some(limit) if bytes > 0 && !self.services.reserve_bytes(bytes) => {
                Err(Failure::Quota { limit })
            }
            _ => Ok(()),
        }
    }
}

impl TransferCounts {
    /// The counts since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            unlisted: self.unlisted - earlier.unlisted,
            withheld: self.withheld - earlier.withheld,
            uncertified: self.uncertified - earlier.uncertified,
            connections: self.connections - earlier.connections,
            handshakes: self.handshakes - earlier.handshakes,
            lookups: self.lookups - earlier.lookups,
            run_queue_delay: self.run_queue_delay - earlier.run_queue_delay,
        }
    }
}

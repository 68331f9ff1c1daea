//! A client: connections, and the state of TLS and of names that they need. It belongs to the runtime that first
//! uses it, so each event loop has one of its own; what can be shared is made once, in the kit.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use reqwest::redirect;
use serde::{Deserialize, Serialize};
use tower::util::MapFutureLayer;
use url::Url;

use super::connect_gate::{ConnectGate, Superseded};
use super::proxy_route::{ProxyRoute, ProxyRoutes};
use super::quota::Quota;
use super::rate_limit::{Permit, RateLimiter};
use super::request_state::{CURRENT_REQUEST, RequestState};
use super::resolver::{ReqwestResolver, Resolver};
use super::run_services::{ClientConfig, HostHeaders, RunServices};
use super::tls::{self, ExtraCert, TlsError, tls_settings};
use crate::digest::ExpectedDigests;
use crate::plan::{BodyOptions, HostOverrides, HttpOptions, HttpVersions, Plan, Proxy, Timeouts};
use crate::store::Store;

/// How long a connection is kept open for a next request.
const IDLE: Duration = Duration::from_secs(30);

/// What all clients of a run share: made once, before the clock starts.
#[derive(Debug)]
pub struct TransferContext {
    pub(super) http: HttpOptions,
    pub(super) hosts: BTreeMap<String, HostOverrides>,
    pub(super) rate_limiter: RateLimiter,
    pub(super) timeouts: Timeouts,
    pub(super) bodies: BodyOptions,
    wanted: RwLock<Option<Arc<ExpectedDigests>>>,
    pub(super) quota: Quota,
    pub(super) store: Store,
    pub(super) resolver: Arc<Resolver>,
    pub(super) routes: ProxyRoutes,
    tls: rustls::ClientConfig,
    /// Certificates trusted beside the system's.
    certificates: Vec<ExtraCert>,
    idle: usize,
    pub(super) requests: AtomicU64,
    pub(super) unlisted: AtomicU64,
    opened: Arc<ConnectionCounters>,
}

/// What was opened so far, by all clients.
#[derive(Debug, Default)]
struct ConnectionCounters {
    connections: AtomicU64,
    handshakes: AtomicU64,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests sent.
    pub requests: u64,
    /// Whole bodies that the file of sums does not name, where there is one.
    pub unlisted: u64,
    /// Connections opened.
    pub connections: u64,
    /// TLS handshakes made with origins.
    pub handshakes: u64,
    /// Names looked up.
    pub lookups: u64,
}

impl Counters {
    /// What was done since then.
    pub fn since(self, then: Self) -> Self {
        Self {
            requests: self.requests - then.requests,
            unlisted: self.unlisted - then.unlisted,
            connections: self.connections - then.connections,
            handshakes: self.handshakes - then.handshakes,
            lookups: self.lookups - then.lookups,
        }
    }
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A certificate file is of no use.
    #[error(transparent)]
    Trust(#[from] TlsError),
    /// The HTTP library refuses the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl TransferContext {
    /// Loads the certificates given by hand. `wanted` is what bodies must hash to, `store` is where bodies go, `idle` is
    /// how many connections a client may keep open without use.
    ///
    /// # Errors
    /// If a certificate file cannot be used.
    pub fn new(
        plan: &Plan,
        resolver: Arc<Resolver>,
        wanted: Arc<ExpectedDigests>,
        store: Store,
        idle: usize,
    ) -> Result<Self, ContextError> {
        let (requests, unlisted, opened) = Default::default();
        let certificates = tls::read_cacerts(&plan.http)?;
        Ok(Self {
            http: plan.http.clone(),
            hosts: plan.host_limits.hosts.clone(),
            timeouts: plan.timeouts,
            bodies: plan.bodies.clone(),
            wanted: RwLock::new(if_any(wanted)),
            quota: Quota::new(plan.bodies.quota),
            store,
            resolver,
            routes: ProxyRoutes::new(&plan.http.proxy),
            rate_limiter: RateLimiter::new(plan.host_limits.limit_rate),
            tls: tls_settings(&plan.http, certificates.clone()),
            certificates,
            idle,
            requests,
            unlisted,
            opened,
        })
    }

    /// What a child process needs to make the same clients.
    pub fn client_config(&self) -> ClientConfig {
        ClientConfig {
            http: self.http.clone(),
            hosts: HostHeaders::from_overrides(&self.hosts),
            timeouts: self.timeouts,
            bodies: self.bodies.clone(),
            certificates: self.certificates.iter().map(|known| known.to_vec()).collect(),
            idle: self.idle,
            is_throttled: self.rate_limiter.is_limited(),
        }
    }

    /// The kit of a child process, whose `parent` keeps what belongs to the whole run.
    pub fn for_child(
        client_config: ClientConfig,
        parent: Arc<dyn RunServices>,
        resolver: impl FnOnce(&HttpOptions) -> Arc<Resolver>,
        store: Store,
    ) -> Self {
        let ClientConfig { http, hosts, timeouts, bodies, certificates, idle, is_throttled } =
            client_config;
        let (wanted, requests, unlisted, opened) = Default::default();
        let certificates: Vec<ExtraCert> = certificates.into_iter().map(ExtraCert::from).collect();
        let rate_limiter = if is_throttled {
            RateLimiter::remote(Arc::clone(&parent))
        } else {
            RateLimiter::new(None)
        };
        Self {
            hosts: HostHeaders::into_overrides(hosts),
            rate_limiter,
            timeouts,
            wanted,
            quota: Quota::remote(bodies.quota, parent),
            bodies,
            store,
            resolver: resolver(&http),
            routes: ProxyRoutes::new(&http.proxy),
            tls: tls_settings(&http, certificates.clone()),
            http,
            certificates,
            idle,
            requests,
            unlisted,
            opened,
        }
    }

    /// What bodies must hash to; `None` if nobody said.
    pub fn expected_digests(&self) -> Option<Arc<ExpectedDigests>> {
        self.wanted.read().expect("no holder panics").clone()
    }

    /// This is what bodies must hash to from now on.
    pub fn set_expected_digests(&self, wanted: ExpectedDigests) {
        *self.wanted.write().expect("no holder panics") = if_any(Arc::new(wanted));
    }

    /// Counts what was done elsewhere.
    pub fn count(&self, done: Counters) {
        self.requests.fetch_add(done.requests, Relaxed);
        self.unlisted.fetch_add(done.unlisted, Relaxed);
        self.opened.connections.fetch_add(done.connections, Relaxed);
        self.opened.handshakes.fetch_add(done.handshakes, Relaxed);
        self.resolver.count(done.lookups);
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            requests: self.requests(),
            unlisted: self.unlisted(),
            connections: self.connections(),
            handshakes: self.handshakes(),
            lookups: self.lookups(),
        }
    }

    /// The name that has to be looked up before a connection for this URL can be made; `None` if there is none, or
    /// a proxy looks it up.
    pub fn name_needed(&self, url: &Url) -> Option<String> {
        match self.routes.route_to(url) {
            ProxyRoute::ByProxy => None,
            ProxyRoute::Direct => self.resolver.name_needed(url),
        }
    }

    /// The resolver of the run.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    /// Where bodies go.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Requests sent so far, by all clients.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Whole bodies so far that the file of sums does not name, where there is one.
    pub fn unlisted(&self) -> u64 {
        self.unlisted.load(Relaxed)
    }

    /// Connections opened so far, by all clients.
    pub fn connections(&self) -> u64 {
        self.opened.connections.load(Relaxed)
    }

    /// TLS handshakes made with origins so far, by all clients.
    pub fn handshakes(&self) -> u64 {
        self.opened.handshakes.load(Relaxed)
    }

    /// Names looked up so far, for all clients.
    pub fn lookups(&self) -> u64 {
        self.resolver.lookups()
    }

    fn build_http_client(&self, opened: Arc<AtomicU64>) -> Result<reqwest::Client, reqwest::Error> {
        let http = &self.http;
        let all = Arc::clone(&self.opened);
        let connect_gate = Arc::new(ConnectGate::new(http.versions));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(http.user_agent.clone())
            .connect_timeout(self.timeouts.connect)
            .dns_resolver(ReqwestResolver(Arc::clone(&self.resolver)))
            .connector_layer(MapFutureLayer::new(move |connecting| {
                timed_connect(
                    connecting,
                    Arc::clone(&connect_gate),
                    Arc::clone(&opened),
                    Arc::clone(&all),
                )
            }))
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if http.versions == HttpVersions::Http1 {
            builder = builder.http1_only();
        }
        builder = match &http.proxy {
            Proxy::Environment if self.routes.may_lead_to_a_proxy() => builder,
            // Else the library would look for a proxy before each request.
            Proxy::Environment | Proxy::Direct => builder.no_proxy(),
            Proxy::Use(url) => {
                let proxy = reqwest::Proxy::all(url.as_str())?;
                builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()))
            }
        };
        builder.build()
    }
}

fn if_any(wanted: Arc<ExpectedDigests>) -> Option<Arc<ExpectedDigests>> {
    (*wanted != ExpectedDigests::default()).then_some(wanted)
}

impl RunServices for TransferContext {
    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move { self.rate_limiter.wait(left).await.advance })
    }

    fn report_read(&self, bytes: u64, booked: u64) {
        self.rate_limiter.correct(Permit { advance: booked }, bytes);
    }

    fn reserve(&self, bytes: u64) -> bool {
        self.quota.take(bytes).is_ok()
    }
}

/// Makes requests, one after another or several at once, over connections of its own.
#[derive(Debug)]
pub struct Client {
    pub(super) context: Arc<TransferContext>,
    current: Mutex<ActiveClient>,
}

#[derive(Debug)]
struct ActiveClient {
    library: reqwest::Client,
    opened: Arc<AtomicU64>,
}

impl Client {
    /// A client for the runtime that will use it.
    ///
    /// # Errors
    /// If the HTTP library refuses the settings.
    pub fn new(context: Arc<TransferContext>) -> Result<Self, ContextError> {
        let current = Mutex::new(ActiveClient::new(&context)?);
        Ok(Self { context, current })
    }

    /// The library's client. It bounds idle connections per host and in time, but not their number; so after as
    /// many new connections as may be idle, it is replaced by a fresh one, and what the old one keeps closes as
    /// soon as its last request is done.
    pub(super) fn http_client(&self) -> reqwest::Client {
        let mut current = self.current.lock().expect("no holder panics");
        if current.opened.load(Relaxed) as usize > self.context.idle
            && let Ok(fresh) = ActiveClient::new(&self.context)
        {
            *current = fresh;
        }
        current.library.clone()
    }
}

impl ActiveClient {
    fn new(context: &TransferContext) -> Result<Self, ContextError> {
        let opened = Arc::<AtomicU64>::default();
        let library = context.build_http_client(Arc::clone(&opened))?;
        Ok(Self { library, opened })
    }
}

/// Tells the request that a connection is made for, and the counters, how it goes.
async fn timed_connect<C: Connection, E: From<Superseded>>(
    connecting: impl Future<Output = Result<C, E>>,
    connect_gate: Arc<ConnectGate>,
    opened: Arc<AtomicU64>,
    all: Arc<ConnectionCounters>,
) -> Result<C, E> {
    let request_state = CURRENT_REQUEST.try_with(Arc::clone).ok();
    let token = request_state.as_ref().map(RequestState::start_connect);
    let opener = match &request_state {
        Some(request_state) => connect_gate.pass(request_state.url()).await?,
        None => None,
    };
    let connection = connecting.await?;
    if let Some(opener) = opener {
        opener.finish(connection.connected().is_negotiated_h2());
    }
    opened.fetch_add(1, Relaxed);
    all.connections.fetch_add(1, Relaxed);
    if request_state.as_ref().is_some_and(|request_state| request_state.url().scheme() == "https") {
        all.handshakes.fetch_add(1, Relaxed);
    }
    // A connection that is finished in the background is for whoever comes next.
    if let Some(token) = token
        && CURRENT_REQUEST.try_with(|_| ()).is_ok()
    {
        token.succeeds(local_address(&connection.connected()));
    }
    Ok(connection)
}

/// This end of a connection, which names it as long as it is open.
pub(super) fn local_address(connected: &Connected) -> Option<SocketAddr> {
    let mut extras = http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.get().map(HttpInfo::local_addr)
}

//! The HTTP client: sends requests over a pool of connections. It belongs to the runtime that first uses it, so each event loop
//! has its own; what clients share is in [`TransferContext`].

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpInfo};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::redirect;
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

use super::client_certificate::Handshakes;
use super::connect_gate::{ConnectGate, ConnectLeader, Superseded};
use super::context::{ContextError, Counters, TransferContext};
use super::fair_turns;
use super::happy_eyeballs;
use super::outgoing;
use super::request_state::{CURRENT_REQUEST, RequestState};
use super::resolver::{ReqwestResolver, Resolver};
use super::tls;
use crate::model::Failure;
use crate::plan::{HttpVersions, Proxy, ProxyUrls};

/// How long an idle connection is kept open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of field lines in the head of a reply.
const MAX_HEAD_LINES: u32 = 256;

/// The maximum size of the head of an HTTP/2 reply, which counts 32 bytes for each line in addition to its text (RFC 9113
/// section 6.5.2). For HTTP/1.1 the library has a limit of its own, 408 KiB.
const MAX_HEAD_SIZE: u32 = 256 * 1024 + MAX_HEAD_LINES * 32;

/// The least and the greatest time after which a PING is sent on a silent HTTP/2 connection. The same time is allowed for the
/// answer.
const PING_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Sends requests, one after another or several at once, over its own connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) context: Arc<TransferContext>,
    /// The library's client for each kind of request. A connection serves requests of one kind only.
    active: Mutex<BTreeMap<ClientKind, ActiveClient>>,
    /// The number of library clients made so far.
    made: AtomicU64,
}

/// What all connections of a library client have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKind {
    /// The versions of HTTP; origins that require HTTP/1.1 have a client of their own.
    versions: HttpVersions,
    /// The number of the client certificate that the connections may show; `None` if they show none.
    certificate: Option<usize>,
}

/// A client of the HTTP library, with its connections.
#[derive(Debug)]
struct ActiveClient {
    library: reqwest::Client,
    /// The number of clients made before it.
    number: u64,
    gate: Arc<ConnectGate>,
    /// The number of connections that it has opened.
    opened: Arc<AtomicU64>,
}

impl Client {
    /// A client for the runtime that will use it.
    ///
    /// # Errors
    /// If the HTTP library rejects the configuration.
    pub(crate) fn new(context: Arc<TransferContext>) -> Result<Self, ContextError> {
        let client = Self { context, active: Mutex::default(), made: AtomicU64::new(0) };
        let kind = ClientKind { versions: client.context.config.http.versions, certificate: None };
        let first = client.new_client(kind)?;
        client.active().insert(kind, first);
        Ok(client)
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<ClientKind, ActiveClient>> {
        self.active.lock().expect("lock poisoned")
    }

    /// The context that this client shares with the others of the run.
    pub(crate) fn context(&self) -> &TransferContext {
        &self.context
    }

    /// The kind of client that sends this request.
    fn kind_for(&self, request_state: &RequestState) -> ClientKind {
        let versions = match self.context.http1_origins.contains(request_state.url()) {
            true => HttpVersions::Http1,
            false => self.context.config.http.versions,
        };
        ClientKind { versions, certificate: request_state.certificate() }
    }

    /// The library's client to send this request with. The library limits idle connections per host and in time, but not their
    /// total; so once a client has opened more connections than may be idle, it is replaced by a new one.
    ///
    /// # Errors
    /// If the HTTP library rejects the configuration.
    pub(super) fn http_client(
        &self,
        request_state: &RequestState,
    ) -> Result<reqwest::Client, Failure> {
        let kind = self.kind_for(request_state);
        let mut active = self.active();
        let used_up =
            |client: &ActiveClient| client.opened.load(Relaxed) as usize > self.context.config.idle;
        if active.get(&kind).is_none_or(used_up) {
            // The connections of the old client are closed when its last request is done.
            active.insert(kind, self.new_client(kind).map_err(unusable)?);
        }
        let client = &active[&kind];
        request_state.set_client(client.number);
        Ok(client.library.clone())
    }

    /// A new client without connections, which sends this request only.
    ///
    /// # Errors
    /// If the HTTP library rejects the configuration.
    pub(super) fn separate_client(
        &self,
        request_state: &RequestState,
    ) -> Result<reqwest::Client, Failure> {
        let client = self.new_client(self.kind_for(request_state)).map_err(unusable)?;
        request_state.set_client(client.number);
        Ok(client.library)
    }

    /// A new client without connections.
    fn new_client(&self, kind: ClientKind) -> Result<ActiveClient, reqwest::Error> {
        ActiveClient::new(&self.context, kind, self.made.fetch_add(1, Relaxed))
    }

    /// Keeps other requests from using the connection of this one. The library closes an HTTP/1.1 connection whose reply was
    /// not read to its end, but goes on using an HTTP/2 connection; to give that up, its client is replaced.
    pub(super) fn leave_connection(&self, request_state: &RequestState) {
        let mut active = self.active();
        // There is none if another request that shared the connection has replaced the client already.
        let sent_it = |client: &ActiveClient| client.number == request_state.client();
        let Some((kind, client)) = active.iter().find(|(_, client)| sent_it(client)) else {
            return;
        };
        if client.gate.may_share(request_state.url())
            && let Ok(fresh) = self.new_client(*kind)
        {
            let kind = *kind;
            active.insert(kind, fresh);
        }
    }
}

fn unusable(error: reqwest::Error) -> Failure {
    Failure::Connect(error.to_string())
}

impl ActiveClient {
    fn new(
        context: &TransferContext,
        kind: ClientKind,
        number: u64,
    ) -> Result<Self, reqwest::Error> {
        let opened = Arc::<AtomicU64>::default();
        let gate = Arc::new(ConnectGate::new(kind.versions));
        let settings = &context.tls[kind.certificate.map_or(0, |number| number + 1)];
        let library = build_http_client(context, settings, Arc::clone(&gate), Arc::clone(&opened))?;
        Ok(Self { library, number, gate, opened })
    }
}

fn build_http_client(
    context: &TransferContext,
    settings: &rustls::ClientConfig,
    gate: Arc<ConnectGate>,
    opened: Arc<AtomicU64>,
) -> Result<reqwest::Client, reqwest::Error> {
    let (http, timeouts) = (&context.config.http, &context.config.timeouts);
    let (resolver, counters) = (Arc::clone(&context.resolver), Arc::clone(&context.counters));
    let versions = gate.versions();
    let tls = tls::with_http_versions(settings, versions);
    let proxy_rules = Arc::clone(&context.proxy_rules);
    let connect = ConnectLayer { gate, opened, resolver, counters, proxy_rules };
    // So that a dead connection is noticed before a request on it stalls.
    let ping_after = (timeouts.stall / 3).clamp(PING_AFTER[0], PING_AFTER[1]);
    let mut builder = outgoing::bind_client(reqwest::Client::builder(), http.interface.as_ref())
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .referer(false)
        .user_agent(http.user_agent.clone())
        .connect_timeout(timeouts.connect)
        .dns_resolver(ReqwestResolver(Arc::clone(&context.resolver)))
        .connector_layer(connect)
        .connection_verbose(fair_turns::install_logger())
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_max_headers(MAX_HEAD_LINES as usize)
        .http2_max_header_list_size(MAX_HEAD_SIZE)
        .http2_initial_stream_window_size(context.config.http2_window)
        .http2_initial_connection_window_size(context.config.http2_connection_window)
        .http2_keep_alive_interval(ping_after)
        .http2_keep_alive_timeout(ping_after)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true);
    if versions == HttpVersions::Http1 {
        builder = builder.http1_only();
    }
    builder = match &http.proxy {
        // Without this the library would look for a proxy before each request.
        Proxy::Direct => builder.no_proxy(),
        Proxy::Use(proxies) => with_proxies(builder, proxies)?,
    };
    builder.build()
}

fn with_proxies(
    mut builder: reqwest::ClientBuilder,
    proxies: &ProxyUrls,
) -> Result<reqwest::ClientBuilder, reqwest::Error> {
    let exceptions = || reqwest::NoProxy::from_string(&proxies.exceptions);
    if let Some(url) = &proxies.http {
        builder = builder.proxy(reqwest::Proxy::http(url.as_str())?.no_proxy(exceptions()));
    }
    if let Some(url) = &proxies.https {
        builder = builder.proxy(reqwest::Proxy::https(url.as_str())?.no_proxy(exceptions()));
    }
    Ok(builder)
}

/// Wraps the library's connector: opens only one connection per origin as long as requests may share it over HTTP/2, and
/// reports each connection to its request and to the counters.
#[derive(Clone)]
struct ConnectLayer {
    gate: Arc<ConnectGate>,
    opened: Arc<AtomicU64>,
    resolver: Arc<Resolver>,
    counters: Arc<Counters>,
    proxy_rules: Arc<ProxyRules>,
}

/// The error of a connection that is given up for one to another address of the host: the request has to be sent again.
#[derive(Debug, thiserror::Error)]
#[error("another address is tried")]
pub(super) struct OtherAddress;

/// The wrapped connector. The library clones it about six times for each request, whether or not that opens a connection,
/// and its own connector has a dozen fields; so both are behind an [`Arc`], and the connector is cloned only to open
/// a connection.
struct GatedConnector<S>(Arc<(S, ConnectLayer)>);

impl<S> Clone for GatedConnector<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Layer<S> for ConnectLayer {
    type Service = GatedConnector<S>;

    fn layer(&self, connector: S) -> GatedConnector<S> {
        GatedConnector(Arc::new((connector, self.clone())))
    }
}

impl<S, R> Service<R> for GatedConnector<S>
where
    S: Service<
            R,
            Response: Connection + Send,
            Error: From<Superseded> + From<OtherAddress> + Send,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    /// Always ready: each call clones the connector, and waits until the clone is ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (connector, layer) = &*shared;
            let mut connector = connector.clone();
            layer
                .connect(async move {
                    poll_fn(|task| connector.poll_ready(task)).await?;
                    connector.call(request).await
                })
                .await
        })
    }
}

impl ConnectLayer {
    /// Runs `connecting` once the gate lets the request pass, and reports the result.
    async fn connect<C: Connection, E: From<Superseded> + From<OtherAddress>>(
        &self,
        connecting: impl Future<Output = Result<C, E>>,
    ) -> Result<C, E> {
        let request_state = CURRENT_REQUEST.try_with(Arc::clone).ok();
        let timer = request_state.as_ref().map(RequestState::start_connect);
        let leader = match &request_state {
            Some(request_state) => self.gate.pass(request_state.url()).await?,
            None => None,
        };
        let connection = match &request_state {
            Some(request) => {
                // The library may finish this in a task of its own, which has no current request.
                let connecting = CURRENT_REQUEST.scope(Arc::clone(request), connecting);
                let connecting =
                    Handshakes::of(request.url(), &self.proxy_rules).during(connecting);
                happy_eyeballs::connect(connecting, request, &self.resolver).await?
            }
            None => Some(connecting.await?),
        };
        let Some(connection) = connection else {
            leader.into_iter().for_each(ConnectLeader::step_back);
            return Err(OtherAddress.into());
        };
        if let Some(leader) = leader {
            leader.finish(connection.connected().is_negotiated_h2());
        }
        self.opened.fetch_add(1, Relaxed);
        self.counters.connections.fetch_add(1, Relaxed);
        if request_state.is_some_and(|request_state| request_state.url().scheme() == "https") {
            self.counters.handshakes.fetch_add(1, Relaxed);
        }
        // If another connection became idle first, the request took that one, and the library finishes this one in a task
        // of its own, for a later request.
        if let Some(timer) = timer
            && CURRENT_REQUEST.try_with(|_| ()).is_ok()
        {
            timer.on_connected(local_address(&connection.connected()));
        }
        Ok(connection)
    }
}

/// The local address of a connection, which identifies it as long as it is open.
pub(super) fn local_address(connected: &Connected) -> Option<SocketAddr> {
    let mut extras = http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.get().map(HttpInfo::local_addr)
}

/// Where the connection for a request is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyRoute {
    /// To the origin.
    Direct,
    /// To a proxy.
    ByProxy,
}

/// Decides whether a request uses a proxy. The HTTP library also decides this, but does not report it, not even in its errors;
/// so its rules are applied here a second time.
#[derive(Debug)]
pub(super) struct ProxyRules(Option<Matcher>);

impl ProxyRules {
    /// The rules of `proxy`.
    pub(super) fn new(proxy: &Proxy) -> Self {
        let Proxy::Use(ProxyUrls { http, https, exceptions }) = proxy else { return Self(None) };
        let text = |url: &Option<Url>| url.as_ref().map_or_else(String::new, Url::to_string);
        let rules = Matcher::builder().http(text(http)).https(text(https));
        Self(Some(rules.no(exceptions.as_str()).build()))
    }

    /// Where the connection for `url` is made to.
    pub(super) fn route_to(&self, url: &Url) -> ProxyRoute {
        match self.proxy_for(url) {
            Some(_) => ProxyRoute::ByProxy,
            None => ProxyRoute::Direct,
        }
    }

    /// The proxy for `url`, if there is one.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        matcher.intercept(&url.as_str().parse::<Uri>().ok()?)
    }
}

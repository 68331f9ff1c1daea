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
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use tower::util::MapFutureLayer;
use url::Url;

use super::call::{CALL, Call};
use super::doors::{Doors, NotNeeded};
use super::parent::{Fields, Outfit, Parent};
use super::quota::Quota;
use super::resolver::{Directory, Resolver};
use super::route::{Route, Routes};
use super::throttle::{Leave, Throttle};
use super::trust::{self, TrustError, Trusted, tls_settings};
use crate::digest::Wanted;
use crate::plan::{Bodies, Clocks, HostManners, Http, Plan, Proxy, Versions};
use crate::store::Store;

/// How long a connection is kept open for a next request.
const IDLE: Duration = Duration::from_secs(30);

/// What all clients of a run share: made once, before the clock starts.
#[derive(Debug)]
pub struct Kit {
    pub(super) http: Http,
    pub(super) hosts: BTreeMap<String, HostManners>,
    pub(super) throttle: Throttle,
    pub(super) clocks: Clocks,
    pub(super) bodies: Bodies,
    wanted: RwLock<Option<Arc<Wanted>>>,
    pub(super) quota: Quota,
    pub(super) store: Store,
    pub(super) resolver: Arc<Resolver>,
    pub(super) routes: Routes,
    tls: ClientConfig,
    /// Certificates trusted beside the system's.
    certificates: Vec<Trusted>,
    idle: usize,
    pub(super) requests: AtomicU64,
    pub(super) unlisted: AtomicU64,
    opened: Arc<Opened>,
}

/// What was opened so far, by all clients.
#[derive(Debug, Default)]
struct Opened {
    connections: AtomicU64,
    handshakes: AtomicU64,
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
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

impl Tally {
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
pub enum KitError {
    /// A certificate file is of no use.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP library refuses the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Kit {
    /// Loads the certificates given by hand. `wanted` is what bodies must hash to, `store` is where bodies go, `idle` is
    /// how many connections a client may keep open without use.
    ///
    /// # Errors
    /// If a certificate file cannot be used.
    pub fn new(
        plan: &Plan,
        resolver: Arc<Resolver>,
        wanted: Arc<Wanted>,
        store: Store,
        idle: usize,
    ) -> Result<Self, KitError> {
        let (requests, unlisted, opened) = Default::default();
        let certificates = trust::given(&plan.http)?;
        Ok(Self {
            http: plan.http.clone(),
            hosts: plan.manners.hosts.clone(),
            clocks: plan.clocks,
            bodies: plan.bodies.clone(),
            wanted: RwLock::new(if_any(wanted)),
            quota: Quota::new(plan.bodies.quota),
            store,
            resolver,
            routes: Routes::new(&plan.http.proxy),
            throttle: Throttle::new(plan.manners.limit_rate),
            tls: tls_settings(&plan.http, certificates.clone()),
            certificates,
            idle,
            requests,
            unlisted,
            opened,
        })
    }

    /// What a child process needs to make the same clients.
    pub fn outfit(&self) -> Outfit {
        Outfit {
            http: self.http.clone(),
            hosts: Fields::of(&self.hosts),
            clocks: self.clocks,
            bodies: self.bodies.clone(),
            certificates: self.certificates.iter().map(|known| known.to_vec()).collect(),
            idle: self.idle,
            is_throttled: self.throttle.is_there(),
        }
    }

    /// The kit of a child process, whose `parent` keeps what belongs to the whole run.
    pub fn of_child(
        outfit: Outfit,
        parent: Arc<dyn Parent>,
        resolver: impl FnOnce(&Http) -> Arc<Resolver>,
        store: Store,
    ) -> Self {
        let Outfit { http, hosts, clocks, bodies, certificates, idle, is_throttled } = outfit;
        let (wanted, requests, unlisted, opened) = Default::default();
        let certificates: Vec<Trusted> = certificates.into_iter().map(Trusted::from).collect();
        let throttle =
            if is_throttled { Throttle::of(Arc::clone(&parent)) } else { Throttle::new(None) };
        Self {
            hosts: Fields::manners(hosts),
            throttle,
            clocks,
            wanted,
            quota: Quota::of(bodies.quota, parent),
            bodies,
            store,
            resolver: resolver(&http),
            routes: Routes::new(&http.proxy),
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
    pub fn wanted(&self) -> Option<Arc<Wanted>> {
        self.wanted.read().expect("no holder panics").clone()
    }

    /// This is what bodies must hash to from now on.
    pub fn want(&self, wanted: Wanted) {
        *self.wanted.write().expect("no holder panics") = if_any(Arc::new(wanted));
    }

    /// Counts what was done elsewhere.
    pub fn count(&self, done: Tally) {
        self.requests.fetch_add(done.requests, Relaxed);
        self.unlisted.fetch_add(done.unlisted, Relaxed);
        self.opened.connections.fetch_add(done.connections, Relaxed);
        self.opened.handshakes.fetch_add(done.handshakes, Relaxed);
        self.resolver.count(done.lookups);
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        Tally {
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
        match self.routes.of(url) {
            Route::ByProxy => None,
            Route::Direct => self.resolver.name_needed(url),
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

    fn library_client(&self, opened: Arc<AtomicU64>) -> Result<reqwest::Client, reqwest::Error> {
        let http = &self.http;
        let all = Arc::clone(&self.opened);
        let doors = Arc::new(Doors::new(http.versions));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(http.user_agent.clone())
            .connect_timeout(self.clocks.connect)
            .dns_resolver(Directory(Arc::clone(&self.resolver)))
            .connector_layer(MapFutureLayer::new(move |connecting| {
                timed(connecting, Arc::clone(&doors), Arc::clone(&opened), Arc::clone(&all))
            }))
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if http.versions == Versions::Http1 {
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

fn if_any(wanted: Arc<Wanted>) -> Option<Arc<Wanted>> {
    (*wanted != Wanted::default()).then_some(wanted)
}

impl Parent for Kit {
    fn turn(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move { self.throttle.wait(left).await.advance })
    }

    fn settle(&self, bytes: u64, booked: u64) {
        self.throttle.settle(Leave { advance: booked }, bytes);
    }

    fn may_have(&self, bytes: u64) -> bool {
        self.quota.take(bytes).is_ok()
    }
}

/// Makes requests, one after another or several at once, over connections of its own.
#[derive(Debug)]
pub struct Client {
    pub(super) kit: Arc<Kit>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    library: reqwest::Client,
    opened: Arc<AtomicU64>,
}

impl Client {
    /// A client for the runtime that will use it.
    ///
    /// # Errors
    /// If the HTTP library refuses the settings.
    pub fn new(kit: Arc<Kit>) -> Result<Self, KitError> {
        let current = Mutex::new(Current::new(&kit)?);
        Ok(Self { kit, current })
    }

    /// The library's client. It bounds idle connections per host and in time, but not their number; so after as
    /// many new connections as may be idle, it is replaced by a fresh one, and what the old one keeps closes as
    /// soon as its last request is done.
    pub(super) fn library(&self) -> reqwest::Client {
        let mut current = self.current.lock().expect("no holder panics");
        if current.opened.load(Relaxed) as usize > self.kit.idle
            && let Ok(fresh) = Current::new(&self.kit)
        {
            *current = fresh;
        }
        current.library.clone()
    }
}

impl Current {
    fn new(kit: &Kit) -> Result<Self, KitError> {
        let opened = Arc::<AtomicU64>::default();
        let library = kit.library_client(Arc::clone(&opened))?;
        Ok(Self { library, opened })
    }
}

/// Tells the request that a connection is made for, and the counters, how it goes.
async fn timed<C: Connection, E: From<NotNeeded>>(
    connecting: impl Future<Output = Result<C, E>>,
    doors: Arc<Doors>,
    opened: Arc<AtomicU64>,
    all: Arc<Opened>,
) -> Result<C, E> {
    let call = CALL.try_with(Arc::clone).ok();
    let token = call.as_ref().map(Call::connects);
    let opener = match &call {
        Some(call) => doors.pass(call.url()).await?,
        None => None,
    };
    let connection = connecting.await?;
    if let Some(opener) = opener {
        opener.finds(connection.connected().is_negotiated_h2());
    }
    opened.fetch_add(1, Relaxed);
    all.connections.fetch_add(1, Relaxed);
    if call.as_ref().is_some_and(|call| call.url().scheme() == "https") {
        all.handshakes.fetch_add(1, Relaxed);
    }
    // A connection that is finished in the background is for whoever comes next.
    if let Some(token) = token
        && CALL.try_with(|_| ()).is_ok()
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

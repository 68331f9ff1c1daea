//! Resolves host names: by `--resolve` and `--connect-to`, otherwise by a lookup that is cached and shared by all clients of
//! the run.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::client::ProxyRoute;
use super::request_state::CURRENT_REQUEST;
use crate::model::Failure;
use crate::plan::{
    AddressFamily, HttpOptions, NetworkInterface, OverrideTarget, ResolveOverride, TargetRules,
};
use crate::policy::target_rules::ensure_address_allowed;
use crate::scheduler::{ADDRESS_LIFETIME, ResolveError};

/// The maximum number of names in the cache, beyond which the oldest is dropped; and of preferred addresses, which are then all
/// dropped.
const MAX_NAMES: usize = 4096;

/// Why a name has no usable address.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host}: {reason}")]
pub(super) struct LookupFailed {
    pub host: String,
    pub reason: String,
    /// Whether the answer is that there is no such name or address, rather than that there was no answer.
    pub is_final: bool,
}

/// The error if none of the addresses of a name may be connected to: the failure for the first one.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(super) struct AddressBlocked(pub Failure);

type LookupResult = Result<Arc<[IpAddr]>, LookupFailed>;

/// The result of a lookup that several requests wait for, once it has one.
type SharedLookup = Arc<OnceCell<LookupResult>>;

/// The resolver of a run. Lookups run on the blocking threads of one runtime, which bounds their number for all clients
/// together.
#[derive(Debug)]
pub(crate) struct Resolver {
    pins: Vec<ResolveOverride>,
    family: AddressFamily,
    interface: Option<NetworkInterface>,
    targets: TargetRules,
    runtime: Handle,
    names: Mutex<DnsCache>,
    /// For each host with several addresses, the one that answered last.
    answered: Mutex<HashMap<String, IpAddr>>,
    lookups: AtomicU64,
}

/// The last lookup of each name.
#[derive(Debug, Default)]
struct DnsCache {
    by_name: HashMap<String, CachedLookup>,
    /// The names, the first one to be looked up first.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct CachedLookup {
    lookup: SharedLookup,
    begun: Instant,
}

impl Resolver {
    /// A resolver whose lookups run on the blocking threads of `runtime`.
    pub(crate) fn new(http: &HttpOptions, runtime: Handle) -> Self {
        let (names, answered, lookups) = Default::default();
        let (pins, family, interface) = (http.pins.clone(), http.family, http.interface.clone());
        let targets = http.targets.clone();
        Self { pins, family, interface, targets, runtime, names, answered, lookups }
    }

    /// The name that has to be looked up before a connection to this URL's host can be made; `None` if there is none.
    pub(crate) fn name_needed(&self, url: &Url) -> Option<String> {
        let host = url.host_str().filter(|_| ip_in_url(url).is_none())?;
        let (host, port) = match self.redirection(url) {
            Some((other, port)) => (other.unwrap_or(host), port.unwrap_or(port_of(url))),
            None => (host, port_of(url)),
        };
        let known =
            self.addresses_by_option(host, port).is_some() || host.parse::<IpAddr>().is_ok();
        (!known).then(|| host.to_owned())
    }

    /// Looks up the addresses of a name that are of the configured family. The answer may come from the cache, if its lookup
    /// began within the last minute and not before `not_before`.
    ///
    /// # Errors
    /// If there are none, or the lookup failed.
    pub(crate) async fn find(
        &self,
        name: String,
        not_before: Option<Instant>,
    ) -> Result<Arc<[IpAddr]>, ResolveError> {
        let failed = |failed: LookupFailed| {
            let LookupFailed { host, reason, is_final } = failed;
            let failure = Failure::Dns { host, reason };
            if is_final {
                ResolveError::NoSuchName(failure)
            } else {
                ResolveError::Unavailable(failure)
            }
        };
        let found = self.lookup(name.clone(), not_before).await.map_err(failed)?;
        self.filter_family(name, &found).map_err(failed)
    }

    /// The number of names looked up so far.
    pub(crate) fn lookups(&self) -> u64 {
        self.lookups.load(Relaxed)
    }

    /// Adds lookups of a child process to the count.
    pub(super) fn count(&self, lookups: u64) {
        self.lookups.fetch_add(lookups, Relaxed);
    }

    /// Checks that `--connect-to` and the address family can be honored for this URL. The library connects to a port that is
    /// written in the URL, whatever the resolver returns; it does not resolve an IP address; and a proxy resolves the origin by
    /// itself.
    ///
    /// # Errors
    /// [`Failure::Pinned`] for `--connect-to`, [`Failure::Dns`] for the address family.
    pub(crate) fn ensure_can_redirect(&self, url: &Url, route: ProxyRoute) -> Result<(), Failure> {
        if route == ProxyRoute::ByProxy {
            return match self.redirection(url) {
                None => Ok(()),
                Some(_) => Err(Failure::Pinned(
                    "--connect-to has no effect behind a proxy, which the environment sets (-x '' disables it)"
                        .to_owned(),
                )),
            };
        }
        let address = ip_in_url(url);
        if address.is_some_and(|address| !self.family_admits(&address)) {
            let reason = format!("not an {}", self.family_name());
            return Err(Failure::Dns {
                host: url.host_str().unwrap_or_default().to_owned(),
                reason,
            });
        }
        let Some((host, port)) = self.redirection(url) else { return Ok(()) };
        let moves_port = port.is_some_and(|port| port != port_of(url));
        let moves_written_port = moves_port && url.port().is_some();
        if moves_written_port || (address.is_some() && (moves_port || host.is_some())) {
            let what =
                if moves_written_port { "the port written in the URL" } else { "an IP address" };
            return Err(Failure::Pinned(format!(
                "--connect-to cannot be used for {what}: not supported for this URL"
            )));
        }
        Ok(())
    }

    /// The host and port to which `--connect-to` redirects this URL, each `None` if it does not change; `None` if no
    /// option applies.
    fn redirection(&self, url: &Url) -> Option<(Option<&str>, Option<u16>)> {
        self.pins.iter().find_map(|pin| match &pin.to {
            OverrideTarget::Endpoint { host, port }
                if applies_to(pin, url.host_str()?, port_of(url)) =>
            {
                Some((host.as_deref(), *port))
            }
            _ => None,
        })
    }

    /// The addresses for the library to connect to for `asked`, the host of a URL or of a proxy. Of several addresses of a
    /// URL's host, only the one to try first; [`happy_eyeballs`](super::happy_eyeballs) tries the others.
    ///
    /// # Errors
    /// [`LookupFailed`], or [`AddressBlocked`] if none of them may be connected to.
    async fn addresses(
        self: Arc<Self>,
        asked: String,
    ) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let url = CURRENT_REQUEST.try_with(|request_state| request_state.url().clone()).ok();
        // The library also asks for the name of a proxy; the options apply only to the URL's own host.
        let url = url.filter(|url| url.host_str() == Some(asked.as_str()));
        let (host, port) = match url.as_ref().and_then(|url| self.redirection(url)) {
            Some((host, port)) => (host.unwrap_or(&asked).to_owned(), port.unwrap_or(0)),
            None => (asked.clone(), 0),
        };
        let target_port = if port == 0 { url.as_ref().map_or(0, port_of) } else { port };
        let known = CURRENT_REQUEST
            .try_with(|request_state| request_state.addresses())
            .ok()
            .flatten()
            .filter(|_| url.is_some());
        let found = match (self.addresses_by_option(&host, target_port), known) {
            (Some(addresses), _) => addresses.into(),
            (None, Some(known)) => known,
            (None, None) => match host.parse::<IpAddr>() {
                Ok(address) => Arc::from([address]),
                Err(_) => {
                    let _ = CURRENT_REQUEST.try_with(|request| request.set_looked_up(&host));
                    self.lookup(host.clone(), None).await?
                }
            },
        };
        let usable = self.filter_allowed(&asked, self.filter_family(host.clone(), &found)?)?;
        let first = CURRENT_REQUEST.try_with(|request| {
            let answered = self.answered.lock().expect("lock poisoned").get(&host).copied();
            let mut candidates = request.candidates();
            let is_one_of_several = request.route() == ProxyRoute::Direct && usable.len() > 1;
            is_one_of_several.then(|| candidates.choose(&host, &usable, answered, target_port))
        });
        let usable = match first {
            Ok(Some(first)) => Arc::from([first]),
            _ => usable,
        };
        Ok(usable.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }

    /// Fails if the system cannot start a thread. Lookups need one, and the runtime has no way to report that there is none.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn ensure_thread() -> std::io::Result<()> {
        let started = std::thread::Builder::new().name("lookup".into()).spawn(|| ())?;
        let _ = started.join();
        Ok(())
    }

    /// The addresses of a proxy; `None` if the lookup fails.
    pub(crate) async fn resolve_proxy(&self, host: &str) -> Option<Arc<[IpAddr]>> {
        match host.parse() {
            Ok(address) => Some(Arc::from([address])),
            Err(_) => self.lookup(host.to_owned(), None).await.ok(),
        }
    }

    /// Makes this address of the host, which has answered, the first to be tried.
    pub(crate) fn prefer(&self, host: &str, answered: IpAddr) {
        let mut all = self.answered.lock().expect("lock poisoned");
        if all.len() >= MAX_NAMES && !all.contains_key(host) {
            all.clear();
        }
        all.insert(host.to_owned(), answered);
    }

    /// Ends the preference for this address of the host, because a connection to it has failed.
    pub(crate) fn stop_preferring(&self, host: &str, address: IpAddr) {
        let mut all = self.answered.lock().expect("lock poisoned");
        if all.get(host) == Some(&address) {
            all.remove(host);
        }
    }

    /// Forgets the cached answer for this name, because no connection could be made with it.
    pub(crate) fn forget(&self, name: &str) {
        let mut names = self.names.lock().expect("lock poisoned");
        if let Some(lookup) = names.by_name.get(name).map(|last| Arc::clone(&last.lookup)) {
            names.forget(name, &lookup);
        }
    }

    /// Those of the addresses `found` that are of the configured family.
    ///
    /// # Errors
    /// [`LookupFailed`] if none of them is.
    fn filter_family(&self, host: String, found: &[IpAddr]) -> LookupResult {
        let usable: Arc<[_]> =
            found.iter().copied().filter(|found| self.family_admits(found)).collect();
        if usable.is_empty() {
            let reason = format!("no {}", self.family_name());
            return Err(LookupFailed { host, reason, is_final: true });
        }
        Ok(usable)
    }

    /// Those of the addresses `found` that may be connected to for a URL of this host: all of them behind a proxy, whose
    /// address is the user's choice.
    ///
    /// # Errors
    /// Why the first one may not be connected to, if none of them may.
    fn filter_allowed(
        &self,
        host: &str,
        found: Arc<[IpAddr]>,
    ) -> Result<Arc<[IpAddr]>, AddressBlocked> {
        let is_by_proxy = CURRENT_REQUEST
            .try_with(|request| request.route() == ProxyRoute::ByProxy)
            .unwrap_or_default();
        if is_by_proxy || !self.targets.judge_addresses() {
            return Ok(found);
        }
        let judge = |address: &IpAddr| ensure_address_allowed(&self.targets, host, *address);
        let allowed: Arc<[_]> =
            found.iter().copied().filter(|address| judge(address).is_ok()).collect();
        match found.first().map(judge) {
            Some(Err(failure)) if allowed.is_empty() => Err(AddressBlocked(failure)),
            _ => Ok(allowed),
        }
    }

    /// The addresses that `--resolve` sets for a host and port; `None` if it sets none.
    fn addresses_by_option(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        self.pins.iter().find_map(|pin| match &pin.to {
            OverrideTarget::Addresses(addresses) if applies_to(pin, host, port) => {
                Some(&addresses[..])
            }
            _ => None,
        })
    }

    /// The addresses of a name, from the cache or looked up now. Concurrent calls for one name share a lookup.
    async fn lookup(&self, host: String, not_before: Option<Instant>) -> LookupResult {
        let lookup = {
            let mut names = self.names.lock().expect("lock poisoned");
            names.lookup(&host, not_before, Instant::now())
        };
        let answer = lookup.get_or_init(|| async {
            self.lookups.fetch_add(1, Relaxed);
            let name = host.clone();
            let found = self.runtime.spawn_blocking(move || lookup_in_system(name)).await;
            let ended = |_| {
                let reason = "the run has ended".to_owned();
                Err(LookupFailed { host: host.clone(), reason, is_final: false })
            };
            found.unwrap_or_else(ended)
        });
        let answer = answer.await.clone();
        if answer.as_ref().is_err_and(|failed| !failed.is_final) {
            self.names.lock().expect("lock poisoned").forget(&host, &lookup);
        }
        answer
    }

    /// The interface that connections are made from, if one is given.
    pub(super) fn interface(&self) -> Option<&NetworkInterface> {
        self.interface.as_ref()
    }

    /// Whether the address is of the configured family, and of that of the address which connections are made from.
    fn family_admits(&self, address: &IpAddr) -> bool {
        if let Some(NetworkInterface::Address(own)) = &self.interface
            && own.is_ipv4() != address.is_ipv4()
        {
            return false;
        }
        match self.family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        }
    }

    /// The kind of address that connections may be made to, for messages.
    fn family_name(&self) -> String {
        match (&self.interface, self.family) {
            (Some(NetworkInterface::Address(own)), _) => {
                let version = if own.is_ipv4() { 4 } else { 6 };
                format!("IPv{version} address, as --interface {own} needs")
            }
            (_, AddressFamily::Any) => "usable address".to_owned(),
            (_, AddressFamily::V4) => "IPv4 address".to_owned(),
            (_, AddressFamily::V6) => "IPv6 address".to_owned(),
        }
    }
}

impl DnsCache {
    /// The last lookup of a name, or a new one if that is too old or began before `not_before`.
    fn lookup(&mut self, host: &str, not_before: Option<Instant>, now: Instant) -> SharedLookup {
        if let Some(last) = self.by_name.get_mut(host) {
            let is_old = last.begun + ADDRESS_LIFETIME <= now;
            if is_old || not_before.is_some_and(|moment| last.begun < moment) {
                *last = CachedLookup { lookup: SharedLookup::default(), begun: now };
            }
            return Arc::clone(&last.lookup);
        }
        if self.order.len() == MAX_NAMES
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        self.order.push_back(host.to_owned());
        let lookup = SharedLookup::default();
        let cached = CachedLookup { lookup: Arc::clone(&lookup), begun: now };
        self.by_name.insert(host.to_owned(), cached);
        lookup
    }

    /// Drops this lookup, so that the name is looked up again, unless another one has replaced it.
    fn forget(&mut self, host: &str, lookup: &SharedLookup) {
        if self.by_name.get(host).is_some_and(|kept| Arc::ptr_eq(&kept.lookup, lookup)) {
            self.by_name.remove(host);
            self.order.retain(|kept| kept != host);
        }
    }
}

/// Adapts [`Resolver`] to the library's trait.
#[derive(Debug, Clone)]
pub(super) struct ReqwestResolver(pub Arc<Resolver>);

impl Resolve for ReqwestResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Looks up a name in the system's resolver. Blocks.
fn lookup_in_system(host: String) -> LookupResult {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(&host), None, Some(hints)).map_err(|error| {
        let is_final = matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData);
        let text = std::io::Error::from(error).to_string();
        let reason = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
        LookupFailed { host: host.clone(), reason: reason.to_owned(), is_final }
    })?;
    Ok(found.filter_map(Result::ok).map(|info| info.sockaddr.ip()).collect())
}

/// Whether the option sets an address for this host and port.
fn applies_to(pin: &ResolveOverride, host: &str, port: u16) -> bool {
    pin.host.as_deref().is_none_or(|pinned| pinned == host)
        && pin.port.is_none_or(|pinned| pinned == port)
}

fn port_of(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or_default()
}

/// The IP address that is the host of the URL; `None` if the host is a name.
fn ip_in_url(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::AddressScope;
    use crate::policy::next_action::tests::job;
    use crate::transfer::request_state::RequestState;

    #[test]
    fn an_answer_is_used_for_a_minute_unless_a_connection_has_failed_since() {
        let mut cache = DnsCache::default();
        let start = Instant::now();
        let at = |seconds| start + std::time::Duration::from_secs(seconds);
        let first = cache.lookup("a.test", None, start);
        let is_first = |lookup: &SharedLookup| Arc::ptr_eq(lookup, &first);
        assert!(is_first(&cache.lookup("a.test", None, at(59))));
        assert!(!is_first(&cache.lookup("b.test", None, at(59))));
        assert!(is_first(&cache.lookup("a.test", Some(start), at(59))));
        let second = cache.lookup("a.test", Some(at(10)), at(11));
        assert!(!is_first(&second));
        assert!(Arc::ptr_eq(&cache.lookup("a.test", Some(at(10)), at(12)), &second));
        assert!(Arc::ptr_eq(&cache.lookup("a.test", None, at(70)), &second));
        assert!(!Arc::ptr_eq(&cache.lookup("a.test", None, at(71)), &second));
        assert_eq!((cache.by_name.len(), cache.order.len()), (2, 2));
    }

    /// A resolver that allows connections to public addresses only.
    fn public_only() -> Arc<Resolver> {
        let targets = TargetRules { addresses: AddressScope::Public, ..TargetRules::default() };
        let http = HttpOptions { targets, ..HttpOptions::default() };
        Arc::new(Resolver::new(&http, Handle::current()))
    }

    fn parsed(addresses: &[&str]) -> Arc<[IpAddr]> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    /// Makes `addresses` the cached answer for `a.test`.
    fn set_answer(resolver: &Resolver, addresses: &[&str]) {
        let lookup = SharedLookup::new(OnceCell::new_with(Some(Ok(parsed(addresses)))));
        let cached = CachedLookup { lookup, begun: Instant::now() };
        resolver.names.lock().unwrap().by_name.insert("a.test".to_owned(), cached);
    }

    /// The addresses that the library gets to connect to, for a request that knows the addresses `known`.
    async fn resolve(
        resolver: &Arc<Resolver>,
        known: Option<&[&str]>,
    ) -> Result<Vec<IpAddr>, String> {
        let mut job = job("http://a.test/");
        job.addresses = known.map(parsed);
        let request = Arc::new(RequestState::new(&job, ProxyRoute::Direct, None, Instant::now()));
        let addresses = Arc::clone(resolver).addresses("a.test".to_owned());
        let given = CURRENT_REQUEST.scope(request, addresses).await;
        let given = given.map_err(|error| error.to_string())?;
        Ok(given.iter().map(SocketAddr::ip).collect())
    }

    #[tokio::test]
    async fn what_is_judged_is_the_address_that_is_connected_to_and_not_an_earlier_answer() {
        let resolver = public_only();
        let private = Err("10.0.0.5 is a private address (RFC 1918); see --public-only".to_owned());
        set_answer(&resolver, &["8.8.8.8"]);
        let found = resolver.find("a.test".to_owned(), None).await.unwrap();
        assert_eq!(found[..], parsed(&["8.8.8.8"])[..]);
        set_answer(&resolver, &["10.0.0.5"]);
        assert_eq!(resolve(&resolver, None).await, private);
        assert_eq!(resolve(&resolver, Some(&["8.8.8.8"])).await, Ok(parsed(&["8.8.8.8"]).to_vec()));
        set_answer(&resolver, &["8.8.8.8"]);
        assert_eq!(resolve(&resolver, Some(&["10.0.0.5"])).await, private);
        set_answer(&resolver, &["10.0.0.5", "1.1.1.1", "::ffff:127.0.0.1"]);
        assert_eq!(resolve(&resolver, None).await, Ok(parsed(&["1.1.1.1"]).to_vec()));
        let alone = Arc::clone(&resolver).addresses("a.test".to_owned()).await.unwrap();
        assert_eq!(alone, [SocketAddr::from(([1, 1, 1, 1], 0))], "without a request as well");
    }
}

//! Names to addresses: what was pinned by hand, else one lookup per name, shared by all clients of the run.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::call::CALL;
use super::route::Route;
use crate::plan::{Family, Pin, PinTo};
use crate::record::Failure;

/// Names whose answers are kept; beyond them the oldest is forgotten.
const NAMES_KEPT: usize = 4096;

/// A name that has no address that may be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host}: {reason}")]
pub struct LookupFailed {
    pub host: String,
    pub reason: String,
}

type Answer = Result<Arc<[IpAddr]>, LookupFailed>;
type Asked = Arc<OnceCell<Answer>>;

/// The one resolver of a run. Lookups are made on the threads of one runtime, so that their number is bounded
/// however many clients ask.
#[derive(Debug)]
pub struct Resolver {
    pins: Vec<Pin>,
    family: Family,
    runtime: Handle,
    names: Mutex<Names>,
    lookups: AtomicU64,
}

#[derive(Debug, Default)]
struct Names {
    asked: HashMap<String, Asked>,
    order: VecDeque<String>,
}

impl Resolver {
    /// A resolver whose lookups run on the blocking threads of `runtime`.
    pub fn new(pins: Vec<Pin>, family: Family, runtime: Handle) -> Self {
        let names = Mutex::default();
        Self { pins, family, runtime, names, lookups: AtomicU64::new(0) }
    }

    /// Names looked up so far.
    pub fn lookups(&self) -> u64 {
        self.lookups.load(Relaxed)
    }

    /// Whether the pins and the family can be honoured for this URL. The client dials a port that is written in
    /// the URL, and an address that stands in the place of a name, without asking the resolver; a proxy finds the
    /// origin by itself.
    ///
    /// # Errors
    /// [`Failure::Pinned`] or [`Failure::Dns`] with the reason.
    pub fn ensure_can_place(&self, url: &Url, route: Route) -> Result<(), Failure> {
        if route == Route::ByProxy {
            return match self.redirection(url) {
                None => Ok(()),
                Some(_) => Err(Failure::Pinned(
                    "--connect-to has no effect behind a proxy, which the environment names; -x '' means none"
                        .to_owned(),
                )),
            };
        }
        let address = literal(url);
        if address.is_some_and(|address| !self.admits(&address)) {
            let reason = format!("not {}", self.family_name());
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
                "--connect-to cannot stand in for {what}: the HTTP library dials it as it is"
            )));
        }
        Ok(())
    }

    /// Where `--connect-to` sends this URL: host and port, each `None` if it stays.
    fn redirection(&self, url: &Url) -> Option<(Option<&str>, Option<u16>)> {
        self.pins.iter().find_map(|pin| match &pin.to {
            PinTo::Endpoint { host, port } if fits(pin, url.host_str()?, port_of(url)) => {
                Some((host.as_deref(), *port))
            }
            _ => None,
        })
    }

    async fn addresses(self: Arc<Self>, asked: String) -> Result<Vec<SocketAddr>, LookupFailed> {
        let url = CALL.try_with(|call| call.url().clone()).ok();
        // A proxy's name is asked for too; pins are for the URL's own.
        let url = url.filter(|url| url.host_str() == Some(asked.as_str()));
        let (host, port) = match url.as_ref().and_then(|url| self.redirection(url)) {
            Some((host, port)) => (host.unwrap_or(&asked).to_owned(), port.unwrap_or(0)),
            None => (asked, 0),
        };
        let dialled = if port == 0 { url.as_ref().map_or(0, port_of) } else { port };
        let found = match self.pinned(&host, dialled) {
            Some(addresses) => addresses.into(),
            None => match host.parse::<IpAddr>() {
                Ok(address) => Arc::from([address]),
                Err(_) => self.lookup(host.clone()).await?,
            },
        };
        let usable: Vec<_> = found
            .iter()
            .filter(|address| self.admits(address))
            .map(|address| SocketAddr::new(*address, port))
            .collect();
        if usable.is_empty() {
            let reason = format!("no {} address", self.family_name());
            return Err(LookupFailed { host, reason });
        }
        Ok(usable)
    }

    /// What `--resolve` says of a host and port.
    fn pinned(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        self.pins.iter().find_map(|pin| match &pin.to {
            PinTo::Addresses(addresses) if fits(pin, host, port) => Some(&addresses[..]),
            _ => None,
        })
    }

    async fn lookup(&self, host: String) -> Answer {
        let asked = self.names.lock().expect("no holder panics").cell(&host);
        let answer = asked.get_or_init(|| async {
            self.lookups.fetch_add(1, Relaxed);
            let name = host.clone();
            let found = self.runtime.spawn_blocking(move || ask_system(name)).await;
            found.unwrap_or_else(|_| Err(LookupFailed { host, reason: "the run has ended".into() }))
        });
        answer.await.clone()
    }

    fn admits(&self, address: &IpAddr) -> bool {
        match self.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }

    fn family_name(&self) -> &'static str {
        match self.family {
            Family::Any => "usable",
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

impl Names {
    fn cell(&mut self, host: &str) -> Asked {
        if let Some(asked) = self.asked.get(host) {
            return asked.clone();
        }
        if self.order.len() == NAMES_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.asked.remove(&oldest);
        }
        self.order.push_back(host.to_owned());
        self.asked.entry(host.to_owned()).or_default().clone()
    }
}

/// The resolver as a client sees it.
#[derive(Debug, Clone)]
pub struct Directory(pub Arc<Resolver>);

impl Resolve for Directory {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn ask_system(host: String) -> Answer {
    match (host.as_str(), 0).to_socket_addrs() {
        Ok(found) => Ok(found.map(|address| address.ip()).collect()),
        Err(error) => {
            let text = error.to_string();
            let reason =
                text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
            Err(LookupFailed { host, reason: reason.to_owned() })
        }
    }
}

fn fits(pin: &Pin, host: &str, port: u16) -> bool {
    pin.host.as_deref().is_none_or(|pinned| pinned == host)
        && pin.port.is_none_or(|pinned| pinned == port)
}

fn port_of(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or_default()
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

//! What an origin has seen: counts of requests and connections, in all and for each host they were meant for.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde::Serialize;

use crate::sync::lock;

/// How many hosts get counts of their own.
const HOSTS: usize = 1024;

/// The longest host that gets counts of its own: a name has 253 characters at most, a port six.
const HOST_LENGTH: usize = 260;

/// What is counted under no host of its own: a host beyond the bounds, or none.
const OTHER: &str = "(other)";

/// The counts of an origin.
#[derive(Default)]
pub(super) struct ServerStats(Mutex<StatsTable>);

#[derive(Default)]
struct StatsTable {
    all: ServerCounts,
    other: ServerCounts,
    hosts: Vec<ServerCounts>,
    places: HashMap<Box<str>, usize>,
}

/// A host's place among the hosts; `None` for all others.
type HostIndex = Option<usize>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct ServerCounts {
    requests: Gauge,
    connections: Gauge,
    /// Replies 429 for the sake of the rate.
    rate_limited: u64,
    /// Replies 503 for the sake of the error rate.
    errors: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct Gauge {
    total: u64,
    now: u64,
    peak: u64,
}

impl Gauge {
    fn rise(&mut self) {
        self.total += 1;
        self.now += 1;
        self.peak = self.peak.max(self.now);
    }

    fn fall(&mut self) {
        self.now -= 1;
    }
}

impl ServerStats {
    /// The counts as JSON.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct StatsJson<'a> {
            #[serde(flatten)]
            all: ServerCounts,
            hosts: BTreeMap<&'a str, ServerCounts>,
        }
        let table = self.table();
        let named = table.places.iter().map(|(host, place)| (&**host, table.hosts[*place]));
        let mut hosts: BTreeMap<_, _> = named.collect();
        if table.other != ServerCounts::default() {
            hosts.insert(OTHER, table.other);
        }
        let shown = StatsJson { all: table.all, hosts };
        serde_json::to_string(&shown).expect("numbers and names are JSON") + "\n"
    }

    fn table(&self) -> MutexGuard<'_, StatsTable> {
        lock(&self.0)
    }
}

impl StatsTable {
    fn place(&mut self, host: &str) -> HostIndex {
        if let Some(place) = self.places.get(host) {
            return Some(*place);
        }
        if host.is_empty() || host.len() > HOST_LENGTH || self.hosts.len() == HOSTS {
            return None;
        }
        self.hosts.push(ServerCounts::default());
        let place = self.hosts.len() - 1;
        self.places.insert(host.into(), place);
        Some(place)
    }

    /// Changes the counts of all and those of one host.
    fn change(&mut self, place: HostIndex, change: impl Fn(&mut ServerCounts)) {
        change(&mut self.all);
        change(match place {
            Some(place) => &mut self.hosts[place],
            None => &mut self.other,
        });
    }
}

/// An open connection. It is counted from its first counted request, under the host of that request.
pub(super) struct Connection {
    /// Who opened it.
    pub peer: SocketAddr,
    stats: Arc<ServerStats>,
    place: OnceLock<HostIndex>,
}

impl Connection {
    /// A connection that nothing was asked on yet.
    pub fn new(peer: SocketAddr, stats: Arc<ServerStats>) -> Arc<Self> {
        Arc::new(Self { peer, stats, place: OnceLock::new() })
    }

    /// Counts a request until its ticket is gone.
    pub fn begin(self: &Arc<Self>, host: &str) -> InFlightGuard {
        let mut table = self.stats.table();
        let place = table.place(host);
        table.change(place, |counts| counts.requests.rise());
        if self.place.set(place).is_ok() {
            table.change(place, |counts| counts.connections.rise());
        }
        InFlightGuard { connection: Arc::clone(self), place }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(place) = self.place.get() {
            self.stats.table().change(*place, |counts| counts.connections.fall());
        }
    }
}

/// A request in progress.
pub(super) struct InFlightGuard {
    connection: Arc<Connection>,
    place: HostIndex,
}

impl InFlightGuard {
    /// Counts it as refused.
    pub fn refused(&self) {
        self.change(|counts| counts.rate_limited += 1);
    }

    /// Counts it as failed.
    pub fn failed(&self) {
        self.change(|counts| counts.errors += 1);
    }

    fn change(&self, change: impl Fn(&mut ServerCounts)) {
        self.connection.stats.table().change(self.place, change);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.change(|counts| counts.requests.fall());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn open(stats: &Arc<ServerStats>) -> Arc<Connection> {
        Connection::new(([127, 0, 0, 1], 1).into(), Arc::clone(stats))
    }

    fn shown(stats: &ServerStats) -> Value {
        serde_json::from_str(&stats.json()).unwrap()
    }

    #[test]
    fn a_request_counts_while_its_ticket_is_held_and_a_connection_while_it_is_open() {
        let stats = Arc::new(ServerStats::default());
        let (one, two) = (open(&stats), open(&stats));
        let tickets = (one.begin("a"), one.begin("b"), two.begin("a"));
        tickets.0.failed();
        tickets.1.refused();
        drop((tickets, one));
        let level = |total, now, peak| json!({"total": total, "now": now, "peak": peak});
        assert_eq!(
            shown(&stats),
            json!({
                "requests": level(3, 0, 3), "connections": level(2, 1, 2), "rate_limited": 1, "errors": 1,
                "hosts": {
                    "a": {"requests": level(2, 0, 2), "connections": level(2, 1, 2), "rate_limited": 0, "errors": 1},
                    "b": {"requests": level(1, 0, 1), "connections": level(0, 0, 0), "rate_limited": 1, "errors": 0},
                },
            })
        );
    }

    #[test]
    fn a_connection_that_asks_for_nothing_counts_for_nothing() {
        let stats = Arc::new(ServerStats::default());
        drop(open(&stats));
        assert_eq!(shown(&stats)["connections"]["total"], 0);
    }

    #[test]
    fn hosts_beyond_the_bound_are_counted_together() {
        let stats = Arc::new(ServerStats::default());
        let connection = open(&stats);
        for number in 0..HOSTS + 10 {
            connection.begin(&format!("host-{number}"));
        }
        connection.begin(&"long".repeat(100));
        connection.begin("");
        let shown = shown(&stats);
        assert_eq!(shown["hosts"].as_object().unwrap().len(), HOSTS + 1);
        assert_eq!(shown["hosts"][OTHER]["requests"]["total"], 12);
        assert_eq!(shown["requests"]["total"], HOSTS + 12);
    }
}

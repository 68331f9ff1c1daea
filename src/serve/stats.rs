//! Server statistics: counts requests and connections, in total and per host.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde::Serialize;

use crate::sync::lock;

/// The maximum number of hosts with their own counts.
const MAX_HOSTS: usize = 1024;

/// The maximum length of a host with its own counts, in bytes: a name has at most 253, a port with its colon six.
const MAX_HOST_BYTES: usize = 260;

/// The name under which all other requests are counted: those of hosts beyond these limits, or without a host.
const OTHER: &str = "(other)";

/// The counts of a server.
#[derive(Default)]
pub(super) struct ServerStats(Mutex<StatsTable>);

#[derive(Default)]
struct StatsTable {
    all: ServerCounts,
    other: ServerCounts,
    hosts: Vec<ServerCounts>,
    indexes: HashMap<Box<str>, usize>,
}

/// The index of a host in `StatsTable::hosts`; `None`: the counts of all other hosts.
type HostIndex = Option<usize>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct ServerCounts {
    requests: Gauge,
    connections: Gauge,
    /// 429 responses due to the rate limit.
    rate_limited: u64,
    /// 503 responses due to the error rate.
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
    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct StatsJson<'a> {
            #[serde(flatten)]
            all: ServerCounts,
            hosts: BTreeMap<&'a str, ServerCounts>,
        }
        let table = self.table();
        let named = table.indexes.iter().map(|(host, index)| (&**host, table.hosts[*index]));
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
    fn index(&mut self, host: &str) -> HostIndex {
        if let Some(index) = self.indexes.get(host) {
            return Some(*index);
        }
        if host.is_empty() || host.len() > MAX_HOST_BYTES || self.hosts.len() == MAX_HOSTS {
            return None;
        }
        self.hosts.push(ServerCounts::default());
        let index = self.hosts.len() - 1;
        self.indexes.insert(host.into(), index);
        Some(index)
    }

    /// Updates the total counts and those of one host.
    fn change(&mut self, index: HostIndex, change: impl Fn(&mut ServerCounts)) {
        change(&mut self.all);
        change(match index {
            Some(index) => &mut self.hosts[index],
            None => &mut self.other,
        });
    }
}

/// An open connection. It is counted from its first counted request on, under the host of that request.
pub(super) struct Connection {
    /// The client's address.
    pub peer: SocketAddr,
    stats: Arc<ServerStats>,
    index: OnceLock<HostIndex>,
}

impl Connection {
    /// A connection without a request.
    pub(super) fn new(peer: SocketAddr, stats: Arc<ServerStats>) -> Arc<Self> {
        Arc::new(Self { peer, stats, index: OnceLock::new() })
    }

    /// Counts a request as in flight until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, host: &str) -> InFlightGuard {
        let mut table = self.stats.table();
        let index = table.index(host);
        table.change(index, |counts| counts.requests.rise());
        if self.index.set(index).is_ok() {
            table.change(index, |counts| counts.connections.rise());
        }
        InFlightGuard { connection: Arc::clone(self), index }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(index) = self.index.get() {
            self.stats.table().change(*index, |counts| counts.connections.fall());
        }
    }
}

/// A request in flight, counted until dropped.
pub(super) struct InFlightGuard {
    connection: Arc<Connection>,
    index: HostIndex,
}

impl InFlightGuard {
    /// Counts the request as refused.
    pub(super) fn refused(&self) {
        self.change(|counts| counts.rate_limited += 1);
    }

    /// Counts the request as failed.
    pub(super) fn failed(&self) {
        self.change(|counts| counts.errors += 1);
    }

    fn change(&self, change: impl Fn(&mut ServerCounts)) {
        self.connection.stats.table().change(self.index, change);
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
        let guards = (one.begin("a"), one.begin("b"), two.begin("a"));
        guards.0.failed();
        guards.1.refused();
        drop((guards, one));
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
        for number in 0..MAX_HOSTS + 10 {
            connection.begin(&format!("host-{number}"));
        }
        connection.begin(&"long".repeat(100));
        connection.begin("");
        let shown = shown(&stats);
        assert_eq!(shown["hosts"].as_object().unwrap().len(), MAX_HOSTS + 1);
        assert_eq!(shown["hosts"][OTHER]["requests"]["total"], 12);
        assert_eq!(shown["requests"]["total"], MAX_HOSTS + 12);
    }
}

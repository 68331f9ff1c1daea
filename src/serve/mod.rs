//! The built-in local origin: something to fetch from where there is no internet, and a way to meet slow, failing
//! and strict servers on request. It speaks HTTP/1.1 over plain TCP and runs on one thread.

mod bandwidth;
mod body;
mod conditions;
mod faults;
mod handler;
mod random_body;
mod ranges;
mod routes;
mod stats;

use std::future::Future;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::text::io_message;
use crate::units::{Rate, Share};
use bandwidth::Bandwidth;
use faults::FaultPolicy;
use handler::{ServerState, answer};
use stats::{Connection, ServerStats};

/// Connections that the system may hold before they are accepted; it may allow fewer.
const BACKLOG: u32 = 4096;

/// How long a connection may be open without a whole request head, idle ones included.
const IDLE: Duration = Duration::from_secs(75);

/// Bytes that may wait for a connection's client, about. (Flushing pipelined replies together would lift this bound.)
const BUFFER: usize = 128 * 1024;

/// How long to leave the system alone after it refused to accept a connection.
const BREATH: Duration = Duration::from_millis(100);

/// How an origin behaves. The default answers at once, whole and right, on a free port of the loopback interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Port to listen on; zero: any free one.
    pub port: u16,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Wait before the head of every reply.
    pub latency: Duration,
    /// A further wait between zero and this, drawn for each request from the seed, the path and query, and how often
    /// they were asked for before.
    pub jitter: Duration,
    /// Body bytes per second of each connection; `None`: as fast as they go. Heads are not slowed.
    pub limit_rate: Option<NonZeroU64>,
    /// Share of requests answered by 503, drawn as the jitter is: it does not depend on time or order. A path is
    /// remembered until 400,000 others were asked for since.
    pub error_rate: Share,
    /// Requests that are answered, over all connections, in windows that open with a request; `None`: all are. Those
    /// beyond get 429 with a Retry-After that reaches to the end of the window.
    pub rate: Option<Rate>,
    /// Connections that are served at a time; `None`: as many as come. Those beyond wait in the system's backlog:
    /// open for the client, but not accepted, until another one closes.
    pub max_connections: Option<NonZeroUsize>,
    /// When it stops.
    pub until: Until,
    /// What bodies, tags, dates and chance depend on. Two origins with one seed are alike; the same path under another
    /// seed is another version of it.
    pub seed: u64,
}

/// When an origin stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Killed,
    /// When its standard input ends: it does not outlive who started it.
    EndOfInput,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            bind: Ipv4Addr::LOCALHOST.into(),
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            limit_rate: None,
            error_rate: Share::NONE,
            rate: None,
            max_connections: None,
            until: Until::Killed,
            seed: 0,
        }
    }
}

/// An origin that listens; clients can connect, and are answered once it serves.
pub struct Origin {
    listener: TcpListener,
    address: SocketAddr,
    seats: Option<Arc<Semaphore>>,
    state: Arc<ServerState>,
}

/// Opens the port.
///
/// # Errors
/// The address cannot be listened on.
pub async fn bind(options: Options) -> anyhow::Result<Origin> {
    let address = SocketAddr::new(options.bind, options.port);
    let listener = listen(address)
        .map_err(|error| anyhow!("cannot listen on {address}: {}", io_message(&error)))?;
    let address = listener.local_addr().context("cannot determine the local port")?;
    let seats = options.max_connections.map(|most| most.get().min(Semaphore::MAX_PERMITS));
    Ok(Origin {
        listener,
        address,
        seats: seats.map(|most| Arc::new(Semaphore::new(most))),
        state: Arc::new(house(&options)),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn house(options: &Options) -> ServerState {
    let last_modified = last_modified(options.seed);
    ServerState {
        seed: options.seed,
        pace: options.limit_rate.map(Bandwidth::per_second),
        faults: Mutex::new(FaultPolicy::new(
            options.latency,
            options.jitter,
            options.error_rate,
            options.rate,
        )),
        stats: Arc::new(ServerStats::default()),
        last_modified,
        last_modified_field: HeaderValue::from_str(&httpdate::fmt_http_date(last_modified))
            .expect("a date is plain ASCII"),
    }
}

/// 2025 began with seed 0; each further seed is a second later, for about twelve days.
fn last_modified(seed: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600 + seed % (1 << 20))
}

impl Origin {
    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then drops every connection, whatever is on it. Meant to have a current-thread
    /// runtime to itself; it must have timers and sockets enabled.
    ///
    /// # Errors
    /// None so far: a broken client costs its own connection, and a system without free descriptors is asked again.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (stream, peer, seat) = self.next() => {
                    connections.spawn(converse(stream, peer, Arc::clone(&self.state), seat));
                }
            }
        }
        connections.shutdown().await;
        Ok(())
    }

    /// The next connection that may be served.
    async fn next(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        let seat = match &self.seats {
            None => None,
            Some(seats) => Arc::clone(seats).acquire_owned().await.ok(),
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, seat),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => tokio::time::sleep(BREATH).await,
            }
        }
    }
}

/// Answers on one connection until either side closes it. Its seat is free again after that.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<ServerState>,
    _seat: Option<OwnedSemaphorePermit>,
) {
    // Without it small replies come late; they are right all the same.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(peer, Arc::clone(&state.stats));
    let service =
        service_fn(|request| answer(Arc::clone(&state), Arc::clone(&connection), request));
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    // How a conversation ends is the client's business.
    let _ = conversation.await;
}

//! The built-in local server (origin): it can be slow, fail or rate-limit on request. It speaks HTTP/1.1 over plain TCP
//! and runs on one thread.

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

/// The length of the queue of connections that are not accepted yet; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// How long a connection may be open without a complete request head, whether idle or in the middle of one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// The approximate maximum number of bytes buffered for one connection. It holds only as long as responses to pipelined
/// requests are not flushed together (`pipeline_flush` of the HTTP library).
const MAX_BUFFER_BYTES: usize = 128 * 1024;

/// How long to wait after the system refused to accept a connection.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How the server behaves. By default it answers at once, completely and correctly, on a free port of the loopback
/// interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Port to listen on; 0: any free one.
    pub port: u16,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Delay before the head of every response.
    pub latency: Duration,
    /// Upper bound of a further delay, which is drawn for each request from the seed, the path and query, and the
    /// number of earlier requests for them.
    pub jitter: Duration,
    /// Body bytes per second and connection; `None`: unlimited. Response heads are not slowed down.
    pub limit_rate: Option<NonZeroU64>,
    /// Share of requests answered with 503, drawn like the jitter: independent of time and order. The number of earlier
    /// requests for a path is forgotten once 400,000 other paths were requested.
    pub error_rate: Share,
    /// Requests answered, over all connections, in windows that open with a request; `None`: unlimited. Excess requests
    /// get 429 with a Retry-After that reaches to the end of the window.
    pub rate: Option<Rate>,
    /// Connections served at a time; `None`: unlimited. Excess connections wait in the system's backlog, open for the
    /// client but not accepted, until another one closes.
    pub max_connections: Option<NonZeroUsize>,
    /// When the server stops.
    pub until: Until,
    /// The seed of bodies, entity tags, dates and random decisions. Two servers with one seed behave alike; under
    /// another seed every path has another version.
    pub seed: u64,
}

/// When the server stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Never.
    Forever,
    /// At the end of its standard input, so that it does not outlive the process that started it.
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
            until: Until::Forever,
            seed: 0,
        }
    }
}

/// A server that listens; clients can connect, and are answered once [`Origin::serve`] runs.
pub(crate) struct Origin {
    listener: TcpListener,
    address: SocketAddr,
    permits: Option<Arc<Semaphore>>,
    state: Arc<ServerState>,
}

/// Opens the port.
///
/// # Errors
/// If the address cannot be listened on.
pub(crate) async fn bind(options: Options) -> anyhow::Result<Origin> {
    let address = SocketAddr::new(options.bind, options.port);
    let listener = listen(address)
        .map_err(|error| anyhow!("cannot listen on {address}: {}", io_message(&error)))?;
    let address = listener.local_addr().context("cannot determine the local port")?;
    let permits = options.max_connections.map(|most| most.get().min(Semaphore::MAX_PERMITS));
    Ok(Origin {
        listener,
        address,
        permits: permits.map(|most| Arc::new(Semaphore::new(most))),
        state: Arc::new(server_state(&options)),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn server_state(options: &Options) -> ServerState {
    let last_modified = last_modified(options.seed);
    ServerState {
        seed: options.seed,
        bandwidth: options.limit_rate.map(Bandwidth::per_second),
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

/// The start of 2025 plus one second per seed, for about twelve days.
fn last_modified(seed: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_600 + seed % (1 << 20))
}

impl Origin {
    /// The address that the server listens on, with the actual port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then drops every connection, including active ones. Needs a current-thread runtime
    /// of its own with timers and sockets enabled.
    ///
    /// # Errors
    /// None so far: a client error ends only its own connection, and failures to accept a connection are retried.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (stream, peer, permit) = self.accept() => {
                    connections.spawn(serve_connection(stream, peer, Arc::clone(&self.state), permit));
                }
            }
        }
        connections.shutdown().await;
        Ok(())
    }

    /// Accepts the next connection, once fewer than the maximum are open.
    async fn accept(&self) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
        let permit = match &self.permits {
            None => None,
            Some(permits) => Arc::clone(permits).acquire_owned().await.ok(),
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, permit),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => tokio::time::sleep(ACCEPT_RETRY_DELAY).await,
            }
        }
    }
}

/// Serves one connection until either side closes it, and releases its permit.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    state: Arc<ServerState>,
    _permit: Option<OwnedSemaphorePermit>,
) {
    // If this fails, small responses are delayed, but correct.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(peer, Arc::clone(&state.stats));
    let service =
        service_fn(|request| answer(Arc::clone(&state), Arc::clone(&connection), request));
    let connection_ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that ends with an error is the client's problem.
    let _ = connection_ended.await;
}

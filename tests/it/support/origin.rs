//! A server on raw sockets, so that it can do what no well-behaved server does. Loopback, any free port.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::clock::PATIENCE;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The target, as sent.
    pub path: String,
    /// How often this path was requested before.
    pub nth: usize,
    /// Field lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// The value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What is sent, byte for byte, and what happens to the connection then.
#[derive(Clone)]
pub struct Reply {
    pub bytes: Vec<u8>,
    pub end: End,
}

/// What happens to a connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It waits for the next request.
    KeepAlive,
    /// It is closed without an error.
    Close,
    /// It is reset (RST).
    Reset,
    /// It stays open, and nothing more is sent.
    Stall,
    /// It sends one byte after another until the peer closes it.
    Drip,
}

impl Reply {
    /// Bytes as they are, then the end.
    pub fn raw(bytes: impl AsRef<[u8]>, end: End) -> Self {
        Self { bytes: bytes.as_ref().to_vec(), end }
    }

    /// A whole reply with this status line, field lines and body; the connection is kept.
    pub fn of(status: &str, fields: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len())
                .into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, end: End::KeepAlive }
    }

    /// 200 with a body.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::of("200 OK", "", body)
    }

    /// 200 with a body in these chunks.
    pub fn chunked<'a>(chunks: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
        for chunk in chunks {
            text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        Self::raw(text + "0\r\n\r\n", End::KeepAlive)
    }

    /// The same reply, after which the connection does this.
    pub fn then(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// The same reply without its last `bytes` bytes, after which the connection does this.
    pub fn but(mut self, bytes: usize, end: End) -> Self {
        self.bytes.truncate(self.bytes.len() - bytes);
        self.then(end)
    }

    /// A redirect.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::of(&format!("{status} Moved"), &format!("Location: {to}\r\n"), "moved")
    }
}

/// An origin that answers `hello`. Requests for which `holds` is true pass the first gate when they arrive, and are answered
/// once the second gate is open.
pub fn holding(holds: impl Fn(&Request) -> bool + Send + Sync + 'static) -> (Origin, Gate, Gate) {
    let (arrived, open) = (Gate::of(2), Gate::of(2));
    let (arrive, pass) = (arrived.clone(), open.clone());
    let origin = Origin::new(move |request| {
        if holds(request) {
            arrive.pass();
            pass.pass();
        }
        Reply::ok("hello")
    });
    (origin, arrived, open)
}

/// Opens once a number of callers have arrived.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<usize>, Condvar, usize)>);

impl Gate {
    pub fn of(number: usize) -> Self {
        Self(Arc::new((Mutex::new(0), Condvar::new(), number)))
    }

    /// Arrives, and waits until the gate opens.
    pub fn pass(&self) {
        let (inside, change, number) = &*self.0;
        let mut count = inside.lock().unwrap();
        *count += 1;
        change.notify_all();
        let waited = change.wait_timeout_while(count, PATIENCE, |count| *count < *number);
        assert!(!waited.unwrap().1.timed_out(), "not enough requests came in together");
    }

    /// Arrives, and does not wait.
    pub fn pass_by(&self) {
        let (inside, change, _) = &*self.0;
        *inside.lock().unwrap() += 1;
        change.notify_all();
    }

    /// Waits until the gate opens, without arriving.
    pub fn wait(&self) {
        let (inside, change, number) = &*self.0;
        let count = inside.lock().unwrap();
        let waited = change.wait_timeout_while(count, PATIENCE, |count| *count < *number);
        assert!(!waited.unwrap().1.timed_out(), "nobody came");
    }
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

struct Inner {
    answer: Box<Answer>,
    seen: Mutex<Vec<Request>>,
    counts: Mutex<HashMap<String, usize>>,
    connections: AtomicUsize,
    in_progress: AtomicUsize,
    peak: AtomicUsize,
    is_closed: AtomicBool,
}

/// The server. Dropping it ends it.
pub struct Origin {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl Origin {
    /// A server that answers each request with `answer`.
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), answer)
    }

    /// The same, at this address.
    pub fn at(
        address: SocketAddr,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            answer: Box::new(answer),
            seen: Mutex::default(),
            counts: Mutex::default(),
            connections: AtomicUsize::new(0),
            in_progress: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        let shared = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_closed.load(SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { inner, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Request> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// All requests since the last call, which are then forgotten.
    pub fn take_seen(&self) -> Vec<Request> {
        std::mem::take(&mut *self.inner.seen.lock().unwrap())
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.inner.seen.lock().unwrap().len()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(SeqCst)
    }

    /// The most requests that were in progress at once.
    pub fn peak(&self) -> usize {
        self.inner.peak.load(SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.inner.is_closed.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let connection = self.connections.fetch_add(1, SeqCst);
        let _ = stream.set_nodelay(true);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = self.read_request(&mut reader, connection) {
            let now = self.in_progress.fetch_add(1, SeqCst) + 1;
            self.peak.fetch_max(now, SeqCst);
            let reply = (self.answer)(&request);
            self.in_progress.fetch_sub(1, SeqCst);
            if stream.write_all(&reply.bytes).is_err() {
                return;
            }
            match reply.end {
                End::KeepAlive => {}
                End::Close => return,
                End::Reset => return reset(stream),
                End::Stall => return self.hold(stream),
                End::Drip => return drip(stream),
            }
        }
    }

    fn read_request(&self, reader: &mut impl BufRead, connection: usize) -> Option<Request> {
        let line = line(reader)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let line = self::line(reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(path.clone()).or_default();
        let nth = *count;
        *count += 1;
        let request = Request { method, path, nth, headers, connection };
        self.seen.lock().unwrap().push(request.clone());
        Some(request)
    }

    /// Sends nothing until the peer closes the connection.
    fn hold(&self, mut stream: TcpStream) {
        let mut byte = [0];
        loop {
            match std::io::Read::read(&mut stream, &mut byte) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::Interrupted => return,
                _ => {}
            }
        }
    }
}

/// The next line without its end; `None` at the end of the stream.
pub fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    match reader.read_until(b'\n', &mut line) {
        Ok(length) if length > 0 => {
            Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
        }
        _ => None,
    }
}

/// Sends a byte now and then until the peer closes the connection.
fn drip(mut stream: TcpStream) {
    while stream.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(2));
    }
}

fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

//! A listener whose connections are handled byte by byte. Loopback, any free port.

use std::io::{BufRead, Read};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::origin::line;

/// The listener. Dropping it ends it.
pub struct Raw {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    is_closed: Arc<AtomicBool>,
}

impl Raw {
    /// Calls `serve` with each connection and its number, from 0.
    pub fn new(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), serve).unwrap()
    }

    /// The same at another address, if this machine has it.
    pub fn at(
        address: IpAddr,
        serve: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let (connections, is_closed) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let raw = Self { address, connections: connections.clone(), is_closed: is_closed.clone() };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_closed.load(SeqCst) {
                    return;
                }
                let (Ok(stream), serve) = (stream, Arc::clone(&serve)) else { continue };
                let number = connections.fetch_add(1, SeqCst);
                let _ = stream.set_nodelay(true);
                thread::spawn(move || serve(stream, number));
            }
        });
        Ok(raw)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.is_closed.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A port of this machine on which nothing listens. It stays bound as long as the test runs, or a server of another test could
/// get it.
pub fn refusing_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    std::mem::forget(socket);
    port
}

/// The head of a request.
#[derive(Debug, Clone)]
pub struct HeadOf {
    /// The method.
    pub method: String,
    /// The target, as sent.
    pub target: String,
    /// Field lines, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl HeadOf {
    /// Reads the head of a request; `None` at the end of the stream.
    pub fn read(reader: &mut impl BufRead) -> Option<Self> {
        let first = line(reader)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut fields = Vec::new();
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                return Some(Self { method, target, fields });
            }
            let (name, value) = line.split_once(':')?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Passes bytes between two streams until both have ended.
pub fn splice(one: TcpStream, other: TcpStream) {
    let forward = (one.try_clone().unwrap(), other.try_clone().unwrap());
    let backward = thread::spawn(move || copy(other, one));
    copy(forward.0, forward.1);
    let _ = backward.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads once, and discards what has arrived.
pub fn sip(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

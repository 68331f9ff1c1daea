//! A listener whose connections are handled byte by byte. Loopback, any free port.

use std::io::{BufRead, Read};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::origin::line;

/// The listener; it goes with its value.
pub struct Raw {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Raw {
    /// Hands each connection and its number, from 0, to `converse`.
    pub fn new(converse: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), converse).unwrap()
    }

    /// The same at another address of this machine, if it has it.
    pub fn at(
        address: IpAddr,
        converse: impl Fn(TcpStream, usize) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let address = listener.local_addr()?;
        let (connections, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let raw = Self { address, connections: connections.clone(), over: over.clone() };
        let converse = Arc::new(converse);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(SeqCst) {
                    return;
                }
                let (Ok(stream), converse) = (stream, Arc::clone(&converse)) else { continue };
                let number = connections.fetch_add(1, SeqCst);
                let _ = stream.set_nodelay(true);
                thread::spawn(move || converse(stream, number));
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
        self.over.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// A port of this machine at which nobody listens. It stays taken as long as the test runs, or a server of another
/// test could get it, and be met in place of nobody.
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
    /// Reads one; `None` at the end of the stream.
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
    let there = (one.try_clone().unwrap(), other.try_clone().unwrap());
    let back = thread::spawn(move || pass(other, one));
    pass(there.0, there.1);
    let _ = back.join();
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads once whatever has come.
pub fn sip(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

//! Proxies on raw sockets that record their requests and forward tunnels.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use super::raw::{HeadOf, Raw, splice};

/// What a proxy does with its requests.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// Every tunnel leads to this origin, and every other request is answered with `proxied`.
    Serves(SocketAddr),
    /// Every request is answered with this status.
    Refuses(u16),
    /// Every connection is closed after the request, without a reply.
    HangsUp,
}

/// The proxy. Dropping it ends it.
pub struct HttpProxy {
    raw: Raw,
    seen: Arc<Mutex<Vec<HeadOf>>>,
}

impl HttpProxy {
    pub fn new(manner: Manner) -> Self {
        Self::changing(0, manner, manner)
    }

    /// A proxy that handles its first `number` requests as `first`, and all others as `later`.
    pub fn changing(number: usize, first: Manner, later: Manner) -> Self {
        let seen = Arc::<Mutex<Vec<HeadOf>>>::default();
        let shared = Arc::clone(&seen);
        let manner = move |before: usize| if before < number { first } else { later };
        let raw = Raw::new(move |stream, _| serve(stream, manner, &shared));
        Self { raw, seen }
    }

    /// Its URL, with these credentials (`USER:PASSWORD@`) if they are not empty.
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}{}", self.raw.address())
    }

    /// All heads of requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<HeadOf> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, manner: impl Fn(usize) -> Manner, seen: &Mutex<Vec<HeadOf>>) {
    // Nothing follows the head before it is answered, so nothing is lost in the buffer.
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(head) = HeadOf::read(&mut reader) {
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(head.clone());
            seen.len() - 1
        };
        let reply = match manner(before) {
            Manner::HangsUp => return,
            Manner::Refuses(status) => format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"),
            Manner::Serves(origin) if head.method == "CONNECT" => {
                let Ok(origin) = TcpStream::connect(origin) else { return };
                if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_ok() {
                    splice(stream, origin);
                }
                return;
            }
            Manner::Serves(_) => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied".to_owned(),
        };
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// What a SOCKS5 proxy is asked to connect to: the type of the address and its bytes (RFC 1928 section 5).
pub type Destination = (u8, Vec<u8>);

/// A SOCKS5 proxy without authentication that leads every connection to one origin.
pub struct SocksProxy {
    raw: Raw,
    seen: Arc<Mutex<Vec<Destination>>>,
}

impl SocksProxy {
    pub fn new(origin: SocketAddr) -> Self {
        let seen = Arc::<Mutex<Vec<Destination>>>::default();
        let shared = Arc::clone(&seen);
        let raw = Raw::new(move |mut stream, _| {
            if let Ok(destination) = shake_hands(&mut stream) {
                shared.lock().unwrap().push(destination);
                splice(stream, TcpStream::connect(origin).unwrap());
            }
        });
        Self { raw, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.raw.address()
    }

    pub fn seen(&self) -> Vec<Destination> {
        self.seen.lock().unwrap().clone()
    }
}

fn shake_hands(stream: &mut TcpStream) -> std::io::Result<Destination> {
    let methods = read_bytes(stream, 2)?[1];
    read_bytes(stream, methods)?;
    stream.write_all(&[5, 0])?;
    let kind = read_bytes(stream, 4)?[3];
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => read_bytes(stream, 1)?[0],
    };
    let address = read_bytes(stream, length)?;
    read_bytes(stream, 2)?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((kind, address))
}

fn read_bytes(stream: &mut TcpStream, length: u8) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

//! A server that speaks HTTP/2 frame by frame over TLS (RFC 9113), so that it can do what no well-behaved server does.
//!
//! A script says what follows each request; the conversation is the connection that the request came on:
//!
//! ```ignore
//! Http2Origin::new(&identity, |talk, asked| match asked.connection {
//!     0 => talk.go_away(asked.stream, code::NO_ERROR).answer(asked, "the last of this connection").close(),
//!     _ => talk.answer(asked, "hello"),
//! });
//! ```

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::{ServerConnection, StreamOwned};

use super::hpack::{Decoder, Fields, encode};
use super::raw::{HeadOf, Raw};
use super::tls::{Identity, hang_up};

/// What a client sends first (section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload of a frame that a client has to accept (section 4.2).
const MAX_FRAME_BYTES: usize = 16 * 1024;

/// Types of frames (section 6).
mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;

/// Error codes (section 7).
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
    pub const HTTP_1_1_REQUIRED: u32 = 13;
}

/// Settings (section 6.5.2).
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// Settings with their values.
pub type Settings = [(u16, u32)];

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    /// All field lines, pseudo-header fields included.
    pub fields: Fields,
    pub stream: u32,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// How many requests came before it on that connection.
    pub nth: usize,
}

impl Asked {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// The server. Dropping it ends it.
pub struct Http2Origin {
    raw: Raw,
    seen: Arc<Mutex<Vec<Asked>>>,
    pings: Arc<Mutex<Vec<usize>>>,
}

impl Http2Origin {
    /// A server of this identity that runs `script` for each request.
    pub fn new(
        identity: &Identity,
        script: impl for<'a> Fn(&'a mut Talk, &Asked) -> &'a mut Talk + Send + Sync + 'static,
    ) -> Self {
        Self::with_settings(identity, &[], script)
    }

    /// As [`new`](Self::new), but each connection begins with these settings.
    pub fn with_settings(
        identity: &Identity,
        settings: &Settings,
        script: impl for<'a> Fn(&'a mut Talk, &Asked) -> &'a mut Talk + Send + Sync + 'static,
    ) -> Self {
        let tls = Arc::new(identity.server(&[b"h2", b"http/1.1"]));
        let settings = settings.to_vec();
        let seen = Arc::<Mutex<Vec<Asked>>>::default();
        let pings = Arc::<Mutex<Vec<usize>>>::default();
        let (all, pinged) = (Arc::clone(&seen), Arc::clone(&pings));
        let raw = Raw::new(move |stream, connection| {
            let tls = ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut talk = Talk::new(StreamOwned::new(tls, stream), connection);
            if talk.speaks_http1() {
                talk.answer_in_http1();
                return;
            }
            // An error only ends the connection; the test checks how the client took that.
            let _ = talk.serve(&settings, &script, &all, &pinged);
            hang_up(&mut talk.stream.sock);
        });
        Self { raw, seen, pings }
    }

    pub fn port(&self) -> u16 {
        self.raw.port()
    }

    /// The arguments that send the requests for a name here.
    pub fn stands_for(&self, name: &str) -> [String; 2] {
        ["--connect-to".into(), format!("{name}:443:127.0.0.1:{}", self.port())]
    }

    /// All requests so far, in the order of their arrival.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }

    /// The paths asked for on a connection, in the order of their arrival.
    pub fn paths_on(&self, connection: usize) -> Vec<String> {
        let seen = self.seen().into_iter().filter(|asked| asked.connection == connection);
        seen.map(|asked| asked.path).collect()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.raw.connections()
    }

    /// The number of PINGs that came on a connection, answered or not.
    pub fn pings_on(&self, connection: usize) -> usize {
        self.pings.lock().unwrap().iter().filter(|on| **on == connection).count()
    }
}

/// One connection, seen from the server.
pub struct Talk {
    stream: StreamOwned<ServerConnection, TcpStream>,
    connection: usize,
    requests: Vec<Asked>,
    decoder: Decoder,
    is_silent: bool,
    is_over: bool,
}

/// A frame as it arrived.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Talk {
    fn new(stream: StreamOwned<ServerConnection, TcpStream>, connection: usize) -> Self {
        let requests = Vec::new();
        let decoder = Decoder::new();
        Self { stream, connection, requests, decoder, is_silent: false, is_over: false }
    }

    /// Whether the handshake has chosen HTTP/1.1, as it does with a client that offers nothing else.
    fn speaks_http1(&mut self) -> bool {
        let StreamOwned { conn, sock } = &mut self.stream;
        while conn.is_handshaking() {
            if conn.complete_io(sock).is_err() {
                return false;
            }
        }
        conn.alpn_protocol() == Some(b"http/1.1")
    }

    /// Answers each request of an HTTP/1.1 connection with `over HTTP/1.1`.
    fn answer_in_http1(&mut self) {
        let mut reader = BufReader::new(&mut self.stream);
        while HeadOf::read(&mut reader).is_some() {
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nover HTTP/1.1";
            let stream = reader.get_mut();
            if stream.write_all(reply).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }

    /// All requests of the connection so far, the current one included.
    pub fn requests(&self) -> &[Asked] {
        &self.requests
    }

    /// The size of the header table that the client has chosen.
    pub fn table_size(&self) -> usize {
        self.decoder.table_size()
    }

    /// A whole reply: 200 with this body.
    pub fn answer(&mut self, asked: &Asked, body: impl AsRef<[u8]>) -> &mut Self {
        let body = body.as_ref();
        let length = body.len().to_string();
        self.head(asked, "200", &[("content-length", &length)]).end(asked, body)
    }

    /// The head of a reply, after which there is a body.
    pub fn head(&mut self, asked: &Asked, status: &str, fields: &[(&str, &str)]) -> &mut Self {
        self.headers(asked, status, fields, 0)
    }

    /// The head of a reply that has no body.
    pub fn only_head(&mut self, asked: &Asked, status: &str, fields: &[(&str, &str)]) -> &mut Self {
        self.headers(asked, status, fields, END_STREAM)
    }

    /// A piece of a body.
    pub fn data(&mut self, asked: &Asked, bytes: impl AsRef<[u8]>) -> &mut Self {
        for piece in bytes.as_ref().chunks(MAX_FRAME_BYTES) {
            self.send(kind::DATA, 0, asked.stream, piece);
        }
        self
    }

    /// The last piece of a body.
    pub fn end(&mut self, asked: &Asked, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.data(asked, bytes).send(kind::DATA, END_STREAM, asked.stream, &[])
    }

    /// The start of a head in many small frames, which does not end.
    pub fn endless_head(&mut self, asked: &Asked, frames: usize) -> &mut Self {
        self.send(kind::HEADERS, 0, asked.stream, &encode([(":status", "200")]));
        for _ in 0..frames {
            let line = encode([("x", "y")]);
            self.send(kind::CONTINUATION, 0, asked.stream, &line);
        }
        self
    }

    /// DATA frames without a byte.
    pub fn empty_data(&mut self, asked: &Asked, frames: usize) -> &mut Self {
        for _ in 0..frames {
            self.send(kind::DATA, 0, asked.stream, &[]);
        }
        self
    }

    /// Frames that have to be acknowledged: SETTINGS and PING in turn.
    pub fn questions(&mut self, pairs: usize) -> &mut Self {
        for _ in 0..pairs {
            self.send(kind::SETTINGS, 0, 0, &[]).send(kind::PING, 0, 0, &[0; 8]);
        }
        self
    }

    /// Ends a stream with an error (RST_STREAM).
    pub fn reset(&mut self, asked: &Asked, code: u32) -> &mut Self {
        self.send(kind::RST_STREAM, 0, asked.stream, &code.to_be_bytes())
    }

    /// Accepts no streams after this one (GOAWAY).
    pub fn go_away(&mut self, last: u32, code: u32) -> &mut Self {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(kind::GOAWAY, 0, 0, &payload)
    }

    /// Changes settings.
    pub fn settings(&mut self, settings: &Settings) -> &mut Self {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        self.send(kind::SETTINGS, 0, 0, &payload)
    }

    /// From now on reads everything and answers nothing, not even a PING, and leaves the connection open.
    pub fn fall_silent(&mut self) -> &mut Self {
        self.is_silent = true;
        self
    }

    /// Closes the connection properly, with close_notify.
    pub fn close(&mut self) -> &mut Self {
        self.stream.conn.send_close_notify();
        let _ = self.stream.flush();
        self.cut()
    }

    /// Closes the connection without close_notify, as a device in between would.
    pub fn cut(&mut self) -> &mut Self {
        self.is_over = true;
        self
    }

    fn headers(
        &mut self,
        asked: &Asked,
        status: &str,
        fields: &[(&str, &str)],
        flags: u8,
    ) -> &mut Self {
        let status = [(":status", status)].into_iter();
        self.field_lines(asked, &encode(status.chain(fields.iter().copied())), flags)
    }

    /// Ends a body with trailer fields.
    pub fn trailers(&mut self, asked: &Asked, fields: &[(&str, &str)]) -> &mut Self {
        self.field_lines(asked, &encode(fields.iter().copied()), END_STREAM)
    }

    /// Sends encoded field lines, in as many frames as they need.
    fn field_lines(&mut self, asked: &Asked, block: &[u8], flags: u8) -> &mut Self {
        let mut pieces: Vec<&[u8]> = block.chunks(MAX_FRAME_BYTES).collect();
        let last = pieces.pop().unwrap();
        let (mut kind, mut flags) = (kind::HEADERS, flags);
        for piece in pieces {
            self.send(kind, flags, asked.stream, piece);
            (kind, flags) = (kind::CONTINUATION, 0);
        }
        self.send(kind, flags | END_HEADERS, asked.stream, last)
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        let sent = self.stream.write_all(&[&head, payload].concat());
        // An error shows again when the next frame is read.
        let _ = sent.and_then(|()| self.stream.flush());
        self
    }

    /// Reads frames and runs the script for each request, until the connection is over.
    fn serve(
        &mut self,
        settings: &Settings,
        script: &impl for<'a> Fn(&'a mut Self, &Asked) -> &'a mut Self,
        all: &Mutex<Vec<Asked>>,
        pings: &Mutex<Vec<usize>>,
    ) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface)?;
        assert_eq!(preface, PREFACE, "HTTP/2 is what was agreed upon");
        self.settings(settings);
        while !self.is_over {
            let frame = self.read_frame()?;
            match frame.kind {
                kind::PING if frame.flags & ACK == 0 => {
                    pings.lock().unwrap().push(self.connection);
                    self.acknowledge(kind::PING, &frame.payload);
                }
                kind::SETTINGS if frame.flags & ACK == 0 => self.acknowledge(kind::SETTINGS, &[]),
                kind::HEADERS => {
                    let asked = self.read_request(frame)?;
                    all.lock().unwrap().push(asked.clone());
                    self.requests.push(asked.clone());
                    if !self.is_silent {
                        script(self, &asked);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, kind: u8, payload: &[u8]) {
        if !self.is_silent {
            self.send(kind, ACK, 0, payload);
        }
    }

    fn read_frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5] & 127, head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads a request that begins with this frame.
    fn read_request(&mut self, first: Frame) -> io::Result<Asked> {
        let Frame { mut flags, stream, payload, .. } = first;
        let padding = if flags & PADDED == 0 { 0 } else { usize::from(payload[0]) };
        let start = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
        let mut block = payload[start..payload.len() - padding].to_vec();
        while flags & END_HEADERS == 0 {
            let next = self.read_frame()?;
            assert_eq!((next.kind, next.stream), (kind::CONTINUATION, stream));
            flags = next.flags;
            block.extend_from_slice(&next.payload);
        }
        let fields = self.decoder.decode(&block);
        let path = fields.iter().find(|(name, _)| name == ":path").unwrap().1.clone();
        Ok(Asked { path, fields, stream, connection: self.connection, nth: self.requests.len() })
    }
}

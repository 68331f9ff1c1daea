//! A body that has versions, and a server of it that keeps the rules of continuing bodies (RFC 9110 sections 13 and 14)
//! until it is told to break them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use super::{End, Origin, Reply, Request};

/// A date, and one that is a minute later: the first is a strong validator in a reply of the second.
pub const MODIFIED: &str = "Tue, 03 Mar 2026 10:00:00 GMT";
pub const A_MINUTE_LATER: &str = "Tue, 03 Mar 2026 10:01:00 GMT";

/// A body of so many bytes. Two with different seeds below 256 differ in every byte, so that a splice shows.
pub fn body(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

/// A version of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub body: Vec<u8>,
    pub etag: Option<String>,
    pub modified: Option<String>,
    pub date: Option<String>,
}

impl Version {
    /// One that nothing tells from others.
    pub fn of(body: Vec<u8>) -> Self {
        Self { body, etag: None, modified: None, date: None }
    }

    /// The same with this ETag.
    pub fn tagged(self, etag: &str) -> Self {
        Self { etag: Some(etag.to_owned()), ..self }
    }

    /// The same without an ETag.
    pub fn untagged(self) -> Self {
        Self { etag: None, ..self }
    }

    /// The same with this Last-Modified, in replies of this Date.
    pub fn dated(self, modified: &str, date: &str) -> Self {
        Self { modified: Some(modified.to_owned()), date: Some(date.to_owned()), ..self }
    }

    pub fn length(&self) -> usize {
        self.body.len()
    }

    /// Its validators as field lines.
    pub fn fields(&self) -> String {
        let field = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!("{name}: {value}\r\n"))
        };
        field("ETag", &self.etag)
            + &field("Last-Modified", &self.modified)
            + &field("Date", &self.date)
    }

    /// 200 with all of it.
    pub fn whole(&self) -> Reply {
        Reply::of("200 OK", &self.fields(), &self.body)
    }

    /// 200 with its first bytes in one chunk, and no end.
    pub fn endless(&self, bytes: usize) -> Reply {
        let fields = self.fields();
        let head =
            format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n");
        Reply::raw([head.as_bytes(), &self.body[..bytes]].concat(), End::Close)
    }

    /// 206 with these bytes of it, and this Content-Range.
    pub fn part(&self, bytes: Range<usize>, content_range: &str) -> Reply {
        let fields = format!("{}Content-Range: {content_range}\r\n", self.fields());
        Reply::of("206 Partial Content", &fields, &self.body[bytes])
    }

    /// 206 with all of it from this byte on.
    pub fn rest(&self, from: usize) -> Reply {
        self.part(from..self.length(), &self.range(from))
    }

    /// 206 with these bytes of it.
    pub fn span(&self, bytes: Range<usize>) -> Reply {
        let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, self.length());
        self.part(bytes, &range)
    }

    /// The Content-Range of all of it from this byte on.
    pub fn range(&self, from: usize) -> String {
        format!("bytes {from}-{}/{}", self.length() - 1, self.length())
    }

    /// 416.
    pub fn beyond(&self) -> Reply {
        let range = format!("Content-Range: bytes */{}\r\n", self.length());
        Reply::of("416 Range Not Satisfiable", &(self.fields() + &range), "")
    }

    /// 304.
    pub fn unchanged(&self) -> Reply {
        Reply::raw(format!("HTTP/1.1 304 Not Modified\r\n{}\r\n", self.fields()), End::KeepAlive)
    }

    /// What the rules ask for.
    pub fn answer(&self, request: &Request) -> Reply {
        if self.is_what_they_have(request) {
            return self.unchanged();
        }
        let whole = 0..self.length();
        match asked_span(request).filter(|_| self.is_what_they_began(request)) {
            None => self.whole(),
            Some((from, _)) if !whole.contains(&from) => self.beyond(),
            Some((from, None)) => self.rest(from),
            Some((from, Some(last))) => self.span(from..whole.end.min(last + 1)),
        }
    }

    fn is_what_they_have(&self, request: &Request) -> bool {
        let weak = |tag: &str| tag.trim_start_matches("W/").to_owned();
        match (request.header("if-none-match"), &self.etag) {
            (Some(given), Some(tag)) => weak(given) == weak(tag),
            (Some(_), None) => false,
            (None, _) => {
                let since = request.header("if-modified-since");
                since.is_some() && since == self.modified.as_deref()
            }
        }
    }

    /// A tag that is weak, or of a weak one, is no proof.
    fn is_what_they_began(&self, request: &Request) -> bool {
        let Some(given) = request.header("if-range") else { return true };
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        Some(given) == strong || Some(given) == self.modified.as_deref()
    }
}

/// The byte from which on a request asks for the body.
pub fn asked_from(request: &Request) -> Option<usize> {
    request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// The first and the last byte of the body that a request asks for; no last one where it asks for all the rest.
pub fn asked_span(request: &Request) -> Option<(usize, Option<usize>)> {
    let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

impl Reply {
    /// The reply with so many bytes of its body, after which the connection does this.
    pub fn up_to(mut self, body_bytes: usize, end: End) -> Self {
        self.bytes.truncate(self.head() + body_bytes);
        self.then(end)
    }

    /// The reply with another field line.
    pub fn with(mut self, field: &str) -> Self {
        let before = self.head() - 2;
        self.bytes.splice(before..before, format!("{field}\r\n").into_bytes());
        self
    }

    /// How many bytes of a body it has.
    pub fn body_bytes(&self) -> usize {
        self.bytes.len() - self.head()
    }

    /// Bytes that are not the body's.
    fn head(&self) -> usize {
        self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
    }
}

type Manner = Box<dyn FnOnce(&Request, &Version) -> Reply + Send>;

struct Script {
    version: Mutex<Version>,
    /// How the next requests are answered, and what the body is after that, where it changes.
    manners: Mutex<VecDeque<(Manner, Option<Version>)>>,
    sent: AtomicUsize,
}

/// The server; it has the body under every path.
pub struct Versions {
    origin: Origin,
    script: Arc<Script>,
}

impl Versions {
    /// A server of this version.
    pub fn of(version: Version) -> Self {
        let script = Arc::new(Script {
            version: Mutex::new(version),
            manners: Mutex::default(),
            sent: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&script);
        let origin = Origin::new(move |request| {
            let mut version = shared.version.lock().unwrap();
            let manner = shared.manners.lock().unwrap().pop_front();
            let reply = match manner {
                None => version.answer(request),
                Some((manner, next)) => {
                    let reply = manner(request, &version);
                    *version = next.unwrap_or_else(|| version.clone());
                    reply
                }
            };
            shared.sent.fetch_add(reply.body_bytes(), SeqCst);
            reply
        });
        Self { origin, script }
    }

    /// The body changes.
    pub fn change(&self, version: Version) {
        *self.script.version.lock().unwrap() = version;
    }

    /// What the server has now.
    pub fn version(&self) -> Version {
        self.script.version.lock().unwrap().clone()
    }

    /// One more request is answered like this, before the rules are kept again.
    pub fn then(&self, manner: impl FnOnce(&Request, &Version) -> Reply + Send + 'static) {
        self.script.manners.lock().unwrap().push_back((Box::new(manner), None));
    }

    /// One more request gets so many bytes of the body that it should get, and a broken connection.
    pub fn then_cut(&self, bytes: usize) {
        self.then(move |request, version| version.answer(request).up_to(bytes, End::Close));
    }

    /// After the last reply told so far the body changes.
    pub fn then_change(&self, version: Version) {
        self.script.manners.lock().unwrap().back_mut().expect("a reply was told").1 = Some(version);
    }

    /// The rules are kept from now on.
    pub fn behave(&self) {
        self.script.manners.lock().unwrap().clear();
    }

    pub fn url(&self, path: &str) -> String {
        self.origin.url(path)
    }

    /// The requests since this was last asked.
    pub fn heard(&self) -> Vec<Request> {
        self.origin.take_seen()
    }

    /// How many requests there were since they were last asked for.
    pub fn requests(&self) -> usize {
        self.origin.requests()
    }

    /// Forgets what it has heard and sent.
    pub fn forget(&self) {
        self.heard();
        self.sent();
    }

    /// Body bytes sent since this was last asked.
    pub fn sent(&self) -> usize {
        self.script.sent.swap(0, SeqCst)
    }
}

//! A body that has versions, and a server of it that follows the rules of conditional and range requests (RFC 9110 sections
//! 13 and 14) unless a test says otherwise.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use super::{End, Origin, Reply, Request};

/// A date, and one that is a minute later: the first is a strong validator in a reply of the second.
pub const MODIFIED: &str = "Tue, 03 Mar 2026 10:00:00 GMT";
pub const A_MINUTE_LATER: &str = "Tue, 03 Mar 2026 10:01:00 GMT";

/// A body of `length` bytes. Two with different seeds below 256 differ in every byte, so that a mixture is detected.
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
    /// A version without validators.
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

    /// 206 with the bytes from this one to the end.
    pub fn rest(&self, from: usize) -> Reply {
        self.part(from..self.length(), &self.range(from))
    }

    /// 206 with these bytes of it.
    pub fn span(&self, bytes: Range<usize>) -> Reply {
        let range = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, self.length());
        self.part(bytes, &range)
    }

    /// The Content-Range of the bytes from this one to the end.
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

    /// The reply that the rules ask for.
    pub fn answer(&self, request: &Request) -> Reply {
        if self.is_cached_by(request) {
            return self.unchanged();
        }
        let whole = 0..self.length();
        match asked_span(request).filter(|_| self.is_continued_by(request)) {
            None => self.whole(),
            Some((from, _)) if !whole.contains(&from) => self.beyond(),
            Some((from, None)) => self.rest(from),
            Some((from, Some(last))) => self.span(from..whole.end.min(last + 1)),
        }
    }

    /// Whether the client has this version already, by its If-None-Match or If-Modified-Since.
    fn is_cached_by(&self, request: &Request) -> bool {
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

    /// Whether the client continues this version, by its If-Range. A weak tag is no proof.
    fn is_continued_by(&self, request: &Request) -> bool {
        let Some(given) = request.header("if-range") else { return true };
        let strong = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        Some(given) == strong || Some(given) == self.modified.as_deref()
    }
}

/// The first byte of a request for the rest of the body; `None` if it is no such request.
pub fn asked_from(request: &Request) -> Option<usize> {
    request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// The first and the last byte of the body that a request asks for; no last one if it asks for the rest.
pub fn asked_span(request: &Request) -> Option<(usize, Option<usize>)> {
    let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

impl Reply {
    /// The reply with the first `body_bytes` bytes of its body, after which the connection does this.
    pub fn up_to(mut self, body_bytes: usize, end: End) -> Self {
        self.bytes.truncate(self.head_bytes() + body_bytes);
        self.then(end)
    }

    /// The reply with another field line.
    pub fn with(mut self, field: &str) -> Self {
        let before = self.head_bytes() - 2;
        self.bytes.splice(before..before, format!("{field}\r\n").into_bytes());
        self
    }

    /// The length of its body.
    pub fn body_bytes(&self) -> usize {
        self.bytes.len() - self.head_bytes()
    }

    /// The length of its head.
    fn head_bytes(&self) -> usize {
        self.bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4
    }
}

type Answer = Box<dyn FnOnce(&Request, &Version) -> Reply + Send>;

struct Script {
    version: Mutex<Version>,
    /// How the next requests are answered, each with the version after it, if that changes.
    answers: Mutex<VecDeque<(Answer, Option<Version>)>>,
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
            answers: Mutex::default(),
            sent: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&script);
        let origin = Origin::new(move |request| {
            let mut version = shared.version.lock().unwrap();
            let answer = shared.answers.lock().unwrap().pop_front();
            let reply = match answer {
                None => version.answer(request),
                Some((answer, next)) => {
                    let reply = answer(request, &version);
                    *version = next.unwrap_or_else(|| version.clone());
                    reply
                }
            };
            shared.sent.fetch_add(reply.body_bytes(), SeqCst);
            reply
        });
        Self { origin, script }
    }

    /// Changes the body.
    pub fn change(&self, version: Version) {
        *self.script.version.lock().unwrap() = version;
    }

    /// The current version.
    pub fn version(&self) -> Version {
        self.script.version.lock().unwrap().clone()
    }

    /// Answers one more request like this, before it follows the rules again.
    pub fn then(&self, answer: impl FnOnce(&Request, &Version) -> Reply + Send + 'static) {
        self.script.answers.lock().unwrap().push_back((Box::new(answer), None));
    }

    /// Answers one more request with the first `bytes` bytes of its body, and a broken connection.
    pub fn then_cut(&self, bytes: usize) {
        self.then(move |request, version| version.answer(request).up_to(bytes, End::Close));
    }

    /// Changes the body after the last of the replies that were set by [`then`](Self::then).
    pub fn then_change(&self, version: Version) {
        self.script.answers.lock().unwrap().back_mut().expect("a reply was told").1 = Some(version);
    }

    /// Follows the rules from now on.
    pub fn behave(&self) {
        self.script.answers.lock().unwrap().clear();
    }

    pub fn url(&self, path: &str) -> String {
        self.origin.url(path)
    }

    /// The requests since the last call.
    pub fn heard(&self) -> Vec<Request> {
        self.origin.take_seen()
    }

    /// The number of requests since [`heard`](Self::heard) or [`forget`](Self::forget) was called.
    pub fn requests(&self) -> usize {
        self.origin.requests()
    }

    /// Forgets the requests and the bytes sent so far.
    pub fn forget(&self) {
        self.heard();
        self.sent();
    }

    /// Body bytes sent since the last call.
    pub fn sent(&self) -> usize {
        self.script.sent.swap(0, SeqCst)
    }
}

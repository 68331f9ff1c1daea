//! A server whose bodies have versions. It can kill a run at any byte that it sends.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clock::PATIENCE;
use super::raw::{HeadOf, Raw};

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 8 * 1024;

/// Bytes of the longest body.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The validator that distinguishes versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// An ETag that is equal only for equal bytes.
    Strong,
    /// An ETag that may be equal for bytes that differ.
    Weak,
    /// Last-Modified, long ago.
    Date,
    /// Nothing.
    Nothing,
}

/// A body, and how it is served.
#[derive(Debug, Clone)]
pub struct Page {
    /// Bytes of each version; later ones are as long as the last.
    pub sizes: Vec<usize>,
    pub tag: Tag,
    pub chunked: bool,
    /// The number of replies that end in the middle.
    pub cuts: usize,
    /// Whether the version changes after each of these replies.
    pub changes: bool,
    /// Whether a range is served even if If-Range names another version.
    pub ignores_if_range: bool,
    /// Further field lines of the replies.
    pub fields: &'static str,
}

impl Page {
    pub fn of(bytes: usize) -> Self {
        Self {
            sizes: vec![bytes],
            tag: Tag::Strong,
            chunked: false,
            cuts: 0,
            changes: false,
            ignores_if_range: false,
            fields: "",
        }
    }
}

/// The path of a request that is not counted; see [`VersionedOrigin::hush`].
const HUSH: &str = "/hush";

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
pub enum Trigger {
    /// When this number of bytes of bodies has been sent to it.
    Bytes(usize),
    /// When it has sent this number of requests.
    Requests(usize),
}

#[derive(Debug, Default)]
struct State {
    /// The number of connections that have ended.
    ended: usize,
    /// The number of requests for [`HUSH`].
    hushed: usize,
    pages: BTreeMap<String, (Page, Progress)>,
    requests: usize,
    trigger: Option<Trigger>,
    victim: Option<u32>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    version: usize,
    requests: usize,
    bodies: usize,
    ranges: usize,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

/// The server. Dropping it ends it.
pub struct VersionedOrigin {
    inner: Arc<Inner>,
    raw: Raw,
}

impl VersionedOrigin {
    /// A server of these pages.
    pub fn of(pages: impl IntoIterator<Item = (String, Page)>) -> Self {
        let inner = Arc::<Inner>::default();
        let pages = pages.into_iter().map(|(path, page)| (path, (page, Progress::default())));
        inner.state().pages = pages.collect();
        let shared = Arc::clone(&inner);
        Self { inner, raw: Raw::new(move |stream, _| shared.serve(stream)) }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.raw.address())
    }

    /// The current body of a path.
    pub fn body(&self, path: &str) -> Vec<u8> {
        let (page, progress) = self.page(path);
        body(path, &page, progress.version).to_vec()
    }

    /// Every path has another version from now on.
    pub fn change_all(&self) {
        self.inner.state().pages.values_mut().for_each(|(_, progress)| progress.version += 1);
    }

    /// The path has another version from now on.
    pub fn change(&self, path: &str) {
        self.inner.state().pages.get_mut(path).unwrap().1.version += 1;
    }

    /// All requests so far.
    pub fn requests(&self) -> usize {
        self.inner.state().requests
    }

    /// Waits until everything that finished runs have sent is counted: a connection of its own is accepted after theirs.
    pub fn hush(&self) {
        let before = self.inner.state().hushed;
        let mut last = TcpStream::connect(self.raw.address()).unwrap();
        last.write_all(format!("GET {HUSH} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let is_loud =
            |state: &mut State| state.hushed == before || state.ended < self.raw.connections();
        drop(self.inner.changed.wait_while(self.inner.state(), is_loud).unwrap());
    }

    /// How often a path was requested.
    pub fn requests_of(&self, path: &str) -> usize {
        self.page(path).1.requests
    }

    /// How often a body, or some of it, was sent for a path.
    pub fn bodies_of(&self, path: &str) -> usize {
        self.page(path).1.bodies
    }

    /// How often the rest of a body was sent.
    pub fn ranges(&self) -> usize {
        self.inner.state().pages.values().map(|(_, progress)| progress.ranges).sum()
    }

    /// Sets the trigger that kills the next run, whose process [`aim`](Self::aim) names.
    pub fn arm(&self, trigger: Trigger) {
        let mut state = self.inner.state();
        (state.trigger, state.victim) = (Some(trigger), None);
    }

    /// Names the process to kill.
    pub fn aim(&self, victim: u32) {
        self.inner.state().victim = Some(victim);
        self.inner.changed.notify_all();
    }

    /// Removes the trigger.
    pub fn disarm(&self) {
        self.inner.state().trigger = None;
        self.inner.changed.notify_all();
    }

    fn page(&self, path: &str) -> (Page, Progress) {
        self.inner.state().pages[path].clone()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) {
        // A small buffer, so that the bytes counted as sent are not far ahead of those received.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(2 * PIECE_BYTES);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = HeadOf::read(&mut reader) {
            if request.target == HUSH {
                self.state().hushed += 1;
                break;
            }
            if self.answer(&request, &mut stream).is_none() {
                break;
            }
        }
        self.state().ended += 1;
        self.changed.notify_all();
    }

    /// Answers a request. `None` if the connection has to be closed.
    fn answer(&self, request: &HeadOf, stream: &mut TcpStream) -> Option<()> {
        let path = &request.target;
        let (page, version, is_cut) = self.count_request(path);
        let body = body(path, &page, version);
        let tag = page.tag.fields(path, version);
        let all = body.len();
        let reply = ReplyKind::of(request, &page, &tag, all);
        let (status, range, from) = match reply {
            ReplyKind::Whole => ("200 OK", String::new(), 0),
            ReplyKind::Rest(from, to) => {
                let range = format!("Content-Range: bytes {from}-{}/{all}\r\n", to - 1);
                ("206 Partial Content", range, from)
            }
            ReplyKind::Beyond => ("416 Beyond", format!("Content-Range: bytes */{all}\r\n"), all),
            ReplyKind::Unchanged => ("304 Not Modified", String::new(), all),
        };
        let to = if let ReplyKind::Rest(_, to) = reply { to } else { all };
        let body = &body[from..to];
        let framing = match (reply, page.chunked) {
            (ReplyKind::Unchanged, _) => String::new(),
            (ReplyKind::Beyond, _) => "Content-Length: 0\r\n".to_owned(),
            (_, true) => "Transfer-Encoding: chunked\r\n".to_owned(),
            (_, false) => format!("Content-Length: {}\r\n", body.len()),
        };
        let date = "Date: Wed, 01 Jan 2020 00:00:00 GMT\r\n";
        let head = format!("HTTP/1.1 {status}\r\n{date}{tag}{range}{framing}{}\r\n", page.fields);
        stream.write_all(head.as_bytes()).ok()?;
        if matches!(reply, ReplyKind::Unchanged | ReplyKind::Beyond) {
            return Some(());
        }
        self.count_body(path, reply);
        let sent = if is_cut { &body[..body.len() / 2] } else { body };
        for piece in sent.chunks(PIECE_BYTES) {
            match page.chunked {
                true => {
                    write!(stream, "{:x}\r\n", piece.len()).ok()?;
                    stream.write_all(piece).ok()?;
                    stream.write_all(b"\r\n").ok()?;
                }
                false => stream.write_all(piece).ok()?,
            }
            self.count_bytes(piece.len());
        }
        if is_cut {
            self.end_cut_reply(path, &page);
            return None;
        }
        if page.chunked {
            stream.write_all(b"0\r\n\r\n").ok()?;
        }
        Some(())
    }

    /// Counts a request. Returns the page, its version, and whether this reply ends in the middle.
    fn count_request(&self, path: &str) -> (Page, usize, bool) {
        let mut state = self.state();
        state.requests += 1;
        let (page, progress) = state.pages.get_mut(path).expect("it has all pages");
        progress.requests += 1;
        let is_cut = page.cuts > 0;
        page.cuts -= usize::from(is_cut);
        let counted = (page.clone(), progress.version, is_cut);
        if let Some(Trigger::Requests(left)) = &mut state.trigger {
            *left = left.saturating_sub(1);
        }
        self.kill_if_due(state);
        counted
    }

    fn count_body(&self, path: &str, reply: ReplyKind) {
        let mut state = self.state();
        let (_, progress) = state.pages.get_mut(path).expect("it has all pages");
        progress.bodies += 1;
        progress.ranges += usize::from(matches!(reply, ReplyKind::Rest(..)));
    }

    /// Changes the version after a reply that ended in the middle, if the page does so.
    fn end_cut_reply(&self, path: &str, page: &Page) {
        let mut state = self.state();
        let (_, progress) = state.pages.get_mut(path).expect("it has all pages");
        progress.version += usize::from(page.changes);
    }

    fn count_bytes(&self, bytes: usize) {
        let mut state = self.state();
        if let Some(Trigger::Bytes(left)) = &mut state.trigger {
            *left = left.saturating_sub(bytes);
        }
        self.kill_if_due(state);
    }

    /// Kills the run if the trigger is reached.
    fn kill_if_due(&self, state: MutexGuard<'_, State>) {
        if !matches!(state.trigger, Some(Trigger::Bytes(0) | Trigger::Requests(0))) {
            return;
        }
        let nobody = |state: &mut State| state.trigger.is_some() && state.victim.is_none();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, nobody);
        let mut state = waited.unwrap().0;
        if let (Some(_), Some(victim)) = (state.trigger.take(), state.victim.take()) {
            let _ = kill(Pid::from_raw(victim as i32), Signal::SIGKILL);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum ReplyKind {
    Whole,
    /// From the first byte up to, and without, the second.
    Rest(usize, usize),
    Beyond,
    Unchanged,
}

impl ReplyKind {
    /// The kind of reply to a request, by the fields that this program sends.
    fn of(request: &HeadOf, page: &Page, tag: &str, all: usize) -> Self {
        let names = |field: &str| !tag.is_empty() && tag.contains(&format!(": {field}\r\n"));
        let condition =
            request.field("if-none-match").or_else(|| request.field("if-modified-since"));
        if condition.is_some_and(names) {
            return Self::Unchanged;
        }
        let Some(range) = request.field("range") else { return Self::Whole };
        let is_of_version = request.field("if-range").is_some_and(names);
        if !is_of_version && !page.ignores_if_range {
            return Self::Whole;
        }
        let (from, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let from = from.parse().unwrap();
        let to = last.parse().map_or(all, |last: usize| all.min(last + 1));
        if from < all { Self::Rest(from, to) } else { Self::Beyond }
    }
}

impl Tag {
    fn fields(self, path: &str, version: usize) -> String {
        match self {
            Self::Strong => format!("ETag: \"{path}-{version}\"\r\n"),
            Self::Weak => format!("ETag: W/\"{path}-{version}\"\r\n"),
            Self::Date => {
                format!("Last-Modified: Thu, 01 Jan 2015 00:00:{:02} GMT\r\n", version % 60)
            }
            Self::Nothing => String::new(),
        }
    }
}

/// The bytes of a version. No two versions have a piece in common at the same place.
fn body(path: &str, page: &Page, version: usize) -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    let noise = NOISE.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(1);
        let words = std::iter::repeat_with(|| random.u64(..));
        words.take(2 * MAX_BODY_BYTES / 8).flat_map(u64::to_le_bytes).collect()
    });
    let seed = path.bytes().fold(version as u64, |seed, byte| seed * 257 + u64::from(byte));
    let at = fastrand::Rng::with_seed(seed).usize(..MAX_BODY_BYTES);
    let size = page.sizes.get(version).or(page.sizes.last()).expect("there is a version");
    &noise[at..at + size]
}

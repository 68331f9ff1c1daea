//! One request to be made.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{ByteRanges, Destination, ExpectedDigest, Failure, PartialBody, ResponseHead, Target};

/// One request to be made for a target. A redirect's hop, the next mirror and a retry are jobs of their own that
/// carry what happened before. What only the queue wants to know is not written to a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// What it is for.
    pub target: Arc<Target>,
    /// What the reply is for.
    pub kind: JobKind,
    /// What to ask for: a listed URL, or where a redirect led.
    pub url: Url,
    /// Which of the target's URLs this goes back to, from 0.
    pub mirror: usize,
    /// Redirects followed since that URL.
    pub hops: u32,
    /// How often the target has been tried from a listed URL on, this time included; from 1.
    pub attempt: u32,
    /// How often the whole set of mirrors has been gone through before.
    pub round: u32,
    /// Mirrors that failed in a way that waiting does not heal, by position.
    #[serde(skip)]
    pub dead_mirrors: Vec<usize>,
    /// The longest wait that a server asked for in this round.
    #[serde(skip)]
    pub asked_wait: Option<std::time::Duration>,
    /// Why the last try failed, where the next one waits for its host to be reached.
    #[serde(skip)]
    pub failed: Option<Failure>,
    /// What its host's name was resolved to; `None` where the name is not ours to look up, or need not be.
    pub addresses: Option<Arc<[IpAddr]>>,
    /// Where its body is saved; `None` if nowhere.
    pub place: Option<Arc<Destination>>,
    /// What there is of its body, to be continued.
    pub part: Option<PartialBody>,
    /// Whether an earlier job of its target has entered in the manifest that the body was begun.
    pub begun: bool,
    /// Whether its body is to come in one piece, because it could not be put together out of several.
    pub in_one: bool,
    /// What there is of the body of a segment, its siblings' included.
    #[serde(skip)]
    pub held: Option<Arc<SharedRanges>>,
    /// How often its body was not the one that was promised.
    pub mismatches: u32,
    /// Body bytes that crossed the wire for the target before this job.
    pub wire_bytes: u64,
    /// When the target entered the queue.
    #[serde(skip, default = "Instant::now")]
    pub queued: Instant,
    /// When its first request was started, by both clocks; `None` before it.
    #[serde(skip)]
    pub started: Option<(Instant, SystemTime)>,
}

/// What a reply is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobKind {
    /// It is the target's own.
    Body,
    /// It is a segment of the target's own: from where its part ends to this byte.
    Segment {
        /// The byte behind its last one.
        end: u64,
    },
    /// There is none: all segments are in, and are looked at as the whole that they make.
    Assemble(Arc<Assembly>),
    /// It tells what this host allows (RFC 9309); its target is in no list.
    Robots(Arc<str>),
}

/// What was said of a body whose segments are all in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// The head of a reply that told of it.
    pub head: ResponseHead,
    /// What it must hash to.
    pub claims: Vec<ExpectedDigest>,
}

/// What there is of a body, as all who work on it know it. Whoever tells of it in writing does so before he lets go.
pub type SharedRanges = Mutex<ByteRanges>;

impl Job {
    /// How often the target has been tried, this job not begun.
    pub fn tries_before(&self) -> u32 {
        let counts_itself = self.hops == 0 || self.failed.is_some();
        self.attempt - u32::from(counts_itself)
    }

    /// The first job of a target, whose body goes to `place`.
    pub fn first(target: Target, place: Option<Destination>, queued: Instant) -> Self {
        Self {
            url: target.url().clone(),
            target: Arc::new(target),
            part: place.as_ref().and_then(|place| place.part.clone()),
            begun: false,
            in_one: false,
            held: None,
            place: place.map(Arc::new),
            mismatches: 0,
            kind: JobKind::Body,
            mirror: 0,
            hops: 0,
            attempt: 1,
            round: 0,
            dead_mirrors: Vec::new(),
            asked_wait: None,
            failed: None,
            addresses: None,
            wire_bytes: 0,
            queued,
            started: None,
        }
    }
}

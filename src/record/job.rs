//! One request to be made.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Failure, Part, Place, Target};

/// One request to be made for a target. A redirect's hop, the next mirror and a retry are jobs of their own that
/// carry what happened before. What only the queue wants to know is not written to a line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// What it is for.
    pub target: Arc<Target>,
    /// What the reply is for.
    pub purpose: Purpose,
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
    pub place: Option<Arc<Place>>,
    /// What there is of its body, to be continued.
    pub part: Option<Part>,
    /// Whether an earlier job of its target has entered in the manifest that the body was begun.
    pub begun: bool,
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
pub enum Purpose {
    /// It is the target's own.
    Body,
    /// It tells what this host allows (RFC 9309); its target is in no list.
    Robots(Arc<str>),
}

impl Job {
    /// How often the target has been tried, this job not begun.
    pub fn tries_before(&self) -> u32 {
        let counts_itself = self.hops == 0 || self.failed.is_some();
        self.attempt - u32::from(counts_itself)
    }

    /// The first job of a target, whose body goes to `place`.
    pub fn first(target: Target, place: Option<Place>, queued: Instant) -> Self {
        Self {
            url: target.url().clone(),
            target: Arc::new(target),
            part: place.as_ref().and_then(|place| place.part.clone()),
            begun: false,
            place: place.map(Arc::new),
            mismatches: 0,
            purpose: Purpose::Body,
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

//! Jobs: the requests to be made for a target, each with the history that the queue needs.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use url::Url;

use super::serde_helpers::secret_value;
use super::{
    AttemptLog, ByteRanges, ExpectedDigest, Failure, PartialBody, ResponseHead, SavePlace, Target,
};
use crate::cookies::{CookieRefusal, TargetCookies};

/// One request to be made for a target: what a worker or a child process needs to make it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The target that the request is for.
    pub target: Arc<Target>,
    /// What the reply is used for.
    pub kind: JobKind,
    /// The URL to request: a listed one, or the destination of a redirect.
    #[serde(with = "super::serde_helpers::url")]
    pub url: Url,
    /// Index, from 0, of the listed URL that this request started from.
    pub mirror: usize,
    /// The resolved addresses of the URL's host; `None` if the connection resolves it itself, or needs no lookup.
    pub addresses: Option<Arc<[IpAddr]>>,
    /// The Cookie field of the request: the stored cookies for its URL when it starts; `None` if there are none.
    #[serde(default, with = "secret_value")]
    pub cookie: Option<HeaderValue>,
    /// Where the body is saved; `None` if it is not saved.
    pub place: Option<Arc<SavePlace>>,
    /// The partial body to continue.
    pub part: Option<PartialBody>,
    /// Whether the manifest has an entry that the body was begun, from an earlier job of the target.
    pub begun: bool,
    /// Whether the body must not be fetched in segments, because its segments could not be joined.
    pub in_one: bool,
    /// Whether the server refuses HEAD at this URL.
    pub head_refused: bool,
    /// For a segment: the ranges received by all segments of the target. Not sent to a child process, which reports
    /// what it received to its parent.
    #[serde(skip)]
    pub received: Option<Arc<dyn SharedRanges>>,
}

/// What a reply is used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobKind {
    /// It is the body of the target.
    Body,
    /// It is a segment of the target's body, from the end of the job's partial body to `end`.
    Segment {
        /// The byte after the last one of the segment.
        end: u64,
    },
    /// No request: all segments have arrived, and the body they make is verified.
    Assemble(Arc<Assembly>),
    /// It is a robots.txt (RFC 9309). Its target is not listed.
    Robots {
        /// The host that its rules are for.
        host: Arc<str>,
        /// Whether the request that waits for the robots.txt goes to the origin that its target lists.
        is_listed: bool,
    },
}

/// What the replies said about a body whose segments have all arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// The head of the first reply that described the body.
    pub head: ResponseHead,
    /// The digests that the body must have.
    pub claims: Vec<ExpectedDigest>,
}

/// Byte ranges received so far, shared by the segments of one target.
pub trait SharedRanges: fmt::Debug + Send + Sync {
    /// Adds a range. If it brings new bytes, `record` is called first, with all ranges including this one.
    ///
    /// Calls do not overlap: the ranges stay locked until `record` has written its manifest entry, so entries are
    /// written in the order in which ranges grow, and the last entry is the most complete one.
    ///
    /// # Errors
    /// Those of `record`; the range is then not added.
    fn add(
        &self,
        range: Range<u64>,
        record: &mut dyn FnMut(&ByteRanges) -> Result<(), Failure>,
    ) -> Result<(), Failure>;
}

/// A job with its history, from which the queue decides what follows it. A redirect's hop, the next mirror and a retry
/// are separate jobs that continue the history.
#[derive(Debug, Clone)]
pub struct QueuedJob {
    /// The request to make.
    pub request: Job,
    /// Redirects followed since the listed URL.
    pub hops: u32,
    /// The cookies that these redirects have set; `None` if none has. Unused if the run keeps cookies.
    pub(crate) cookies: Option<Arc<TargetCookies>>,
    /// Why a cookie that the last reply has set is not kept; `None` if there is none.
    pub(crate) refused_cookie: Option<CookieRefusal>,
    /// The number of the attempt that this job belongs to, from 1; redirect hops belong to the attempt that led to them.
    pub attempt: u32,
    /// Complete rounds through all mirrors before this one.
    pub round: u32,
    /// Attempts that did not count as a round, because the bytes they received are kept.
    pub continued: u32,
    /// The maximum number of body bytes kept so far; they may have been discarded since.
    pub most_kept: u64,
    /// Indexes of the mirrors with a failure that a retry cannot mend.
    pub dead_mirrors: Vec<usize>,
    /// The longest wait that a server demanded in this round.
    pub asked_wait: Option<Duration>,
    /// Why the last attempt failed, if this job waits until its host can be reached.
    pub failed: Option<Failure>,
    /// How often the body did not match its expected digest.
    pub mismatches: u32,
    /// Body bytes received for the target by earlier jobs, including errors and redirects.
    pub wire_bytes: u64,
    /// When the target entered the queue.
    pub queued: Instant,
    /// When the first request for the target was started, by both clocks; `None` before that.
    pub first_started: Option<(Instant, SystemTime)>,
    /// When this request was started; before that, when the previous one was, or when the target was queued.
    pub last_started: Instant,
    /// The attempts made for the target so far.
    pub log: AttemptLog,
}

impl QueuedJob {
    /// The first job of a target, whose body goes to `place`.
    pub fn first(target: Target, place: Option<SavePlace>, queued: Instant) -> Self {
        let request = Job {
            url: target.url().clone(),
            target: Arc::new(target),
            kind: JobKind::Body,
            mirror: 0,
            addresses: None,
            cookie: None,
            part: place.as_ref().and_then(|place| place.part.clone()),
            place: place.map(Arc::new),
            begun: false,
            in_one: false,
            head_refused: false,
            received: None,
        };
        Self::with_no_history(request, queued)
    }

    /// A job of a target for which no request has been made.
    pub fn with_no_history(request: Job, queued: Instant) -> Self {
        Self {
            request,
            hops: 0,
            cookies: None,
            refused_cookie: None,
            attempt: 1,
            round: 0,
            continued: 0,
            most_kept: 0,
            dead_mirrors: Vec::new(),
            asked_wait: None,
            failed: None,
            mismatches: 0,
            wire_bytes: 0,
            queued,
            first_started: None,
            last_started: queued,
            log: AttemptLog::default(),
        }
    }

    /// The total length of its texts in bytes, an estimate of its memory use.
    pub(crate) fn text_bytes(&self) -> usize {
        let name = self.request.place.as_ref().map_or(0, |place| place.name.len());
        self.request.target.text_bytes() + self.request.url.as_str().len() + name
    }

    /// Records that the request starts now, by both clocks.
    pub fn on_start(&mut self, now: Instant, wall: SystemTime) {
        self.first_started.get_or_insert((now, wall));
        self.last_started = now;
        self.log.on_start(now);
    }

    /// The number of attempts made before this job.
    pub fn tries_before(&self) -> u32 {
        // A redirect's hop belongs to the attempt that led to it, which has been made.
        let counts_itself = self.hops == 0 || self.failed.is_some();
        self.attempt - u32::from(counts_itself)
    }
}

//! An attempt: one request made, and its result.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CapturedExchange, Failure, HttpVersion, PartialBody, RequestMethod};
use crate::digest::Digest;

/// One request made for a job, and its result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The head of the reply, if one arrived.
    pub head: Option<ResponseHead>,
    /// Bytes of the target's body so far; zero for the body of a redirect or an error.
    pub bytes: u64,
    /// Body bytes received by this attempt, including those of a redirect or an error.
    pub wire_bytes: u64,
    /// The text of a robots.txt, cut to the maximum that is parsed.
    pub text: Option<Vec<u8>>,
    /// Whether the manifest has an entry that the body was begun, from this attempt or an earlier one.
    pub begun: bool,
    /// The partial body, if it can be resumed.
    pub part: Option<PartialBody>,
    /// The name that the body was saved under, if it is not that of its destination.
    pub name: Option<Arc<str>>,
    /// Digests of a complete body, the requested ones first.
    pub digests: Vec<Digest>,
    /// For a segmented body: the digests that the reply claims.
    pub claims: Vec<ExpectedDigest>,
    /// The header lines of the request and its reply, secrets masked; empty unless they are recorded (`-vv`).
    #[serde(default)]
    pub heads: Vec<String>,
    /// The captured request and reply for an archive, until the archive takes them.
    #[serde(default)]
    pub exchange: Option<Box<CapturedExchange>>,
    /// The Set-Cookie fields of the reply that are to be processed; secret.
    #[serde(default)]
    pub set_cookies: Vec<Vec<u8>>,
    /// The method of the request, if only the head was requested (`--head`).
    pub head_by: Option<RequestMethod>,
    /// How long its phases took.
    pub timings: AttemptTimings,
    /// The number of the worker that made it, from 1.
    pub worker: usize,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AttemptOutcome {
    /// A final 2xx with its complete body.
    Whole,
    /// A final status that `--accept` allows, with its complete body, which is not saved.
    Accepted,
    /// The head of a final reply; its body was not requested, or not read.
    Head,
    /// The server does not serve HEAD: the target has to be requested by GET, and its body not read.
    HeadRefused,
    /// A redirect.
    Redirect {
        /// The Location field as sent; `None` if there was none.
        location: Option<Vec<u8>>,
    },
    /// The saved version is the current one (304 to a conditional request).
    Unchanged,
    /// The reply does not continue the partial body; the target has to be requested as a whole.
    Restart,
    /// The body is to be fetched in segments; `part` has its length and validator.
    Divided,
    /// Anything else.
    Failed(Failure),
}

/// A digest that a reply claims for a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedDigest {
    /// The digest.
    pub digest: Digest,
    /// The header field that claims it.
    pub by: String,
}

/// The parts of a reply's head that decisions and records need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// HTTP version of the reply.
    pub version: HttpVersion,
    /// The peer of the connection: the server, or the proxy before it.
    pub remote_addr: Option<SocketAddr>,
    /// Content-Type as sent.
    pub content_type: Option<String>,
    /// Content-Encoding as sent (RFC 9110 section 8.4).
    pub content_encoding: Option<String>,
    /// Content-Length, in bytes; `None` if there is none (RFC 9110 section 8.6). Of a reply to HEAD, that of the body it
    /// would have.
    pub content_length: Option<u64>,
    /// ETag as sent (RFC 9110 section 8.8.3).
    pub etag: Option<String>,
    /// Last-Modified as sent (RFC 9110 section 8.8.2).
    pub last_modified: Option<String>,
    /// Date as sent (RFC 9110 section 6.6.1).
    pub date: Option<String>,
    /// Content-Range as sent (RFC 9110 section 14.4).
    pub content_range: Option<String>,
    /// Content-Disposition as sent (RFC 6266).
    pub content_disposition: Option<String>,
    /// Retry-After as sent (RFC 9110 section 10.2.3).
    pub retry_after: Option<String>,
    /// When the certificate of the server expires, UTC (RFC 3339); `None` without TLS.
    pub certificate_expires: Option<Arc<str>>,
}

/// How long the phases of an attempt took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AttemptTimings {
    /// From the start to a connection, including TLS; `None` if one was reused, or none was made.
    pub connect: Option<Duration>,
    /// From the start to the end of the reply's head.
    pub first_byte: Option<Duration>,
    /// From the start to the end.
    pub total: Duration,
}

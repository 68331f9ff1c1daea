//! One request made, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::serde_helpers::{self, StaticName};
use super::{Failure, PartialBody};
use crate::digest::Digest;

/// One request made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The head of the reply, if one arrived.
    pub head: Option<ResponseHead>,
    /// Bytes that there are of the target's body; zero for the body of a redirect or an error.
    pub bytes: u64,
    /// Body bytes that arrived, of whatever body.
    pub wire_bytes: u64,
    /// The text of a robots.txt, as far as it counts.
    pub text: Option<Vec<u8>>,
    /// Whether it, or one before it, has entered in the manifest that the body was begun.
    pub begun: bool,
    /// What is left of an unfinished body that can be resumed.
    pub part: Option<PartialBody>,
    /// The name that the body was saved under, where it is not the one of its place.
    pub name: Option<Arc<str>>,
    /// Digests of a whole body: the one asked for first.
    pub digests: Vec<Digest>,
    /// What the reply claims of a body that comes, or is to come, in segments.
    pub claims: Vec<ExpectedDigest>,
    /// When things happened.
    pub timings: AttemptTimings,
    /// Who made it, from 1.
    pub worker: usize,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// A final 2xx with its whole body.
    Whole,
    /// A redirect; the Location field as sent, if it was.
    Redirect {
        /// The bytes of the Location field.
        location: Option<Vec<u8>>,
    },
    /// What was saved before is what the server has (304 to a conditional request).
    Unchanged,
    /// The reply does not continue what was begun; the target has to be asked for as a whole.
    Restart,
    /// The body is one that is to be asked for in segments; what is known of it is in the part.
    Divided,
    /// Anything else.
    Failed(Failure),
}

/// What a body must hash to, by what a reply claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedDigest {
    /// The digest.
    pub digest: Digest,
    /// The field that says so.
    pub by: String,
}

/// What the head of a reply says that a record keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    #[serde(deserialize_with = "serde_helpers::version")]
    pub version: StaticName,
    /// The peer of the connection: the server, or the proxy before it.
    pub remote_addr: Option<SocketAddr>,
    /// Content-Type as sent.
    pub content_type: Option<String>,
    /// Content-Encoding as sent (RFC 9110 section 8.4).
    pub content_encoding: Option<String>,
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
}

/// When the things of one attempt happened.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct AttemptTimings {
    /// From the start to a connection, TLS included; `None` where one was reused or none came about.
    pub connect: Option<Duration>,
    /// From the start to the end of the reply's head.
    pub first_byte: Option<Duration>,
    /// From the start to the end.
    pub total: Duration,
}

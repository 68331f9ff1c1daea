//! What is known of a host at the end: how much was asked of it, how it went, and why its URLs waited.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use url::{Position, Url};

use super::FailureClass;

/// Why a host's next request could not start though a worker was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// As many were in progress as the host is asked at once.
    Limit,
    /// The time between two starts had not passed.
    Gap,
    /// The host had asked for a wait.
    RetryAfter,
    /// The host could not be reached.
    Unreachable,
    /// Its name was being looked up.
    Lookup,
    /// Its robots.txt was being fetched.
    Robots,
}

impl WaitReason {
    /// The reason's name in every report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Gap => "gap",
            Self::RetryAfter => "retry_after",
            Self::Unreachable => "unreachable",
            Self::Lookup => "lookup",
            Self::Robots => "robots",
        }
    }
}

/// One host in the table of hosts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStats {
    /// Scheme, name and port, the port left out where it is the scheme's own.
    pub host: Arc<str>,
    /// Requests started, redirects and retries included.
    pub requests: u64,
    /// Body bytes that crossed the wire.
    pub bytes: u64,
    /// Attempts that failed, by class.
    pub failures: BTreeMap<FailureClass, u64>,
    /// The most requests in progress at once.
    pub peak: usize,
    /// Requests in progress that it would be asked now at most; `None`: any number.
    pub limit: Option<usize>,
    /// How long its next request could not start, by reason; seconds, to the microsecond. Reasons do not overlap.
    #[serde(serialize_with = "in_seconds")]
    pub waited: BTreeMap<WaitReason, Duration>,
}

impl HostStats {
    /// A host of which nothing is known yet.
    pub fn of(host: &Arc<str>) -> Self {
        Self {
            host: Arc::clone(host),
            requests: 0,
            bytes: 0,
            failures: BTreeMap::new(),
            peak: 0,
            limit: None,
            waited: BTreeMap::new(),
        }
    }
}

/// The host of a URL as limits know it: its origin (RFC 6454), written as URLs write it.
pub fn host_of(url: &Url) -> std::borrow::Cow<'_, str> {
    if url.username().is_empty() && url.password().is_none() {
        return url[..Position::AfterPort].into();
    }
    url.origin().ascii_serialization().into()
}

fn in_seconds<S: Serializer>(
    waited: &BTreeMap<WaitReason, Duration>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_map(waited.iter().map(|(why, time)| (why, time.as_micros() as f64 / 1e6)))
}

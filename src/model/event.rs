//! Events: everything that the engine passes to the reports.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Record, StopCause, Target};

/// An event of a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A target or invalid line has its final record.
    Finished {
        /// Its record.
        record: Box<Record>,
        /// The target; `None` for an invalid line.
        target: Option<Arc<Target>>,
        /// The file name of its body; `None` if it has none.
        name: Option<Arc<str>>,
    },
    /// A message for the user that does not concern a single URL.
    Notice(String),
    /// A signal has stopped the run; transfers in progress may still finish.
    Stopping {
        /// The signal.
        cause: StopCause,
        /// The number of transfers in progress.
        transfers: usize,
        /// How long they may take.
        grace: Duration,
    },
    /// An attempt failed and the target will be tried again.
    Retrying {
        /// The URL that failed, redacted.
        url: String,
        /// Why.
        failure: Failure,
        /// The URL of the next attempt, redacted: the same one or another mirror.
        next: String,
        /// How long the target waits before it.
        wait: Duration,
        /// The earliest start of the attempt, from now, since the host may have to wait longer; `None` if the host is
        /// given up before.
        starts_in: Option<Duration>,
    },
    /// The header lines of a request and its reply, secrets masked.
    Heads(Vec<String>),
    /// A redirect is being followed.
    Redirected {
        /// The URL that answered, redacted.
        from: String,
        /// The URL that it leads to, redacted.
        to: String,
        /// The status of the redirect.
        status: u16,
    },
    /// The list has been read to its end.
    ListRead {
        /// Number of entries of all sources, including invalid lines, excluding entries of other shards.
        entries: u64,
    },
    /// The entries with these indexes belong to other shards and have no records in this run. Sent before the record of
    /// the entry that follows them.
    OtherShards(Range<u64>),
}

impl Event {
    /// The total length of its texts in bytes, an estimate of its memory use.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Self::Finished { record, target, .. } => {
                let target = target.as_ref().map_or(0, |target| target.text_bytes());
                record.text_bytes() + target
            }
            Self::Notice(text) => text.len(),
            Self::Heads(lines) => lines.iter().map(String::len).sum(),
            Self::Retrying { url, next, .. } => url.len() + next.len(),
            Self::Redirected { from, to, .. } => from.len() + to.len(),
            Self::Stopping { .. } | Self::ListRead { .. } | Self::OtherShards(_) => 0,
        }
    }
}

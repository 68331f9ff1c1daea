//! Events: all that the engine passes to the reports.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Record, StopCause, Target};

/// An event of a run.
#[derive(Debug, Clone)]
pub enum Event {
    /// A target is settled.
    Finished {
        /// Its record.
        record: Box<Record>,
        /// What was listed; `None` for a line that is not a URL to fetch.
        target: Option<Arc<Target>>,
        /// The name of the file of its body; `None` if it has none.
        name: Option<Arc<str>>,
    },
    /// A message for the user that is about no single URL.
    Notice(String),
    /// A signal has stopped the run: transfers in progress may finish.
    Stopping {
        /// The signal.
        cause: StopCause,
        /// Transfers in progress.
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
        /// When it starts at the earliest, from now, as the host may have to wait longer; `None` if the host is given up
        /// before.
        starts_in: Option<Duration>,
    },
    /// A request was made: the lines of its head and of the reply's, secrets masked.
    Heads(Vec<String>),
    /// A redirect is being followed.
    Redirected {
        /// The URL that answered, redacted.
        from: String,
        /// The URL that it leads to, redacted.
        to: String,
        /// Its status.
        status: u16,
    },
    /// The list has been read to its end.
    ListRead {
        /// Number of entries of all sources, invalid lines included, without those of other shards.
        entries: u64,
    },
    /// The entries with these indexes are in other shards, and have no records here. Comes before the record of the entry
    /// after them.
    OtherShards(Range<u64>),
}

impl Event {
    /// The bytes of its texts, which are most of the memory that it takes if it takes much.
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

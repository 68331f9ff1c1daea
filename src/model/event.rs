//! What crosses from the engine to the reports; nothing else does.

use std::sync::Arc;
use std::time::Duration;

use super::{Failure, Record, StopCause, Target};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A target is settled.
    Finished {
        /// Its row.
        record: Box<Record>,
        /// What was listed; `None` for a line that names nothing to fetch.
        target: Option<Arc<Target>>,
        /// The name of the file that its body goes to; `None` if it has none.
        name: Option<Arc<str>>,
    },
    /// A word for the person who waits.
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
        /// The URL that comes next, redacted: the same one or another mirror.
        next: String,
        /// How long the target waits before it.
        wait: Duration,
    },
    /// A redirect is being followed.
    Redirected {
        /// The URL that answered, redacted.
        from: String,
        /// Where it leads, redacted.
        to: String,
        /// Its status.
        status: u16,
    },
    /// The list has been read to its end: so many entries it had.
    ListRead {
        /// All entries of all sources, bad lines included.
        entries: u64,
    },
}

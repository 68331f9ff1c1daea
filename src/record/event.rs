//! What crosses from the engine to the reports; nothing else does.

use std::time::Duration;

use super::{Failure, Record};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A target is settled; its row.
    Finished(Box<Record>),
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

//! The nouns: what a list entry, a request, its outcome and the rows about them are. Pure data.

mod attempt;
mod entry;
mod event;
#[cfg(test)]
pub(crate) mod test_fixtures;
mod failure;
mod host_stats;
mod job;
pub mod serde_helpers;
mod destination;
mod record;
mod progress;
mod byte_ranges;
mod summary;

pub use attempt::{Attempt, ExpectedDigest, AttemptOutcome, ResponseHead, AttemptTimings};
pub use entry::{Entry, InvalidLine, EntryOptions, Target, redacted};
pub use event::Event;
pub use failure::{StopCause, FailureClass, Failure, UnknownClass};
pub use host_stats::{HostStats, WaitReason, host_of};
pub use job::{SharedRanges, Job, JobKind, Assembly};
pub use destination::{OverwriteRule, PartialBody, Destination, Validator, SavedVersion, resource};
pub(crate) use record::rfc3339;
pub use record::{Outcome, Record, RecordError, Timings};
pub use progress::{WorkerProgress, ProgressBoard};
pub use byte_ranges::ByteRanges;
pub use summary::{OutcomeCounts, Resources, Summary};

//! Data types shared by all modules: entries, jobs, attempts, failures, records, events. Pure data.

mod attempt;
mod destination;
mod entry;
mod event;
mod failure;
mod job;
mod progress;
mod record;
pub mod serde_helpers;
mod summary;
#[cfg(test)]
pub(crate) mod test_fixtures;

pub use attempt::{Attempt, AttemptOutcome, AttemptTimings, ExpectedDigest, ResponseHead};
pub use destination::{
    ByteRanges, Destination, OverwriteRule, PartialBody, SavedVersion, Validator, resource,
};
pub use entry::{Entry, EntryOptions, InvalidLine, Target, redacted};
pub use event::Event;
pub use failure::{Failure, FailureClass, StopCause, UnknownClass};
pub use job::{Assembly, Job, JobKind, QueuedJob, SharedRanges};
pub use progress::{ProgressBoard, WorkerProgress};
pub(crate) use record::rfc3339;
pub use record::{HttpVersion, Outcome, Record, RecordError, Timings};
pub use summary::{HostStats, Mode, OutcomeCounts, Resources, Summary, WaitReason, host_of};

//! Data types shared by all modules: entries, jobs, attempts, failures, records, events. Pure data.

mod attempt;
mod attempt_log;
mod carried;
mod entry;
mod event;
mod exchange;
mod failure;
mod job;
mod progress;
mod record;
mod save_place;
pub(crate) mod serde_helpers;
mod summary;
#[cfg(test)]
pub(crate) mod test_fixtures;

pub(crate) use crate::redaction::redacted;
pub(crate) use attempt::{Attempt, AttemptOutcome, AttemptTimings, ExpectedDigest, ResponseHead};
pub(crate) use attempt_log::AttemptLog;
pub use carried::CarriedColumns;
pub(crate) use carried::{CarriedWriter, shown_labels};
pub(crate) use entry::InvalidLine;
pub use entry::{Entry, EntryOptions, Target};
pub use event::Event;
pub(crate) use exchange::{
    CapturedBody, CapturedData, CapturedEnd, CapturedExchange, CapturedHeads, TruncationReason,
};
pub use failure::{Failure, FailureClass};
pub(crate) use failure::{SpeedRule, StopCause, UnknownClass, reason_phrase};
pub use job::QueuedJob;
pub(crate) use job::{Assembly, Job, JobKind, SharedRanges};
pub use progress::ProgressBoard;
pub(crate) use progress::{HostWait, WorkerProgress};
pub(crate) use record::AttemptDetail;
pub(crate) use record::RecordError;
pub(crate) use record::RequestMethod;
pub(crate) use record::rfc3339;
pub use record::{HttpVersion, Outcome, Record, Timings};
pub(crate) use save_place::{
    ByteRanges, OverwriteRule, PartialBody, SavePlace, SavedVersion, Validator, resource,
};
pub use summary::{HostStats, Summary};
pub(crate) use summary::{ListPosition, Mode, OutcomeCounts, Resources, WaitReason, host_of};

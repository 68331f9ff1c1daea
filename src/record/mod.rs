//! The nouns: what a list entry, a request, its outcome and the rows about them are. Pure data.

mod attempt;
mod comparison;
mod entry;
mod event;
#[cfg(test)]
pub(crate) mod example;
mod failure;
mod host;
mod job;
pub mod line;
mod place;
mod result;
mod slot;
mod spans;
mod summary;

pub use attempt::{Attempt, Claimed, Ending, Head, Phases};
pub use comparison::{Comparison, Interval, Pair, Sample, SpeedUp, Spread, Standing, Wall};
pub use entry::{Entry, Invalid, Options, Target, redacted};
pub use event::Event;
pub use failure::{Cause, Class, Failure, UnknownClass};
pub use host::{HostRow, Why, host_of};
pub use job::{Held, Job, Purpose, Seal};
pub use place::{Over, Part, Place, Validator, Version, resource};
pub(crate) use result::rfc3339;
pub use result::{Outcome, Record, RecordError, Timings};
pub use slot::{Slot, Slots};
pub use spans::Spans;
pub use summary::{Counts, Resources, Summary};

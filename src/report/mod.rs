//! Reports of a run: records on stdout in the chosen format, notices and the progress display on stderr, the list of failed
//! targets, and report files.
//!
//! A [`Reporter`] receives events and the summary. It reads no clock, blocks only on its streams and never ends the run.
//! Lines are written whole; a failed write is an error.

pub(crate) mod aggregate;
pub(crate) mod atomic_file;
mod buffered;
pub(crate) mod csv;
pub(crate) mod escape;
mod failed_list;
pub(crate) mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod har;
mod heartbeat;
mod histogram;
mod host_table;
pub(crate) mod html;
mod jsonl;
pub(crate) mod markdown;
pub(crate) mod merge;
mod ordered;
mod progress;
pub(crate) mod replay;
mod stdout;
mod text;
mod timeline;

use std::io;
use std::time::Instant;

use crate::model::{Event, Summary};
use crate::text::io_message;
pub(crate) use atomic_file::{AtomicFile, OutputKind, ensure_replaceable, written_path};
pub(crate) use escape::{printable, readable_message, readable_url};
pub use failed_list::FailedListWriter;
pub use files::ReportFiles;
pub use stdout::{OutputStream, Outputs, reporter};

/// Receives the events of a run. Every error is a write error. After an error the caller still passes on the remaining
/// events: if one stream cannot be written, a file may be.
pub trait Reporter: Send {
    /// Handles one event. Its lines may stay in memory (64 KiB per stream, and records that are not next in list order)
    /// until [`flush`](Self::flush), [`tick`](Self::tick) or [`finish`](Self::finish).
    ///
    /// # Errors
    /// A stream could not be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Stops writing to the streams if one of them has failed. Files are still written.
    fn mute(&mut self);

    /// Writes the buffered lines; called when no event is pending. Lines for a terminal that shows the progress display
    /// wait for the next [`tick`](Self::tick).
    ///
    /// # Errors
    /// A stream could not be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the report: no event follows. Writes everything and removes the progress display.
    ///
    /// # Errors
    /// A stream could not be written.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;

    /// Whether [`tick`](Self::tick) is to be called ten times per second.
    fn wants_ticks(&self) -> bool;

    /// Redraws the progress display, ten times per second at most, and writes the heartbeat line if it is due.
    ///
    /// # Errors
    /// A stream could not be written.
    fn tick(&mut self, now: Instant) -> io::Result<()>;
}

/// Adds context to a write error of a standard stream. Its kind is kept: callers recognize a closed pipe by it.
pub(crate) fn cannot_write_output(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write output: {}", io_message(error)))
}

/// Keeps the first error of several results.
pub(crate) fn keep_first(first: &mut io::Result<()>, next: io::Result<()>) {
    if first.is_ok() {
        *first = next;
    }
}

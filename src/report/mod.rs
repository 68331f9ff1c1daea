//! What is written of a run: records on stdout in the format asked for, notices and the progress display on stderr, the
//! failures in a list of their own, and report files.
//!
//! A [`Reporter`] receives events and the summary. It reads no clock, waits only for its streams and ends nothing. Lines
//! are written whole; what cannot be written is an error.

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

/// Receives the events of a run. All of its errors are those of writing. After an error it is to be given the remaining
/// events all the same: what one stream does not take, a file may.
pub trait Reporter: Send {
    /// Something happened. Lines about it may wait in memory (64 KiB per stream, and records that are not next in list
    /// order) until [`flush`](Self::flush), [`tick`](Self::tick) or [`finish`](Self::finish).
    ///
    /// # Errors
    /// A stream could not be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Stops writing to the streams if one of them has failed. Files are still written.
    fn mute(&mut self);

    /// Writes what waits, because nothing is happening at present.
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

    /// Redraws the progress display, ten times per second at most, and writes the line of the heartbeat if it is due.
    ///
    /// # Errors
    /// A stream could not be written.
    fn tick(&mut self, now: Instant) -> io::Result<()>;
}

/// The error of a standard stream. Its kind is kept: callers tell a closed pipe by it.
pub(crate) fn cannot_write_output(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write output: {}", io_message(error)))
}

/// Keeps the first error of several results.
pub(crate) fn keep_first(first: &mut io::Result<()>, next: io::Result<()>) {
    if first.is_ok() {
        *first = next;
    }
}

//! One output stream with what is still to be written to it. Rows are appended to memory and leave in large writes, so
//! that nothing is torn and a fast run does not pay a system call a row.

use std::io::{self, Write};

use super::Stream;
use super::text::Paint;

/// So much may wait before it has to be written.
const FULL: usize = 64 * 1024;

/// A stream and what waits for it.
pub(super) struct Page {
    /// What waits; whole lines.
    pub(super) lines: Vec<u8>,
    /// Whether people look at it directly.
    pub(super) is_terminal: bool,
    /// Whether its words may be coloured.
    pub(super) paint: Paint,
    writer: Box<dyn Write + Send>,
}

impl Page {
    /// An empty page for a stream.
    pub(super) fn of(stream: Stream, colour: bool) -> Self {
        let Stream { writer, is_terminal } = stream;
        let paint = if is_terminal && colour { Paint::Colours } else { Paint::Plain };
        Self { lines: Vec::with_capacity(FULL + FULL / 4), is_terminal, paint, writer }
    }

    /// Whether it is time to write.
    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Writes what waits. After an error nothing waits any more: how much of it was written is not known.
    ///
    /// # Errors
    /// Those of the stream.
    pub(super) fn write_out(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.writer.write_all(&self.lines).and_then(|()| self.writer.flush());
        self.lines.clear();
        written
    }
}

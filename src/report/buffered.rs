//! One output stream with what is still to be written to it. Rows are appended to memory and leave in large writes, so
//! that nothing is torn and a fast run does not pay a system call a row.

use std::io::{self, Write};

use super::OutputStream;
use super::text::TextStyle;

/// So much may wait before it has to be written.
const FULL: usize = 64 * 1024;

/// A stream and what waits for it.
pub(crate) struct Buffered {
    /// What waits; whole lines.
    pub(crate) lines: Vec<u8>,
    /// Whether people look at it directly.
    pub(crate) is_terminal: bool,
    /// Whether its words may be coloured.
    pub(crate) paint: TextStyle,
    writer: Box<dyn Write + Send>,
}

impl Buffered {
    /// An empty page for a stream.
    pub(crate) fn of(stream: OutputStream, colour: bool) -> Self {
        let OutputStream { writer, is_terminal } = stream;
        let paint = if is_terminal && colour { TextStyle::Colours } else { TextStyle::Plain };
        Self { lines: Vec::with_capacity(FULL + FULL / 4), is_terminal, paint, writer }
    }

    /// Whether it is time to write.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= FULL
    }

    /// Writes what waits. After an error nothing waits any more: how much of it was written is not known.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.writer.write_all(&self.lines).and_then(|()| self.writer.flush());
        self.lines.clear();
        written
    }
}

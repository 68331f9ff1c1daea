//! A buffer of whole lines before a stream or a file. Lines are written many at a time and never in parts, so that no line is
//! torn and a fast run does not pay a system call per record. (A `BufWriter` splits lines when it is full.)

use std::io::{self, Write};

/// A buffer of this many bytes or more is written.
const CAPACITY: usize = 64 * 1024;

/// A writer, and the lines that are not written yet.
#[derive(Debug)]
pub(crate) struct Buffered<W> {
    /// Whole lines that are not written yet.
    pub(crate) lines: Vec<u8>,
    writer: W,
}

impl<W: Write> Buffered<W> {
    /// Puts an empty buffer before `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self { lines: Vec::new(), writer }
    }

    /// The writer behind the buffer.
    pub(crate) fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer, without lines that are not written yet.
    pub(crate) fn into_writer(self) -> W {
        self.writer
    }

    /// Whether it is time to write.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= CAPACITY
    }

    /// Writes all lines. After an error they are dropped as well: how much of them was written is not known.
    ///
    /// # Errors
    /// Those of the writer.
    pub(crate) fn write_out(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.writer.write_all(&self.lines).and_then(|()| self.writer.flush());
        self.lines.clear();
        written
    }
}

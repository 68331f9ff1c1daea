//! Splits chunks of bytes into lines. LF, CR LF and a single CR end a line, also mixed. A line within one chunk is not
//! copied. Only the start of a line that is too long is kept, so memory is bounded.

use std::ops::ControlFlow;

/// The longest line of a text list, in bytes, its end not counted.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// One line without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextLine<'a> {
    /// Its number in the source, from 1.
    pub number: u64,
    /// The number of bytes of the source before it.
    pub offset: u64,
    /// The line, or its start if it is too long.
    pub bytes: &'a [u8],
    /// Whether that is all of it.
    pub extent: LineLength,
}

/// Whether a line was kept in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineLength {
    /// All of it.
    Whole,
    /// Only its start: it is too long.
    Start,
}

/// Cuts chunks into lines.
#[derive(Debug)]
pub(super) struct Lines {
    /// The longest line that is kept in full, in bytes.
    longest: usize,
    /// The number of lines that have ended.
    ended: u64,
    /// The offset of the incomplete line or, while `skipping`, of the next byte.
    offset: u64,
    /// The bytes of the incomplete line.
    partial: Vec<u8>,
    /// Whether the incomplete line is too long, and was passed on already.
    skipping: bool,
    /// Whether the last byte was a CR: an LF that follows belongs to the same end of line, also in the next chunk.
    after_cr: bool,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_max_length(MAX_LINE_BYTES)
    }
}

impl Lines {
    /// Lines of at most this many bytes.
    pub(super) fn with_max_length(longest: usize) -> Self {
        let (ended, offset, partial, skipping, after_cr) = Default::default();
        Self { longest, ended, offset, partial, skipping, after_cr }
    }

    /// Passes every line that this chunk ends to `each`, until `each` breaks.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        each: &mut impl FnMut(TextLine<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut rest = chunk;
        loop {
            if self.after_cr && !rest.is_empty() {
                self.after_cr = false;
                if let Some(behind) = rest.strip_prefix(b"\n") {
                    self.offset += 1;
                    rest = behind;
                }
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                return self.keep(rest, each);
            };
            // A CR ends the line at once: its LF may arrive much later.
            self.after_cr = rest[end] == b'\r';
            self.end_line(&rest[..end], each)?;
            rest = &rest[end + 1..];
        }
    }

    /// Passes on the last line if it has no end.
    pub(super) fn finish(
        &mut self,
        each: &mut impl FnMut(TextLine<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.partial.is_empty() { ControlFlow::Continue(()) } else { self.end_line(b"", each) }
    }

    /// Whether the incomplete line begins with whitespace, and so may belong to the line above.
    pub(super) fn may_continue_the_line_above(&self) -> bool {
        self.partial.first().is_some_and(u8::is_ascii_whitespace)
    }

    fn end_line(
        &mut self,
        tail: &[u8],
        each: &mut impl FnMut(TextLine<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut length = tail.len();
        if self.partial.is_empty() && !self.skipping && length <= self.longest {
            each(self.line(tail, LineLength::Whole))?;
        } else {
            self.keep(tail, each)?;
            length = self.partial.len();
            if !self.skipping {
                each(self.line(&self.partial, LineLength::Whole))?;
            }
        }
        self.partial.clear();
        self.skipping = false;
        self.ended += 1;
        self.offset += length as u64 + 1;
        ControlFlow::Continue(())
    }

    /// Appends to the incomplete line. If that becomes too long, passes on its start, and skips the rest.
    fn keep(
        &mut self,
        part: &[u8],
        each: &mut impl FnMut(TextLine<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if self.skipping {
            self.offset += part.len() as u64;
            return ControlFlow::Continue(());
        }
        let fits = part.len().min(self.longest - self.partial.len());
        self.partial.extend_from_slice(&part[..fits]);
        if fits < part.len() {
            self.skipping = true;
            each(self.line(&self.partial, LineLength::Start))?;
            self.offset += (self.longest + part.len() - fits) as u64;
            self.partial = Vec::new();
        }
        ControlFlow::Continue(())
    }

    fn line<'a>(&self, bytes: &'a [u8], extent: LineLength) -> TextLine<'a> {
        TextLine { number: self.ended + 1, offset: self.offset, bytes, extent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number, offset, length and extent of each line.
    fn cut(chunks: &[&[u8]]) -> Vec<(u64, u64, usize, LineLength)> {
        let mut seen = Vec::new();
        let mut each = |line: TextLine<'_>| {
            seen.push((line.number, line.offset, line.bytes.len(), line.extent));
            ControlFlow::Continue(())
        };
        let mut lines = Lines::default();
        for chunk in chunks {
            assert!(lines.feed(chunk, &mut each).is_continue());
        }
        assert!(lines.finish(&mut each).is_continue());
        seen
    }

    #[test]
    fn a_line_may_come_in_pieces_and_the_last_may_lack_its_end() {
        let whole = cut(&[b"ab\n\ncde"]);
        assert_eq!(
            whole,
            [
                (1, 0, 2, LineLength::Whole),
                (2, 3, 0, LineLength::Whole),
                (3, 4, 3, LineLength::Whole)
            ]
        );
        assert_eq!(cut(&[b"a", b"b", b"\n\nc", b"", b"de"]), whole);
        assert_eq!(cut(&[b"ab\n\ncde\n"]), whole);
    }

    #[test]
    fn every_end_of_line_counts_once_however_it_is_cut() {
        let whole = |number, offset, length| (number, offset, length, LineLength::Whole);
        assert_eq!(
            cut(&[b"a\rb\r\n\r\nc\n\rd\r"]),
            [
                whole(1, 0, 1),
                whole(2, 2, 1),
                whole(3, 5, 0),
                whole(4, 7, 1),
                whole(5, 9, 0),
                whole(6, 10, 1)
            ]
        );
        let seen = [whole(1, 0, 1), whole(2, 3, 1)];
        for chunks in [&[&b"a\r"[..], b"\nb"][..], &[b"a", b"\r", b"", b"\n", b"b"], &[b"a\r\nb\r"]]
        {
            assert_eq!(cut(chunks), seen, "{chunks:?}");
        }
    }

    #[test]
    fn the_longest_line_is_whole_and_one_byte_more_is_not() {
        let longest = [b'x'; MAX_LINE_BYTES];
        let seen = [(1, 0, MAX_LINE_BYTES, LineLength::Whole)];
        assert_eq!(cut(&[&longest, b"\n"]), seen);
        assert_eq!(cut(&[&[&longest[..], b"\n"].concat()]), seen);
        let seen = [(1, 0, MAX_LINE_BYTES, LineLength::Start)];
        assert_eq!(cut(&[&longest, b"x", b"x\n"]), seen);
        assert_eq!(cut(&[&[&longest[..], b"x\n"].concat()]), seen);
        let after = (2, MAX_LINE_BYTES as u64 + 6, 1, LineLength::Whole);
        for chunks in [&[&longest[..], b"12345\ny"][..], &[&longest, b"12", b"345", b"\ny"]] {
            assert_eq!(cut(chunks), [seen[0], after]);
        }
    }

    #[test]
    fn a_line_without_end_is_skipped_without_being_kept() {
        let mut lines = Lines::default();
        let mut count = 0;
        let mut each = |_: TextLine<'_>| {
            count += 1;
            ControlFlow::Continue(())
        };
        for _ in 0..1000 {
            assert!(lines.feed(&[b'x'; 8192], &mut each).is_continue());
            assert!(lines.partial.capacity() <= 2 * MAX_LINE_BYTES);
        }
        assert!(lines.feed(b"\nnext\n", &mut each).is_continue());
        assert_eq!(count, 2);
    }
}

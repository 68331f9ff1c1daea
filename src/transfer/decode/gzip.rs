//! `gzip`: members, one after another (RFC 1952 section 2.2). flate2 checks the header, the checksum and the length of each.
//! Zeros may follow the last member, as gzip(1) allows; anything else there is an error, where gzip(1) warns and browsers
//! ignore it: it may have been a member.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::chain::{DecodeStep, Decoder};

/// The first bytes of a member: its mark, and the compression method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Coded bytes that are taken over from a chunk at once.
const TAKEN: usize = 16 * 1024;

/// A decoder of `gzip`. flate2 pulls from a reader, whereas chunks are pushed; so the reader has some bytes of the chunk, and
/// answers [`ErrorKind::WouldBlock`] once they are used up, upon which flate2 keeps its state, in the middle of a header too.
pub(super) struct Gzip {
    member: GzDecoder<Taken>,
    state: GzipState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipState {
    /// In the first member, of which this many bytes of [`MAGIC`] have been seen.
    First(usize),
    /// In a later member, likewise.
    Later(usize),
    /// After a member: the next byte starts another one, or is a zero.
    Between,
    /// After a zero that follows the last member.
    Zeros,
}

/// The bytes that were taken over from a chunk and not decoded yet.
#[derive(Debug, Default)]
struct Taken {
    bytes: Vec<u8>,
    used: usize,
}

impl Taken {
    fn left(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Takes over the first bytes of `input`. Returns how many.
    fn refill(&mut self, input: &[u8]) -> usize {
        let taken = &input[..input.len().min(TAKEN)];
        self.bytes.clear();
        self.bytes.extend_from_slice(taken);
        self.used = 0;
        taken.len()
    }
}

impl BufRead for Taken {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left().is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(self.left()) }
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Taken {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { member: GzDecoder::new(Taken::default()), state: GzipState::First(0) }
    }

    /// Compares the bytes that a member starts with, as far as they are there. flate2 looks at them only once it has ten
    /// bytes, and a shorter rest after a member would pass for a body that ends early.
    fn check_magic(&mut self) -> Result<(), &'static str> {
        let (seen, error) = match &mut self.state {
            GzipState::First(seen) => (seen, "not in gzip format"),
            GzipState::Later(seen) => (seen, "trailing data"),
            GzipState::Between | GzipState::Zeros => return Ok(()),
        };
        let taken = self.member.get_ref().left();
        let start = &taken[..taken.len().min(MAGIC.len() - *seen)];
        if !MAGIC[*seen..].starts_with(start) {
            return Err(error);
        }
        *seen += start.len();
        Ok(())
    }

    /// Decides by the next byte what follows a member, if one has just ended.
    fn enter_next(&mut self) {
        match (self.state, self.member.get_ref().left().first()) {
            (GzipState::Between, Some(0)) => self.state = GzipState::Zeros,
            (GzipState::Between, Some(_)) => {
                let taken = std::mem::take(self.member.get_mut());
                self.member.reset(taken);
                self.state = GzipState::Later(0);
            }
            _ => {}
        }
    }

    /// Uses up zeros after the last member.
    fn skip_zeros(&mut self) -> Result<(), &'static str> {
        let taken = self.member.get_mut();
        let is_zeros = taken.left().iter().all(|byte| *byte == 0);
        taken.consume(taken.left().len());
        if is_zeros { Ok(()) } else { Err("trailing data") }
    }
}

impl Decoder for Gzip {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        let mut step = DecodeStep::default();
        while step.written < output.len() {
            if self.member.get_ref().left().is_empty() {
                if step.read > 0 || input.is_empty() {
                    break;
                }
                step.read = self.member.get_mut().refill(input);
            }
            self.enter_next();
            if self.state == GzipState::Zeros {
                self.skip_zeros()?;
                continue;
            }
            self.check_magic()?;
            match self.member.read(&mut output[step.written..]) {
                Ok(0) => self.state = GzipState::Between,
                Ok(length) => step.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(reason_of(&error).to_owned()),
            }
        }
        Ok(step)
    }

    fn is_whole(&self) -> bool {
        matches!(self.state, GzipState::Between | GzipState::Zeros)
    }
}

/// What is wrong with a member. flate2 has no type for it, only sentences.
fn reason_of(error: &io::Error) -> &'static str {
    match error.to_string().as_str() {
        text if text.contains("checksum") => "checksum mismatch",
        text if text.contains("header") => "invalid header",
        _ => "corrupt data",
    }
}

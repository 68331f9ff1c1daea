//! The decoder of `gzip`: members, one after another (RFC 1952 section 2.2). flate2 checks the header, the checksum and the
//! length of each. Zeros may follow the last member, as gzip(1) allows; anything else there is an error, where gzip(1) warns
//! and browsers ignore it: it may have been a member.

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::chain::{DecodeStep, Decoder};

/// The first bytes of a member: its identification, and the compression method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// The maximum number of coded bytes that are copied from a chunk at once.
const INPUT_BUFFER_BYTES: usize = 16 * 1024;

/// A decoder of `gzip`. flate2 pulls from a reader, whereas chunks are pushed; so the reader is a buffer of some bytes of the
/// chunk, and returns [`ErrorKind::WouldBlock`] once they are used up. flate2 then keeps its state, even in the middle of a
/// header.
pub(super) struct Gzip {
    member: GzDecoder<InputBuffer>,
    state: GzipState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GzipState {
    /// In the first member, of which this many bytes of [`MAGIC`] have been seen.
    First(usize),
    /// In a later member, of which this many bytes of [`MAGIC`] have been seen.
    Later(usize),
    /// After a member: the next byte starts another one, or is a zero.
    Between,
    /// After a zero that follows the last member.
    Zeros,
}

/// Bytes copied from a chunk, the first `used` of which have been decoded.
#[derive(Debug, Default)]
struct InputBuffer {
    bytes: Vec<u8>,
    used: usize,
}

impl InputBuffer {
    fn left(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Copies the first bytes of `input`, and returns their number.
    fn refill(&mut self, input: &[u8]) -> usize {
        let taken = &input[..input.len().min(INPUT_BUFFER_BYTES)];
        self.bytes.clear();
        self.bytes.extend_from_slice(taken);
        self.used = 0;
        taken.len()
    }
}

impl BufRead for InputBuffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left().is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(self.left()) }
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for InputBuffer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { member: GzDecoder::new(InputBuffer::default()), state: GzipState::First(0) }
    }

    /// Compares the first bytes of a member with [`MAGIC`], as far as they have arrived. flate2 checks them only once it has
    /// ten bytes; so shorter trailing data after a member would be taken for a body that ends early.
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

    /// If a member has just ended, decides by the next byte what follows it.
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

    /// Skips zeros after the last member. Fails if there is anything else.
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

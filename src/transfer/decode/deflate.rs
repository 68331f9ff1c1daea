//! The decoder of `deflate`: a zlib stream (RFC 1950) or, as some servers send it, a raw one (RFC 1951); nothing may follow it.

use flate2::{Decompress, FlushDecompress, Status};

use super::chain::{DecodeStep, Decoder};

/// The compression method in the first byte of a zlib stream (RFC 1950 section 2.2).
const METHOD: u8 = 8;

/// A decoder of one compressed stream.
struct Inflate {
    stream: Decompress,
    has_ended: bool,
}

impl Inflate {
    fn zlib() -> Self {
        Self { stream: Decompress::new(true), has_ended: false }
    }

    fn raw() -> Self {
        Self { stream: Decompress::new(false), has_ended: false }
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// As [`Decoder::step`]. Once the stream has ended, nothing is read.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        if self.has_ended {
            return Ok(DecodeStep::default());
        }
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| "corrupt data".to_owned())?;
        self.has_ended = status == Status::StreamEnd;
        Ok(DecodeStep {
            read: (self.stream.total_in() - read) as usize,
            written: (self.stream.total_out() - written) as usize,
        })
    }
}

/// A decoder of `deflate`. The first byte of the body shows which format it has.
pub(super) struct Deflate {
    /// `None` until the first byte.
    stream: Option<Inflate>,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { stream: None }
    }
}

impl Decoder for Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        let Some(first) = input.first() else {
            return self
                .stream
                .as_mut()
                .map_or(Ok(DecodeStep::default()), |s| s.step(input, output));
        };
        let stream = self.stream.get_or_insert_with(|| inflate_for(*first));
        if stream.has_ended() {
            return Err("trailing data".to_owned());
        }
        stream.step(input, output)
    }

    fn is_whole(&self) -> bool {
        self.stream.as_ref().is_some_and(Inflate::has_ended)
    }
}

/// The decoder for a stream with this first byte. In a raw stream, the low bits of a zlib header would start a stored block
/// whose padding is not zero, which no encoder writes.
fn inflate_for(first: u8) -> Inflate {
    if first & 0x0f == METHOD { Inflate::zlib() } else { Inflate::raw() }
}

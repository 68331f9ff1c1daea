//! `deflate`: a stream with a wrapper (RFC 1950), or as some servers send it, without (RFC 1951); nothing after it.

use flate2::{Decompress, FlushDecompress, Status};

use super::chain::{DecodeStep, Decoder};

/// The compression method in the first byte of a wrapper (RFC 1950 section 2.2).
const METHOD: u8 = 8;

/// A compressed stream, in a wrapper or without.
pub struct Inflate {
    stream: Decompress,
    has_ended: bool,
}

impl Inflate {
    pub fn wrapped() -> Self {
        Self { stream: Decompress::new(true), has_ended: false }
    }

    pub fn raw() -> Self {
        Self { stream: Decompress::new(false), has_ended: false }
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Ready for another stream without a wrapper.
    pub fn reset(&mut self) {
        self.stream.reset(false);
        self.has_ended = false;
    }

    /// As [`Codec::step`]. Once the stream has ended, nothing is read.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        if self.has_ended {
            return Ok(DecodeStep::default());
        }
        let (read, written) = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| "is damaged".to_owned())?;
        self.has_ended = status == Status::StreamEnd;
        Ok(DecodeStep {
            read: (self.stream.total_in() - read) as usize,
            written: (self.stream.total_out() - written) as usize,
        })
    }
}

/// Which of the two it is shows at its first byte.
pub struct Deflate {
    stream: Option<Inflate>,
}

impl Deflate {
    pub fn new() -> Self {
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
        let stream = self.stream.get_or_insert_with(|| of_kind(*first));
        if stream.has_ended() {
            return Err("bytes after its end".to_owned());
        }
        stream.step(input, output)
    }

    fn is_whole(&self) -> bool {
        self.stream.as_ref().is_some_and(Inflate::has_ended)
    }
}

/// Without a wrapper, the low bits of a wrapper's first byte would begin a stored block whose padding is not zero;
/// nothing writes that.
fn of_kind(first: u8) -> Inflate {
    if first & 0x0f == METHOD { Inflate::wrapped() } else { Inflate::raw() }
}

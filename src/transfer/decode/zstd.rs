//! The decoder of `zstd`: frames, one after another (RFC 8878 section 3.1).

use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::chain::{DecodeStep, Decoder};

/// The largest window that a frame may have as a content coding, as a power of two: 8 MiB (RFC 9659).
pub(super) const WINDOW_LOG_MAX: u32 = 23;

/// The number of bytes of a frame before its window size: the magic number and the header's first byte.
const BYTES_BEFORE_WINDOW: usize = 5;

/// A decoder of `zstd`.
pub(super) struct Zstd {
    stream: ZstdDecoder<'static>,
    is_between_frames: bool,
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut stream = ZstdDecoder::new().expect("there is memory");
        stream.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).expect("it is in range");
        Self { stream, is_between_frames: true }
    }
}

impl Decoder for Zstd {
    fn step(&mut self, mut input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        if self.is_between_frames && input.is_empty() {
            return Ok(DecodeStep::default());
        }
        if self.is_between_frames {
            // If the library gets a whole frame, and room for its content, it ignores the window size. But whether a frame is
            // rejected must not depend on the size of the chunks; so the library never gets a whole frame at once.
            input = &input[..input.len().min(BYTES_BEFORE_WINDOW)];
        }
        let status = self.stream.run_on_buffers(input, output).map_err(|error| {
            let message = error.to_string();
            match message.contains("too much memory") {
                true => "a window of more than 8 MiB".to_owned(),
                false => message,
            }
        })?;
        self.is_between_frames = status.remaining == 0;
        Ok(DecodeStep { read: status.bytes_read, written: status.bytes_written })
    }

    fn is_whole(&self) -> bool {
        self.is_between_frames
    }
}

//! `zstd`: frames, one after another (RFC 8878 section 3.1).

use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::chain::{DecodeStep, Decoder};

/// The largest window that a frame on the web may ask for, as a power of two: 8 MiB (RFC 9659).
const WINDOW_LOG_MAX: u32 = 23;

/// What comes before the window in a frame: the mark of a frame, and what else its header has.
const BEFORE_THE_WINDOW: usize = 5;

pub struct Zstd {
    stream: ZstdDecoder<'static>,
    is_between_frames: bool,
}

impl Zstd {
    pub fn new() -> Self {
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
            // A frame that it sees whole, with room for its content, the library decodes without a look at its window:
            // whether it is refused must not depend on how it was cut into chunks.
            input = &input[..input.len().min(BEFORE_THE_WINDOW)];
        }
        let status =
            self.stream.run_on_buffers(input, output).map_err(|error| error.to_string())?;
        self.is_between_frames = status.remaining == 0;
        Ok(DecodeStep { read: status.bytes_read, written: status.bytes_written })
    }

    fn is_whole(&self) -> bool {
        self.is_between_frames
    }
}

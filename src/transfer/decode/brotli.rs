//! The decoder of `br`: one stream (RFC 7932); nothing may follow it.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::chain::{DecodeStep, Decoder};

/// The largest window that a stream may have, as a power of two: 16 MiB (RFC 7932).
const WINDOW_LOG_MAX: u8 = 24;

/// A decoder of `br`.
pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    has_ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let allocate = StandardAlloc::default;
        // The other constructors accept windows of up to 1 GiB, which RFC 7932 does not allow.
        let state = BrotliState::new_strict(allocate(), allocate(), allocate());
        Self { state: Box::new(state), has_ended: false }
    }
}

impl Decoder for Brotli {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String> {
        if self.has_ended {
            return match input {
                [] => Ok(DecodeStep::default()),
                _ => Err("trailing data".to_owned()),
            };
        }
        let mut step = DecodeStep::default();
        let result = BrotliDecompressStream(
            &mut input.len(),
            &mut step.read,
            input,
            &mut output.len(),
            &mut step.written,
            output,
            &mut 0,
            &mut self.state,
        );
        if matches!(result, BrotliResult::ResultFailure) {
            return Err("corrupt data".to_owned());
        }
        self.has_ended = matches!(result, BrotliResult::ResultSuccess);
        Ok(step)
    }

    fn is_whole(&self) -> bool {
        self.has_ended
    }
}

/// The size in bytes of the window of a stream that starts with the byte `first`; the largest size if that is not known.
pub(super) fn window(first: Option<u8>) -> u64 {
    1 << first.map_or(WINDOW_LOG_MAX, window_log)
}

/// The size of the window as a power of two, from the first byte of a stream (RFC 7932 section 9.1).
fn window_log(first: u8) -> u8 {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        (_, 0, low) => 8 + low,
        (_, high, _) => 17 + high,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_stream_says_how_large_its_window_is() {
        for log in 10..=WINDOW_LOG_MAX {
            let parameters = brotli::enc::BrotliEncoderParams {
                lgwin: log.into(),
                quality: 5,
                ..Default::default()
            };
            let mut coded = Vec::new();
            brotli::BrotliCompress(&mut &[7; 1 << 18][..], &mut coded, &parameters).unwrap();
            assert_eq!(window_log(coded[0]), log);
        }
    }
}

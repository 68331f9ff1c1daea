//! `br`: one stream (RFC 7932); nothing may follow it.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::chain::{DecodeStep, Decoder};

/// A decoder of `br`.
pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    has_ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let allocate = StandardAlloc::default;
        // The other constructors accept windows of up to 1 GiB, which RFC 7932 does not have.
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

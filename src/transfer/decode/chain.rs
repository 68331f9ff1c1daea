//! Chains the decoders of one body: each decodes the output of the one before it, a buffer at a time.

use std::mem;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::{ContentCoding, CorruptData, MAX_PIECE_BYTES};

/// The maximum number of steps, each of at most one buffer, that are made for one piece. With several codings, a body can be
/// constructed from which terabytes decode to nothing.
pub(super) const MAX_STEPS: u32 = 64;

/// The result of filling the last stage.
pub(super) enum FillResult {
    /// It has decoded bytes.
    Ready,
    /// It has none, and needs another chunk.
    NeedsChunk,
    /// It has none so far, and all steps are used up.
    Later,
}

/// Fills the buffer of the last stage, as far as `steps` allow.
pub(super) fn fill_stages(
    stages: &mut [DecodeStage],
    chunk: &mut Bytes,
    steps: &mut u32,
) -> Result<FillResult, CorruptData> {
    let Some((stage, outer)) = stages.split_last_mut() else {
        return Ok(if chunk.is_empty() { FillResult::NeedsChunk } else { FillResult::Ready });
    };
    while stage.ready.is_empty() {
        let input = outer.last().map_or(&chunk[..], DecodeStage::ready);
        if input.is_empty() && !stage.may_hold_back {
            match fill_stages(outer, chunk, steps)? {
                FillResult::Ready => continue,
                not_yet => return Ok(not_yet),
            }
        }
        if *steps == 0 {
            return Ok(FillResult::Later);
        }
        *steps -= 1;
        let read = stage.step(input)?;
        match outer.last_mut() {
            Some(outer) => outer.ready.start += read,
            None => chunk.advance(read),
        }
    }
    Ok(FillResult::Ready)
}

/// The decoder of one coding, and its output. Memory is allocated for both only once there is something to decode, because a
/// body may wait long for its turn.
pub(super) struct DecodeStage {
    pub coding: ContentCoding,
    /// `None` until the first step.
    decoder: Option<Box<dyn Decoder + Send>>,
    buffer: Box<[u8]>,
    /// The range of the buffer that has decoded bytes.
    ready: Range<usize>,
    /// Whether the last step filled the buffer: then there may be more output without further input.
    may_hold_back: bool,
    /// The number of bytes decoded.
    pub produced: u64,
}

impl DecodeStage {
    pub(super) fn new(coding: ContentCoding) -> Self {
        Self {
            coding,
            decoder: None,
            buffer: Box::default(),
            ready: 0..0,
            may_hold_back: false,
            produced: 0,
        }
    }

    /// The decoded bytes.
    fn ready(&self) -> &[u8] {
        &self.buffer[self.ready.clone()]
    }

    /// Takes the decoded bytes.
    pub(super) fn take(&mut self) -> &[u8] {
        &self.buffer[mem::take(&mut self.ready)]
    }

    /// Decodes some of `input` into the empty buffer, and returns the number of bytes used.
    fn step(&mut self, input: &[u8]) -> Result<usize, CorruptData> {
        let decoder = self.decoder.get_or_insert_with(|| {
            self.buffer = vec![0; MAX_PIECE_BYTES].into();
            self.coding.decoder()
        });
        let corrupt = |reason| CorruptData { coding: self.coding, reason };
        let step = decoder.step(input, &mut self.buffer).map_err(corrupt)?;
        if !input.is_empty() && step.read == 0 && step.written == 0 {
            return Err(corrupt("corrupt data".to_owned()));
        }
        self.ready = 0..step.written;
        self.produced += step.written as u64;
        self.may_hold_back = step.written == self.buffer.len();
        Ok(step.read)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.decoder.as_ref().is_none_or(|decoder| decoder.is_whole())
    }
}

/// A streaming decoder for one content coding.
pub(super) trait Decoder {
    /// Decodes some of `input` into `output`. Without input it returns output that did not fit before.
    ///
    /// # Errors
    /// What is wrong with the input.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String>;

    /// Whether the input could end here.
    fn is_whole(&self) -> bool;
}

/// The result of one step of a decoder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DecodeStep {
    /// Bytes of the input that were used.
    pub read: usize,
    /// Bytes of the output that were filled.
    pub written: usize,
}

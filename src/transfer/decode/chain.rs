//! The codings of one body, one around the other: each decodes what the one around it has ready, a buffer at a time.

use std::mem;
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::{ContentCoding, CorruptData, PIECE};

/// How many steps, each of a buffer at most, are made for one piece. Layers can be made that decode terabytes to
/// nothing.
pub const STEPS_AT_MOST: u32 = 64;

/// What came of looking for decoded bytes.
pub enum FillResult {
    /// There are some.
    Ready,
    /// There are none before another chunk.
    NeedsChunk,
    /// There may be some; looking took all the steps.
    Later,
}

/// Sees to it that the last of `layers` has bytes ready, as far as `steps` allow.
pub fn fill_stages(
    layers: &mut [DecodeStage],
    chunk: &mut Bytes,
    steps: &mut u32,
) -> Result<FillResult, CorruptData> {
    let Some((layer, outer)) = layers.split_last_mut() else {
        return Ok(if chunk.is_empty() { FillResult::NeedsChunk } else { FillResult::Ready });
    };
    while layer.ready.is_empty() {
        let input = outer.last().map_or(&chunk[..], DecodeStage::ready);
        if input.is_empty() && !layer.may_hold_back {
            match fill_stages(outer, chunk, steps)? {
                FillResult::Ready => continue,
                not_yet => return Ok(not_yet),
            }
        }
        if *steps == 0 {
            return Ok(FillResult::Later);
        }
        *steps -= 1;
        let read = layer.step(input)?;
        match outer.last_mut() {
            Some(outer) => outer.ready.start += read,
            None => chunk.advance(read),
        }
    }
    Ok(FillResult::Ready)
}

/// One coding of a body, and what it has yielded.
pub struct DecodeStage {
    pub coding: ContentCoding,
    codec: Box<dyn Decoder + Send>,
    buffer: Box<[u8]>,
    /// Which bytes of the buffer wait to be taken.
    ready: Range<usize>,
    /// The buffer was filled to its end: there may be more that needs no input.
    may_hold_back: bool,
    has_begun: bool,
}

impl DecodeStage {
    pub fn new(coding: ContentCoding) -> Self {
        Self {
            coding,
            codec: coding.decoder(),
            buffer: vec![0; PIECE].into(),
            ready: 0..0,
            may_hold_back: false,
            has_begun: false,
        }
    }

    fn ready(&self) -> &[u8] {
        &self.buffer[self.ready.clone()]
    }

    pub fn take(&mut self) -> &[u8] {
        &self.buffer[mem::take(&mut self.ready)]
    }

    /// Decodes some of `input`, and tells how much. All that was ready has been taken.
    fn step(&mut self, input: &[u8]) -> Result<usize, CorruptData> {
        self.has_begun = true;
        let damaged = |reason| CorruptData { coding: self.coding, reason };
        let step = self.codec.step(input, &mut self.buffer).map_err(damaged)?;
        if !input.is_empty() && step.read == 0 && step.written == 0 {
            return Err(damaged("leads nowhere".to_owned()));
        }
        self.ready = 0..step.written;
        self.may_hold_back = step.written == self.buffer.len();
        Ok(step.read)
    }

    pub fn is_whole(&self) -> bool {
        !self.has_begun || self.codec.is_whole()
    }
}

/// What undoes one coding.
pub trait Decoder {
    /// Decodes some of `input` into `output`. Without input it yields what did not fit before.
    ///
    /// # Errors
    /// What is wrong with the input.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<DecodeStep, String>;

    /// Whether the input may end here.
    fn is_whole(&self) -> bool;
}

/// How far a codec has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecodeStep {
    /// Bytes of the input that it has no more need of.
    pub read: usize,
    /// Bytes of the output that it has filled.
    pub written: usize,
}

//! Content codings (RFC 9110 section 8.4), undone as a body arrives: chunks go in, the content comes out in pieces
//! of bounded size, however much a chunk expands to. Nothing here waits.
//!
//! What is damaged and what ends early are told apart. No bytes at all decode to no bytes in every coding: servers
//! name the coding of empty bodies too, and browsers take them so.

mod brotli;
mod chain;
mod deflate;
mod gzip;
#[cfg(test)]
mod tests;
mod zstd;

use std::fmt;

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use self::chain::{DecodeStage, Decoder, FillResult, STEPS_AT_MOST, fill_stages};
use crate::model::Failure;

/// The most bytes that a piece of decoded content has.
pub const PIECE: usize = 64 * 1024;

/// The most codings that are undone of one body. Each may take a window of up to 16 MiB.
const STACKED_AT_MOST: usize = 4;

/// A content coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone, as some servers mean it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with a window of 8 MiB at most (RFC 9659).
    Zstd,
}

impl ContentCoding {
    /// The coding of this name, in any case.
    fn from_name(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What undoes it.
    fn decoder(self) -> Box<dyn Decoder + Send> {
        match self {
            Self::Gzip => Box::new(gzip::Gzip::new()),
            Self::Deflate => Box::new(deflate::Deflate::new()),
            Self::Brotli => Box::new(brotli::Brotli::new()),
            Self::Zstd => Box::new(zstd::Zstd::new()),
        }
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

/// What to ask for (RFC 9110 section 12.5.3). `deflate` is undone, but not asked for: its name stands for two
/// formats, and who has it has gzip.
pub fn accept_encoding() -> HeaderValue {
    HeaderValue::from_static("gzip, br, zstd")
}

/// The codings of a body, in the order in which they were applied (RFC 9110 section 8.4). `identity` is none.
///
/// # Errors
/// [`Failure::Protocol`] if a coding cannot be undone, or more than four are stacked.
pub fn codings(headers: &HeaderMap) -> Result<Vec<ContentCoding>, Failure> {
    let fields = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    // Empty elements do not count (RFC 9110 section 5.6.1.2).
    let names = fields
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"));
    let mut codings = Vec::new();
    for name in names {
        let Some(coding) = ContentCoding::from_name(name) else {
            let name = String::from_utf8_lossy(name);
            return Err(Failure::Protocol(format!("content coding {name:?} cannot be undone")));
        };
        if codings.len() == STACKED_AT_MOST {
            let words = format!("more than {STACKED_AT_MOST} content codings");
            return Err(Failure::Protocol(words));
        }
        codings.push(coding);
    }
    Ok(codings)
}

/// The coded bytes are none that the coding allows; more of them would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content coding {coding}: {reason}")]
pub struct CorruptData {
    /// The coding that noticed.
    pub coding: ContentCoding,
    /// What is wrong.
    pub reason: String,
}

impl From<CorruptData> for Failure {
    fn from(damaged: CorruptData) -> Self {
        Self::Protocol(damaged.to_string())
    }
}

/// The coded bytes are the beginning of something whole, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("content coding {0}: ends early")]
pub struct UnexpectedEnd(pub ContentCoding);

/// One body being decoded. After [`Damaged`] it is of no more use.
pub struct BodyDecoder {
    /// What was taken in and not decoded yet.
    chunk: Bytes,
    /// The coding applied last is undone first.
    layers: Vec<DecodeStage>,
    /// The last piece, where nothing is to be decoded.
    plain: Bytes,
}

impl BodyDecoder {
    /// `codings` in the order in which they were applied. Without any, chunks come out as they are.
    pub fn new(codings: &[ContentCoding]) -> Self {
        let layers = codings.iter().rev().map(|coding| DecodeStage::new(*coding)).collect();
        Self { chunk: Bytes::new(), layers, plain: Bytes::new() }
    }

    /// Decodes a chunk and hands the content on in pieces of at most [`PIECE`] bytes, which may be many or
    /// empty. An error of `out` ends it before more is produced.
    ///
    /// # Errors
    /// That of `out`, or [`Damaged`].
    #[cfg(test)]
    pub fn push<E: From<CorruptData>>(
        &mut self,
        chunk: &Bytes,
        mut out: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take_in(chunk.clone());
        while let Some(piece) = self.next_piece()? {
            out(piece)?;
        }
        Ok(())
    }

    /// Takes in a chunk, to be followed by [`Decoder::piece`] until there is none. For callers that have to wait
    /// between pieces: a few bytes may expand to gigabytes.
    pub fn take_in(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before it was not used up");
        self.chunk = chunk;
    }

    /// The next piece of the content, of at most [`PIECE`] bytes; `None` if that takes another chunk. It is empty
    /// where a few megabytes of one coding came to nothing in the next: a moment to look at the clock, then go on.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn next_piece(&mut self) -> Result<Option<&[u8]>, CorruptData> {
        let mut steps = STEPS_AT_MOST;
        match fill_stages(&mut self.layers, &mut self.chunk, &mut steps)? {
            FillResult::Ready => {}
            FillResult::NeedsChunk => return Ok(None),
            FillResult::Later => return Ok(Some(&[])),
        }
        if let Some(innermost) = self.layers.last_mut() {
            return Ok(Some(innermost.take()));
        }
        self.plain = self.chunk.split_to(self.chunk.len().min(PIECE));
        Ok(Some(&self.plain))
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`EndsEarly`] if its content has not.
    pub fn finish(self) -> Result<(), UnexpectedEnd> {
        match self.layers.iter().find(|layer| !layer.is_whole()) {
            Some(layer) => Err(UnexpectedEnd(layer.coding)),
            None => Ok(()),
        }
    }
}

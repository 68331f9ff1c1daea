//! Decodes content codings (RFC 9110 section 8.4) as a body arrives: chunks go in, the content comes out in pieces of bounded
//! size, however much a chunk expands to. Nothing here waits.
//!
//! Corrupt data and an early end are different errors. An empty body is valid in every coding: servers name a coding for empty
//! bodies too, and browsers accept that.

mod brotli;
mod chain;
mod deflate;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod gzip;
#[cfg(test)]
mod tests;
mod zstd;

use std::fmt;

use bytes::Bytes;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use self::chain::{DecodeStage, Decoder, FillResult, MAX_STEPS, fill_stages};
use crate::model::Failure;
use crate::policy::resume::is_no_coding;

/// The maximum size of a piece of decoded content, bytes.
pub(super) const MAX_PIECE_BYTES: usize = 64 * 1024;

/// The maximum number of codings of one body.
const MAX_CODINGS: usize = 3;

/// The maximum memory in bytes for the windows of one body: the largest window of a coding, and those of gzip.
const MAX_WINDOW_BYTES: u64 = (16 << 20) + (64 << 10);

/// A supported content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or bare RFC 1951 as some servers send it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with windows of at most 8 MiB (RFC 9659).
    Zstd,
}

impl ContentCoding {
    /// All supported codings.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// The coding of this name in any case; `None` if it is not supported.
    fn from_name(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The memory in bytes that the window of a decoder may take, for input whose first byte is `first`, if that is known.
    fn window(self, first: Option<u8>) -> u64 {
        match self {
            Self::Gzip | Self::Deflate => 32 * 1024,
            Self::Brotli => brotli::window(first),
            // Each frame may have a window of another size.
            Self::Zstd => 1 << zstd::WINDOW_LOG_MAX,
        }
    }

    /// A new decoder for it.
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

/// The value of Accept-Encoding (RFC 9110 section 12.5.3). `deflate` is supported but not requested: its name is used for
/// two formats, and servers that support it support gzip too.
pub(super) fn accept_encoding() -> HeaderValue {
    HeaderValue::from_static("gzip, br, zstd")
}

/// The codings of a body, in the order in which they were applied (RFC 9110 section 8.4), without `identity`.
///
/// # Errors
/// [`Failure::Protocol`] if a coding is not supported, or there are more than three.
pub(super) fn codings(headers: &HeaderMap) -> Result<Vec<ContentCoding>, Failure> {
    let fields = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    // Empty elements do not count (RFC 9110 section 5.6.1.2).
    let names = fields
        .flat_map(|field| field.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !str::from_utf8(name).is_ok_and(is_no_coding));
    let mut codings = Vec::new();
    for name in names {
        let Some(coding) = ContentCoding::from_name(name) else {
            let name = String::from_utf8_lossy(name);
            return Err(Failure::Protocol(format!("unsupported content encoding '{name}'")));
        };
        if codings.len() == MAX_CODINGS {
            let message = format!("more than {MAX_CODINGS} content encodings");
            return Err(Failure::Protocol(message));
        }
        codings.push(coding);
    }
    Ok(codings)
}

/// The coded bytes are not valid in their coding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{coding}: {reason}")]
pub struct CorruptData {
    /// The coding whose decoder found it.
    pub coding: ContentCoding,
    /// What is wrong.
    pub reason: String,
}

impl From<CorruptData> for Failure {
    fn from(corrupt: CorruptData) -> Self {
        Self::Protocol(corrupt.to_string())
    }
}

/// The coded bytes ended before the content was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}: truncated")]
pub(super) struct UnexpectedEnd(pub ContentCoding);

/// Decodes one body. After [`CorruptData`] it cannot be used any more.
pub(super) struct BodyDecoder {
    /// Coded bytes that have not been decoded yet.
    chunk: Bytes,
    /// One stage per coding; the coding applied last is decoded first.
    stages: Vec<DecodeStage>,
    /// The last piece, if there are no codings.
    plain: Bytes,
}

impl BodyDecoder {
    /// A decoder of `codings`, in the order in which they were applied. Without any, chunks come out as they are.
    pub(super) fn new(codings: &[ContentCoding]) -> Self {
        let stages = codings.iter().rev().map(|coding| DecodeStage::new(*coding)).collect();
        Self { chunk: Bytes::new(), stages, plain: Bytes::new() }
    }

    /// Decodes a chunk and passes the content to `out` in pieces of at most [`MAX_PIECE_BYTES`] bytes, which may be many or
    /// empty. An error of `out` stops it before more is decoded.
    ///
    /// # Errors
    /// That of `out`, or [`CorruptData`].
    #[cfg(test)]
    pub(super) fn push<E: From<CorruptData>>(
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

    /// Accepts a chunk; call [`BodyDecoder::next_piece`] until it returns `None`. Callers can wait between pieces, as a few
    /// bytes may expand to gigabytes.
    pub(super) fn take_in(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before it was not used up");
        self.chunk = chunk;
    }

    /// The next piece of the content, of at most [`MAX_PIECE_BYTES`] bytes; `None` if another chunk is needed. An empty piece
    /// means that a few megabytes of one coding decoded to nothing in the next: the caller may let other tasks run and call
    /// again.
    ///
    /// # Errors
    /// [`CorruptData`].
    pub(super) fn next_piece(&mut self) -> Result<Option<&[u8]>, CorruptData> {
        let mut steps = MAX_STEPS;
        match fill_stages(&mut self.stages, &mut self.chunk, &mut steps)? {
            FillResult::Ready => {}
            FillResult::NeedsChunk => return Ok(None),
            FillResult::Later => return Ok(Some(&[])),
        }
        if let Some(innermost) = self.stages.last_mut() {
            return Ok(Some(innermost.take()));
        }
        self.plain = self.chunk.split_to(self.chunk.len().min(MAX_PIECE_BYTES));
        Ok(Some(&self.plain))
    }

    /// The number of bytes that a coding has been decoded to, for the coding with the most.
    pub(super) fn expanded(&self) -> u64 {
        self.stages.iter().map(|stage| stage.produced).max().unwrap_or(0)
    }

    /// Whether the decoder of the received bytes fills its window before it returns any content, as that of Brotli does.
    pub(super) fn decodes_ahead(&self) -> bool {
        self.stages.first().is_some_and(|stage| stage.coding == ContentCoding::Brotli)
    }

    /// Whether the body has several codings.
    pub(super) fn is_stacked(&self) -> bool {
        self.stages.len() > 1
    }

    /// The memory in bytes that the windows of all codings may take. To be called after the first chunk was accepted.
    ///
    /// # Errors
    /// [`Failure::Protocol`] if they are more than a body may take.
    pub(super) fn windows(&self) -> Result<u64, Failure> {
        let Some((outermost, inner)) = self.stages.split_first() else { return Ok(0) };
        let inner = inner.iter().map(|stage| stage.coding.window(None));
        let windows = outermost.coding.window(self.chunk.first().copied()) + inner.sum::<u64>();
        if windows > MAX_WINDOW_BYTES {
            let message = "content encodings that need more than 16 MiB of memory to decode";
            return Err(Failure::Protocol(message.to_owned()));
        }
        Ok(windows)
    }

    /// Checks at the end of the body that its content is complete.
    ///
    /// # Errors
    /// [`UnexpectedEnd`] if it is not.
    pub(super) fn finish(self) -> Result<(), UnexpectedEnd> {
        match self.stages.iter().find(|stage| !stage.is_whole()) {
            Some(stage) => Err(UnexpectedEnd(stage.coding)),
            None => Ok(()),
        }
    }
}

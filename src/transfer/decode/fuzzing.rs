//! The fuzz target `decoders`: decodes bodies with content codings.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::chain::MAX_STEPS;
use super::{BodyDecoder, ContentCoding, MAX_PIECE_BYTES};

/// The number of bytes of content after which decoding is given up.
const MAX_CONTENT_BYTES: usize = 1 << 20;

/// How the decoding of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    Whole,
    Cut,
    Corrupt,
    /// Given up because there is enough content.
    Enough,
}

/// Decodes a body. The first byte of `data` selects its codings, the second one the size of the chunks, and the rest is the
/// body. The content must not depend on the chunks, and no step may decode more than a bounded number of bytes.
pub fn decoders(data: &[u8]) {
    let Some(([codings, cut], body)) = data.split_first_chunk::<2>() else { return };
    let length = usize::from(*cut) + 1;
    let count = usize::from(codings >> 6).max(1);
    let codings: Vec<_> =
        (0..count).map(|at| ContentCoding::ALL[usize::from(codings >> (2 * at)) % 4]).collect();
    let whole = decode(&codings, [body]);
    assert_same(&whole, &decode(&codings, body.chunks(length)));
    for (coding, coded) in encode_all(&body[..body.len().min(4096)]) {
        let content = &body[..body.len().min(4096)];
        let decoded = decode(&[coding], coded.chunks(length));
        assert!(decoded.0 == content && decoded.1 == BodyEnd::Whole, "{coding}");
        let part = &coded[..1 + length * coded.len() / 257 % (coded.len() - 1)];
        assert_eq!(decode(&[coding], [part]).1, BodyEnd::Cut, "{coding}");
    }
}

fn decode<'a>(
    codings: &[ContentCoding],
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, BodyEnd) {
    let (mut decoder, mut content, mut are_windows_checked) =
        (BodyDecoder::new(codings), Vec::new(), false);
    for chunk in chunks {
        decoder.take_in(Bytes::copy_from_slice(chunk));
        // The windows are checked with the first chunk, which must not be empty.
        if chunk.is_empty() {
            continue;
        }
        if !are_windows_checked && decoder.windows().is_err() {
            return (content, BodyEnd::Corrupt);
        }
        are_windows_checked = true;
        loop {
            let before = decoder.expanded();
            let Ok(piece) = decoder.next_piece() else { return (content, BodyEnd::Corrupt) };
            let Some(piece) = piece else { break };
            assert!(piece.len() <= MAX_PIECE_BYTES);
            content.extend_from_slice(piece);
            assert!(decoder.expanded() - before <= u64::from(MAX_STEPS) * MAX_PIECE_BYTES as u64);
            if content.len() > MAX_CONTENT_BYTES
                || decoder.expanded() > 16 * MAX_CONTENT_BYTES as u64
            {
                return (content, BodyEnd::Enough);
            }
        }
    }
    let end = if decoder.finish().is_ok() { BodyEnd::Whole } else { BodyEnd::Cut };
    (content, end)
}

/// Asserts that two ways to decode one body have the same result, as far as both went.
fn assert_same((content, end): &(Vec<u8>, BodyEnd), (other, other_end): &(Vec<u8>, BodyEnd)) {
    let length = content.len().min(other.len());
    assert_eq!(content[..length], other[..length]);
    if [*end, *other_end].contains(&BodyEnd::Enough) {
        return;
    }
    assert_eq!(end, other_end);
    if *end != BodyEnd::Corrupt {
        assert_eq!(content.len(), other.len());
    }
}

/// Encodes the content in each coding that has an encoder in this file.
fn encode_all(content: &[u8]) -> [(ContentCoding, Vec<u8>); 4] {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content).expect("memory takes all");
    zlib.write_all(content).expect("memory takes all");
    deflate.write_all(content).expect("memory takes all");
    [
        (ContentCoding::Gzip, gzip.finish().expect("memory takes all")),
        (ContentCoding::Deflate, zlib.finish().expect("memory takes all")),
        (ContentCoding::Deflate, deflate.finish().expect("memory takes all")),
        (ContentCoding::Zstd, zstd::encode_all(content, 1).expect("memory takes all")),
    ]
}

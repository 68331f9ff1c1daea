//! A fuzz target for coded bodies.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::chain::STEPS_AT_MOST;
use super::{BodyDecoder, ContentCoding, PIECE};

/// Bytes of content after which decoding is ended.
const ENOUGH: usize = 1 << 20;

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    Whole,
    Cut,
    Corrupt,
    Enough,
}

/// A coded body, behind a byte that says in which codings it is, and one that says how it is cut into chunks: the content
/// is the same however that is, and no step brings more than a bounded number of bytes.
pub fn decoders(data: &[u8]) {
    let Some(([codings, cut], body)) = data.split_first_chunk::<2>() else { return };
    let length = usize::from(*cut) + 1;
    let count = usize::from(codings >> 6).max(1);
    let codings: Vec<_> =
        (0..count).map(|at| ContentCoding::ALL[usize::from(codings >> (2 * at)) % 4]).collect();
    let whole = decode(&codings, [body]);
    same(&whole, &decode(&codings, body.chunks(length)));
    for (coding, coded) in coded(&body[..body.len().min(4096)]) {
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
    let (mut decoder, mut content, mut was_asked) = (BodyDecoder::new(codings), Vec::new(), false);
    for chunk in chunks {
        decoder.take_in(Bytes::copy_from_slice(chunk));
        // That is asked of the first chunk only, and none is empty.
        if chunk.is_empty() {
            continue;
        }
        if !was_asked && decoder.windows().is_err() {
            return (content, BodyEnd::Corrupt);
        }
        was_asked = true;
        loop {
            let before = decoder.expanded();
            let Ok(piece) = decoder.next_piece() else { return (content, BodyEnd::Corrupt) };
            let Some(piece) = piece else { break };
            assert!(piece.len() <= PIECE);
            content.extend_from_slice(piece);
            assert!(decoder.expanded() - before <= u64::from(STEPS_AT_MOST) * PIECE as u64);
            if content.len() > ENOUGH || decoder.expanded() > 16 * ENOUGH as u64 {
                return (content, BodyEnd::Enough);
            }
        }
    }
    let end = if decoder.finish().is_ok() { BodyEnd::Whole } else { BodyEnd::Cut };
    (content, end)
}

/// Two ways to decode one body have the same result, as far as both went.
fn same((content, end): &(Vec<u8>, BodyEnd), (other, other_end): &(Vec<u8>, BodyEnd)) {
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

/// The content in each coding that has an encoder here.
fn coded(content: &[u8]) -> [(ContentCoding, Vec<u8>); 4] {
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

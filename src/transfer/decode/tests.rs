//! Tests every coding through [`BodyDecoder`], as its callers use it.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// The result of decoding a body.
#[derive(Debug, PartialEq, Eq)]
enum DecodedBody {
    Whole(Vec<u8>),
    EndsEarly(ContentCoding),
    Damaged(CorruptData),
}

use DecodedBody::Whole;

fn decode_in_chunks<'a>(
    codings: &[ContentCoding],
    chunks: impl Iterator<Item = &'a [u8]>,
) -> DecodedBody {
    let mut decoder = BodyDecoder::new(codings);
    let mut content = Vec::new();
    for chunk in chunks {
        let pushed = decoder.push(&Bytes::copy_from_slice(chunk), |piece| {
            assert!(piece.len() <= MAX_PIECE_BYTES);
            content.extend_from_slice(piece);
            Ok::<_, CorruptData>(())
        });
        if let Err(damaged) = pushed {
            return DecodedBody::Damaged(damaged);
        }
    }
    match decoder.finish() {
        Ok(()) => Whole(content),
        Err(UnexpectedEnd(coding)) => DecodedBody::EndsEarly(coding),
    }
}

fn decode(codings: &[ContentCoding], body: &[u8]) -> DecodedBody {
    decode_in_chunks(codings, body.chunks(body.len().max(1)))
}

fn is_damaged(codings: &[ContentCoding], body: &[u8]) -> bool {
    matches!(decode(codings, body), DecodedBody::Damaged(_))
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn wrapped_deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn brotli(content: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let parameters = ::brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    ::brotli::BrotliCompress(&mut &content[..], &mut body, &parameters).unwrap();
    body
}

fn zstd(content: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A frame without a content size, written by hand: runs of one byte, each of 128 KiB.
fn zstd_of_runs(window: u8, runs: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
    for run in 1..=runs {
        let header = u32::from(run == runs) | 1 << 1 | (128 * 1024) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(b'z');
    }
    frame
}

/// A skippable frame (RFC 8878 section 3.1.2).
fn skippable(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_le_bytes();
    [&[0x53, 0x2a, 0x4d, 0x18], &length[..], bytes].concat()
}

/// A member whose header has all optional parts (RFC 1952 section 2.3).
fn gzip_with_a_long_header(content: &[u8]) -> Vec<u8> {
    let mut header = vec![0x1f, 0x8b, 8, 0b1_1111, 1, 2, 3, 4, 0, 3];
    header.extend_from_slice(b"\x05\x00extraname\0comment\0");
    let mut check = flate2::Crc::new();
    check.update(&header);
    header.extend_from_slice(&check.sum().to_le_bytes()[..2]);
    [header, gzip(content)[10..].to_vec()].concat()
}

/// Text, which compresses, followed by noise, which does not.
fn content() -> Vec<u8> {
    let mut noise = 1u32;
    let noise = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    });
    b"Once upon a time. ".iter().copied().cycle().take(500).chain(noise.take(150)).collect()
}

/// `content` in each coding in each of its forms, and in several codings: the codings, the body, and whether a checksum detects
/// damage.
fn bodies(content: &[u8]) -> Vec<(Vec<ContentCoding>, Vec<u8>, bool)> {
    use ContentCoding::{Brotli, Deflate, Gzip, Zstd};
    let (one, two) = content.split_at(content.len() / 3);
    vec![
        (vec![Gzip], gzip(content), true),
        (vec![Gzip], gzip_with_a_long_header(content), true),
        (vec![Deflate], wrapped_deflate(content), true),
        (vec![Deflate], raw_deflate(content), false),
        (vec![Brotli], brotli(content), false),
        (vec![Zstd], zstd(content), true),
        (vec![Zstd], ::zstd::encode_all(content, 3).unwrap(), false),
        (vec![Zstd], [skippable(one), zstd(content)].concat(), true),
        (vec![Gzip, Brotli], brotli(&gzip(content)), true),
        (vec![Zstd, Gzip], gzip(&zstd(content)), true),
        (vec![Gzip; 4], gzip(&gzip(&gzip(&gzip(content)))), true),
        (vec![Gzip], [gzip(one), gzip_with_a_long_header(two)].concat(), true),
        (vec![Zstd], [zstd(one), skippable(b""), zstd(two)].concat(), true),
    ]
}

/// The number of [`bodies`], from the first, that cannot end earlier: those of one member or frame.
const BODIES_OF_ONE_PART: usize = 11;

#[test]
fn each_coding_is_undone_whatever_the_chunks() {
    for content in [content(), Vec::new(), b"x".to_vec()] {
        for (codings, body, _) in bodies(&content) {
            for size in 1..=body.len() {
                let decoded = decode_in_chunks(&codings, body.chunks(size));
                assert_eq!(decoded, Whole(content.clone()), "{codings:?} by {size}");
            }
        }
    }
}

#[test]
fn content_about_as_long_as_a_piece_or_two_is_whole() {
    for pieces in [1, 2] {
        for length in pieces * MAX_PIECE_BYTES - 2..=pieces * MAX_PIECE_BYTES + 2 {
            let content = content().into_iter().cycle().take(length).collect::<Vec<_>>();
            for (codings, body, _) in bodies(&content) {
                assert!(decode(&codings, &body) == Whole(content.clone()), "{codings:?} {length}");
                let decoded = decode_in_chunks(&codings, body.chunks(1));
                assert!(decoded == Whole(content.clone()), "{codings:?} {length} byte by byte");
            }
        }
    }
}

#[test]
fn a_body_cut_anywhere_ends_early() {
    for content in [content(), Vec::new()] {
        for (codings, body, _) in bodies(&content).into_iter().take(BODIES_OF_ONE_PART) {
            for length in 1..body.len() {
                for size in [1, length] {
                    let decoded = decode_in_chunks(&codings, body[..length].chunks(size));
                    let ends_early = matches!(decoded, DecodedBody::EndsEarly(_));
                    // A body may end after a skippable frame.
                    let is_after_skippable = body
                        .starts_with(&skippable(&content[..content.len() / 3]))
                        && length == 8 + content.len() / 3;
                    assert!(
                        ends_early || is_after_skippable,
                        "{codings:?} cut to {length}: {decoded:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn members_and_frames_can_be_cut_between_but_not_within() {
    let (one, two) = (b"one".as_slice(), b"two".as_slice());
    for (coding, first, second) in
        [(ContentCoding::Gzip, gzip(one), gzip(two)), (ContentCoding::Zstd, zstd(one), zstd(two))]
    {
        let body = [first.clone(), second].concat();
        for length in 1..body.len() {
            let decoded = decode(&[coding], &body[..length]);
            let expected = if length == first.len() {
                Whole(one.to_vec())
            } else {
                DecodedBody::EndsEarly(coding)
            };
            assert_eq!(decoded, expected, "{length}");
        }
    }
}

#[test]
fn a_flipped_bit_is_never_taken_for_content_where_there_is_a_checksum() {
    for (codings, body, is_checked) in bodies(&content()) {
        for bit in 0..body.len() * 8 {
            let mut body = body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            if let Whole(decoded) = decode(&codings, &body) {
                assert!(!is_checked || decoded == content(), "{codings:?}, bit {bit}");
            }
        }
    }
}

fn any_codings() -> impl Strategy<Value = Vec<ContentCoding>> {
    let coding = prop::sample::select(vec![
        ContentCoding::Gzip,
        ContentCoding::Deflate,
        ContentCoding::Brotli,
        ContentCoding::Zstd,
    ]);
    prop::collection::vec(coding, 0..=2)
}

proptest! {
    #[test]
    fn what_becomes_of_damaged_bodies_does_not_depend_on_the_chunks(
        which in 0..13usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        size in 1..80usize,
    ) {
        let (codings, mut body, _) = bodies(&content()).swap_remove(which);
        for (place, byte) in changes {
            *place.get_mut(&mut body) = byte;
        }
        // If a body is damaged in two codings, either decoder may detect it first.
        let kind = |decoded| match decoded {
            DecodedBody::Damaged(_) => None,
            decoded => Some(decoded),
        };
        let whole = decode(&codings, &body);
        prop_assert_eq!(kind(decode_in_chunks(&codings, body.chunks(size))), kind(whole));
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        codings in any_codings(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        size in 1..200usize,
    ) {
        let decoded = decode_in_chunks(&codings, body.chunks(size));
        prop_assert!(!codings.is_empty() || decoded == Whole(body));
    }
}

#[test]
fn no_bytes_are_no_content_in_every_coding() {
    for (codings, ..) in bodies(b"") {
        assert_eq!(decode(&codings, b""), Whole(Vec::new()), "{codings:?}");
    }
}

#[test]
fn without_a_coding_chunks_come_out_as_they_are_in_pieces() {
    let content = vec![7; MAX_PIECE_BYTES + 1];
    assert_eq!(decode(&[], &content), Whole(content));
}

#[test]
fn zeros_may_follow_gzip_and_nothing_else() {
    let body = |after: &[u8]| [&gzip(b"content"), after].concat();
    assert_eq!(decode(&[ContentCoding::Gzip], &body(&[0; 512])), Whole(b"content".to_vec()));
    for after in [&b"\n"[..], b"\0\n", b"\x1f\x8c", &[&[0], &gzip(b"more")[..]].concat()] {
        assert!(is_damaged(&[ContentCoding::Gzip], &body(after)), "{after:?}");
    }
}

#[test]
fn nothing_may_follow_the_others() {
    for (codings, mut body, _) in bodies(b"content") {
        if codings == [ContentCoding::Gzip] {
            continue;
        }
        body.extend_from_slice(b"\nmore\n");
        assert!(is_damaged(&codings, &body), "{codings:?}");
        let decoded = decode_in_chunks(&codings, body.chunks(1));
        assert!(matches!(decoded, DecodedBody::Damaged(_)), "{codings:?}");
    }
}

#[test]
fn a_gzip_header_that_does_not_fit_its_checksum_or_has_unknown_flags_is_damage() {
    let mut body = gzip_with_a_long_header(b"content");
    body[4] ^= 1;
    assert!(is_damaged(&[ContentCoding::Gzip], &body));
    let mut body = gzip(b"content");
    body[3] = 1 << 5;
    assert!(is_damaged(&[ContentCoding::Gzip], &body));
}

#[test]
fn windows_larger_than_the_web_has_are_refused() {
    // Exponent and mantissa (RFC 8878 section 3.1.1.1.2): 8 MiB, and the next larger one.
    assert!(matches!(decode(&[ContentCoding::Zstd], &zstd_of_runs(13 << 3, 1)), Whole(_)));
    assert!(is_damaged(&[ContentCoding::Zstd], &zstd_of_runs(13 << 3 | 1, 1)));
    // The bits of a large window, which RFC 7932 section 9.1 does not define.
    assert!(is_damaged(&[ContentCoding::Brotli], &[0x11, 0x1e, 0, 0]));
}

#[test]
fn a_window_too_large_is_refused_even_where_the_content_is_short() {
    // A window, the length of the content, and a last block, uncompressed.
    let body =
        |window| [&b"\x28\xb5\x2f\xfd\x80"[..], &[window], b"\x03\0\0\0\x19\0\0abc"].concat();
    for size in 1..=body(0).len() {
        let decoded = |window| decode_in_chunks(&[ContentCoding::Zstd], body(window).chunks(size));
        assert_eq!(decoded(13 << 3), Whole(b"abc".to_vec()), "by {size}");
        assert!(matches!(decoded(14 << 3), DecodedBody::Damaged(_)), "by {size}");
    }
}

/// The error of a caller whose limit is exceeded.
#[derive(Debug, PartialEq, Eq)]
struct TooMuch;

impl From<CorruptData> for TooMuch {
    fn from(damaged: CorruptData) -> Self {
        panic!("{damaged}")
    }
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    const LIMIT: usize = 1024 * 1024;
    let member = gzip(&vec![0; 16 * LIMIT]);
    let zstd = zstd_of_runs(7 << 3, 8 * 1024);
    for (codings, bomb) in [
        (&[ContentCoding::Gzip][..], member.repeat(64)),
        (&[ContentCoding::Zstd], zstd.clone()),
        (&[ContentCoding::Zstd, ContentCoding::Gzip], gzip(&zstd)),
    ] {
        let mut decoder = BodyDecoder::new(codings);
        let mut seen = 0;
        let pushed = decoder.push(&Bytes::from(bomb), |piece| {
            assert!(piece.len() <= MAX_PIECE_BYTES);
            seen += piece.len();
            if seen > LIMIT { Err(TooMuch) } else { Ok(()) }
        });
        assert_eq!(pushed, Err(TooMuch));
        assert!(seen <= LIMIT + MAX_PIECE_BYTES, "{seen}");
    }
}

#[test]
fn a_bomb_that_comes_to_nothing_lets_its_caller_have_a_turn() {
    let nothing = [gzip(b""), vec![0; 2 * MAX_STEPS as usize * MAX_PIECE_BYTES]].concat();
    let mut decoder = BodyDecoder::new(&[ContentCoding::Gzip; 2]);
    decoder.take_in(Bytes::from(gzip(&nothing)));
    let mut turns = 0;
    while let Some(piece) = decoder.next_piece().unwrap() {
        assert_eq!(piece, b"");
        turns += 1;
    }
    assert!(turns >= 2, "{turns}");
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn pieces_can_be_asked_for_one_by_one() {
    let mut decoder = BodyDecoder::new(&[ContentCoding::Zstd]);
    decoder.take_in(Bytes::from(zstd_of_runs(7 << 3, 3)));
    let mut seen = 0;
    while let Some(piece) = decoder.next_piece().unwrap() {
        seen += piece.len();
    }
    assert_eq!(seen, 3 * 128 * 1024);
    assert_eq!(decoder.next_piece(), Ok(None));
    assert_eq!(decoder.finish(), Ok(()));
}

fn codings_of(fields: &[&'static str]) -> Result<Vec<ContentCoding>, Failure> {
    let fields = fields.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
    codings(&fields.collect())
}

#[test]
fn codings_are_named_in_any_case_in_one_field_or_several() {
    use ContentCoding::{Brotli, Deflate, Gzip, Zstd};
    for (fields, expected) in [
        (&[][..], &[][..]),
        (&[""], &[]),
        (&["identity", "IDENTITY, identity"], &[]),
        (&["GZip"], &[Gzip]),
        (&["X-GZIP"], &[Gzip]),
        (&[" ,deflate\t,, BR , "], &[Deflate, Brotli]),
        (&["gzip", "identity", "zstd"], &[Gzip, Zstd]),
        (&["gzip, br", "gzip,identity"], &[Gzip, Brotli, Gzip]),
    ] {
        assert_eq!(codings_of(fields).as_deref(), Ok(expected), "{fields:?}");
    }
}

#[test]
fn a_coding_that_cannot_be_undone_is_named() {
    for (value, words) in [
        ("compress", "unsupported content encoding 'compress'"),
        ("gzip, X-Compress", "unsupported content encoding 'X-Compress'"),
        ("gzip br", "unsupported content encoding 'gzip br'"),
        ("gzip, gzip, gzip, gzip", "more than 3 content encodings"),
    ] {
        assert_eq!(codings_of(&[value]), Err(Failure::Protocol(words.to_owned())));
    }
}

#[test]
fn what_is_asked_for_can_be_undone() {
    let headers = HeaderMap::from_iter([(CONTENT_ENCODING, accept_encoding())]);
    assert_eq!(
        codings(&headers).unwrap(),
        [ContentCoding::Gzip, ContentCoding::Brotli, ContentCoding::Zstd]
    );
}

#[test]
fn damage_says_which_coding_noticed_and_what() {
    let mut body = gzip(b"content");
    *body.last_mut().unwrap() ^= 1;
    let DecodedBody::Damaged(damaged) = decode(&[ContentCoding::Gzip], &body) else {
        panic!("it is damaged");
    };
    let words = "gzip: checksum mismatch";
    assert_eq!(Failure::from(damaged), Failure::Protocol(words.to_owned()));
}

//! Pseudorandom bodies and decisions: a body is a function of its key, and every range of it can be generated on its
//! own. Pure.

use bytes::Bytes;

/// The number of bytes that one step of the generator gives.
const WORD_BYTES: u64 = 8;

/// The key of all bodies and decisions for one path and query under one seed.
pub(super) fn key(seed: u64, target: &str) -> u64 {
    // FNV-1a combines the bytes, `mix` spreads the bits.
    let hash = target.bytes().fold(0xcbf2_9ce4_8422_2325 ^ mix(seed), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}

/// A pseudorandom number for a key, a purpose and a turn.
pub(super) fn draw(key: u64, purpose: u64, turn: u64) -> u64 {
    mix(mix(key ^ purpose).wrapping_add(turn))
}

/// Maps a pseudorandom number to the interval from 0 (included) to 1 (excluded).
pub(super) fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

/// The bytes `start..start + length` of the body of this key.
pub(super) fn bytes(key: u64, start: u64, length: usize) -> Bytes {
    let skip = (start % WORD_BYTES) as usize;
    let mut buffer = vec![0; (skip + length).next_multiple_of(WORD_BYTES as usize)];
    for (slot, index) in buffer.chunks_exact_mut(WORD_BYTES as usize).zip(start / WORD_BYTES..) {
        slot.copy_from_slice(&word(key, index).to_le_bytes());
    }
    let buffer = Bytes::from(buffer);
    if buffer.len() == length { buffer } else { buffer.slice(skip..skip + length) }
}

/// The word at this index of the SplitMix64 sequence that starts at the key.
fn word(key: u64, index: u64) -> u64 {
    mix(key.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// SplitMix64's output function: a bijection in which each input bit affects about half of the output bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_body_is_the_same_whether_made_alone_or_within_the_whole() {
        let key = key(7, "/bytes/100");
        let whole = bytes(key, 0, 100);
        for start in 0..100 {
            for end in start..=100 {
                assert_eq!(bytes(key, start as u64, end - start), whole[start..end]);
            }
        }
    }

    #[test]
    fn a_part_far_out_is_made_without_what_comes_before() {
        assert_eq!(bytes(1, (1 << 40) - 3, 3), bytes(1, (1 << 40) - 8, 8)[5..]);
    }

    #[test]
    fn seed_path_and_query_each_make_another_body() {
        let body = |seed, target| bytes(key(seed, target), 0, 16);
        let one = body(0, "/bytes/16");
        assert_eq!(one, body(0, "/bytes/16"));
        assert_ne!(one, body(1, "/bytes/16"));
        assert_ne!(one, body(0, "/range/16"));
        assert_ne!(one, body(0, "/bytes/16?n=1"));
    }

    #[test]
    fn the_shape_of_a_body_is_a_promise_from_release_to_release() {
        assert_eq!(bytes(key(0, "/bytes/4"), 0, 4), b"\xcbJ\x87\xe1"[..]);
    }

    #[test]
    fn draws_fill_the_unit_evenly_enough() {
        let draws = (0..10_000).map(|turn| unit(draw(3, 1, turn)));
        let mean = draws.inspect(|unit| assert!((0.0..1.0).contains(unit))).sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
    }
}

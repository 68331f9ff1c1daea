//! Hashers: compute the digests of a body while it arrives.

use std::io::{self, Read};

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::crc64::Crc64;
use super::{Algorithm, Digest};

/// The size of one read in bytes.
const CHUNK_BYTES: usize = 128 * 1024;

/// Computes one digest.
#[derive(Debug, Clone)]
pub(crate) struct Hasher(HasherState);

#[derive(Debug, Clone)]
enum HasherState {
    Md5(Md5),
    Sha1(Sha1),
    /// The library detects the CPU's SHA instructions at run time, and uses them.
    Sha256(Sha256),
    Sha512(Sha512),
    /// Boxed because it has about 2 KB, ten times as much as the others.
    Blake3(Box<blake3::Hasher>),
    Crc32(crc32fast::Hasher),
    Crc32c(u32),
    Crc64Nvme(Crc64),
}

impl Hasher {
    /// A hasher that has no bytes yet.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => HasherState::Md5(Md5::new()),
            Algorithm::Sha1 => HasherState::Sha1(Sha1::new()),
            Algorithm::Sha256 => HasherState::Sha256(Sha256::new()),
            Algorithm::Sha512 => HasherState::Sha512(Sha512::new()),
            Algorithm::Blake3 => HasherState::Blake3(Box::default()),
            Algorithm::Crc32 => HasherState::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc32c => HasherState::Crc32c(0),
            Algorithm::Crc64Nvme => HasherState::Crc64Nvme(Crc64::default()),
        })
    }

    /// The algorithm.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.0 {
            HasherState::Md5(_) => Algorithm::Md5,
            HasherState::Sha1(_) => Algorithm::Sha1,
            HasherState::Sha256(_) => Algorithm::Sha256,
            HasherState::Sha512(_) => Algorithm::Sha512,
            HasherState::Blake3(_) => Algorithm::Blake3,
            HasherState::Crc32(_) => Algorithm::Crc32,
            HasherState::Crc32c(_) => Algorithm::Crc32c,
            HasherState::Crc64Nvme(_) => Algorithm::Crc64Nvme,
        }
    }

    /// Adds the next bytes of the body, in pieces of any length.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            HasherState::Md5(state) => state.update(bytes),
            HasherState::Sha1(state) => state.update(bytes),
            HasherState::Sha256(state) => state.update(bytes),
            HasherState::Sha512(state) => state.update(bytes),
            HasherState::Blake3(state) => {
                state.update(bytes);
            }
            HasherState::Crc32(state) => state.update(bytes),
            HasherState::Crc32c(state) => *state = crc32c::crc32c_append(*state, bytes),
            HasherState::Crc64Nvme(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    pub(crate) fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let digest = |bytes: &[u8]| Digest::new(algorithm, bytes).expect("its own length");
        match self.0 {
            HasherState::Md5(state) => digest(&state.finalize()),
            HasherState::Sha1(state) => digest(&state.finalize()),
            HasherState::Sha256(state) => digest(&state.finalize()),
            HasherState::Sha512(state) => digest(&state.finalize()),
            HasherState::Blake3(state) => digest(state.finalize().as_bytes()),
            HasherState::Crc32(state) => digest(&state.finalize().to_be_bytes()),
            HasherState::Crc32c(state) => digest(&state.to_be_bytes()),
            HasherState::Crc64Nvme(state) => digest(&state.finish().to_be_bytes()),
        }
    }
}

impl Digest {
    /// The digest of everything that the reader returns.
    ///
    /// # Errors
    /// Those of the reader.
    pub(crate) fn of_reader(algorithm: Algorithm, mut from: impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Computes several digests of one body. Allocates nothing if there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hashers(Vec<Hasher>);

impl Hashers {
    /// Adds an algorithm, unless it was added before. Must be called before the first `update`.
    pub(crate) fn add(&mut self, algorithm: Algorithm) {
        if self.0.iter().all(|hasher| hasher.algorithm() != algorithm) {
            self.0.push(Hasher::new(algorithm));
        }
    }

    /// Removes an algorithm and returns its position; `None` if it was not added.
    pub(crate) fn remove(&mut self, algorithm: Algorithm) -> Option<usize> {
        let at = self.0.iter().position(|hasher| hasher.algorithm() == algorithm)?;
        self.0.remove(at);
        Some(at)
    }

    /// Whether there is no algorithm.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the next bytes of the body.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|hasher| hasher.update(bytes));
    }

    /// The digests of all bytes so far, in the order in which their algorithms were added.
    pub(crate) fn finish(self) -> Vec<Digest> {
        self.0.into_iter().map(Hasher::finish).collect()
    }
}

impl FromIterator<Algorithm> for Hashers {
    fn from_iter<Algorithms: IntoIterator<Item = Algorithm>>(algorithms: Algorithms) -> Self {
        let mut hashers = Self::default();
        algorithms.into_iter().for_each(|algorithm| hashers.add(algorithm));
        hashers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex_of(algorithm: Algorithm, body: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(body);
        hasher.finish().hex()
    }

    /// Digests of the empty body and of `abc`, from RFC 1321 appendix A.5, the examples of FIPS 180-4, the test vectors and
    /// the reference program of BLAKE3, and the CRCs as zlib and RFC 3720 compute them.
    #[test]
    fn each_algorithm_gives_what_is_known_of_it() {
        let table = [
            (
                Algorithm::Md5,
                "d41d8cd98f00b204e9800998ecf8427e",
                "900150983cd24fb0d6963f7d28e17f72",
            ),
            (
                Algorithm::Sha1,
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "a9993e364706816aba3e25717850c26c9cd0d89d",
            ),
            (
                Algorithm::Sha256,
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha512,
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                 47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            (
                Algorithm::Blake3,
                "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
                "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
            ),
            (Algorithm::Crc32, "00000000", "352441c2"),
            (Algorithm::Crc32c, "00000000", "364b3fb7"),
            (Algorithm::Crc64Nvme, "0000000000000000", "05e5cabb3fc1faeb"),
        ];
        for (algorithm, empty, abc) in table {
            assert_eq!(hex_of(algorithm, b""), empty);
            assert_eq!(hex_of(algorithm, b"abc"), abc);
        }
        assert_eq!(table.map(|(algorithm, ..)| algorithm), Algorithm::ALL);
    }

    #[test]
    fn the_check_values_of_the_crcs_are_right() {
        assert_eq!(hex_of(Algorithm::Crc32, b"123456789"), "cbf43926");
        assert_eq!(hex_of(Algorithm::Crc32c, b"123456789"), "e3069283");
        assert_eq!(hex_of(Algorithm::Crc64Nvme, b"123456789"), "ae8b14860a799888");
    }

    /// The long message of FIPS 180's examples.
    #[test]
    fn a_million_letters_hash_as_the_standard_says() {
        let letters = vec![b'a'; 1_000_000];
        assert_eq!(hex_of(Algorithm::Sha1, &letters), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
        assert_eq!(
            hex_of(Algorithm::Sha256, &letters),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        );
        assert_eq!(
            hex_of(Algorithm::Sha512, &letters),
            "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb\
             de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"
        );
    }

    #[test]
    fn several_digests_are_computed_once_each() {
        let mut hashers: Hashers =
            [Algorithm::Crc32, Algorithm::Md5, Algorithm::Crc32].into_iter().collect();
        hashers.update(b"ab");
        hashers.update(b"c");
        let digests: Vec<_> = hashers.finish().iter().map(Digest::to_string).collect();
        assert_eq!(digests, ["crc32=352441c2", "md5=900150983cd24fb0d6963f7d28e17f72"]);
    }

    #[test]
    fn no_digests_take_no_memory() {
        let mut hashers = Hashers::default();
        hashers.update(b"abc");
        assert!(hashers.is_empty());
        assert_eq!((hashers.0.capacity(), hashers.finish().capacity()), (0, 0));
    }

    proptest! {
        #[test]
        fn where_a_body_is_cut_does_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
        ) {
            let whole = chunks.concat();
            let mut hashers: Hashers = Algorithm::ALL.into_iter().collect();
            chunks.iter().for_each(|chunk| hashers.update(chunk));
            for digest in hashers.finish() {
                prop_assert_eq!(digest.hex(), hex_of(digest.algorithm(), &whole));
            }
        }
    }
}

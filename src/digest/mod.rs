//! Digests of bodies: names and notation, computation while a body arrives, and what response headers and checksum
//! files claim. Pure.

mod checksum_file;
mod crc64;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod hasher;
mod header_claims;

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use checksum_file::{ChecksumFile, ChecksumFileError, ExpectedDigests};
pub(crate) use hasher::{Hasher, Hashers};
pub(crate) use header_claims::{ClaimScope, DigestClaim, claims};

/// The maximum length of a digest in bytes.
const MAX_DIGEST_BYTES: usize = 64;

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// MD5 (RFC 1321). Detects damage, not forgery.
    Md5,
    /// SHA-1 (FIPS 180-4). Detects damage, not forgery.
    Sha1,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// BLAKE3, without a key, 32 bytes long.
    Blake3,
    /// The CRC of zip and gzip (RFC 1952 section 8), most significant byte first. Detects damage, not forgery.
    Crc32,
    /// The Castagnoli CRC (RFC 9260 appendix A), most significant byte first. Detects damage, not forgery.
    Crc32c,
    /// CRC-64/NVME, most significant byte first. Detects damage, not forgery.
    Crc64Nvme,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 8] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha512,
        Self::Blake3,
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
    ];

    /// The name of the algorithm, in the spelling of aria2 if aria2 has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Blake3 => "blake3",
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
        }
    }

    /// The length of its digests in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => MAX_DIGEST_BYTES,
        }
    }
}

impl FromStr for Algorithm {
    type Err = ParseDigestError;

    /// Parses a name, in any case; the hyphen of `sha-1`, `sha-256` and `sha-512` may be omitted.
    fn from_str(name: &str) -> Result<Self, ParseDigestError> {
        let has_name = |algorithm: &Self| {
            let known = algorithm.name();
            known.eq_ignore_ascii_case(name) || known.replace('-', "").eq_ignore_ascii_case(name)
        };
        Self::ALL.into_iter().find(has_name).ok_or(ParseDigestError::Algorithm)
    }
}

/// The digest of a body, with its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// Zero beyond the length of the algorithm's digests.
    bytes: [u8; MAX_DIGEST_BYTES],
}

impl Digest {
    /// A digest with these bytes; `None` if their number does not match the algorithm.
    pub fn new(algorithm: Algorithm, digest: &[u8]) -> Option<Self> {
        if digest.len() != algorithm.length() {
            return None;
        }
        let mut bytes = [0; MAX_DIGEST_BYTES];
        bytes[..digest.len()].copy_from_slice(digest);
        Some(Self { algorithm, bytes })
    }

    /// Parses hexadecimal digits in either case; `None` if they are invalid, or their number does not match the algorithm.
    pub fn parse_hex(algorithm: Algorithm, digits: &str) -> Option<Self> {
        if digits.len() != 2 * algorithm.length() {
            return None;
        }
        Self::new(algorithm, &HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?)
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of the digest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// The hexadecimal digits, in lower case.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(self.bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.algorithm.name(), HEXLOWER.encode_display(self.bytes()))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, line: S) -> Result<S::Ok, S::Error> {
        line.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(line: D) -> Result<Self, D::Error> {
        String::deserialize(line)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    /// Parses `ALGORITHM=HEX`, with optional whitespace around both parts.
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let (name, digits) = text.split_once('=').ok_or(ParseDigestError::Form)?;
        let algorithm = name.trim().parse()?;
        Self::parse_hex(algorithm, digits.trim()).ok_or(ParseDigestError::Digits(algorithm))
    }
}

/// Why a text is not a digest. `Display` says what is expected, without quoting the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// It has no `=`.
    #[error("expected ALGO=HEX, e.g. sha-256=<64 hex digits>")]
    Form,
    /// The algorithm is unknown.
    #[error("unknown algorithm (expected one of {})", names())]
    Algorithm,
    /// The digits are not a digest of this algorithm.
    #[error("expected {}=<{} hex digits>", .0.name(), 2 * .0.length())]
    Digits(Algorithm),
}

/// The names of all algorithms: `md5, sha-1, …`.
fn names() -> String {
    Algorithm::ALL.map(Algorithm::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_goes_by_its_name_in_any_case() {
        for algorithm in Algorithm::ALL {
            let name = algorithm.name();
            assert_eq!(name.parse(), Ok(algorithm));
            assert_eq!(name.to_uppercase().parse(), Ok(algorithm));
        }
        let short = [
            ("sha1", Algorithm::Sha1),
            ("SHA256", Algorithm::Sha256),
            ("Sha512", Algorithm::Sha512),
        ];
        for (name, algorithm) in short {
            assert_eq!(name.parse(), Ok(algorithm));
        }
        for name in ["", "sha", "sha-2-56", "sha_256", "md-5", "crc", " md5", "sha-384"] {
            assert_eq!(name.parse::<Algorithm>(), Err(ParseDigestError::Algorithm), "{name}");
        }
    }

    #[test]
    fn a_digest_is_written_as_it_is_read() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::new(algorithm, &vec![0xa5; algorithm.length()]).unwrap();
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert_eq!(Digest::parse_hex(algorithm, &digest.hex().to_uppercase()), Some(digest));
            assert_eq!(digest.bytes().len(), algorithm.length());
        }
        let digest = Digest::new(Algorithm::Crc32, &[0, 1, 0xab, 0xff]).unwrap();
        assert_eq!(digest.to_string(), "crc32=0001abff");
        assert_eq!(" CRC32 = 0001ABFF ".parse(), Ok(digest));
    }

    #[test]
    fn a_digest_has_as_many_bytes_as_its_algorithm_says() {
        assert_eq!(Digest::new(Algorithm::Crc32, &[1, 2, 3]), None);
        assert_eq!(Digest::new(Algorithm::Crc32, &[1, 2, 3, 4, 5]), None);
        for digits in
            ["", "0", "0011223", "001122334", "0011223g", "+0112233", "é11223", "0x112233"]
        {
            assert_eq!(Digest::parse_hex(Algorithm::Crc32, digits), None, "{digits}");
        }
    }

    #[test]
    fn what_is_no_digest_is_answered_with_what_to_write() {
        let table = [
            ("00", "expected ALGO=HEX, e.g. sha-256=<64 hex digits>"),
            ("sha-1=00", "expected sha-1=<40 hex digits>"),
            ("SHA512=", "expected sha-512=<128 hex digits>"),
            (
                "sha-224=00",
                "unknown algorithm (expected one of md5, sha-1, sha-256, sha-512, blake3, crc32, crc32c, crc64nvme)",
            ),
        ];
        for (text, complaint) in table {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), complaint);
        }
    }
}

//! What a body must hash to, and what it does: asked for by a person, claimed by the reply.

use reqwest::header::HeaderMap;

use crate::digest::{Algorithm, ClaimScope, Digest, DigestClaim, Hashers, claims};
use crate::model::{ExpectedDigest, Failure};

/// The digests of one body on its way, and what they must be.
#[derive(Debug, Default)]
pub struct BodyVerifier {
    /// Of the bytes as they are saved, from the first one of the body on.
    saved: Hashers,
    /// Of the bytes of this message, as they are sent.
    sent: Hashers,
    expected: Vec<ExpectedBody>,
}

#[derive(Debug)]
struct ExpectedBody {
    digest: Digest,
    of: DigestScope,
    claimed_by: String,
}

/// The bytes that a digest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DigestScope {
    Saved,
    Sent,
}

/// What the bytes of a message are to the bytes that are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The same.
    Whole,
    /// Their last ones.
    Rest,
    /// Some of them.
    Segment,
    /// The same, coded.
    Coded,
}

impl BodyVerifier {
    /// Computes this digest of the bytes that are saved.
    pub fn compute(&mut self, algorithm: Algorithm) {
        self.saved.add(algorithm);
    }

    /// The bytes that are saved must have this digest; `claimed_by` says so.
    pub fn expect(&mut self, digest: Digest, claimed_by: &str) {
        self.expect_of(digest, DigestScope::Saved, claimed_by);
    }

    /// Hears what the reply claims.
    pub fn expect_from_headers(&mut self, headers: &HeaderMap, message: MessageKind) {
        for DigestClaim { digest, of, field } in claims(headers) {
            // Who codes a body on its way may pass on what the store has said of it uncoded.
            if message == MessageKind::Coded && !field.ends_with("-Digest") {
                continue;
            }
            let of = match (message, of) {
                (MessageKind::Whole, _) | (MessageKind::Rest, ClaimScope::Representation) => {
                    DigestScope::Saved
                }
                (MessageKind::Rest | MessageKind::Segment, ClaimScope::Content)
                | (MessageKind::Coded, _) => DigestScope::Sent,
                // Who has but a part of them cannot tell.
                (MessageKind::Segment, ClaimScope::Representation) => continue,
            };
            self.expect_of(digest, of, field);
        }
    }

    /// The bytes that are saved must have the digests that are claimed.
    pub fn expect_saved(&mut self, claims: &[ExpectedDigest]) {
        claims.iter().for_each(|claim| self.expect(claim.digest, &claim.by));
    }

    fn expect_of(&mut self, digest: Digest, of: DigestScope, claimed_by: &str) {
        match of {
            DigestScope::Saved => self.saved.add(digest.algorithm()),
            DigestScope::Sent => self.sent.add(digest.algorithm()),
        }
        self.expected.push(ExpectedBody { digest, of, claimed_by: claimed_by.to_owned() });
    }

    /// Whether the bytes that are saved matter.
    pub fn needs_saved_bytes(&self) -> bool {
        !self.saved.is_empty()
    }

    /// The next bytes as they are sent.
    pub fn update_sent(&mut self, bytes: &[u8]) {
        self.sent.update(bytes);
    }

    /// The next bytes as they are saved.
    pub fn update_saved(&mut self, bytes: &[u8]) {
        self.saved.update(bytes);
    }

    /// The digests of the bytes that are saved, those asked for first.
    ///
    /// # Errors
    /// [`Failure::Checksum`] if one is not what it must be.
    pub fn check(self) -> Result<Vec<Digest>, Failure> {
        let (saved, sent) = (self.saved.finish(), self.sent.finish());
        for ExpectedBody { digest, of, claimed_by } in self.expected {
            let digests = if of == DigestScope::Saved { &saved } else { &sent };
            let found = digests.iter().find(|found| found.algorithm() == digest.algorithm());
            let actual = found.expect("it was added when it was expected");
            if *actual != digest {
                return Err(Failure::Checksum {
                    algorithm: digest.algorithm().name(),
                    claimed_by,
                    expected: digest.hex(),
                    actual: actual.hex(),
                });
            }
        }
        Ok(saved)
    }
}

/// What a reply claims of the whole body: one that has all of it, or one that has some.
pub fn claims_of_the_whole(headers: &HeaderMap, message: MessageKind) -> Vec<ExpectedDigest> {
    let is_of_it = |claim: &DigestClaim| {
        message == MessageKind::Whole || claim.of == ClaimScope::Representation
    };
    let claims = claims(headers).into_iter().filter(is_of_it);
    claims
        .map(|DigestClaim { digest, field, .. }| ExpectedDigest { digest, by: field.to_owned() })
        .collect()
}

//! Verifies the digests of a body: those given by the user and those that the reply claims.

use reqwest::header::HeaderMap;

use crate::digest::{Algorithm, ClaimScope, Digest, DigestClaim, Hashers, claims};
use crate::model::{ExpectedDigest, Failure};

/// Computes the digests of one body as it arrives, and compares them with the expected ones.
#[derive(Debug, Default)]
pub(super) struct BodyVerifier {
    /// Digests of the bytes as they are saved, from the first byte of the body on.
    saved: Hashers,
    /// Digests of the bytes of this message as they are sent.
    sent: Hashers,
    expected: Vec<ExpectedBody>,
    /// The index of the digest of the saved bytes that the sink computes, if it does.
    sink_index: Option<usize>,
}

#[derive(Debug)]
struct ExpectedBody {
    digest: Digest,
    scope: DigestScope,
    claimed_by: String,
}

/// The bytes that a digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DigestScope {
    Saved,
    Sent,
}

/// How the bytes of a message relate to the bytes that are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageKind {
    /// They are all of them.
    Whole,
    /// They are the last ones.
    Rest,
    /// They are those of a segment.
    Segment,
    /// They are all of them, in a content coding.
    Coded,
}

impl BodyVerifier {
    /// Adds a digest of the saved bytes to be computed and reported.
    pub(super) fn compute(&mut self, algorithm: Algorithm) {
        self.saved.add(algorithm);
    }

    /// Adds a digest that the saved bytes must have; `claimed_by` names where it comes from.
    pub(super) fn expect(&mut self, digest: Digest, claimed_by: &str) {
        self.expect_in(digest, DigestScope::Saved, claimed_by);
    }

    /// Adds the digests that the header fields of the reply claim.
    pub(super) fn expect_from_headers(&mut self, headers: &HeaderMap, message: MessageKind) {
        for DigestClaim { digest, of, field } in claims(headers) {
            // A proxy that codes a body may pass on fields in which the origin describes it uncoded.
            if message == MessageKind::Coded && !field.ends_with("-Digest") {
                continue;
            }
            let scope = match (message, of) {
                (MessageKind::Whole, _) | (MessageKind::Rest, ClaimScope::Representation) => {
                    DigestScope::Saved
                }
                (MessageKind::Rest | MessageKind::Segment, ClaimScope::Content)
                | (MessageKind::Coded, _) => DigestScope::Sent,
                // A segment cannot be checked against a digest of the whole representation.
                (MessageKind::Segment, ClaimScope::Representation) => continue,
            };
            self.expect_in(digest, scope, field);
        }
    }

    /// Adds claimed digests that the saved bytes must have.
    pub(super) fn expect_saved(&mut self, claims: &[ExpectedDigest]) {
        claims.iter().for_each(|claim| self.expect(claim.digest, &claim.by));
    }

    fn expect_in(&mut self, digest: Digest, scope: DigestScope, claimed_by: &str) {
        match scope {
            DigestScope::Saved => self.saved.add(digest.algorithm()),
            DigestScope::Sent => self.sent.add(digest.algorithm()),
        }
        self.expected.push(ExpectedBody { digest, scope, claimed_by: claimed_by.to_owned() });
    }

    /// Leaves a digest of the saved bytes to the sink, which computes it in any case. To be called before the first byte.
    pub(super) fn leave_to_sink(&mut self, algorithm: Algorithm) {
        self.sink_index = self.saved.remove(algorithm);
    }

    /// Whether a digest of the saved bytes is computed here, so that all of them have to be passed to
    /// [`update_saved`](Self::update_saved).
    pub(super) fn needs_saved_bytes(&self) -> bool {
        !self.saved.is_empty()
    }

    /// Adds the next bytes as they are sent.
    pub(super) fn update_sent(&mut self, bytes: &[u8]) {
        self.sent.update(bytes);
    }

    /// Adds the next bytes as they are saved.
    pub(super) fn update_saved(&mut self, bytes: &[u8]) {
        self.saved.update(bytes);
    }

    /// Returns the digests of the saved bytes, those to be reported first. `sink_digest` returns the one that was left to the
    /// sink.
    ///
    /// # Errors
    /// [`Failure::Checksum`] if one differs from the expected one.
    pub(super) fn check(
        self,
        sink_digest: impl FnOnce() -> Option<Digest>,
    ) -> Result<Vec<Digest>, Failure> {
        let (mut saved, sent) = (self.saved.finish(), self.sent.finish());
        if let Some(at) = self.sink_index
            && let Some(digest) = sink_digest()
        {
            saved.insert(at, digest);
        }
        for ExpectedBody { digest, scope, claimed_by } in self.expected {
            let digests = if scope == DigestScope::Saved { &saved } else { &sent };
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

/// The digests that a reply claims for the complete body, whether it brings all of the body or a segment.
pub(super) fn claims_of_the_whole(
    headers: &HeaderMap,
    message: MessageKind,
) -> Vec<ExpectedDigest> {
    let covers_whole = |claim: &DigestClaim| {
        message == MessageKind::Whole || claim.of == ClaimScope::Representation
    };
    let claims = claims(headers).into_iter().filter(covers_whole);
    claims
        .map(|DigestClaim { digest, field, .. }| ExpectedDigest { digest, by: field.to_owned() })
        .collect()
}

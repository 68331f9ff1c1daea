//! Plans how the body of a reply is read, from the head of the reply and its job: where the body starts, which codings it has,
//! and which digests it must have. Does not read it.

use std::sync::Arc;

use reqwest::Response;

use super::checksum::{BodyVerifier, MessageKind};
use super::decode::{BodyDecoder, codings};
use crate::digest::ExpectedDigests;
use crate::model::{Assembly, Failure, Job, JobKind, PartialBody, ResponseHead};
use crate::naming;
use crate::plan::{BodyOptions, Compression, NamingScheme};
use crate::policy::resume::{self, RangeReply};
use crate::store::{BodyStart, WriteMode};

/// How a body is read.
pub(super) struct BodyPlan {
    /// Where it starts, and what is known of it before it arrives.
    pub begin: BodyStart,
    /// The offset in the body after the last byte that the reply may bring, if known.
    pub end: Option<u64>,
    /// The decoder of its content codings; `None` if it is saved as sent.
    pub decoder: Option<BodyDecoder>,
    /// The digests to compute and to expect.
    pub verifier: BodyVerifier,
    /// Whether it is the body of an error or redirect that `--accept` allows, which is counted and not saved.
    pub is_accepted: bool,
}

/// Makes the plan for the body of one job.
pub(super) struct BodyPlanner<'a> {
    pub job: &'a Job,
    pub bodies: &'a BodyOptions,
    /// The digests that bodies must have; `None` if there are none.
    pub expected: Option<&'a ExpectedDigests>,
}

impl BodyPlanner<'_> {
    /// The plan for the body of `response`, which `reply` classifies.
    ///
    /// # Errors
    /// If it has a content coding that is not supported.
    pub(super) fn for_reply(
        &self,
        response: &Response,
        reply: RangeReply,
        head: Option<&ResponseHead>,
    ) -> Result<BodyPlan, Failure> {
        let mut verifier = self.verifier();
        let (begin, end) = match (reply, &self.job.part) {
            (RangeReply::Rest(range), Some(part)) if is_segment(self.job) => {
                verifier.expect_from_headers(response.headers(), MessageKind::Segment);
                let (length, course) = (Some(range.length), WriteMode::Segmented);
                (BodyStart { length, course, ..begin_at(part) }, Some(range.end))
            }
            (RangeReply::Rest(range), Some(part)) => {
                verifier.expect_from_headers(response.headers(), MessageKind::Rest);
                (BodyStart { length: Some(range.length), ..begin_at(part) }, Some(range.end))
            }
            (RangeReply::Complete, Some(part)) => (begin_at(part), Some(part.bytes)),
            _ => return self.for_whole_body(response, head, verifier),
        };
        Ok(BodyPlan { begin, end, decoder: None, verifier, is_accepted: false })
    }

    /// The plan for the body of an error or redirect that `--accept` allows. It need not have the digests of the target.
    ///
    /// # Errors
    /// If it has a content coding that is not supported.
    pub(super) fn for_accepted(
        &self,
        response: &Response,
        head: Option<&ResponseHead>,
    ) -> Result<BodyPlan, Failure> {
        let plan = self.for_whole_body(response, head, BodyVerifier::default())?;
        Ok(BodyPlan { is_accepted: true, ..plan })
    }

    /// The plan for verifying a body of which all segments have arrived.
    pub(super) fn for_assembly(&self, assembly: &Assembly, part: &PartialBody) -> BodyPlan {
        let mut verifier = self.verifier();
        verifier.expect_saved(&assembly.claims);
        let length = part.length;
        let begin = BodyStart { at: length.unwrap_or(0), ..begin_at(part) };
        BodyPlan { begin, end: length, decoder: None, verifier, is_accepted: false }
    }

    fn for_whole_body(
        &self,
        response: &Response,
        head: Option<&ResponseHead>,
        mut verifier: BodyVerifier,
    ) -> Result<BodyPlan, Failure> {
        let is_body = self.job.kind == JobKind::Body;
        let is_decoded = is_body && self.bodies.coding == Compression::Decode;
        let codings = if is_decoded { codings(response.headers())? } else { Vec::new() };
        let is_coded = !codings.is_empty();
        if is_body {
            let message = if is_coded { MessageKind::Coded } else { MessageKind::Whole };
            verifier.expect_from_headers(response.headers(), message);
        }
        let length = head.and_then(resume::length_of_whole).filter(|_| !is_coded);
        let validator = head.and_then(resume::validator);
        let decoder = is_coded.then(|| BodyDecoder::new(&codings));
        let begin = BodyStart { at: 0, length, validator, course: WriteMode::Sequential };
        Ok(BodyPlan { begin, end: length, decoder, verifier, is_accepted: false })
    }

    /// A verifier that computes the digests the user asked for, and expects those the user has given.
    fn verifier(&self) -> BodyVerifier {
        let mut verifier = BodyVerifier::default();
        if !matches!(self.job.kind, JobKind::Body | JobKind::Assemble(_)) {
            return verifier;
        }
        self.bodies.digests.iter().for_each(|algorithm| verifier.compute(*algorithm));
        if let Some(digest) = &self.job.target.options.checksum {
            verifier.expect(*digest, "the list");
        }
        if let Some(expected) = self.expected {
            let name = name_of(self.job);
            expected.of(&name).for_each(|(digest, option)| verifier.expect(digest, option));
        }
        verifier
    }
}

/// Where a partial body continues.
pub(super) fn begin_at(part: &PartialBody) -> BodyStart {
    let validator = Some(part.validator.clone());
    BodyStart { at: part.bytes, length: part.length, validator, course: WriteMode::Sequential }
}

/// Whether the job fetches a segment of a body.
pub(super) fn is_segment(job: &Job) -> bool {
    matches!(job.kind, JobKind::Segment { .. })
}

/// The file name of the job's body; if bodies are not saved, the name that it would have.
pub(crate) fn name_of(job: &Job) -> Arc<str> {
    match &job.place {
        Some(place) => Arc::clone(&place.name),
        None => naming::of_url(NamingScheme::Flat, job.target.url(), job.target.index).into(),
    }
}

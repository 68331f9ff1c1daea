//! How the body of a reply is to be read, as its head and its job tell: where it begins, in which codings it comes, and
//! what it must hash to. Reads none of it.

use std::sync::Arc;

use reqwest::Response;

use super::checksum::{BodyVerifier, MessageKind};
use super::client::TransferContext;
use super::decode::{BodyDecoder, codings};
use crate::model::{Assembly, Failure, Job, JobKind, PartialBody, ResponseHead};
use crate::naming;
use crate::plan::{Compression, NamingScheme};
use crate::policy::resume::{self, RangeReply};
use crate::store::{BodyStart, WriteMode};

/// How a body is to be read.
pub struct BodyPlan {
    /// Where it begins, and what is known of it.
    pub begin: BodyStart,
    /// The byte of the body behind the last one that the reply may bring, if known.
    pub end: Option<u64>,
    /// What undoes its codings, if they are to be undone.
    pub decoder: Option<BodyDecoder>,
    /// What it must hash to.
    pub verifier: BodyVerifier,
}

impl BodyPlan {
    /// How the body of this reply is to be read.
    ///
    /// # Errors
    /// A coding that cannot be undone.
    pub fn for_reply(
        response: &Response,
        job: &Job,
        reply: RangeReply,
        context: &TransferContext,
        head: Option<&ResponseHead>,
    ) -> Result<Self, Failure> {
        let mut verifier = verifier_for(job, context);
        let (begin, end) = match (reply, &job.part) {
            (RangeReply::Rest(span), Some(part)) if is_segment(job) => {
                verifier.expect_from_headers(response.headers(), MessageKind::Segment);
                let length = Some(span.length);
                (
                    BodyStart { length, course: WriteMode::Segmented, ..begin_at(part) },
                    Some(span.end),
                )
            }
            (RangeReply::Rest(span), Some(part)) => {
                verifier.expect_from_headers(response.headers(), MessageKind::Rest);
                (BodyStart { length: Some(span.length), ..begin_at(part) }, Some(span.end))
            }
            (RangeReply::Complete, Some(part)) => (begin_at(part), Some(part.bytes)),
            _ => return Self::whole(response, job, context, head, verifier),
        };
        Ok(Self { begin, end, decoder: None, verifier })
    }

    /// How a body is to be read that is there, its segments being in.
    pub fn for_assembly(
        job: &Job,
        seal: &Assembly,
        part: &PartialBody,
        context: &TransferContext,
    ) -> Self {
        let mut verifier = verifier_for(job, context);
        verifier.expect_saved(&seal.claims);
        let length = part.length;
        let begin = BodyStart { at: length.unwrap_or(0), ..begin_at(part) };
        Self { begin, end: length, decoder: None, verifier }
    }

    fn whole(
        response: &Response,
        job: &Job,
        context: &TransferContext,
        head: Option<&ResponseHead>,
        mut verifier: BodyVerifier,
    ) -> Result<Self, Failure> {
        let is_decoded = context.bodies.coding == Compression::Decode && job.kind == JobKind::Body;
        let codings = if is_decoded { codings(response.headers())? } else { Vec::new() };
        let is_coded = !codings.is_empty();
        if job.kind == JobKind::Body {
            let message = if is_coded { MessageKind::Coded } else { MessageKind::Whole };
            verifier.expect_from_headers(response.headers(), message);
        }
        let length = response.content_length().filter(|_| !is_coded);
        let validator = head.and_then(resume::validator);
        let decoder = is_coded.then(|| BodyDecoder::new(&codings));
        let begin = BodyStart { at: 0, length, validator, course: WriteMode::Sequential };
        Ok(Self { begin, end: length, decoder, verifier })
    }
}

/// Where a body goes on of which there is this.
pub fn begin_at(part: &PartialBody) -> BodyStart {
    let validator = Some(part.validator.clone());
    BodyStart { at: part.bytes, length: part.length, validator, course: WriteMode::Sequential }
}

/// Whether the reply to this job is a segment of a body.
pub fn is_segment(job: &Job) -> bool {
    matches!(job.kind, JobKind::Segment { .. })
}

/// What people want of a body.
fn verifier_for(job: &Job, context: &TransferContext) -> BodyVerifier {
    let mut verifier = BodyVerifier::default();
    if !matches!(job.kind, JobKind::Body | JobKind::Assemble(_)) {
        return verifier;
    }
    context.bodies.digests.iter().for_each(|algorithm| verifier.compute(*algorithm));
    if let Some(digest) = &job.target.options.checksum {
        verifier.expect(*digest, "the list");
    }
    if let Some(wanted) = context.expected_digests() {
        wanted.of(&name_of(job)).for_each(|(digest, option)| verifier.expect(digest, option));
    }
    verifier
}

/// The name that the body is saved under, or would be.
pub fn name_of(job: &Job) -> Arc<str> {
    match &job.place {
        Some(place) => Arc::clone(&place.name),
        None => naming::of_url(NamingScheme::Flat, job.target.url(), job.target.index).into(),
    }
}

//! How the body of a reply is to be read, as its head and its job tell: where it begins, in which codings it comes, and
//! what it must hash to. Reads none of it.

use std::sync::Arc;

use reqwest::Response;

use super::client::Kit;
use super::coding::{Decoder, codings};
use super::proof::{Message, Proof};
use crate::plan::{Coding, Names};
use crate::policy::naming;
use crate::policy::resume::{self, Answer};
use crate::record::{Failure, Head, Job, Part, Purpose, Seal};
use crate::store::{Begin, Course};

/// How a body is to be read.
pub struct Reading {
    /// Where it begins, and what is known of it.
    pub begin: Begin,
    /// The byte of the body behind the last one that the reply may bring, if known.
    pub end: Option<u64>,
    /// What undoes its codings, if they are to be undone.
    pub decoder: Option<Decoder>,
    /// What it must hash to.
    pub proof: Proof,
}

impl Reading {
    /// How the body of this reply is to be read.
    ///
    /// # Errors
    /// A coding that cannot be undone.
    pub fn of(
        response: &Response,
        job: &Job,
        answer: Answer,
        kit: &Kit,
        head: Option<&Head>,
    ) -> Result<Self, Failure> {
        let mut proof = asked_of(job, kit);
        let (begin, end) = match (answer, &job.part) {
            (Answer::Rest(span), Some(part)) if is_segment(job) => {
                proof.hear(response.headers(), Message::Segment);
                let length = Some(span.length);
                (Begin { length, course: Course::InSegments, ..begin_at(part) }, Some(span.end))
            }
            (Answer::Rest(span), Some(part)) => {
                proof.hear(response.headers(), Message::Rest);
                (Begin { length: Some(span.length), ..begin_at(part) }, Some(span.end))
            }
            (Answer::Complete, Some(part)) => (begin_at(part), Some(part.bytes)),
            _ => return Self::whole(response, job, kit, head, proof),
        };
        Ok(Self { begin, end, decoder: None, proof })
    }

    /// How a body is to be read that is there, its segments being in.
    pub fn of_segments(job: &Job, seal: &Seal, part: &Part, kit: &Kit) -> Self {
        let mut proof = asked_of(job, kit);
        proof.believe(&seal.claims);
        let length = part.length;
        let begin = Begin { at: length.unwrap_or(0), ..begin_at(part) };
        Self { begin, end: length, decoder: None, proof }
    }

    fn whole(
        response: &Response,
        job: &Job,
        kit: &Kit,
        head: Option<&Head>,
        mut proof: Proof,
    ) -> Result<Self, Failure> {
        let is_decoded = kit.bodies.coding == Coding::Undone && job.purpose == Purpose::Body;
        let codings = if is_decoded { codings(response.headers())? } else { Vec::new() };
        let is_coded = !codings.is_empty();
        if job.purpose == Purpose::Body {
            let message = if is_coded { Message::Coded } else { Message::Whole };
            proof.hear(response.headers(), message);
        }
        let length = response.content_length().filter(|_| !is_coded);
        let validator = head.and_then(resume::validator);
        let decoder = is_coded.then(|| Decoder::new(&codings));
        let begin = Begin { at: 0, length, validator, course: Course::InOne };
        Ok(Self { begin, end: length, decoder, proof })
    }
}

/// Where a body goes on of which there is this.
pub fn begin_at(part: &Part) -> Begin {
    let validator = Some(part.validator.clone());
    Begin { at: part.bytes, length: part.length, validator, course: Course::InOne }
}

/// Whether the reply to this job is a segment of a body.
pub fn is_segment(job: &Job) -> bool {
    matches!(job.purpose, Purpose::Segment { .. })
}

/// What people want of a body.
fn asked_of(job: &Job, kit: &Kit) -> Proof {
    let mut proof = Proof::default();
    if !matches!(job.purpose, Purpose::Body | Purpose::Seal(_)) {
        return proof;
    }
    kit.bodies.digests.iter().for_each(|algorithm| proof.compute(*algorithm));
    if let Some(digest) = &job.target.options.checksum {
        proof.expect(*digest, "the list");
    }
    if let Some(wanted) = kit.wanted() {
        wanted.of(&name_of(job)).for_each(|(digest, option)| proof.expect(digest, option));
    }
    proof
}

/// The name that the body is saved under, or would be.
pub fn name_of(job: &Job) -> Arc<str> {
    match &job.place {
        Some(place) => Arc::clone(&place.name),
        None => naming::of_url(Names::Flat, job.target.url(), job.target.index).into(),
    }
}

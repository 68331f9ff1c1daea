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
use crate::record::{Failure, Head, Job, Part, Purpose};
use crate::store::Begin;

/// How a body is to be read.
pub struct Reading {
    /// Where it begins, and what is known of it.
    pub begin: Begin,
    /// What undoes its codings, if they are to be undone.
    pub decoder: Option<Decoder>,
    /// What it must hash to.
    pub proof: Proof,
}

impl Reading {
    /// How the body of this reply is to be read; `None` if what it should continue cannot be.
    ///
    /// # Errors
    /// A coding that cannot be undone.
    pub fn of(
        response: &Response,
        job: &Job,
        answer: Answer,
        kit: &Kit,
        head: Option<&Head>,
    ) -> Result<Option<Self>, Failure> {
        let is_decoded = kit.bodies.coding == Coding::Undone && job.purpose == Purpose::Body;
        let codings = if is_decoded { codings(response.headers())? } else { Vec::new() };
        let begin = match (answer, &job.part) {
            (Answer::Rest(length), Some(part)) => Begin { length, ..begin_at(part) },
            (Answer::Complete, Some(part)) => begin_at(part),
            _ if codings.is_empty() => Begin {
                at: 0,
                length: response.content_length(),
                validator: head.and_then(resume::validator),
            },
            _ => Begin { at: 0, length: None, validator: None },
        };
        if begin.at > 0 && !codings.is_empty() {
            return Ok(None);
        }
        let message = match (begin.at, codings.is_empty()) {
            (_, false) => Message::Coded,
            (0, true) => Message::Whole,
            (_, true) => Message::Rest,
        };
        let mut proof = asked_of(job, kit);
        if answer != Answer::Complete && job.purpose == Purpose::Body {
            proof.hear(response.headers(), message);
        }
        let decoder = (!codings.is_empty()).then(|| Decoder::new(&codings));
        Ok(Some(Self { begin, decoder, proof }))
    }
}

fn begin_at(part: &Part) -> Begin {
    let validator = Some(part.validator.clone());
    Begin { at: part.bytes, length: part.length, validator }
}

/// What people want of a body.
fn asked_of(job: &Job, kit: &Kit) -> Proof {
    let mut proof = Proof::default();
    if job.purpose != Purpose::Body {
        return proof;
    }
    kit.bodies.digests.iter().for_each(|algorithm| proof.compute(*algorithm));
    if let Some(digest) = &job.target.options.checksum {
        proof.expect(*digest, "the list");
    }
    for (digest, option) in kit.wanted.of(&name_of(job)) {
        proof.expect(digest, option);
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

//! What bodies must hash to by the names of their files: looked up in a file of sums, or told beforehand.

use std::sync::Mutex;

use crate::digest::{Digest, Sums};
use crate::plan::Names;
use crate::policy::naming;
use crate::record::Job;

/// The sums of the run's files.
#[derive(Debug)]
pub enum Listed {
    /// Those of a file of sums, if there is one.
    File(Option<Sums>),
    /// That of the one body which is asked for.
    Told(Mutex<Option<Digest>>),
}

impl Listed {
    /// What is listed for the name that the body is saved under, or would be.
    pub fn of(&self, job: &Job) -> Option<Digest> {
        match self {
            Self::File(sums) => in_file(sums.as_ref()?, job),
            Self::Told(sum) => *sum.lock().expect("no holder panics"),
        }
    }

    /// This is what the next body must hash to.
    pub fn tell(&self, next: Option<Digest>) {
        if let Self::Told(sum) = self {
            *sum.lock().expect("no holder panics") = next;
        }
    }
}

fn in_file(sums: &Sums, job: &Job) -> Option<Digest> {
    let sum = match &job.place {
        Some(place) => sums.of(&place.name),
        None => sums.of(&naming::of_url(Names::Flat, job.target.url(), job.target.index)),
    };
    sum.copied()
}

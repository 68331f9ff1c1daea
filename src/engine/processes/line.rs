//! The lines between a parent and its children.

use serde::{Deserialize, Serialize};

use crate::digest::Wanted;
use crate::record::{Attempt, Cause, Failure, Job};
use crate::store::{Begin, Commission};
use crate::transfer::{Outfit, Tally};

/// The first line that a child hears.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opening {
    pub outfit: Outfit,
    /// What bodies are written with, if they go anywhere.
    pub commission: Option<Commission>,
}

/// What a child hears.
#[derive(Debug, Serialize, Deserialize)]
pub enum Down {
    /// Make this request.
    Errand(Box<Errand>),
    /// End what is under way.
    Cut(Cause),
    /// It is this reader's turn; so many bytes were booked for it.
    Turn { number: u64, booked: u64 },
    /// Whether the run may have the bytes.
    MayHave(bool),
    /// Whether it is in the manifest.
    Noted(Result<(), Failure>),
}

/// A job, and what its body must hash to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Errand {
    pub job: Job,
    pub wanted: Wanted,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Up {
    /// Its client is built; or why it cannot work.
    Ready(Result<(), String>),
    /// How the request goes: body bytes so far, and how many are promised.
    Progress { bytes: u64, promised: u64 },
    /// A reader waits for its turn.
    Turn { number: u64, left: Option<u64> },
    /// So many bytes were read, for which so many were booked.
    Settle { bytes: u64, booked: u64 },
    /// So many body bytes were read. Waits for the answer.
    MayHave(u64),
    /// The body is about to be written. Waits for the answer.
    Note { begin: Begin, bytes: u64 },
    /// The request is done.
    Done(Box<Done>),
}

/// What came of an errand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub attempt: Attempt,
    /// What was done for it.
    pub tally: Tally,
    /// The most memory that the child has used so far, bytes.
    pub peak_memory: Option<u64>,
}

/// A word as a line.
pub fn line(word: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(word).expect("every word can be written");
    line.push(b'\n');
    line
}

//! The lines between a parent and its children.

use serde::{Deserialize, Serialize};

use crate::digest::ExpectedDigests;
use crate::model::{Attempt, Failure, Job, StopCause};
use crate::store::{BodyStart, ChildStoreConfig};
use crate::transfer::{ClientConfig, Counters};

/// The first line that a child hears.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChildInit {
    pub client_config: ClientConfig,
    /// What bodies are written with, if they go anywhere.
    pub store_config: Option<ChildStoreConfig>,
}

/// What a child hears.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// Make this request.
    Task(Box<Task>),
    /// End what is under way.
    Cancel(StopCause),
    /// It is this reader's turn; so many bytes were booked for it.
    RateGranted { number: u64, booked: u64 },
    /// Whether the run may have the bytes.
    BytesReserved(bool),
    /// Whether it is in the manifest.
    PartialRecorded(Result<(), Failure>),
}

/// A job, and what its body must hash to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Task {
    pub job: Job,
    pub wanted: ExpectedDigests,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// Its client is built; or why it cannot work.
    Ready(Result<(), String>),
    /// How the request goes: body bytes so far, and how many are promised.
    Progress { bytes: u64, promised: u64 },
    /// A reader waits for its turn.
    RequestRate { number: u64, left: Option<u64> },
    /// So many bytes were read, for which so many were booked.
    ReportRead { bytes: u64, booked: u64 },
    /// So many body bytes were read. Waits for the answer.
    ReserveBytes(u64),
    /// The body is about to be written. Waits for the answer.
    RecordPartial { begin: BodyStart, bytes: u64 },
    /// The request is done.
    Done(Box<TaskResult>),
}

/// What came of an errand.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskResult {
    pub attempt: Attempt,
    /// What was done for it.
    pub counters: Counters,
    /// The most memory that the child has used so far, bytes.
    pub peak_memory: Option<u64>,
}

/// A word as a line.
pub fn encode(word: &impl Serialize) -> Vec<u8> {
    let mut encoded = serde_json::to_vec(word).expect("every word can be written");
    encoded.push(b'\n');
    encoded
}

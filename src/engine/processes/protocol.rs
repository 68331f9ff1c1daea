//! The messages between a parent process and its children: one JSON object per line, over the child's standard streams.

use serde::{Deserialize, Serialize};

use crate::digest::ExpectedDigests;
use crate::model::{Attempt, Failure, Job, StopCause};
use crate::store::{BodyStart, ChildStoreConfig};
use crate::transfer::{ClientConfig, TransferCounts};

/// The first message to a child: its configuration.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildInit {
    pub client: ClientConfig,
    /// The settings of its store; `None` if bodies are discarded.
    pub store: Option<ChildStoreConfig>,
    /// Whether the secrets of URLs are shown.
    pub shows_secrets: bool,
}

/// A message to a child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToChild {
    /// Carry out this job.
    Task(Box<Task>),
    /// No other task comes: send what is used, [`FromChild::Used`].
    Finish,
    /// End the transfer in progress, for this cause.
    Cancel(StopCause),
    /// The answer to [`FromChild::RequestRate`] with this number: the reader may read; `charged` bytes were charged in
    /// advance.
    RateGranted { number: u64, charged: u64 },
    /// The answer to [`FromChild::ReserveBytes`]: whether the quota covers the bytes.
    BytesReserved(bool),
    /// The answer to [`FromChild::RecordPartial`], sent once the manifest has the entry.
    PartialRecorded(Result<(), Failure>),
}

/// A job, and the digests that its body must have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub job: Job,
    pub expected: Option<ExpectedDigests>,
}

/// A message from a child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromChild {
    /// The first message: the child is ready for a task, or the reason why it cannot start.
    Ready(Result<(), String>),
    /// The progress of the transfer: body bytes so far, and the expected total (0 if unknown).
    Progress { bytes: u64, promised: u64 },
    /// Asks for leave to read under the byte rate; see `RunServices::wait_for_rate`. Numbered, because an answer may
    /// come too late for the reader that asked.
    RequestRate { number: u64, left: Option<u64> },
    /// See `RunServices::report_read`.
    ReportRead { bytes: u64, charged: u64 },
    /// See `RunServices::reserve_bytes`. The child blocks until the answer.
    ReserveBytes(u64),
    /// See `PartialRecorder::record_partial`, for the body of the current task. The child blocks until the answer.
    RecordPartial { begin: BodyStart, bytes: u64 },
    /// The task is done.
    Done(Box<TaskResult>),
    /// The answer to [`ToChild::Finish`].
    Used(ChildUsage),
}

/// The result of a task.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskResult {
    pub attempt: Attempt,
    pub usage: ChildUsage,
}

/// What a child has counted and used.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChildUsage {
    /// What it has counted since it last sent this.
    pub counts: TransferCounts,
    /// Its peak memory so far, bytes; `None` if it is not measured now.
    pub peak_memory: Option<u64>,
}

/// Encodes a message as a line.
pub(super) fn encode(message: &impl Serialize) -> Vec<u8> {
    let mut encoded = serde_json::to_vec(message).expect("every message can be serialized");
    encoded.push(b'\n');
    encoded
}

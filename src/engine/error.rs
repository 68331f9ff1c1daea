//! Errors that end a run. A failed URL is reported as a record, not as an error.

use crate::text::io_message;
use crate::transfer::ContextError;

/// An error that ends a run, or keeps it from starting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// What all transfers share could not be set up.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The system refused the thread or the event loop of a worker.
    #[error("cannot start worker {worker}: {}; use fewer --jobs", io_message(reason))]
    Loop {
        /// The first worker of the loop, from 1.
        worker: usize,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The system refused a thread that is no worker's.
    #[error("cannot start a thread: {}; see ulimit -u and ulimit -v", io_message(.0))]
    Thread(std::io::Error),
    /// The system refused a child process.
    #[error("cannot start a worker process: {}", io_message(.0))]
    Process(std::io::Error),
    /// Spilled targets cannot be read back. (If they cannot be written, nothing is spilled, and reading the list waits.)
    #[error("cannot read targets back from the temporary file: {}", io_message(.0))]
    Spill(std::io::Error),
    /// A bug: a thread ended before its work was done.
    #[error("a thread of the program failed; this is a bug")]
    Panicked,
}

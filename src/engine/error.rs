//! Why a run could not start, or broke off. A URL that fails is a record and no error.

use crate::text::io_message;
use crate::transfer::ContextError;

/// Why a run could not start, or broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// No client could be built.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The system provides no thread or event loop.
    #[error("cannot start worker {worker}: {}; use fewer --jobs", io_message(reason))]
    Loop {
        /// The first worker of the loop, from 1.
        worker: usize,
        /// The system's error.
        reason: std::io::Error,
    },
    /// The system provides no thread.
    #[error("cannot start a thread: {}; see ulimit -u and ulimit -v", io_message(.0))]
    Thread(std::io::Error),
    /// No child process can be started.
    #[error("cannot start a worker process: {}", io_message(.0))]
    Process(std::io::Error),
    /// The temporary file of the spill cannot be written or read.
    #[error("cannot spill the queue to disk: {}", io_message(.0))]
    Spill(std::io::Error),
    /// A bug: a thread ended before its work was done.
    #[error("a thread of the program failed; this is a bug")]
    Panicked,
}

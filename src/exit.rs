//! Exit codes of the program.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

/// How the program ended. The number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything succeeded, or the list was empty.
    Ok = 0,
    /// At least one URL failed permanently or a line was invalid; a saved file is missing or changed.
    SomeFailed = 1,
    /// A usage error or an unreadable list.
    Usage = 2,
    /// A local error: an output cannot be written, a thread cannot be created.
    Fatal = 3,
    /// Stopped early with work left; the same command continues.
    Unfinished = 4,
    /// SIGHUP.
    HungUp = 129,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::SomeFailed,
        Self::Usage,
        Self::Fatal,
        Self::Unfinished,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The result or error of a command, which determines its exit code.
pub(crate) trait ExitStatus {
    /// The exit code, according to the most serious problem.
    fn exit(&self) -> Exit;
}

impl ExitStatus for () {
    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

impl<T: ExitStatus, E: ExitStatus> ExitStatus for Result<T, E> {
    fn exit(&self) -> Exit {
        match self {
            Ok(outcome) => outcome.exit(),
            Err(error) => error.exit(),
        }
    }
}

impl ExitStatus for anyhow::Error {
    fn exit(&self) -> Exit {
        match self.root_cause().downcast_ref::<io::Error>() {
            Some(error) => error.exit(),
            None => Exit::Fatal,
        }
    }
}

impl ExitStatus for io::Error {
    /// A broken pipe is not an error: the reader of standard output has closed it because it has read enough.
    fn exit(&self) -> Exit {
        if self.kind() == ErrorKind::BrokenPipe { Exit::Ok } else { Exit::Fatal }
    }
}

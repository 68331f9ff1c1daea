//! Every way the program can end, and its number; and the signals that end it.

use std::io::{self, ErrorKind};
use std::process::{self, ExitCode};
use std::thread;

use tokio::runtime::Builder;

use crate::commands::dry_run::{EntryCounts, PreviewError};
use crate::commands::fetch::{RunError, RunOutcome};
use crate::commands::verify::{Totals, VerifyError};
use crate::compare::{CompareError, CompareOutcome};
use crate::engine::CancelToken;
use crate::model::StopCause;
use crate::report::{ReplayError, ReplayReport};

/// How the program ended. The number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well, or the list was empty.
    Ok = 0,
    /// At least one URL failed for good, or a line was invalid; a file that was saved is missing or changed.
    SomeFailed = 1,
    /// A usage error or an unreadable list.
    Usage = 2,
    /// The machine did not let it: cannot write, no thread.
    Fatal = 3,
    /// Stopped early with work left; the same command continues.
    Unfinished = 4,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::SomeFailed,
        Self::Usage,
        Self::Fatal,
        Self::Unfinished,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// What the end of a run amounts to; the most serious thing counts.
    pub fn of(ended: &Result<RunOutcome, RunError>) -> Self {
        let ended = match ended {
            Ok(ended) => ended,
            Err(RunError::Usage(_)) => return Self::Usage,
            Err(RunError::Fatal(_)) => return Self::Fatal,
        };
        if ended.unreadable.is_some() {
            return Self::Usage;
        }
        match ended.stopped {
            Some(StopCause::Interrupted) => Self::Interrupted,
            Some(StopCause::Terminated) => Self::Terminated,
            Some(StopCause::Fatal | StopCause::Disk) => Self::Fatal,
            Some(
                StopCause::Deadline
                | StopCause::TooManyFailures
                | StopCause::Quota
                | StopCause::ReaderGone
                | StopCause::Sibling,
            ) => Self::Unfinished,
            None if ended.summary.counts.failed + ended.summary.counts.invalid > 0 => {
                Self::SomeFailed
            }
            None => Self::Ok,
        }
    }

    /// What a comparison amounts to that a signal may have stopped.
    pub fn of_comparison(
        compared: &Result<CompareOutcome, CompareError>,
        stopped: Option<StopCause>,
    ) -> Self {
        match compared {
            _ if stopped == Some(StopCause::Interrupted) => Self::Interrupted,
            _ if stopped == Some(StopCause::Terminated) => Self::Terminated,
            Ok(compared) if compared.comparison.comparable => Self::Ok,
            Ok(_) => Self::SomeFailed,
            Err(CompareError::Usage(_)) => Self::Usage,
            Err(CompareError::Unfinished(_)) => Self::Unfinished,
            Err(CompareError::Fatal(_)) => Self::Fatal,
        }
    }

    /// What a dry run amounts to.
    pub fn of_preview(told: &Result<EntryCounts, PreviewError>) -> Self {
        match told {
            Ok(counts) if counts.invalid + counts.failed > 0 => Self::SomeFailed,
            Ok(_) => Self::Ok,
            Err(PreviewError::Unopened(_) | PreviewError::Unreadable(_)) => Self::Usage,
            Err(PreviewError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {
                Self::Ok
            }
            Err(PreviewError::Unwritten(_) | PreviewError::Unusable(_)) => Self::Fatal,
        }
    }

    /// What a look at what was saved amounts to; the most serious thing counts.
    pub fn of_verify(told: &Result<Totals, VerifyError>) -> Self {
        match told {
            Ok(totals) if totals.unreadable > 0 => Self::Fatal,
            Ok(totals) if totals.missing + totals.changed > 0 => Self::SomeFailed,
            Ok(_) => Self::Ok,
            Err(VerifyError::NoArchive(_)) => Self::Usage,
            Err(VerifyError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => {
                Self::Unfinished
            }
            Err(_) => Self::Fatal,
        }
    }

    /// What reporting a saved run amounts to.
    pub fn of_rereport(told: &Result<ReplayReport, ReplayError>) -> Self {
        match told {
            Ok(reread) if reread.bad_lines > 0 => Self::SomeFailed,
            Ok(_) => Self::Ok,
            Err(ReplayError::Unreadable(_)) => Self::Usage,
            Err(ReplayError::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => Self::Ok,
            Err(ReplayError::Unwritten(_)) => Self::Fatal,
        }
    }
}

/// Lets SIGINT and SIGTERM end the run in good order the first time and leave at once the second time.
///
/// # Errors
/// If the system lets no signal be listened for.
#[cfg(unix)]
pub fn on_signals(stop: &CancelToken) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let stop = stop.clone();
    let listen = async move {
        let mut asked = false;
        loop {
            let (cause, exit) = tokio::select! {
                _ = interrupt.recv() => (StopCause::Interrupted, Exit::Interrupted),
                _ = terminate.recv() => (StopCause::Terminated, Exit::Terminated),
            };
            if asked {
                process::exit(exit as i32);
            }
            asked = true;
            stop.drain(cause);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}

/// Signals are left to the system here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn on_signals(_: &CancelToken) -> io::Result<()> {
    Ok(())
}

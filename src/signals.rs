//! Signal handling: SIGINT, SIGTERM and SIGHUP stop the program, SIGXFSZ becomes a write error.

use std::future::pending;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::engine::CancelToken;
use crate::exit::Exit;
use crate::model::StopCause;
use crate::streams;

/// How long a run may take to end after the second signal before the process exits.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the first SIGINT, SIGTERM or SIGHUP drain the run, for at most `grace`; the second one abort it, so that it still
/// prints its total and completes its files; and the third one exit at once. SIGINT and SIGHUP stay ignored if the
/// process was started with them ignored.
///
/// # Errors
/// If the signal handlers or the thread that waits for signals cannot be created.
pub(crate) fn cancel_on_signals(cancel: &CancelToken, grace: Duration) -> io::Result<()> {
    let cancel = cancel.clone();
    listen(move |received, cause, exit| match received {
        1 => {
            streams::end_by(Instant::now() + grace);
            cancel.drain(cause);
        }
        2 => {
            cancel.abort(cause);
            tokio::spawn(async move {
                sleep(ABORT_TIMEOUT).await;
                exit_now(exit);
            });
        }
        _ => exit_now(exit),
    })
}

/// Makes the first SIGINT, SIGTERM or SIGHUP run `clean_up` on its own thread and then exit; the second one exit at once.
/// For commands that write nothing before they end, and may block in a read that never returns.
///
/// # Errors
/// As for [`cancel_on_signals`].
pub(crate) fn exit_on_signals(clean_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut clean_up = Some(clean_up);
    listen(move |_, _, exit| {
        let Some(clean_up) = clean_up.take() else { exit_now(exit) };
        let clean = move || {
            clean_up();
            exit_now(exit)
        };
        if thread::Builder::new().name("cleanup".into()).spawn(clean).is_err() {
            exit_now(exit);
        }
    })
}

/// Calls `react` for each signal with its number, counted from 1, its stop cause, and its exit code.
fn listen(mut react: impl FnMut(u32, StopCause, Exit) + Send + 'static) -> io::Result<()> {
    ensure_descriptors()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        (
            handle_unless_ignored(SignalKind::interrupt())?,
            terminate,
            handle_unless_ignored(SignalKind::hangup())?,
        )
    };
    let listen = async move {
        for received in 1.. {
            let (cause, exit) = tokio::select! {
                () = next(&mut interrupt) => (StopCause::Interrupted, Exit::Interrupted),
                () = next(&mut hangup) => (StopCause::HungUp, Exit::HungUp),
                _ = terminate.recv() => (StopCause::Terminated, Exit::Terminated),
            };
            react(received, cause, exit);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}

/// Exits. On a terminal, writes a newline first, so that the shell's prompt begins below a progress display.
fn exit_now(exit: Exit) -> ! {
    let mut stderr = streams::stderr();
    if stderr.is_terminal() {
        let _ = stderr.write_all(b"\n");
    }
    process::exit(exit as i32);
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with an error instead of killing the program by SIGXFSZ.
/// Installs a handler that does nothing, for the lifetime of the process; if it cannot be installed, nothing changes.
pub(crate) fn survive_file_size_limit() {
    if ensure_descriptors().is_err() {
        return;
    }
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let _inside = runtime.enter();
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

/// Fails if there are not enough file descriptors for the first event loop with signals, where the library would panic.
fn ensure_descriptors() -> io::Result<()> {
    let pairs: io::Result<Vec<_>> = (0..4).map(|_| UnixStream::pair()).collect();
    pairs.map(drop)
}

/// Installs a handler for this signal, unless the process was started with the signal ignored.
fn handle_unless_ignored(kind: SignalKind) -> io::Result<Option<Signal>> {
    let ignored =
        fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, kind));
    (!ignored).then(|| signal(kind)).transpose()
}

/// Whether the process with this `/proc/PID/status` ignores a signal.
fn ignores(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

/// Waits for the signal; forever if it is ignored.
async fn next(handler: &mut Option<Signal>) {
    match handler {
        Some(handler) => drop(handler.recv().await),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_read_from_the_mask_of_the_system() {
        let status = "Name:\tfetch\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SignalKind::hangup()));
        assert!(!ignores(status, SignalKind::interrupt()));
        assert!(!ignores("", SignalKind::hangup()));
    }
}

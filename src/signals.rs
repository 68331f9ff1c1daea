//! SIGINT and SIGTERM, and SIGXFSZ.

use std::{io, process, thread};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::CancelToken;
use crate::exit::Exit;
use crate::model::StopCause;

/// Makes the first SIGINT or SIGTERM drain the run and the second one exit at once.
///
/// # Errors
/// If the system does not allow signal handlers or the thread that waits for them.
pub(crate) fn cancel_on_signals(cancel: &CancelToken) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let cancel = cancel.clone();
    let listen = async move {
        let mut draining = false;
        loop {
            let (cause, exit) = tokio::select! {
                _ = interrupt.recv() => (StopCause::Interrupted, Exit::Interrupted),
                _ = terminate.recv() => (StopCause::Terminated, Exit::Terminated),
            };
            if draining {
                process::exit(exit as i32);
            }
            draining = true;
            cancel.drain(cause);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listen))?;
    Ok(())
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with an error, where SIGXFSZ would kill the program. A
/// handler that does nothing does it; it stays for the life of the process. A system that refuses is as before.
pub(crate) fn survive_file_size_limit() {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    let _inside = runtime.enter();
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

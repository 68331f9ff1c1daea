//! Starts, replaces and ends the child processes of a run.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::protocol::{
    ChildInit, ChildUsage, FromChild, MessageBuffer, ToChild, encode, encode_init,
};
use crate::engine::cancel::CancelToken;
use crate::engine::error::EngineError;
use crate::model::StopCause;
use crate::redaction::shows_secrets;
use crate::text::io_message;
use crate::transfer::TransferContext;

/// The number of failed starts in a row after which the run is ended.
const STARTS_AT_MOST: usize = 3;

/// How long a child may take to start, on a machine that is busy.
const STARTING: Duration = Duration::from_secs(60);

/// How long a child may take to exit.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a variable of the environment may hold a password. A child needs none of them: it gets its configuration over
/// its standard input.
fn may_be_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    let is_failpoint = ["fetch_fail_at", "fetch_kill_at"].contains(&&*name);
    name.starts_with("fetch_") && !is_failpoint || name.ends_with("_proxy")
}

/// Starts child processes, and holds the state that they share in the parent.
#[derive(Debug)]
pub(crate) struct ChildPool {
    pub transfer_context: Arc<TransferContext>,
    program: PathBuf,
    /// The first message to every child, encoded.
    init: Vec<u8>,
    cancel: CancelToken,
    /// Why no more children could be started.
    broken: Mutex<Option<io::Error>>,
    /// The peak memory of each worker's processes, bytes.
    peaks: Mutex<BTreeMap<usize, u64>>,
}

impl ChildPool {
    /// A pool of children that run this same program.
    ///
    /// # Errors
    /// If the program's own file cannot be found.
    pub(crate) fn new(
        transfer_context: &Arc<TransferContext>,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let program = env::current_exe().map_err(EngineError::Process)?;
        let init = ChildInit {
            client: transfer_context.config().clone(),
            store: transfer_context.store().child_config(),
            shows_secrets: shows_secrets(),
        };
        let (broken, peaks) = Default::default();
        let (transfer_context, init, cancel) =
            (Arc::clone(transfer_context), encode_init(&init), cancel.clone());
        Ok(Self { transfer_context, program, init, cancel, broken, peaks })
    }

    /// Takes the reason why no more children could be started; `None` if that did not end the run.
    pub(crate) fn broken(&self) -> Option<EngineError> {
        self.broken.lock().expect("lock poisoned").take().map(EngineError::Process)
    }

    /// The sum of the peak memory of all children, bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peaks().values().sum()
    }

    /// Adds what the child of this worker has counted and used.
    pub(super) fn add_usage(&self, worker: usize, used: &ChildUsage) {
        self.transfer_context.add_counts(used.counts);
        if let Some(bytes) = used.peak_memory {
            let mut peaks = self.peaks();
            let peak = peaks.entry(worker).or_default();
            *peak = bytes.max(*peak);
        }
    }

    fn peaks(&self) -> MutexGuard<'_, BTreeMap<usize, u64>> {
        self.peaks.lock().expect("lock poisoned")
    }

    /// Starts a child. It is ready once [`ChildPool::wait_until_ready`] returns.
    pub(super) fn start(&self) -> io::Result<ChildProcess> {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os().filter(|(name, _)| may_be_secret(name)) {
            command.env_remove(name);
        }
        let mut child = command
            .arg("__child")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        Ok(ChildProcess { child, stdin, stdout, received: MessageBuffer::default() })
    }

    /// Sends a started child its configuration, and waits until it is ready.
    ///
    /// # Errors
    /// If it has ended, or reports that it cannot start.
    pub(super) async fn wait_until_ready(
        &self,
        mut process: ChildProcess,
    ) -> io::Result<ChildProcess> {
        let exchange = async {
            match process.stdin.write_all(&self.init).await {
                Ok(()) => process.recv().await,
                Err(_) => None,
            }
        };
        let Ok(answer) = timeout(STARTING, exchange).await else {
            process.end().await;
            return Err(io::Error::other("it does not respond"));
        };
        match answer {
            Some(FromChild::Ready(Ok(()))) => Ok(process),
            Some(FromChild::Ready(Err(reason))) => Err(io::Error::other(reason)),
            _ => Err(io::Error::other(format!(
                "it exited during start-up ({})",
                process.end().await
            ))),
        }
    }

    /// Starts a child for a worker whose child has died. If several starts in a row fail, the run is aborted and this
    /// returns the cause.
    ///
    /// # Errors
    /// The cause for which the run is aborted.
    pub(super) async fn replacement(&self) -> Result<ChildProcess, StopCause> {
        let mut last = None;
        for _ in 0..STARTS_AT_MOST {
            match self.start() {
                Ok(process) => match self.wait_until_ready(process).await {
                    Ok(process) => return Ok(process),
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        *self.broken.lock().expect("lock poisoned") = last;
        self.cancel.abort(StopCause::Fatal);
        Err(self.cancel.cause().unwrap_or(StopCause::Fatal))
    }
}

/// A child process.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    received: MessageBuffer,
}

impl ChildProcess {
    /// Sends a message. If the child has died, [`ChildProcess::recv`] reports it.
    pub(super) async fn send(&mut self, message: &ToChild) {
        let _ = self.stdin.write_all(&encode(message)).await;
    }

    /// Receives the next message; `None` if the child has closed its output or sent something else. Cancel-safe.
    pub(super) async fn recv(&mut self) -> Option<FromChild> {
        loop {
            if let Some(message) = self.received.take().ok()? {
                return Some(message);
            }
            if self.stdout.read_buf(self.received.space()).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Kills the child, unless it has exited by itself, and returns its exit status as text. The child is gone when this
    /// returns.
    pub(super) async fn end(mut self) -> String {
        let _ = self.child.start_kill();
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => io_message(&error),
            Err(_) => "it cannot be killed".to_owned(),
        }
    }

    /// Lets a child without a task exit, waits for that, and returns what it has used. One that does not exit, because it
    /// is stopped or stuck, is killed.
    pub(super) async fn exit(mut self) -> ChildUsage {
        let used = timeout(PATIENCE, self.finish()).await;
        let Self { mut child, stdin, stdout, .. } = self;
        // A child whose input is closed exits.
        drop((stdin, stdout));
        if used.is_err() || timeout(PATIENCE, child.wait()).await.is_err() {
            let _ = child.start_kill();
            let _ = timeout(PATIENCE, child.wait()).await;
        }
        used.unwrap_or_default()
    }

    /// Asks what the child has used. Nothing, if it has died.
    async fn finish(&mut self) -> ChildUsage {
        self.send(&ToChild::Finish).await;
        match self.recv().await {
            Some(FromChild::Used(used)) => used,
            _ => ChildUsage::default(),
        }
    }
}

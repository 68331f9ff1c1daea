//! What all child processes of a run have in common.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::protocol::{ChildInit, FromChild, ToChild, encode};
use crate::engine::EngineError;
use crate::engine::cancel::CancelToken;
use crate::model::StopCause;
use crate::transfer::TransferContext;

/// How often in a row a process may fail to start before it is clear that none will.
const STARTS: usize = 3;

/// Starts child processes, and keeps what belongs to the run.
#[derive(Debug)]
pub struct ChildPool {
    pub transfer_context: Arc<TransferContext>,
    program: PathBuf,
    init: Vec<u8>,
    cancel: CancelToken,
    broken: Mutex<Option<io::Error>>,
    /// The most memory that the process of each worker has used.
    peaks: Mutex<BTreeMap<usize, u64>>,
}

impl ChildPool {
    /// An office that is ready to start children of this very program.
    ///
    /// # Errors
    /// If the program is not found.
    pub fn new(
        transfer_context: &Arc<TransferContext>,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let program = env::current_exe().map_err(EngineError::Process)?;
        let init = ChildInit {
            client_config: transfer_context.client_config(),
            store_config: transfer_context.store().child_config(),
        };
        let (broken, peaks) = Default::default();
        let (transfer_context, init, cancel) =
            (Arc::clone(transfer_context), encode(&init), cancel.clone());
        Ok(Self { transfer_context, program, init, cancel, broken, peaks })
    }

    /// Why no more children could be started, if that ended the run.
    pub fn broken(&self) -> Option<EngineError> {
        self.broken.lock().expect("no holder panics").take().map(EngineError::Process)
    }

    /// The most memory that the children have used, each for itself, in all; bytes.
    pub fn peak_memory(&self) -> u64 {
        self.peaks().values().sum()
    }

    pub(super) fn record_peak(&self, worker: usize, bytes: Option<u64>) {
        let mut peaks = self.peaks();
        let known = peaks.entry(worker).or_default();
        *known = bytes.unwrap_or(0).max(*known);
    }

    fn peaks(&self) -> MutexGuard<'_, BTreeMap<usize, u64>> {
        self.peaks.lock().expect("no holder panics")
    }

    /// Starts a child that is not ready yet.
    pub(super) fn start(&self) -> io::Result<ChildProcess> {
        let mut child = Command::new(&self.program)
            .arg("__seat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        Ok(ChildProcess { child, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// Waits until a child that was started can work.
    pub(super) async fn wait_until_ready(
        &self,
        mut process: ChildProcess,
    ) -> io::Result<ChildProcess> {
        let heard = match process.stdin.write_all(&self.init).await {
            Ok(()) => process.recv().await,
            Err(_) => None,
        };
        match heard {
            Some(FromChild::Ready(Ok(()))) => Ok(process),
            Some(FromChild::Ready(Err(reason))) => Err(io::Error::other(reason)),
            _ => Err(io::Error::other(format!("it ended at once ({})", process.end().await))),
        }
    }

    /// A child that can work. Where none can be had, the run is ended.
    pub(super) async fn replacement(&self) -> Result<ChildProcess, StopCause> {
        let mut last = None;
        for _ in 0..STARTS {
            match self.start() {
                Ok(process) => match self.wait_until_ready(process).await {
                    Ok(process) => return Ok(process),
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        *self.broken.lock().expect("no holder panics") = last;
        self.cancel.abort(StopCause::Fatal);
        Err(self.cancel.cause().unwrap_or(StopCause::Fatal))
    }
}

/// A child process.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ChildProcess {
    /// Says something to it. That nobody listens any more will show.
    pub async fn send(&mut self, word: &ToChild) {
        let _ = self.stdin.write_all(&encode(word)).await;
    }

    /// What it says next; `None` once it says nothing that can be understood. May be cancelled without loss.
    pub async fn recv(&mut self) -> Option<FromChild> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Ends it, unless it has ended by itself, and tells how. When this returns it does nothing any more.
    pub async fn end(mut self) -> String {
        let _ = self.child.start_kill();
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Lets it leave, and waits for that.
    pub async fn exit(self) {
        let Self { mut child, stdin, lines } = self;
        drop((stdin, lines));
        let _ = child.wait().await;
    }
}

//! The main function of a child process: carries out one task after another, and exits as soon as its parent has.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::spawn;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

use super::parent_client::{Inbox, ParentClient};
use super::protocol::{ChildInit, ChildUsage, FromChild, Task, TaskResult};
use crate::engine::event_loop::waited_since;
use crate::model::{StopCause, WorkerProgress};
use crate::redaction::show_secrets;
use crate::resource_usage::{run_queue_delay, usage};
use crate::store::Store;
use crate::streams;
use crate::text::io_message;
use crate::transfer::{Client, Resolver, TransferContext, TransferCounts};

/// How often the child reports the progress of a transfer.
const TICK: Duration = Duration::from_millis(100);

/// Ticks after which it does so even if there is none: the parent knows from it that the child is there.
const HEARTBEAT: u32 = 10;

/// How often the child measures what it uses. A measurement takes more system calls than the transfer of a small body.
const MEASURE: Duration = Duration::from_secs(1);

/// Longer than any run.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs as a child process: carries out jobs for the process at the other end of the standard streams.
///
/// # Errors
/// If the system has no event loop or thread for it, or it was not started by `fetch`.
pub(crate) fn run_child() -> io::Result<()> {
    // Its one blocking thread stays, so that no lookup is without one.
    let runtime = Builder::new_current_thread().enable_all().thread_keep_alive(FOR_GOOD).build()?;
    runtime.block_on(async {
        let _ignored = ignore_signals()?;
        let mut first = String::new();
        if io::stdin().read_line(&mut first)? == 0 {
            return Ok(());
        }
        let init: ChildInit = serde_json::from_str(&first).map_err(|_| {
            io::Error::other("__child is how fetch starts its own children; use --mode processes")
        })?;
        thread::Builder::new().name("parent".into()).spawn(exit_with_parent)?;
        let (parent, inbox) = ParentClient::new()?;
        // Both run on this thread, where a message wakes no other one. As tasks: waking the future that the runtime was
        // given takes a system call.
        let messages = Arc::clone(&parent);
        drop(spawn(async move { messages.route_messages().await }));
        spawn(run_tasks(init, parent, inbox)).await.expect("a task does not panic")
    })
}

/// Ends this process as soon as the parent has exited: without a parent no result is of use, not even that of a transfer in
/// progress. A thread of its own, because that of the transfers may be busy.
fn exit_with_parent() -> Infallible {
    streams::wait_until_stdin_is_closed();
    process::exit(0)
}

/// Makes the process ignore SIGINT, SIGTERM and SIGHUP. Ctrl-C goes to all processes of a terminal, and a service manager signals
/// all processes of a service; but the parent decides what follows, and when it exits its children do so in any case.
fn ignore_signals() -> io::Result<[Signal; 3]> {
    Ok([
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ])
}

/// Carries out tasks one after another.
async fn run_tasks(init: ChildInit, parent: Arc<ParentClient>, mut inbox: Inbox) -> io::Result<()> {
    let client = match open_client(init, &parent) {
        Ok(client) => client,
        Err(reason) => {
            parent.send(&FromChild::Ready(Err(reason)));
            return Ok(());
        }
    };
    parent.send(&FromChild::Ready(Ok(())));
    let (mut usage, mut ticks) = (UsageMeter::new(&client), Ticks::new());
    while let Some(Some(task)) = inbox.tasks.recv().await {
        let Task { job, expected } = *task;
        let progress = WorkerProgress::default();
        let cancel = cancelled(inbox.cancel.clone());
        let transfer = client.transfer(&job, expected.as_ref(), 1, &progress, cancel);
        let attempt = with_progress_reports(transfer, &progress, &mut ticks, &parent).await;
        let usage = usage.after_task(&client);
        parent.send(&FromChild::Done(Box::new(TaskResult { attempt, usage })));
        client.release().await;
    }
    parent.send(&FromChild::Used(usage.measure(&client)));
    // The parent closes the pipe, which ends this process.
    pending().await
}

/// What this child has counted and used, as far as the parent does not know it yet.
struct UsageMeter {
    /// The counters that the parent knows.
    sent: TransferCounts,
    /// How long this thread had waited for a processor when that was measured.
    waited: Option<Duration>,
    measured: Instant,
}

impl UsageMeter {
    fn new(client: &Client) -> Self {
        let sent = client.context().counts();
        Self { sent, waited: run_queue_delay(), measured: Instant::now() }
    }

    /// The counters, and what is used if it has not been measured for a while.
    fn after_task(&mut self, client: &Client) -> ChildUsage {
        match self.measured.elapsed() < MEASURE {
            true => ChildUsage { counts: self.new_counts(client), peak_memory: None },
            false => self.measure(client),
        }
    }

    fn measure(&mut self, client: &Client) -> ChildUsage {
        self.measured = Instant::now();
        client.context().add_counts(waited_since(self.waited));
        self.waited = run_queue_delay();
        ChildUsage { counts: self.new_counts(client), peak_memory: usage().peak_memory }
    }

    fn new_counts(&mut self, client: &Client) -> TransferCounts {
        let now = client.context().counts();
        now.since(std::mem::replace(&mut self.sent, now))
    }
}

fn open_client(init: ChildInit, parent: &Arc<ParentClient>) -> Result<Client, String> {
    let ChildInit { client: config, store, shows_secrets } = init;
    if shows_secrets {
        show_secrets();
    }
    let recorder: Arc<ParentClient> = Arc::clone(parent);
    let store = match store {
        None => Store::discard(),
        Some(store) => Store::for_child(store, recorder).map_err(|error| error.to_string())?,
    };
    Resolver::ensure_thread()
        .map_err(|error| format!("cannot start a thread: {}", io_message(&error)))?;
    drop(Handle::current().spawn_blocking(|| ()));
    let resolver = Arc::new(Resolver::new(config.http(), Handle::current()));
    let services: Arc<ParentClient> = Arc::clone(parent);
    let context = TransferContext::for_child(config, resolver, services, store);
    Client::new(Arc::new(context)).map_err(|error| error.to_string())
}

/// Resolves when the parent cancels the transfer, with the cause.
async fn cancelled(mut cancel: watch::Receiver<Option<StopCause>>) -> StopCause {
    match cancel.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => pending().await,
    }
}

/// When the child reports the progress of its transfer. One timer serves all transfers: to set one sooner than any other
/// takes a system call.
struct Ticks(Pin<Box<Sleep>>);

impl Ticks {
    fn new() -> Self {
        Self(Box::pin(sleep(TICK)))
    }

    async fn next(&mut self) {
        if self.0.is_elapsed() {
            self.0.as_mut().reset(Instant::now() + TICK);
        }
        self.0.as_mut().await;
    }
}

/// Runs a transfer to its end, and reports its progress meanwhile.
async fn with_progress_reports<T>(
    transfer: impl Future<Output = T>,
    progress: &WorkerProgress,
    ticks: &mut Ticks,
    parent: &ParentClient,
) -> T {
    tokio::pin!(transfer);
    let (mut reported, mut unreported) = (0, 0);
    loop {
        tokio::select! {
            biased;
            done = &mut transfer => return done,
            () = ticks.next() => {
                let bytes = progress.bytes();
                unreported += 1;
                if bytes > reported || unreported >= HEARTBEAT {
                    (reported, unreported) = (bytes, 0);
                    let promised = progress.promised().unwrap_or(0);
                    parent.send(&FromChild::Progress { bytes, promised });
                }
            }
        }
    }
}

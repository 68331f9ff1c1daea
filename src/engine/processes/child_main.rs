//! The child: makes one request after another until its parent has gone, and leaves at once then.

use std::future::Future;
use std::io::{self, BufRead, BufReader, Stdin, Write};
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::protocol::{ChildInit, FromChild, Task, TaskResult, ToChild, encode};
use crate::model::{Failure, StopCause, WorkerProgress};
use crate::resource_usage::usage;
use crate::store::{BodyStart, PartialRecorder, Store};
use crate::transfer::{Client, Resolver, RunServices, TransferContext};

/// How often it is told how a request goes.
const TICK: Duration = Duration::from_millis(100);

/// Makes transfers for the process at the other end of the standard streams.
///
/// # Errors
/// If the machine does not let it begin.
pub fn run_child() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _not_meant_for_us = ignored_signals()?;
        let mut stdin = BufReader::new(io::stdin());
        let mut first = String::new();
        if stdin.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let init: ChildInit = serde_json::from_str(&first).map_err(|_| {
            io::Error::other("__seat is how fetch starts its own children; use --mode processes")
        })?;
        let (router, parent) = message_channels();
        thread::Builder::new().name("parent".into()).spawn(|| listen(stdin, router))?;
        serve(init, parent).await
    })
}

/// Ctrl-C is sent to all processes of a terminal, and who ends a job or a service asks all of its processes to end; it is
/// the parent that decides what follows. When it has gone its children leave in any case.
#[cfg(unix)]
fn ignored_signals() -> io::Result<[tokio::signal::unix::Signal; 2]> {
    use tokio::signal::unix::{SignalKind, signal};

    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}

#[cfg(not(unix))]
fn requests_to_end() -> io::Result<()> {
    Ok(())
}

/// What is heard, sorted by who waits for it.
struct MessageRouter {
    errands: UnboundedSender<Box<Task>>,
    turns: UnboundedSender<(u64, u64)>,
    answers: mpsc::Sender<Reply>,
    cut: watch::Sender<Option<StopCause>>,
}

/// What somebody holds everything up for.
#[derive(Debug)]
enum Reply {
    BytesReserved(bool),
    PartialRecorded(Result<(), Failure>),
}

/// Where it comes out.
struct Inbox {
    errands: UnboundedReceiver<Box<Task>>,
    cut: watch::Receiver<Option<StopCause>>,
    parent: Arc<ParentClient>,
}

/// The parent as it is seen from below.
#[derive(Debug)]
struct ParentClient {
    answers: Mutex<mpsc::Receiver<Reply>>,
    turns: tokio::sync::Mutex<UnboundedReceiver<(u64, u64)>>,
    asked: AtomicU64,
}

fn message_channels() -> (MessageRouter, Inbox) {
    let (errands, next) = unbounded_channel();
    let (turns, turned) = unbounded_channel();
    let (answers, answered) = mpsc::channel();
    let (cut, is_cut) = watch::channel(None);
    let parent = Arc::new(ParentClient {
        answers: Mutex::new(answered),
        turns: turned.into(),
        asked: AtomicU64::new(0),
    });
    (MessageRouter { errands, turns, answers, cut }, Inbox { errands: next, cut: is_cut, parent })
}

/// Hears the parent. When it has gone nothing is of use any more, a transfer under way neither.
fn listen(mut stdin: BufReader<Stdin>, router: MessageRouter) {
    let mut text = String::new();
    while let Ok(1..) = stdin.read_line(&mut text) {
        let Ok(word) = serde_json::from_str(&text) else { break };
        router.route(word);
        text.clear();
    }
    process::exit(0);
}

impl MessageRouter {
    /// Where nobody waits any more, nobody is told.
    fn route(&self, word: ToChild) {
        match word {
            ToChild::Task(task) => {
                // What was to end before may have ended by itself.
                self.cut.send_replace(None);
                drop(self.errands.send(task));
            }
            ToChild::Cancel(cause) => drop(self.cut.send(Some(cause))),
            ToChild::RateGranted { number, booked } => drop(self.turns.send((number, booked))),
            ToChild::BytesReserved(may) => drop(self.answers.send(Reply::BytesReserved(may))),
            ToChild::PartialRecorded(noted) => {
                drop(self.answers.send(Reply::PartialRecorded(noted)))
            }
        }
    }
}

async fn serve(init: ChildInit, mut inbox: Inbox) -> io::Result<()> {
    let (transfer_context, client) = match open(init, &inbox.parent) {
        Ok(opened) => opened,
        Err(reason) => {
            send(&FromChild::Ready(Err(reason)));
            return Ok(());
        }
    };
    send(&FromChild::Ready(Ok(())));
    let mut before = transfer_context.counters();
    while let Some(task) = inbox.errands.recv().await {
        transfer_context.set_expected_digests(task.wanted);
        let progress = WorkerProgress::default();
        let cut = aborted(inbox.cut.clone());
        let transfer = client.transfer(&task.job, 1, &progress, cut);
        let attempt = watched(transfer, &progress).await;
        let now = transfer_context.counters();
        let (counters, peak_memory) = (now.since(before), usage().peak_memory);
        before = now;
        send(&FromChild::Done(Box::new(TaskResult { attempt, counters, peak_memory })));
        client.release().await;
    }
    Ok(())
}

fn open(
    init: ChildInit,
    parent: &Arc<ParentClient>,
) -> Result<(Arc<TransferContext>, Client), String> {
    let ChildInit { client_config, store_config } = init;
    let store = match store_config {
        None => Store::discard(),
        Some(store_config) => {
            let parent: Arc<ParentClient> = Arc::clone(parent);
            Store::for_child(store_config, parent).map_err(|error| error.to_string())?
        }
    };
    let resolver = |http: &_| Arc::new(Resolver::new(http, Handle::current()));
    let parent: Arc<ParentClient> = Arc::clone(parent);
    let transfer_context =
        Arc::new(TransferContext::for_child(client_config, parent, resolver, store));
    let client = Client::new(Arc::clone(&transfer_context)).map_err(|error| error.to_string())?;
    Ok((transfer_context, client))
}

async fn aborted(mut cut: watch::Receiver<Option<StopCause>>) -> StopCause {
    match cut.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => std::future::pending().await,
    }
}

/// Tells how a transfer goes until it is done.
async fn watched<T>(transfer: impl Future<Output = T>, progress: &WorkerProgress) -> T {
    tokio::pin!(transfer);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut told = 0;
    loop {
        tokio::select! {
            biased;
            done = &mut transfer => return done,
            _ = ticks.tick() => {
                let bytes = progress.bytes();
                if bytes > told {
                    told = bytes;
                    send(&FromChild::Progress { bytes, promised: progress.promised().unwrap_or(0) });
                }
            }
        }
    }
}

/// Says something to the parent. Without one there is nothing left to do.
fn send(word: &FromChild) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(&encode(word)).and_then(|()| stdout.flush()).is_err() {
        process::exit(0);
    }
}

impl ParentClient {
    /// Asks what everything else has to wait for, as it would for the disk.
    fn request(&self, word: &FromChild) -> Reply {
        let answers = self.answers.lock().expect("no holder panics");
        send(word);
        answers.recv().unwrap_or_else(|_| process::exit(0))
    }
}

impl RunServices for ParentClient {
    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            let mut turns = self.turns.lock().await;
            let number = self.asked.fetch_add(1, Relaxed);
            send(&FromChild::RequestRate { number, left });
            // A turn that came too late for who had asked for it is nobody's.
            while let Some((turn, booked)) = turns.recv().await {
                if turn == number {
                    return booked;
                }
                self.report_read(0, booked);
            }
            std::future::pending().await
        })
    }

    fn report_read(&self, bytes: u64, booked: u64) {
        send(&FromChild::ReportRead { bytes, booked });
    }

    fn reserve(&self, bytes: u64) -> bool {
        matches!(self.request(&FromChild::ReserveBytes(bytes)), Reply::BytesReserved(true))
    }
}

impl PartialRecorder for ParentClient {
    fn record_partial(&self, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
        match self.request(&FromChild::RecordPartial { begin: begin.clone(), bytes }) {
            Reply::PartialRecorded(noted) => noted,
            Reply::BytesReserved(_) => unreachable!("one question is asked at a time"),
        }
    }
}

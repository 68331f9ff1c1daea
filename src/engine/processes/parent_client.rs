//! The parent, as a child process sees it: messages that come over a pipe, and the services of the run.

use std::convert::Infallible;
use std::fs::File;
use std::future::{Future, pending, poll_fn};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::protocol::{FromChild, MessageBuffer, Task, ToChild, encode};
use crate::model::{Failure, StopCause};
use crate::store::{BodyInfo, BodyStart, PartialRecorder};
use crate::streams;
use crate::sync::lock;
use crate::transfer::{DecoderNeed, MemoryPermit, RunServices};

/// The services of the run, over the pipe to the parent, and the messages that come from there.
#[derive(Debug)]
pub(super) struct ParentClient {
    input: Mutex<ParentInput>,
    /// Standard output without its buffer, which would be written out at each byte that is a newline.
    output: File,
    router: MessageRouter,
    granted: tokio::sync::Mutex<UnboundedReceiver<(u64, u64)>>,
    reserved: tokio::sync::Mutex<UnboundedReceiver<()>>,
    /// The number of requests for leave to read so far.
    rate_requests: AtomicU64,
}

/// What the parent wants done.
#[derive(Debug)]
pub(super) struct Inbox {
    /// `None` if no other comes.
    pub tasks: UnboundedReceiver<Option<Box<Task>>>,
    pub cancel: watch::Receiver<Option<StopCause>>,
}

/// Passes the parent's messages on to where they are awaited.
#[derive(Debug)]
struct MessageRouter {
    tasks: UnboundedSender<Option<Box<Task>>>,
    granted: UnboundedSender<(u64, u64)>,
    reserved: UnboundedSender<()>,
    cancel: watch::Sender<Option<StopCause>>,
}

/// The pipe from the parent.
#[derive(Debug)]
struct ParentInput {
    pipe: pipe::Receiver,
    received: MessageBuffer,
}

impl ParentClient {
    /// For the runtime that this is called on. Nothing else may use its standard streams from
    /// now on.
    ///
    /// # Errors
    /// If standard input is not a pipe, or there are too many open files.
    pub(super) fn new() -> io::Result<(Arc<Self>, Inbox)> {
        let pipe = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let (send_task, tasks) = unbounded_channel();
        let (send_granted, granted) = unbounded_channel();
        let (send_reserved, reserved) = unbounded_channel();
        let (send_cancel, cancel) = watch::channel(None);
        let router = MessageRouter {
            tasks: send_task,
            granted: send_granted,
            reserved: send_reserved,
            cancel: send_cancel,
        };
        let parent = Self {
            input: Mutex::new(ParentInput { pipe, received: MessageBuffer::default() }),
            output: File::from(io::stdout().as_fd().try_clone_to_owned()?),
            router,
            granted: granted.into(),
            reserved: reserved.into(),
            rate_requests: AtomicU64::new(0),
        };
        Ok((Arc::new(parent), Inbox { tasks, cancel }))
    }

    /// Sends a message. If the parent is gone, this process exits.
    pub(super) fn send(&self, message: &FromChild) {
        if (&self.output).write_all(&encode(message)).is_err() {
            process::exit(0);
        }
    }

    /// Passes messages on for as long as it is polled. If the parent is gone, this process exits.
    pub(super) async fn route_messages(&self) -> Infallible {
        loop {
            // The pipe is locked while it is polled only: a transfer that is polled next may read from it too.
            let message = poll_fn(|task| lock(&self.input).poll_next(task)).await;
            self.router.route(message);
        }
    }

    /// Sends a request and blocks until the reply, as a call that waits for the disk would. The pipe is locked from the
    /// request to its reply, so a reply needs no number.
    fn request(&self, message: &FromChild) -> ToChild {
        let mut input = lock(&self.input);
        self.send(message);
        loop {
            match input.next_blocking() {
                reply @ (ToChild::BytesReserved(_)
                | ToChild::MemoryWanted(_)
                | ToChild::PartialRecorded(_)) => return reply,
                message => self.router.route(message),
            }
        }
    }
}

impl ParentInput {
    /// The next message. If the parent is gone, this process exits.
    fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<ToChild> {
        loop {
            if let Some(message) = self.received() {
                return Poll::Ready(message);
            }
            let read = pin!(self.pipe.read_buf(self.received.space()));
            if !matches!(ready!(read.poll(task)), Ok(1..)) {
                process::exit(0);
            }
        }
    }

    /// The same, blocking the thread.
    fn next_blocking(&mut self) -> ToChild {
        let mut bytes = [0; 1024];
        loop {
            if let Some(message) = self.received() {
                return message;
            }
            match streams::stdin().read(&mut bytes) {
                Ok(count @ 1..) => self.received.space().extend(&bytes[..count]),
                _ => process::exit(0),
            }
        }
    }

    fn received(&mut self) -> Option<ToChild> {
        self.received.take().unwrap_or_else(|_| process::exit(0))
    }
}

impl MessageRouter {
    /// Passes a message on. If the receiver is gone, the message is dropped.
    fn route(&self, message: ToChild) {
        match message {
            ToChild::Task(task) => {
                // A cancelled transfer may have ended by itself, with the cancel message still to be looked at.
                self.cancel.send_replace(None);
                drop(self.tasks.send(Some(task)));
            }
            ToChild::Finish => drop(self.tasks.send(None)),
            ToChild::Cancel(cause) => drop(self.cancel.send(Some(cause))),
            ToChild::RateGranted { number, charged } => drop(self.granted.send((number, charged))),
            ToChild::MemoryReserved => drop(self.reserved.send(())),
            ToChild::BytesReserved(_) | ToChild::MemoryWanted(_) | ToChild::PartialRecorded(_) => {
                unreachable!("a reply is read by the request that it answers")
            }
        }
    }
}

impl RunServices for ParentClient {
    fn reserve_bytes(&self, bytes: u64) -> bool {
        matches!(self.request(&FromChild::ReserveBytes(bytes)), ToChild::BytesReserved(true))
    }

    fn wait_for_rate(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            let mut granted = self.granted.lock().await;
            let number = self.rate_requests.fetch_add(1, Relaxed);
            self.send(&FromChild::RequestRate { number, left });
            while let Some((answered, charged)) = granted.recv().await {
                if answered == number {
                    return charged;
                }
                // The answer came too late for the reader that had asked; nothing is read for it.
                self.report_read(0, charged);
            }
            pending().await
        })
    }

    fn reserve_memory(
        &self,
        need: DecoderNeed,
    ) -> Pin<Box<dyn Future<Output = MemoryPermit> + Send + '_>> {
        Box::pin(async move {
            let mut reserved = self.reserved.lock().await;
            // Answers that came too late for a task before this one.
            while reserved.try_recv().is_ok() {}
            self.send(&FromChild::ReserveMemory(need));
            match reserved.recv().await {
                Some(()) => MemoryPermit::default(),
                None => pending().await,
            }
        })
    }

    fn is_memory_wanted(&self) -> bool {
        matches!(self.request(&FromChild::AskForWaiting), ToChild::MemoryWanted(true))
    }

    fn end_turn(&self, _: MemoryPermit) {
        self.send(&FromChild::EndTurn);
    }

    fn report_read(&self, bytes: u64, charged: u64) {
        self.send(&FromChild::ReportRead { bytes, charged });
    }
}

impl PartialRecorder for ParentClient {
    /// The parent knows which body the current task is about.
    fn record_partial(&self, _: &BodyInfo, begin: &BodyStart, bytes: u64) -> Result<(), Failure> {
        match self.request(&FromChild::RecordPartial { begin: begin.clone(), bytes }) {
            ToChild::PartialRecorded(recorded) => recorded,
            _ => unreachable!("one request at a time has a reply"),
        }
    }
}

//! The feeder: inputs -> entries -> queue, as fast as the queue has room. Nothing is read far ahead of its turn.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::queue::Admission;
use super::records::record_without_request;
use super::worker::RunContext;
use crate::input::{OpenInput, ReadError, StreamKind};
use crate::list::{self, Numbering, Parser, ParserStatus};
use crate::model::{Entry, Event, QueuedJob, Record, StopCause, Target};
use crate::store::{Claim, SkipReason};

/// Bytes read at once: a bound on how far reading runs ahead of the queue.
const CHUNK: usize = 16 * 1024;

/// How long a live input must be silent before an entry is started that option lines could still follow.
const QUIET: Duration = Duration::from_millis(100);

/// How feeding ended.
#[derive(Debug)]
pub struct FeedResult {
    /// Whether every line of every input was read.
    pub complete: bool,
    /// What could not be read.
    pub unreadable: Option<ReadError>,
}

/// A piece of the inputs, as the reading thread hands it over.
enum Chunk {
    Argument(String),
    Opens(Arc<str>, StreamKind, StopReading),
    Bytes(Vec<u8>),
    Ends,
    Breaks(ReadError),
}

/// Set once no more of a list is wanted, because it is none.
type StopReading = Arc<AtomicBool>;

/// Feeds the queue from the inputs, in their order, and closes it.
///
/// # Errors
/// If a target cannot be spilled. An input that cannot be read is no error: the result says so.
pub async fn feed(inputs: Vec<OpenInput>, context: &RunContext) -> io::Result<FeedResult> {
    let (send, pieces) = channel(1);
    // Not waited for: it may sit in a read that never returns.
    thread::spawn(move || read_all(inputs, &send));
    let mut feeder = Feeder { context, numbering: Numbering::default(), pieces };
    let feed_result = feeder.run().await;
    if feed_result.is_ok() {
        let entries = feeder.numbering.given();
        context.emit(Event::ListRead { entries }).await;
    }
    context.queue.close();
    let complete = feed_result.is_ok();
    match feed_result {
        Err(FeedError::Spill(error)) => {
            context.cancel.drain(StopCause::Fatal);
            Err(error)
        }
        Err(FeedError::Unreadable(error)) => Ok(FeedResult { complete, unreadable: Some(error) }),
        Ok(()) | Err(FeedError::Cancelled) => Ok(FeedResult { complete, unreadable: None }),
    }
}

/// Readmits spilled targets whenever their host has room, for as long as it is polled. If they cannot be read back, aborts
/// the run and sets `broken`.
pub async fn readmit_spilled(context: &RunContext, broken: &Cell<Option<io::Error>>) -> Infallible {
    loop {
        let host = context.queue.wait_for_refill().await;
        let targets = context.spill().take(&host);
        match targets {
            Ok(targets) => context.queue.readmit(targets),
            Err(error) => {
                broken.set(Some(error));
                context.cancel.abort(StopCause::Fatal);
                return pending().await;
            }
        }
    }
}

/// Why feeding ended before the inputs did.
enum FeedError {
    Cancelled,
    Unreadable(ReadError),
    Spill(io::Error),
}

struct Feeder<'a> {
    context: &'a RunContext,
    numbering: Numbering,
    pieces: Receiver<Chunk>,
}

impl Feeder<'_> {
    async fn run(&mut self) -> Result<(), FeedError> {
        while let Some(chunk) = self.next_chunk().await? {
            match chunk {
                Chunk::Argument(text) => {
                    let entry = list::argument(&text, &mut self.numbering);
                    self.feed_entries(vec![entry]).await?;
                }
                Chunk::Opens(name, pace, enough) => self.read_list(name, pace, &enough).await?,
                Chunk::Breaks(error) => return Err(FeedError::Unreadable(error)),
                Chunk::Bytes(_) | Chunk::Ends => unreachable!("a list opens before its bytes come"),
            }
        }
        Ok(())
    }

    /// Feeds one list to its end.
    async fn read_list(
        &mut self,
        name: Arc<str>,
        pace: StreamKind,
        enough: &AtomicBool,
    ) -> Result<(), FeedError> {
        let mut parser = Parser::new(name);
        loop {
            let chunk = match pace {
                StreamKind::AtRest => self.next_chunk().await?,
                StreamKind::Live => match timeout(QUIET, self.next_chunk()).await {
                    Ok(chunk) => chunk?,
                    Err(_) => {
                        let mut entries = Vec::new();
                        parser.flush_pending(&mut self.numbering, |entry| entries.push(entry));
                        self.feed_entries(entries).await?;
                        self.next_chunk().await?
                    }
                },
            };
            let mut entries = Vec::new();
            let numbering = &mut self.numbering;
            match chunk {
                Some(Chunk::Bytes(bytes)) => {
                    let appetite = parser.feed(&bytes, numbering, |entry| entries.push(entry));
                    enough.store(appetite == ParserStatus::Enough, Relaxed);
                    self.feed_entries(entries).await?;
                }
                Some(Chunk::Breaks(error)) => return Err(FeedError::Unreadable(error)),
                _ => {
                    parser.finish(numbering, |entry| entries.push(entry));
                    return self.feed_entries(entries).await;
                }
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Chunk>, FeedError> {
        tokio::select! {
            biased;
            _ = self.context.cancel.draining() => Err(FeedError::Cancelled),
            chunk = self.pieces.recv() => Ok(chunk),
        }
    }

    /// Feeds entries. If the run is stopped in between, the rest get their records all the same, since they were read.
    async fn feed_entries(&mut self, entries: Vec<Entry>) -> Result<(), FeedError> {
        let mut stopped = None;
        for entry in entries {
            match (entry, stopped) {
                (Entry::Target(target), None) => stopped = self.claim(target).await?,
                (Entry::Target(target), Some(cause)) => self.emit_cancelled(target, cause).await,
                (Entry::Invalid(invalid), _) => {
                    let turn = self.context.queue.wait_for_turn(invalid.index).await;
                    stopped = stopped.or(turn.err());
                    self.context.emit_record(Record::invalid(invalid), None, None).await;
                }
            }
        }
        stopped.map_or(Ok(()), |_| Err(FeedError::Cancelled))
    }

    /// Claims a target's name and adds it to the queue or the spill. Returns the cause if the run is stopped first.
    async fn claim(&self, target: Target) -> Result<Option<StopCause>, FeedError> {
        let queue = &self.context.queue;
        let place = match self.context.store.claim(&target) {
            Claim::Fetch(place) => place,
            Claim::Settled(name, settled) => {
                return Ok(self.settle_unasked(target, name, settled).await);
            }
        };
        let spilled = || self.context.spill().has_room();
        match queue.wait_for_admission(target.index, target.url(), spilled).await {
            Ok(Admission::Queue) => queue.admit(target, place),
            Ok(Admission::Spill) => {
                let mut spill = self.context.spill();
                spill.put(&target, place.as_ref()).map_err(FeedError::Spill)?;
                queue.defer(target.index, target.url());
            }
            Err(cause) => {
                let job = QueuedJob::first(target, place, Instant::now());
                self.context.emit_cancelled(&job, cause).await;
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// Emits the record of a target for which no request is made, in its turn.
    async fn settle_unasked(
        &self,
        target: Target,
        name: Arc<str>,
        settled: SkipReason,
    ) -> Option<StopCause> {
        let queue = &self.context.queue;
        let turn = queue.wait_for_turn(target.index).await;
        let record = record_without_request(&target, &name, settled);
        queue.record_settled(&record);
        // An empty name: none could be found.
        let name = Some(name).filter(|name| !name.is_empty());
        self.context.emit_record(record, Some(Arc::new(target)), name).await;
        turn.err()
    }

    /// Emits a `cancelled` record for a target that was not started. Its file name is claimed anyway, so that a later run
    /// of the same list assigns the same names.
    async fn emit_cancelled(&self, target: Target, cause: StopCause) {
        match self.context.store.claim(&target) {
            Claim::Fetch(place) => {
                self.context
                    .emit_cancelled(&QueuedJob::first(target, place, Instant::now()), cause)
                    .await;
            }
            Claim::Settled(name, settled) => drop(self.settle_unasked(target, name, settled).await),
        }
    }
}

/// Reads the inputs one after another, piece by piece, until nobody takes them any more.
fn read_all(inputs: Vec<OpenInput>, send: &Sender<Chunk>) {
    for input in inputs {
        let taken = match input {
            OpenInput::Argument(text) => send.blocking_send(Chunk::Argument(text)).ok(),
            OpenInput::List { name, bytes, pace } => read(name, bytes, pace, send),
        };
        if taken.is_none() {
            return;
        }
    }
}

/// `None` once nobody takes the pieces.
fn read(
    name: Arc<str>,
    mut bytes: Box<dyn Read + Send>,
    pace: StreamKind,
    send: &Sender<Chunk>,
) -> Option<()> {
    let enough = StopReading::default();
    send.blocking_send(Chunk::Opens(Arc::clone(&name), pace, Arc::clone(&enough))).ok()?;
    let mut buffer = [0; CHUNK];
    loop {
        if enough.load(Relaxed) {
            return send.blocking_send(Chunk::Ends).ok();
        }
        let chunk = match bytes.read(&mut buffer) {
            Ok(0) => return send.blocking_send(Chunk::Ends).ok(),
            Ok(length) => Chunk::Bytes(buffer[..length].to_vec()),
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => continue,
            Err(reason) => {
                let _ = send.blocking_send(Chunk::Breaks(ReadError { name, reason }));
                return None;
            }
        };
        send.blocking_send(chunk).ok()?;
    }
}

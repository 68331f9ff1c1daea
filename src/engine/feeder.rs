//! The feeder: inputs -> entries -> queue, as fast as the queue has room. Nothing is read far ahead of its turn.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::error::EngineError;
use super::queue::Admission;
use super::records::record_without_request;
use super::worker::RunContext;
use crate::input::{EntryBatch, EntryParser, InputChunk, InputReader, OpenInput, ReadError};
use crate::model::{Entry, Event, QueuedJob, Record, StopCause, Target};
use crate::plan::Shard;
use crate::store::{Claim, ClaimResult, SkipReason, UndigestedFile};

/// How long a live input must be silent before an entry is begun that option lines could still follow.
const QUIET: Duration = Duration::from_millis(100);

/// How feeding ended.
#[derive(Debug)]
pub(super) struct FeedResult {
    /// Whether every line of every input was read.
    pub complete: bool,
    /// Entries that were read, with those of other shards.
    pub listed: u64,
    /// What could not be read.
    pub unreadable: Option<ReadError>,
}

/// Feeds the queue from the inputs, in their order, and closes it.
///
/// # Errors
/// If the system gives no thread, or a target cannot be spilled. An input that cannot be read is no error: the result says so.
pub(super) async fn feed(
    inputs: Vec<OpenInput>,
    shard: Option<Shard>,
    context: &RunContext,
) -> Result<FeedResult, EngineError> {
    let (send, pieces) = channel(1);
    // Not waited for: it may sit in a read that never returns.
    let read =
        move || InputReader::new(inputs).try_for_each(|chunk| send.blocking_send(chunk).ok());
    if let Err(error) = thread::Builder::new().name("lists".into()).spawn(read) {
        context.queue.close();
        context.cancel.drain(StopCause::Fatal);
        return Err(EngineError::Thread(error));
    }
    let (parser, read_up_to) = (EntryParser::of_shard(shard), 0);
    let mut feeder = Feeder { context, parser, pieces, read_up_to };
    let feed_result = feeder.run().await;
    if feed_result.is_ok() {
        let entries = feeder.parser.kept();
        context.emit(Event::ListRead { entries }).await;
    }
    context.queue.close();
    let (complete, listed) = (feed_result.is_ok(), feeder.parser.numbered());
    match feed_result {
        Err(FeedError::Spill(error)) => {
            context.cancel.drain(StopCause::Fatal);
            Err(EngineError::Spill(error))
        }
        Err(FeedError::Unreadable(error)) => {
            Ok(FeedResult { complete, listed, unreadable: Some(error) })
        }
        Ok(()) | Err(FeedError::Cancelled) => {
            let unreadable = feeder.parser.take_unreadable();
            Ok(FeedResult { complete: complete && unreadable.is_none(), listed, unreadable })
        }
    }
}

/// Readmits spilled targets whenever their host has room, for as long as it is polled. If they cannot be read back, aborts
/// the run and sets `broken`.
pub(super) async fn readmit_spilled(
    context: &RunContext,
    broken: &Cell<Option<io::Error>>,
) -> Infallible {
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
    parser: EntryParser,
    pieces: Receiver<Result<InputChunk, ReadError>>,
    /// The index of the last entry that was fed.
    read_up_to: u64,
}

impl Feeder<'_> {
    async fn run(&mut self) -> Result<(), FeedError> {
        loop {
            let chunk = match timeout(QUIET, self.next_chunk()).await {
                Ok(chunk) => chunk?,
                Err(_) => {
                    if self.parser.is_live() {
                        let entries = self.parser.flush_pending();
                        self.feed_entries(entries).await?;
                    }
                    self.next_chunk().await?
                }
            };
            match chunk {
                Some(Ok(chunk)) => {
                    let EntryBatch { entries, notices, .. } = self.parser.push(chunk);
                    for notice in notices {
                        self.context.emit(Event::Notice(notice)).await;
                    }
                    self.feed_entries(entries).await?;
                }
                Some(Err(error)) => return Err(FeedError::Unreadable(error)),
                None => return Ok(()),
            }
        }
    }

    async fn next_chunk(&mut self) -> Result<Option<Result<InputChunk, ReadError>>, FeedError> {
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
            self.pass_over_other_shards(entry.index()).await;
            match (entry, stopped) {
                (Entry::Target(target), None) => stopped = self.claim(target).await?,
                (Entry::Target(target), Some(cause)) => self.emit_cancelled(target, cause).await,
                (Entry::Invalid(invalid), _) => {
                    let turn = self.context.queue.wait_for_turn().await;
                    stopped = stopped.or(turn.err());
                    let record = Record::invalid(invalid);
                    self.context.queue.record_invalid(&record);
                    self.context.emit_record(record, None, None).await;
                }
            }
        }
        stopped.map_or(Ok(()), |_| Err(FeedError::Cancelled))
    }

    /// Reports which entries between the last one and that of this index are not in the shard of the run.
    async fn pass_over_other_shards(&mut self, index: u64) {
        let passed = self.read_up_to + 1..index;
        self.read_up_to = index;
        if !passed.is_empty() {
            self.context.emit(Event::OtherShards(passed)).await;
        }
    }

    /// Claims a target's name and adds it to the queue or the spill. Returns the cause if the run is stopped first.
    async fn claim(&self, target: Target) -> Result<Option<StopCause>, FeedError> {
        let queue = &self.context.queue;
        let ClaimResult { mut claim, undigested } = self.context.store.claim(&target);
        if let Some(file) = undigested {
            self.add_digests(file, &mut claim).await;
        }
        let place = match claim {
            Claim::Fetch(place) => place,
            Claim::Settled(name, settled) => {
                return Ok(self.settle_without_request(target, name, settled).await);
            }
        };
        let spilled = || self.context.spill().has_room();
        match queue.wait_for_admission(target.url(), spilled).await {
            Ok(Admission::Queue) => queue.admit(target, place),
            Ok(Admission::Spill) => {
                let notice = {
                    let mut spill = self.context.spill();
                    spill.put(&target, place.as_ref()).map_err(FeedError::Spill)?;
                    spill.take_notice()
                };
                queue.defer(&target);
                if let Some(notice) = notice {
                    self.context.emit(Event::Notice(notice)).await;
                }
            }
            Err(cause) => {
                let job = QueuedJob::first(target, place, Instant::now());
                self.context.emit_cancelled(&job, cause).await;
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// Computes digests of the saved file that a claim is about, on a thread where reading it holds up no transfer.
    /// Targets further on in the list wait: files are read one after the other.
    async fn add_digests(&self, file: UndigestedFile, claim: &mut Claim) {
        let (store, cancel) = (self.context.store.clone(), self.context.cancel.clone());
        let compute = move || store.add_digests(file, || cancel.cause().is_some());
        let added = tokio::task::spawn_blocking(compute).await;
        match added.unwrap_or_else(|error| resume_unwind(error.into_panic())) {
            Ok(Some(digest)) => claim.set_digest(&digest),
            Ok(None) => {}
            Err(failure) => {
                let notice = format!("cannot compute the digest of a saved file: {failure}");
                self.context.emit(Event::Notice(notice)).await;
            }
        }
    }

    /// Emits the record of a target for which no request is made, in its turn.
    async fn settle_without_request(
        &self,
        target: Target,
        name: Arc<str>,
        settled: SkipReason,
    ) -> Option<StopCause> {
        let queue = &self.context.queue;
        let turn = queue.wait_for_turn().await;
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
        match self.context.store.claim(&target).claim {
            Claim::Fetch(place) => {
                self.context
                    .emit_cancelled(&QueuedJob::first(target, place, Instant::now()), cause)
                    .await;
            }
            Claim::Settled(name, settled) => {
                let _ = self.settle_without_request(target, name, settled).await;
            }
        }
    }
}

//! The feeder: inputs -> entries -> queue, as fast as the queue has room. Nothing is read that is far from its turn.

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

use super::queue::Spot;
use super::row::unasked;
use super::worker::Floor;
use crate::list::{self, Appetite, Numbering, Parser};
use crate::record::{Cause, Entry, Event, Job, Record, Target};
use crate::source::{Input, Pace, ReadError};
use crate::store::{Claim, Settled};

/// Bytes read at once: a bound on how far reading runs ahead of the queue.
const CHUNK: usize = 16 * 1024;

/// How long a live input must be silent before an entry is begun that option lines could still follow.
const QUIET: Duration = Duration::from_millis(100);

/// How feeding ended.
#[derive(Debug)]
pub struct Fed {
    /// Whether every line of every input was read.
    pub complete: bool,
    /// What could not be read.
    pub unreadable: Option<ReadError>,
}

/// A piece of the inputs, as the reading thread hands it over.
enum Piece {
    Argument(String),
    Opens(Arc<str>, Pace, Enough),
    Bytes(Vec<u8>),
    Ends,
    Breaks(ReadError),
}

/// Set once no more of a list is wanted, because it is none.
type Enough = Arc<AtomicBool>;

/// Feeds the queue from the inputs, in their order, and closes it.
///
/// # Errors
/// If a target cannot be put aside; an input that cannot be read is told by the result.
pub async fn feed(inputs: Vec<Input>, floor: &Floor) -> io::Result<Fed> {
    let (send, pieces) = channel(1);
    // Not waited for: it may sit in a read that never returns.
    thread::spawn(move || read_all(inputs, &send));
    let mut feeder = Feeder { floor, numbering: Numbering::default(), pieces };
    let fed = feeder.run().await;
    if fed.is_ok() {
        let entries = feeder.numbering.given();
        floor.tell(Event::ListRead { entries }).await;
    }
    floor.queue.close();
    let complete = fed.is_ok();
    match fed {
        Err(Halt::Broken(error)) => {
            floor.stop.drain(Cause::Fatal);
            Err(error)
        }
        Err(Halt::Unreadable(error)) => Ok(Fed { complete, unreadable: Some(error) }),
        Ok(()) | Err(Halt::Stopped) => Ok(Fed { complete, unreadable: None }),
    }
}

/// Brings targets back that were put aside, whenever their host has room, as long as it is polled. Where they cannot be
/// read, the run is stopped and `broken` tells why.
pub async fn bring_back(floor: &Floor, broken: &Cell<Option<io::Error>>) -> Infallible {
    loop {
        let host = floor.queue.hungry().await;
        let targets = floor.spill().take(&host);
        match targets {
            Ok(targets) => floor.queue.bring_back(targets),
            Err(error) => {
                broken.set(Some(error));
                floor.stop.cut(Cause::Fatal);
                return pending().await;
            }
        }
    }
}

/// Why feeding ended before the inputs did.
enum Halt {
    Stopped,
    Unreadable(ReadError),
    Broken(io::Error),
}

struct Feeder<'a> {
    floor: &'a Floor,
    numbering: Numbering,
    pieces: Receiver<Piece>,
}

impl Feeder<'_> {
    async fn run(&mut self) -> Result<(), Halt> {
        while let Some(piece) = self.piece().await? {
            match piece {
                Piece::Argument(text) => {
                    let entry = list::argument(&text, &mut self.numbering);
                    self.bring(vec![entry]).await?;
                }
                Piece::Opens(name, pace, enough) => self.list(name, pace, &enough).await?,
                Piece::Breaks(error) => return Err(Halt::Unreadable(error)),
                Piece::Bytes(_) | Piece::Ends => unreachable!("a list opens before its bytes come"),
            }
        }
        Ok(())
    }

    /// Feeds one list to its end.
    async fn list(&mut self, name: Arc<str>, pace: Pace, enough: &AtomicBool) -> Result<(), Halt> {
        let mut parser = Parser::new(name);
        loop {
            let piece = match pace {
                Pace::AtRest => self.piece().await?,
                Pace::Live => match timeout(QUIET, self.piece()).await {
                    Ok(piece) => piece?,
                    Err(_) => {
                        let mut entries = Vec::new();
                        parser.flush_pending(&mut self.numbering, |entry| entries.push(entry));
                        self.bring(entries).await?;
                        self.piece().await?
                    }
                },
            };
            let mut entries = Vec::new();
            let numbering = &mut self.numbering;
            match piece {
                Some(Piece::Bytes(bytes)) => {
                    let appetite = parser.feed(&bytes, numbering, |entry| entries.push(entry));
                    enough.store(appetite == Appetite::Enough, Relaxed);
                    self.bring(entries).await?;
                }
                Some(Piece::Breaks(error)) => return Err(Halt::Unreadable(error)),
                _ => {
                    parser.finish(numbering, |entry| entries.push(entry));
                    return self.bring(entries).await;
                }
            }
        }
    }

    async fn piece(&mut self) -> Result<Option<Piece>, Halt> {
        tokio::select! {
            biased;
            _ = self.floor.stop.drained() => Err(Halt::Stopped),
            piece = self.pieces.recv() => Ok(piece),
        }
    }

    /// Brings entries to the queue. Those that the run is ended before get their rows all the same: they were read.
    async fn bring(&mut self, entries: Vec<Entry>) -> Result<(), Halt> {
        let mut stopped = None;
        for entry in entries {
            match (entry, stopped) {
                (Entry::Target(target), None) => stopped = self.place(target).await?,
                (Entry::Target(target), Some(cause)) => self.leave(target, cause).await,
                (Entry::Invalid(invalid), _) => {
                    let turn = self.floor.queue.wait_for_turn(invalid.index).await;
                    stopped = stopped.or(turn.err());
                    self.floor.row(Record::invalid(invalid), None, None).await;
                }
            }
        }
        stopped.map_or(Ok(()), |_| Err(Halt::Stopped))
    }

    /// Brings a target to the queue or puts it aside; tells why not, if the run is ended first.
    async fn place(&self, target: Target) -> Result<Option<Cause>, Halt> {
        let queue = &self.floor.queue;
        let place = match self.floor.store.claim(&target) {
            Claim::Fetch(place) => place,
            Claim::Settled(name, settled) => return Ok(self.settle(target, name, settled).await),
        };
        let aside = || self.floor.spill().has_room();
        match queue.wait_for_spot(target.index, target.url(), aside).await {
            Ok(Spot::Queue) => queue.admit(target, place),
            Ok(Spot::Aside) => {
                let mut spill = self.floor.spill();
                spill.put(&target, place.as_ref()).map_err(Halt::Broken)?;
                queue.put_aside(target.index, target.url());
            }
            Err(cause) => {
                let job = Job::first(target, place, Instant::now());
                self.floor.leave(&job, cause).await;
                return Ok(Some(cause));
            }
        }
        Ok(None)
    }

    /// Tells the row of a target for which no request is made, in its turn.
    async fn settle(&self, target: Target, name: Arc<str>, settled: Settled) -> Option<Cause> {
        let queue = &self.floor.queue;
        let turn = queue.wait_for_turn(target.index).await;
        let record = unasked(&target, &name, settled);
        queue.told(&record);
        // Where not even a name could be found, there is none to ask for again.
        let name = Some(name).filter(|name| !name.is_empty());
        self.floor.row(record, Some(Arc::new(target)), name).await;
        turn.err()
    }

    /// Tells the row of a target that the run has ended before. It has a name all the same: whoever fetches it later
    /// is to put it where this list expects it.
    async fn leave(&self, target: Target, cause: Cause) {
        match self.floor.store.claim(&target) {
            Claim::Fetch(place) => {
                self.floor.leave(&Job::first(target, place, Instant::now()), cause).await;
            }
            Claim::Settled(name, settled) => drop(self.settle(target, name, settled).await),
        }
    }
}

/// Reads the inputs one after another, piece by piece, until nobody takes them any more.
fn read_all(inputs: Vec<Input>, send: &Sender<Piece>) {
    for input in inputs {
        let taken = match input {
            Input::Argument(text) => send.blocking_send(Piece::Argument(text)).ok(),
            Input::List { name, bytes, pace } => read(name, bytes, pace, send),
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
    pace: Pace,
    send: &Sender<Piece>,
) -> Option<()> {
    let enough = Enough::default();
    send.blocking_send(Piece::Opens(Arc::clone(&name), pace, Arc::clone(&enough))).ok()?;
    let mut buffer = [0; CHUNK];
    loop {
        if enough.load(Relaxed) {
            return send.blocking_send(Piece::Ends).ok();
        }
        let piece = match bytes.read(&mut buffer) {
            Ok(0) => return send.blocking_send(Piece::Ends).ok(),
            Ok(length) => Piece::Bytes(buffer[..length].to_vec()),
            Err(reason) if reason.kind() == io::ErrorKind::Interrupted => continue,
            Err(reason) => {
                let _ = send.blocking_send(Piece::Breaks(ReadError { name, reason }));
                return None;
            }
        };
        send.blocking_send(piece).ok()?;
    }
}

//! The feeder: inputs -> entries -> queue, as fast as the queue has room. Nothing is read that is far from its turn.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::queue::undone;
use super::worker::Floor;
use crate::list::{self, Appetite, Numbering, Parser};
use crate::record::{Entry, Event, Job, Record};

/// Bytes read at once: a bound on how far reading runs ahead of the queue.
const CHUNK: usize = 16 * 1024;

/// How long a live input must be silent before an entry is begun that option lines could still follow.
const QUIET: Duration = Duration::from_millis(100);

/// Where targets are read from.
pub enum Input {
    /// A URL given on the command line.
    Argument(String),
    /// The text of a list.
    List {
        /// What the list is called in reports.
        name: Arc<str>,
        /// Its bytes.
        bytes: Box<dyn Read + Send>,
        /// How they come.
        pace: Pace,
    },
}

/// How the bytes of a list come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All are there, as in a file.
    AtRest,
    /// Somebody may be writing them as we read, as in a pipe.
    Live,
}

/// A list that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name}: {reason}")]
pub struct ReadError {
    name: Arc<str>,
    reason: io::Error,
}

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
pub async fn feed(inputs: Vec<Input>, floor: &Floor) -> Fed {
    let (send, pieces) = channel(1);
    // Not waited for: it may sit in a read that never returns.
    thread::spawn(move || read_all(inputs, &send));
    let mut feeder = Feeder { floor, numbering: Numbering::default(), pieces };
    let fed = match feeder.run().await {
        Ok(()) => Fed { complete: true, unreadable: None },
        Err(Halt::Stopped) => Fed { complete: false, unreadable: None },
        Err(Halt::Unreadable(error)) => Fed { complete: false, unreadable: Some(error) },
    };
    if fed.complete {
        let entries = feeder.numbering.given();
        floor.tell(Event::ListRead { entries }).await;
    }
    floor.queue.close();
    fed
}

/// Why feeding ended before the inputs did.
enum Halt {
    Stopped,
    Unreadable(ReadError),
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
            if stopped.is_none() {
                stopped = self.floor.queue.wait_for_room(index_of(&entry)).await.err();
            }
            match (entry, stopped) {
                (Entry::Target(target), None) => self.floor.queue.admit(target),
                (Entry::Target(target), Some(cause)) => {
                    self.row(undone(&Job::first(target, Instant::now()), cause)).await;
                }
                (Entry::Invalid(invalid), _) => self.row(Record::invalid(invalid)).await,
            }
        }
        stopped.map_or(Ok(()), |_| Err(Halt::Stopped))
    }

    async fn row(&self, record: Record) {
        self.floor.tell(Event::Finished(Box::new(record))).await;
    }
}

fn index_of(entry: &Entry) -> u64 {
    match entry {
        Entry::Target(target) => target.index,
        Entry::Invalid(invalid) => invalid.index,
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

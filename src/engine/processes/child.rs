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

use super::line::{Done, Down, Errand, Opening, Up, line};
use crate::process::usage;
use crate::record::{Cause, Failure, Slot};
use crate::store::{Begin, Bookkeeper, Store};
use crate::transfer::{Client, Kit, Parent, Resolver};

/// How often it is told how a request goes.
const TICK: Duration = Duration::from_millis(100);

/// Makes transfers for the process at the other end of the standard streams.
///
/// # Errors
/// If the machine does not let it begin.
pub fn sit() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _not_meant_for_us = requests_to_end()?;
        let mut stdin = BufReader::new(io::stdin());
        let mut first = String::new();
        if stdin.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let opening: Opening = serde_json::from_str(&first).map_err(|_| {
            io::Error::other("__seat is how fetch starts its own children; use --mode processes")
        })?;
        let (ears, upstairs) = ears();
        thread::Builder::new().name("parent".into()).spawn(|| listen(stdin, ears))?;
        serve(opening, upstairs).await
    })
}

/// Ctrl-C is sent to all processes of a terminal, and who ends a job or a service asks all of its processes to end; it is
/// the parent that decides what follows. When it has gone its children leave in any case.
#[cfg(unix)]
fn requests_to_end() -> io::Result<[tokio::signal::unix::Signal; 2]> {
    use tokio::signal::unix::{SignalKind, signal};

    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}

#[cfg(not(unix))]
fn requests_to_end() -> io::Result<()> {
    Ok(())
}

/// What is heard, sorted by who waits for it.
struct Ears {
    errands: UnboundedSender<Box<Errand>>,
    turns: UnboundedSender<(u64, u64)>,
    answers: mpsc::Sender<Answer>,
    cut: watch::Sender<Option<Cause>>,
}

/// What somebody holds everything up for.
#[derive(Debug)]
enum Answer {
    MayHave(bool),
    Noted(Result<(), Failure>),
}

/// Where it comes out.
struct Mind {
    errands: UnboundedReceiver<Box<Errand>>,
    cut: watch::Receiver<Option<Cause>>,
    upstairs: Arc<Upstairs>,
}

/// The parent as it is seen from below.
#[derive(Debug)]
struct Upstairs {
    answers: Mutex<mpsc::Receiver<Answer>>,
    turns: tokio::sync::Mutex<UnboundedReceiver<(u64, u64)>>,
    asked: AtomicU64,
}

fn ears() -> (Ears, Mind) {
    let (errands, next) = unbounded_channel();
    let (turns, turned) = unbounded_channel();
    let (answers, answered) = mpsc::channel();
    let (cut, is_cut) = watch::channel(None);
    let upstairs = Arc::new(Upstairs {
        answers: Mutex::new(answered),
        turns: turned.into(),
        asked: AtomicU64::new(0),
    });
    (Ears { errands, turns, answers, cut }, Mind { errands: next, cut: is_cut, upstairs })
}

/// Hears the parent. When it has gone nothing is of use any more, a transfer under way neither.
fn listen(mut stdin: BufReader<Stdin>, ears: Ears) {
    let mut text = String::new();
    while let Ok(1..) = stdin.read_line(&mut text) {
        let Ok(word) = serde_json::from_str(&text) else { break };
        ears.hear(word);
        text.clear();
    }
    process::exit(0);
}

impl Ears {
    /// Where nobody waits any more, nobody is told.
    fn hear(&self, word: Down) {
        match word {
            Down::Errand(errand) => {
                // What was to end before may have ended by itself.
                self.cut.send_replace(None);
                drop(self.errands.send(errand));
            }
            Down::Cut(cause) => drop(self.cut.send(Some(cause))),
            Down::Turn { number, booked } => drop(self.turns.send((number, booked))),
            Down::MayHave(may) => drop(self.answers.send(Answer::MayHave(may))),
            Down::Noted(noted) => drop(self.answers.send(Answer::Noted(noted))),
        }
    }
}

async fn serve(opening: Opening, mut mind: Mind) -> io::Result<()> {
    let (kit, client) = match open(opening, &mind.upstairs) {
        Ok(opened) => opened,
        Err(reason) => {
            say(&Up::Ready(Err(reason)));
            return Ok(());
        }
    };
    say(&Up::Ready(Ok(())));
    let mut before = kit.tally();
    while let Some(errand) = mind.errands.recv().await {
        kit.want(errand.wanted);
        let slot = Slot::default();
        let cut = cut_short(mind.cut.clone());
        let transfer = client.transfer(&errand.job, 1, &slot, cut);
        let attempt = watched(transfer, &slot).await;
        let now = kit.tally();
        let (tally, peak_memory) = (now.since(before), usage().peak_memory);
        before = now;
        say(&Up::Done(Box::new(Done { attempt, tally, peak_memory })));
        client.take_back().await;
    }
    Ok(())
}

fn open(opening: Opening, upstairs: &Arc<Upstairs>) -> Result<(Arc<Kit>, Client), String> {
    let Opening { outfit, commission } = opening;
    let store = match commission {
        None => Store::nowhere(),
        Some(commission) => {
            let parent: Arc<Upstairs> = Arc::clone(upstairs);
            Store::of_child(commission, parent).map_err(|error| error.to_string())?
        }
    };
    let resolver = |http: &_| Arc::new(Resolver::new(http, Handle::current()));
    let parent: Arc<Upstairs> = Arc::clone(upstairs);
    let kit = Arc::new(Kit::of_child(outfit, parent, resolver, store));
    let client = Client::new(Arc::clone(&kit)).map_err(|error| error.to_string())?;
    Ok((kit, client))
}

async fn cut_short(mut cut: watch::Receiver<Option<Cause>>) -> Cause {
    match cut.wait_for(Option::is_some).await.map(|cause| *cause) {
        Ok(Some(cause)) => cause,
        _ => std::future::pending().await,
    }
}

/// Tells how a transfer goes until it is done.
async fn watched<T>(transfer: impl Future<Output = T>, slot: &Slot) -> T {
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
                let bytes = slot.bytes();
                if bytes > told {
                    told = bytes;
                    say(&Up::Progress { bytes, promised: slot.promised().unwrap_or(0) });
                }
            }
        }
    }
}

/// Says something to the parent. Without one there is nothing left to do.
fn say(word: &Up) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(&line(word)).and_then(|()| stdout.flush()).is_err() {
        process::exit(0);
    }
}

impl Upstairs {
    /// Asks what everything else has to wait for, as it would for the disk.
    fn ask(&self, word: &Up) -> Answer {
        let answers = self.answers.lock().expect("no holder panics");
        say(word);
        answers.recv().unwrap_or_else(|_| process::exit(0))
    }
}

impl Parent for Upstairs {
    fn turn(&self, left: Option<u64>) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
        Box::pin(async move {
            let mut turns = self.turns.lock().await;
            let number = self.asked.fetch_add(1, Relaxed);
            say(&Up::Turn { number, left });
            // A turn that came too late for who had asked for it is nobody's.
            while let Some((turn, booked)) = turns.recv().await {
                if turn == number {
                    return booked;
                }
                self.settle(0, booked);
            }
            std::future::pending().await
        })
    }

    fn settle(&self, bytes: u64, booked: u64) {
        say(&Up::Settle { bytes, booked });
    }

    fn may_have(&self, bytes: u64) -> bool {
        matches!(self.ask(&Up::MayHave(bytes)), Answer::MayHave(true))
    }
}

impl Bookkeeper for Upstairs {
    fn note(&self, begin: &Begin, bytes: u64) -> Result<(), Failure> {
        match self.ask(&Up::Note { begin: begin.clone(), bytes }) {
            Answer::Noted(noted) => noted,
            Answer::MayHave(_) => unreachable!("one question is asked at a time"),
        }
    }
}

//! The seat of one worker: a child process, and another one when that has died.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use super::line::{Done, Down, Errand, Up};
use super::office::{Office, Process};
use crate::engine::EngineError;
use crate::record::{Attempt, Cause, Ending, Failure, Job, Phases, Purpose, Slot};
use crate::transfer::{Parent, Tally, name_of};

/// How long a child may take to write down what it has once it is told to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a worker's jobs are carried out.
#[derive(Debug)]
pub struct Seat {
    office: Arc<Office>,
    worker: usize,
    /// `None` after it has died.
    process: Option<Process>,
}

/// What is known of a transfer before it is done.
#[derive(Debug, Default)]
struct Known {
    /// Body bytes so far.
    bytes: u64,
    /// Whether its body was entered in the manifest as begun.
    noted: bool,
}

/// A reader's number, and its wait for its turn.
type Turn<'a> = (u64, Pin<Box<dyn Future<Output = u64> + Send + 'a>>);

/// How a transfer was lost.
enum Lost {
    /// The child is not there any more.
    Died,
    /// The run has ended.
    Cancelled(Cause),
}

/// Opens a seat for each of these workers: all children are started before one is waited for.
///
/// # Errors
/// If one cannot be started.
pub async fn open_all(
    office: &Arc<Office>,
    workers: impl Iterator<Item = usize> + Clone,
) -> Result<Vec<Seat>, EngineError> {
    let fault = |worker| move |reason| EngineError::Loop { worker, reason };
    let mut started = Vec::new();
    for worker in workers {
        started.push((worker, office.start().map_err(fault(worker))?));
    }
    let mut seats = Vec::new();
    for (worker, process) in started {
        let process = Some(office.settle_in(process).await.map_err(fault(worker))?);
        seats.push(Seat { office: Arc::clone(office), worker, process });
    }
    Ok(seats)
}

impl Seat {
    /// Has one attempt made at `job`. `cut` ends it early; `slot` shows how it goes.
    pub async fn transfer(
        &mut self,
        job: &Job,
        slot: &Slot,
        cut: impl Future<Output = Cause>,
    ) -> Attempt {
        let mut process = match self.process.take() {
            Some(process) => Ok(process),
            None => self.office.replacement().await,
        };
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let mut known = Known::default();
        slot.begin(&job.url);
        let carried = match &mut process {
            Ok(process) => self.carry(process, job, slot, cut, &mut known).await,
            Err(cause) => Err(Lost::Cancelled(*cause)),
        };
        slot.end();
        let (lost, process) = match (carried, process) {
            (Ok(done), process) => {
                self.process = process.ok();
                self.office.kit.count(done.tally);
                self.office.saw_peak(self.worker, done.peak_memory);
                let phases = Phases { started, started_at, ..done.attempt.phases };
                return Attempt { worker: self.worker, phases, ..done.attempt };
            }
            (Err(lost), process) => (lost, process.ok()),
        };
        let how = match process {
            Some(process) => {
                // What else it has done is not known.
                self.office.kit.count(Tally { requests: 1, ..Tally::default() });
                process.end().await
            }
            None => String::new(),
        };
        let failure = match lost {
            Lost::Died => Failure::Worker(how),
            Lost::Cancelled(cause) => Failure::Cancelled(cause),
        };
        let phases = Phases {
            started,
            started_at,
            connect: None,
            first_byte: None,
            total: started.elapsed(),
        };
        self.without_word(job, known, failure, phases)
    }

    /// The attempt of a child that has not told what came of it.
    fn without_word(&self, job: &Job, known: Known, failure: Failure, phases: Phases) -> Attempt {
        let continues = job.purpose == Purpose::Body;
        let before = job.part.as_ref().filter(|_| continues).map_or(0, |part| part.bytes);
        Attempt {
            ending: Ending::Failed(failure),
            head: None,
            bytes: 0,
            wire_bytes: known.bytes.saturating_sub(before),
            text: None,
            begun: job.begun || known.noted,
            // What it may have added is cut off before the rest is asked for.
            part: job.part.clone().filter(|_| !known.noted),
            name: None,
            digests: Vec::new(),
            claims: Vec::new(),
            phases,
            worker: self.worker,
        }
    }

    async fn carry(
        &self,
        process: &mut Process,
        job: &Job,
        slot: &Slot,
        cut: impl Future<Output = Cause>,
        known: &mut Known,
    ) -> Result<Done, Lost> {
        let kit = &self.office.kit;
        let wanted = kit.wanted().map(|wanted| wanted.about(&name_of(job))).unwrap_or_default();
        let errand = Errand { job: job.clone(), wanted };
        process.say(&Down::Errand(Box::new(errand))).await;
        let mut turn: Option<Turn<'_>> = None;
        let mut cancelled = None;
        let patience = sleep(Duration::MAX);
        tokio::pin!(cut, patience);
        loop {
            let word = tokio::select! {
                word = process.hear() => word.ok_or(Lost::Died)?,
                (number, booked) = its(&mut turn) => {
                    turn = None;
                    process.say(&Down::Turn { number, booked }).await;
                    continue;
                }
                cause = &mut cut, if cancelled.is_none() => {
                    cancelled = Some(cause);
                    patience.set(sleep(PATIENCE));
                    process.say(&Down::Cut(cause)).await;
                    continue;
                }
                () = &mut patience, if cancelled.is_some() => {
                    return Err(cancelled.map_or(Lost::Died, Lost::Cancelled));
                }
            };
            match word {
                Up::Ready(_) => return Err(Lost::Died),
                Up::Progress { bytes, promised } => {
                    slot.promise(promised);
                    slot.received(bytes.saturating_sub(known.bytes));
                    known.bytes = bytes;
                }
                Up::Turn { number, left } => turn = Some((number, kit.turn(left))),
                Up::Settle { bytes, booked } => kit.settle(bytes, booked),
                Up::MayHave(bytes) => process.say(&Down::MayHave(kit.may_have(bytes))).await,
                Up::Note { begin, bytes } => {
                    let noted = kit.store().note(job, &begin, bytes);
                    known.noted |= begin.at == 0 && job.purpose == Purpose::Body;
                    process.say(&Down::Noted(noted)).await;
                }
                Up::Done(done) => return Ok(*done),
            }
        }
    }

    /// Lets the child leave.
    pub async fn leave(self) {
        if let Some(process) = self.process {
            process.leave().await;
        }
    }
}

/// Waits for the turn of a reader, if one waits.
async fn its(turn: &mut Option<Turn<'_>>) -> (u64, u64) {
    match turn {
        Some((number, turn)) => (*number, turn.await),
        None => std::future::pending().await,
    }
}

//! The engine: targets in, events out. It opens the event loops of a strategy, feeds them, and waits until all is
//! settled. It prints nothing.

mod event_loop;
mod feed;
mod lookup;
mod processes;
mod queue;
mod row;
mod seat;
mod spill;
mod stop;
mod strategy;
mod window;
mod worker;

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

pub use processes::sit;
pub use stop::Stop;

use crate::plan::{Order, Plan, Strategy};
use crate::policy::{Hosts, Rules, Schedule, Turns, limits_of, robots, spread};
use crate::record::{Cause, Event, HostRow, Job, Slots};
use crate::source::{Input, ReadError};
use crate::transfer::{Kit, KitError};
use event_loop::Tools;
use lookup::answer_names;
use processes::Office;
use queue::Queue;
use window::Window;
use worker::Floor;

/// Targets that may wait in memory, at least; more for many workers.
const LOOK_AHEAD: usize = 2048;

/// A host that refuses everything is given at least this long, however short a wait it may ask for.
const LEAST_REST: Duration = Duration::from_secs(60);

/// How long a transfer under way may take to finish once nothing new is started.
const GRACE: Duration = Duration::from_secs(10);

/// What a run leaves behind beside its events.
#[derive(Debug)]
pub struct Finished {
    /// Whether every line of every input was read.
    pub list_complete: bool,
    /// The input that could not be read to its end.
    pub unreadable: Option<ReadError>,
    /// The hosts that were asked most, first.
    pub hosts: Vec<HostRow>,
    /// When every event loop had its client: the start of the clock.
    pub ready: Instant,
    /// From then until all was settled.
    pub elapsed: Duration,
    /// The most memory that child processes have used, each for itself, in all; bytes.
    pub peak_of_children: u64,
}

/// Why a run could not begin, or broke.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No client could be made.
    #[error(transparent)]
    Kit(#[from] KitError),
    /// The system gives no thread or event loop.
    #[error("cannot start worker {worker}: {reason}; use fewer --jobs")]
    Loop {
        /// The first worker of the loop, from 1.
        worker: usize,
        /// The system's words.
        reason: std::io::Error,
    },
    /// No child process can be started.
    #[error("cannot start a worker process: {0}")]
    Process(std::io::Error),
    /// The temporary file does not work.
    #[error("cannot put targets aside in a temporary file: {0}")]
    Aside(std::io::Error),
    /// A bug: a thread ended before its work was done.
    #[error("a thread of the program failed; this is a bug")]
    Panicked,
}

/// Runs `plan`: reads `inputs`, makes every transfer and tells `events` what happens, until all is settled or `stop`
/// says so. The clock starts when every event loop has its client.
///
/// # Errors
/// If it cannot begin, or breaks; a URL that fails, or an input that cannot be read, is no error here.
pub async fn run(
    plan: &Plan,
    inputs: Vec<Input>,
    kit: Arc<Kit>,
    slots: Arc<Slots>,
    events: Sender<Event>,
    stop: Stop,
) -> Result<Finished, EngineError> {
    let queue = queue(plan, &kit, stop.clone());
    let (store, spill) = (kit.store().clone(), Mutex::default());
    let floor = Arc::new(Floor { store, queue, spill, stop, slots, events });
    let crews = strategy::crews(plan.strategy);
    let office = match plan.strategy {
        Strategy::Processes(_) => Some(Arc::new(Office::new(&kit, &floor.stop)?)),
        _ => None,
    };
    let tools = Tools { kit: Arc::clone(&kit), office: office.clone() };
    let loops = event_loop::open_all(crews, &tools, &floor).await?;
    let ready = Instant::now();
    let broken = Cell::new(None);
    let work = async { tokio::join!(loops.join(&floor.stop), feed::feed(inputs, &floor)) };
    let (worked, fed) = tokio::select! {
        ended = work => ended,
        never = obey(&floor, plan.clocks.deadline) => match never {},
        never = answer_names(&floor, kit.resolver()) => match never {},
        never = feed::bring_back(&floor, &broken) => match never {},
    };
    let left = leave_the_rest(&floor).await;
    worked?;
    office.as_ref().and_then(|office| office.broken()).map_or(Ok(()), Err)?;
    broken.take().map_or(Ok(()), |error| Err(EngineError::Aside(error)))?;
    left?;
    let fed = fed.map_err(EngineError::Aside)?;
    Ok(Finished {
        list_complete: fed.complete,
        unreadable: fed.unreadable,
        hosts: floor.queue.table(),
        ready,
        elapsed: ready.elapsed(),
        peak_of_children: office.map_or(0, |office| office.peak_memory()),
    })
}

fn queue(plan: &Plan, kit: &Arc<Kit>, stop: Stop) -> Queue {
    let jobs = plan.strategy.jobs();
    let (manners, kit) = (plan.manners.clone(), Arc::clone(kit));
    let hosts = Hosts {
        limits: Box::new(move |url| limits_of(&manners, url)),
        name: Box::new(move |url| kit.name_needed(url)),
        robots: plan.manners.robots,
        longest_rest: plan.retry.max_retry_after.max(LEAST_REST),
    };
    let turns = match plan.strategy {
        Strategy::Sequential => Turns::ByList,
        _ => Turns::ByHost,
    };
    let gap = plan.manners.rate.map_or(Duration::ZERO, spread);
    let schedule = Schedule::new(hosts, turns, LOOK_AHEAD.max(8 * jobs), gap);
    let rules = Rules { retry: plan.retry, max_redirects: plan.http.max_redirects };
    let window = Window::new(plan.report.order == Order::List);
    let token = robots::product_token(&plan.http.user_agent).to_owned();
    Queue::new(rules, plan.damage.most, token, schedule, window, plan.bodies.split, stop)
}

/// Tells the rows of all that was read and is not done.
async fn leave_the_rest(floor: &Floor) -> Result<(), EngineError> {
    let cause = floor.stop.cause();
    for job in floor.queue.leftovers() {
        floor.leave(&job, cause.unwrap_or(Cause::Fatal)).await;
    }
    let Some(cause) = cause else { return Ok(()) };
    let aside = floor.spill().take_all().map_err(EngineError::Aside)?;
    for (target, place) in aside {
        floor.leave(&Job::first(target, place, Instant::now()), cause).await;
    }
    Ok(())
}

/// Passes on what `stop`, the deadline and the reader of the events want.
async fn obey(floor: &Floor, deadline: Option<Duration>) -> Infallible {
    let drain = async {
        let cause = floor.stop.drained().await;
        floor.queue.stopped();
        tokio::time::sleep(GRACE).await;
        floor.stop.cut(cause);
    };
    let deadline = async {
        if let Some(deadline) = deadline {
            tokio::time::sleep(deadline).await;
            floor.stop.cut(Cause::Deadline);
        }
    };
    let reader = async {
        floor.events.closed().await;
        floor.stop.cut(Cause::ReaderGone);
    };
    tokio::join!(drain, deadline, reader);
    std::future::pending().await
}

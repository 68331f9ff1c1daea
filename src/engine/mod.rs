//! The engine: targets in, events out. It opens the event loops of a strategy, feeds them, and waits until all is
//! settled. It prints nothing.

mod event_loop;
mod feeder;
mod lookup;
mod processes;
mod queue;
mod records;
mod executor;
mod spill;
mod cancel;
mod strategy;
mod in_flight;
mod worker;

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

pub use processes::run_child;
pub use cancel::CancelToken;

use crate::plan::{ReportOrder, Plan, Strategy};
use crate::policy::{RetryRules, robots};
use crate::scheduler::{HostPolicies, Scheduler, JobOrder, host_limits, interval_of};
use crate::model::{StopCause, Event, HostStats, Job, ProgressBoard};
use crate::input::{OpenInput, ReadError};
use crate::transfer::{TransferContext, ContextError};
use event_loop::LoopResources;
use lookup::resolve_hosts;
use processes::ChildPool;
use queue::Queue;
use in_flight::InFlight;
use worker::RunContext;

/// Targets that may wait in memory, at least; more for many workers.
const LOOK_AHEAD: usize = 2048;

/// A host that refuses everything is given at least this long, however short a wait it may ask for.
const LEAST_REST: Duration = Duration::from_secs(60);

/// How long a transfer under way may take to finish once nothing new is started.
const GRACE: Duration = Duration::from_secs(10);

/// What a run leaves behind beside its events.
#[derive(Debug)]
pub struct EngineResult {
    /// Whether every line of every input was read.
    pub list_complete: bool,
    /// The input that could not be read to its end.
    pub unreadable: Option<ReadError>,
    /// The hosts that were asked most, first.
    pub hosts: Vec<HostStats>,
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
    Kit(#[from] ContextError),
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
    inputs: Vec<OpenInput>,
    kit: Arc<TransferContext>,
    slots: Arc<ProgressBoard>,
    events: Sender<Event>,
    stop: CancelToken,
) -> Result<EngineResult, EngineError> {
    let queue = queue(plan, &kit, stop.clone());
    let (store, spill) = (kit.store().clone(), Mutex::default());
    let floor = Arc::new(RunContext { store, queue, spill, stop, slots, events });
    let crews = strategy::worker_ranges(plan.strategy);
    let office = match plan.strategy {
        Strategy::Processes(_) => Some(Arc::new(ChildPool::new(&kit, &floor.stop)?)),
        _ => None,
    };
    let tools = LoopResources { kit: Arc::clone(&kit), office: office.clone() };
    let loops = event_loop::open_all(crews, &tools, &floor).await?;
    let ready = Instant::now();
    let broken = Cell::new(None);
    let work = async { tokio::join!(loops.join(&floor.stop), feeder::feed(inputs, &floor)) };
    let (worked, fed) = tokio::select! {
        ended = work => ended,
        never = watch_stops(&floor, plan.timeouts.deadline) => match never {},
        never = resolve_hosts(&floor, kit.resolver()) => match never {},
        never = feeder::readmit_spilled(&floor, &broken) => match never {},
    };
    let left = cancel_remaining(&floor).await;
    worked?;
    office.as_ref().and_then(|office| office.broken()).map_or(Ok(()), Err)?;
    broken.take().map_or(Ok(()), |error| Err(EngineError::Aside(error)))?;
    left?;
    let fed = fed.map_err(EngineError::Aside)?;
    Ok(EngineResult {
        list_complete: fed.complete,
        unreadable: fed.unreadable,
        hosts: floor.queue.host_stats(),
        ready,
        elapsed: ready.elapsed(),
        peak_of_children: office.map_or(0, |office| office.peak_memory()),
    })
}

fn queue(plan: &Plan, kit: &Arc<TransferContext>, stop: CancelToken) -> Queue {
    let jobs = plan.strategy.jobs();
    let (manners, kit) = (plan.host_limits.clone(), Arc::clone(kit));
    let hosts = HostPolicies {
        limits: Box::new(move |url| host_limits(&manners, url)),
        name: Box::new(move |url| kit.name_needed(url)),
        robots: plan.host_limits.robots,
        longest_rest: plan.retry.max_retry_after.max(LEAST_REST),
    };
    let turns = match plan.strategy {
        Strategy::Sequential => JobOrder::ListOrder,
        _ => JobOrder::RoundRobinByHost,
    };
    let gap = plan.host_limits.rate.map_or(Duration::ZERO, interval_of);
    let schedule = Scheduler::new(hosts, turns, LOOK_AHEAD.max(8 * jobs), gap);
    let rules = RetryRules { retry: plan.retry, max_redirects: plan.http.max_redirects };
    let window = InFlight::new(plan.report.order == ReportOrder::List);
    let token = robots::product_token(&plan.http.user_agent).to_owned();
    Queue::new(rules, plan.failure_limits.most, token, schedule, window, plan.bodies.split, stop)
}

/// Tells the rows of all that was read and is not done.
async fn cancel_remaining(floor: &RunContext) -> Result<(), EngineError> {
    let cause = floor.stop.cause();
    for job in floor.queue.take_remaining() {
        floor.emit_cancelled(&job, cause.unwrap_or(StopCause::Fatal)).await;
    }
    let Some(cause) = cause else { return Ok(()) };
    let aside = floor.spill().take_all().map_err(EngineError::Aside)?;
    for (target, place) in aside {
        floor.emit_cancelled(&Job::first(target, place, Instant::now()), cause).await;
    }
    Ok(())
}

/// Passes on what `stop`, the deadline and the reader of the events want.
async fn watch_stops(floor: &RunContext, deadline: Option<Duration>) -> Infallible {
    let drain = async {
        let cause = floor.stop.draining().await;
        floor.queue.wake_all();
        tokio::time::sleep(GRACE).await;
        floor.stop.abort(cause);
    };
    let deadline = async {
        if let Some(deadline) = deadline {
            tokio::time::sleep(deadline).await;
            floor.stop.abort(StopCause::Deadline);
        }
    };
    let reader = async {
        floor.events.closed().await;
        floor.stop.abort(StopCause::ReaderGone);
    };
    tokio::join!(drain, deadline, reader);
    std::future::pending().await
}

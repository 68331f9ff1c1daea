//! The engine: inputs in, events out. It opens the event loops of a strategy, feeds them, and waits until every target is
//! settled. It prints nothing.

mod cancel;
mod cookies;
mod error;
mod event_channel;
mod event_loop;
mod executor;
mod failure_limits;
mod feeder;
mod in_flight;
mod processes;
mod queue;
mod records;
mod spill;
mod strategy;
mod worker;

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

pub use cancel::CancelToken;
pub(crate) use cookies::RunCookies;
pub(crate) use error::EngineError;
pub(crate) use event_channel::{EventReceiver, EventSender, event_channel};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use processes::fuzzing;
pub(crate) use processes::run_child;

use crate::input::{OpenInput, ReadError};
use crate::model::{Event, HostStats, ProgressBoard, QueuedJob, StopCause};
use crate::plan::{Plan, ReportOrder, Strategy, Timeouts};
use crate::policy::suspension::was_suspended;
use crate::policy::{RetryRules, robots};
use crate::scheduler::{
    HostPolicies, JobOrder, NameLookup, QueueCapacity, Scheduler, host_limits, interval_of,
};
use crate::sync::ByteBudget;
use crate::transfer::{Resolver, TransferContext};
use event_loop::LoopResources;
use failure_limits::FailureCounter;
use in_flight::InFlight;
use processes::ChildPool;
use queue::Queue;
use worker::RunContext;

/// Targets that may wait in memory; with many workers, eight per worker. Each takes more than 1 KiB: 2,048 of them do not stay
/// in the cache of a core, and cost 5 % of the time or more.
const LOOK_AHEAD: usize = 512;

/// Targets that may wait in memory if they have many hosts.
const LOOK_AHEAD_OF_MANY_HOSTS: usize = 4096;

/// Bytes of text that those may have together: a fixed number, and a number for each worker.
const LOOK_AHEAD_BYTES: (usize, usize) = (4 * 1024 * 1024, 2 * 1024);

/// Bytes of text that the jobs in progress may have together, likewise. A transfer takes about four times as many.
const STARTED_BYTES: (usize, usize) = (1024 * 1024, 8 * 1024);

/// The least time for which a host may refuse every request before its jobs fail, however small `--max-retry-after` is.
const MIN_REFUSAL: Duration = Duration::from_secs(60);

/// How often what hosts wait for is published.
const PUBLISH_WAITS: Duration = Duration::from_millis(200);

/// The result of a run beside its events.
#[derive(Debug)]
pub(crate) struct EngineResult {
    /// Whether every line of every input was read.
    pub list_complete: bool,
    /// Entries that were read, with those of other shards.
    pub listed: u64,
    /// The input that could not be read to its end.
    pub unreadable: Option<ReadError>,
    /// Host statistics, sorted by number of requests, descending.
    pub hosts: Vec<HostStats>,
    /// When every event loop had its executors: the start of the clock.
    pub ready: Instant,
    /// From then until every target was settled.
    pub elapsed: Duration,
    /// The sum of the peak memory of all child processes, in bytes.
    pub peak_of_children: u64,
}

/// Runs `plan`: reads `inputs`, makes every transfer and sends `events`, until every target is settled or `cancel` stops
/// the run. `cookies` are sent, and those that replies set are added to them. The clock starts when every event loop has its
/// executors.
///
/// # Errors
/// If it cannot start, or breaks off; a URL that fails, or an input that cannot be read, is no error here.
pub(crate) async fn run(
    plan: &Plan,
    inputs: Vec<OpenInput>,
    transfer_context: Arc<TransferContext>,
    cookies: Arc<RunCookies>,
    board: Arc<ProgressBoard>,
    events: EventSender,
    cancel: CancelToken,
) -> Result<EngineResult, EngineError> {
    let queue = queue(plan, &transfer_context, cancel.clone());
    let (store, spill) = (transfer_context.store().clone(), Mutex::default());
    let texts = ByteBudget::new(STARTED_BYTES.0 + STARTED_BYTES.1 * plan.strategy.jobs());
    let context =
        Arc::new(RunContext { store, queue, spill, cookies, cancel, board, events, texts });
    let ranges = strategy::worker_ranges(plan.strategy);
    let pool = match plan.strategy {
        Strategy::Processes(_) => {
            Some(Arc::new(ChildPool::new(&transfer_context, &context.cancel)?))
        }
        _ => None,
    };
    let resources =
        LoopResources { transfer_context: Arc::clone(&transfer_context), pool: pool.clone() };
    let loops = event_loop::open_all(ranges, &resources, &context).await?;
    let ready = Instant::now();
    let broken = Cell::new(None);
    let work = async {
        tokio::join!(loops.join(&context.cancel), feeder::feed(inputs, plan.shard, &context))
    };
    let (worked, feed_result) = tokio::select! {
        ended = work => ended,
        never = watch_stops(&context, plan.timeouts) => match never {},
        never = resolve_hosts(&context, transfer_context.resolver()) => match never {},
        never = publish_waits(&context) => match never {},
        never = feeder::readmit_spilled(&context, &broken) => match never {},
    };
    let cancelled = cancel_remaining(&context).await;
    worked?;
    pool.as_ref().and_then(|pool| pool.broken()).map_or(Ok(()), Err)?;
    broken.take().map_or(Ok(()), |error| Err(EngineError::Spill(error)))?;
    cancelled?;
    let feed_result = feed_result?;
    Ok(EngineResult {
        list_complete: feed_result.complete,
        listed: feed_result.listed,
        unreadable: feed_result.unreadable,
        hosts: context.queue.host_stats(),
        ready,
        elapsed: ready.elapsed(),
        peak_of_children: pool.map_or(0, |pool| pool.peak_memory()),
    })
}

fn queue(plan: &Plan, transfer_context: &Arc<TransferContext>, cancel: CancelToken) -> Queue {
    let jobs = plan.strategy.jobs();
    let (limits, transfer_context) = (plan.host_limits.clone(), Arc::clone(transfer_context));
    let policies = HostPolicies {
        limits: Box::new(move |url| host_limits(&limits, url)),
        name: Box::new(move |url| transfer_context.name_needed(url)),
        robots: plan.host_limits.robots,
        longest_rest: plan.retry.max_retry_after.max(MIN_REFUSAL),
    };
    let order = match plan.strategy {
        Strategy::Sequential => JobOrder::ListOrder,
        _ => JobOrder::RoundRobinByHost,
    };
    let bytes = LOOK_AHEAD_BYTES.0 + LOOK_AHEAD_BYTES.1 * jobs;
    let few = LOOK_AHEAD.max(8 * jobs);
    let many = LOOK_AHEAD_OF_MANY_HOSTS.max(few);
    let capacity = QueueCapacity { jobs: few, jobs_of_many_hosts: many, bytes };
    let gap = plan.host_limits.rate.map_or(Duration::ZERO, interval_of);
    let scheduler = Scheduler::new(policies, order, capacity, gap);
    let rules = RetryRules { retry: plan.retry, max_redirects: plan.http.max_redirects };
    let in_flight = InFlight::new(plan.report.order == ReportOrder::List);
    let token = robots::product_token(&plan.http.user_agent).to_owned();
    Queue::new(
        rules,
        FailureCounter::new(plan.failure_limits.most),
        token,
        scheduler,
        in_flight,
        plan.bodies.split,
        cancel,
    )
}

/// Emits a `cancelled` record for every target that was read and is not settled.
async fn cancel_remaining(context: &RunContext) -> Result<(), EngineError> {
    let cause = context.cancel.cause();
    for job in context.queue.take_remaining() {
        context.emit_cancelled(&job, cause.unwrap_or(StopCause::Fatal)).await;
    }
    let Some(cause) = cause else { return Ok(()) };
    let spilled = context.spill().take_all().map_err(EngineError::Spill)?;
    for (target, place) in spilled {
        context.emit_cancelled(&QueuedJob::first(target, place, Instant::now()), cause).await;
    }
    Ok(())
}

/// Resolves the names that the queue needs, for as long as it is polled. Lookups run beside the transfers, so that no
/// worker waits for one; the resolver bounds how many run at a time.
async fn resolve_hosts(context: &Arc<RunContext>, resolver: &Arc<Resolver>) -> Infallible {
    let mut lookups = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = lookups.join_next() => {
                if ended.is_err() {
                    // The queue would wait for the host for ever.
                    context.cancel.abort(StopCause::Fatal);
                }
            }
            names = context.queue.wait_for_lookups() => {
                for NameLookup { host, name, not_before } in names {
                    let (context, resolver) = (Arc::clone(context), Arc::clone(resolver));
                    lookups.spawn(async move {
                        let addresses = resolver.find(name, not_before).await;
                        if let Some(event) = context.queue.set_addresses(&host, addresses) {
                            context.emit(event).await;
                        }
                    });
                }
            }
        }
    }
}

/// Publishes what hosts wait for, for as long as it is polled, if anybody looks.
async fn publish_waits(context: &RunContext) -> Infallible {
    if !context.board.is_watched() {
        return std::future::pending().await;
    }
    loop {
        context.board.set_waits(context.queue.waits());
        tokio::time::sleep(PUBLISH_WAITS).await;
    }
}

/// Emits that a signal has stopped the run, if transfers are in progress.
async fn announce_stop(context: &RunContext, cause: StopCause, grace: Duration) {
    let transfers = context.board.iter().filter(|worker| worker.is_busy()).count();
    if cause.is_signal() && transfers > 0 {
        context.emit(Event::Stopping { cause, transfers, grace }).await;
    }
}

/// How often is looked whether the process was stopped while a deadline runs.
const TICK: Duration = Duration::from_secs(1);

/// How often the time of a stop is not counted: a machine that is always late has no other end.
const MAX_SUSPENSIONS: usize = 20;

/// Sleeps for `time`, in which the time that the process was stopped (Ctrl-Z) does not count.
async fn sleep_while_running(time: Duration) {
    let (mut left, mut stops) = (time, 0);
    while !left.is_zero() {
        let tick = left.min(TICK);
        let due = Instant::now() + tick;
        tokio::time::sleep_until(due.into()).await;
        let now = Instant::now();
        let is_counted = stops >= MAX_SUSPENSIONS || !was_suspended(due, now);
        stops += usize::from(!is_counted);
        let passed = if is_counted { tick + (now - due) } else { tick };
        left = left.saturating_sub(passed);
    }
}

/// Stops the run for the three reasons that come from outside the engine: a cancel token that drains is aborted after
/// the grace period; the deadline passes; or the receiver of the events is gone.
async fn watch_stops(context: &RunContext, timeouts: Timeouts) -> Infallible {
    let Timeouts { deadline, grace, .. } = timeouts;
    let drain = async {
        let cause = context.cancel.draining().await;
        context.queue.wake_all();
        tokio::join!(tokio::time::sleep(grace), announce_stop(context, cause, grace));
        context.cancel.abort(cause);
    };
    let deadline = async {
        if let Some(deadline) = deadline {
            sleep_while_running(deadline).await;
            context.cancel.abort(StopCause::Deadline);
        }
    };
    let reader = async {
        context.events.closed().await;
        context.cancel.abort(StopCause::ReaderGone);
    };
    tokio::join!(drain, deadline, reader);
    std::future::pending().await
}

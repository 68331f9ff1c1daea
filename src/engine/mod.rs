//! The engine: targets in, events out. It opens the event loops of a strategy, feeds them, and waits until all is
//! settled. It prints nothing.

mod event_loop;
mod feed;
mod queue;
mod stop;
mod strategy;
mod window;
mod worker;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

pub use feed::{Input, Pace, ReadError};
pub use stop::Stop;

use crate::plan::{Order, Plan};
use crate::policy::Rules;
use crate::record::{Cause, Event, Slots};
use crate::transfer::{Kit, KitError};
use queue::Queue;
use window::Window;
use worker::Floor;

/// How long a transfer under way may take to finish once nothing new is started.
const GRACE: Duration = Duration::from_secs(10);

/// What a run leaves behind beside its events.
#[derive(Debug)]
pub struct Finished {
    /// Whether every line of every input was read.
    pub list_complete: bool,
    /// The input that could not be read to its end.
    pub unreadable: Option<ReadError>,
    /// When every event loop had its client: the start of the clock.
    pub ready: Instant,
    /// From then until all was settled.
    pub elapsed: Duration,
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
    let rules = Rules { retry: plan.retry, max_redirects: plan.http.max_redirects };
    let window = Window::new(plan.strategy.jobs(), plan.report.order == Order::List);
    let queue = Queue::new(rules, window, stop.clone());
    let floor = Arc::new(Floor { queue, stop, slots, events });
    let crews = strategy::crews(plan.strategy);
    let loops = event_loop::open_all(crews, &kit, &floor).await?;
    let ready = Instant::now();
    let work = async { tokio::join!(loops.join(&floor.stop), feed::feed(inputs, &floor)) };
    let (worked, fed) = tokio::select! {
        ended = work => ended,
        never = obey(&floor, plan.clocks.deadline) => match never {},
    };
    for record in floor.queue.leftovers() {
        floor.tell(Event::Finished(Box::new(record))).await;
    }
    worked?;
    Ok(Finished {
        list_complete: fed.complete,
        unreadable: fed.unreadable,
        ready,
        elapsed: ready.elapsed(),
    })
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

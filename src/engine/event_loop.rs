//! An event loop: an OS thread with a current-thread runtime, a client of its own, and the workers that it carries.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::EngineError;
use super::stop::Stop;
use super::worker::{Floor, work};
use crate::record::Cause;
use crate::transfer::{Client, Kit};

/// The workers of one event loop, numbered from 1.
pub type Crew = RangeInclusive<usize>;

/// Event loops that are open.
pub struct Loops(Vec<Running>);

struct Running {
    go: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// Opens an event loop for each crew. When it returns every one has its client, and none has begun.
pub async fn open_all(
    crews: Vec<Crew>,
    kit: &Arc<Kit>,
    floor: &Arc<Floor>,
) -> Result<Loops, EngineError> {
    let mut opening = Vec::new();
    for crew in crews {
        let (ready, is_ready) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (kit, floor, worker) = (Arc::clone(kit), Arc::clone(floor), *crew.start());
        let body = move || {
            let opened = open(kit, worker);
            let (told, runtime_and_client) = match opened {
                Ok(opened) => (Ok(()), Some(opened)),
                Err(error) => (Err(error), None),
            };
            let _ = ready.send(told);
            if let Some((runtime, client)) = runtime_and_client
                && runtime.block_on(may_go).is_ok()
            {
                carry(&runtime, client, floor, crew);
                let _ = end.send(());
            }
        };
        let name = format!("worker-{worker}");
        let spawned = thread::Builder::new().name(name).spawn(body);
        spawned.map_err(|reason| EngineError::Loop { worker, reason })?;
        opening.push((is_ready, Running { go, ended }));
    }
    let mut running = Vec::new();
    for (is_ready, open) in opening {
        is_ready.await.map_err(|_| EngineError::Panicked)??;
        running.push(open);
    }
    Ok(Loops(running))
}

impl Loops {
    /// Lets them begin and waits until all have ended. When one breaks, the run is stopped, as its jobs are lost.
    pub async fn join(self, stop: &Stop) -> Result<(), EngineError> {
        let (go, ended): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|open| (open.go, open.ended)).unzip();
        for go in go {
            let _ = go.send(());
        }
        let mut result = Ok(());
        for ended in ended {
            if ended.await.is_err() {
                stop.drain(Cause::Fatal);
                result = Err(EngineError::Panicked);
            }
        }
        result
    }
}

fn open(kit: Arc<Kit>, worker: usize) -> Result<(Runtime, Client), EngineError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|reason| EngineError::Loop { worker, reason })?;
    let client = runtime.block_on(async { Client::new(kit) })?;
    Ok((runtime, client))
}

fn carry(runtime: &Runtime, client: Client, floor: Arc<Floor>, crew: Crew) {
    let client = Arc::new(client);
    runtime.block_on(async {
        let mut workers = JoinSet::new();
        for worker in crew {
            let (floor, client) = (Arc::clone(&floor), Arc::clone(&client));
            workers.spawn(async move { work(&floor, &client, worker).await });
        }
        while let Some(worker) = workers.join_next().await {
            worker.expect("a worker does not panic");
        }
    });
}

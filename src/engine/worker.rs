//! The worker: the only loop there is. Every strategy runs it; a strategy only says where.

use tokio::sync::mpsc::Sender;

use super::queue::Queue;
use super::stop::Stop;
use crate::record::{Event, Slots};
use crate::transfer::Client;

/// What all workers of a run share.
#[derive(Debug)]
pub struct Floor {
    pub queue: Queue,
    pub stop: Stop,
    pub slots: std::sync::Arc<Slots>,
    pub events: Sender<Event>,
}

impl Floor {
    /// Tells what happened; waits while the reports are behind. Where nobody listens any more, nobody is told.
    pub async fn tell(&self, event: Event) {
        let _ = self.events.send(event).await;
    }
}

/// Works until there is nothing left to do.
pub async fn work(floor: &Floor, client: &Client, worker: usize) {
    let slot = floor.slots.of(worker);
    while let Some(job) = floor.queue.next().await {
        let attempt = client.transfer(&job, worker, slot, floor.stop.cut_short()).await;
        floor.tell(floor.queue.settle(*job, attempt)).await;
    }
}

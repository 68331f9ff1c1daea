//! The channel of events from the workers to the reports: bounded in number and in bytes, so that a reader that stalls slows
//! the run, and does not fill memory.

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::Event;
use crate::sync::ByteBudget;

/// Events that may wait.
const EVENTS: usize = 512;

/// Bytes of text that they may have together. A larger event waits until it is the only one.
const BYTES: usize = 2 * 1024 * 1024;

/// An event, and its part of the bytes.
type HeldEvent = (Event, OwnedSemaphorePermit);

/// The end of the channel that events are put into.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    events: Sender<HeldEvent>,
    bytes: ByteBudget,
}

/// The end of the channel that events are taken from.
#[derive(Debug)]
pub(crate) struct EventReceiver(Receiver<HeldEvent>);

/// A channel without events.
pub(crate) fn event_channel() -> (EventSender, EventReceiver) {
    let (events, receiver) = channel(EVENTS);
    (EventSender { events, bytes: ByteBudget::new(BYTES) }, EventReceiver(receiver))
}

impl EventSender {
    /// Waits until there is room for the event, and adds it; without a receiver it is dropped.
    pub(super) async fn send(&self, event: Event) {
        let bytes = self.bytes.take(event.text_bytes()).await;
        let _ = self.events.send((event, bytes)).await;
    }

    /// Waits until the receiver is dropped.
    pub(super) async fn closed(&self) {
        self.events.closed().await;
    }
}

impl EventReceiver {
    /// The next event, if there is one.
    ///
    /// # Errors
    /// As those of the channel: empty, or without senders.
    pub(crate) fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        self.0.try_recv().map(|(event, _)| event)
    }

    /// Waits for the next event; `None` if no more can come.
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await.map(|(event, _)| event)
    }

    /// The same, blocking the thread.
    pub(crate) fn blocking_recv(&mut self) -> Option<Event> {
        self.0.blocking_recv().map(|(event, _)| event)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn large_events_wait_for_their_reader_before_there_are_many() {
        let (sender, mut receiver) = event_channel();
        let large = || Event::Notice("x".repeat(BYTES / 4));
        for _ in 0..4 {
            sender.send(large()).await;
        }
        tokio::select! {
            biased;
            () = sender.send(large()) => panic!("the bytes of four events are all that may wait"),
            () = ready(()) => {}
        }
        assert!(receiver.recv().await.is_some());
        sender.send(large()).await;
        for _ in 0..4 {
            assert!(receiver.try_recv().is_ok());
        }
        sender.send(Event::Notice("x".repeat(2 * BYTES))).await;
        assert!(receiver.try_recv().is_ok(), "an event that is too large passes alone");
    }
}

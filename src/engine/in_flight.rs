//! The look-ahead window: how far the feeder may run ahead of the oldest unsettled entry. Pure.

use std::collections::BTreeMap;

/// Entries from the oldest unsettled one on that may be started if records are reported in list order.
const ORDERED: usize = 1024;

/// Bytes of text that those may have together; the last one may exceed that.
const ORDERED_BYTES: usize = 512 * 1024;

/// The entries that are started and not settled.
#[derive(Debug)]
pub(super) struct InFlight {
    count: u64,
    /// The window; `None` if the order does not matter.
    window: Option<OrderedWindow>,
}

/// The entries from the oldest unsettled one on: the records of those that are settled wait for those before them.
#[derive(Debug, Default)]
struct OrderedWindow {
    /// By index, the bytes of their texts, and whether they are settled.
    entries: BTreeMap<u64, (usize, bool)>,
    bytes: usize,
}

impl OrderedWindow {
    fn has_room(&self) -> bool {
        self.entries.len() < ORDERED && self.bytes < ORDERED_BYTES
    }

    fn insert(&mut self, index: u64, bytes: usize, is_settled: bool) {
        self.entries.insert(index, (bytes, is_settled));
        self.bytes += bytes;
    }

    /// The record takes the place of the target.
    fn settle(&mut self, index: u64, bytes: usize) {
        if let Some(entry) = self.entries.get_mut(&index) {
            self.bytes = self.bytes - entry.0 + bytes;
            *entry = (bytes, true);
        }
    }

    /// Forgets the settled entries that have no unsettled one before them.
    fn advance(&mut self) {
        while let Some(oldest) = self.entries.first_entry()
            && oldest.get().1
        {
            self.bytes -= oldest.remove().0;
        }
    }
}

impl InFlight {
    /// An empty window; `in_list_order` bounds the number of entries from the oldest unsettled one on.
    pub(super) fn new(in_list_order: bool) -> Self {
        Self { count: 0, window: in_list_order.then(OrderedWindow::default) }
    }

    /// Whether the next entry may be started.
    pub(super) fn has_room(&self) -> bool {
        self.window.as_ref().is_none_or(OrderedWindow::has_room)
    }

    /// Adds an entry that is started, whose texts have this many bytes.
    pub(super) fn add(&mut self, index: u64, bytes: usize) {
        self.count += 1;
        if let Some(window) = &mut self.window {
            window.insert(index, bytes, false);
        }
    }

    /// Removes an entry that is settled, whose record has this many bytes.
    pub(super) fn remove(&mut self, index: u64, bytes: usize) {
        self.count -= 1;
        if let Some(window) = &mut self.window {
            window.settle(index, bytes);
            window.advance();
        }
    }

    /// Notes an entry that was settled without being started, whose record has this many bytes.
    pub(super) fn pass(&mut self, index: u64, bytes: usize) {
        if let Some(window) = &mut self.window {
            window.insert(index, bytes, true);
            window.advance();
        }
    }

    /// Whether every started entry is settled.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_list_order_the_oldest_entry_holds_the_window_in_place() {
        let mut in_flight = InFlight::new(true);
        // Every third entry of the list is in the shard of the run.
        let index = |place: usize| 3 * place as u64;
        (1..ORDERED).for_each(|place| in_flight.add(index(place), 1));
        in_flight.remove(index(2), 1);
        assert!(in_flight.has_room());
        in_flight.pass(index(ORDERED), 1);
        assert!(!in_flight.has_room());
        in_flight.remove(index(1), 1);
        assert!(in_flight.has_room(), "the first two are settled");
        (1..=2).for_each(|place| in_flight.add(index(ORDERED + place), 1));
        assert!(!in_flight.has_room());
    }

    #[test]
    fn in_list_order_the_bytes_of_what_waits_for_the_oldest_entry_fill_the_window() {
        let mut in_flight = InFlight::new(true);
        in_flight.add(1, 10);
        in_flight.pass(2, ORDERED_BYTES / 2);
        in_flight.add(3, ORDERED_BYTES / 2 - 11);
        assert!(in_flight.has_room());
        in_flight.add(4, 1);
        assert!(!in_flight.has_room());
        in_flight.remove(3, ORDERED_BYTES / 2 - 11);
        assert!(!in_flight.has_room(), "its record waits for the first");
        in_flight.remove(1, 10);
        assert!(in_flight.has_room());
        in_flight.remove(4, 1);
        assert!(in_flight.is_empty() && in_flight.has_room());
    }

    #[test]
    fn in_order_of_completion_nothing_holds_it() {
        let mut in_flight = InFlight::new(false);
        in_flight.add(1, usize::MAX);
        assert!(in_flight.has_room());
        assert!(!in_flight.is_empty());
        in_flight.remove(1, 1);
        assert!(in_flight.is_empty());
    }
}

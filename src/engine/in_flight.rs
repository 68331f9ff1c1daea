//! The look-ahead window: how far the feeder may run ahead of the oldest unsettled entry. Pure.

use std::collections::BTreeSet;

/// Entries past the oldest unsettled one that may be started if records are reported in list order.
const ORDERED: u64 = 1024;

/// The entries that are started and not settled.
#[derive(Debug)]
pub(super) struct InFlight {
    count: u64,
    /// Their indices; `None` if the order does not matter.
    unsettled: Option<BTreeSet<u64>>,
}

impl InFlight {
    /// An empty window; `in_list_order` bounds the distance between the oldest and the newest entry.
    pub(super) fn new(in_list_order: bool) -> Self {
        Self { count: 0, unsettled: in_list_order.then(BTreeSet::new) }
    }

    /// Whether the entry of this index may be started.
    pub(super) fn has_room(&self, index: u64) -> bool {
        let oldest = self.unsettled.as_ref().and_then(|unsettled| unsettled.first());
        oldest.is_none_or(|oldest| index < oldest + ORDERED)
    }

    /// Adds an entry that is started.
    pub(super) fn add(&mut self, index: u64) {
        self.count += 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.insert(index);
        }
    }

    /// Removes an entry that is settled.
    pub(super) fn remove(&mut self, index: u64) {
        self.count -= 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.remove(&index);
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
        (1..=3).for_each(|index| in_flight.add(index));
        in_flight.remove(2);
        assert!(in_flight.has_room(ORDERED));
        assert!(!in_flight.has_room(ORDERED + 1));
        in_flight.remove(1);
        assert!(in_flight.has_room(ORDERED + 2));
        assert!(!in_flight.has_room(ORDERED + 3));
    }

    #[test]
    fn in_order_of_completion_nothing_holds_it() {
        let mut in_flight = InFlight::new(false);
        in_flight.add(1);
        assert!(in_flight.has_room(u64::MAX));
        assert!(!in_flight.is_empty());
        in_flight.remove(1);
        assert!(in_flight.is_empty());
    }
}

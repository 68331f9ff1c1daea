//! How far the feeder may run ahead of what is settled. Pure.

use std::collections::BTreeSet;

/// How many entries past the oldest unsettled one may be begun when rows are wanted in list order.
const ORDERED: u64 = 1024;

/// The entries that are under way: begun and not settled.
#[derive(Debug)]
pub struct InFlight {
    begun: u64,
    /// The entries by index, where their order matters.
    unsettled: Option<BTreeSet<u64>>,
}

impl InFlight {
    /// A window; `in_list_order` keeps the newest entry near the oldest one.
    pub fn new(in_list_order: bool) -> Self {
        Self { begun: 0, unsettled: in_list_order.then(BTreeSet::new) }
    }

    /// Whether the entry of this index may be begun.
    pub fn has_room(&self, index: u64) -> bool {
        let oldest = self.unsettled.as_ref().and_then(|unsettled| unsettled.first());
        oldest.is_none_or(|oldest| index < oldest + ORDERED)
    }

    /// An entry is begun.
    pub fn add(&mut self, index: u64) {
        self.begun += 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.insert(index);
        }
    }

    /// An entry is settled.
    pub fn remove(&mut self, index: u64) {
        self.begun -= 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.remove(&index);
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.begun == 0
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

//! How far the feeder may run ahead of what is settled. Pure.

use std::collections::BTreeSet;

/// How many entries past the oldest unsettled one may be begun when rows are wanted in list order.
const ORDERED: u64 = 1024;

/// Entries that may wait in the queue, beyond one for each worker.
const LOOK_AHEAD: usize = 1024;

/// The entries that are under way: admitted and not settled.
#[derive(Debug)]
pub struct Window {
    room: usize,
    entered: usize,
    /// The entries by index, where their order matters.
    unsettled: Option<BTreeSet<u64>>,
}

impl Window {
    /// A window for so many workers; `in_list_order` also keeps the newest entry near the oldest one.
    pub fn new(workers: usize, in_list_order: bool) -> Self {
        let unsettled = in_list_order.then(BTreeSet::new);
        Self { room: LOOK_AHEAD + workers, entered: 0, unsettled }
    }

    /// Whether the entry of this index may be begun.
    pub fn has_room(&self, index: u64) -> bool {
        let oldest = self.unsettled.as_ref().and_then(|unsettled| unsettled.first());
        self.entered < self.room && oldest.is_none_or(|oldest| index < oldest + ORDERED)
    }

    /// An entry is admitted.
    pub fn enter(&mut self, index: u64) {
        self.entered += 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.insert(index);
        }
    }

    /// An entry is settled.
    pub fn leave(&mut self, index: u64) {
        self.entered -= 1;
        if let Some(unsettled) = &mut self.unsettled {
            unsettled.remove(&index);
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.entered == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_when_it_is_full_and_opens_with_each_that_leaves() {
        let mut window = Window::new(1, false);
        let full = 1 + LOOK_AHEAD as u64;
        (1..=full).for_each(|index| window.enter(index));
        assert!(!window.has_room(full + 1));
        window.leave(full);
        assert!(window.has_room(full + 1));
    }

    #[test]
    fn in_list_order_the_oldest_entry_holds_the_window_in_place() {
        let mut window = Window::new(1, true);
        (1..=3).for_each(|index| window.enter(index));
        window.leave(2);
        assert!(window.has_room(ORDERED));
        assert!(!window.has_room(ORDERED + 1));
        window.leave(1);
        assert!(window.has_room(ORDERED + 2));
        assert!(!window.has_room(ORDERED + 3));
    }
}

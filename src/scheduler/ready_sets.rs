//! Which hosts are ready for what: ordered sets of slots and timers, so that the scheduler finds the next job, alarm or
//! unused host without looking at all hosts. A slot is the index of a host's queue in the scheduler. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Instant;

use super::host_queue::RetentionReason;
use crate::model::QueuedJob;

/// The sets that a slot may be in. Each holds exactly the slots that meet its condition as of their last `update`, which
/// the scheduler calls after every change to a queue and when its alarm is due.
#[derive(Debug, Default)]
pub(super) struct ReadySets {
    /// What the sets hold of each slot: an entry is removed by the key it was added with.
    entries: Vec<SlotEntry>,
    /// Slots whose next job may start now, by rank. Disjoint from `failing`.
    startable: BTreeSet<(u64, usize)>,
    /// Slots whose next job must fail without a request, as their host is given up.
    failing: BTreeSet<usize>,
    /// Slots with spilled targets whose queues are at most half full.
    refillable: BTreeSet<usize>,
    /// Slots without jobs whose host has nothing to remember, the one longest unused first. They may be forgotten.
    idle: BTreeSet<(u64, usize)>,
    /// Slots without jobs whose host has a gap, a wait or a failure to remember, the one longest unused first. They are
    /// forgotten only if there are too many of them. Disjoint from `idle`.
    resting: BTreeSet<(u64, usize)>,
    /// Slots with work whose host cannot be reached at present.
    unreachable: BTreeSet<usize>,
    /// The number of slots with work whose host is not among them.
    reachable: usize,
    /// When a slot has to be updated though nothing happens to it. A changed alarm is added and the old one left in
    /// place: an alarm counts only if it is the one of the slot's entry.
    alarms: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Increases with each rank and each turn given, so that both are first come, first served.
    tickets: u64,
}

/// The keys of a slot in the sets.
#[derive(Debug, Clone, Copy, Default)]
struct SlotEntry {
    /// Its rank in `startable`.
    rank: Option<u64>,
    /// Its turn in `idle` or `resting`.
    unused_since: Option<u64>,
    /// Whether it counts as `reachable`.
    is_reachable: bool,
    alarm: Option<Instant>,
}

/// The order of a slot among those that may start.
#[derive(Debug, Clone, Copy)]
pub(super) enum StartRank {
    /// Behind all others: hosts take turns.
    Last,
    /// By the position of its next job in the list.
    ListIndex(u64),
}

/// What a slot is ready for.
#[derive(Debug)]
pub(super) struct SlotState {
    /// The rank of its next job, if that may start now.
    pub startable: Option<StartRank>,
    /// Whether its next job must fail.
    pub is_failing: bool,
    /// Whether it has jobs, in its queue or in progress.
    pub has_work: bool,
    /// Whether its host cannot be reached at present.
    pub is_unreachable: bool,
    /// Whether it has room for spilled targets of its host.
    pub is_refillable: bool,
    /// Why it is kept.
    pub retention: RetentionReason,
    /// When it has to be updated at the latest.
    pub alarm: Option<Instant>,
}

impl ReadySets {
    /// Puts a slot into the sets that it belongs to now, and takes it out of all others.
    pub(super) fn update(&mut self, slot: usize, state: &SlotState) {
        if self.entries.len() <= slot {
            self.entries.resize(slot + 1, SlotEntry::default());
        }
        let mut entry = self.entries[slot];
        if state.alarm != entry.alarm {
            entry.alarm = state.alarm;
            self.alarms.extend(state.alarm.map(|moment| Reverse((moment, slot))));
        }
        if let Some(rank) = entry.rank.take() {
            self.startable.remove(&(rank, slot));
        }
        if let Some(rank) = state.startable {
            let rank = match rank {
                StartRank::Last => self.next_ticket(),
                StartRank::ListIndex(index) => index,
            };
            self.startable.insert((rank, slot));
            entry.rank = Some(rank);
        }
        set_member(&mut self.failing, slot, state.is_failing);
        set_member(&mut self.refillable, slot, state.is_refillable);
        set_member(&mut self.unreachable, slot, state.has_work && state.is_unreachable);
        self.reachable -= usize::from(entry.is_reachable);
        entry.is_reachable = state.has_work && !state.is_unreachable;
        self.reachable += usize::from(entry.is_reachable);
        if let Some(turn) = entry.unused_since.take() {
            self.idle.remove(&(turn, slot));
            self.resting.remove(&(turn, slot));
        }
        if state.retention != RetentionReason::Jobs {
            let turn = self.next_ticket();
            entry.unused_since = Some(turn);
            let unused = match state.retention {
                RetentionReason::Limits => &mut self.resting,
                _ => &mut self.idle,
            };
            unused.insert((turn, slot));
        }
        self.entries[slot] = entry;
    }

    /// Takes an idle slot out, the one longest unused, if there are more than `most`.
    pub(super) fn pop_idle(&mut self, most: usize) -> Option<usize> {
        pop_unused(&mut self.idle, &mut self.entries, most)
    }

    /// Takes a resting slot out, the one longest unused, if there are more than `most`.
    pub(super) fn pop_resting(&mut self, most: usize) -> Option<usize> {
        pop_unused(&mut self.resting, &mut self.entries, most)
    }

    /// The slot whose next job starts first.
    pub(super) fn first_startable(&self) -> Option<usize> {
        self.startable.first().map(|(_, slot)| *slot)
    }

    /// A slot whose next job must fail.
    pub(super) fn first_failing(&self) -> Option<usize> {
        self.failing.first().copied()
    }

    /// A slot that has room for spilled targets.
    pub(super) fn first_refillable(&self) -> Option<usize> {
        self.refillable.first().copied()
    }

    /// The number of slots with work.
    pub(super) fn with_work(&self) -> usize {
        self.reachable + self.unreachable.len()
    }

    /// The number of slots with work, and one of them, if the host of none of them can be reached.
    pub(super) fn all_unreachable(&self) -> Option<(usize, usize)> {
        let first = self.unreachable.first().filter(|_| self.reachable == 0)?;
        Some((self.unreachable.len(), *first))
    }

    /// Whether the next job of this slot may start.
    pub(super) fn is_startable(&self, slot: usize) -> bool {
        self.entries.get(slot).is_some_and(|entry| entry.rank.is_some())
    }

    /// Slots whose next job may start, or must fail.
    pub(super) fn ready(&self) -> usize {
        self.startable.len() + self.failing.len()
    }

    /// The next alarm of any slot.
    pub(super) fn next_alarm(&mut self) -> Option<Instant> {
        while let Some(Reverse((moment, slot))) = self.alarms.peek().copied() {
            if self.entries[slot].alarm == Some(moment) {
                return Some(moment);
            }
            self.alarms.pop();
        }
        None
    }

    /// Takes out an alarm that is due, and returns its slot.
    pub(super) fn pop_alarm(&mut self, now: Instant) -> Option<usize> {
        self.next_alarm().filter(|moment| *moment <= now)?;
        let Reverse((_, slot)) = self.alarms.pop()?;
        self.entries[slot].alarm = None;
        Some(slot)
    }

    fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

fn set_member(set: &mut BTreeSet<usize>, slot: usize, is_member: bool) {
    if is_member {
        set.insert(slot);
    } else {
        set.remove(&slot);
    }
}

/// Takes the first slot out of a set of unused ones. Without jobs it is in no other set; its alarm is dropped.
fn pop_unused(
    unused: &mut BTreeSet<(u64, usize)>,
    entries: &mut [SlotEntry],
    most: usize,
) -> Option<usize> {
    if unused.len() <= most {
        return None;
    }
    let (_, slot) = unused.pop_first()?;
    entries[slot] = SlotEntry::default();
    Some(slot)
}

/// Jobs that wait for a moment of their own: a back-off, or a Retry-After.
#[derive(Debug, Default)]
pub(super) struct DelayedJobs {
    jobs: BTreeMap<u64, QueuedJob>,
    /// When each is due, first come, first served. A job that was withdrawn leaves its moment behind.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    tickets: u64,
}

impl DelayedJobs {
    /// Adds a job that is due at this moment.
    pub(super) fn add(&mut self, job: QueuedJob, due: Instant) {
        self.tickets += 1;
        self.due.push(Reverse((due, self.tickets)));
        self.jobs.insert(self.tickets, job);
    }

    /// Takes out a job that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<QueuedJob> {
        while let Some(Reverse((moment, ticket))) = self.due.peek().copied()
            && moment <= now
        {
            self.due.pop();
            if let Some(job) = self.jobs.remove(&ticket) {
                return Some(job);
            }
        }
        None
    }

    /// When the next job may be due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((moment, _))| *moment)
    }

    /// Takes out all jobs that meet a condition.
    pub(super) fn extract(&mut self, condition: impl Fn(&QueuedJob) -> bool) -> Vec<QueuedJob> {
        self.jobs.extract_if(.., |_, job| condition(job)).map(|(_, job)| job).collect()
    }

    /// Takes out all jobs.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = QueuedJob> + use<> {
        self.due.clear();
        std::mem::take(&mut self.jobs).into_values()
    }
}

//! Which workers a strategy has, and on which event loops: the only difference between strategies.

use super::event_loop::WorkerRange;
use crate::plan::Strategy;

/// The event loops of a strategy: the range of workers that each of them runs.
pub(super) fn worker_ranges(strategy: Strategy) -> Vec<WorkerRange> {
    match strategy {
        // One worker on one loop.
        Strategy::Sequential => vec![1..=1],
        // As many loops as workers: each thread does the socket and TLS work of its own transfers.
        Strategy::Threads(jobs) => (1..=jobs.get()).map(|worker| worker..=worker).collect(),
        // All workers on one loop: each has its socket and TLS work done in a child process of its own.
        Strategy::Processes(jobs) => vec![1..=jobs.get()],
        // Many workers on few loops, spread evenly.
        Strategy::Tasks { jobs, loops } => {
            let first = |number| 1 + number * jobs.get() / loops;
            (0..loops.get()).map(|number| first(number)..=first(number + 1) - 1).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn some(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    #[test]
    fn sequential_is_one_worker_on_one_loop() {
        assert_eq!(worker_ranges(Strategy::Sequential), [1..=1]);
    }

    #[test]
    fn each_thread_is_a_loop_of_its_own() {
        assert_eq!(worker_ranges(Strategy::Threads(some(3))), [1..=1, 2..=2, 3..=3]);
    }

    #[test]
    fn tasks_are_spread_evenly_over_the_loops_and_none_is_left_out() {
        let tasks = |jobs, loops| Strategy::Tasks { jobs: some(jobs), loops: some(loops) };
        assert_eq!(worker_ranges(tasks(16, 1)), [1..=16]);
        assert_eq!(worker_ranges(tasks(5, 2)), [1..=2, 3..=5]);
        assert_eq!(worker_ranges(tasks(2, 2)), [1..=1, 2..=2]);
    }
}

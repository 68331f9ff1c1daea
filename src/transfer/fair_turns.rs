//! Bounds what a connection reads in one turn, so that a server that sends without end does not hold up other transfers.
//!
//! The runtime ends the turn of a task after 128 reads of any size, and for HTTP/1.1 without TLS the library reads up to
//! 408 KiB at once: 51 MiB, which take half a second if they are zeros in a chunk size. Its connections cannot be wrapped,
//! since their type is its own. But it can log each read and write of a connection, from within the task that makes it.
//! The logger here counts them, ends the turn of a task that has made several in a row, and logs nothing.

use std::cell::Cell;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use log::{LevelFilter, Log, Metadata, Record};
use tokio::task::{self, coop};

/// What the library names as the source of these messages.
const SOURCE: &str = "reqwest::connect::verbose";

/// How many reads and writes of a connection make a turn.
const MOST_READS: u32 = 8;

thread_local! {
    /// The task that made the last read or write of this thread, and how many it has made in a row.
    static LAST: Cell<(Option<task::Id>, u32)> = const { Cell::new((None, 0)) };
}

/// Ends the turn of a task that reads and writes too often in a row.
struct TurnLogger;

impl Log for TurnLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == SOURCE
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && is_last_of_turn(task::try_id()) {
            end_turn();
        }
    }

    fn flush(&self) {}
}

/// Counts a read or write of this task; whether it is the last one of its turn.
fn is_last_of_turn(task: Option<task::Id>) -> bool {
    let (last, reads) = LAST.get();
    let reads = if last == task { reads + 1 } else { 1 };
    LAST.set((task, reads % MOST_READS));
    reads == MOST_READS
}

/// Uses up what is left of the current task's budget.
fn end_turn() {
    let mut task = Context::from_waker(Waker::noop());
    // Outside a task there is no budget, and no end to it. Without any left, asking for more would have the waker called.
    for _ in 0..=u8::MAX {
        if coop::has_budget_remaining()
            && let Poll::Ready(unit) = coop::poll_proceed(&mut task)
        {
            unit.made_progress();
        }
    }
}

/// Whether the library's messages reach this logger. If the process has another one, it must not get them: they have the
/// bytes of the connections.
pub(super) fn are_kept() -> bool {
    static IS_SET: OnceLock<bool> = OnceLock::new();
    *IS_SET.get_or_init(|| {
        let is_set = log::set_logger(&TurnLogger).is_ok();
        if is_set {
            log::set_max_level(LevelFilter::Trace);
        }
        is_set
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_reads_eight_times_has_used_up_its_turn() {
        assert!(are_kept());
        let mut reads = 0;
        while coop::has_budget_remaining() && reads < 128 {
            tokio::task::consume_budget().await;
            log::trace!(target: SOURCE, "00000000 read: b\"0\"");
            reads += 1;
        }
        assert_eq!(reads, 8);
        tokio::task::yield_now().await;
        log::trace!(target: "another", "message");
        assert!(coop::has_budget_remaining());
    }
}

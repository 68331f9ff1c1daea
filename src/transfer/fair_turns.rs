//! Bounds what a connection reads in one turn, so that a server that sends without end does not hold up other transfers.
//!
//! The runtime ends the turn of a task after 128 reads of any size, and for HTTP/1.1 without TLS the library reads up to
//! 408 KiB at once: 51 MiB, which take half a second to parse if they are the zeros of a chunk size. Its connections cannot be
//! wrapped, since their type is private. But it can log each read and write of a connection, from within the task that makes
//! it. The logger here counts these, ends the turn of a task that has made several in a row, and logs nothing.

use std::cell::Cell;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use log::{LevelFilter, Log, Metadata, Record};
use tokio::task::{self, coop};

/// The log target of the library's messages about reads and writes.
const LOG_TARGET: &str = "reqwest::connect::verbose";

/// The number of reads and writes of a connection after which the turn of its task ends.
const READS_PER_TURN: u32 = 8;

thread_local! {
    /// The task that made the last read or write of this thread, and how many it has made in a row.
    static LAST: Cell<(Option<task::Id>, u32)> = const { Cell::new((None, 0)) };
}

/// Ends the turn of a task that reads and writes too often in a row.
struct TurnLogger;

impl Log for TurnLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == LOG_TARGET
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && count_read(task::try_id()) {
            end_turn();
        }
    }

    fn flush(&self) {}
}

/// Counts a read or write of this task. Returns whether it is the last one of its turn.
fn count_read(task: Option<task::Id>) -> bool {
    let (last, reads) = LAST.get();
    let reads = if last == task { reads + 1 } else { 1 };
    LAST.set((task, reads % READS_PER_TURN));
    reads == READS_PER_TURN
}

/// Uses up what is left of the current task's budget.
fn end_turn() {
    let mut task = Context::from_waker(Waker::noop());
    // Outside a task the budget is unlimited, so the loop is bounded. Polling without any budget left would call the waker.
    for _ in 0..=u8::MAX {
        if coop::has_budget_remaining()
            && let Poll::Ready(unit) = coop::poll_proceed(&mut task)
        {
            unit.made_progress();
        }
    }
}

/// Installs the logger, once. Returns whether the library is to log its reads and writes: not if the process has another
/// logger, which must not get these messages, as they contain the bytes of the connections.
pub(super) fn install_logger() -> bool {
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
        assert!(install_logger());
        let mut reads = 0;
        while coop::has_budget_remaining() && reads < 128 {
            tokio::task::consume_budget().await;
            log::trace!(target: LOG_TARGET, "00000000 read: b\"0\"");
            reads += 1;
        }
        assert_eq!(reads, 8);
        tokio::task::yield_now().await;
        log::trace!(target: "another", "message");
        assert!(coop::has_budget_remaining());
    }
}

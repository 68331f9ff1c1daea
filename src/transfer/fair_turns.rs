//! Bounds what a connection reads in one turn, so that a server that sends without end does not hold up other transfers.
//!
//! The runtime ends the turn of a task after 128 reads of any size, and for HTTP/1.1 without TLS the library reads up to
//! 408 KiB at once: 51 MiB, which take half a second if they are zeros in a chunk size. Its connections cannot be wrapped,
//! since their type is its own. But it can log each read and write of a connection, from within the task that makes it.
//! The logger here charges that task for more than one read, and logs nothing.

use std::sync::OnceLock;
use std::task::{Context, Waker};

use log::{LevelFilter, Log, Metadata, Record};
use tokio::task::coop;

/// What the library names as the source of these messages.
const SOURCE: &str = "reqwest::connect::verbose";

/// The budget of a turn that a read uses up beside the one unit that the runtime charges: a turn has 128 units.
const CHARGE: u32 = 15;

/// Charges the current task for each read and write of a connection.
struct TurnLogger;

impl Log for TurnLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == SOURCE
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            charge(CHARGE);
        }
    }

    fn flush(&self) {}
}

/// Uses up this much of the current task's budget, or what is left of it.
fn charge(units: u32) {
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..units {
        // Without budget, asking for more would have the waker called.
        if coop::has_budget_remaining()
            && let std::task::Poll::Ready(unit) = coop::poll_proceed(&mut task)
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

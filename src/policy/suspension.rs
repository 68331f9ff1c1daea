//! A process that was stopped (Ctrl-Z), or whose machine was: the time that it did not run is nobody's silence. Pure.

use std::time::{Duration, Instant};

/// How late an alarm is at least if the process did not run when it was due.
const LATE: Duration = Duration::from_millis(250);

/// Whether an alarm that was due at `due` and is looked at `now` was missed.
pub(crate) fn was_suspended(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) >= LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_that_is_late_was_missed() {
        let due = Instant::now();
        assert!(!was_suspended(due, due) && !was_suspended(due + LATE, due));
        assert!(!was_suspended(due, due + LATE / 2) && was_suspended(due, due + LATE));
    }
}

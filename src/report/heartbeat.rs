//! Lines about the progress of a run on standard error, at intervals (`--heartbeat`). Pure: time is an argument.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::model::Event;
use crate::units::grouped;

/// Counts settled targets and writes a line about them at intervals.
#[derive(Debug)]
pub(super) struct Heartbeat {
    /// The interval between lines; `None` without `--heartbeat`.
    every: Option<Duration>,
    done: u64,
    failed: u64,
    /// When the last line was written (before that: when the first one was considered), and the value of `done` then.
    last: Option<(Instant, u64)>,
}

impl Heartbeat {
    /// A heartbeat with nothing counted yet.
    pub(super) fn new(every: Option<Duration>) -> Self {
        Self { every, done: 0, failed: 0, last: None }
    }

    /// Whether there will be lines.
    pub(super) fn is_wanted(&self) -> bool {
        self.every.is_some()
    }

    /// Counts an event if it settles a target.
    pub(super) fn count(&mut self, event: &Event) {
        if let Event::Finished { record, .. } = event {
            self.done += 1;
            self.failed += u64::from(record.error.is_some());
        }
    }

    /// Adds a line, if it is time. Returns whether it did.
    pub(super) fn add_line(&mut self, now: Instant, lines: &mut Vec<u8>) -> io::Result<bool> {
        let Some(every) = self.every else { return Ok(false) };
        let (last, before) = *self.last.get_or_insert((now, self.done));
        let passed = now.saturating_duration_since(last);
        if passed < every {
            return Ok(false);
        }
        let Self { done, failed, .. } = *self;
        let rate = (done - before) as f64 / passed.as_secs_f64();
        self.last = Some((now, done));
        let (done, failed) = (grouped(done), grouped(failed));
        writeln!(lines, "heartbeat: {done} done, {failed} failed, {rate:.1}/s")?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, test_fixtures::record};

    fn finished(record: crate::model::Record) -> Event {
        Event::Finished { record: Box::new(record), target: None, name: None }
    }

    #[test]
    fn a_line_has_the_counts_and_the_rate_since_the_last_one() {
        let (begin, mut lines) = (Instant::now(), Vec::new());
        let mut heartbeat = Heartbeat::new(Some(Duration::from_secs(30)));
        let mut at = |heartbeat: &mut Heartbeat, seconds| {
            heartbeat.add_line(begin + Duration::from_secs(seconds), &mut lines).unwrap()
        };
        assert!(!at(&mut heartbeat, 0));
        (0..1500).for_each(|_| heartbeat.count(&finished(record("http://a.b/"))));
        assert!(!at(&mut heartbeat, 29));
        assert!(at(&mut heartbeat, 30));
        heartbeat.count(&finished(record("http://a.b/").failed(&Failure::Status(404), 1)));
        assert!(!at(&mut heartbeat, 59));
        assert!(at(&mut heartbeat, 70));
        let text = String::from_utf8(lines).unwrap();
        let expected =
            "heartbeat: 1,500 done, 0 failed, 50.0/s\nheartbeat: 1,501 done, 1 failed, 0.0/s\n";
        assert_eq!(text, expected);
        assert!(!Heartbeat::new(None).is_wanted());
    }
}

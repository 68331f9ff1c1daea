//! `--max-failures`, `--fail-fast`, and the failures that no later target can escape: when they stop a run.

use super::cancel::CancelToken;
use crate::model::{FailureClass, Outcome, Record, StopCause};
use crate::plan::MaxFailures;

/// Settled targets before a share of failures counts.
const SAMPLE: u64 = 100;

/// Counts settled targets and stops the run when too many of them have failed.
#[derive(Debug)]
pub(super) struct FailureCounter {
    /// The limit of failures; `None` if there is none.
    most: Option<MaxFailures>,
    settled: u64,
    failed: u64,
}

impl FailureCounter {
    /// A counter for a run in which nothing is settled yet.
    pub(super) fn new(most: Option<MaxFailures>) -> Self {
        Self { most, settled: 0, failed: 0 }
    }

    /// Counts a record, and cancels the run if this one goes past a limit.
    ///
    /// A full disk or a used quota aborts: transfers in progress would meet it too. Too many failures only drain.
    pub(super) fn on_record(&mut self, record: &Record, cancel: &CancelToken) {
        self.settled += 1;
        self.failed += u64::from(record.outcome == Outcome::Failed);
        match record.error.as_ref().map(|error| error.class) {
            Some(FailureClass::Disk) => cancel.abort(StopCause::Disk),
            Some(FailureClass::Quota) => cancel.abort(StopCause::Quota),
            _ if self.are_exceeded() => cancel.drain(StopCause::TooManyFailures),
            _ => {}
        }
    }

    fn are_exceeded(&self) -> bool {
        match self.most {
            None => false,
            Some(MaxFailures::Number(most)) => self.failed > most,
            Some(MaxFailures::Share(share)) => {
                self.settled >= SAMPLE && self.failed as f64 > share.as_f64() * self.settled as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, test_fixtures::record};

    /// Why the run is stopped after `ok` records that succeeded and one for each of these failures.
    fn cause(most: Option<MaxFailures>, ok: u64, failures: &[Failure]) -> Option<StopCause> {
        let (mut counter, cancel) = (FailureCounter::new(most), CancelToken::default());
        for _ in 0..ok {
            counter.on_record(&record("http://a.test/"), &cancel);
        }
        for failure in failures {
            counter.on_record(&record("http://a.test/").failed(failure, 1), &cancel);
        }
        cancel.cause()
    }

    #[test]
    fn more_failures_than_the_limit_stop_the_run_and_as_many_do_not() {
        let gone = [Failure::Status(404), Failure::Status(410)];
        assert_eq!(cause(Some(MaxFailures::Number(2)), 0, &gone), None);
        let cause_of_one = cause(Some(MaxFailures::Number(1)), 0, &gone);
        assert_eq!(cause_of_one, Some(StopCause::TooManyFailures));
        assert_eq!(cause(None, 0, &gone), None);
    }

    #[test]
    fn a_full_disk_and_a_used_quota_stop_the_run_whatever_the_limit() {
        assert_eq!(cause(None, 0, &[Failure::Disk("full".into())]), Some(StopCause::Disk));
        assert_eq!(cause(None, 0, &[Failure::Quota { limit: 1 }]), Some(StopCause::Quota));
    }
}

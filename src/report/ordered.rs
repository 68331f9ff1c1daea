//! Puts records in list order: a finished record waits until all before it have been passed on. Pure.
//!
//! The feeder bounds how many wait: it admits no target further than 1,024 past the oldest unfinished one.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use crate::model::Record;
use crate::plan::ReportOrder;

/// The records on their way to a report.
#[derive(Debug)]
pub(super) enum OrderedRows {
    /// Each at once.
    AsCompleted,
    /// Each after all before it.
    AsListed {
        /// The index to be passed on next.
        next: u64,
        /// Those that wait for it, by index.
        held: BTreeMap<u64, Record>,
        /// Ranges of later indexes without records: the first index, and the one after the last.
        gaps: BTreeMap<u64, u64>,
    },
}

impl OrderedRows {
    /// Starts without records.
    pub(super) fn by(order: ReportOrder) -> Self {
        match order {
            ReportOrder::Completion => Self::AsCompleted,
            ReportOrder::List => {
                Self::AsListed { next: 1, held: BTreeMap::new(), gaps: BTreeMap::new() }
            }
        }
    }

    /// Takes a finished record, and passes on all records whose turn it is.
    ///
    /// # Errors
    /// Those of `pass_on`, at once.
    pub(super) fn take(
        &mut self,
        record: &Record,
        mut pass_on: impl FnMut(&Record) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self::AsListed { next, held, .. } = self else {
            return pass_on(record);
        };
        if record.index > *next {
            held.insert(record.index, record.clone());
            return Ok(());
        }
        pass_on(record)?;
        *next = (*next).max(record.index + 1);
        self.advance(pass_on)
    }

    /// Notes that these indexes have no records, and passes on the records that waited for them.
    ///
    /// # Errors
    /// Those of `pass_on`, at once.
    pub(super) fn pass_over(
        &mut self,
        indexes: &Range<u64>,
        pass_on: impl FnMut(&Record) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Self::AsListed { gaps, .. } = self {
            gaps.insert(indexes.start, indexes.end);
        }
        self.advance(pass_on)
    }

    fn advance(&mut self, mut pass_on: impl FnMut(&Record) -> io::Result<()>) -> io::Result<()> {
        let Self::AsListed { next, held, gaps } = self else { return Ok(()) };
        loop {
            if let Some(record) = held.remove(next) {
                pass_on(&record)?;
                *next += 1;
            } else if let Some(after) = gaps.remove(next) {
                *next = after;
            } else {
                return Ok(());
            }
        }
    }

    /// Passes on the remaining records in order. A run that was stopped leaves gaps; they are skipped.
    ///
    /// # Errors
    /// Those of `pass_on`, at once.
    pub(super) fn end(
        &mut self,
        mut pass_on: impl FnMut(&Record) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Self::AsListed { held, .. } = self {
            std::mem::take(held).values().try_for_each(&mut pass_on)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::test_fixtures;

    /// The indexes passed on for each record taken, then those at the end.
    fn passed_on(order: ReportOrder, taken: &[u64]) -> Vec<Vec<u64>> {
        let mut rows = OrderedRows::by(order);
        let mut steps = vec![Vec::new()];
        let note = |steps: &mut Vec<Vec<u64>>, record: &Record| -> io::Result<()> {
            steps.last_mut().expect("never empty").push(record.index);
            Ok(())
        };
        for index in taken {
            let record = test_fixtures::record("https://a.b/").at(*index);
            rows.take(&record, |record| note(&mut steps, record)).unwrap();
            steps.push(Vec::new());
        }
        rows.end(|record| note(&mut steps, record)).unwrap();
        steps
    }

    #[test]
    fn rows_by_completion_wait_for_nothing() {
        assert_eq!(
            passed_on(ReportOrder::Completion, &[3, 1, 2]),
            [vec![3], vec![1], vec![2], vec![]]
        );
    }

    #[test]
    fn rows_by_list_wait_for_those_before_them() {
        assert_eq!(
            passed_on(ReportOrder::List, &[2, 3, 1, 5, 4]),
            [vec![], vec![], vec![1, 2, 3], vec![], vec![4, 5], vec![]]
        );
    }

    #[test]
    fn rows_by_list_wait_for_no_row_of_another_shard() {
        let (mut rows, mut seen) = (OrderedRows::by(ReportOrder::List), Vec::new());
        let mut note = |record: &Record| -> io::Result<()> {
            seen.push(record.index);
            Ok(())
        };
        let record = |index| test_fixtures::record("https://a.b/").at(index);
        rows.pass_over(&(1..3), &mut note).unwrap();
        rows.pass_over(&(5..9), &mut note).unwrap();
        for index in [9, 4, 3] {
            rows.take(&record(index), &mut note).unwrap();
        }
        rows.pass_over(&(10..11), &mut note).unwrap();
        rows.take(&record(11), &mut note).unwrap();
        assert_eq!(seen, [3, 4, 9, 11]);
    }

    #[test]
    fn what_waits_behind_a_gap_is_passed_on_at_the_end_in_order() {
        assert_eq!(
            passed_on(ReportOrder::List, &[1, 9, 4, 6]),
            [vec![1], vec![], vec![], vec![], vec![4, 6, 9]]
        );
    }

    #[test]
    fn an_error_is_returned_and_not_swallowed() {
        let mut rows = OrderedRows::by(ReportOrder::List);
        rows.take(&test_fixtures::record("https://a.b/").at(2), |_| Ok(())).unwrap();
        let broken = |_: &Record| Err(io::ErrorKind::BrokenPipe.into());
        let error = rows.take(&test_fixtures::record("https://a.b/").at(1), broken).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

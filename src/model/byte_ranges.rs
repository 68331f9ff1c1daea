//! Which bytes there are of a body that came in several places at once.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Spans of bytes: in their order, none empty, no two of them touching each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>")]
pub struct ByteRanges(Vec<(u64, u64)>);

impl ByteRanges {
    /// The first bytes, so many.
    pub fn of_beginning(bytes: u64) -> Self {
        Self::from(vec![(0, bytes)])
    }

    /// Adds a span, which may overlap others. Tells whether that makes a difference.
    pub fn add(&mut self, span: Range<u64>) -> bool {
        let (mut start, mut end) = (span.start, span.end);
        if start >= end {
            return false;
        }
        let first = self.0.partition_point(|(_, known)| *known < start);
        let behind = self.0.partition_point(|(known, _)| *known <= end);
        if let Some((known_start, _)) = self.0[first..behind].first() {
            start = start.min(*known_start);
        }
        if let Some((_, known_end)) = self.0[first..behind].last() {
            end = end.max(*known_end);
        }
        let is_known = self.0[first..behind] == [(start, end)];
        self.0.splice(first..behind, [(start, end)]);
        !is_known
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// The byte behind the last one.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// What they lack of a body of so many bytes.
    pub fn missing(&self, length: u64) -> Vec<Range<u64>> {
        let starts = self.0.iter().map(|(start, _)| *start).chain([length]);
        let ends = [0].into_iter().chain(self.0.iter().map(|(_, end)| *end));
        ends.zip(starts).filter(|(from, to)| from < to).map(|(from, to)| from..to).collect()
    }
}

impl From<Vec<(u64, u64)>> for ByteRanges {
    /// Whoever wrote them may have kept no order.
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut spans = Self::default();
        for (start, end) in pairs {
            spans.add(start..end);
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_that_touch_become_one() {
        let mut spans = ByteRanges::default();
        assert!(spans.add(10..20));
        assert!(spans.add(30..40));
        assert_eq!(spans, ByteRanges(vec![(10, 20), (30, 40)]));
        assert!(spans.add(20..25));
        assert!(!spans.add(12..25), "nothing new");
        assert!(!spans.add(7..7), "nothing");
        assert_eq!((spans.bytes(), spans.end()), (25, 40));
        assert_eq!(spans.missing(50), [0..10, 25..30, 40..50]);
        assert!(spans.add(0..30));
        assert_eq!(spans, ByteRanges(vec![(0, 40)]));
        assert_eq!(spans.missing(40), []);
    }

    #[test]
    fn whatever_is_read_is_put_in_order() {
        let read = |text: &str| serde_json::from_str::<ByteRanges>(text).unwrap();
        assert_eq!(read("[[5,9],[0,3],[2,4],[9,9],[8,1]]"), ByteRanges(vec![(0, 4), (5, 9)]));
        assert_eq!(serde_json::to_string(&read("[[0,4],[5,9]]")).unwrap(), "[[0,4],[5,9]]");
        assert_eq!(read(&format!("[[0,{}],[1,2]]", u64::MAX)).bytes(), u64::MAX);
    }

    proptest! {
        #[test]
        fn they_hold_the_bytes_that_were_added_and_no_others(
            pairs in prop::collection::vec((0u64..40, 0u64..40), 0..12)
        ) {
            let mut spans = ByteRanges::default();
            let mut bytes = [false; 40];
            for (start, end) in pairs {
                let before = bytes;
                bytes[start.min(end) as usize..end as usize].fill(true);
                prop_assert_eq!(spans.add(start..end), bytes != before);
            }
            let held = bytes.iter().filter(|there| **there).count() as u64;
            prop_assert_eq!(spans.bytes(), held);
            let missing = spans.missing(40);
            prop_assert_eq!(missing.iter().map(|gap| gap.end - gap.start).sum::<u64>(), 40 - held);
            for gap in missing {
                prop_assert!(bytes[gap.start as usize..gap.end as usize].iter().all(|there| !there));
            }
        }
    }
}

//! How many things were under way, over time: the mean in each of at most [`MAX_STRETCHES`] equal stretches. A run of unknown
//! length fits, because stretches are joined in pairs where there are too many. Bounded, pure.

/// Stretches at most.
pub(super) const MAX_STRETCHES: usize = 512;

/// The initial length of a stretch, in microseconds.
const MIN_WIDTH: i64 = 1_000;

/// Counts what was under way, over time. Moments are microseconds on any one clock.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The length of a stretch; `MIN_WIDTH` times a power of two.
    width: i64,
    /// The first stretch begins at `first * width`.
    first: i64,
    /// How long things were under way in each stretch, all added up.
    busy: Vec<i64>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: MIN_WIDTH, first: 0, busy: Vec::new() }
    }
}

impl Timeline {
    /// Adds a thing that was under way in this span. Implausible spans are ignored.
    pub(super) fn add(&mut self, from: i64, to: i64) {
        // A moment more than a thousand years away is a mistake, and the sums could overflow.
        const PLAUSIBLE: std::ops::Range<i64> = i64::MIN / 256..i64::MAX / 256;
        if from > to || !PLAUSIBLE.contains(&from) || !PLAUSIBLE.contains(&to) {
            return;
        }
        self.make_room(from, to);
        for place in from.div_euclid(self.width)..=to.div_euclid(self.width) {
            let (begin, end) = (place * self.width, (place + 1) * self.width);
            self.busy[(place - self.first) as usize] += to.min(end) - from.max(begin);
        }
    }

    /// How long each stretch is, in microseconds.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// The moment when each stretch begins, and how many things were under way in it on average.
    pub(super) fn means(&self) -> impl Iterator<Item = (i64, f64)> {
        let stretches = self.busy.iter().zip(self.first..);
        stretches.map(|(busy, place)| (place * self.width, *busy as f64 / self.width as f64))
    }

    /// Joins and adds stretches until both moments lie in one.
    fn make_room(&mut self, from: i64, to: i64) {
        let ends = |width: i64, first: i64, stretches: usize| {
            let (low, high) = (from.div_euclid(width), to.div_euclid(width));
            if stretches == 0 {
                return (low, high);
            }
            (low.min(first), high.max(first + stretches as i64 - 1))
        };
        let (mut low, mut high) = ends(self.width, self.first, self.busy.len());
        while high - low >= MAX_STRETCHES as i64 {
            self.join_pairs();
            (low, high) = ends(self.width, self.first, self.busy.len());
        }
        let before = if self.busy.is_empty() { 0 } else { (self.first - low) as usize };
        self.busy.splice(0..0, std::iter::repeat_n(0, before));
        self.busy.resize((high - low + 1) as usize, 0);
        self.first = low;
    }

    fn join_pairs(&mut self) {
        let joined = self.first.div_euclid(2);
        let mut pairs = vec![0; self.busy.len().div_ceil(2) + 1];
        for (busy, place) in self.busy.iter().zip(self.first..) {
            pairs[(place.div_euclid(2) - joined) as usize] += busy;
        }
        pairs.truncate(match self.busy.len() as i64 {
            0 => 0,
            stretches => ((self.first + stretches - 1).div_euclid(2) - joined + 1) as usize,
        });
        (self.width, self.first, self.busy) = (self.width * 2, joined, pairs);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_at_once_for_half_of_the_time_are_one_on_average() {
        let mut timeline = Timeline::default();
        timeline.add(0, 1000);
        timeline.add(500, 1000);
        timeline.add(500, 1000);
        let first = timeline.means().next();
        assert_eq!((timeline.width(), first), (1000, Some((0, 2.0))));
    }

    #[test]
    fn a_long_run_has_as_few_stretches_as_a_short_one() {
        let mut timeline = Timeline::default();
        let hour = 3_600_000_000;
        (0..1000).for_each(|hours| timeline.add(hours * hour, (hours + 1) * hour));
        let means: Vec<_> = timeline.means().collect();
        assert!((MAX_STRETCHES / 2..=MAX_STRETCHES).contains(&means.len()), "{}", means.len());
        assert!(means[1..means.len() - 1].iter().all(|(_, mean)| *mean == 1.0), "{means:?}");
    }

    #[test]
    fn times_that_nobody_can_mean_are_left_out() {
        let mut timeline = Timeline::default();
        for (from, to) in [(i64::MIN, 0), (0, i64::MAX), (10, 5)] {
            timeline.add(from, to);
        }
        assert_eq!(timeline.means().count(), 0);
    }

    proptest! {
        #[test]
        fn no_time_is_lost_whatever_the_order(
            spans in prop::collection::vec((-10_000_000_i64..10_000_000, 0_i64..3_000_000), 1..60)
        ) {
            let mut timeline = Timeline::default();
            spans.iter().for_each(|(from, length)| timeline.add(*from, from + length));
            let told: f64 = timeline.means().map(|(_, mean)| mean * timeline.width() as f64).sum();
            let truth: i64 = spans.iter().map(|(_, length)| length).sum();
            prop_assert!((told - truth as f64).abs() < 1.0, "{} told as {}", truth, told);
            prop_assert!(timeline.means().count() <= MAX_STRETCHES);
            let earliest = spans.iter().map(|(from, _)| *from).min().unwrap();
            let (first, _) = timeline.means().next().unwrap();
            prop_assert!(first <= earliest && earliest < first + timeline.width());
        }
    }
}

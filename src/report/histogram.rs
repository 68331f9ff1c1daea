//! A histogram of durations with logarithmic buckets: each is a fixed factor longer than the one before. Bounded, pure.

/// Buckets per factor of ten.
pub(super) const BUCKETS_PER_DECADE: i32 = 100;

/// The first bucket and the one after the last, counted from one second: the range is 10 µs to 10⁶ s.
const LOWEST: i32 = -5 * BUCKETS_PER_DECADE;
const HIGHEST: i32 = 6 * BUCKETS_PER_DECADE;

/// Counts of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (HIGHEST - LOWEST) as usize], total: 0 }
    }
}

/// One bucket, or several neighbours joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BucketStep {
    /// Its lower end, seconds.
    pub(super) from: f64,
    /// Its upper end, seconds.
    pub(super) to: f64,
    /// Number of durations in it.
    pub(super) count: u64,
}

impl Histogram {
    /// Adds a duration, in seconds.
    pub(super) fn add(&mut self, seconds: f64) {
        let bucket =
            (seconds.max(f64::MIN_POSITIVE).log10() * f64::from(BUCKETS_PER_DECADE)).floor();
        let bucket = (bucket as i32).clamp(LOWEST, HIGHEST - 1);
        self.counts[(bucket - LOWEST) as usize] += 1;
        self.total += 1;
    }

    /// The buckets from the first to the last that is not empty, `joined` neighbours as one.
    pub(super) fn buckets(&self, joined: usize) -> Vec<BucketStep> {
        let chunks = self.counts.chunks(joined).map(|chunk| chunk.iter().sum::<u64>());
        let counts: Vec<u64> = chunks.collect();
        let Some(first) = counts.iter().position(|count| *count > 0) else { return Vec::new() };
        let last = counts.iter().rposition(|count| *count > 0).unwrap_or(first);
        let bucket = |place: usize| BucketStep {
            from: lower_end(place * joined),
            to: lower_end((place + 1) * joined),
            count: counts[place],
        };
        (first..=last).map(bucket).collect()
    }

    /// The duration that this share of the durations does not exceed, to about 1%; `None` if there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some((lower_end(place) * lower_end(place + 1)).sqrt())
    }
}

/// The lower end of a bucket, in seconds.
fn lower_end(place: usize) -> f64 {
    10_f64.powf(f64::from(LOWEST + place as i32) / f64::from(BUCKETS_PER_DECADE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_steps_and_no_quantiles() {
        assert_eq!(Histogram::default().buckets(10), []);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_cannot_be_is_counted_at_an_end() {
        let mut histogram = Histogram::default();
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MAX] {
            histogram.add(seconds);
        }
        assert_eq!(histogram.buckets(1).iter().map(|bucket| bucket.count).sum::<u64>(), 5);
    }

    proptest! {
        #[test]
        fn each_duration_lies_in_its_step(seconds in 1e-4..1e5) {
            let mut histogram = Histogram::default();
            histogram.add(seconds);
            let buckets = histogram.buckets(10);
            prop_assert_eq!(buckets.len(), 1);
            let bucket = buckets[0];
            prop_assert!(bucket.from <= seconds * 1.000_001 && seconds <= bucket.to * 1.000_001);
            prop_assert_eq!(bucket.count, 1);
        }

        #[test]
        fn quantiles_are_near_the_true_ones(mut times in prop::collection::vec(1e-3..1e3, 1..300)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.add(*time));
            times.sort_unstable_by(f64::total_cmp);
            for share in [0.5, 0.9, 0.99] {
                let rank = (share * times.len() as f64).ceil() as usize;
                let (truth, told) = (times[rank - 1], histogram.quantile(share).unwrap());
                prop_assert!((told / truth - 1.0).abs() < 0.013, "{} told as {}", truth, told);
            }
        }
    }
}

//! Statistical estimates and tests for few samples. Pure. No distribution of the times is assumed: the methods are based on
//! ranks, and are valid for ten samples as they are for a hundred.
//!
//! - The interval of a median lies between two of the sorted samples, by a weighted mean of the two pairs of samples
//!   that cover just more and just less than 95 % (Hettmansperger and Sheather 1986).
//! - Two sets of samples are compared by the rank-sum test (Wilcoxon; Mann and Whitney), exactly and with ties.
//! - The ratio of two sets is that of their medians. Its interval is that of the median of all ratios of a sample of one set
//!   to a sample of the other (Hodges and Lehmann 1963, of logarithms): it contains the ratios that the test does not reject.
//! - Where several pairs are compared, their probabilities are adjusted (Holm 1979), so that of all comparisons without
//!   any difference at most 5 % report one.

use std::cmp::Ordering;

use fastrand::Rng;

use crate::compare::result::{Interval, SpeedUp};

/// Coverage of an interval.
const CONFIDENCE: f64 = 0.95;

/// A difference is significant if its probability by chance is below this.
const SIGNIFICANCE_LEVEL: f64 = 1.0 - CONFIDENCE;

/// Maximum number of samples, of both sides together, for which the distribution of rank sums is counted exactly.
const MAX_EXACT_SAMPLES: usize = 64;

/// Number of random permutations by which it is estimated for more samples.
const PERMUTATIONS: usize = 20_000;

/// The two-sided 95 % point of the normal distribution.
const NORMAL_QUANTILE: f64 = 1.959_964;

/// Whether a difference is significant, by the probability that it comes by chance.
pub(super) fn is_significant(p: f64) -> bool {
    p < SIGNIFICANCE_LEVEL
}

/// The median of some values. NaN if there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    median_of_sorted(&sorted(values))
}

/// The smallest value such that at least this share of the values is not above it; `None` if there are no values.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

/// The 95 % confidence interval of the median; `None` if the samples are too few.
pub(super) fn interval_of_median(samples: &[f64]) -> Option<Interval> {
    let (sorted, count) = (sorted(samples), samples.len());
    // The probability that the median lies between the k-th smallest and the k-th largest.
    let cover = |k: usize| 1.0 - 2.0 * binomial_tail(count, k);
    let outer = (1..=count / 2).take_while(|k| cover(*k) >= CONFIDENCE).last()?;
    let inner = outer + 1;
    if inner > count - outer {
        return Some(Interval { low: sorted[outer - 1], high: sorted[count - outer] });
    }
    let excess = (cover(outer) - CONFIDENCE) / (cover(outer) - cover(inner));
    let (n, k) = (count as f64, outer as f64);
    let weight = (n - k) * excess / (k + (n - 2.0 * k) * excess);
    let between = |out: f64, inside: f64| (1.0 - weight) * out + weight * inside;
    Some(Interval {
        low: between(sorted[outer - 1], sorted[outer]),
        high: between(sorted[count - outer], sorted[count - inner]),
    })
}

/// The probability that fewer than `k` of `count` tosses of a coin are heads.
fn binomial_tail(count: usize, k: usize) -> f64 {
    let mut term = 0.5_f64.powi(count as i32);
    let mut sum = 0.0;
    for heads in 0..k {
        sum += term;
        term *= (count - heads) as f64 / (heads + 1) as f64;
    }
    sum
}

/// How many times as fast the samples are as `reference`. Both are times above zero.
pub(super) fn speed_up(reference: &[f64], samples: &[f64], rng: &mut Rng) -> SpeedUp {
    let ratios = reference.iter().flat_map(|of| samples.iter().map(move |by| of / by));
    let ratios = sorted(&ratios.collect::<Vec<_>>());
    SpeedUp {
        ratio: median(reference) / median(samples),
        interval: ratios_outside(reference.len(), samples.len())
            .map(|cut| Interval { low: ratios[cut], high: ratios[ratios.len() - 1 - cut] }),
        p: rank_sum_test(reference, samples, rng),
        p_adjusted: None,
    }
}

/// How many of the sorted ratios lie outside of the interval at each end; `None` if even the interval of all ratios covers too
/// little.
fn ratios_outside(first: usize, second: usize) -> Option<usize> {
    if first + second > MAX_EXACT_SAMPLES {
        let (n, m) = (first as f64, second as f64);
        let cut = n * m / 2.0 - NORMAL_QUANTILE * (n * m * (n + m + 1.0) / 12.0).sqrt();
        return Some(cut.max(0.0) as usize);
    }
    let ranks: Vec<usize> = (1..=first + second).collect();
    let counts = counts_of_sums(&ranks, first);
    let all: f64 = counts.iter().sum();
    let lowest_sum = first * (first + 1) / 2;
    let mut sum = 0.0;
    let within = counts[lowest_sum..].iter().take_while(|count| {
        sum += **count;
        sum / all <= SIGNIFICANCE_LEVEL / 2.0
    });
    within.count().checked_sub(1)
}

/// Adjusts the probabilities of several pairs for their number (Holm's step-down method).
pub(super) fn adjust_for_number(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|one, other| probabilities[*one].total_cmp(&probabilities[*other]));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut lower_bound: f64 = 0.0;
    for (rank, pair) in order.into_iter().enumerate() {
        let left = (probabilities.len() - rank) as f64;
        lower_bound = lower_bound.max(left * probabilities[pair]).min(1.0);
        adjusted[pair] = lower_bound;
    }
    adjusted
}

/// Whether any of `pairs` comparisons, each of `first` with `second` samples, can be significant.
pub(super) fn can_be_significant(first: usize, second: usize, pairs: usize) -> bool {
    // At each end, only one of all orders of the samples is the most extreme one.
    let orders = (1..=second).fold(1.0, |orders, k| orders * (first + k) as f64 / k as f64);
    is_significant(pairs as f64 * 2.0 / orders)
}

/// The minimum number of samples of each contestant with which a difference can be significant.
pub(super) fn samples_needed(pairs: usize) -> usize {
    (1..)
        .find(|samples| can_be_significant(*samples, *samples, pairs))
        .expect("many samples suffice")
}

/// The p-value of the two-sided rank-sum test: the probability that the rank sums of two sets of samples of the same
/// distribution differ at least as much as these.
pub(super) fn rank_sum_test(first: &[f64], second: &[f64], rng: &mut Rng) -> f64 {
    let mut ranks = doubled_ranks(first, second);
    let count = first.len();
    let seen: usize = ranks[..count].iter().sum();
    // Twice the rank sum is on average count * (all + 1).
    let expected = count * (ranks.len() + 1);
    let is_as_extreme = |sum: usize| sum.abs_diff(expected) >= seen.abs_diff(expected);
    if ranks.len() <= MAX_EXACT_SAMPLES {
        let counts = counts_of_sums(&ranks, count);
        let far = counts.iter().enumerate().filter(|(sum, _)| is_as_extreme(*sum));
        return far.map(|(_, count)| count).sum::<f64>() / counts.iter().sum::<f64>();
    }
    let far = (0..PERMUTATIONS).filter(|_| {
        rng.shuffle(&mut ranks);
        is_as_extreme(ranks[..count].iter().sum())
    });
    (far.count() + 1) as f64 / (PERMUTATIONS + 1) as f64
}

/// Twice the rank of each value among all; equal values share the mean of their ranks.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count();
        let equal = all.iter().filter(|other| *other == value).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// The number of ways in which `count` of the ranks add up to each sum.
fn counts_of_sums(ranks: &[usize], count: usize) -> Vec<f64> {
    let most: usize = ranks.iter().sum();
    let mut ways = vec![vec![0.0; most + 1]; count + 1];
    ways[0][0] = 1.0;
    for rank in ranks {
        for taken in (1..=count).rev() {
            let (fewer, more) = ways.split_at_mut(taken);
            let (from, to) = (&fewer[taken - 1], &mut more[0]);
            for sum in *rank..=most {
                to[sum] += from[sum - rank];
            }
        }
    }
    ways.swap_remove(count)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    sorted
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests;

//! What a few samples say about the truth behind them. Pure. Nothing is taken for granted about how times are
//! distributed: the methods go by ranks, and hold for ten samples as they do for a hundred.
//!
//! - The interval of a median lies between two of the sorted samples, by a weighted mean of the two pairs of samples
//!   that cover just more and just less than 95 % (Hettmansperger and Sheather 1986).
//! - Two sets of samples are compared by the rank-sum test (Wilcoxon; Mann and Whitney), exactly and with ties.
//! - The ratio of two sets is the median of all ratios of one sample of each (Hodges and Lehmann 1963, of logarithms),
//!   and its interval holds the ratios that the test does not reject: the two never contradict each other, ties aside.

use std::cmp::Ordering;

use fastrand::Rng;

use crate::compare::result::{Interval, SpeedUp};

/// How sure an interval is.
const SURE: f64 = 0.95;

/// A difference less likely than this to come by chance is shown.
const SHOWN: f64 = 1.0 - SURE;

/// Samples of both sides beyond which the distribution of rank sums is drawn, not counted out.
const COUNTED_OUT: usize = 64;

/// How often it is drawn then.
const DRAWN: usize = 20_000;

/// The two-sided 95 % point of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// Whether a comparison shows a difference, by the probability that it comes by chance.
pub(super) fn is_shown(p: f64) -> bool {
    p < SHOWN
}

/// The middle of some values. NaN if there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    middle(&sorted(values))
}

/// The value that this share of all values does not exceed.
pub(super) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.max(1) - 1).copied()
}

/// Where the median lies that these samples come from; `None` if they are too few to be so sure.
pub(super) fn interval_of_median(samples: &[f64]) -> Option<Interval> {
    let (sorted, count) = (sorted(samples), samples.len());
    // How surely the median lies between the k-th smallest and the k-th largest.
    let cover = |k: usize| 1.0 - 2.0 * tail_of_coin(count, k);
    let outer = (1..=count / 2).take_while(|k| cover(*k) >= SURE).last()?;
    let inner = outer + 1;
    if inner > count - outer {
        return Some(Interval { low: sorted[outer - 1], high: sorted[count - outer] });
    }
    let excess = (cover(outer) - SURE) / (cover(outer) - cover(inner));
    let (n, k) = (count as f64, outer as f64);
    let weight = (n - k) * excess / (k + (n - 2.0 * k) * excess);
    let between = |out: f64, inside: f64| (1.0 - weight) * out + weight * inside;
    Some(Interval {
        low: between(sorted[outer - 1], sorted[outer]),
        high: between(sorted[count - outer], sorted[count - inner]),
    })
}

/// The probability that fewer than `k` of `count` tosses of a coin are heads.
fn tail_of_coin(count: usize, k: usize) -> f64 {
    let mut term = 0.5_f64.powi(count as i32);
    let mut sum = 0.0;
    for heads in 0..k {
        sum += term;
        term *= (count - heads) as f64 / (heads + 1) as f64;
    }
    sum
}

/// How many times as fast as `reference` the samples are, both being times above zero.
pub(super) fn speed_up(reference: &[f64], samples: &[f64], rng: &mut Rng) -> SpeedUp {
    let ratios = reference.iter().flat_map(|of| samples.iter().map(move |by| of / by));
    let ratios = sorted(&ratios.collect::<Vec<_>>());
    SpeedUp {
        ratio: middle(&ratios),
        interval: cut(reference.len(), samples.len())
            .map(|cut| Interval { low: ratios[cut], high: ratios[ratios.len() - 1 - cut] }),
        p: rank_sum_test(reference, samples, rng),
    }
}

/// How many of the sorted ratios lie outside of the interval at either end; `None` if even all of them are not sure
/// enough.
fn cut(first: usize, second: usize) -> Option<usize> {
    if first + second > COUNTED_OUT {
        let (n, m) = (first as f64, second as f64);
        let cut = n * m / 2.0 - NORMAL * (n * m * (n + m + 1.0) / 12.0).sqrt();
        return Some(cut.max(0.0) as usize);
    }
    let ranks: Vec<usize> = (1..=first + second).collect();
    let counts = counts_of_sums(&ranks, first);
    let all: f64 = counts.iter().sum();
    let least = first * (first + 1) / 2;
    let mut sum = 0.0;
    let within = counts[least..].iter().take_while(|count| {
        sum += **count;
        sum / all <= SHOWN / 2.0
    });
    within.count().checked_sub(1)
}

/// The probability that two sets of samples of one kind have ranks at least as far apart as these have.
pub(super) fn rank_sum_test(first: &[f64], second: &[f64], rng: &mut Rng) -> f64 {
    let mut ranks = doubled_ranks(first, second);
    let count = first.len();
    let seen: usize = ranks[..count].iter().sum();
    // Twice the rank sum is on average count * (all + 1).
    let expected = count * (ranks.len() + 1);
    let apart = |sum: usize| sum.abs_diff(expected) >= seen.abs_diff(expected);
    if ranks.len() <= COUNTED_OUT {
        let counts = counts_of_sums(&ranks, count);
        let far = counts.iter().enumerate().filter(|(sum, _)| apart(*sum));
        return far.map(|(_, count)| count).sum::<f64>() / counts.iter().sum::<f64>();
    }
    let far = (0..DRAWN).filter(|_| {
        rng.shuffle(&mut ranks);
        apart(ranks[..count].iter().sum())
    });
    (far.count() + 1) as f64 / (DRAWN + 1) as f64
}

/// Twice the rank of each value among all, equal values sharing the mean of theirs.
fn doubled_ranks(first: &[f64], second: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let rank = |value: &f64| {
        let below = all.iter().filter(|other| *other < value).count();
        let equal = all.iter().filter(|other| *other == value).count();
        2 * below + equal + 1
    };
    all.iter().map(rank).collect()
}

/// In how many ways `count` of the ranks add up to each sum.
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
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    sorted
}

fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests;

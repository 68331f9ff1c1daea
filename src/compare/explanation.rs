//! Explains a comparison in sentences that follow from the metrics and quote them. Pure.

use super::statistics::is_significant;
use crate::compare::export::{p_is, percent_range};
use crate::compare::result::{ModeStats, PairwiseResult};
use crate::model::Mode;

/// Share of the time from which on a phase dominates it.
const DOMINANT: f64 = 0.6;

/// Share of a core from which on a thread is CPU-bound.
const CPU_BOUND_SHARE: f64 = 0.8;

/// Ratio of busy cores from which on one mode uses more of them.
const MORE_CORES: f64 = 1.2;

/// Ratio of CPU times below which one mode does less work.
const LESS_WORK: f64 = 0.8;

/// Explains the times of these contestants. `show_where_time_goes`: whether the conditions allow the time to be explained by
/// the shares of waiting and receiving.
pub(super) fn explanation(
    contestants: &[ModeStats],
    pairs: &[PairwiseResult],
    show_where_time_goes: bool,
) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(where_the_time_goes(contestants).filter(|_| show_where_time_goes));
    sentences.extend(contestants.iter().filter_map(cpu_bound));
    sentences.extend(pairs.iter().filter_map(|pair| difference(pair, contestants)));
    sentences.extend(pairs.iter().filter_map(|pair| faster_by_more_cores(pair, contestants)));
    sentences
}

fn where_the_time_goes(contestants: &[ModeStats]) -> Option<String> {
    // The shares are not known for commands.
    let waiting: Vec<f64> = contestants.iter().filter_map(|one| one.waiting).collect();
    if waiting.is_empty() {
        return None;
    }
    let (least, most) = range(&waiting);
    if least >= DOMINANT {
        return Some(format!(
            "{} of the time per URL is spent waiting for the first byte, so concurrency determines \
             the total time.",
            percent_range(least, most)
        ));
    }
    if most <= 1.0 - DOMINANT {
        let busy = contestants.iter().any(|one| cores_if_cpu_bound(one).is_some());
        let spent_on = if busy {
            "receiving and processing the body"
        } else {
            "receiving the body, so bandwidth determines the total time"
        };
        let share = percent_range(1.0 - most, 1.0 - least);
        return Some(format!("{share} of the time per URL is spent {spent_on}."));
    }
    Some(format!(
        "{} of the time per URL is spent waiting for the first byte, the rest receiving the body.",
        percent_range(least, most)
    ))
}

/// Busy cores of a mode whose threads are CPU-bound; `None` if they are not.
fn cores_if_cpu_bound(one: &ModeStats) -> Option<f64> {
    one.cpu_share.filter(|share| {
        one.worker_threads.is_some_and(|threads| *share >= CPU_BOUND_SHARE * threads)
    })
}

fn cpu_bound(one: &ModeStats) -> Option<String> {
    let share = cores_if_cpu_bound(one)?;
    let threads = match one.worker_threads? {
        1.0 => "one worker thread".to_owned(),
        threads => format!("{threads} worker threads"),
    };
    Some(format!("{} is CPU-bound: it uses {share:.2} cores with {threads}.", one.name()))
}

/// A sentence if one mode is faster than a CPU-bound one because it uses more cores.
fn faster_by_more_cores(pair: &PairwiseResult, contestants: &[ModeStats]) -> Option<String> {
    let (fast, slow) = faster_and_slower(pair)?;
    let (fast, slow) = (&contestants[fast], &contestants[slow]);
    let (few, many) = (cores_if_cpu_bound(slow)?, fast.cpu_share?);
    let (less, more) = (cpu_time(slow)?, cpu_time(fast)?);
    let has_more = fast.worker_threads > slow.worker_threads && many >= MORE_CORES * few;
    (has_more && more >= LESS_WORK * less).then(|| {
        let threads =
            if fast.mode == Mode::Processes.to_string() { "processes" } else { "threads" };
        format!(
            "{} is faster than {} because its {} {threads} use {many:.2} cores instead of {few:.2}, \
             for no less CPU time ({more:.3} s vs {less:.3} s).",
            fast.name(),
            slow.name(),
            fast.worker_threads.unwrap_or_default()
        )
    })
}

fn cpu_time(one: &ModeStats) -> Option<f64> {
    Some(one.cpu_user? + one.cpu_system?)
}

/// The faster and the slower one of a pair; `None` if the difference is not significant.
fn faster_and_slower(pair: &PairwiseResult) -> Option<(usize, usize)> {
    let (first, second) = (pair.first, pair.second);
    let (fast, slow) = if pair.speed_up.ratio > 1.0 { (second, first) } else { (first, second) };
    is_significant(pair.speed_up.deciding_p()).then_some((fast, slow))
}

fn difference(pair: &PairwiseResult, contestants: &[ModeStats]) -> Option<String> {
    let (first, second) = (contestants[pair.first].name(), contestants[pair.second].name());
    let speed_up = pair.speed_up;
    if !is_significant(speed_up.deciding_p()) {
        return Some(format!(
            "No significant difference between {first} and {second} ({}).",
            p_is(speed_up.deciding_p())
        ));
    }
    (pair.first == 0).then(|| match speed_up.ratio {
        ratio if ratio < 1.0 => format!("{first} is {:.2}x as fast as {second}.", 1.0 / ratio),
        ratio => format!("{second} is {ratio:.2}x as fast as {first}."),
    })
}

/// The least and the greatest share.
fn range(shares: &[f64]) -> (f64, f64) {
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    (least, shares.iter().copied().fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::summarize::{mode_stats, pairs};
    use super::*;
    use crate::compare::result::{Sample, TimedSpan};

    /// Explains ten runs of each mode: its name, threads, wall time and CPU time.
    fn said(modes: &[(&str, u64, f64, f64)]) -> String {
        let sample = |block: usize, contestant: usize| {
            let (mode, worker_threads, wall, spent) = modes[contestant];
            let drift = 1.0 + 0.001 * block as f64;
            let (mode, jobs, block) = (mode.to_owned(), 4, block);
            let (cpu_user, cpu_system) = (Some(0.9 * spent * drift), Some(0.1 * spent * drift));
            let (wall, targets) = (wall * drift, Some(16));
            let (waiting, transfer) = (Some(0.2 * wall), Some(0.8 * wall));
            let worker_threads = Some(worker_threads);
            let used = Sample { cpu_user, cpu_system, worker_threads, ..Sample::default() };
            Sample { block, contestant, mode, jobs, wall, targets, waiting, transfer, ..used }
        };
        let samples: Vec<_> = (1..=10)
            .flat_map(|block| (0..modes.len()).map(move |place| (block, place)))
            .map(|(block, place)| sample(block, place))
            .collect();
        let span = TimedSpan::Run;
        let pairs = pairs(&samples, modes.len(), span, &mut Rng::with_seed(0));
        let contestants = mode_stats(&samples, modes.len(), span, &pairs);
        explanation(&contestants, &pairs, true).join("\n")
    }

    const ONE_LOOP: (&str, u64, f64, f64) = ("async", 1, 1.0, 0.97);

    #[test]
    fn threads_ahead_of_a_loop_without_time_left_are_ahead_by_cores() {
        insta::assert_snapshot!(said(&[ONE_LOOP, ("threads", 4, 0.55, 0.99)]), @"
        80% of the time per URL is spent receiving and processing the body.
        async (4 jobs) is CPU-bound: it uses 0.97 cores with one worker thread.
        threads (4 jobs) is 1.82x as fast as async (4 jobs).
        threads (4 jobs) is faster than async (4 jobs) because its 4 threads use 1.80 cores instead of 0.97, for no less CPU time (0.995 s vs 0.975 s).
        ");
    }

    #[test]
    fn how_fast_bytes_come_counts_only_where_the_processor_has_time_left() {
        let said = said(&[("async", 1, 1.0, 0.5), ("threads", 4, 0.9, 0.5)]);
        assert!(
            said.contains("receiving the body, so bandwidth determines the total time."),
            "{said}"
        );
    }

    #[test]
    fn who_does_less_work_is_not_ahead_by_cores() {
        assert!(!said(&[ONE_LOOP, ("threads", 4, 0.4, 0.6)]).contains("because"));
    }

    #[test]
    fn who_has_no_more_threads_or_keeps_no_more_cores_busy_is_not_ahead_by_cores() {
        assert!(!said(&[ONE_LOOP, ("processes", 1, 0.55, 0.99)]).contains("because"));
        assert!(!said(&[ONE_LOOP, ("threads", 4, 0.9, 0.97)]).contains("because"));
    }

    #[test]
    fn of_a_loop_that_waits_nothing_is_said_to_be_ahead_by_cores() {
        let waiting = ("async", 1, 1.0, 0.5);
        assert!(!said(&[waiting, ("threads", 4, 0.5, 0.5)]).contains("because"));
    }

    #[test]
    fn without_a_significant_difference_no_mode_is_faster() {
        let said = said(&[ONE_LOOP, ("threads", 4, 1.0, 1.5)]);
        assert!(
            said.contains("No significant difference between") && !said.contains("because"),
            "{said}"
        );
    }

    #[test]
    fn every_faster_mode_is_explained_whatever_the_order() {
        let modes = [("threads", 4, 0.55, 0.99), ONE_LOOP, ("processes", 4, 0.5, 1.0)];
        let said = said(&modes);
        let said: Vec<_> = said.lines().filter(|line| line.contains("because")).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        let threads = "threads (4 jobs) is faster than async (4 jobs) because its 4 threads";
        assert!(said[0].starts_with(threads), "{said:?}");
        let processes = "processes (4 jobs) is faster than async (4 jobs) because its 4 processes";
        assert!(said[1].starts_with(processes), "{said:?}");
    }
}

//! What the figures say, in sentences: each follows from figures of the table, and names them. Pure.

use super::statistics::is_shown;
use crate::compare::export::probability;
use crate::compare::result::{ModeStats, PairwiseResult};

/// A share of the time above which something is what most of it goes to.
const MOST: f64 = 0.6;

/// A share of a core above which there is little of it left.
const BUSY: f64 = 0.8;

/// So many times as many cores busy are more.
const MORE: f64 = 1.2;

/// The mode whose worker threads are processes.
const PROCESSES: &str = "processes";

/// With a smaller share of the CPU time it is less work.
const NO_LESS: f64 = 0.8;

/// The sentences about these contestants.
pub(super) fn explanation(contestants: &[ModeStats], pairs: &[PairwiseResult]) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(where_the_time_goes(contestants));
    sentences.extend(contestants.iter().filter_map(bound_by_the_processor));
    sentences.extend(pairs.iter().filter_map(|pair| difference(pair, contestants)));
    sentences.extend(pairs.iter().filter_map(|pair| ahead_by_more_cores(pair, contestants)));
    sentences
}

fn where_the_time_goes(contestants: &[ModeStats]) -> Option<String> {
    let waiting: Option<Vec<f64>> = contestants.iter().map(|one| one.waiting).collect();
    let waiting = waiting?;
    let (least, most) = range(&waiting);
    if least >= MOST {
        return Some(format!(
            "Of a URL's time {} is waiting for the first byte: what counts is how many URLs wait \
             at the same time.",
            percent(least, most)
        ));
    }
    if most <= 1.0 - MOST {
        let busy = contestants.iter().any(|one| cores_of_the_busy(one).is_some());
        let what_counts =
            if busy { ", work on it included" } else { ": what counts is how fast bytes come" };
        let share = percent(1.0 - most, 1.0 - least);
        return Some(format!("Of a URL's time {share} is reading the body{what_counts}."));
    }
    Some(format!(
        "Of a URL's time {} is waiting for the first byte, the rest reading the body.",
        percent(least, most)
    ))
}

/// How many cores few threads keep busy that are as busy as they can be.
fn cores_of_the_busy(one: &ModeStats) -> Option<f64> {
    one.cpu_share.filter(|share| *share >= BUSY * one.worker_threads)
}

fn bound_by_the_processor(one: &ModeStats) -> Option<String> {
    let share = cores_of_the_busy(one)?;
    let threads = if one.worker_threads == 1.0 {
        "its one thread has".to_owned()
    } else {
        format!("its {} threads have", one.worker_threads)
    };
    Some(format!(
        "{} keeps {share:.2} cores busy: {threads} no time left, so the processor bounds it.",
        one.name()
    ))
}

/// Why one is ahead of another whose threads have no time left: it has more of them for the same work.
fn ahead_by_more_cores(pair: &PairwiseResult, contestants: &[ModeStats]) -> Option<String> {
    let (fast, slow) = ahead(pair)?;
    let (fast, slow) = (&contestants[fast], &contestants[slow]);
    let (few, many) = (cores_of_the_busy(slow)?, fast.cpu_share?);
    let (less, more) = (spent(slow)?, spent(fast)?);
    let has_more = fast.worker_threads > slow.worker_threads && many >= MORE * few;
    (has_more && more >= NO_LESS * less).then(|| {
        let threads = if fast.mode == PROCESSES { "processes" } else { "threads" };
        format!(
            "{} is ahead of {} because its {} {threads} keep {many:.2} cores busy instead of \
             {few:.2}, for no less work: {more:.3} s of CPU time against {less:.3} s.",
            fast.name(),
            slow.name(),
            fast.worker_threads
        )
    })
}

fn spent(one: &ModeStats) -> Option<f64> {
    Some(one.cpu_user? + one.cpu_system?)
}

/// The one of a pair that is shown to be ahead, and the other.
fn ahead(pair: &PairwiseResult) -> Option<(usize, usize)> {
    let (first, second) = (pair.first, pair.second);
    let (fast, slow) = if pair.speed_up.ratio > 1.0 { (second, first) } else { (first, second) };
    is_shown(pair.speed_up.p).then_some((fast, slow))
}

fn difference(pair: &PairwiseResult, contestants: &[ModeStats]) -> Option<String> {
    let (first, second) = (contestants[pair.first].name(), contestants[pair.second].name());
    let speed_up = pair.speed_up;
    if !is_shown(speed_up.p) {
        return Some(format!(
            "Between {first} and {second} no difference is shown (p = {}).",
            probability(speed_up.p)
        ));
    }
    (pair.first == 0).then(|| {
        let (ratio, word) = match speed_up.ratio {
            ratio if ratio < 1.0 => (1.0 / ratio, "slow"),
            ratio => (ratio, "fast"),
        };
        format!("{second} is {ratio:.2} times as {word} as {first}.")
    })
}

fn range(shares: &[f64]) -> (f64, f64) {
    let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
    (least, shares.iter().copied().fold(0.0, f64::max))
}

fn percent(least: f64, most: f64) -> String {
    match (format!("{:.0}", 100.0 * least), format!("{:.0}", 100.0 * most)) {
        (least, most) if least == most => format!("{most} %"),
        (least, most) => format!("{least} to {most} %"),
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::super::summarize::{mode_stats, pairs};
    use super::*;
    use crate::compare::result::Sample;

    /// What is said of ten runs of each mode: its name, its threads, how long they took, and the CPU time in them.
    fn told(modes: &[(&str, u64, f64, f64)]) -> String {
        let sample = |block: usize, contestant: usize| {
            let (mode, worker_threads, wall, spent) = modes[contestant];
            let drift = 1.0 + 0.001 * block as f64;
            let (mode, jobs, block) = (mode.to_owned(), 4, block);
            let (cpu_user, cpu_system) = (Some(0.9 * spent * drift), Some(0.1 * spent * drift));
            let (wall, targets) = (wall * drift, 16);
            let (waiting, transfer) = (0.2 * wall, 0.8 * wall);
            let used = Sample { cpu_user, cpu_system, worker_threads, ..Sample::default() };
            Sample { block, contestant, mode, jobs, wall, targets, waiting, transfer, ..used }
        };
        let samples: Vec<_> = (1..=10)
            .flat_map(|block| (0..modes.len()).map(move |place| (block, place)))
            .map(|(block, place)| sample(block, place))
            .collect();
        let contestants = mode_stats(&samples, modes.len(), &mut Rng::with_seed(0));
        let pairs = pairs(&samples, modes.len(), &mut Rng::with_seed(0));
        explanation(&contestants, &pairs).join("\n")
    }

    const ONE_LOOP: (&str, u64, f64, f64) = ("async", 1, 1.0, 0.97);

    #[test]
    fn threads_ahead_of_a_loop_without_time_left_are_ahead_by_cores() {
        insta::assert_snapshot!(told(&[ONE_LOOP, ("threads", 4, 0.55, 0.99)]), @"
        Of a URL's time 80 % is reading the body, work on it included.
        async (4 jobs) keeps 0.97 cores busy: its one thread has no time left, so the processor bounds it.
        threads (4 jobs) is 1.82 times as fast as async (4 jobs).
        threads (4 jobs) is ahead of async (4 jobs) because its 4 threads keep 1.80 cores busy instead of 0.97, for no less work: 0.995 s of CPU time against 0.975 s.
        ");
    }

    #[test]
    fn how_fast_bytes_come_counts_only_where_the_processor_has_time_left() {
        let told = told(&[("async", 1, 1.0, 0.5), ("threads", 4, 0.9, 0.5)]);
        assert!(told.contains("reading the body: what counts is how fast bytes come."), "{told}");
    }

    #[test]
    fn who_does_less_work_is_not_ahead_by_cores() {
        assert!(!told(&[ONE_LOOP, ("threads", 4, 0.4, 0.6)]).contains("because"));
    }

    #[test]
    fn who_has_no_more_threads_or_keeps_no_more_cores_busy_is_not_ahead_by_cores() {
        assert!(!told(&[ONE_LOOP, ("processes", 1, 0.55, 0.99)]).contains("because"));
        assert!(!told(&[ONE_LOOP, ("threads", 4, 0.9, 0.97)]).contains("because"));
    }

    #[test]
    fn of_a_loop_that_waits_nothing_is_said_to_be_ahead_by_cores() {
        let waiting = ("async", 1, 1.0, 0.5);
        assert!(!told(&[waiting, ("threads", 4, 0.5, 0.5)]).contains("because"));
    }

    #[test]
    fn where_no_difference_is_shown_nobody_is_ahead() {
        let told = told(&[ONE_LOOP, ("threads", 4, 1.0, 1.5)]);
        assert!(told.contains("no difference is shown") && !told.contains("because"), "{told}");
    }

    #[test]
    fn all_that_are_ahead_are_told_of_whatever_their_order() {
        let modes = [("threads", 4, 0.55, 0.99), ONE_LOOP, ("processes", 4, 0.5, 1.0)];
        let told = told(&modes);
        let told: Vec<_> = told.lines().filter(|line| line.contains("because")).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0]
                .starts_with("threads (4 jobs) is ahead of async (4 jobs) because its 4 threads")
        );
        let processes = "processes (4 jobs) is ahead of async (4 jobs) because its 4 processes";
        assert!(told[1].starts_with(processes), "{told:?}");
    }
}

//! Summarizes samples: statistics per contestant, and all pairs. Pure.

use fastrand::Rng;

use super::statistics::{adjust_for_number, interval_of_median, median, speed_up};
use crate::compare::result::{
    LatencyQuantiles, ModeStats, PairwiseResult, Sample, SpeedUp, TimedSpan, WallTime,
};

/// Compares every two contestants.
pub(super) fn pairs(
    samples: &[Sample],
    contestants: usize,
    span: TimedSpan,
    rng: &mut Rng,
) -> Vec<PairwiseResult> {
    let times: Vec<_> = (0..contestants).map(|one| times(samples, one, span)).collect();
    let both = (0..contestants).flat_map(|first| (first + 1..contestants).map(move |b| (first, b)));
    let pair = |(first, second): (usize, usize)| {
        let speed_up = speed_up(&times[first], &times[second], rng);
        PairwiseResult { first, second, speed_up }
    };
    let mut pairs: Vec<_> = both.map(pair).collect();
    adjust(pairs.iter_mut().map(|pair| &mut pair.speed_up).collect());
    pairs
}

/// Adjusts the p-values of comparisons that are reported together.
pub(super) fn adjust(mut speed_ups: Vec<&mut SpeedUp>) {
    let probabilities: Vec<f64> = speed_ups.iter().map(|speed_up| speed_up.p).collect();
    for (speed_up, adjusted) in speed_ups.iter_mut().zip(adjust_for_number(&probabilities)) {
        speed_up.p_adjusted = Some(adjusted);
    }
}

/// Statistics of each contestant.
pub(super) fn mode_stats(
    samples: &[Sample],
    contestants: usize,
    span: TimedSpan,
    pairs: &[PairwiseResult],
) -> Vec<ModeStats> {
    let stats = |contestant: usize| {
        let of: Vec<_> = samples.iter().filter(|sample| sample.contestant == contestant).collect();
        let pair = pairs.iter().find(|pair| (pair.first, pair.second) == (0, contestant));
        stats_of(&of, span, pair.map(|pair| pair.speed_up))
    };
    (0..contestants).map(stats).collect()
}

/// The compared times of a contestant's samples.
pub(super) fn times(samples: &[Sample], contestant: usize, span: TimedSpan) -> Vec<f64> {
    let of = samples.iter().filter(|sample| sample.contestant == contestant);
    of.map(|sample| sample.timed(span)).collect()
}

/// Makes the names unique: equal ones get numbers.
pub(super) fn make_unique(names: &[String]) -> Vec<String> {
    let number = |(place, name): (usize, &String)| {
        let equal = |others: &[String]| others.iter().filter(|other| *other == name).count();
        match equal(names) {
            1 => name.clone(),
            _ => format!("{name} #{}", equal(&names[..=place])),
        }
    };
    names.iter().enumerate().map(number).collect()
}

fn stats_of(samples: &[&Sample], span: TimedSpan, speed_up: Option<SpeedUp>) -> ModeStats {
    let known = |figure: &dyn Fn(&Sample) -> Option<f64>| {
        let figures: Vec<f64> = samples.iter().filter_map(|sample| figure(sample)).collect();
        (!figures.is_empty()).then(|| median(&figures))
    };
    let count = |figure: &dyn Fn(&Sample) -> Option<u64>| {
        known(&|sample| figure(sample).map(|count| count as f64))
    };
    let spread = |of: &dyn Fn(&Sample) -> LatencyQuantiles| LatencyQuantiles {
        p50: known(&|sample| of(sample).p50),
        p90: known(&|sample| of(sample).p90),
        p99: known(&|sample| of(sample).p99),
    };
    let times: Vec<f64> = samples.iter().map(|sample| sample.timed(span)).collect();
    ModeStats {
        mode: samples[0].mode.clone(),
        jobs: samples[0].jobs,
        name: String::new(),
        command: None,
        wall: WallTime {
            median: median(&times),
            interval: interval_of_median(&times),
            min: times.iter().copied().fold(f64::INFINITY, f64::min),
            max: times.iter().copied().fold(0.0, f64::max),
        },
        speed_up,
        setup: known(&|sample| sample.setup),
        process: known(&|sample| sample.process),
        bytes_per_second: known(&|sample| Some(sample.wire_bytes? as f64 / sample.timed(span))),
        urls_per_second: known(&|sample| Some(sample.targets? as f64 / sample.timed(span))),
        first_byte: spread(&|sample| sample.first_byte),
        total: spread(&|sample| sample.total),
        waiting: known(&|sample| {
            let busy = sample.waiting? + sample.transfer?;
            (busy > 0.0).then_some(sample.waiting? / busy)
        }),
        cpu_user: known(&|sample| sample.cpu_user),
        cpu_system: known(&|sample| sample.cpu_system),
        cpu_share: known(&|sample| {
            Some((sample.cpu_user? + sample.cpu_system?) / sample.process_time())
        }),
        cpu_wait: known(&Sample::cpu_wait),
        peak_memory: count(&|sample| sample.peak_memory),
        worker_threads: count(&|sample| sample.worker_threads),
        voluntary_switches: count(&|sample| sample.voluntary_switches),
        involuntary_switches: count(&|sample| sample.involuntary_switches),
        requests: count(&|sample| sample.requests),
        connections: count(&|sample| sample.connections),
        handshakes: count(&|sample| sample.handshakes),
        lookups: count(&|sample| sample.lookups),
        retries: count(&|sample| sample.retries),
        retry_wait: known(&|sample| sample.retry_share(span)),
        failed: count(&|sample| sample.failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_of_a_table_go_by_its_wall_time_and_cpu_time_by_that_of_the_process() {
        let sample = Sample {
            wall: 0.002,
            setup: Some(0.001),
            process: Some(0.016),
            targets: Some(1),
            wire_bytes: Some(1000),
            retry_wait: Some(0.001),
            cpu_user: Some(0.003),
            cpu_system: Some(0.001),
            ..Sample::default()
        };
        let near = |one: Option<f64>, other: f64| (one.unwrap() - other).abs() < 1e-9;
        for (span, wall) in [(TimedSpan::Run, 0.002), (TimedSpan::Process, 0.016)] {
            let stats = stats_of(&[&sample], span, None);
            assert!(near(Some(stats.wall.median), wall));
            assert!(near(stats.urls_per_second, 1.0 / wall), "{stats:?}");
            assert!(near(stats.bytes_per_second, 1000.0 / wall), "{stats:?}");
            assert!(near(stats.retry_wait, 0.001 / wall), "{stats:?}");
            assert!(near(stats.cpu_share, 0.25), "{stats:?}");
        }
    }

    #[test]
    fn contestants_of_one_name_get_numbers() {
        let names = ["async", "threads", "async"].map(str::to_owned);
        assert_eq!(make_unique(&names), ["async #1", "threads", "async #2"]);
    }
}

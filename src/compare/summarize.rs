//! Samples -> where each contestant stands, and how every two differ. Pure.

use fastrand::Rng;

use super::statistics::{interval_of_median, median, speed_up};
use crate::compare::result::{
    LatencyQuantiles, ModeStats, PairwiseResult, Sample, SpeedUp, WallTime,
};

/// Where each of the contestants stands.
pub(super) fn mode_stats(samples: &[Sample], contestants: usize, rng: &mut Rng) -> Vec<ModeStats> {
    let first = wall_times(samples, 0);
    let standing = |contestant: usize| {
        let of = of(samples, contestant);
        let speed_up =
            (contestant > 0).then(|| speed_up(&first, &wall_times(samples, contestant), rng));
        stats_of(&of, speed_up)
    };
    (0..contestants).map(standing).collect()
}

/// How every two of them differ.
pub(super) fn pairs(samples: &[Sample], contestants: usize, rng: &mut Rng) -> Vec<PairwiseResult> {
    let both = (0..contestants).flat_map(|first| (first + 1..contestants).map(move |b| (first, b)));
    let pair = |(first, second): (usize, usize)| {
        let speed_up = speed_up(&wall_times(samples, first), &wall_times(samples, second), rng);
        PairwiseResult { first, second, speed_up }
    };
    both.map(pair).collect()
}

fn of(samples: &[Sample], contestant: usize) -> Vec<&Sample> {
    samples.iter().filter(|sample| sample.contestant == contestant).collect()
}

fn wall_times(samples: &[Sample], contestant: usize) -> Vec<f64> {
    of(samples, contestant).iter().map(|sample| sample.wall).collect()
}

fn stats_of(samples: &[&Sample], speed_up: Option<SpeedUp>) -> ModeStats {
    let known = |figure: &dyn Fn(&Sample) -> Option<f64>| {
        let figures: Vec<f64> = samples.iter().filter_map(|sample| figure(sample)).collect();
        (!figures.is_empty()).then(|| median(&figures))
    };
    let every = |figure: &dyn Fn(&Sample) -> f64| {
        median(&samples.iter().map(|sample| figure(sample)).collect::<Vec<_>>())
    };
    let spread = |of: &dyn Fn(&Sample) -> LatencyQuantiles| LatencyQuantiles {
        p50: known(&|sample| of(sample).p50),
        p90: known(&|sample| of(sample).p90),
        p99: known(&|sample| of(sample).p99),
    };
    let walls: Vec<f64> = samples.iter().map(|sample| sample.wall).collect();
    ModeStats {
        mode: samples[0].mode.clone(),
        jobs: samples[0].jobs,
        wall: WallTime {
            median: median(&walls),
            interval: interval_of_median(&walls),
            min: walls.iter().copied().fold(f64::INFINITY, f64::min),
            max: walls.iter().copied().fold(0.0, f64::max),
        },
        speed_up,
        setup: every(&|sample| sample.setup),
        bytes_per_second: every(&|sample| sample.wire_bytes as f64 / sample.wall),
        urls_per_second: every(&|sample| sample.targets as f64 / sample.wall),
        first_byte: spread(&|sample| sample.first_byte),
        total: spread(&|sample| sample.total),
        waiting: known(&|sample| {
            let busy = sample.waiting + sample.transfer;
            (busy > 0.0).then(|| sample.waiting / busy)
        }),
        cpu_user: known(&|sample| sample.cpu_user),
        cpu_system: known(&|sample| sample.cpu_system),
        cpu_share: known(&|sample| {
            Some((sample.cpu_user? + sample.cpu_system?) / (sample.setup + sample.wall))
        }),
        peak_memory: known(&|sample| sample.peak_memory.map(|bytes| bytes as f64)),
        worker_threads: every(&|sample| sample.worker_threads as f64),
        voluntary_switches: known(&|sample| sample.voluntary_switches.map(|times| times as f64)),
        involuntary_switches: known(&|sample| {
            sample.involuntary_switches.map(|times| times as f64)
        }),
        requests: every(&|sample| sample.requests as f64),
        connections: every(&|sample| sample.connections as f64),
        handshakes: every(&|sample| sample.handshakes as f64),
        lookups: every(&|sample| sample.lookups as f64),
        retries: every(&|sample| sample.retries as f64),
    }
}

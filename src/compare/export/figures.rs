//! The figures of a contestant, as every table of a comparison tells them. Pure.

use crate::compare::result::{Interval, LatencyQuantiles, ModeStats};
use crate::units::human_bytes;

/// A row of a table: what it is called, and how the figure of a contestant is told.
pub struct MetricRow {
    /// What it is called where it stands alone.
    pub name: &'static str,
    /// What it is called below the one before.
    pub short: &'static str,
    /// Its text; `-` where it is not known.
    pub told: fn(&ModeStats) -> String,
}

/// Rows that belong together.
pub struct MetricGroup {
    /// What they are about.
    pub name: &'static str,
    /// They.
    pub figures: &'static [MetricRow],
}

/// All rows in their order.
pub const FIGURES: &[MetricGroup] = &[
    MetricGroup {
        name: "Time of the whole run",
        figures: &[
            figure("Wall time", wall_time),
            part("Wall time, 95 % interval", "95 % interval", wall_interval),
            part("Wall time, min-max", "min-max", |one| {
                precise(Interval { low: one.wall.min, high: one.wall.max })
            }),
            figure("Speed-up", speed_up),
            part("Speed-up, 95 % interval", "95 % interval", speed_up_interval),
            part("Speed-up, rank test, p", "rank test, p", rank_test),
            figure("Set-up time", |one| seconds(one.setup)),
        ],
    },
    MetricGroup {
        name: "URLs and bytes",
        figures: &[
            figure("Bytes a second", |one| human_bytes(one.bytes_per_second as u64)),
            figure("URLs a second", |one| number(one.urls_per_second)),
            figure("First byte, p50", |one| known(one.first_byte.p50, seconds)),
            part("First byte, p90, p99", "p90, p99", |one| upper(one.first_byte)),
            figure("Whole URL, p50", |one| known(one.total.p50, seconds)),
            part("Whole URL, p90, p99", "p90, p99", |one| upper(one.total)),
            figure("Waiting, share", |one| known(one.waiting, percent)),
            figure("Reading, share", |one| known(one.waiting.map(|share| 1.0 - share), percent)),
        ],
    },
    MetricGroup {
        name: "Processor and memory",
        figures: &[
            figure("CPU, user", |one| known(one.cpu_user, seconds)),
            figure("CPU, system", |one| known(one.cpu_system, seconds)),
            figure("CPU, of a core", |one| known(one.cpu_share, percent)),
            figure("Peak memory", |one| known(one.peak_memory, |of| human_bytes(of as u64))),
            figure("Worker threads", |one| number(one.worker_threads)),
            figure("Switches, to wait", |one| known(one.voluntary_switches, number)),
            figure("Switches, forced", |one| known(one.involuntary_switches, number)),
        ],
    },
    MetricGroup {
        name: "Network",
        figures: &[
            figure("Requests", |one| number(one.requests)),
            figure("Connections", |one| number(one.connections)),
            figure("TLS handshakes", |one| number(one.handshakes)),
            figure("Name lookups", |one| number(one.lookups)),
            figure("Retries", |one| number(one.retries)),
        ],
    },
];

/// Those that say how contestants stand, in short.
pub(crate) const IN_SHORT: [fn(&ModeStats) -> String; 5] =
    [wall_time, wall_interval, speed_up, speed_up_interval, rank_test];

const fn figure(name: &'static str, told: fn(&ModeStats) -> String) -> MetricRow {
    MetricRow { name, short: name, told }
}

const fn part(
    name: &'static str,
    short: &'static str,
    told: fn(&ModeStats) -> String,
) -> MetricRow {
    MetricRow { name, short, told }
}

impl MetricRow {
    /// Whether it tells more of the one before.
    pub fn is_part(&self) -> bool {
        self.name != self.short
    }
}

fn wall_time(one: &ModeStats) -> String {
    seconds(one.wall.median)
}

fn wall_interval(one: &ModeStats) -> String {
    one.wall.interval.map_or(none(), precise)
}

fn speed_up(one: &ModeStats) -> String {
    one.speed_up.map_or("1".to_owned(), |of| times(of.ratio))
}

fn speed_up_interval(one: &ModeStats) -> String {
    one.speed_up.and_then(|of| of.interval).map_or(none(), interval)
}

fn rank_test(one: &ModeStats) -> String {
    one.speed_up.map_or(none(), |of| probability(of.p))
}

/// A probability as it is told.
pub fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// How many times as fast.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2} x")
}

/// From where to where, of ratios.
pub(crate) fn interval(of: Interval) -> String {
    format!("{:.2}-{:.2}", of.low, of.high)
}

/// A time.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.3} s")
}

/// What may not be known.
pub(crate) fn known(figure: Option<f64>, told: fn(f64) -> String) -> String {
    figure.map_or(none(), told)
}

fn none() -> String {
    "-".to_owned()
}

fn precise(of: Interval) -> String {
    format!("{:.3}-{:.3}", of.low, of.high)
}

fn upper(of: LatencyQuantiles) -> String {
    match (of.p90, of.p99) {
        (Some(p90), Some(p99)) => format!("{p90:.3}, {p99:.3}"),
        _ => none(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn number(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.1}") }
}

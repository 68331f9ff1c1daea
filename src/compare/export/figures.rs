//! The metrics of a contestant, in the order and form in which every table of a comparison shows them. Pure.

use crate::compare::result::{Interval, LatencyQuantiles, ModeStats};
use crate::units::{grouped, human_bytes};

/// A row of a table: a metric, and how its value is written.
pub(crate) struct MetricRow {
    /// Its full name.
    pub name: &'static str,
    /// Its name below the metric that it belongs to.
    pub short: &'static str,
    /// Writes its value; `-` if it is not known.
    pub text: fn(&ModeStats) -> String,
}

/// Metrics that belong together.
pub(crate) struct MetricGroup {
    /// Name of the group.
    pub name: &'static str,
    /// The metrics.
    pub figures: &'static [MetricRow],
}

/// All metrics in their order.
pub(crate) const FIGURES: &[MetricGroup] = &[
    MetricGroup {
        name: "Total time",
        figures: &[
            figure("Wall time", wall_time),
            detail("Wall time, 95% CI", "95% CI", wall_interval),
            detail("Wall time, range", "range", |one| {
                time_interval(Interval { low: one.wall.min, high: one.wall.max })
            }),
            figure("Speedup", speed_up),
            detail("Speedup, 95% CI", "95% CI", speed_up_interval),
            detail("Speedup, p-value (Mann-Whitney U)", "p-value (U test)", p_value),
            detail("Speedup, p-value adjusted (Holm)", "adjusted (Holm)", adjusted_p),
            figure("Setup time", |one| known(one.setup, seconds)),
            figure("Process time", |one| known(one.process, seconds)),
        ],
    },
    MetricGroup {
        name: "URLs and bytes",
        figures: &[
            figure("Throughput", |one| {
                known(one.bytes_per_second, |rate| format!("{}/s", human_bytes(rate as u64)))
            }),
            figure("URLs/s", |one| known(one.urls_per_second, number)),
            figure("Time to first byte, p50", |one| known(one.first_byte.p50, seconds)),
            detail("Time to first byte, p90, p99", "p90, p99", |one| {
                upper_quantiles(one.first_byte)
            }),
            figure("Time per URL, p50", |one| known(one.total.p50, seconds)),
            detail("Time per URL, p90, p99", "p90, p99", |one| upper_quantiles(one.total)),
            figure("Waiting (% of URL time)", |one| known(one.waiting, percent)),
            figure("Receiving (%)", |one| known(one.waiting.map(|share| 1.0 - share), percent)),
            figure("Retry wait (% of wall)", |one| known(one.retry_wait, percent)),
            figure("Failed", |one| known(one.failed, number)),
        ],
    },
    MetricGroup {
        name: "CPU and memory",
        figures: &[
            figure("CPU, user", |one| known(one.cpu_user, seconds)),
            figure("CPU, system", |one| known(one.cpu_system, seconds)),
            figure("CPU (% of process time)", |one| known(one.cpu_share, percent)),
            figure("Waiting for CPU", |one| known(one.cpu_wait, percent)),
            figure("Peak memory", |one| known(one.peak_memory, |of| human_bytes(of as u64))),
            figure("Worker threads", |one| known(one.worker_threads, number)),
            figure("Voluntary switches", |one| known(one.voluntary_switches, number)),
            figure("Involuntary switches", |one| known(one.involuntary_switches, number)),
        ],
    },
    MetricGroup {
        name: "Network",
        figures: &[
            figure("Requests", |one| known(one.requests, number)),
            figure("Connections", |one| known(one.connections, number)),
            figure("TLS handshakes", |one| known(one.handshakes, number)),
            figure("DNS lookups", |one| known(one.lookups, number)),
            figure("Retries", |one| known(one.retries, number)),
        ],
    },
];

/// The metrics of the summary.
pub(crate) const SUMMARY: [fn(&ModeStats) -> String; 5] =
    [wall_time, wall_interval, speed_up, speed_up_interval, deciding_p_value];

const fn figure(name: &'static str, text: fn(&ModeStats) -> String) -> MetricRow {
    MetricRow { name, short: name, text }
}

const fn detail(
    name: &'static str,
    short: &'static str,
    text: fn(&ModeStats) -> String,
) -> MetricRow {
    MetricRow { name, short, text }
}

impl MetricRow {
    /// Whether this row is a detail of the previous one (indented in tables).
    pub(crate) fn is_part(&self) -> bool {
        self.name != self.short
    }
}

fn wall_time(one: &ModeStats) -> String {
    seconds(one.wall.median)
}

fn wall_interval(one: &ModeStats) -> String {
    one.wall.interval.map_or(none(), time_interval)
}

fn speed_up(one: &ModeStats) -> String {
    one.speed_up.map_or("1".to_owned(), |of| times(of.ratio))
}

fn speed_up_interval(one: &ModeStats) -> String {
    one.speed_up.and_then(|of| of.interval).map_or(none(), interval)
}

fn p_value(one: &ModeStats) -> String {
    one.speed_up.map_or(none(), |of| probability(of.p))
}

fn adjusted_p(one: &ModeStats) -> String {
    one.speed_up.and_then(|of| of.p_adjusted).map_or(none(), probability)
}

/// The probability that decides whether the difference is significant.
fn deciding_p_value(one: &ModeStats) -> String {
    one.speed_up.map_or(none(), |of| probability(of.deciding_p()))
}

/// Writes a probability.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Writes a probability with `p` before it: `p = 0.042`.
pub(crate) fn p_is(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// Writes a ratio.
pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// Writes an interval of ratios.
pub(crate) fn interval(of: Interval) -> String {
    format!("{:.2}-{:.2}", of.low, of.high)
}

/// Writes a time.
pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.3} s")
}

/// Writes a value that may not be known.
pub(crate) fn known(value: Option<f64>, text: fn(f64) -> String) -> String {
    value.map_or(none(), text)
}

fn none() -> String {
    "-".to_owned()
}

fn time_interval(of: Interval) -> String {
    format!("{:.3}-{:.3}", of.low, of.high)
}

fn upper_quantiles(of: LatencyQuantiles) -> String {
    match (of.p90, of.p99) {
        (Some(p90), Some(p99)) => format!("{p90:.3}, {p99:.3}"),
        _ => none(),
    }
}

/// Writes a share.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// Writes a range of shares, at most 100%.
pub(crate) fn percent_range(least: f64, most: f64) -> String {
    let [least, most] = [least, most].map(|share| format!("{:.0}", (100.0 * share).min(100.0)));
    if least == most { format!("{most}%") } else { format!("{least}-{most}%") }
}

fn number(number: f64) -> String {
    match number {
        0.0..1e18 if number.fract() == 0.0 => grouped(number as u64),
        _ => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_shares_that_are_equal_is_one_number() {
        assert_eq!(percent_range(0.5, 0.734), "50-73%");
        assert_eq!(percent_range(0.9, 1.2), "90-100%");
        assert_eq!(percent_range(0.7, 0.7), "70%");
    }
}

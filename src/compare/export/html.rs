//! A comparison as an HTML page: summary, findings, charts of runs and intervals, all metrics. Pure.
//!
//! The page is built as that of a run is: all external text is JSON in it, and only shown as text.

use std::io;

use serde_json::{Value, json};

use super::figures::{
    FIGURES, MetricRow, SUMMARY, interval, known, percent, probability, seconds, times,
};
use super::{against, head, remarks};
use crate::compare::result::{Comparison, Interval, ModeStats, PairwiseResult, Sample};
use crate::report::escape::printable;
use crate::report::html::filled;
use crate::units::human_bytes;

const PAGE: &str = include_str!("html/comparison.html");
const SCRIPT: &str =
    concat!(include_str!("../../report/html/common.js"), include_str!("html/comparison.js"));

/// Columns of the table of runs.
const COLUMNS: [&str; 18] = [
    "Run",
    "Block",
    "Mode",
    "Wall time",
    "Setup time",
    "Time to first byte, p50",
    "CPU, user",
    "CPU, system",
    "Peak memory",
    "Worker threads",
    "Connections",
    "Handshakes",
    "Retries",
    "Fetched",
    "Failed",
    "Retry wait",
    "Waiting for CPU",
    "Other load",
];

/// Writes the page.
pub(crate) fn page(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    filled(PAGE, SCRIPT, &data(comparison), page);
    Ok(())
}

fn data(comparison: &Comparison) -> Value {
    let Comparison { contestants, pairs, samples, .. } = comparison;
    let names: Vec<String> =
        contestants.iter().map(|one| printable(&one.name()).into_owned()).collect();
    let figures = FIGURES.iter().map(|group| {
        let rows = group.figures.iter().map(|figure| row(figure, contestants));
        (group.name, rows.collect::<Vec<_>>())
    });
    let of = |place| walls(comparison, place);
    let head = head(comparison);
    json!({
        "verdict": printable(&comparison.verdict),
        "comparable": comparison.comparable,
        "head": safe(std::iter::once(&format!("{}: {}.", head.workload, head.extent)).chain(&head.lines)),
        "reasons": safe(comparison.reasons.iter()),
        "words": words(comparison),
        "contestants": contestants.iter().enumerate()
            .map(|(place, one)| contestant(one, &names[place], &of(place)))
            .collect::<Vec<_>>(),
        "figures": figures.collect::<Vec<_>>(),
        "pairs": pairs.iter().map(|one| pair(one, &names)).collect::<Vec<_>>(),
        "columns": COLUMNS,
        "samples": samples.iter().zip(1..)
            .map(|(one, order)| sample(one, order, &names))
            .collect::<Vec<_>>(),
        "how": how(comparison),
    })
}

fn safe<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    texts.map(|text| printable(text).into_owned()).collect()
}

fn words(comparison: &Comparison) -> Vec<String> {
    let notes: Vec<_> =
        remarks(comparison).iter().map(|remark| format!("Note: {remark}")).collect();
    safe(comparison.explanation.iter().chain(&notes).chain(&against(comparison)))
}

fn row(figure: &MetricRow, contestants: &[ModeStats]) -> Value {
    let values: Vec<String> = contestants.iter().map(figure.text).collect();
    json!([figure.name, figure.is_part(), values])
}

fn contestant(one: &ModeStats, name: &str, walls: &[f64]) -> Value {
    json!({
        "name": name,
        "short": SUMMARY.map(|figure| figure(one)),
        "wall": { "runs": walls, "median": one.wall.median, "interval": one.wall.interval.map(ends) },
        "speed_up": one.speed_up
            .map(|of| json!({ "ratio": of.ratio, "interval": of.interval.map(ends) })),
    })
}

fn walls(comparison: &Comparison, contestant: usize) -> Vec<f64> {
    let of = comparison.samples.iter().filter(|sample| sample.contestant == contestant);
    of.map(|sample| sample.timed(comparison.timed)).collect()
}

fn ends(of: Interval) -> [f64; 2] {
    [of.low, of.high]
}

/// The second of two, the first, and their ratio with its interval and p-value.
fn pair(pair: &PairwiseResult, names: &[String]) -> [String; 5] {
    let speed_up = pair.speed_up;
    [
        names[pair.second].clone(),
        names[pair.first].clone(),
        times(speed_up.ratio),
        speed_up.interval.map_or("-".to_owned(), interval),
        probability(speed_up.deciding_p()),
    ]
}

fn sample(one: &Sample, order: usize, names: &[String]) -> [String; COLUMNS.len()] {
    [
        order.to_string(),
        one.block.to_string(),
        names[one.contestant].clone(),
        seconds(one.wall),
        known(one.setup, seconds),
        known(one.first_byte.p50, seconds),
        known(one.cpu_user, seconds),
        known(one.cpu_system, seconds),
        one.peak_memory.map_or("-".to_owned(), human_bytes),
        count(one.worker_threads),
        count(one.connections),
        count(one.handshakes),
        count(one.retries),
        one.ok.zip(one.targets).map_or("-".to_owned(), |(ok, all)| format!("{ok} of {all}")),
        count(one.failed),
        known(one.retry_wait, seconds),
        known(one.cpu_wait(), percent),
        known(one.other_load, |cores| format!("{cores:.1} cores")),
    ]
}

fn count(count: Option<u64>) -> String {
    count.map_or("-".to_owned(), |count| count.to_string())
}

/// The method: names and values.
fn how(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let list = |texts: &[String]| safe(texts.iter()).join(" ");
    let mut how = vec![
        ("Runs per mode", comparison.runs.to_string()),
        ("Warm-up runs", comparison.warmup.to_string()),
        ("Seed", comparison.seed.to_string()),
        ("URLs", comparison.targets.to_string()),
        ("Bytes", human_bytes(comparison.bytes)),
    ];
    how.extend(comparison.cores.map(|cores| ("CPU cores", cores.to_string())));
    let texts = [
        ("Sources", list(&comparison.sources)),
        ("Options", list(&comparison.options)),
        ("Started", printable(&comparison.started_at).into_owned()),
        ("Version", printable(&comparison.program).into_owned()),
    ];
    how.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()));
    how
}

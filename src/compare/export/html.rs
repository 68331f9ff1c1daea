//! A comparison as an HTML page: verdict, summary, findings, metrics and runs as plain HTML, charts by a script. Pure.
//!
//! The page is built like that of a run: external text is escaped, or is in JSON that is only shown as text.

use std::io;

use serde_json::{Value, json};

use super::figures::{
    FIGURES, MetricRow, SUMMARY, interval, known, percent, probability, seconds, times,
};
use super::{against, head, remarks};
use crate::compare::result::{Comparison, Interval, ModeStats, PairwiseResult, Sample, TimedSpan};
use crate::report::escape::{printable, readable_message};
use crate::report::html::markup::{self, HtmlCell, HtmlColumn, HtmlRowGroup, columns};
use crate::report::html::{fill, readable_time};
use crate::units::{grouped, human_bytes};

const PAGE: &str = include_str!("html/comparison.html");
const SCRIPT: &str =
    concat!(include_str!("../../report/html/common.js"), include_str!("html/comparison.js"));

/// Columns of the table of runs; a `#` before a name marks a column of numbers.
const COLUMNS: [&str; 18] = [
    "#Run",
    "#Block",
    "Mode",
    "#Wall time",
    "#Setup time",
    "#Time to first byte, p50",
    "#CPU, user",
    "#CPU, system",
    "#Peak memory",
    "#Worker threads",
    "#Connections",
    "#Handshakes",
    "#Retries",
    "#Fetched",
    "#Failed",
    "#Retry wait",
    "#Waiting for CPU",
    "#Other load",
];

/// Writes the page.
pub(crate) fn page(comparison: &Comparison, out: &mut Vec<u8>) -> io::Result<()> {
    let contestants = &comparison.contestants;
    let names: Vec<String> =
        contestants.iter().map(|one| printable(&one.name()).into_owned()).collect();
    let head = head(comparison);
    let first = format!("{}: {}.", head.workload, head.extent);
    let head = std::iter::once(first).chain(head.lines).collect::<Vec<_>>().join(" ");
    let mark = if comparison.comparable { "" } else { " <strong>(not comparable)</strong>" };
    let parts = [
        ("REASONS", reasons(comparison)),
        ("VERDICT", verdict(comparison)),
        ("HEAD", markup::text(&head)),
        ("MARK", mark.to_owned()),
        ("SUMMARY", summary(contestants, &names)),
        ("WORDS", markup::items(&sentences(comparison))),
        ("BASELINE", names.first().map(|name| markup::text(name)).unwrap_or_default()),
        ("FIGURES", figures(contestants, &names)),
        ("SAMPLES", samples(comparison, &names)),
        ("HOW", markup::facts(method(comparison))),
    ];
    fill(PAGE, SCRIPT, &data(comparison, &names), &parts, out);
    Ok(())
}

/// The data of the charts.
fn data(comparison: &Comparison, names: &[String]) -> Value {
    let Comparison { contestants, pairs, .. } = comparison;
    json!({
        "contestants": contestants.iter().enumerate()
            .map(|(place, one)| contestant(one, &names[place], &wall_times(comparison, place)))
            .collect::<Vec<_>>(),
        "pairs": pairs.iter().map(|one| pair(one, names)).collect::<Vec<_>>(),
    })
}

/// Why the runs are not comparable; empty if they are.
fn reasons(comparison: &Comparison) -> String {
    let line = |reason: &String| {
        format!("<p><strong>Not comparable:</strong> {}</p>\n", markup::text(reason))
    };
    let lines: String = comparison.reasons.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("<div id=\"reasons\">\n{lines}</div>\n") }
}

/// The result in one sentence; empty if there are reasons why the runs are not comparable.
fn verdict(comparison: &Comparison) -> String {
    if !comparison.reasons.is_empty() || comparison.verdict.is_empty() {
        return String::new();
    }
    format!("<p id=\"verdict\"><strong>{}</strong></p>\n", markup::text(&comparison.verdict))
}

fn make_readable<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    texts.map(|text| readable_message(text).into_owned()).collect()
}

/// The explanation, the notes and the comparison with an earlier one.
fn sentences(comparison: &Comparison) -> Vec<String> {
    let notes = remarks(comparison).into_iter().map(|remark| format!("Note: {remark}"));
    comparison.explanation.iter().cloned().chain(notes).chain(against(comparison)).collect()
}

fn summary(contestants: &[ModeStats], names: &[String]) -> String {
    let columns = columns(&["Mode", "#Wall time", "#95% CI", "#Speedup", "#95% CI", "#p-value"]);
    let rows = contestants.iter().zip(names).map(|(one, name)| {
        let figures = SUMMARY.map(|figure| HtmlCell::text(figure(one)));
        std::iter::once(HtmlCell::text(name)).chain(figures).collect()
    });
    markup::table("summary", "Summary", &columns, rows)
}

fn figures(contestants: &[ModeStats], names: &[String]) -> String {
    let mut columns = columns(&["Metric"]);
    columns.extend(names.iter().map(|name| HtmlColumn { name, is_number: true }));
    let row = |figure: &MetricRow| {
        let values = contestants.iter().map(|one| HtmlCell::text((figure.text)(one)));
        let cells = std::iter::once(HtmlCell::text(figure.name)).chain(values).collect();
        (figure.is_part(), cells)
    };
    let groups = FIGURES.iter().map(|group| HtmlRowGroup {
        name: group.name,
        rows: group.figures.iter().map(row).collect(),
    });
    markup::grouped_table("figures", "Metrics of each mode", &columns, groups)
}

fn samples(comparison: &Comparison, names: &[String]) -> String {
    let rows = comparison.samples.iter().zip(1..);
    let rows = rows.map(|(one, order)| sample(one, order, names, comparison.timed).into());
    markup::table("runs", "Individual runs", &columns(&COLUMNS), rows)
}

fn contestant(one: &ModeStats, name: &str, wall_times: &[f64]) -> Value {
    json!({
        "name": name,
        "short": SUMMARY.map(|figure| figure(one)),
        "wall": {
            "runs": wall_times,
            "median": one.wall.median,
            "interval": one.wall.interval.map(ends),
        },
        "speed_up": one.speed_up
            .map(|of| json!({ "ratio": of.ratio, "interval": of.interval.map(ends) })),
    })
}

fn wall_times(comparison: &Comparison, contestant: usize) -> Vec<f64> {
    let of = comparison.samples.iter().filter(|sample| sample.contestant == contestant);
    of.map(|sample| sample.timed(comparison.timed)).collect()
}

fn ends(of: Interval) -> [f64; 2] {
    [of.low, of.high]
}

/// A pair as a row: the second contestant, the first one, and their ratio with its interval and p-value.
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

fn sample(
    one: &Sample,
    order: u64,
    names: &[String],
    span: TimedSpan,
) -> [HtmlCell; COLUMNS.len()] {
    let time = |time| HtmlCell::text(known(time, seconds));
    let count = |count: Option<u64>| count.map_or_else(unknown, HtmlCell::count);
    let fetched = |(ok, all)| HtmlCell::text(format!("{} of {}", grouped(ok), grouped(all)));
    [
        HtmlCell::count(order),
        HtmlCell::count(one.block as u64),
        HtmlCell::text(&names[one.contestant]),
        HtmlCell::text(seconds(one.timed(span))),
        time(one.setup),
        time(one.first_byte.p50),
        time(one.cpu_user),
        time(one.cpu_system),
        one.peak_memory.map_or_else(unknown, HtmlCell::bytes),
        count(one.worker_threads),
        count(one.connections),
        count(one.handshakes),
        count(one.retries),
        one.ok.zip(one.targets).map_or_else(unknown, fetched),
        count(one.failed),
        time(one.retry_wait),
        HtmlCell::text(known(one.cpu_wait(), percent)),
        HtmlCell::text(known(one.other_load, |cores| format!("{cores:.1} cores"))),
    ]
}

fn unknown() -> HtmlCell {
    HtmlCell::text("-")
}

/// The method, as names and values.
fn method(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let list = |texts: &[String]| make_readable(texts.iter()).join(" ");
    let mut facts = vec![
        ("Runs per mode", grouped(comparison.runs as u64)),
        ("Warm-up runs", grouped(comparison.warmup as u64)),
        ("Seed", comparison.seed.to_string()),
        ("URLs", grouped(comparison.targets)),
        ("Bytes", human_bytes(comparison.bytes)),
    ];
    facts.extend(comparison.cores.map(|cores| ("CPU cores", cores.to_string())));
    let texts = [
        ("Sources", list(&comparison.sources)),
        ("Options", list(&comparison.options)),
        ("Started", readable_time(&comparison.started_at)),
        ("Version", printable(&comparison.program).into_owned()),
    ];
    facts.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()));
    facts
}

//! The report as one page to look at: total, waterfall, URLs under way over time, how long they took, failures. Pure.
//!
//! The page is whole in itself and asks nobody for anything. All that comes from a list or a server is in one block of
//! JSON, in which no `<` is left, and is shown as text alone; the page's policy allows its own two scripts, by their
//! hashes, and nothing else. Charts are drawn by uPlot, a copy of which lies in this folder with its license.

use std::io;

use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::aggregate::{Aggregate, AggregateRow, micros};
use super::escape::printable;
use crate::model::Summary;
use crate::text::counted;
use crate::units::human_bytes;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = concat!(include_str!("html/uplot.min.css"), include_str!("html/page.css"));
const CHARTS: &str = include_str!("html/uplot.min.js");
const SCRIPT: &str = concat!(include_str!("html/common.js"), include_str!("html/page.js"));
const LICENSE: &str = include_str!("html/uplot.LICENSE");

/// Steps of the histogram that are one bar: five bars to a factor of ten.
const STEPS_A_BAR: usize = 4;

/// The whole page.
pub(crate) fn page(
    fold: &Aggregate,
    summary: Option<&Summary>,
    page: &mut Vec<u8>,
) -> io::Result<()> {
    filled(PAGE, SCRIPT, &data(fold, summary), page);
    Ok(())
}

/// A page with its style sheet, its data and its scripts put in; `script` is its own one.
pub(crate) fn filled(template: &str, script: &str, data: &Value, page: &mut Vec<u8>) {
    let data = in_a_script(data);
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src {}; script-src {} {}",
        hash(STYLE),
        hash(CHARTS),
        hash(script)
    );
    let parts = [
        ("POLICY", policy.as_str()),
        ("STYLE", STYLE),
        ("DATA", &data),
        ("CHARTS", CHARTS),
        ("SCRIPT", script),
        ("LICENSE", LICENSE.trim()),
        ("VERSION", env!("CARGO_PKG_VERSION")),
    ];
    // What is put in is not looked at again: the data may hold anything.
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let part = parts.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        page.extend_from_slice(before.as_bytes());
        page.extend_from_slice(part.unwrap_or_default().as_bytes());
        rest = after;
    }
    page.extend_from_slice(rest.as_bytes());
}

/// JSON that ends no script and begins no comment in one.
fn in_a_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The source of a policy that allows one text (CSP level 3, section 2.3.1).
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

fn data(fold: &Aggregate, summary: Option<&Summary>) -> Value {
    let began = fold.began.unwrap_or_default();
    json!({
        "facts": facts(fold, summary),
        "complete": summary.is_some(),
        "targets": fold.counts.targets,
        "rows": fold.rows.iter().map(|line| row(line, began)).collect::<Vec<_>>(),
        "failures": fold.counts.failures,
        "under_way": under_way(fold, summary, began),
        "width": seconds(fold.under_way.width()),
        "totals": totals(fold),
    })
}

/// What the page says of the run as a whole: names and values.
fn facts(fold: &Aggregate, summary: Option<&Summary>) -> Vec<(&'static str, String)> {
    let counts = &fold.counts;
    let mut facts =
        vec![("URLs", counts.targets.to_string()), ("Succeeded", counts.ok.to_string())];
    let others = [
        ("Failed", counts.failed, true),
        ("Invalid lines", counts.invalid, false),
        ("Skipped", counts.skipped, false),
        ("Unchanged", counts.unchanged, false),
        ("Duplicates", counts.duplicate, false),
    ];
    let others = others.into_iter().filter(|(_, count, always)| *always || *count > 0);
    facts.extend(others.map(|(name, count, _)| (name, count.to_string())));
    facts.push(("Bytes", human_bytes(counts.bytes)));
    for (name, share) in [("p50 duration", 0.5), ("p90 duration", 0.9), ("p99 duration", 0.99)] {
        facts.extend(fold.totals.quantile(share).map(|time| (name, short(time))));
    }
    let Some(summary) = summary else { return facts };
    facts.push(("Duration", short(seconds(micros(summary.elapsed)))));
    let jobs = counted(summary.jobs as u64, "job");
    facts.push(("Mode", format!("{}, {jobs}", summary.mode_name())));
    facts.push(("Requests", summary.resources.requests.to_string()));
    facts.push(("Connections", summary.resources.connections.to_string()));
    if let (Some(user), Some(system)) = (summary.resources.cpu_user, summary.resources.cpu_system) {
        facts.push(("CPU", short(seconds(micros(user) + micros(system)))));
    }
    if let Some(peak) = summary.resources.peak_memory {
        facts.push(("Peak memory", human_bytes(peak)));
    }
    if let Some(cause) = &summary.stopped {
        facts.push(("Stopped early", printable(cause).into_owned()));
    }
    if !summary.list_complete {
        facts.push(("List", "partly read".to_owned()));
    }
    facts
}

/// A row as the script knows it; times are seconds since the beginning.
fn row(row: &AggregateRow, began: i64) -> Value {
    let timings = &row.timings;
    json!([
        row.index,
        row.url,
        row.outcome,
        row.status,
        row.class,
        row.message,
        row.worker,
        row.bytes,
        row.attempts,
        row.started.map(|started| seconds(started - began)),
        timings.queued,
        timings.connect,
        timings.first_byte,
        timings.total,
        row.before,
    ])
}

/// The mean number of URLs under way in each stretch. Starts are saved in whole milliseconds, so that transfers that
/// followed each other may overlap by one: a worker still has one at a time.
fn under_way(fold: &Aggregate, summary: Option<&Summary>, began: i64) -> Vec<(f64, f64)> {
    let most = summary.map_or(f64::INFINITY, |summary| summary.jobs as f64);
    let means = fold.under_way.means();
    let rounded = |mean: f64| (mean.min(most) * 1e3).round() / 1e3;
    means.map(|(moment, mean)| (seconds(moment - began), rounded(mean))).collect()
}

fn totals(fold: &Aggregate) -> Vec<(f64, f64, u64)> {
    let steps = fold.totals.steps(STEPS_A_BAR).into_iter();
    steps.map(|step| (step.from, step.to, step.count)).collect()
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// A time in the unit that suits it.
fn short(time: f64) -> String {
    match time {
        ..1e-3 => format!("{:.0} µs", time * 1e6),
        ..1.0 => format!("{:.0} ms", time * 1e3),
        ..100.0 => format!("{time:.2} s"),
        _ => format!("{time:.0} s"),
    }
}

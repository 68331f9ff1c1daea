//! The report as an HTML page: run, totals, failures and hosts as plain HTML; charts and a waterfall by a script. Pure.
//!
//! The page is one file and makes no request. Text from a list or a server is either escaped HTML, or in one block of JSON
//! in which no `<` is left, and is only ever shown as text; the page's policy allows its own two scripts, by their hashes,
//! and nothing else. Charts are drawn by uPlot, a copy of which lies in this folder with its license.

pub(crate) mod markup;

use std::io;

use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::aggregate::{Aggregate, AggregateRow, micros};
use super::escape::readable_url;
use super::{histogram, host_table, text};
use crate::model::{FailureClass, HostStats, OutcomeCounts, Summary};
use crate::text::counted;
use crate::units::{grouped, human_bytes};
use markup::{HtmlCell, columns};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = concat!(include_str!("html/uplot.min.css"), include_str!("html/page.css"));
const CHARTS: &str = include_str!("html/uplot.min.js");
const SCRIPT: &str = concat!(include_str!("html/common.js"), include_str!("html/page.js"));
const LICENSE: &str = include_str!("html/uplot.LICENSE");

/// Maximum number of bars in the histogram. A factor of ten has 50, 20, 10 or 5 bars.
const MAX_BARS: usize = 100;

/// Maximum number of hosts in a summary.
const MAX_HOSTS: usize = 20;

/// Writes the whole page.
pub(crate) fn page(
    aggregate: &Aggregate,
    summary: Option<&Summary>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let parts = [
        ("NOTES", notes(aggregate, summary)),
        ("RUN", summary.map(run).unwrap_or_default()),
        ("FACTS", markup::facts(facts(aggregate, summary))),
        ("CLASSES", classes(&aggregate.counts)),
        ("FAILURES", failures(aggregate)),
        ("HOSTS", hosts(summary)),
    ];
    fill(PAGE, SCRIPT, &data(aggregate, summary), &parts, out);
    Ok(())
}

/// Writes a page: the template with the style sheet, the data and the scripts filled in, and the parts of this page, each
/// by the name of its placeholder. `script` is the script of this page.
pub(crate) fn fill(
    template: &str,
    script: &str,
    data: &Value,
    page_parts: &[(&str, String)],
    out: &mut Vec<u8>,
) {
    let data = escape_for_script(data);
    let policy = format!(
        "default-src 'none'; base-uri 'none'; form-action 'none'; style-src {}; script-src {} {}",
        csp_source(STYLE),
        csp_source(CHARTS),
        csp_source(script)
    );
    let common = [
        ("POLICY", policy.as_str()),
        ("STYLE", STYLE),
        ("DATA", &data),
        ("CHARTS", CHARTS),
        ("SCRIPT", script),
        ("LICENSE", LICENSE.trim()),
        ("VERSION", env!("CARGO_PKG_VERSION")),
    ];
    let page_parts = page_parts.iter().map(|(name, part)| (*name, part.as_str()));
    let parts: Vec<_> = common.into_iter().chain(page_parts).collect();
    // Inserted parts are not searched for placeholders: the data may hold anything.
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let part = parts.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(part.unwrap_or_default().as_bytes());
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
}

/// The JSON escaped so that it can neither end a script element nor begin a comment in it.
fn escape_for_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The source expression of a content security policy that allows exactly this text (CSP level 3, section 2.3.1).
fn csp_source(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

fn data(aggregate: &Aggregate, summary: Option<&Summary>) -> Value {
    let began = aggregate.began.unwrap_or_default();
    json!({
        "targets": aggregate.counts.targets,
        "rows": aggregate.rows.iter().map(|line| row(line, began)).collect::<Vec<_>>(),
        "under_way": under_way(aggregate, summary, began),
        "width": seconds(aggregate.under_way.width()),
        "totals": totals(aggregate),
    })
}

/// Warnings above the figures, a paragraph each.
fn notes(aggregate: &Aggregate, summary: Option<&Summary>) -> String {
    let mut notes = Vec::new();
    match summary {
        None => notes.push(
            "No summary found: there may be further URLs. The run was killed or is still in \
             progress, or its records were not saved to the end."
                .to_owned(),
        ),
        Some(summary) => {
            notes.extend(aggregate.missing_records(summary));
            notes.extend(summary.stopped.iter().map(|cause| format!("Stopped early: {cause}.")));
            notes.extend(
                text::unread_list(summary).map(|unread| format!("Not complete: {unread}.")),
            );
        }
    }
    if aggregate.further() > 0 {
        let (rows, all) = (grouped(aggregate.rows.len() as u64), grouped(aggregate.counts.targets));
        notes.push(format!(
            "The waterfall shows the first {rows} completed URLs; totals and charts include all {all}."
        ));
    }
    notes.iter().map(|note| format!("<p>{}</p>\n", markup::text(note))).collect()
}

/// The facts about the run, as names and values.
fn run(summary: &Summary) -> String {
    let jobs = counted(summary.jobs as u64, "job");
    let facts = [
        ("Started", readable_time(&summary.started_at)),
        ("Sources", first_names(&summary.sources)),
        ("Options", summary.options.join(" ")),
        ("Mode", format!("{}, {jobs}", summary.mode_name())),
        ("Version", summary.program.clone()),
    ];
    markup::facts(facts.into_iter().filter(|(_, value)| !value.is_empty()))
}

/// Formats a time of a report (RFC 3339, UTC) for people; returns any other text unchanged.
pub(crate) fn readable_time(text: &str) -> String {
    match text.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((date, time)) => {
            let seconds = time.split_once('.').map_or(time, |(seconds, _)| seconds);
            format!("{date} {seconds} UTC")
        }
        None => text.to_owned(),
    }
}

/// The first names, and the number of the others.
fn first_names(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let names: Vec<_> = names.iter().map(|name| readable_url(name)).collect();
    match names.len() {
        ..=SHOWN => names.join(", "),
        all => format!("{} and {} more", names[..SHOWN].join(", "), grouped((all - SHOWN) as u64)),
    }
}

/// The figures of the run, as names and values.
fn facts(aggregate: &Aggregate, summary: Option<&Summary>) -> Vec<(&'static str, String)> {
    let counts = &aggregate.counts;
    let all = [
        ("URLs", counts.targets, true),
        ("Succeeded", counts.ok, true),
        ("Failed", counts.failed.saturating_sub(counts.not_started), true),
        ("Not started", counts.not_started, false),
        ("Invalid lines", counts.invalid, false),
        ("Updated", counts.updated, false),
        ("Skipped", counts.skipped, false),
        ("Unchanged", counts.unchanged, false),
        ("Duplicates", counts.duplicate, false),
    ];
    let shown = all.into_iter().filter(|(_, count, always)| *always || *count > 0);
    let mut facts: Vec<_> = shown.map(|(name, count, _)| (name, grouped(count))).collect();
    if summary.is_none() {
        facts[0].1.push('+');
    }
    if !summary.is_some_and(|summary| summary.head) {
        facts.push(("Bytes", human_bytes(counts.bytes)));
    }
    for (name, share) in [("p50 duration", 0.5), ("p90 duration", 0.9), ("p99 duration", 0.99)] {
        facts.extend(quantile(aggregate, share).map(|time| (name, time)));
    }
    let Some(summary) = summary else { return facts };
    let used = &summary.resources;
    facts.push(("Duration", format_seconds(seconds(micros(summary.elapsed)))));
    facts.push(("Requests", grouped(used.requests)));
    facts.push(("Connections", grouped(used.connections)));
    if let (Some(user), Some(system)) = (used.cpu_user, used.cpu_system) {
        facts.push(("CPU", format_seconds(seconds(micros(user) + micros(system)))));
    }
    facts.extend(used.peak_memory.map(|peak| ("Peak memory", human_bytes(peak))));
    facts
}

/// The duration that this share of the URLs did not exceed. It is exact if all of them are kept.
fn quantile(aggregate: &Aggregate, share: f64) -> Option<String> {
    if aggregate.further() > 0 {
        return aggregate
            .totals
            .quantile(share)
            .map(|time| format!("about {}", format_seconds(time)));
    }
    let mut times: Vec<f64> = aggregate.rows.iter().filter_map(|row| row.timings.total).collect();
    times.sort_unstable_by(f64::total_cmp);
    let rank = (share * times.len() as f64).ceil() as usize;
    times.get(rank.max(1) - 1).map(|time| format_seconds(*time))
}

/// The table of failures by class.
fn classes(counts: &OutcomeCounts) -> String {
    if counts.failures.is_empty() {
        return "<p>No failures.</p>\n".to_owned();
    }
    let row = |(class, count): (FailureClass, u64)| {
        let share = count as f64 / counts.targets.max(1) as f64;
        vec![HtmlCell::text(class.name()), HtmlCell::count(count), HtmlCell::share(share)]
    };
    let rows = counts.most_frequent_failures().into_iter().map(row);
    let columns = columns(&["Class", "#URLs", "#Share of URLs"]);
    markup::table("failures", "Failures by error class", &columns, rows)
}

/// The table of failed URLs; nothing if there are none.
fn failures(aggregate: &Aggregate) -> String {
    let row = |row: &AggregateRow| {
        vec![
            HtmlCell::text(readable_url(&row.url)),
            HtmlCell::count_if_known(row.status.map(Into::into)),
            HtmlCell::text(row.class.map(|class| class.name()).unwrap_or_default()),
            HtmlCell::count(row.attempts.into()),
            HtmlCell::text(row.message.as_deref().unwrap_or_default()),
        ]
    };
    if aggregate.failures.is_empty() {
        return String::new();
    }
    let all: u64 = aggregate.counts.failures.values().sum::<u64>() - aggregate.counts.not_started;
    let shown = aggregate.failures.len() as u64;
    let (first, count) = match shown < all {
        true => (format!("The first {} of ", grouped(shown)), all),
        false => (String::new(), shown),
    };
    let noun = match (aggregate.counts.invalid, count) {
        (0, 1) => "failed URL",
        (0, _) => "failed URLs",
        _ => "failed URLs and invalid lines",
    };
    let not_started = match aggregate.counts.not_started {
        0 => String::new(),
        count => format!(" (without {} that were not started)", grouped(count)),
    };
    let lead = format!("<p>{first}{} {noun}{not_started}.</p>\n", grouped(count));
    let columns = columns(&["URL", "#Status", "Class", "#Attempts", "Message"]);
    lead + &markup::table("failed", "Failed URLs", &columns, aggregate.failures.iter().map(row))
}

/// The table of hosts.
fn hosts(summary: Option<&Summary>) -> String {
    let hosts = summary.map(|summary| &summary.hosts[..]).unwrap_or_default();
    let row = |host: &HostStats| {
        vec![
            HtmlCell::text(&*host.host),
            HtmlCell::count(host.requests),
            HtmlCell::bytes(host.bytes),
            HtmlCell::count(host.peak as u64),
            host.limit.map_or(HtmlCell::text("none"), |limit| HtmlCell::count(limit as u64)),
            HtmlCell::text(host_table::failures(host).join(", ")),
            HtmlCell::text(host_table::waits(host).join(", ")),
        ]
    };
    if hosts.is_empty() {
        let why = if summary.is_some() {
            "No requests were made."
        } else {
            "Not known without a summary."
        };
        return format!("<p>{why}</p>\n");
    }
    let lead = match hosts.len() {
        MAX_HOSTS.. => format!("<p>The {} hosts with the most requests.</p>\n", hosts.len()),
        _ => String::new(),
    };
    let columns = columns(&[
        "Host",
        "#Requests",
        "#Bytes",
        "#Max parallel",
        "#Limit",
        "Failed attempts",
        "Delayed",
    ]);
    lead + &markup::table("hosts", "Hosts", &columns, hosts.iter().map(row))
}

/// A row of the waterfall, in the order that the script expects. Times are seconds; the start counts from `began`.
fn row(row: &AggregateRow, began: i64) -> Value {
    let timings = &row.timings;
    json!([
        row.index,
        readable_url(&row.url),
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
        row.last.start,
        row.last.end,
        row.waits.iter().map(|wait| (wait.start, wait.end)).collect::<Vec<_>>(),
        row.mirror.as_deref().map(readable_url),
    ])
}

/// The beginning of each stretch of the timeline, and the mean number of transfers in progress in it, at most the number of
/// workers. Starts are saved in whole milliseconds, so that successive transfers of one worker may seem to overlap.
fn under_way(aggregate: &Aggregate, summary: Option<&Summary>, began: i64) -> Vec<(f64, f64)> {
    let most = summary.map_or(f64::INFINITY, |summary| summary.jobs as f64);
    let means = aggregate.under_way.means();
    let rounded = |mean: f64| (mean.min(most) * 1e3).round() / 1e3;
    means.map(|(moment, mean)| (seconds(moment - began), rounded(mean))).collect()
}

/// The bars of the histogram, as fine as [`MAX_BARS`] allows.
fn totals(aggregate: &Aggregate) -> Vec<(f64, f64, u64)> {
    let finest_first =
        [50, 20, 10, 5].map(|per_decade| histogram::BUCKETS_PER_DECADE as usize / per_decade);
    let bars = finest_first.map(|joined| aggregate.totals.buckets(joined));
    let [.., coarsest] = &bars;
    let chosen = bars.iter().find(|bars| bars.len() <= MAX_BARS).unwrap_or(coarsest);
    chosen.iter().map(|bucket| (bucket.from, bucket.to, bucket.count)).collect()
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Formats seconds in a suitable unit, to three digits.
fn format_seconds(time: f64) -> String {
    let (value, unit) = match time {
        ..1e-3 => (time * 1e6, "µs"),
        ..1.0 => (time * 1e3, "ms"),
        _ => (time, "s"),
    };
    match value {
        _ if unit == "µs" => format!("{value:.0} {unit}"),
        ..10.0 => format!("{value:.2} {unit}"),
        ..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{} {unit}", grouped(value.round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Record, Timings, test_fixtures};

    #[test]
    fn bars_are_as_fine_as_fits_and_lose_nothing() {
        for (decades, per_decade) in [(1.0, 50.0), (4.0, 20.0), (8.0, 10.0)] {
            let mut aggregate = Aggregate::default();
            for nth in 0..1_000 {
                let total = Some(1e-4 * 10_f64.powf(decades * f64::from(nth) / 1e3));
                let timings = Timings { total, ..Timings::default() };
                aggregate.add(&Record { timings, ..test_fixtures::record("https://a.b/") });
            }
            let bars = totals(&aggregate);
            assert_eq!(bars.iter().map(|(_, _, count)| count).sum::<u64>(), 1_000);
            let expected = decades * per_decade;
            assert!((bars.len() as f64 - expected).abs() <= 1.0, "{} for {expected}", bars.len());
        }
    }

    #[test]
    fn a_time_has_three_digits_and_a_moment_no_letters_of_its_format() {
        let table = [
            (0.000_25, "250 µs"),
            (0.002_044, "2.04 ms"),
            (0.0733, "73.3 ms"),
            (0.413, "413 ms"),
            (1.606, "1.61 s"),
            (98.76, "98.8 s"),
            (12_345.6, "12,346 s"),
        ];
        for (time, text) in table {
            assert_eq!(format_seconds(time), text);
        }
        assert_eq!(readable_time("2026-01-01T10:20:30.123Z"), "2026-01-01 10:20:30 UTC");
        assert_eq!(readable_time("</p>"), "</p>");
    }
}

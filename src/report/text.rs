//! The text report: a line per URL, the total, and the lines on stderr beside any report. Pure: lines are appended to a
//! buffer. All text from a list or a server is made [`printable`] first.

use std::io::{self, Write};
use std::time::Duration;

use super::escape::{printable, readable_url};
use crate::model::{Failure, Outcome, OutcomeCounts, Record, Summary};
use crate::text::counted;
use crate::units::human_bytes;

/// Whether text may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextStyle {
    /// No colours.
    Plain,
    /// Colours by the escape sequences of ECMA-48 (SGR).
    Colours,
}

impl TextStyle {
    /// The escape sequences before and after the first word of a row: red for a failure.
    fn sequences(self, outcome: Outcome) -> (&'static str, &'static str) {
        match (self, outcome) {
            (Self::Plain, _) => ("", ""),
            (Self::Colours, Outcome::Failed | Outcome::Invalid) => ("\u{1b}[31m", "\u{1b}[0m"),
            (Self::Colours, _) => ("", ""),
        }
    }
}

/// Writes the line of one URL.
pub(super) fn row(record: &Record, style: TextStyle, page: &mut Vec<u8>) -> io::Result<()> {
    let (on, off) = style.sequences(record.outcome);
    let url = readable_url(&record.url);
    let message = record.error.as_ref().map_or("", |error| &error.message);
    let message = printable(message);
    match record.outcome {
        Outcome::Ok => {
            write!(page, "Read {} from {url}", record.bytes)?;
            if let Some(name) = &record.path {
                write!(page, " as {}", printable(name))?;
            }
            writeln!(page)
        }
        Outcome::Skipped => {
            let name = record.path.as_deref().unwrap_or_default();
            writeln!(page, "Skipped {url}: already saved as {}", printable(name))
        }
        Outcome::Unchanged => {
            let name = record.path.as_deref().unwrap_or_default();
            writeln!(page, "Unchanged {url} ({})", printable(name))
        }
        Outcome::Duplicate => {
            write!(page, "Duplicate {url}")?;
            if let Some(first) = record.duplicate_of {
                write!(page, ": same as entry {first}")?;
            }
            writeln!(page)
        }
        Outcome::Failed => {
            let attempts = counted(record.attempts.into(), "attempt");
            writeln!(page, "{on}Failed{off} {url}: {message} ({attempts})")
        }
        Outcome::Invalid => {
            let source = printable(&record.source);
            write!(page, "{on}Invalid{off} {source}")?;
            if let Some(line) = record.line {
                write!(page, ":{line}")?;
            }
            writeln!(page, ": {message}")
        }
    }
}

/// Writes the total: how many URLs were downloaded, in which time and mode.
pub(super) fn total(summary: &Summary, page: &mut Vec<u8>) -> io::Result<()> {
    write!(
        page,
        "Downloaded {} of {}, {} in {:.2} seconds ({}, {})",
        summary.counts.ok,
        counted(summary.counts.targets, "site"),
        human_bytes(summary.counts.bytes),
        summary.elapsed,
        summary.mode_name(),
        counted(summary.jobs as u64, "job"),
    )?;
    let OutcomeCounts { skipped, unchanged, duplicate, .. } = summary.counts;
    for (count, outcome) in
        [(skipped, "skipped"), (unchanged, "unchanged"), (duplicate, "duplicate")]
    {
        if count > 0 {
            write!(page, "; {count} {outcome}")?;
        }
    }
    if let Some(cause) = &summary.stopped {
        write!(page, "; stopped early: {}", printable(cause))?;
    }
    if !summary.list_complete {
        write!(page, "; list only partly read")?;
    }
    writeln!(page)
}

/// Writes what `--verbose` adds to the total: failures by class and resource usage.
pub(super) fn details(summary: &Summary, page: &mut Vec<u8>) -> io::Result<()> {
    let used = &summary.resources;
    if !summary.counts.failures.is_empty() {
        let classes = summary.counts.most_frequent_failures().into_iter();
        let classes: Vec<_> = classes.map(|(class, count)| format!("{count} {class}")).collect();
        writeln!(page, "Failures: {}", classes.join(", "))?;
    }
    let connections = counted(used.connections, "connection");
    let lookups = counted(used.lookups, "DNS lookup");
    writeln!(page, "Requests: {} ({connections}, {lookups})", used.requests)?;
    writeln!(page, "Transferred: {}", human_bytes(summary.counts.wire_bytes))?;
    if let (Some(user), Some(system)) = (used.cpu_user, used.cpu_system) {
        writeln!(page, "CPU: {user:.2} s user, {system:.2} s system")?;
    }
    if let Some(peak) = used.peak_memory {
        writeln!(page, "Peak memory: {}", human_bytes(peak))?;
    }
    let threads = counted(used.worker_threads as u64, "thread");
    writeln!(page, "Workers: {threads} (setup {:.0} ms)", 1e3 * summary.setup)
}

/// Writes that an attempt failed and will be retried.
pub(super) fn retrying(
    url: &str,
    next: &str,
    wait: Duration,
    failure: &Failure,
    page: &mut Vec<u8>,
) -> io::Result<()> {
    write!(page, "Retrying {}", readable_url(url))?;
    if next != url {
        write!(page, " at {}", readable_url(next))?;
    }
    let failure = failure.to_string();
    writeln!(page, " in {:.1} s: {}", wait.as_secs_f64(), printable(&failure))
}

/// Writes a notice.
pub(super) fn notice(text: &str, page: &mut Vec<u8>) -> io::Result<()> {
    writeln!(page, "fetch: {}", printable(text))
}

/// Writes that a redirect is followed.
pub(super) fn redirected(from: &str, to: &str, status: u16, page: &mut Vec<u8>) -> io::Result<()> {
    writeln!(page, "Redirected {} -> {} ({status})", readable_url(from), readable_url(to))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::model::{Mode, Resources, test_fixtures};

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut page = Vec::new();
        write(&mut page).expect("memory takes all");
        String::from_utf8(page).expect("text")
    }

    fn line(record: &Record) -> String {
        written(|page| row(record, TextStyle::Plain, page))
    }

    #[test]
    fn a_url_that_was_read_is_told_with_its_bytes() {
        let record =
            test_fixtures::record("https://en.wikipedia.org/wiki/Portal:Arts").read(189_658);
        assert_snapshot!(line(&record), @"Read 189658 from https://en.wikipedia.org/wiki/Portal:Arts");
    }

    #[test]
    fn a_url_that_failed_is_told_with_its_reason_and_attempts() {
        let record = test_fixtures::record("https://example.org/gone");
        assert_snapshot!(line(&record.clone().failed(&Failure::Status(404), 1)), @"Failed https://example.org/gone: HTTP 404 Not Found (1 attempt)");
        assert_snapshot!(line(&record.failed(&Failure::Status(503), 3)), @"Failed https://example.org/gone: HTTP 503 Service Unavailable (3 attempts)");
    }

    #[test]
    fn an_invalid_line_is_told_with_its_place() {
        let message = "\"htp://a.b\" is not a web address";
        let record = test_fixtures::invalid("sites.txt", Some(7), "htp://a.b", message);
        assert_snapshot!(line(&record), @r#"Invalid sites.txt:7: "htp://a.b" is not a web address"#);
        let record = test_fixtures::invalid("argument", None, "htp://a.b", message);
        assert_snapshot!(line(&record), @r#"Invalid argument: "htp://a.b" is not a web address"#);
    }

    #[test]
    fn hostile_text_stays_inert() {
        let record = test_fixtures::record("https://a.b/\u{1b}[2J<script>\u{202e}")
            .failed(&Failure::Redirect("Location: \r\nRead 1 from https://fake".to_owned()), 1);
        assert_snapshot!(line(&record), @r"Failed https://a.b/\u{1b}[2J<script>\u{202e}: Location: \u{d}\u{a}Read 1 from https://fake (1 attempt)");
    }

    #[test]
    fn only_what_went_wrong_is_coloured() {
        let record = test_fixtures::record("https://a.b/");
        assert_eq!(written(|page| row(&record, TextStyle::Colours, page)), line(&record));
        let failed = record.failed(&Failure::Status(404), 1);
        assert_snapshot!(
            written(|page| row(&failed, TextStyle::Colours, page)).escape_debug(),
            @r"\u{1b}[31mFailed\u{1b}[0m https://a.b/: HTTP 404 Not Found (1 attempt)\n"
        );
    }

    fn total_of(summary: &Summary) -> String {
        written(|page| total(summary, page))
    }

    #[test]
    fn the_total_tells_sites_bytes_time_and_workers() {
        let mut records = vec![test_fixtures::record("https://a.b/").read(254_654); 14];
        records.push(test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1));
        assert_snapshot!(total_of(&test_fixtures::summary(&records)), @"Downloaded 14 of 15 sites, 3.4 MiB in 1.61 seconds (threads, 5 jobs)");
    }

    #[test]
    fn one_of_a_thing_is_told_in_the_singular() {
        let mut summary = test_fixtures::summary([&test_fixtures::record("https://a.b/").read(1)]);
        (summary.mode, summary.jobs) = (Some(Mode::Sequential), 1);
        assert_snapshot!(total_of(&summary), @"Downloaded 1 of 1 site, 1 B in 1.61 seconds (sequential, 1 job)");
    }

    #[test]
    fn an_empty_list_has_a_total_too() {
        assert_snapshot!(total_of(&test_fixtures::summary([])), @"Downloaded 0 of 0 sites, 0 B in 1.61 seconds (threads, 5 jobs)");
    }

    #[test]
    fn a_run_that_ended_early_says_so_in_the_total() {
        let mut summary = test_fixtures::summary([&test_fixtures::record("https://a.b/").read(1)]);
        summary.stopped = Some("the deadline passed".to_owned());
        summary.list_complete = false;
        assert_snapshot!(total_of(&summary), @"Downloaded 1 of 1 site, 1 B in 1.61 seconds (threads, 5 jobs); stopped early: the deadline passed; list only partly read");
    }

    #[test]
    fn the_details_tell_failures_by_class_and_what_the_run_took() {
        let record = test_fixtures::record("https://a.b/").read(2048);
        let gone = record.clone().failed(&Failure::Status(404), 1);
        let reset =
            record.clone().failed(&Failure::Reset("connection reset by peer".to_owned()), 3);
        let mut summary = test_fixtures::summary([&record, &gone, &gone, &reset]);
        summary.resources = Resources {
            cpu_user: Some(0.214),
            cpu_system: Some(0.08),
            peak_memory: Some(15 << 20),
            voluntary_switches: Some(12),
            involuntary_switches: Some(3),
            worker_threads: 5,
            requests: 6,
            connections: 1,
            handshakes: 1,
            lookups: 1,
        };
        assert_snapshot!(written(|page| details(&summary, page)), @r"
        Failures: 2 http_4xx, 1 reset
        Requests: 6 (1 connection, 1 DNS lookup)
        Transferred: 8.0 KiB
        CPU: 0.21 s user, 0.08 s system
        Peak memory: 15.0 MiB
        Workers: 5 threads (setup 20 ms)
        ");
    }

    #[test]
    fn retries_and_redirects_are_told_with_where_they_lead() {
        let wait = Duration::from_millis(1200);
        let failure = Failure::Status(503);
        assert_snapshot!(written(|page| retrying("https://a.b/", "https://a.b/", wait, &failure, page)), @"Retrying https://a.b/ in 1.2 s: HTTP 503 Service Unavailable");
        assert_snapshot!(written(|page| retrying("https://a.b/", "https://c.d/", Duration::ZERO, &failure, page)), @"Retrying https://a.b/ at https://c.d/ in 0.0 s: HTTP 503 Service Unavailable");
        assert_snapshot!(written(|page| redirected("https://a.b/", "https://c.d/", 301, page)), @"Redirected https://a.b/ -> https://c.d/ (301)");
    }
}

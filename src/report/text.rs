//! The text report: a line per URL, the total, and the lines on stderr beside any report. Pure: lines are appended to a
//! buffer. All text from a list or a server is made [`printable`] first.

use std::io::{self, Write};
use std::time::Duration;

use super::escape::{printable, readable_message, readable_url};
use crate::model::{
    Failure, FailureClass, ListPosition, Mode, Outcome, OutcomeCounts, Record, StopCause, Summary,
};
use crate::text::counted;
use crate::units::{grouped, human_bytes};

/// Whether text may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextStyle {
    /// No colours.
    Plain,
    /// Colours by the escape sequences of ECMA-48 (SGR).
    Colours,
}

impl TextStyle {
    /// The escape sequences before and after the first word of a record's line: red for a failure or an invalid line.
    fn of_outcome(self, outcome: Outcome) -> (&'static str, &'static str) {
        match outcome {
            Outcome::Failed | Outcome::Invalid => self.red(),
            _ => ("", ""),
        }
    }

    /// The escape sequences before and after text about failures.
    pub(super) fn red(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Colours => ("\u{1b}[31m", "\u{1b}[0m"),
        }
    }
}

/// Writes the line of one URL.
pub(super) fn row(record: &Record, style: TextStyle, out: &mut Vec<u8>) -> io::Result<()> {
    let (on, off) = style.of_outcome(record.outcome);
    let url = readable_url(&record.url);
    let message = record.error.as_ref().map_or("", |error| &error.message);
    let message = readable_message(message);
    match record.outcome {
        Outcome::Ok => {
            match record.head {
                Some(_) => write_reply_head(record, &url, out)?,
                None => write!(out, "Read {} from {url}", record.bytes)?,
            }
            if let Some(name) = &record.path {
                write!(out, " as {}", printable(name))?;
            }
            if let Some(mirror) = record.other_mirror() {
                write!(out, " (mirror {})", readable_url(mirror))?;
            }
            // Only `--accept` makes a success of these.
            if let Some(status @ 300..) = record.http_status.filter(|_| record.head.is_none()) {
                write!(out, " (HTTP {status})")?;
            }
            writeln!(out, "{}", if record.updated { " (updated)" } else { "" })
        }
        Outcome::Skipped => {
            let name = record.path.as_deref().unwrap_or_default();
            writeln!(out, "Skipped {url}: already saved as {}", printable(name))
        }
        Outcome::Unchanged => {
            let name = record.path.as_deref().unwrap_or_default();
            writeln!(out, "Unchanged {url} ({})", printable(name))
        }
        Outcome::Duplicate => {
            write!(out, "Duplicate {url}")?;
            if let Some(first) = record.duplicate_of {
                write!(out, ": same as entry {first}")?;
            }
            writeln!(out)
        }
        Outcome::Failed => {
            let attempts = counted(record.attempts.into(), "attempt");
            writeln!(out, "{on}Failed{off} {url}: {message} ({attempts})")
        }
        Outcome::Invalid => {
            let source = printable(&record.source);
            write!(out, "{on}Invalid{off} {source}")?;
            if let Some(line) = record.line {
                write!(out, ":{line}")?;
            }
            writeln!(out, ": {message}")
        }
    }
}

/// Writes the status and length of a reply whose body was not requested (`--head`).
fn write_reply_head(record: &Record, url: &str, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "Headers of {url}:")?;
    if let Some(status) = record.http_status {
        write!(out, " {status}")?;
    }
    match record.length {
        Some(1) => write!(out, ", 1 byte announced"),
        Some(length) => write!(out, ", {} bytes announced", grouped(length)),
        None => write!(out, ", no length announced"),
    }
}

/// Writes the total: how many URLs were downloaded, and on further lines what failed and how far the list was read.
pub(super) fn total(summary: &Summary, style: TextStyle, out: &mut Vec<u8>) -> io::Result<()> {
    first_line(summary, out)?;
    write_failures(&summary.counts, style, out)?;
    unread_list(summary).map_or(Ok(()), |unread| writeln!(out, "{unread}"))
}

/// Writes the first line of the total: how many URLs were downloaded, in which time and mode.
pub(super) fn first_line(summary: &Summary, out: &mut Vec<u8>) -> io::Result<()> {
    // The number of entries in a list is not known unless it was read to its end.
    let (plus, is_one) = match summary.list_complete {
        true => ("", summary.counts.targets == 1),
        false => ("+", false),
    };
    let (verb, bytes) = match summary.head {
        true => ("Checked", String::new()),
        false => ("Downloaded", format!(", {}", human_bytes(summary.counts.bytes))),
    };
    write!(
        out,
        "{verb} {} of {}{plus} site{}{bytes} in {:.2} seconds ({}, {})",
        summary.counts.ok,
        summary.counts.targets,
        if is_one { "" } else { "s" },
        summary.elapsed,
        summary.mode_name(),
        counted(summary.jobs as u64, "job"),
    )?;
    let OutcomeCounts { updated, skipped, unchanged, duplicate, .. } = summary.counts;
    for (count, outcome) in [
        (updated, "updated"),
        (skipped, "skipped"),
        (unchanged, "unchanged"),
        (duplicate, "duplicate"),
    ] {
        if count > 0 {
            write!(out, "; {count} {outcome}")?;
        }
    }
    if let Some(cause) = &summary.stopped {
        write!(out, "; stopped early: {}", printable(cause))?;
    }
    writeln!(out)
}

/// Writes how many targets failed, by class, and how many were not started; nothing if there are none.
fn write_failures(counts: &OutcomeCounts, style: TextStyle, out: &mut Vec<u8>) -> io::Result<()> {
    let mut started = counts.clone();
    if let Some(cancelled) = started.failures.get_mut(&FailureClass::Cancelled) {
        *cancelled = cancelled.saturating_sub(counts.not_started);
    }
    let mut classes = started.most_frequent_failures();
    classes.retain(|(_, count)| *count > 0);
    let failed: u64 = classes.iter().map(|(_, count)| count).sum();
    let mut facts = Vec::new();
    if failed > 0 {
        let (on, off) = style.red();
        let classes = classes.iter().map(|(class, count)| format!("{count} {class}"));
        let classes: Vec<_> = classes.collect();
        facts.push(format!("{on}{failed} failed{off}: {}", classes.join(", ")));
    }
    if counts.not_started > 0 {
        facts.push(format!("{} not started", counts.not_started));
    }
    if facts.is_empty() { Ok(()) } else { writeln!(out, "{}", facts.join("; ")) }
}

/// How far the list was read and what to do about the rest; `None` if it was read to its end.
pub(super) fn unread_list(summary: &Summary) -> Option<String> {
    if summary.list_complete {
        return None;
    }
    let read = match &summary.read_up_to {
        None => "list not read".to_owned(),
        Some(ListPosition { index, line: None, .. }) => format!("list read up to entry {index}"),
        Some(ListPosition { line: Some(line), source, .. }) if **source == *"-" => {
            format!("list read up to line {line}")
        }
        Some(ListPosition { line: Some(line), source, .. }) => {
            format!("list read up to line {line} of {}", printable(source))
        }
    };
    // Running the command again does not help with a list that cannot be read.
    let advice = match (&summary.stopped, summary.saves) {
        (None, _) => "",
        (Some(_), Some(false)) => "; without --dir the same command starts over",
        (Some(_), _) => "; rerun the same command",
    };
    Some(format!("{read}{advice}"))
}

/// Writes what `--verbose` adds to the total: resource usage.
pub(super) fn write_details(summary: &Summary, out: &mut Vec<u8>) -> io::Result<()> {
    let used = &summary.resources;
    let connections = counted(used.connections, "connection");
    let lookups = counted(used.lookups, "DNS lookup");
    writeln!(out, "Requests: {} ({connections}, {lookups})", used.requests)?;
    writeln!(out, "Transferred: {}", human_bytes(summary.counts.wire_bytes))?;
    if let (Some(user), Some(system)) = (used.cpu_user, used.cpu_system) {
        writeln!(out, "CPU: {user:.2} s user, {system:.2} s system")?;
    }
    if let Some(peak) = used.peak_memory {
        writeln!(out, "Peak memory: {}", human_bytes(peak))?;
    }
    let workers = match (summary.mode, used.worker_threads as u64) {
        (Some(Mode::Processes), 1) => "1 process".to_owned(),
        (Some(Mode::Processes), count) => format!("{count} processes"),
        (_, count) => counted(count, "thread"),
    };
    writeln!(out, "Workers: {workers} (setup {:.0} ms)", 1e3 * summary.setup)
}

/// Writes that an attempt failed and will be retried.
pub(super) fn write_retry(
    url: &str,
    next: &str,
    wait: Duration,
    failure: &Failure,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    write!(out, "Retrying {}", readable_url(url))?;
    if next != url {
        write!(out, " at {}", readable_url(next))?;
    }
    let failure = failure.to_string();
    writeln!(out, " in {:.1} s: {}", wait.as_secs_f64(), readable_message(&failure))
}

/// Writes a notice.
pub(super) fn write_notice(text: &str, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "warning: {}", readable_message(text))
}

/// Writes that a signal has stopped the run.
pub(super) fn write_stopping(
    cause: StopCause,
    transfers: usize,
    grace: Duration,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (signal, next) = match cause {
        StopCause::Interrupted => ("Interrupted", "; press Ctrl-C again to stop now"),
        StopCause::HungUp => ("Hung up", ""),
        _ => ("Terminated", ""),
    };
    let transfers = counted(transfers as u64, "transfer");
    writeln!(out, "{signal}: finishing {transfers} (up to {} s){next}", grace.as_secs())
}

/// Writes the heads of a request and its reply, line by line.
pub(super) fn write_heads(head: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    head.iter().try_for_each(|line| writeln!(out, "{}", printable(line)))
}

/// Writes that a redirect is followed.
pub(super) fn write_redirect(
    from: &str,
    to: &str,
    status: u16,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    writeln!(out, "Redirected {} -> {} ({status})", readable_url(from), readable_url(to))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::model::{Resources, test_fixtures};

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    fn line(record: &Record) -> String {
        written(|out| row(record, TextStyle::Plain, out))
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
        assert_eq!(written(|out| row(&record, TextStyle::Colours, out)), line(&record));
        let failed = record.failed(&Failure::Status(404), 1);
        assert_snapshot!(
            written(|out| row(&failed, TextStyle::Colours, out)).escape_debug(),
            @r"\u{1b}[31mFailed\u{1b}[0m https://a.b/: HTTP 404 Not Found (1 attempt)\n"
        );
    }

    fn total_of(summary: &Summary) -> String {
        written(|out| total(summary, TextStyle::Plain, out))
    }

    #[test]
    fn the_total_tells_sites_bytes_time_and_workers() {
        let mut records = vec![test_fixtures::record("https://a.b/").read(254_654); 14];
        records.push(test_fixtures::record("https://a.b/").failed(&Failure::Status(404), 1));
        assert_snapshot!(total_of(&test_fixtures::summary(&records)), @"Downloaded 14 of 15 sites, 3.4 MiB in 1.61 seconds (threads, 5 jobs)\n1 failed: 1 http_4xx");
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
    fn the_total_of_a_run_that_ended_early_says_what_failed_and_how_far_the_list_was_read() {
        let record = test_fixtures::record("https://a.b/");
        let cancelled = Failure::Cancelled(StopCause::Deadline);
        let mut records = vec![record.clone().read(1)];
        records.extend(vec![record.clone().failed(&Failure::Status(404), 1); 2]);
        records.push(record.clone().failed(&Failure::Status(503), 4));
        records.push(record.clone().failed(&cancelled, 1));
        records.extend(vec![record.failed(&cancelled, 0); 3]);
        let mut summary = test_fixtures::summary(&records);
        summary.stopped = Some("the deadline passed".to_owned());
        assert_snapshot!(total_of(&summary), @r"
        Downloaded 1 of 8 sites, 1 B in 1.61 seconds (threads, 5 jobs); stopped early: the deadline passed
        4 failed: 2 http_4xx, 1 cancelled, 1 http_5xx; 3 not started
        ");
        summary.list_complete = false;
        for (source, line, expected) in [
            ("-", Some(1287), "list read up to line 1287; rerun the same command"),
            ("a\u{1b}", Some(7), r"list read up to line 7 of a\u{1b}; rerun the same command"),
            ("argument", None, "list read up to entry 9; rerun the same command"),
        ] {
            summary.read_up_to = Some(ListPosition { index: 9, source: source.into(), line });
            let total = total_of(&summary);
            assert!(total.starts_with("Downloaded 1 of 8+ sites, "), "{total}");
            assert_eq!(total.lines().nth(2), Some(expected));
        }
        summary.saves = Some(false);
        assert!(
            total_of(&summary).ends_with("; without --dir the same command starts over\n"),
            "nothing was saved"
        );
        (summary.saves, summary.read_up_to) = (None, None);
        assert!(total_of(&summary).ends_with("\nlist not read; rerun the same command\n"));
        summary.stopped = None;
        assert!(total_of(&summary).ends_with("\nlist not read\n"), "it cannot be read");
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
            run_queue_delay: None,
            worker_threads: 5,
            requests: 6,
            connections: 1,
            handshakes: 1,
            lookups: 1,
        };
        assert_snapshot!(written(|out| write_details(&summary, out)), @r"
        Requests: 6 (1 connection, 1 DNS lookup)
        Transferred: 8.0 KiB
        CPU: 0.21 s user, 0.08 s system
        Peak memory: 15.0 MiB
        Workers: 5 threads (setup 20 ms)
        ");
        summary.mode = Some(Mode::Processes);
        let details = written(|out| write_details(&summary, out));
        assert!(details.ends_with("Workers: 5 processes (setup 20 ms)\n"), "{details}");
    }

    #[test]
    fn retries_and_redirects_are_told_with_where_they_lead() {
        let wait = Duration::from_millis(1200);
        let failure = Failure::Status(503);
        assert_snapshot!(written(|out| write_retry("https://a.b/", "https://a.b/", wait, &failure, out)), @"Retrying https://a.b/ in 1.2 s: HTTP 503 Service Unavailable");
        assert_snapshot!(written(|out| write_retry("https://a.b/", "https://c.d/", Duration::ZERO, &failure, out)), @"Retrying https://a.b/ at https://c.d/ in 0.0 s: HTTP 503 Service Unavailable");
        assert_snapshot!(written(|out| write_redirect("https://a.b/", "https://c.d/", 301, out)), @"Redirected https://a.b/ -> https://c.d/ (301)");
    }
}

//! The table of hosts in the text report: the requests to each host, its failed attempts, and why its jobs waited. Pure. It
//! fits 80 columns unless the name of a host is long.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::time::Duration;

use super::escape::printable;
use crate::model::{HostStats, WaitReason};
use crate::text::counted;
use crate::units::human_bytes;

/// Maximum width of the column of names.
const MAX_NAME_WIDTH: usize = 37;

/// Shorter waits are left out: they would be shown as 0.0 s.
const MIN_WAIT: Duration = Duration::from_millis(50);

/// Width of the other columns together.
const FIGURES_WIDTH: usize = 43;

/// Writes the table; nothing if there are no hosts. If it does not fit in `columns`, each host has lines of its own instead.
pub(super) fn table(hosts: &[HostStats], columns: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let names: Vec<_> = hosts.iter().map(|row| printable(&row.host)).collect();
    let Some(longest) = names.iter().map(|name| name.chars().count()).max() else {
        return Ok(());
    };
    let width = longest.clamp("Host".len(), MAX_NAME_WIDTH);
    if width + FIGURES_WIDTH > columns {
        return hosts.iter().try_for_each(|row| write_host(row, columns, out));
    }
    write_row(out, width, ["Host", "Requests", "Bytes", "Max parallel", "Limit"])?;
    for (row, name) in hosts.iter().zip(&names) {
        let requests = row.requests.to_string();
        let bytes = human_bytes(row.bytes);
        let peak = row.peak.to_string();
        let limit = row.limit.map_or("none".to_owned(), |limit| limit.to_string());
        write_row(out, width, [name, &requests, &bytes, &peak, &limit])?;
        write_facts(out, columns, "failed attempts:", &failures(row))?;
        write_facts(out, columns, "delayed:", &waits(row))?;
    }
    Ok(())
}

/// Writes a host in lines of its own.
fn write_host(row: &HostStats, columns: usize, out: &mut Vec<u8>) -> io::Result<()> {
    writeln!(out, "{}", printable(&row.host))?;
    let limit = row.limit.map_or("no limit".to_owned(), |limit| format!("limit {limit}"));
    let asked = [counted(row.requests, "request"), human_bytes(row.bytes)];
    let parallel = [format!("max parallel {}", row.peak), limit];
    write_facts(out, columns, "", &[asked, parallel].concat())?;
    write_facts(out, columns, "failed attempts:", &failures(row))?;
    write_facts(out, columns, "delayed:", &waits(row))
}

fn write_row(out: &mut Vec<u8>, width: usize, cells: [&str; 5]) -> io::Result<()> {
    let [name, requests, bytes, peak, limit] = cells;
    writeln!(out, "{name:width$}  {requests:>8}  {bytes:>10}  {peak:>12}  {limit:>5}")
}

/// Writes facts about the host above, after the words `what`; nothing if there are none. They are wrapped to `columns`.
fn write_facts(out: &mut Vec<u8>, columns: usize, what: &str, facts: &[String]) -> io::Result<()> {
    let Some((last, others)) = facts.split_last() else { return Ok(()) };
    let facts = others.iter().map(|fact| format!("{fact},")).chain([last.clone()]);
    // A space precedes each fact.
    let (mut text, indent) =
        if what.is_empty() { (" ".to_owned(), " ") } else { (format!("  {what}"), "   ") };
    for fact in facts {
        if text != indent && text.chars().count() + 1 + fact.chars().count() > columns {
            writeln!(out, "{text}")?;
            text = indent.to_owned();
        }
        text = format!("{text} {fact}");
    }
    writeln!(out, "{text}")
}

/// The failed attempts of a host, by class.
pub(super) fn failures(row: &HostStats) -> Vec<String> {
    row.failures.iter().map(|(class, count)| format!("{count} {class}")).collect()
}

/// How long a host's jobs were delayed for each reason, the longest first.
pub(super) fn waits(row: &HostStats) -> Vec<String> {
    let mut waits: Vec<_> = row.waited.iter().filter(|(_, time)| **time >= MIN_WAIT).collect();
    waits.sort_by_key(|(_, time)| Reverse(**time));
    let describe = |(reason, time): &(&WaitReason, &Duration)| {
        format!("{:.1} s {}", time.as_secs_f64(), cause(**reason))
    };
    waits.iter().map(describe).collect()
}

/// A wait reason in words.
fn cause(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Limit => "concurrency limit",
        WaitReason::Gap => "request spacing",
        WaitReason::RetryAfter => "Retry-After",
        WaitReason::Unreachable => "host down",
        WaitReason::Lookup => "DNS",
        WaitReason::Robots => "robots.txt",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::model::FailureClass;

    fn row(host: &str) -> HostStats {
        HostStats::of(&Arc::from(host))
    }

    fn table_of(hosts: &[HostStats]) -> String {
        let mut out = Vec::new();
        table(hosts, 80, &mut out).expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn hosts_are_told_in_a_table_with_what_went_wrong_and_why_they_waited() {
        let busy = HostStats {
            requests: 123_456,
            bytes: 12_900_000,
            failures: [(FailureClass::Http4xx, 2), (FailureClass::RateLimited, 31)].into(),
            peak: 6,
            limit: Some(3),
            waited: [
                (WaitReason::Limit, Duration::from_millis(1_250)),
                (WaitReason::Gap, Duration::from_millis(3)),
                (WaitReason::RetryAfter, Duration::from_secs(90)),
            ]
            .into(),
            ..row("https://en.wikipedia.org")
        };
        let local = HostStats { requests: 2, peak: 2, ..row("http://127.0.0.1:8080") };
        assert_snapshot!(table_of(&[busy, local]), @"
        Host                      Requests       Bytes  Max parallel  Limit
        https://en.wikipedia.org    123456    12.3 MiB             6      3
          failed attempts: 2 http_4xx, 31 rate_limited
          delayed: 90.0 s Retry-After, 1.2 s concurrency limit
        http://127.0.0.1:8080            2         0 B             2   none
        ");
    }

    #[test]
    fn a_table_of_short_names_is_narrow_and_one_of_long_names_fits_80_columns() {
        assert_snapshot!(table_of(&[row("a")]), @"
        Host  Requests       Bytes  Max parallel  Limit
        a            0         0 B             0   none
        ");
        let long = format!("https://{}.org", "a".repeat(25));
        assert_eq!(long.len(), MAX_NAME_WIDTH);
        let table = table_of(&[row(&long), row("https://a.b")]);
        assert!(table.lines().all(|line| line.len() == 80), "{table}");
    }

    #[test]
    fn a_name_that_is_too_long_is_told_whole_and_the_others_stay_in_line() {
        let long = format!("https://{}.org", "a".repeat(60));
        let table = table_of(&[row(&long), row("https://a.b")]);
        assert!(table.contains(&long));
        let widths: Vec<_> = table.lines().map(str::len).collect();
        assert_eq!(widths, [80, long.len() + 43, 80]);
    }

    #[test]
    fn on_a_narrow_terminal_each_host_has_lines_of_its_own_that_fit() {
        let busy = HostStats {
            requests: 1,
            failures: [(FailureClass::Http4xx, 2), (FailureClass::RateLimited, 31)].into(),
            waited: [
                (WaitReason::Limit, Duration::from_millis(1_250)),
                (WaitReason::RetryAfter, Duration::from_secs(90)),
            ]
            .into(),
            ..row("https://en.wikipedia.org")
        };
        let mut out = Vec::new();
        table(&[busy, row("a")], 40, &mut out).expect("memory takes all");
        assert_snapshot!(String::from_utf8(out).expect("text"), @"
        https://en.wikipedia.org
          1 request, 0 B, max parallel 0,
          no limit
          failed attempts: 2 http_4xx,
            31 rate_limited
          delayed: 90.0 s Retry-After,
            1.2 s concurrency limit
        a
          0 requests, 0 B, max parallel 0,
          no limit
        ");
    }

    #[test]
    fn hostile_names_stay_inert() {
        assert!(table_of(&[row("https://a\u{1b}[2J\n")]).contains(r"https://a\u{1b}[2J\u{a}  "));
    }

    #[test]
    fn without_hosts_there_is_no_table() {
        assert_eq!(table_of(&[]), "");
    }
}

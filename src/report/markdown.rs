//! The report as a table to paste (GitHub Flavored Markdown), the total above it. Pure.
//!
//! Whatever comes from a list or a server stands in code spans, where nothing is markup; a `|` in it is escaped, as
//! tables want it.

use std::io::{self, Write};

use super::aggregate::{Aggregate, AggregateRow};
use super::escape::printable;
use super::text;
use crate::model::Summary;
use crate::units::human_bytes;

/// The whole page.
pub(crate) fn page(
    aggregate: &Aggregate,
    summary: Option<&Summary>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    total(aggregate, summary, out)?;
    if !aggregate.counts.failures.is_empty() {
        writeln!(out, "\n| Failures | URLs |\n|---|---:|")?;
        for (class, count) in aggregate.counts.most_frequent_failures() {
            writeln!(out, "| {} | {count} |", cell(class.name()))?;
        }
    }
    let bytes = if summary.is_some_and(|summary| summary.head) { "Announced" } else { "Bytes" };
    writeln!(out, "\n| # | Outcome | Status | {bytes} | Seconds | URL | Error |")?;
    writeln!(out, "|---:|---|---:|---:|---:|---|---|")?;
    aggregate.rows.iter().try_for_each(|row| line(row, out))?;
    match aggregate.further() {
        0 => Ok(()),
        further => writeln!(out, "\nAnd {further} more."),
    }
}

fn total(aggregate: &Aggregate, summary: Option<&Summary>, out: &mut Vec<u8>) -> io::Result<()> {
    if let Some(summary) = summary {
        // `stopped` of a saved run is untrusted text.
        text::first_line(&Summary { stopped: None, ..summary.clone() }, out)?;
        if let Some(cause) = &summary.stopped {
            writeln!(out, "\nStopped early: {}", code(cause))?;
        }
        if let Some(missing) = aggregate.missing_records(summary) {
            writeln!(out, "\n{missing}")?;
        }
        return text::unread_list(summary)
            .map_or(Ok(()), |unread| writeln!(out, "\nNot complete: {}", code(&unread)));
    }
    let bytes = human_bytes(aggregate.counts.bytes);
    let (ok, targets) = (aggregate.counts.ok, aggregate.counts.targets);
    writeln!(out, "Downloaded {ok} of {targets}+ sites, {bytes}; no summary found")
}

fn line(row: &AggregateRow, out: &mut Vec<u8>) -> io::Result<()> {
    let status = row.status.map(|status| status.to_string()).unwrap_or_default();
    let seconds = row.timings.total.map(|total| format!("{total:.3}")).unwrap_or_default();
    let message = row.message.as_deref().unwrap_or_default();
    let mirror = row.mirror.as_deref().map(|mirror| format!(" (mirror {})", cell(mirror)));
    writeln!(
        out,
        "| {} | {} | {status} | {} | {seconds} | {}{} | {} |",
        row.index,
        row.outcome,
        row.bytes,
        cell(&row.url),
        mirror.unwrap_or_default(),
        cell(message)
    )
}

/// The text as a code span in a cell.
pub(crate) fn cell(text: &str) -> String {
    // Before a `|` a backslash would be taken for another escape, and readers differ about what two of them are.
    code(&text.replace("\\|", "\\\\u{7c}").replace('|', "\\|"))
}

/// The text as a code span.
pub(crate) fn code(text: &str) -> String {
    let text = printable(text.trim());
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run_of_backticks(&text) + 1);
    let at_an_end = text.starts_with('`') || text.ends_with('`');
    let pad = if at_an_end { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|character| character != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, TagEnd};

    use super::*;
    use crate::model::{Failure, Record, test_fixtures};

    fn written(records: &[Record], summary: Option<&Summary>) -> String {
        let mut aggregate = Aggregate::default();
        records.iter().for_each(|record| aggregate.add(record));
        let mut text = Vec::new();
        page(&aggregate, summary, &mut text).expect("memory takes all");
        String::from_utf8(text).expect("text")
    }

    /// The texts of all cells of the last table, as an independent parser reads them.
    fn cells(text: &str) -> Vec<Vec<String>> {
        let mut rows = vec![vec![String::new()]];
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Text(text) => rows.last_mut().unwrap().last_mut().unwrap().push_str(&text),
                Event::Code(code) => rows.last_mut().unwrap().last_mut().unwrap().push_str(&code),
                Event::End(TagEnd::TableCell) => rows.last_mut().unwrap().push(String::new()),
                Event::End(TagEnd::TableRow | TagEnd::TableHead) => rows.push(vec![String::new()]),
                Event::Html(html) | Event::InlineHtml(html) => panic!("markup: {html}"),
                Event::End(TagEnd::Link | TagEnd::Image) => panic!("a link in {text}"),
                _ => {}
            }
        }
        rows
    }

    #[test]
    fn the_total_comes_first_then_failures_then_a_row_a_url() {
        let records = [
            test_fixtures::record("https://a.b/x?a|b").read(2048),
            test_fixtures::record("https://a.b/gone").at(2).failed(&Failure::Status(404), 1),
            test_fixtures::invalid("sites.txt", Some(3), "htp://`c`", "not a web address").at(3),
        ];
        assert_snapshot!(written(&records, Some(&test_fixtures::summary(&records))), @r"
        Downloaded 1 of 3 sites, 2.0 KiB in 1.61 seconds (threads, 5 jobs)

        | Failures | URLs |
        |---|---:|
        | `http_4xx` | 1 |
        | `invalid_url` | 1 |

        | # | Outcome | Status | Bytes | Seconds | URL | Error |
        |---:|---|---:|---:|---:|---|---|
        | 1 | ok | 200 | 2048 | 0.410 | `https://a.b/x?a\|b` |  |
        | 2 | failed | 404 | 0 | 0.410 | `https://a.b/gone` | `HTTP 404 Not Found` |
        | 3 | invalid |  | 0 |  | `` htp://`c` `` | `not a web address` |
        ");
    }

    #[test]
    fn what_served_a_url_is_named_if_it_is_another_one() {
        let mut records = [1, 2].map(|index| test_fixtures::record("https://a.b/").at(index));
        records[0].served_by = Some("https://a.b/".to_owned());
        records[1].served_by = Some("https://mirror.b/x|y".to_owned());
        let read = cells(&written(&records, None));
        let urls: Vec<_> = read.iter().filter(|row| row.len() == 8).map(|row| &*row[5]).collect();
        assert_eq!(urls, ["URL", "https://a.b/", "https://a.b/ (mirror https://mirror.b/x|y)"]);
    }

    #[test]
    fn a_run_that_was_cut_off_is_told_as_one() {
        let text = written(&[test_fixtures::record("https://a.b/").read(10)], None);
        assert!(text.starts_with("Downloaded 1 of 1+ sites, 10 B; no summary found\n"));
    }

    #[test]
    fn why_a_run_was_stopped_is_no_markup_either() {
        let hostile = "</script><b>|`x` [a](https://a.b/) &amp;\u{1b}";
        let summary = Summary { stopped: Some(hostile.to_owned()), ..test_fixtures::summary([]) };
        let read = cells(&written(&[], Some(&summary))).concat().concat();
        assert!(
            read.contains("Stopped early: </script><b>|`x` [a](https://a.b/) &amp;\\u{1b}"),
            "{read}"
        );
    }

    proptest! {
        #[test]
        fn every_text_is_one_cell_and_comes_back_as_it_was(
            url in "[ -~]{0,8}[!-~]", hostile in "([|`\\\\<>*_&]|<script>|\\]\\(|https://a[.]b/){1,12}"
        ) {
            let records = [test_fixtures::record(&url), test_fixtures::record(&hostile).at(2)];
            let read = cells(&written(&records, None));
            let rows: Vec<_> = read.iter().filter(|row| row.len() == 8).collect();
            prop_assert_eq!(rows.len(), 3);
            let shown = |text: &str| text.trim().replace("\\|", "\\\\u{7c}");
            prop_assert_eq!(&rows[1][5], &shown(&url));
            prop_assert_eq!(&rows[2][5], &shown(&hostile));
        }
    }
}

//! A comparison as a text table: a column per contestant, as many as fit. Pure.

use std::fmt::Write;

use crate::compare::command;
use crate::compare::export::{FIGURES, MetricGroup, MetricRow, against, head, remarks};
use crate::compare::result::{Comparison, ModeStats};
use crate::report::printable;
use crate::text::counted;

/// Width of the column of metric names.
const TITLE_WIDTH: usize = 24;

/// Width of a column of values.
const VALUE_WIDTH: usize = 14;

/// Formats the table for lines of `width` characters, with a final newline. Only single words and the values of a single
/// contestant can be wider.
pub(crate) fn table(comparison: &Comparison, width: usize) -> String {
    let mut page = Page { text: String::new(), width };
    match comparison.reasons.split_first() {
        Some((first, more)) => {
            page.add_paragraph(&format!("Not comparable: {first}"));
            more.iter().for_each(|reason| page.add_paragraph(&format!("Not comparable: {reason}")));
        }
        None if comparison.verdict.is_empty() => {}
        None => page.add_paragraph(&comparison.verdict),
    }
    page.blank_line();
    let head = head(comparison);
    page.add_paragraph(&format!("{}: {}", head.workload, head.extent));
    head.lines.iter().for_each(|line| page.add_paragraph(line));
    page.add_metrics(comparison);
    page.blank_line();
    comparison.explanation.iter().for_each(|sentence| page.add_paragraph(sentence));
    for remark in remarks(comparison) {
        page.add_paragraph(&format!("note: {remark}"));
    }
    let earlier = against(comparison);
    if !earlier.is_empty() {
        page.blank_line();
    }
    earlier.iter().for_each(|sentence| page.add_paragraph(sentence));
    page.text.truncate(page.text.trim_end().len());
    page.text + "\n"
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn blank_line(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn add_metrics(&mut self, comparison: &Comparison) {
        let across = (self.width.saturating_sub(TITLE_WIDTH) / VALUE_WIDTH).max(1);
        let mark = if comparison.comparable { "" } else { "(not comparable)" };
        let longest = comparison.contestants.iter().map(|one| one.wall.median).fold(0.0, f64::max);
        for contestants in comparison.contestants.chunks(across) {
            self.blank_line();
            self.add_row(mark, contestants.iter().map(|one| heading(one)[0].clone()));
            self.add_row("", contestants.iter().map(|one| heading(one)[1].clone()));
            for (place, MetricGroup { figures, .. }) in FIGURES.iter().enumerate() {
                if place > 0 {
                    self.blank_line();
                }
                for (at, figure) in figures.iter().enumerate() {
                    self.add_row(&title(figure), contestants.iter().map(figure.text));
                    if (place, at) == (0, 0) && comparison.contestants.len() > 1 {
                        self.add_row(
                            "",
                            contestants.iter().map(|one| bar(one.wall.median / longest)),
                        );
                    }
                }
            }
        }
    }

    fn add_row(&mut self, title: &str, values: impl Iterator<Item = String>) {
        let mut text = format!("{title:TITLE_WIDTH$}");
        for value in values {
            let _ = write!(text, " {value:>width$}", width = VALUE_WIDTH - 1);
        }
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// Adds a sentence, wrapped between words.
    fn add_paragraph(&mut self, sentence: &str) {
        let mut width = 0;
        for word in printable(sentence).split(' ') {
            let length = word.chars().count();
            if width > 0 && width + 1 + length > self.width {
                self.text.push('\n');
                width = 0;
            }
            if width > 0 {
                self.text.push(' ');
                width += 1;
            }
            self.text.push_str(word);
            width += length;
        }
        self.text.push('\n');
    }
}

/// The two lines above the values of a contestant.
fn heading(one: &ModeStats) -> [String; 2] {
    let name = one.name();
    if one.mode == command::MODE {
        return [clip(&name), command::MODE.to_owned()];
    }
    let jobs = counted(one.jobs as u64, "job");
    match name.rsplit_once(" #") {
        Some((_, number)) => [clip(&one.mode), format!("{jobs} #{number}")],
        None => [clip(&one.mode), jobs],
    }
}

fn clip(name: &str) -> String {
    let name = printable(name);
    match name.chars().count() {
        ..VALUE_WIDTH => name.into_owned(),
        _ => name.chars().take(VALUE_WIDTH - 2).chain(['~']).collect(),
    }
}

/// A bar for a share of the longest time.
fn bar(share: f64) -> String {
    "=".repeat(((VALUE_WIDTH - 1) as f64 * share).round().max(1.0) as usize)
}

fn title(figure: &MetricRow) -> String {
    if figure.is_part() { format!("  {}", figure.short) } else { figure.name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::summarize::{mode_stats, pairs};
    use super::*;
    use crate::compare::explanation::explanation;
    use crate::compare::findings::{Evidence, Findings};
    use crate::compare::result::{LatencyQuantiles, Sample, TimedSpan};

    use fastrand::Rng;
    use insta::assert_snapshot;

    /// A sample of 15 URLs, whose time is nearly all waiting.
    fn sample(block: usize, contestant: usize, mode: &str, jobs: usize, wall: f64) -> Sample {
        let spread = LatencyQuantiles { p50: Some(0.103), p90: Some(0.111), p99: Some(0.12) };
        Sample {
            block,
            contestant,
            mode: mode.to_owned(),
            jobs,
            wall,
            setup: Some(0.05),
            process: Some(wall + 0.06),
            targets: Some(15),
            ok: Some(15),
            failed: Some(0),
            bytes: Some(3_795_179),
            wire_bytes: Some(3_795_179),
            first_byte: spread,
            total: spread,
            longest: Some(0.12),
            waiting: Some(1.5),
            transfer: Some(0.06),
            retries: Some(0),
            retried: Some(0),
            retry_wait: Some(0.0),
            cpu_user: Some(0.03),
            cpu_system: Some(0.004),
            peak_memory: Some(20 << 20),
            worker_threads: Some(if mode == "threads" { jobs as u64 } else { 1 }),
            voluntary_switches: Some(64 + block as u64),
            requests: Some(15),
            connections: Some(jobs as u64),
            handshakes: Some(0),
            lookups: Some(0),
            ..Sample::default()
        }
    }

    fn comparison(runs: usize) -> Comparison {
        let modes = [("sequential", 1, 1.6), ("threads", 5, 0.33), ("async", 5, 0.331)];
        let samples: Vec<Sample> = (1..=runs)
            .flat_map(|block| {
                modes.iter().enumerate().map(move |(place, (mode, jobs, wall))| {
                    let drift = 1.0 + 0.01 * ((block * 7 + place * 3) % 10) as f64;
                    sample(block, place, mode, *jobs, wall * drift)
                })
            })
            .collect();
        let span = TimedSpan::Run;
        let pairs = pairs(&samples, 3, span, &mut Rng::with_seed(0));
        let contestants = mode_stats(&samples, 3, span, &pairs);
        let findings = Findings::from(&Evidence {
            samples: &samples,
            contestants: &contestants,
            pairs: &pairs,
            reasons: &[],
            cores: Some(2),
            span,
            is_limited: false,
        });
        Comparison {
            verdict: findings.verdict,
            timed: span,
            against: None,
            program: String::new(),
            started_at: String::new(),
            cores: None,
            sources: vec!["sites.txt".to_owned()],
            options: vec![],
            comparable: true,
            reasons: vec![],
            notes: findings.notes,
            explanation: findings.explanation,
            subject: "what is listed".to_owned(),
            targets: 15,
            bytes: 3_795_179,
            runs,
            warmup: 1,
            seed: 0,
            contestants,
            pairs,
            samples,
        }
    }

    #[test]
    fn a_table_fits_80_columns_and_says_what_follows_from_it() {
        let text = table(&comparison(10), 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_snapshot!(text, @"
        threads (5 jobs) and async (5 jobs) are 4.83-4.85x as fast as sequential, with
        no significant difference among them.

        sites.txt: 15 URLs, 3.6 MiB
        10 runs each after 1 warm-up, in randomized blocks (seed 0). Values are medians.
        Every run: 15 ok.
        p-values are adjusted for 3 pairs (Holm); intervals are not.

                                    sequential       threads         async
                                         1 job        5 jobs        5 jobs
        Wall time                      1.672 s       0.345 s       0.346 s
                                 =============           ===           ===
          95% CI                   1.627-1.717   0.335-0.354   0.336-0.355
          range                    1.600-1.744   0.330-0.360   0.331-0.361
        Speedup                              1         4.85x         4.83x
          95% CI                             -     4.71-4.99     4.70-4.98
          p-value (U test)                   -       < 0.001       < 0.001
          adjusted (Holm)                    -       < 0.001       < 0.001
        Setup time                     0.050 s       0.050 s       0.050 s
        Process time                   1.732 s       0.405 s       0.406 s

        Throughput                   2.2 MiB/s    10.5 MiB/s    10.5 MiB/s
        URLs/s                             9.0          43.5          43.4
        Time to first byte, p50        0.103 s       0.103 s       0.103 s
          p90, p99                0.111, 0.120  0.111, 0.120  0.111, 0.120
        Time per URL, p50              0.103 s       0.103 s       0.103 s
          p90, p99                0.111, 0.120  0.111, 0.120  0.111, 0.120
        Waiting (% of URL time)            96%           96%           96%
        Receiving (%)                       4%            4%            4%
        Retry wait (% of wall)              0%            0%            0%
        Failed                               0             0             0

        CPU, user                      0.030 s       0.030 s       0.030 s
        CPU, system                    0.004 s       0.004 s       0.004 s
        CPU (% of process time)             2%            8%            8%
        Waiting for CPU                      -             -             -
        Peak memory                   20.0 MiB      20.0 MiB      20.0 MiB
        Worker threads                       1             5             1
        Voluntary switches                69.5          69.5          69.5
        Involuntary switches                 -             -             -

        Requests                            15            15            15
        Connections                          1             5             5
        TLS handshakes                       0             0             0
        DNS lookups                          0             0             0
        Retries                              0             0             0

        96% of the time per URL is spent waiting for the first byte, so concurrency
        determines the total time.
        threads (5 jobs) is 4.85x as fast as sequential.
        async (5 jobs) is 4.83x as fast as sequential.
        No significant difference between threads (5 jobs) and async (5 jobs) (p =
        0.739).
        ");
    }

    #[test]
    fn too_few_runs_are_reported_first_and_show_nothing() {
        let text = table(&comparison(3), 80);
        assert!(text.starts_with("No verdict: 3 runs each are too few"), "{text}");
        assert!(text.contains("need at least 6 runs"), "{text}");
        assert!(!text.contains("ignificant"), "{text}");
    }

    #[test]
    fn lines_are_as_wide_as_the_terminal() {
        for (width, across) in [(60, 2), (80, 3), (30, 1)] {
            let text = table(&comparison(10), width);
            let fits = |line: &str| line.chars().count() <= width.max(TITLE_WIDTH + VALUE_WIDTH);
            assert!(text.lines().all(fits), "{width}: {text}");
            assert_eq!(text.matches("Wall time ").count(), 3_usize.div_ceil(across), "{text}");
        }
    }

    #[test]
    fn two_contestants_of_one_name_have_numbers() {
        let mut comparison = comparison(10);
        for (place, one) in comparison.contestants.iter_mut().enumerate() {
            (one.mode, one.jobs) = ("async".to_owned(), 5);
            one.name = format!("async (5 jobs) #{}", place + 1);
        }
        let text = table(&comparison, 80);
        assert!(text.contains("     5 jobs #1     5 jobs #2     5 jobs #3\n"), "{text}");
    }

    #[test]
    fn more_contestants_than_fit_come_below() {
        let mut comparison = comparison(3);
        comparison.contestants = comparison.contestants.iter().cycle().take(9).cloned().collect();
        let text = table(&comparison, 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.matches("Wall time ").count(), 3);
    }

    #[test]
    fn a_cpu_bound_mode_is_reported() {
        let mut comparison = comparison(10);
        for one in &mut comparison.contestants {
            one.cpu_share = Some(0.97);
            one.waiting = Some(0.2);
        }
        let said = explanation(&comparison.contestants, &comparison.pairs, true).join(" ");
        assert!(
            said.contains("async (5 jobs) is CPU-bound: it uses 0.97 cores with one worker thread")
        );
        assert!(
            !said.contains("threads (5 jobs) is CPU-bound"),
            "five threads could use more: {said}"
        );
        assert!(said.contains("80% of the time per URL is spent receiving"), "{said}");
    }

    #[test]
    fn what_is_not_comparable_says_so_first_and_over_the_figures() {
        let reasons = ["a run ended early (async): the quota was used up", "another"];
        let reasons = reasons.map(str::to_owned).to_vec();
        let text = table(&Comparison { comparable: false, reasons, ..comparison(3) }, 80);
        let expected = "Not comparable: a run ended early (async): the quota was used up\n\
                        Not comparable: another\n\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\n(not comparable) "), "{text}");
    }
}

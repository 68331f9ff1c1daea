//! A comparison as a text table: a column per mode, as many as fit in 80 characters. Pure.

use std::fmt::Write;

use crate::compare::export::{FIGURES, MetricGroup, MetricRow, head, remarks};
use crate::compare::result::Comparison;

/// Modes side by side.
const ACROSS: usize = 4;

/// Width of the name of a metric.
const TITLE: usize = 24;

/// Width of a value.
const FIGURE: usize = 14;

/// Width of a line.
const LINE: usize = 80;

/// The text, including its last newline.
pub(crate) fn table(comparison: &Comparison) -> String {
    let mut page = String::new();
    for sentence in head(comparison) {
        paragraph(&mut page, &sentence);
    }
    for contestants in comparison.contestants.chunks(ACROSS) {
        page.push('\n');
        line(&mut page, "", contestants.iter().map(|one| one.mode.clone()));
        line(&mut page, "", contestants.iter().map(|one| jobs(one.jobs)));
        for (place, MetricGroup { figures, .. }) in FIGURES.iter().enumerate() {
            if place > 0 {
                page.push('\n');
            }
            for figure in *figures {
                line(&mut page, &title(figure), contestants.iter().map(figure.text));
            }
        }
    }
    page.push('\n');
    for sentence in &comparison.explanation {
        paragraph(&mut page, sentence);
    }
    for remark in remarks(comparison) {
        paragraph(&mut page, &format!("note: {remark}"));
    }
    for reason in &comparison.reasons {
        paragraph(&mut page, &format!("warning: not comparable: {reason}"));
    }
    page
}

fn title(figure: &MetricRow) -> String {
    if figure.is_part() { format!("  {}", figure.short) } else { figure.name.to_owned() }
}

fn line(page: &mut String, title: &str, figures: impl Iterator<Item = String>) {
    let mut text = format!("{title:TITLE$}");
    for figure in figures {
        let _ = write!(text, " {figure:>width$}", width = FIGURE - 1);
    }
    page.push_str(text.trim_end());
    page.push('\n');
}

/// Appends a sentence, wrapped between words.
fn paragraph(page: &mut String, sentence: &str) {
    let mut width = 0;
    for word in sentence.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > LINE {
            page.push('\n');
            width = 0;
        }
        if width > 0 {
            page.push(' ');
            width += 1;
        }
        page.push_str(word);
        width += length;
    }
    page.push('\n');
}

fn jobs(jobs: usize) -> String {
    if jobs == 1 { "1 job".to_owned() } else { format!("{jobs} jobs") }
}

#[cfg(test)]
mod tests {
    use super::super::summarize::{mode_stats, pairs};
    use super::*;
    use crate::compare::explanation::explanation;
    use crate::compare::result::{LatencyQuantiles, Sample};
    use fastrand::Rng;
    use insta::assert_snapshot;

    /// A sample of 15 URLs that took so long, nearly all of it waiting.
    fn sample(block: usize, contestant: usize, mode: &str, jobs: usize, wall: f64) -> Sample {
        let spread = LatencyQuantiles { p50: Some(0.103), p90: Some(0.111), p99: Some(0.12) };
        Sample {
            block,
            contestant,
            mode: mode.to_owned(),
            jobs,
            wall,
            setup: 0.05,
            targets: 15,
            ok: 15,
            bytes: 3_795_179,
            wire_bytes: 3_795_179,
            first_byte: spread,
            total: spread,
            waiting: 1.5,
            transfer: 0.06,
            retries: 0,
            cpu_user: Some(0.03),
            cpu_system: Some(0.004),
            peak_memory: Some(20 << 20),
            worker_threads: if mode == "threads" { jobs as u64 } else { 1 },
            voluntary_switches: Some(64 + block as u64),
            involuntary_switches: None,
            requests: 15,
            connections: jobs as u64,
            handshakes: 0,
            lookups: 0,
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
        let contestants = mode_stats(&samples, 3, &mut Rng::with_seed(0));
        let pairs = pairs(&samples, 3, &mut Rng::with_seed(0));
        Comparison {
            program: String::new(),
            started_at: String::new(),
            cores: None,
            sources: vec![],
            options: vec![],
            comparable: true,
            reasons: vec![],
            notes: vec![],
            explanation: explanation(&contestants, &pairs),
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
        let text = table(&comparison(10));
        assert!(text.lines().all(|line| line.chars().count() <= LINE), "{text}");
        assert_snapshot!(text, @"
        Workload: what is listed
        15 URLs, 3.6 MiB; 10 runs per mode after 1 warm-up, in randomized blocks (seed
        0). Values are medians.

                                    sequential       threads         async
                                         1 job        5 jobs        5 jobs
        Wall time                      1.672 s       0.345 s       0.346 s
          95% CI                   1.627-1.717   0.335-0.354   0.336-0.355
          range                    1.600-1.744   0.330-0.360   0.331-0.361
        Speedup                              1         4.85x         4.83x
          95% CI                             -     4.71-4.99     4.70-4.98
          p-value (U test)                   -       < 0.001       < 0.001
        Setup time                     0.050 s       0.050 s       0.050 s

        Throughput                   2.2 MiB/s    10.5 MiB/s    10.5 MiB/s
        URLs/s                             9.0          43.5          43.4
        Time to first byte, p50        0.103 s       0.103 s       0.103 s
          p90, p99                0.111, 0.120  0.111, 0.120  0.111, 0.120
        Time per URL, p50              0.103 s       0.103 s       0.103 s
          p90, p99                0.111, 0.120  0.111, 0.120  0.111, 0.120
        Waiting (% of URL time)            96%           96%           96%
        Receiving (%)                       4%            4%            4%

        CPU, user                      0.030 s       0.030 s       0.030 s
        CPU, system                    0.004 s       0.004 s       0.004 s
        CPU utilization                     2%            9%            9%
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
    fn too_few_runs_show_no_difference() {
        let text = table(&comparison(3));
        assert!(text.contains("need at least 6 runs"), "{text}");
        assert!(
            text.contains("No significant difference between sequential and threads"),
            "{text}"
        );
    }

    #[test]
    fn more_contestants_than_fit_come_below() {
        let mut comparison = comparison(3);
        comparison.contestants = comparison.contestants.iter().cycle().take(9).cloned().collect();
        let text = table(&comparison);
        assert!(text.lines().all(|line| line.chars().count() <= LINE), "{text}");
        assert_eq!(text.matches("Wall time ").count(), 3);
    }

    #[test]
    fn a_cpu_bound_mode_is_reported() {
        let mut comparison = comparison(10);
        for one in &mut comparison.contestants {
            one.cpu_share = Some(0.97);
            one.waiting = Some(0.2);
        }
        let told = explanation(&comparison.contestants, &comparison.pairs).join(" ");
        assert!(told.contains("async (5 jobs) is CPU-bound: its single thread uses 0.97 cores"));
        assert!(
            !told.contains("threads (5 jobs) is CPU-bound"),
            "five threads could use more: {told}"
        );
        assert!(told.contains("80% of the time per URL is spent receiving"), "{told}");
    }

    #[test]
    fn a_comparison_that_is_none_starts_its_reason_with_a_warning() {
        let reasons = vec!["a run ended early (async): the quota was used up".to_owned()];
        let text = table(&Comparison { comparable: false, reasons, ..comparison(3) });
        assert!(
            text.contains("warning: not comparable: a run ended early (async): the quota"),
            "{text}"
        );
    }
}

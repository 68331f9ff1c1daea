//! A comparison as text: a column for each contestant, as many side by side as 80 columns hold. Pure.

use std::fmt::Write;

use crate::compare::export::{FIGURES, MetricGroup, MetricRow, head, remarks};
use crate::compare::result::Comparison;

/// Contestants side by side.
const ACROSS: usize = 4;

/// Width of what a row is called.
const TITLE: usize = 22;

/// Width of a figure.
const FIGURE: usize = 14;

/// Width of a line.
const LINE: usize = 80;

/// The text, its last newline included.
pub fn table(comparison: &Comparison) -> String {
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
                line(&mut page, &title(figure), contestants.iter().map(figure.told));
            }
        }
    }
    page.push('\n');
    for sentence in &comparison.explanation {
        paragraph(&mut page, sentence);
    }
    for remark in remarks(comparison) {
        paragraph(&mut page, &format!("Note: {remark}."));
    }
    for reason in &comparison.reasons {
        paragraph(&mut page, &format!("NOT COMPARABLE: {reason}."));
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

/// A sentence, broken between words.
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
        assert_snapshot!(text, @r"
        Compared on what is listed.
        15 URLs, 3.6 MiB; 10 runs each after 1 to warm up, in 10 blocks of random order
        (seed 0). Figures are medians over runs.

                                  sequential       threads         async
                                       1 job        5 jobs        5 jobs
        Wall time                    1.672 s       0.345 s       0.346 s
          95 % interval          1.627-1.717   0.335-0.354   0.336-0.355
          min-max                1.600-1.744   0.330-0.360   0.331-0.361
        Speed-up                           1        4.85 x        4.83 x
          95 % interval                    -     4.71-4.99     4.70-4.98
          rank test, p                     -       < 0.001       < 0.001
        Set-up time                  0.050 s       0.050 s       0.050 s

        Bytes a second               2.2 MiB      10.5 MiB      10.5 MiB
        URLs a second                    9.0          43.5          43.4
        First byte, p50              0.103 s       0.103 s       0.103 s
          p90, p99              0.111, 0.120  0.111, 0.120  0.111, 0.120
        Whole URL, p50               0.103 s       0.103 s       0.103 s
          p90, p99              0.111, 0.120  0.111, 0.120  0.111, 0.120
        Waiting, share                  96 %          96 %          96 %
        Reading, share                   4 %           4 %           4 %

        CPU, user                    0.030 s       0.030 s       0.030 s
        CPU, system                  0.004 s       0.004 s       0.004 s
        CPU, of a core                   2 %           9 %           9 %
        Peak memory                 20.0 MiB      20.0 MiB      20.0 MiB
        Worker threads                     1             5             1
        Switches, to wait               69.5          69.5          69.5
        Switches, forced                   -             -             -

        Requests                          15            15            15
        Connections                        1             5             5
        TLS handshakes                     0             0             0
        Name lookups                       0             0             0
        Retries                            0             0             0

        Of a URL's time 96 % is waiting for the first byte: what counts is how many URLs
        wait at the same time.
        threads (5 jobs) is 4.85 times as fast as sequential.
        async (5 jobs) is 4.83 times as fast as sequential.
        Between threads (5 jobs) and async (5 jobs) no difference is shown (p = 0.739).
        ");
    }

    #[test]
    fn what_too_few_runs_cannot_tell_is_left_open() {
        let text = table(&comparison(3));
        assert!(text.contains("needs 6 runs"), "{text}");
        assert!(text.contains("Between sequential and threads (5 jobs) no difference"), "{text}");
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
    fn a_processor_without_time_left_is_told_of() {
        let mut comparison = comparison(10);
        for one in &mut comparison.contestants {
            one.cpu_share = Some(0.97);
            one.waiting = Some(0.2);
        }
        let told = explanation(&comparison.contestants, &comparison.pairs).join(" ");
        assert!(told.contains("async (5 jobs) keeps 0.97 cores busy: its one thread has no"));
        assert!(!told.contains("threads (5 jobs) keeps"), "five threads could use more: {told}");
        assert!(told.contains("80 % is reading the body"), "{told}");
    }

    #[test]
    fn what_is_not_comparable_is_marked_with_the_reason() {
        let reasons = vec!["a run ended early (async): the quota was used up".to_owned()];
        let text = table(&Comparison { comparable: false, reasons, ..comparison(3) });
        assert!(text.contains("NOT COMPARABLE: a run ended early (async): the quota"), "{text}");
    }
}

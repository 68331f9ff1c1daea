//! Checks the findings in many situations. The samples are made up, so it is known which statements are true.

use fastrand::Rng;

use super::*;
use crate::compare::result::{LatencyQuantiles, TimedSpan};
use crate::compare::summarize::{make_unique, mode_stats, pairs};

/// A contestant: mode, jobs, wall time, CPU time, threads.
type Contestant = (&'static str, usize, f64, f64, u64);

const LESSON: &[Contestant] = &[
    ("sequential", 1, 1.6, 0.04, 1),
    ("threads", 5, 0.33, 0.05, 5),
    ("async", 5, 0.33, 0.04, 1),
    ("processes", 5, 0.33, 0.2, 5),
];
const TWO: &[Contestant] = &[("threads", 4, 0.9, 0.1, 4), ("async", 4, 0.9, 0.05, 1)];
const CORES: &[Contestant] = &[("async", 4, 1.0, 0.97, 1), ("threads", 4, 0.55, 0.99, 4)];
const SLOWER: &[Contestant] = &[("threads", 5, 0.33, 0.05, 5), ("sequential", 1, 1.6, 0.04, 1)];
const SAME: &[Contestant] = &[("async", 4, 0.9, 0.1, 1), ("async", 4, 0.9, 0.1, 1)];
const CURL: &[Contestant] = &[("async", 4, 0.9, 0.1, 1), ("command", 0, 1.8, 0.1, 0)];

struct Situation {
    /// A description of the situation.
    name: &'static str,
    contestants: &'static [Contestant],
    runs: usize,
    /// Adjusts each sample.
    adjust: fn(&mut Sample),
    /// Reasons why the samples are not comparable.
    reasons: &'static [&'static str],
    is_limited: bool,
    /// The verdict, or its beginning if it ends in dots.
    verdict: &'static str,
    /// Texts that are in the notes or the explanation.
    says: &'static [&'static str],
    /// Texts that are neither in these nor in the verdict.
    is_silent_on: &'static [&'static str],
}

const PLAIN: Situation = Situation {
    name: "",
    contestants: TWO,
    runs: 10,
    adjust: mostly_receives,
    reasons: &[],
    is_limited: false,
    verdict: "",
    says: &[],
    is_silent_on: &[],
};

/// Texts that would state what determines the time.
const NO_CAUSE: &[&str] = &["bandwidth", "concurrency", "of the time per URL is spent", "busy"];

fn mostly_receives(sample: &mut Sample) {
    (sample.waiting, sample.transfer) = shares(sample, 0.2);
}

/// The waiting and transfer times of all URLs together, if each worker always has a URL.
fn shares(sample: &Sample, waiting: f64) -> (Option<f64>, Option<f64>) {
    let time = sample.wall * sample.jobs as f64;
    (Some(waiting * time), Some((1.0 - waiting) * time))
}

fn mostly_waits(sample: &mut Sample) {
    (sample.waiting, sample.transfer) = shares(sample, 0.96);
}

fn situations() -> Vec<Situation> {
    vec![
        Situation {
            name: "the built-in workload: waiting, which several workers share",
            contestants: LESSON,
            adjust: mostly_waits,
            verdict: "threads (5 jobs), async (5 jobs) and processes (5 jobs) are 4.85x as fast as \
                      sequential, with no significant difference among them; async (5 jobs) uses the \
                      least CPU time.",
            says: &[
                "96% of the time per URL is spent waiting for the first byte, so concurrency \
                 determines the total time.",
                "threads (5 jobs) is 4.85x as fast as sequential.",
                "No significant difference between threads (5 jobs) and async (5 jobs) (p = 1.000)",
            ],
            is_silent_on: &["bandwidth", "CPU-bound", "busy"],
            ..PLAIN
        },
        Situation {
            name: "receiving takes the time",
            verdict: "No significant difference between threads (4 jobs) and async (4 jobs); async (4 \
                      jobs) uses the least CPU time.",
            says: &["80% of the time per URL is spent receiving the body, so bandwidth determines"],
            is_silent_on: &["concurrency determines", "busy"],
            ..PLAIN
        },
        Situation {
            name: "one loop is out of CPU time, and threads have more cores",
            contestants: CORES,
            verdict: "threads (4 jobs) is 1.82x as fast as async (4 jobs).",
            says: &[
                "async (4 jobs) is CPU-bound: it uses 0.96 cores with one worker thread.",
                "1.77 cores",
            ],
            is_silent_on: &["bandwidth"],
            ..PLAIN
        },
        Situation {
            name: "the machine is busy with other processes",
            adjust: |sample| {
                mostly_receives(sample);
                let threads = sample.worker_threads.unwrap() as f64;
                sample.run_queue_delay = Some(0.45 * sample.wall * threads);
                sample.other_load = Some(1.94);
            },
            verdict: "No significant difference between ...",
            says: &[
                "the machine was busy: workers waited 45% of their time for a processor (threads (4 \
                 jobs), async (4 jobs)); other processes, servers on it included, used up to 1.9 of its \
                 2 cores",
                "not explained, because the machine was busy",
            ],
            is_silent_on: &["bandwidth", "of the time per URL is spent"],
            ..PLAIN
        },
        Situation {
            name: "the runs themselves use all cores",
            contestants: CORES,
            adjust: |sample| {
                mostly_receives(sample);
                sample.run_queue_delay = Some(if sample.mode == "threads" { 0.5 } else { 0.0 });
                sample.other_load = Some(0.1);
            },
            verdict: "threads (4 jobs) is 1.82x as fast as async (4 jobs). The machine was busy.",
            says: &["(threads (4 jobs)); the runs themselves used its 2 cores", "CPU-bound"],
            is_silent_on: &["other processes", "bandwidth"],
            ..PLAIN
        },
        Situation {
            name: "a wait for the processor of four percent is no news",
            adjust: |sample| {
                mostly_receives(sample);
                sample.run_queue_delay = Some(0.04 * sample.wall);
                sample.other_load = Some(1.94);
            },
            verdict: "No significant difference between ...",
            says: &["bandwidth determines"],
            is_silent_on: &["busy", "cores"],
            ..PLAIN
        },
        Situation {
            name: "the local server waited for a processor",
            contestants: LESSON,
            adjust: |sample| {
                mostly_waits(sample);
                sample.server_wait = Some(0.2);
            },
            verdict: "threads (5 jobs), async ...",
            says: &["the local server waited 20% of the time for a processor"],
            is_silent_on: &["concurrency determines"],
            ..PLAIN
        },
        Situation {
            name: "retries take the time",
            adjust: |sample| {
                mostly_waits(sample);
                sample.retried = Some(1);
                sample.retry_wait = Some(0.97 * sample.wall);
                (sample.longest, sample.total.p50) = (Some(sample.wall), Some(0.01));
            },
            verdict: "No verdict: waits between attempts at one URL took 97% of the time.",
            says: &[
                "waits between attempts at one URL took 97% of the wall time in 20 runs; fix or remove",
                "not explained, because URLs were retried",
            ],
            is_silent_on: &[
                "concurrency",
                "bandwidth",
                "significant",
                "one URL takes",
                "x as fast",
            ],
            ..PLAIN
        },
        Situation {
            name: "retries take some of the time of some runs",
            adjust: |sample| {
                mostly_receives(sample);
                if sample.block == 1 {
                    sample.retried = Some(2);
                    sample.retry_wait = Some(0.1 * sample.wall);
                }
            },
            verdict: "No significant difference between ...",
            says: &["took 10% of the wall time in 2 runs", "because URLs were retried"],
            is_silent_on: NO_CAUSE,
            ..PLAIN
        },
        Situation {
            name: "the same URLs fail in every run, without a retry",
            adjust: |sample| {
                mostly_receives(sample);
                (sample.ok, sample.failed) = (Some(12), Some(4));
            },
            verdict: "No significant difference between ...",
            says: &["bandwidth determines"],
            is_silent_on: &["retried"],
            ..PLAIN
        },
        Situation {
            name: "three runs can show nothing",
            contestants: LESSON,
            runs: 3,
            adjust: mostly_waits,
            verdict: "No verdict: 3 runs each are too few for any difference between 4 contestants to reach \
                      the 5% level; use --runs 5 or more.",
            says: &["concurrency determines"],
            is_silent_on: &["significant", "x as fast", "no difference"],
            ..PLAIN
        },
        Situation {
            name: "four runs suffice for one pair",
            contestants: CORES,
            runs: 4,
            verdict: "threads (4 jobs) is 1.82x ...",
            ..PLAIN
        },
        Situation {
            name: "four runs do not suffice for six pairs",
            contestants: LESSON,
            runs: 4,
            verdict: "No verdict: 4 runs each are too few ...",
            is_silent_on: &["significant", "x as fast"],
            ..PLAIN
        },
        Situation {
            name: "five runs suffice for six pairs",
            contestants: LESSON,
            runs: 5,
            verdict: "threads (5 jobs), async (5 jobs) and ...",
            ..PLAIN
        },
        Situation {
            name: "one host is at its limit",
            adjust: mostly_waits,
            is_limited: true,
            verdict: "No significant difference between ...",
            says: &["not explained, because a limit determined the time"],
            is_silent_on: NO_CAUSE,
            ..PLAIN
        },
        Situation {
            name: "one URL takes the time",
            adjust: |sample| {
                mostly_waits(sample);
                (sample.longest, sample.total.p50) = (Some(0.95 * sample.wall), Some(0.01));
            },
            verdict: "No significant difference between ...",
            says: &[
                "one URL takes 95% of the wall time (threads (4 jobs), async (4 jobs)), which more jobs \
                 cannot shorten: http://a.b/slow",
                "not explained, because one URL determined the time",
            ],
            is_silent_on: NO_CAUSE,
            ..PLAIN
        },
        Situation {
            name: "as many jobs as URLs, which take equally long",
            adjust: |sample| {
                mostly_waits(sample);
                (sample.longest, sample.total.p50) = (Some(0.95 * sample.wall), Some(0.8));
            },
            verdict: "No significant difference between ...",
            says: &["concurrency determines"],
            is_silent_on: &["one URL"],
            ..PLAIN
        },
        Situation {
            name: "what is not comparable explains nothing",
            contestants: LESSON,
            adjust: mostly_waits,
            reasons: &["a run ended early (async): the quota was used up", "another"],
            verdict: "Not comparable: a run ended early (async): the quota was used up; and 1 more below.",
            is_silent_on: &["significant", "x as fast", "concurrency", "CPU-bound"],
            ..PLAIN
        },
        Situation {
            name: "the baseline is the faster one",
            contestants: SLOWER,
            verdict: "threads (5 jobs) is 4.85x as fast as sequential.",
            says: &["threads (5 jobs) is 4.85x as fast as sequential."],
            is_silent_on: &["slower"],
            ..PLAIN
        },
        Situation {
            name: "one mode against itself",
            contestants: SAME,
            verdict: "No significant difference between async (4 jobs) #1 and async (4 jobs) #2.",
            says: &[
                "No significant difference between async (4 jobs) #1 and async (4 jobs) #2 (p = ",
            ],
            is_silent_on: &["x as fast", "least"],
            ..PLAIN
        },
        Situation {
            name: "one mode against itself, one of which happened to use less CPU time in every run",
            contestants: &[("async", 4, 0.9, 0.2, 1), ("async", 4, 0.9, 0.1, 1)],
            verdict: "No significant difference between async (4 jobs) #1 and async (4 jobs) #2.",
            is_silent_on: &["least"],
            ..PLAIN
        },
        Situation {
            name: "the median CPU time is less, but not significantly so",
            adjust: |sample| {
                mostly_receives(sample);
                let of_block = if sample.block % 2 == 0 { 0.5 } else { 3.0 };
                sample.cpu_user = sample.cpu_user.map(|time| time * of_block);
            },
            verdict: "No significant difference between threads (4 jobs) and async (4 jobs).",
            is_silent_on: &["least"],
            ..PLAIN
        },
        Situation {
            name: "a single contestant",
            contestants: &[("async", 4, 0.9, 0.1, 1)],
            verdict: "No verdict: a single contestant has nothing to be compared with.",
            says: &["bandwidth determines"],
            ..PLAIN
        },
        Situation {
            name: "a command, of which little is known",
            contestants: CURL,
            adjust: |sample| match sample.mode.as_str() {
                "command" => *sample = as_command(sample),
                _ => mostly_receives(sample),
            },
            verdict: "async (4 jobs) is 2.00x as fast as curl.",
            says: &["80% of the time per URL"],
            ..PLAIN
        },
        Situation {
            name: "nothing is known of any contestant",
            contestants: &[("command", 0, 1.0, 0.1, 0), ("command", 0, 1.0, 0.1, 0)],
            adjust: |sample| *sample = as_command(sample),
            verdict: "No significant difference between curl #1 and curl #2.",
            is_silent_on: NO_CAUSE,
            ..PLAIN
        },
    ]
}

/// The sample with only what is known about a command.
fn as_command(sample: &Sample) -> Sample {
    let Sample { block, contestant, wall, cpu_user, cpu_system, peak_memory, .. } = *sample;
    let known = Sample { block, contestant, wall, cpu_user, cpu_system, ..Sample::default() };
    Sample { mode: "command".to_owned(), process: Some(wall), peak_memory, ..known }
}

#[test]
fn what_is_said_in_each_situation_is_true() {
    let mut wrong = Vec::new();
    for situation in situations() {
        let Findings { verdict, notes, explanation } = findings(&situation);
        let said = [notes, explanation].concat().join("\n");
        let is_verdict = match situation.verdict.strip_suffix("...") {
            Some(beginning) => verdict.starts_with(beginning),
            None => verdict == situation.verdict,
        };
        let missing = situation.says.iter().filter(|part| !said.contains(**part));
        let untrue = situation.is_silent_on.iter();
        let untrue = untrue.filter(|part| said.contains(**part) || verdict.contains(**part));
        let (missing, untrue): (Vec<_>, Vec<_>) = (missing.collect(), untrue.collect());
        if !is_verdict || !missing.is_empty() || !untrue.is_empty() {
            let name = situation.name;
            wrong.push(format!(
                "{name}:\n{verdict}\n{said}\nmissing {missing:?}, untrue {untrue:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn findings(situation: &Situation) -> Findings {
    let Situation { contestants, runs, adjust, reasons, is_limited, .. } = situation;
    let order = (1..=*runs).flat_map(|block| (0..contestants.len()).map(move |one| (block, one)));
    let samples: Vec<Sample> = order
        .map(|(block, place)| {
            let mut sample = sample(block, place, contestants[place]);
            adjust(&mut sample);
            sample
        })
        .collect();
    let (count, span) = (contestants.len(), TimedSpan::Run);
    let pairs = pairs(&samples, count, span, &mut Rng::with_seed(0));
    let mut stats = mode_stats(&samples, count, span, &pairs);
    let names = stats.iter().map(|one| match one.jobs {
        0 => "curl".to_owned(),
        _ => one.name(),
    });
    let names = make_unique(&names.collect::<Vec<_>>());
    stats.iter_mut().zip(names).for_each(|(one, name)| one.name = name);
    let reasons: Vec<String> = reasons.iter().map(|&reason| reason.to_owned()).collect();
    Findings::from(&Evidence {
        samples: &samples,
        contestants: &stats,
        pairs: &pairs,
        reasons: &reasons,
        cores: Some(2),
        span,
        is_limited: *is_limited,
    })
}

/// A sample of 16 URLs on an otherwise idle machine. Wall times vary by 1%.
fn sample(block: usize, contestant: usize, of: Contestant) -> Sample {
    let (mode, jobs, wall, cpu, threads) = of;
    let wall = wall * (1.0 + 0.001 * ((block * 7 + contestant * 3) % 11) as f64);
    Sample {
        block,
        contestant,
        mode: mode.to_owned(),
        jobs,
        wall,
        setup: Some(0.01),
        targets: Some(16),
        ok: Some(16),
        failed: Some(0),
        total: LatencyQuantiles { p50: Some(wall / 16.0), ..LatencyQuantiles::default() },
        longest: Some(wall / 8.0),
        longest_url: Some("http://a.b/slow".to_owned()),
        retried: Some(0),
        retry_wait: Some(0.0),
        cpu_user: Some(0.9 * cpu * (wall / of.2)),
        cpu_system: Some(0.1 * cpu * (wall / of.2)),
        run_queue_delay: Some(0.001),
        other_load: Some(0.02),
        peak_memory: Some(20 << 20),
        worker_threads: Some(threads),
        ..Sample::default()
    }
}

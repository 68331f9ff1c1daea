//! The result of a comparison: its samples, and statistics per contestant. Fields are only ever added; those that older
//! versions did not write have a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The same plan under several strategies. Times are seconds, sizes are bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "comparison")]
pub(crate) struct Comparison {
    /// The program and its version.
    #[serde(default)]
    pub program: String,
    /// Start time (RFC 3339).
    #[serde(default)]
    pub started_at: String,
    /// Number of CPU cores; `None` where the platform does not report it.
    #[serde(default)]
    pub cores: Option<usize>,
    /// The lists and URLs, as typed; empty for the built-in workload.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The options of each run, as typed; what may be secret is shown as `***`.
    #[serde(default)]
    pub options: Vec<String>,
    /// The result in one sentence, or why there is none; empty in a comparison of an older version.
    #[serde(default)]
    pub verdict: String,
    /// Whether all samples did the same work under the same conditions.
    pub comparable: bool,
    /// Why not, a sentence each.
    pub reasons: Vec<String>,
    /// Notes on reading the figures, a sentence each.
    pub notes: Vec<String>,
    /// Findings, a sentence each.
    pub explanation: Vec<String>,
    /// The workload in words.
    pub subject: String,
    /// Records of each sample.
    pub targets: u64,
    /// Body bytes of the targets that are ok, of each sample.
    pub bytes: u64,
    /// Measured samples of each contestant.
    pub runs: usize,
    /// Warm-up samples of each contestant, which are not measured.
    pub warmup: usize,
    /// Random seed of the order within the blocks.
    pub seed: u64,
    /// The time that is compared.
    #[serde(default)]
    pub timed: TimedSpan,
    /// Statistics per contestant; the first one is the baseline.
    pub contestants: Vec<ModeStats>,
    /// The comparison of every two contestants.
    pub pairs: Vec<PairwiseResult>,
    /// All measured samples, in the order in which they were taken.
    pub samples: Vec<Sample>,
    /// The comparison with an earlier one (`--against`).
    #[serde(default)]
    pub against: Option<EarlierComparison>,
}

/// The time of a sample that is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TimedSpan {
    /// The elapsed time of its summary: from the moment that every client was ready to the last record.
    #[default]
    Run,
    /// From the start of the process to its exit: the only time that is known for a command.
    Process,
}

/// Statistics of one contestant. Unless stated otherwise, a figure is the median over its samples; `None`: not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModeStats {
    /// The name of the mode; `command` for a command.
    pub mode: String,
    /// Number of workers; 0 for a command.
    pub jobs: usize,
    /// Its unique name; empty in a comparison of an older version.
    #[serde(default)]
    pub name: String,
    /// The shell command, with `***` for what may be secret; `None` for a mode.
    #[serde(default)]
    pub command: Option<String>,
    /// The time that is compared.
    pub wall: WallTime,
    /// The speedup over the first contestant; `None` for the first one.
    pub speed_up: Option<SpeedUp>,
    /// Time before the clock of the run started.
    pub setup: Option<f64>,
    /// From the start of the process to its exit.
    #[serde(default)]
    pub process: Option<f64>,
    /// Body bytes that crossed the wire per second.
    pub bytes_per_second: Option<f64>,
    /// Records per second.
    pub urls_per_second: Option<f64>,
    /// Time to first byte of a URL.
    pub first_byte: LatencyQuantiles,
    /// Time of a URL from the start of its first request to the end.
    pub total: LatencyQuantiles,
    /// Share of the time of all URLs together that was spent before the first byte.
    pub waiting: Option<f64>,
    /// CPU time in user mode.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel.
    pub cpu_system: Option<f64>,
    /// CPU time of the process as a share of its time from start to exit: 1 is one busy core.
    pub cpu_share: Option<f64>,
    /// Share of its workers' time in which they were ready to run and waited for a processor.
    #[serde(default)]
    pub cpu_wait: Option<f64>,
    /// Peak resident memory.
    pub peak_memory: Option<f64>,
    /// Number of threads that carried workers.
    pub worker_threads: Option<f64>,
    /// Voluntary context switches.
    pub voluntary_switches: Option<f64>,
    /// Involuntary context switches.
    pub involuntary_switches: Option<f64>,
    /// Requests sent, including redirects and retries.
    pub requests: Option<f64>,
    /// Connections opened.
    pub connections: Option<f64>,
    /// TLS handshakes.
    pub handshakes: Option<f64>,
    /// DNS lookups.
    pub lookups: Option<f64>,
    /// Attempts beyond the first one of each URL.
    pub retries: Option<f64>,
    /// The longest time that a URL waited between its attempts, as a share of the compared time.
    #[serde(default)]
    pub retry_wait: Option<f64>,
    /// URLs that failed, and invalid lines.
    #[serde(default)]
    pub failed: Option<f64>,
}

impl ModeStats {
    /// Its name, with the number of jobs if there are several.
    pub(crate) fn name(&self) -> String {
        match self.jobs {
            _ if !self.name.is_empty() => self.name.clone(),
            0 | 1 => self.mode.clone(),
            jobs => format!("{} ({jobs} jobs)", self.mode),
        }
    }
}

/// The compared time of a contestant's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct WallTime {
    /// The median.
    pub median: f64,
    /// The 95% confidence interval of the median; `None` with too few samples.
    pub interval: Option<Interval>,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
}

/// How many times as fast a contestant is as another one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpeedUp {
    /// The median time of the other one divided by that of this one.
    pub ratio: f64,
    /// The 95% confidence interval of the ratio; `None` with too few samples.
    pub interval: Option<Interval>,
    /// The probability that samples of equal contestants differ at least as much by chance.
    pub p: f64,
    /// The same, adjusted for the number of pairs that are compared (Holm); `None` in a comparison of an older version.
    #[serde(default)]
    pub p_adjusted: Option<f64>,
}

impl SpeedUp {
    /// The probability that decides whether a difference is significant.
    pub(crate) fn deciding_p(&self) -> f64 {
        self.p_adjusted.unwrap_or(self.p)
    }
}

/// How the second of two contestants compares with the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct PairwiseResult {
    /// Index of the first contestant.
    pub first: usize,
    /// Index of the second one.
    pub second: usize,
    /// The speedup of the second over the first.
    pub speed_up: SpeedUp,
}

/// The comparison with an earlier one: each contestant that both have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EarlierComparison {
    /// The file that it was read from.
    pub file: String,
    /// The program that made it, and its version.
    pub program: String,
    /// When it was started (RFC 3339).
    pub started_at: String,
    /// Why the two cannot be compared, a sentence each.
    pub reasons: Vec<String>,
    /// The contestants that both have.
    pub contestants: Vec<BeforeAndNow>,
}

/// One contestant before and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BeforeAndNow {
    /// Its name in both comparisons.
    pub name: String,
    /// Number of samples in the earlier comparison.
    pub runs_before: usize,
    /// Number of samples in this one.
    pub runs_now: usize,
    /// The median of the earlier one.
    pub before: f64,
    /// The median of this one.
    pub now: f64,
    /// The speedup of this one over the earlier one.
    pub speed_up: SpeedUp,
}

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Quantiles of the times of URLs. `None` if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyQuantiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 90th percentile.
    pub p90: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// One run of one contestant. `None`: not known, like most figures of a command.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Number of its block, from 1.
    pub block: usize,
    /// Index of its contestant.
    pub contestant: usize,
    /// The name of the mode; `command` for a command.
    pub mode: String,
    /// Number of workers; 0 for a command.
    pub jobs: usize,
    /// The elapsed time of its summary; for a command, the time from its start to its exit.
    pub wall: f64,
    /// Time before the clock of the run started.
    pub setup: Option<f64>,
    /// From the start of the process to its exit.
    #[serde(default)]
    pub process: Option<f64>,
    /// Records.
    pub targets: Option<u64>,
    /// Records that are ok.
    pub ok: Option<u64>,
    /// Records that failed, or whose line is invalid.
    #[serde(default)]
    pub failed: Option<u64>,
    /// The number of these by kind: the status of the last reply if that is the reason, else the failure class.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Body bytes of the records that are ok.
    pub bytes: Option<u64>,
    /// Body bytes that crossed the wire.
    pub wire_bytes: Option<u64>,
    /// Time to first byte of the URLs that had a reply.
    pub first_byte: LatencyQuantiles,
    /// Time of the same URLs from the start of the first request to the end.
    pub total: LatencyQuantiles,
    /// The longest time of a URL.
    #[serde(default)]
    pub longest: Option<f64>,
    /// The URL that took it.
    #[serde(default)]
    pub longest_url: Option<String>,
    /// Time of all URLs together before the first byte, without waits between attempts.
    pub waiting: Option<f64>,
    /// Time of all URLs together from the first byte to the end.
    pub transfer: Option<f64>,
    /// Attempts beyond the first one of each URL.
    pub retries: Option<u64>,
    /// URLs with more than one attempt.
    #[serde(default)]
    pub retried: Option<u64>,
    /// The longest time that a URL waited between its attempts.
    #[serde(default)]
    pub retry_wait: Option<f64>,
    /// CPU time in user mode.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel.
    pub cpu_system: Option<f64>,
    /// How long its workers together were ready to run but waited for a processor.
    #[serde(default)]
    pub run_queue_delay: Option<f64>,
    /// Share of the time in which some task of the machine waited for a processor.
    #[serde(default)]
    pub cpu_pressure: Option<f64>,
    /// Cores that other processes kept busy during the run.
    #[serde(default)]
    pub other_load: Option<f64>,
    /// Share of the time for which the local server waited for a processor.
    #[serde(default)]
    pub server_wait: Option<f64>,
    /// Peak resident memory.
    pub peak_memory: Option<u64>,
    /// Number of threads that carried workers.
    pub worker_threads: Option<u64>,
    /// Voluntary context switches.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches.
    pub involuntary_switches: Option<u64>,
    /// Requests sent.
    pub requests: Option<u64>,
    /// Connections opened.
    pub connections: Option<u64>,
    /// TLS handshakes.
    pub handshakes: Option<u64>,
    /// DNS lookups.
    pub lookups: Option<u64>,
}

impl Sample {
    /// The time that is compared.
    pub(crate) fn timed(&self, span: TimedSpan) -> f64 {
        match span {
            TimedSpan::Run => self.wall,
            TimedSpan::Process => self.process.unwrap_or(self.wall),
        }
    }

    /// Share of its workers' time in which they waited for a processor.
    pub(crate) fn cpu_wait(&self) -> Option<f64> {
        let threads = self.worker_threads.filter(|threads| *threads > 0)?;
        let time = self.wall * threads as f64;
        // Threads without a URL do not count; a thread may work on several URLs at a time.
        let with_urls =
            self.waiting.zip(self.transfer).map(|(waiting, transfer)| waiting + transfer);
        let time =
            with_urls.filter(|with_urls| *with_urls > 0.0).map_or(time, |with| with.min(time));
        Some((self.run_queue_delay? / time).min(1.0))
    }

    /// The time of the process in which its CPU time was used. Older versions did not measure it from start to exit.
    pub(super) fn process_time(&self) -> f64 {
        self.process.unwrap_or(self.wall + self.setup.unwrap_or_default())
    }

    /// The longest time that a URL waited between its attempts, as a share of the compared time.
    pub(super) fn retry_share(&self, span: TimedSpan) -> Option<f64> {
        Some((self.retry_wait? / self.timed(span)).min(1.0))
    }
}

//! The result of a comparison: its samples, and statistics per mode.

use serde::{Deserialize, Serialize};

/// The same plan under several strategies. Times are seconds, sizes are bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "comparison")]
pub(crate) struct Comparison {
    /// What has made it, and its version.
    #[serde(default)]
    pub program: String,
    /// When, as a moment of RFC 3339.
    #[serde(default)]
    pub started_at: String,
    /// Processor cores that there were; `None` where the platform does not tell.
    #[serde(default)]
    pub cores: Option<usize>,
    /// The lists and URLs, as they were named; empty for what is built in.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The options of each run, as they were typed; what may be secret is shown as `***`.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether all samples did the same work under the same conditions.
    pub comparable: bool,
    /// Why not, a sentence each.
    pub reasons: Vec<String>,
    /// What else has to be known to read the figures right, a sentence each.
    pub notes: Vec<String>,
    /// What the figures say, a sentence each.
    pub explanation: Vec<String>,
    /// What was fetched, in words.
    pub subject: String,
    /// Rows of each sample.
    pub targets: u64,
    /// Body bytes of the targets that are ok, of each sample.
    pub bytes: u64,
    /// Samples of each contestant.
    pub runs: usize,
    /// Samples of each contestant that were made before and not counted.
    pub warmup: usize,
    /// What the order within the blocks was drawn from.
    pub seed: u64,
    /// Where each one stands; the first is what the others are measured by.
    pub contestants: Vec<ModeStats>,
    /// How every two of them differ.
    pub pairs: Vec<PairwiseResult>,
    /// Every sample that counts, in the order in which they were taken.
    pub samples: Vec<Sample>,
}

/// Where one contestant stands. Unless it says otherwise, a figure is the median over its samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModeStats {
    /// The strategy's name.
    pub mode: String,
    /// Its workers.
    pub jobs: usize,
    /// From the moment that work could begin to the last row.
    pub wall: WallTime,
    /// How many times as fast as the first contestant it is; `None` for the first one.
    pub speed_up: Option<SpeedUp>,
    /// What it took before work could begin.
    pub setup: f64,
    /// Body bytes per second.
    pub bytes_per_second: f64,
    /// Records per second.
    pub urls_per_second: f64,
    /// Of a URL, from the start of its first request to the head of its last reply.
    pub first_byte: LatencyQuantiles,
    /// Of a URL, from the start of its first request to the end.
    pub total: LatencyQuantiles,
    /// Share of the time of all URLs together that was before the first byte; `None` if no URL was begun.
    pub waiting: Option<f64>,
    /// CPU time in user mode; `None` where the platform does not tell.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel.
    pub cpu_system: Option<f64>,
    /// CPU time as a share of the time that the run took: 1 is one core kept busy.
    pub cpu_share: Option<f64>,
    /// Peak resident memory.
    pub peak_memory: Option<f64>,
    /// Threads that carried workers.
    pub worker_threads: f64,
    /// Context switches because there was nothing to do.
    pub voluntary_switches: Option<f64>,
    /// Context switches because others wanted the processor.
    pub involuntary_switches: Option<f64>,
    /// Requests sent, redirects and retries included.
    pub requests: f64,
    /// Connections opened.
    pub connections: f64,
    /// TLS handshakes made.
    pub handshakes: f64,
    /// Names looked up.
    pub lookups: f64,
    /// Attempts beyond the first one of each URL.
    pub retries: f64,
}

impl ModeStats {
    /// Its name, with the number of jobs if there are several.
    pub(crate) fn name(&self) -> String {
        if self.jobs == 1 {
            self.mode.clone()
        } else {
            format!("{} ({} jobs)", self.mode, self.jobs)
        }
    }
}

/// Wall time of the samples of a contestant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct WallTime {
    /// Half of them took longer.
    pub median: f64,
    /// Where the true median lies, 95 % sure; `None` if there are too few samples to say.
    pub interval: Option<Interval>,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
}

/// How many times as fast as another one a contestant is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct SpeedUp {
    /// The median of the ratios of each of its samples to each of the other's.
    pub ratio: f64,
    /// Where the true ratio lies, 95 % sure; `None` if there are too few samples to say.
    pub interval: Option<Interval>,
    /// How likely the samples would be as far apart or farther if there were no difference.
    pub p: f64,
}

/// How the second of two contestants compares with the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct PairwiseResult {
    /// The one, by its place among the contestants, from 0.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// How many times as fast as the first the second is.
    pub speed_up: SpeedUp,
}

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How the times of URLs are spread. `None` if there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyQuantiles {
    /// Half of them took no longer.
    pub p50: Option<f64>,
    /// Nine of ten took no longer.
    pub p90: Option<f64>,
    /// Ninety-nine of a hundred took no longer.
    pub p99: Option<f64>,
}

/// One run of one contestant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Which block it belongs to, from 1.
    pub block: usize,
    /// Whose it is, by the place among the contestants, from 0.
    pub contestant: usize,
    /// The strategy's name.
    pub mode: String,
    /// Workers, as the run itself told.
    pub jobs: usize,
    /// From the moment that work could begin to the last row.
    pub wall: f64,
    /// What it took before.
    pub setup: f64,
    /// Rows.
    pub targets: u64,
    /// Rows that are ok.
    pub ok: u64,
    /// Body bytes of those.
    pub bytes: u64,
    /// Body bytes that crossed the wire.
    pub wire_bytes: u64,
    /// Of a URL, from the start of its first request to the head of its last reply.
    pub first_byte: LatencyQuantiles,
    /// Of a URL, from the start of its first request to the end.
    pub total: LatencyQuantiles,
    /// The time of all URLs together before the first byte.
    pub waiting: f64,
    /// The time of all URLs together after it.
    pub transfer: f64,
    /// Attempts beyond the first one of each URL.
    pub retries: u64,
    /// CPU time in user mode.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel.
    pub cpu_system: Option<f64>,
    /// Peak resident memory.
    pub peak_memory: Option<u64>,
    /// Threads that carried workers.
    pub worker_threads: u64,
    /// Context switches because there was nothing to do.
    pub voluntary_switches: Option<u64>,
    /// Context switches because others wanted the processor.
    pub involuntary_switches: Option<u64>,
    /// Requests sent.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
    /// TLS handshakes made.
    pub handshakes: u64,
    /// Names looked up.
    pub lookups: u64,
}

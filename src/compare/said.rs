//! What a run says of itself: the lines of its report, as far as they count in a comparison.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line of a run's report.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Line {
    Result(Row),
    Summary(Box<Total>),
}

/// What counts of a row.
#[derive(Deserialize)]
pub(super) struct Row {
    pub index: usize,
    pub url: String,
    pub outcome: String,
    pub http_status: Option<u16>,
    pub bytes: u64,
    pub digest: Option<String>,
    pub error: Option<Error>,
    pub attempts: u64,
    pub timings: ReadTimings,
}

/// Why a row failed.
#[derive(Deserialize)]
pub(super) struct Error {
    pub class: String,
}

/// How long it took, seconds from its start.
#[derive(Deserialize)]
pub(super) struct ReadTimings {
    pub first_byte: Option<f64>,
    pub total: Option<f64>,
}

/// What counts of the summary.
#[derive(Deserialize)]
pub(super) struct Total {
    pub targets: u64,
    pub ok: u64,
    pub bytes: u64,
    pub wire_bytes: u64,
    pub elapsed: f64,
    pub setup: f64,
    pub mode: String,
    pub jobs: usize,
    pub stopped: Option<String>,
    pub resources: ReadResources,
    pub hosts: Vec<Host>,
}

/// What the run has used.
#[derive(Deserialize)]
pub(super) struct ReadResources {
    pub cpu_user: Option<f64>,
    pub cpu_system: Option<f64>,
    pub peak_memory: Option<u64>,
    pub voluntary_switches: Option<u64>,
    pub involuntary_switches: Option<u64>,
    pub worker_threads: u64,
    pub requests: u64,
    pub connections: u64,
    pub handshakes: u64,
    pub lookups: u64,
}

/// What a run tells of one host.
#[derive(Deserialize)]
pub(super) struct Host {
    pub host: String,
    pub requests: u64,
    pub peak: u64,
    pub failures: BTreeMap<String, u64>,
    pub waited: BTreeMap<String, f64>,
}

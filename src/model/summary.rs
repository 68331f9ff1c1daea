//! The run in one row: the fold of its records.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::as_microseconds;
use super::{FailureClass, HostStats, Outcome, Record};

/// The run in one row, the last one of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// Whether every line of every source was read; what was not read has no row.
    pub list_complete: bool,
    /// Rows by outcome.
    #[serde(flatten)]
    pub counts: OutcomeCounts,
    /// Body bytes of the targets that are ok.
    pub bytes: u64,
    /// Body bytes that crossed the wire, for all targets.
    pub wire_bytes: u64,
    /// From the start of the clock, when the clients were built, to the last row; seconds.
    #[serde(serialize_with = "as_microseconds")]
    pub elapsed: f64,
    /// What it took to open the lists and to build runtimes and clients before the clock started; seconds.
    #[serde(serialize_with = "as_microseconds")]
    pub setup: f64,
    /// The strategy's name.
    pub mode: &'static str,
    /// Workers.
    pub jobs: usize,
    /// Event loops that shared the workers.
    pub loops: usize,
    /// Why the run ended early, if it did.
    pub stopped: Option<String>,
    /// What the process used.
    pub resources: Resources,
    /// The hosts that were asked most, at most 20, the one asked most first.
    pub hosts: Vec<HostStats>,
}

/// Rows by outcome and by class of failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OutcomeCounts {
    /// All rows.
    pub targets: u64,
    /// Whole bodies.
    pub ok: u64,
    /// Saved before.
    pub skipped: u64,
    /// Saved before, and the same still.
    pub unchanged: u64,
    /// Listed before.
    pub duplicate: u64,
    /// Failed for good.
    pub failed: u64,
    /// Lines that name nothing to fetch.
    pub invalid: u64,
    /// Failures by class, those with any.
    pub failures: BTreeMap<&'static str, u64>,
}

/// What the process used; `None` where the platform does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resources {
    /// CPU time in user mode over the run, seconds.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel over the run, seconds.
    pub cpu_system: Option<f64>,
    /// Peak resident memory, bytes.
    pub peak_memory: Option<u64>,
    /// Context switches over the run because there was nothing to do.
    pub voluntary_switches: Option<u64>,
    /// Context switches over the run because others wanted the processor.
    pub involuntary_switches: Option<u64>,
    /// Threads that carried workers.
    pub worker_threads: usize,
    /// Requests sent, redirects and retries included.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
    /// TLS handshakes made with origins.
    pub handshakes: u64,
    /// Names looked up.
    pub lookups: u64,
}

impl OutcomeCounts {
    /// Counts one more row.
    pub fn add(&mut self, record: &Record) {
        self.targets += 1;
        match record.outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Invalid => self.invalid += 1,
        }
        if let Some(error) = &record.error {
            *self.failures.entry(error.class.name()).or_default() += 1;
        }
    }

    /// Rows of one class of failure.
    pub fn of(&self, class: FailureClass) -> u64 {
        self.failures.get(class.name()).copied().unwrap_or_default()
    }
}

//! The summary of a run: counts by outcome, resources used, and statistics per host.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::{Position, Url};

use super::record::as_microseconds;
use super::serde_helpers::{from_name, known, known_keys};
use super::{FailureClass, Outcome, Record};

/// The summary of a run: the last record of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "summary")]
pub struct Summary {
    /// Whether every line of every source was read. Lines that were not read have no record.
    pub list_complete: bool,
    /// The last entry that was read; `None` if the list was read to its end, or no entry was.
    #[serde(default)]
    pub read_up_to: Option<ListPosition>,
    /// Whether bodies were saved, so that the same command continues the run; `None` if a saved report does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saves: Option<bool>,
    /// Number of records by outcome.
    #[serde(flatten)]
    pub counts: OutcomeCounts,
    /// Elapsed time from the start of the clock, when the clients were built, to the last record, in seconds.
    #[serde(default, serialize_with = "as_microseconds")]
    pub elapsed: f64,
    /// Time to open the lists and to build runtimes and clients before the clock started, in seconds.
    #[serde(default, serialize_with = "as_microseconds")]
    pub setup: f64,
    /// The mode; `None` if a saved summary names a mode that is not known here.
    #[serde(default, serialize_with = "mode_name", deserialize_with = "known")]
    pub mode: Option<Mode>,
    /// Number of workers.
    #[serde(default)]
    pub jobs: usize,
    /// Number of event loops that shared the workers.
    #[serde(default)]
    pub loops: usize,
    /// Why the run ended early; `None` if it did not.
    pub stopped: Option<String>,
    /// Resources that the process used.
    #[serde(default)]
    pub resources: Resources,
    /// The hosts with the most requests, at most 20, in descending order.
    #[serde(default)]
    pub hosts: Vec<HostStats>,
    /// The program and its version; empty in a summary of an older version.
    #[serde(default)]
    pub program: String,
    /// When the run was started, UTC (RFC 3339); empty in a summary of an older version.
    #[serde(default)]
    pub started_at: String,
    /// The lists and URLs, as typed, passwords redacted.
    #[serde(default)]
    pub sources: Vec<String>,
    /// The options that were set on the command line, in the environment or in the configuration file; possible secrets
    /// are shown as `***`.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether only heads were requested (`--head`).
    #[serde(default)]
    pub head: bool,
    /// The shard of the lists that the run took (`--shard`), as `INDEX/COUNT`, from 0; `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
}

/// A position in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPosition {
    /// Position among all entries of all sources, from 1.
    pub index: u64,
    /// The source.
    pub source: Arc<str>,
    /// Line in that source, from 1; `None` on the command line.
    pub line: Option<u64>,
}

impl From<&Record> for ListPosition {
    fn from(record: &Record) -> Self {
        Self { index: record.index, source: Arc::clone(&record.source), line: record.line }
    }
}

/// The kind of a strategy: how workers are run, without their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One transfer at a time.
    Sequential,
    /// One OS thread per job.
    Threads,
    /// Tasks on event loops.
    Async,
    /// One child process per job.
    Processes,
}

impl Mode {
    /// All modes, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Sequential, Self::Threads, Self::Async, Self::Processes];

    /// The name that is typed and reported.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Threads => "threads",
            Self::Async => "async",
            Self::Processes => "processes",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Summary {
    /// The name of the mode.
    pub fn mode_name(&self) -> &'static str {
        name_of(self.mode)
    }
}

fn name_of(mode: Option<Mode>) -> &'static str {
    mode.map_or("another mode", Mode::name)
}

fn mode_name<S: Serializer>(mode: &Option<Mode>, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(name_of(*mode))
}

/// Number of records by outcome, failures by class, and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomeCounts {
    /// All records.
    pub targets: u64,
    /// Complete bodies.
    pub ok: u64,
    /// Complete bodies whose file replaced an earlier version, because the server has a new one (`--refresh`).
    pub updated: u64,
    /// Already saved.
    pub skipped: u64,
    /// Already saved, and the same on the server.
    pub unchanged: u64,
    /// Duplicates of an earlier target.
    pub duplicate: u64,
    /// Permanent failures.
    pub failed: u64,
    /// Permanent failures that were cancelled before their first attempt.
    pub not_started: u64,
    /// Invalid lines.
    pub invalid: u64,
    /// Failures by class; classes without failures are left out.
    #[serde(serialize_with = "sorted_by_name", deserialize_with = "known_keys")]
    pub failures: BTreeMap<FailureClass, u64>,
    /// Body bytes of the targets with outcome `ok`.
    pub bytes: u64,
    /// Body bytes received, for all targets.
    pub wire_bytes: u64,
}

impl OutcomeCounts {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        self.targets += 1;
        self.wire_bytes = self.wire_bytes.saturating_add(record.wire_bytes);
        match record.outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.updated += u64::from(record.updated);
                self.bytes = self.bytes.saturating_add(record.bytes);
            }
            Outcome::Skipped => self.skipped += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Invalid => self.invalid += 1,
        }
        self.not_started += u64::from(record.is_not_started());
        if let Some(error) = &record.error {
            *self.failures.entry(error.class).or_default() += 1;
        }
    }

    /// Number of failures of one class.
    pub fn of(&self, class: FailureClass) -> u64 {
        self.failures.get(&class).copied().unwrap_or_default()
    }

    /// Failures by class, the most frequent class first.
    pub fn most_frequent_failures(&self) -> Vec<(FailureClass, u64)> {
        let mut failures: Vec<_> = self.failures.iter().map(|(class, n)| (*class, *n)).collect();
        failures.sort_unstable_by_key(|(class, count)| (u64::MAX - count, class.name()));
        failures
    }
}

/// The resources that a run used; `None` if the platform does not report a figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU time in user mode during the run, in seconds.
    pub cpu_user: Option<f64>,
    /// CPU time in the kernel during the run, in seconds.
    pub cpu_system: Option<f64>,
    /// Peak resident memory, in bytes.
    pub peak_memory: Option<u64>,
    /// Voluntary context switches during the run.
    pub voluntary_switches: Option<u64>,
    /// Involuntary context switches during the run.
    pub involuntary_switches: Option<u64>,
    /// How long workers and their child processes were ready to run but waited for a processor, in seconds.
    #[serde(serialize_with = "as_microseconds")]
    pub run_queue_delay: Option<f64>,
    /// Number of threads that ran workers.
    pub worker_threads: usize,
    /// Requests sent, including redirects and retries.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
    /// TLS handshakes made with origins.
    pub handshakes: u64,
    /// DNS lookups.
    pub lookups: u64,
}

/// Statistics of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostStats {
    /// Scheme, name and port; the port is left out if it is the default of the scheme.
    pub host: Arc<str>,
    /// Requests started, including redirects and retries.
    #[serde(default)]
    pub requests: u64,
    /// Body bytes received.
    #[serde(default)]
    pub bytes: u64,
    /// Failed attempts by class.
    #[serde(default, deserialize_with = "known_keys")]
    pub failures: BTreeMap<FailureClass, u64>,
    /// Maximum number of requests in progress at once.
    #[serde(default)]
    pub peak: usize,
    /// Current limit of requests in progress; `None`: unlimited.
    pub limit: Option<usize>,
    /// How long the next request could not start, whether or not a worker was free, by reason; serialized as seconds, to
    /// the microsecond. Reasons do not overlap.
    #[serde(default, serialize_with = "in_seconds", deserialize_with = "from_seconds")]
    pub waited: BTreeMap<WaitReason, Duration>,
}

/// Why the next request to a host could not start, whether or not a worker was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The concurrency limit of the host was reached.
    Limit,
    /// The minimum delay between two requests had not passed.
    Gap,
    /// The host had sent Retry-After.
    RetryAfter,
    /// The host could not be reached.
    Unreachable,
    /// Its name was being looked up.
    Lookup,
    /// Its robots.txt was being fetched.
    Robots,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(out)
    }
}

impl HostStats {
    /// The statistics of a host before its first request.
    pub fn of(host: &Arc<str>) -> Self {
        Self {
            host: Arc::clone(host),
            requests: 0,
            bytes: 0,
            failures: BTreeMap::new(),
            peak: 0,
            limit: None,
            waited: BTreeMap::new(),
        }
    }
}

/// The host of a URL as host limits define it: scheme, name and port (the origin of RFC 6454), in the form of a URL.
pub(crate) fn host_of(url: &Url) -> std::borrow::Cow<'_, str> {
    if url.username().is_empty() && url.password().is_none() {
        return url[..Position::AfterPort].into();
    }
    url.origin().ascii_serialization().into()
}

fn sorted_by_name<S: Serializer>(
    failures: &BTreeMap<FailureClass, u64>,
    out: S,
) -> Result<S::Ok, S::Error> {
    failures
        .iter()
        .map(|(class, count)| (class.name(), *count))
        .collect::<BTreeMap<_, _>>()
        .serialize(out)
}

fn in_seconds<S: Serializer>(
    waited: &BTreeMap<WaitReason, Duration>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_map(waited.iter().map(|(reason, time)| (reason, time.as_micros() as f64 / 1e6)))
}

/// Reads seconds, to the microsecond. Unknown reasons and invalid times are dropped.
fn from_seconds<'de, D: Deserializer<'de>>(
    map: D,
) -> Result<BTreeMap<WaitReason, Duration>, D::Error> {
    let waited = BTreeMap::<String, f64>::deserialize(map)?;
    let known = waited.into_iter().filter_map(|(reason, seconds)| {
        let time = Duration::try_from_secs_f64((seconds * 1e6).round() / 1e6).ok()?;
        Some((from_name(reason)?, Duration::from_micros(time.as_micros().try_into().ok()?)))
    });
    Ok(known.collect())
}

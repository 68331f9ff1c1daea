//! One sample: a run of `fetch` in a process of its own, whose JSON output is read as it is written.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, anyhow, bail};

use super::consistency::ConsistencyCheck;
use super::statistics::quantile;
use crate::compare::result::{LatencyQuantiles, Sample};
use crate::model::{FailureClass, HostStats, Outcome, Record, Summary};
use crate::report::replay::ReportLine;

/// A sample, and the facts that the validity checks need.
pub(super) struct MeasuredSample {
    /// The measurements.
    pub sample: Sample,
    /// Why the run ended early; `None` if it did not.
    pub stopped: Option<String>,
    /// Number of records that are neither ok nor failed nor invalid: no body was requested.
    pub unasked: u64,
    /// Whether the server rate-limited the run (HTTP 429).
    pub rate_limited: bool,
    /// Statistics of the hosts with most requests.
    pub hosts: Vec<HostStats>,
}

/// The position of a sample in the comparison.
#[derive(Clone, Copy)]
pub(super) struct SampleRank {
    /// Number of its block, from 1; 0 for a warm-up.
    pub block: usize,
    /// Index of the variant.
    pub contestant: usize,
}

/// Why there is no sample.
#[derive(Debug)]
pub(super) enum SampleError {
    /// The run ended with a usage error.
    Refused(String),
    /// The run could not be started, or broke off.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for SampleError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Runs `command` and reads its report, whose records are checked by `consistency`.
///
/// # Errors
/// If there is no summary.
pub(super) fn measure(
    command: &mut Command,
    rank: SampleRank,
    consistency: &mut ConsistencyCheck,
) -> Result<MeasuredSample, SampleError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start a benchmark run")?;
    let mut stderr = child.stderr.take().expect("it is piped");
    let words = thread::Builder::new().spawn(move || {
        let mut words = Vec::new();
        stderr.read_to_end(&mut words).map(|_| String::from_utf8_lossy(&words).into_owned())
    });
    let words = match words {
        Ok(words) => words,
        Err(error) => {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(Err::<(), _>(error).context("cannot start a thread").unwrap_err().into());
        }
    };
    let mut reader =
        SampleReader { rows: SampleRows::default(), consistency, contestant: rank.contestant };
    let read = reader.read(BufReader::new(child.stdout.take().expect("it is piped")));
    let rows = reader.rows;
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("lost a benchmark run")?;
    let words = words.join().ok().and_then(Result::ok).unwrap_or_default();
    let message = words.trim().trim_start_matches("fetch: ").trim_start_matches("error: ");
    if status.code() == Some(2) {
        return Err(SampleError::Refused(message.to_owned()));
    }
    match read? {
        Some(total) if status.code().is_some_and(|code| code < 128 && code != 3) => {
            Ok(measured(*total, rows, rank))
        }
        _ => Err(anyhow!("benchmark run failed ({status}): {message}").into()),
    }
}

struct SampleReader<'a> {
    rows: SampleRows,
    consistency: &'a mut ConsistencyCheck,
    contestant: usize,
}

/// Sums over the records of a run.
#[derive(Default)]
struct SampleRows {
    first_byte: Vec<f64>,
    total: Vec<f64>,
    transfer: f64,
    retries: u64,
    unasked: u64,
    rate_limited: bool,
}

impl SampleReader<'_> {
    fn read(&mut self, lines: impl BufRead) -> anyhow::Result<Option<Box<Summary>>> {
        let mut last = None;
        for line in lines.lines() {
            let line = line.context("the output of a benchmark run broke off")?;
            match serde_json::from_str(&line) {
                Ok(ReportLine::Result(record)) => self.add(&record),
                Ok(ReportLine::Summary(summary)) => last = Some(summary),
                Err(error) => bail!("invalid output of a benchmark run: {error}"),
            }
        }
        Ok(last)
    }

    fn add(&mut self, record: &Record) {
        self.consistency.check(record, self.contestant);
        let rows = &mut self.rows;
        let class = record.error.as_ref().map(|error| error.class);
        rows.rate_limited |=
            record.http_status == Some(429) || class == Some(FailureClass::RateLimited);
        let was_requested =
            matches!(record.outcome, Outcome::Ok | Outcome::Failed | Outcome::Invalid);
        rows.unasked += u64::from(!was_requested);
        rows.retries += u64::from(record.attempts.saturating_sub(1));
        rows.first_byte.extend(record.timings.first_byte);
        rows.total.extend(record.timings.total);
        if let (Some(first_byte), Some(total)) = (record.timings.first_byte, record.timings.total) {
            rows.transfer += (total - record.before_last_attempt() - first_byte).max(0.0);
        }
    }
}

fn measured(summary: Summary, rows: SampleRows, rank: SampleRank) -> MeasuredSample {
    let used = &summary.resources;
    let counts = &summary.counts;
    let limited = |host: &HostStats| host.failures.contains_key(&FailureClass::RateLimited);
    let busy: f64 = rows.total.iter().sum();
    let sample = Sample {
        block: rank.block,
        contestant: rank.contestant,
        mode: summary.mode_name().to_owned(),
        jobs: summary.jobs,
        wall: summary.elapsed,
        setup: summary.setup,
        targets: counts.targets,
        ok: counts.ok,
        bytes: counts.bytes,
        wire_bytes: counts.wire_bytes,
        first_byte: quantiles(rows.first_byte),
        total: quantiles(rows.total),
        waiting: busy - rows.transfer,
        transfer: rows.transfer,
        retries: rows.retries,
        cpu_user: used.cpu_user,
        cpu_system: used.cpu_system,
        peak_memory: used.peak_memory,
        worker_threads: used.worker_threads as u64,
        voluntary_switches: used.voluntary_switches,
        involuntary_switches: used.involuntary_switches,
        requests: used.requests,
        connections: used.connections,
        handshakes: used.handshakes,
        lookups: used.lookups,
    };
    MeasuredSample {
        sample,
        stopped: summary.stopped,
        unasked: rows.unasked,
        rate_limited: rows.rate_limited || summary.hosts.iter().any(limited),
        hosts: summary.hosts,
    }
}

fn quantiles(mut times: Vec<f64>) -> LatencyQuantiles {
    times.sort_by(f64::total_cmp);
    let at = |share| quantile(&times, share);
    LatencyQuantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

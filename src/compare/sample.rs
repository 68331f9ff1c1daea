//! One sample: a run of `fetch` in a process of its own, whose JSON output is read as it is written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

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
    /// Number of workers that its list had a URL for; 0 of a command of which it is not known.
    pub workers: usize,
    /// Statistics of the hosts with most requests.
    pub hosts: Vec<HostStats>,
    /// How a command failed; `None` if it did not.
    pub failed_command: Option<String>,
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

/// Runs `command` with `input` on its standard input, and reads its report, whose records are checked by `consistency`.
///
/// # Errors
/// If there is no summary.
pub(super) fn measure(
    command: &mut Command,
    input: &[u8],
    rank: SampleRank,
    consistency: &mut ConsistencyCheck,
) -> Result<MeasuredSample, SampleError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start a benchmark run")?;
    // It reads all of it before it writes anything. If it does not, its exit status says why.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
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
    let process = started.elapsed().as_secs_f64();
    let words = words.join().ok().and_then(Result::ok).unwrap_or_default();
    let message = words.trim().trim_start_matches("warning: ").trim_start_matches("error: ");
    if status.code() == Some(2) {
        return Err(SampleError::Refused(message.to_owned()));
    }
    match read? {
        Some(total) if status.code().is_some_and(|code| code < 128 && code != 3) => {
            let mut measured = measured(*total, rows, rank);
            measured.sample.process = Some(process);
            Ok(measured)
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
    longest: Option<(f64, String)>,
    waiting: f64,
    transfer: f64,
    failures: BTreeMap<String, u64>,
    retries: u64,
    retried: u64,
    retry_wait: f64,
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
        rows.retried += u64::from(record.attempts > 1);
        rows.retry_wait = rows.retry_wait.max(record.timings.retry_wait.unwrap_or_default());
        if matches!(record.outcome, Outcome::Failed | Outcome::Invalid) {
            *rows.failures.entry(kind_of_failure(record)).or_default() += 1;
        }
        let Some(total) = record.timings.total else { return };
        if rows.longest.as_ref().is_none_or(|(longest, _)| *longest < total) {
            rows.longest = Some((total, record.url.to_string()));
        }
        // What remains of the total is one attempt after another.
        let busy = (total - record.timings.retry_wait.unwrap_or_default()).max(0.0);
        // Both quantiles are those of the same URLs: the ones that had a reply.
        let Some(first_byte) = record.timings.first_byte else {
            rows.waiting += busy;
            return;
        };
        rows.first_byte.push(first_byte);
        rows.total.push(total);
        let transfer = (total - record.outside_last_attempt() - first_byte).clamp(0.0, busy);
        rows.waiting += busy - transfer;
        rows.transfer += transfer;
    }
}

/// The status of the last reply, if that is why it failed, else the class of the failure.
fn kind_of_failure(record: &Record) -> String {
    let Some(error) = &record.error else { return "unknown".to_owned() };
    let is_by_status = matches!(
        error.class,
        FailureClass::Http4xx | FailureClass::Http5xx | FailureClass::RateLimited
    );
    match record.http_status {
        Some(status) if is_by_status => status.to_string(),
        _ => error.class.to_string(),
    }
}

fn measured(summary: Summary, rows: SampleRows, rank: SampleRank) -> MeasuredSample {
    let used = &summary.resources;
    let counts = &summary.counts;
    let limited = |host: &HostStats| host.failures.contains_key(&FailureClass::RateLimited);
    let workers = usable_workers(&summary);
    let sample = Sample {
        block: rank.block,
        contestant: rank.contestant,
        mode: summary.mode_name().to_owned(),
        jobs: summary.jobs,
        wall: summary.elapsed,
        setup: Some(summary.setup),
        targets: Some(counts.targets),
        ok: Some(counts.ok),
        failed: Some(counts.failed + counts.invalid),
        failures: rows.failures,
        bytes: Some(counts.bytes),
        wire_bytes: Some(counts.wire_bytes),
        first_byte: quantiles(rows.first_byte),
        total: quantiles(rows.total),
        longest: rows.longest.as_ref().map(|(longest, _)| *longest),
        longest_url: rows.longest.map(|(_, url)| url),
        waiting: Some(rows.waiting),
        transfer: Some(rows.transfer),
        retries: Some(rows.retries),
        retried: Some(rows.retried),
        retry_wait: Some(rows.retry_wait),
        cpu_user: used.cpu_user,
        cpu_system: used.cpu_system,
        run_queue_delay: used.run_queue_delay,
        peak_memory: used.peak_memory,
        worker_threads: Some(used.worker_threads as u64),
        voluntary_switches: used.voluntary_switches,
        involuntary_switches: used.involuntary_switches,
        requests: Some(used.requests),
        connections: Some(used.connections),
        handshakes: Some(used.handshakes),
        lookups: Some(used.lookups),
        ..Sample::default()
    };
    MeasuredSample {
        sample,
        stopped: summary.stopped,
        unasked: rows.unasked,
        rate_limited: rows.rate_limited || summary.hosts.iter().any(limited),
        workers,
        hosts: summary.hosts,
        failed_command: None,
    }
}

/// The workers for which there was a URL.
pub(super) fn usable_workers(summary: &Summary) -> usize {
    summary.jobs.min(usize::try_from(summary.counts.targets).unwrap_or(usize::MAX))
}

fn quantiles(mut times: Vec<f64>) -> LatencyQuantiles {
    times.sort_unstable_by(f64::total_cmp);
    let at = |share| quantile(&times, share);
    LatencyQuantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

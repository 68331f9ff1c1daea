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
    /// Number of records that are neither ok, failed nor invalid: their bodies were not requested.
    pub unasked: u64,
    /// Whether the server rate-limited the run (HTTP 429).
    pub rate_limited: bool,
    /// Number of workers that can have had a URL at the same time; 0 for a command that does not report it.
    pub workers: usize,
    /// Statistics of the hosts with the most requests.
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

/// Runs `command` with `input` on its standard input, reads its report, and checks the records with `consistency`.
///
/// # Errors
/// If it cannot be started, is refused, or reports no summary.
pub(super) fn measure(
    command: &mut Command,
    input: &[u8],
    rank: SampleRank,
    consistency: &mut ConsistencyCheck,
) -> Result<MeasuredSample, SampleError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start a benchmark run")?;
    // The run reads all of its input before it writes anything. If it does not, its exit status says why.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    let mut stderr = child.stderr.take().expect("it is piped");
    let stderr_reader = thread::Builder::new().spawn(move || {
        let mut stderr_text = Vec::new();
        stderr
            .read_to_end(&mut stderr_text)
            .map(|_| String::from_utf8_lossy(&stderr_text).into_owned())
    });
    let stderr_reader = match stderr_reader {
        Ok(handle) => handle,
        Err(error) => {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(Err::<(), _>(error).context("cannot start a thread").unwrap_err().into());
        }
    };
    let mut reader =
        SampleReader { sums: RecordSums::default(), consistency, contestant: rank.contestant };
    let read = reader.read(BufReader::new(child.stdout.take().expect("it is piped")));
    let sums = reader.sums;
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("lost a benchmark run")?;
    let process = started.elapsed().as_secs_f64();
    let stderr_text = stderr_reader.join().ok().and_then(Result::ok).unwrap_or_default();
    let message = stderr_text.trim().trim_start_matches("warning: ").trim_start_matches("error: ");
    if status.code() == Some(2) {
        return Err(SampleError::Refused(message.to_owned()));
    }
    match read? {
        Some(summary) if status.code().is_some_and(|code| code < 128 && code != 3) => {
            let mut measured = build_sample(*summary, sums, rank);
            measured.sample.process = Some(process);
            Ok(measured)
        }
        _ => Err(anyhow!("benchmark run failed ({status}): {message}").into()),
    }
}

struct SampleReader<'a> {
    sums: RecordSums,
    consistency: &'a mut ConsistencyCheck,
    contestant: usize,
}

/// Sums over the records of a run.
#[derive(Default)]
struct RecordSums {
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
        let sums = &mut self.sums;
        let class = record.error.as_ref().map(|error| error.class);
        sums.rate_limited |=
            record.http_status == Some(429) || class == Some(FailureClass::RateLimited);
        let was_requested =
            matches!(record.outcome, Outcome::Ok | Outcome::Failed | Outcome::Invalid);
        sums.unasked += u64::from(!was_requested);
        sums.retries += u64::from(record.attempts.saturating_sub(1));
        sums.retried += u64::from(record.attempts > 1);
        sums.retry_wait = sums.retry_wait.max(record.timings.retry_wait.unwrap_or_default());
        if matches!(record.outcome, Outcome::Failed | Outcome::Invalid) {
            *sums.failures.entry(kind_of_failure(record)).or_default() += 1;
        }
        let Some(total) = record.timings.total else { return };
        if sums.longest.as_ref().is_none_or(|(longest, _)| *longest < total) {
            sums.longest = Some((total, record.url.to_string()));
        }
        // Without the waits, the total is the time of the attempts.
        let busy = (total - record.timings.retry_wait.unwrap_or_default()).max(0.0);
        // Both quantiles are over the same URLs: those that had a reply.
        let Some(first_byte) = record.timings.first_byte else {
            sums.waiting += busy;
            return;
        };
        sums.first_byte.push(first_byte);
        sums.total.push(total);
        let transfer = (total - record.outside_last_attempt() - first_byte).clamp(0.0, busy);
        sums.waiting += busy - transfer;
        sums.transfer += transfer;
    }
}

/// The status of the last reply if that is the reason of the failure, else the failure class.
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

fn build_sample(summary: Summary, sums: RecordSums, rank: SampleRank) -> MeasuredSample {
    let used = &summary.resources;
    let counts = &summary.counts;
    let is_rate_limited = |host: &HostStats| host.failures.contains_key(&FailureClass::RateLimited);
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
        failures: sums.failures,
        bytes: Some(counts.bytes),
        wire_bytes: Some(counts.wire_bytes),
        first_byte: quantiles(sums.first_byte),
        total: quantiles(sums.total),
        longest: sums.longest.as_ref().map(|(longest, _)| *longest),
        longest_url: sums.longest.map(|(_, url)| url),
        waiting: Some(sums.waiting),
        transfer: Some(sums.transfer),
        retries: Some(sums.retries),
        retried: Some(sums.retried),
        retry_wait: Some(sums.retry_wait),
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
        unasked: sums.unasked,
        rate_limited: sums.rate_limited || summary.hosts.iter().any(is_rate_limited),
        workers,
        hosts: summary.hosts,
        failed_command: None,
    }
}

/// Number of workers that can have had a URL at the same time.
pub(super) fn usable_workers(summary: &Summary) -> usize {
    summary.jobs.min(usize::try_from(summary.counts.targets).unwrap_or(usize::MAX))
}

fn quantiles(mut times: Vec<f64>) -> LatencyQuantiles {
    times.sort_unstable_by(f64::total_cmp);
    let at = |share| quantile(&times, share);
    LatencyQuantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

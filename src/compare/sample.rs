//! One sample: a fresh `fetch` of its own, whose report is read as it is written.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, anyhow, bail};

use super::consistency::ConsistencyCheck;
use super::statistics::quantile;
use crate::compare::result::{LatencyQuantiles, Sample};
use crate::model::{FailureClass, HostStats, Outcome, Record, Summary};
use crate::report::replay::ReportLine;

/// A sample, and what the rules of a comparison have to know of it beside.
pub(super) struct MeasuredSample {
    /// What counts.
    pub sample: Sample,
    /// Why the run ended early, if it did.
    pub stopped: Option<String>,
    /// Rows that are neither ok nor failed nor invalid: no body was asked for.
    pub unasked: u64,
    /// Whether a reply asked for less (429).
    pub rate_limited: bool,
    /// The hosts that were asked most.
    pub hosts: Vec<HostStats>,
}

/// Which place a sample has.
#[derive(Clone, Copy)]
pub(super) struct SampleRank {
    /// Its block, from 1; 0 for a warm-up.
    pub block: usize,
    /// Whose it is.
    pub contestant: usize,
}

/// Why there is no sample.
#[derive(Debug)]
pub(super) enum SampleError {
    /// The run refused what was asked for.
    Refused(String),
    /// It could not be made.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for SampleError {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Runs `command` and reads its report. Its rows are held against those of other samples by `likeness`.
///
/// # Errors
/// If it does not run to a summary.
pub(super) fn take(
    command: &mut Command,
    place: SampleRank,
    likeness: &mut ConsistencyCheck,
) -> Result<MeasuredSample, SampleError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start a run")?;
    let mut stderr = child.stderr.take().expect("it is piped");
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        stderr.read_to_end(&mut words).map(|_| String::from_utf8_lossy(&words).into_owned())
    });
    let mut reading =
        SampleReader { rows: SampleRows::default(), likeness, contestant: place.contestant };
    let read = reading.read(BufReader::new(child.stdout.take().expect("it is piped")));
    let rows = reading.rows;
    if read.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().context("a run is lost")?;
    let words = words.join().ok().and_then(Result::ok).unwrap_or_default();
    let said = words.trim().trim_start_matches("fetch: ").trim_start_matches("error: ");
    if status.code() == Some(2) {
        return Err(SampleError::Refused(said.to_owned()));
    }
    match read? {
        Some(total) if status.code().is_some_and(|code| code < 128 && code != 3) => {
            Ok(taken(*total, rows, place))
        }
        _ => Err(anyhow!("a run failed ({status}): {said}").into()),
    }
}

struct SampleReader<'a> {
    rows: SampleRows,
    likeness: &'a mut ConsistencyCheck,
    contestant: usize,
}

/// What is gathered from rows.
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
            let line = line.context("a report breaks off")?;
            match serde_json::from_str(&line) {
                Ok(ReportLine::Result(record)) => self.add(&record),
                Ok(ReportLine::Summary(summary)) => last = Some(summary),
                Err(error) => bail!("a run's report is not understood: {error}"),
            }
        }
        Ok(last)
    }

    fn add(&mut self, record: &Record) {
        self.likeness.check(record, self.contestant);
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
            rows.transfer += total - first_byte;
        }
    }
}

fn taken(summary: Summary, rows: SampleRows, place: SampleRank) -> MeasuredSample {
    let used = summary.resources;
    let counts = summary.counts;
    let limited = |host: &HostStats| host.failures.contains_key(&FailureClass::RateLimited);
    let busy: f64 = rows.total.iter().sum();
    let sample = Sample {
        block: place.block,
        contestant: place.contestant,
        mode: summary.mode_name().to_owned(),
        jobs: summary.jobs,
        wall: summary.elapsed,
        setup: summary.setup,
        targets: counts.targets,
        ok: counts.ok,
        bytes: counts.bytes,
        wire_bytes: counts.wire_bytes,
        first_byte: spread(rows.first_byte),
        total: spread(rows.total),
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

fn spread(mut times: Vec<f64>) -> LatencyQuantiles {
    times.sort_by(f64::total_cmp);
    let at = |share| quantile(&times, share);
    LatencyQuantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

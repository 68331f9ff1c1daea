//! A run that was saved as JSON lines, or a comparison that was saved as JSON, read back. A line that is no row of such a
//! report is told with its number, and left out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::escape::printable;
use crate::model::{
    FailureClass, HostStats, Outcome, OutcomeCounts, Record, RecordError, Resources, Summary,
    Timings, WaitReason,
};
use crate::plan::Source;

/// Bytes that a line may have; no row of ours comes near it.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// Bytes that a document of many lines may have; no comparison of ours comes near it.
const LONGEST_DOCUMENT: u64 = 4 * LONGEST_LINE;

/// Bad lines that are told one by one.
const MOST_TOLD: u64 = 20;

/// What a saved run had; a comparison is one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Lines that were rows, the summary aside.
    pub rows: u64,
    /// Lines that were none, and were left out.
    pub bad_lines: u64,
}

/// Why a saved run or comparison cannot be reported.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read, a report would replace it, or there is no such report of it.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A report cannot be written.
    #[error("cannot write the report: {0}")]
    Unwritten(io::Error),
}

fn open(source: &Source) -> io::Result<(String, Box<dyn BufRead>)> {
    let path = match source {
        Source::File(path) => path.as_path(),
        Source::Stdin => return Ok(("-".to_owned(), Box::new(BufReader::new(io::stdin())))),
        Source::Argument(text) => Path::new(text),
    };
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| about(&error, &name))?;
    Ok((name.clone(), Box::new(BufReader::new(file))))
}

/// A saved run or comparison that is being read.
pub struct ReplayResult {
    name: String,
    source: Box<dyn BufRead>,
    /// The line that was read to see what it is, and is still to be read.
    ahead: Option<Vec<u8>>,
    line: u64,
    /// What it has had so far.
    pub(crate) reread: ReplayReport,
    /// The end of a run, once it has been read.
    pub(crate) summary: Option<Summary>,
}

/// What a JSON object says that it is.
#[derive(Deserialize)]
struct ReplayKind {
    r#type: String,
}

impl ReplayResult {
    /// Opens it.
    ///
    /// # Errors
    /// Those of the file; they name it.
    pub(crate) fn of(source: &Source) -> Result<Self, ReplayError> {
        let (name, source) = open(source).map_err(ReplayError::Unreadable)?;
        let reread = ReplayReport::default();
        Ok(Self { name, source, ahead: None, line: 0, reread, summary: None })
    }

    /// The text of the comparison that was saved; `None` if it is a run, which is then still to be read.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn comparison(&mut self) -> Result<Option<Vec<u8>>, ReplayError> {
        let mut first = Vec::new();
        while first.trim_ascii().is_empty() {
            let Some(line) = self.line().map_err(ReplayError::Unreadable)? else {
                return Ok(None);
            };
            first = line;
        }
        // The first line of a document that is laid out over several lines.
        if first.trim_ascii() == b"{" {
            self.rest(&mut first).map_err(ReplayError::Unreadable)?;
        } else if !is_comparison(&first) {
            self.ahead = Some(first);
            return Ok(None);
        }
        Ok(Some(first))
    }

    /// Counts the comparison as one row and reports whatever follows it as bad lines.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn end_comparison(&mut self, words: &mut impl Write) -> Result<(), ReplayError> {
        self.reread.rows = 1;
        while let Some(line) = self.line().map_err(ReplayError::Unreadable)? {
            if !line.trim_ascii().is_empty() {
                self.tell("comes after the comparison; only one can be reported", words);
            }
        }
        Ok(())
    }

    /// The error for a document that is no comparison.
    pub(crate) fn not_a_comparison(&self, text: &[u8], reason: &str) -> ReplayError {
        let is_other =
            serde_json::from_slice(text).is_ok_and(|kind: ReplayKind| kind.r#type != "comparison");
        let reason = match is_other {
            true => "it is another kind of document; a run is a line for each URL",
            false => reason,
        };
        let (name, reason) = (printable(&self.name), printable(reason));
        let text = format!("{name}: not a comparison that fetch compare writes: {reason}");
        ReplayError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Reads the rest of a document.
    fn rest(&mut self, document: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.source).take(LONGEST_DOCUMENT).read_to_end(document);
        read.map(drop).map_err(|error| about(&error, &self.name))
    }

    /// The next row; `None` at the end.
    pub(crate) fn record(&mut self, words: &mut impl Write) -> Result<Option<Record>, ReplayError> {
        loop {
            let Some(line) = self.line().map_err(ReplayError::Unreadable)? else {
                return Ok(None);
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.meaning(&line) {
                Ok(ReplayLine::Result(record)) => {
                    self.reread.rows += 1;
                    return Ok(Some(*record));
                }
                Ok(ReplayLine::Summary(summary)) => self.summary = Some(*summary),
                Err(complaint) => self.tell(&complaint, words),
            }
        }
    }

    fn meaning(&self, line: &[u8]) -> Result<ReplayLine, String> {
        if line.len() as u64 > LONGEST_LINE {
            return Err("too long to be a row of a report".to_owned());
        }
        if self.summary.is_some() {
            return Err("comes after the summary; only one run can be reported".to_owned());
        }
        let saved: Saved = serde_json::from_slice(line)
            .map_err(|error| format!("not a row that fetch --json writes: {error}"))?;
        Ok(match saved {
            Saved::Result(row) => ReplayLine::Result(Box::new(row.record()?)),
            Saved::Summary(total) => ReplayLine::Summary(Box::new(total.summary())),
        })
    }

    /// The next line, cut off where it is too long; `None` at the end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let mut limited = (&mut self.source).take(LONGEST_LINE + 1);
        limited.read_until(b'\n', &mut line).map_err(|error| about(&error, &self.name))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 > LONGEST_LINE && line.last() != Some(&b'\n') {
            self.source.skip_until(b'\n').map_err(|error| about(&error, &self.name))?;
        }
        self.line += 1;
        if self.line == 1 && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        Ok(Some(line))
    }

    fn tell(&mut self, complaint: &str, words: &mut impl Write) {
        self.reread.bad_lines += 1;
        if self.reread.bad_lines <= MOST_TOLD {
            let (name, complaint) = (printable(&self.name), printable(complaint));
            // There is nobody left to tell of an error.
            let _ = writeln!(words, "fetch: {name}:{}: {complaint}", self.line);
        }
    }

    pub(crate) fn replay_summary(&self, words: &mut impl Write) {
        let name = printable(&self.name);
        if self.reread.bad_lines > MOST_TOLD {
            let further = self.reread.bad_lines - MOST_TOLD;
            let _ = writeln!(words, "fetch: {name}: {further} more bad lines");
        }
        if self.summary.is_none() {
            let _ = writeln!(words, "fetch: {name}: no summary: the report was cut off");
        }
    }
}

fn about(error: &io::Error, name: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

fn is_comparison(line: &[u8]) -> bool {
    // A line that was cut off is one too.
    line.trim_ascii().starts_with(b"{\"type\":\"comparison\"")
        || serde_json::from_slice(line).is_ok_and(|kind: ReplayKind| kind.r#type == "comparison")
}

/// What a line says.
enum ReplayLine {
    Result(Box<Record>),
    Summary(Box<Summary>),
}

/// A line as it is written. Fields that came later may be missing, fields that we do not know are passed over.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Saved {
    Result(Box<SavedRow>),
    Summary(Box<SavedTotal>),
}

#[derive(Deserialize)]
struct SavedRow {
    index: u64,
    source: String,
    line: Option<u64>,
    url: String,
    final_url: Option<String>,
    outcome: String,
    http_status: Option<u16>,
    http_version: Option<String>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    wire_bytes: u64,
    #[serde(default)]
    attempts: u32,
    worker: Option<usize>,
    remote_addr: Option<SocketAddr>,
    content_type: Option<String>,
    path: Option<String>,
    served_by: Option<String>,
    duplicate_of: Option<u64>,
    error: Option<SavedError>,
    etag: Option<String>,
    last_modified: Option<String>,
    digest: Option<String>,
    started_at: Option<String>,
    #[serde(default)]
    timings: SavedTimings,
}

#[derive(Deserialize)]
struct SavedError {
    class: String,
    message: String,
}

#[derive(Deserialize, Default)]
struct SavedTimings {
    queued: Option<f64>,
    connect: Option<f64>,
    first_byte: Option<f64>,
    total: Option<f64>,
}

impl SavedRow {
    fn record(self) -> Result<Record, String> {
        let blank = Record::blank(self.index, Arc::from(self.source), self.line, self.url);
        let SavedTimings { queued, connect, first_byte, total } = self.timings;
        Ok(Record {
            final_url: self.final_url,
            outcome: outcome(&self.outcome)?,
            http_status: self.http_status,
            http_version: self.http_version.as_deref().and_then(known_version),
            bytes: self.bytes,
            wire_bytes: self.wire_bytes,
            attempts: self.attempts,
            worker: self.worker,
            remote_addr: self.remote_addr,
            content_type: self.content_type,
            path: self.path,
            served_by: self.served_by,
            duplicate_of: self.duplicate_of,
            error: self.error.map(error).transpose()?,
            etag: self.etag,
            last_modified: self.last_modified,
            digest: self.digest,
            started_at: self.started_at.as_deref().map(moment).transpose()?,
            timings: Timings { queued, connect, first_byte, total },
            ..blank
        })
    }
}

fn outcome(name: &str) -> Result<Outcome, String> {
    use Outcome::{Duplicate, Failed, Invalid, Ok as Whole, Skipped, Unchanged};
    let all = [Whole, Skipped, Unchanged, Duplicate, Failed, Invalid];
    let known = all.into_iter().find(|outcome| outcome.name() == name);
    known.ok_or_else(|| format!("there is no outcome \"{name}\""))
}

fn error(saved: SavedError) -> Result<RecordError, String> {
    let unknown = |_| format!("there is no class \"{}\"", saved.class);
    let class: FailureClass = saved.class.parse().map_err(unknown)?;
    Ok(RecordError { class, message: saved.message })
}

fn known_version(name: &str) -> Option<&'static str> {
    let known = ["HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"];
    known.into_iter().find(|version| *version == name)
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let stamp = text.parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
    stamp.map_err(|_| format!("\"{text}\" is not a time (RFC 3339)"))
}

#[derive(Deserialize)]
struct SavedTotal {
    list_complete: bool,
    #[serde(default)]
    targets: u64,
    #[serde(default)]
    ok: u64,
    #[serde(default)]
    skipped: u64,
    #[serde(default)]
    unchanged: u64,
    #[serde(default)]
    duplicate: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    invalid: u64,
    #[serde(default)]
    failures: BTreeMap<String, u64>,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    wire_bytes: u64,
    #[serde(default)]
    elapsed: f64,
    #[serde(default)]
    setup: f64,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    jobs: usize,
    #[serde(default)]
    loops: usize,
    stopped: Option<String>,
    #[serde(default)]
    resources: SavedResources,
    #[serde(default)]
    hosts: Vec<SavedHost>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SavedResources {
    cpu_user: Option<f64>,
    cpu_system: Option<f64>,
    peak_memory: Option<u64>,
    voluntary_switches: Option<u64>,
    involuntary_switches: Option<u64>,
    worker_threads: usize,
    requests: u64,
    connections: u64,
    handshakes: u64,
    lookups: u64,
}

#[derive(Deserialize)]
struct SavedHost {
    host: String,
    #[serde(default)]
    requests: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    failures: BTreeMap<String, u64>,
    #[serde(default)]
    peak: usize,
    limit: Option<usize>,
    #[serde(default)]
    waited: BTreeMap<String, f64>,
}

impl SavedTotal {
    fn summary(self) -> Summary {
        let classes = self.failures.iter();
        let failures = classes
            .filter_map(|(name, count)| Some((name.parse::<FailureClass>().ok()?.name(), *count)));
        let counts = OutcomeCounts {
            targets: self.targets,
            ok: self.ok,
            skipped: self.skipped,
            unchanged: self.unchanged,
            duplicate: self.duplicate,
            failed: self.failed,
            invalid: self.invalid,
            failures: failures.collect(),
        };
        Summary {
            list_complete: self.list_complete,
            counts,
            bytes: self.bytes,
            wire_bytes: self.wire_bytes,
            elapsed: self.elapsed,
            setup: self.setup,
            mode: known_mode(&self.mode),
            jobs: self.jobs,
            loops: self.loops,
            stopped: self.stopped,
            resources: self.resources.known(),
            hosts: self.hosts.into_iter().map(SavedHost::row).collect(),
        }
    }
}

fn known_mode(name: &str) -> &'static str {
    let known = ["sequential", "threads", "async", "processes"];
    known.into_iter().find(|mode| *mode == name).unwrap_or("another mode")
}

impl SavedResources {
    fn known(self) -> Resources {
        Resources {
            cpu_user: self.cpu_user,
            cpu_system: self.cpu_system,
            peak_memory: self.peak_memory,
            voluntary_switches: self.voluntary_switches,
            involuntary_switches: self.involuntary_switches,
            worker_threads: self.worker_threads,
            requests: self.requests,
            connections: self.connections,
            handshakes: self.handshakes,
            lookups: self.lookups,
        }
    }
}

impl SavedHost {
    fn row(self) -> HostStats {
        let failures = self.failures.iter();
        let waited = self.waited.iter();
        HostStats {
            host: Arc::from(self.host),
            requests: self.requests,
            bytes: self.bytes,
            failures: failures
                .filter_map(|(name, count)| Some((name.parse().ok()?, *count)))
                .collect(),
            peak: self.peak,
            limit: self.limit,
            waited: waited
                .filter_map(|(name, time)| Some((why(name)?, duration(*time)?)))
                .collect(),
        }
    }
}

fn why(name: &str) -> Option<WaitReason> {
    let all = [
        WaitReason::Limit,
        WaitReason::Gap,
        WaitReason::RetryAfter,
        WaitReason::Unreachable,
        WaitReason::Lookup,
        WaitReason::Robots,
    ];
    all.into_iter().find(|why| why.name() == name)
}

/// Seconds as they were written, to the microsecond.
fn duration(seconds: f64) -> Option<Duration> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    Some(Duration::from_micros(
        u64::try_from((duration + Duration::from_nanos(500)).as_micros()).ok()?,
    ))
}

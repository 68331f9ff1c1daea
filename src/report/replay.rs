//! Reads a run that was saved as JSON Lines, or a comparison that was saved as JSON. Invalid lines are reported with their
//! number and skipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::Deserialize;

use super::escape::printable;
use crate::compression::DecodedReader;
use crate::model::{Record, Summary};
use crate::plan::Source;
use crate::redaction::redacted_name;
use crate::streams::stdin;
use crate::text::counted;

/// Maximum bytes of a line, far beyond any record.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// Maximum bytes of a document, far beyond any comparison.
const MAX_DOCUMENT_BYTES: u64 = 4 * MAX_LINE_BYTES;

/// Maximum number of invalid lines that are reported one by one.
const MAX_REPORTED_LINES: u64 = 20;

/// Counts of the lines by kind; a comparison counts as one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records, without the summary.
    pub rows: u64,
    /// Invalid lines, which were skipped.
    pub bad_lines: u64,
    /// Whether there was a summary.
    pub has_summary: bool,
}

impl ReplayReport {
    /// Whether there was nothing to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0 && !self.has_summary
    }
}

/// Why a saved run or comparison cannot be reported.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read, a report would replace it, or a report file has no format for it.
    #[error("{0}")]
    Unreadable(io::Error),
    /// A report cannot be written.
    #[error("{0}")]
    Unwritten(io::Error),
}

/// Opens a saved run, which may be compressed. Returns its name and its decompressed bytes.
///
/// # Errors
/// Those of the file; they name it.
pub(super) fn open(source: &Source) -> io::Result<(String, Box<dyn BufRead>)> {
    let path = match source {
        Source::File(path) => path.as_path(),
        Source::Stdin => return Ok(("-".to_owned(), decoded(stdin()))),
        Source::Argument(text) => Path::new(text),
        Source::RemoteList(url) => Path::new(url.as_str()),
    };
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| with_name(&error, &redacted_name(&name)))?;
    Ok((name.clone(), decoded(file)))
}

fn decoded(bytes: impl Read + Send + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::new(DecodedReader::new(bytes)))
}

/// The record in the first line of a report file; `None` if that line is the summary.
///
/// # Errors
/// Those of the file; and if the first line is not one of a report.
pub(crate) fn first_record(path: &Path) -> io::Result<Option<Record>> {
    let mut line = String::new();
    BufReader::new(File::open(path)?).take(MAX_LINE_BYTES).read_line(&mut line)?;
    Ok(match serde_json::from_str(&line)? {
        ReportLine::Result(record) => Some(*record),
        ReportLine::Summary(_) => None,
    })
}

/// A reader of a saved run or comparison.
pub(crate) struct ReplayResult {
    name: String,
    source: Box<dyn BufRead>,
    /// A line that was read and not consumed yet.
    ahead: Option<Vec<u8>>,
    /// Number of the last line read, from 1.
    line_number: u64,
    /// Counts of the lines so far.
    pub(crate) reread: ReplayReport,
    /// The summary, once it has been read.
    pub(crate) summary: Option<Summary>,
}

/// The `type` of a JSON object.
#[derive(Deserialize)]
struct ReplayKind {
    r#type: String,
}

impl ReplayResult {
    /// Opens a saved run or comparison.
    ///
    /// # Errors
    /// Those of the file; they name it.
    pub(crate) fn of(source: &Source) -> Result<Self, ReplayError> {
        let (name, source) = open(source).map_err(ReplayError::Unreadable)?;
        Ok(Self::new(name, source))
    }

    /// A saved run or comparison of this name.
    pub(super) fn new(name: String, source: Box<dyn BufRead>) -> Self {
        let reread = ReplayReport::default();
        Self { name, source, ahead: None, line_number: 0, reread, summary: None }
    }

    /// Reads the text of a saved comparison; `None` if it is a run, whose records can then still be read.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn comparison(&mut self) -> Result<Option<Vec<u8>>, ReplayError> {
        let mut first = Vec::new();
        while first.trim_ascii().is_empty() {
            let Some(line) = self.next_line().map_err(ReplayError::Unreadable)? else {
                return Ok(None);
            };
            first = line;
        }
        if let Some(format) = other_format(&first) {
            let name = printable(&self.name);
            let text = format!("{name}: looks like {format}, not fetch --json output");
            return Err(ReplayError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        // A comparison may be a document of several lines.
        if first.trim_ascii() == b"{" {
            self.read_rest(&mut first).map_err(ReplayError::Unreadable)?;
        } else if !is_comparison(&first) {
            self.ahead = Some(first);
            return Ok(None);
        }
        Ok(Some(first))
    }

    /// Counts the comparison as one row and reports any text after it as invalid.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) fn end_comparison(&mut self, warnings: &mut impl Write) -> Result<(), ReplayError> {
        self.reread.rows = 1;
        while let Some(line) = self.next_line().map_err(ReplayError::Unreadable)? {
            if !line.trim_ascii().is_empty() {
                self.report_bad_line(
                    "text after the comparison; only one can be reported",
                    warnings,
                );
            }
        }
        Ok(())
    }

    /// The error for a document that is not a comparison.
    pub(crate) fn not_a_comparison(&self, text: &[u8], reason: &str) -> ReplayError {
        let is_other =
            serde_json::from_slice(text).is_ok_and(|kind: ReplayKind| kind.r#type != "comparison");
        let reason = match is_other {
            true => "another kind of document (a run has one line per URL)",
            false => reason,
        };
        let (name, reason) = (printable(&self.name), printable(reason));
        let text = format!("{name}: not fetch compare --json output: {reason}");
        ReplayError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Reads the rest of a document.
    fn read_rest(&mut self, document: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.source).take(MAX_DOCUMENT_BYTES).read_to_end(document);
        read.map(drop).map_err(|error| with_name(&error, &self.name))
    }

    /// The next record; `None` at the end.
    pub(crate) fn record(
        &mut self,
        warnings: &mut impl Write,
    ) -> Result<Option<Record>, ReplayError> {
        Ok(self.record_with_line(warnings)?.map(|(record, _)| record))
    }

    /// The next record with its line; `None` at the end.
    pub(super) fn record_with_line(
        &mut self,
        warnings: &mut impl Write,
    ) -> Result<Option<(Record, Vec<u8>)>, ReplayError> {
        loop {
            let Some(line) = self.next_line().map_err(ReplayError::Unreadable)? else {
                return Ok(None);
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match self.parse(&line) {
                Ok(ReportLine::Result(mut record)) => {
                    self.reread.rows += 1;
                    record.redact();
                    return Ok(Some((*record, line)));
                }
                Ok(ReportLine::Summary(mut summary)) => {
                    self.reread.has_summary = true;
                    let sources = summary.sources.iter().map(|name| redacted_name(name).into());
                    summary.sources = sources.collect();
                    self.summary = Some(*summary);
                }
                Err(problem) => self.report_bad_line(&problem, warnings),
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<ReportLine, String> {
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err("line too long for a record".to_owned());
        }
        if self.summary.is_some() {
            return Err("record after the summary; only one run can be reported".to_owned());
        }
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err("not fetch --json output: not a JSON object".to_owned());
        }
        serde_json::from_slice(line).map_err(|error| {
            // The warning already has the number of the line in the file.
            let error = error.to_string().replace(" at line 1 column", " at column");
            format!("not fetch --json output: {error}")
        })
    }

    /// The next line, truncated if it is too long; `None` at the end.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let mut limited = (&mut self.source).take(MAX_LINE_BYTES + 1);
        limited.read_until(b'\n', &mut line).map_err(|error| with_name(&error, &self.name))?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.len() as u64 > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            self.source.skip_until(b'\n').map_err(|error| with_name(&error, &self.name))?;
        }
        self.line_number += 1;
        if self.line_number == 1 && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        Ok(Some(line))
    }

    fn report_bad_line(&mut self, problem: &str, warnings: &mut impl Write) {
        self.reread.bad_lines += 1;
        if self.reread.bad_lines <= MAX_REPORTED_LINES {
            let (name, problem) = (printable(&self.name), printable(problem));
            // If stderr cannot be written, there is nowhere to report that.
            let _ = writeln!(warnings, "warning: {name}:{}: {problem}", self.line_number);
        }
    }

    /// Reports the number of further invalid lines, and what is missing: the summary, or records that it counts.
    pub(crate) fn report_end(&self, warnings: &mut impl Write) {
        let name = printable(&self.name);
        if self.reread.bad_lines > MAX_REPORTED_LINES {
            let further = self.reread.bad_lines - MAX_REPORTED_LINES;
            let _ = writeln!(warnings, "warning: {name}: {further} more bad lines");
        }
        let rows = self.reread.rows;
        let _ = match &self.summary {
            _ if self.reread.is_empty() => writeln!(warnings, "warning: {name}: no records"),
            None => writeln!(warnings, "warning: {name}: incomplete report: no summary line"),
            Some(summary) if rows < summary.counts.targets => {
                let (all, present) = (summary.counts.targets, counted(rows, "record"));
                writeln!(
                    warnings,
                    "warning: {name}: summary of {}, {present} present",
                    counted(all, "URL")
                )
            }
            Some(_) => Ok(()),
        };
    }
}

fn with_name(error: &io::Error, name: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The format of a file that is certainly not a saved run, judging by its first line; else `None`.
fn other_format(line: &[u8]) -> Option<&'static str> {
    let line = line.trim_ascii();
    let is_array = matches!(line, b"[") || line.starts_with(b"[{");
    let begins = |starts: &[&str]| {
        starts.iter().any(|start| {
            line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
        })
    };
    match line {
        _ if is_array => Some("a JSON array (jq -c '.[]' makes a line of each element)"),
        _ if begins(&["<!doctype", "<html"]) => Some("HTML"),
        _ if begins(&["http://", "https://"]) => Some("a list of URLs"),
        _ if begins(&["index,", "mode,"]) => Some("CSV"),
        _ if begins(&["| ", "Downloaded ", "Checked "]) => Some("text"),
        _ => None,
    }
}

fn is_comparison(line: &[u8]) -> bool {
    // A truncated line also counts as one.
    line.trim_ascii().starts_with(b"{\"type\":\"comparison\"")
        || serde_json::from_slice(line).is_ok_and(|kind: ReplayKind| kind.r#type == "comparison")
}

/// One line of a saved run. Fields that are missing or unknown are no error if they may have been added later.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ReportLine {
    /// A target.
    Result(Box<Record>),
    /// The end of the run.
    Summary(Box<Summary>),
}

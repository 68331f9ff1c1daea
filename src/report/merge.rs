//! Merges the reports (JSON Lines or CSV) or the manifests of shards. Reports: each record once, in list order. Memory use
//! does not depend on the number of records.

mod clashes;
mod summaries;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;

use super::atomic_file::AtomicFile;
use super::buffered::Buffered;
use super::escape::printable;
use super::files::ReportFiles;
use super::histogram::Histogram;
use super::replay::{ReplayError, ReplayResult, ReportLine, open};
use super::{cannot_write_output, csv as table, jsonl};
use crate::external_sort::{ExternalSort, SortItem};
use crate::model::{Outcome, OutcomeCounts, Record, Summary};
use crate::plan::{MergeCommand, ReportFile, ReportFormat, Source};
use crate::redaction::masked_field;
use crate::text::counted;
use crate::units::grouped;
use clashes::Clashes;
use summaries::MergedSummary;

/// Maximum bytes of a manifest line.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Low bits of a manifest line's sort order that hold its line number; the bits above hold the number of its file.
const LINE_BITS: u32 = 40;

/// Maximum number of left-out lines that are reported one by one.
const MAX_REPORTED_LINES: u64 = 20;

/// Bytes of records that the sort keeps in memory.
const SORT_MEMORY: usize = 32 * 1024 * 1024;

/// Counts of the lines of all files. `Display` writes them as one line of text.
#[derive(Debug, Default)]
pub(crate) struct MergeCounts {
    /// Files merged.
    files: usize,
    /// Records or lines written.
    pub(crate) rows: u64,
    /// Records dropped in favour of another one of the same entry; manifest lines that repeat another one exactly.
    repeated: u64,
    /// Invalid lines, and manifest lines that contradict an earlier one.
    pub(crate) left_out: u64,
    /// Records whose place in the list is also that of a record with a different URL.
    pub(crate) clashing: u64,
    /// Durations of the URLs, from their first request on.
    times: Histogram,
}

impl fmt::Display for MergeCounts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, repeated, left_out, clashing, .. } = self;
        write!(out, "merged {} rows of {}", grouped(*rows), counted(self.files as u64, "file"))?;
        let others = [
            (repeated, "repeated"),
            (left_out, "left out"),
            (clashing, "of other lists with the same name"),
        ];
        for (count, what) in others {
            if *count > 0 {
                write!(out, ", {} {what}", grouped(*count))?;
            }
        }
        let quantile = |share| self.times.quantile(share);
        if let (Some(p50), Some(p90), Some(p99)) = (quantile(0.5), quantile(0.9), quantile(0.99)) {
            write!(out, "; time per URL: {p50:.3} s (50%), {p90:.3} s (90%), {p99:.3} s (99%)")?;
        }
        Ok(())
    }
}

/// The kind of the merged files, which all have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergeKind {
    /// Reports in JSON Lines.
    Run,
    /// Reports in CSV.
    Table,
    /// Manifests.
    Manifest,
}

impl MergeKind {
    /// The kind of a file that begins with `start`; `None` if it is not recognized.
    fn of(start: &[u8]) -> Option<Self> {
        let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start).trim_ascii_start();
        match type_of(start) {
            Some(b"result" | b"summary") => Some(Self::Run),
            Some(kind) if kind == COMMON_LINE_TYPE || ManifestPlace::of(kind).is_some() => {
                Some(Self::Manifest)
            }
            _ if start.starts_with(b"index,source,") => Some(Self::Table),
            _ => None,
        }
    }

    /// The only format that this kind can be merged to; `None` if there is a choice.
    fn only_format(self) -> Option<ReportFormat> {
        match self {
            Self::Run => None,
            Self::Table => Some(ReportFormat::Csv),
            Self::Manifest => Some(ReportFormat::Jsonl),
        }
    }
}

/// A line type that manifests of directories and of archives have in common.
const COMMON_LINE_TYPE: &[u8] = b"marked";

/// The kind of store that a manifest belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ManifestPlace {
    Directory,
    Archive,
}

impl ManifestPlace {
    /// The kind of store whose manifests have lines of type `kind`; `None` if both have, or neither.
    fn of(kind: &[u8]) -> Option<Self> {
        match kind {
            b"saved" | b"partial" | b"dropped" => Some(Self::Directory),
            b"archived" | b"appended" => Some(Self::Archive),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::Archive => "an archive",
        }
    }
}

/// The value of the first `type` key in a JSON object that begins with `start`.
fn type_of(start: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"\"type\"";
    let at =
        start.starts_with(b"{").then(|| start.windows(NAME.len()).position(|part| part == NAME));
    let value = start[at.flatten()? + NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
    let value = value.trim_ascii_start().strip_prefix(b"\"")?;
    value.split(|byte| *byte == b'"').next()
}

/// A file to merge.
struct MergeInput {
    name: String,
    bytes: Box<dyn BufRead>,
    kind: MergeKind,
}

/// Merges the files of a command and writes the result to its report files, or to `out` if it names none. Lines that are
/// left out are reported to `warnings`.
///
/// # Errors
/// If a file cannot be read, is not recognized or differs in kind from the first one, or if a result cannot be written.
pub(crate) fn merge(
    command: &MergeCommand,
    out: impl Write,
    warnings: &mut impl Write,
) -> Result<MergeCounts, ReplayError> {
    let inputs = open_all(&command.sources, warnings)?;
    let kind = inputs.first().map_or(MergeKind::Run, |input| input.kind);
    if let Some(other) = inputs.iter().find(|input| input.kind != kind) {
        let text = format!(
            "{}: is of another kind than {}",
            printable(&other.name),
            printable(&inputs[0].name)
        );
        return Err(unreadable(text));
    }
    for document in &command.documents {
        if kind.only_format().is_some_and(|format| format != document.kind) {
            let text = format!(
                "{}: CSV is merged to .csv, and manifests to .jsonl",
                document.path.display()
            );
            return Err(unreadable(text));
        }
    }
    let counts = MergeCounts { files: inputs.len(), ..MergeCounts::default() };
    let merger =
        Merger { counts, warnings, sources: &command.sources, documents: &command.documents };
    match kind {
        MergeKind::Run => merger.runs(inputs, out),
        MergeKind::Table => merger.tables(inputs, out),
        MergeKind::Manifest => merger.manifests(inputs, out),
    }
}

fn open_all(sources: &[Source], warnings: &mut impl Write) -> Result<Vec<MergeInput>, ReplayError> {
    let mut inputs = Vec::new();
    for source in sources {
        let (name, mut bytes) = open(source).map_err(ReplayError::Unreadable)?;
        let start = bytes.fill_buf().map_err(|error| unreadable(format!("{name}: {error}")))?;
        if start.is_empty() {
            let _ = writeln!(warnings, "warning: {}: no records", printable(&name));
            continue;
        }
        let kind = MergeKind::of(start).ok_or_else(|| {
            unreadable(format!(
                "{}: is no report (--json or CSV) and no manifest of fetch",
                printable(&name)
            ))
        })?;
        inputs.push(MergeInput { name, bytes, kind });
    }
    Ok(inputs)
}

fn unreadable(text: String) -> ReplayError {
    ReplayError::Unreadable(io::Error::new(io::ErrorKind::InvalidData, text))
}

struct Merger<'a, W> {
    counts: MergeCounts,
    warnings: &'a mut W,
    sources: &'a [Source],
    documents: &'a [ReportFile],
}

impl<W: Write> Merger<'_, W> {
    /// Merges reports in JSON Lines.
    fn runs(
        mut self,
        inputs: Vec<MergeInput>,
        out: impl Write,
    ) -> Result<MergeCounts, ReplayError> {
        let files = ReportFiles::create(self.documents, self.sources).map_err(creation_error)?;
        let (mut sort, mut summaries) = (ExternalSort::new(SORT_MEMORY), MergedSummary::default());
        let (mut number, mut clashes) = (0, Clashes::default());
        for MergeInput { name, bytes, .. } in inputs {
            clashes.begin_file(&name, number);
            let mut saved = ReplayResult::new(name, bytes);
            while let Some((record, line)) = saved.record_with_line(self.warnings)? {
                let listed = if record.listed.is_empty() { &record.url } else { &record.listed };
                let key = entry_key(record.index, &record.source, listed);
                let order = preference(record.outcome, record.is_not_started(), number);
                sort.add(&key, order, &line).map_err(ReplayError::Unwritten)?;
                number += 1;
            }
            saved.report_end(self.warnings);
            self.counts.left_out += saved.reread.bad_lines;
            summaries.add(saved.summary.take());
        }
        if let Some(text) = summaries.shard_warning() {
            let _ = writeln!(self.warnings, "warning: {text}");
        }
        let to_stdout = self.documents.is_empty();
        let mut sink = RunSink { files, out: to_stdout.then(|| Buffered::new(out)) };
        let mut counts = OutcomeCounts::default();
        let merged = sort.finish(self.deduplicate(&mut clashes, |this, item| {
            let ReportLine::Result(mut record) = serde_json::from_slice(&item.text)? else {
                return Ok(());
            };
            record.redact();
            counts.add(&record);
            if let Some(total) = record.timings.total {
                this.times.add(total);
            }
            sink.row(&record)
        }));
        merged.map_err(ReplayError::Unwritten)?;
        self.report_clashes(&clashes);
        let summary = summaries.finish(counts);
        sink.finish(summary.as_ref()).map_err(ReplayError::Unwritten)?;
        Ok(self.counts)
    }

    /// Merges reports in CSV. Cells are copied unchanged, except that secrets are redacted.
    fn tables(
        mut self,
        inputs: Vec<MergeInput>,
        out: impl Write,
    ) -> Result<MergeCounts, ReplayError> {
        let mut sink = LineSink::create(self.documents, self.sources, out)?;
        let (mut sort, mut head, mut number) = (ExternalSort::new(SORT_MEMORY), None, 0);
        let mut clashes = Clashes::default();
        for MergeInput { name, bytes, .. } in inputs {
            clashes.begin_file(&name, number);
            let name = printable(&name).into_owned();
            let csv_error = |error: csv::Error| unreadable(format!("{name}: {error}"));
            let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
            let columns = table.byte_headers().map_err(csv_error)?.clone();
            if head.get_or_insert_with(|| columns.clone()) != &columns {
                return Err(unreadable(format!("{name}: has other columns than the first file")));
            }
            let place_of = |name: &str| columns.iter().position(|own| own == name.as_bytes());
            let (Some(index), Some(source), Some(outcome)) =
                (place_of("index"), place_of("source"), place_of("outcome"))
            else {
                return Err(unreadable(format!(
                    "{name}: has no columns index, source and outcome"
                )));
            };
            let (url, listed) = (place_of("url"), place_of("listed"));
            let mut row = csv::ByteRecord::new();
            while table.read_byte_record(&mut row).map_err(csv_error)? {
                let line = row.position().map_or(0, csv::Position::line);
                let parsed = str::from_utf8(&row[index]).ok().and_then(|text| text.parse().ok());
                let Some(index) = parsed.filter(|_| row.len() == columns.len()) else {
                    self.leave_out(&name, line, "is no row of a report");
                    continue;
                };
                let outcome = str::from_utf8(&row[outcome]).ok().and_then(outcome_of);
                let order = preference(outcome.unwrap_or(Outcome::Failed), false, number);
                let cell = |place: Option<usize>| {
                    let cell = place.map(|place| String::from_utf8_lossy(&row[place]));
                    cell.filter(|cell| !cell.is_empty())
                };
                let listed = cell(listed).or_else(|| cell(url)).unwrap_or_default();
                let key = entry_key(index, &String::from_utf8_lossy(&row[source]), &listed);
                let cells = columns.iter().zip(&row);
                let redacted = cells.map(|(column, cell)| redact_cell(column, cell));
                let text = csv_line(redacted).map_err(ReplayError::Unwritten)?;
                sort.add(&key, order, &text).map_err(ReplayError::Unwritten)?;
                number += 1;
            }
        }
        let write = || -> io::Result<()> {
            if let Some(head) = head {
                sink.line(&csv_line(&head)?)?;
            }
            sort.finish(self.deduplicate(&mut clashes, |_, item| sink.line(&item.text)))?;
            sink.finish()
        };
        write().map_err(ReplayError::Unwritten)?;
        self.report_clashes(&clashes);
        Ok(self.counts)
    }

    /// Merges manifests. Lines are sorted by path (in archives also by offset), then by manifest and line number. If two
    /// manifests have different URLs for a path, the first one counts.
    fn manifests(
        mut self,
        inputs: Vec<MergeInput>,
        out: impl Write,
    ) -> Result<MergeCounts, ReplayError> {
        let mut sink = LineSink::create(self.documents, self.sources, out)?;
        let (mut sort, mut first_place) =
            (ExternalSort::new(SORT_MEMORY), None::<(ManifestPlace, String)>);
        for (file, MergeInput { name, mut bytes, .. }) in inputs.into_iter().enumerate() {
            let name = printable(&name).into_owned();
            let mut line = Vec::new();
            for line_number in 1.. {
                line.clear();
                let read = bytes.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
                if read.map_err(|error| unreadable(format!("{name}: {error}")))? == 0 {
                    break;
                }
                if !line.ends_with(b"\n") {
                    // It is too long, or was cut off when its run was killed.
                    bytes
                        .skip_until(b'\n')
                        .map_err(|error| unreadable(format!("{name}: {error}")))?;
                }
                let Ok(entry) = serde_json::from_slice::<ManifestKey<'_>>(&line) else {
                    self.leave_out(&name, line_number, "is no line of a manifest");
                    continue;
                };
                if let Some(place) = ManifestPlace::of(entry.kind.as_bytes()) {
                    let (other, first) = first_place.get_or_insert_with(|| (place, name.clone()));
                    if *other != place {
                        return Err(unreadable(format!(
                            "{name}: is the manifest of {}, and {first} of {}; merge them separately",
                            place.name(),
                            other.name()
                        )));
                    }
                }
                let key = entry.sort_key();
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                let order = (file as u64) << LINE_BITS | line_number;
                sort.add(&key, order, &line).map_err(ReplayError::Unwritten)?;
            }
        }
        let mut last: Option<(SortItem, String)> = None;
        let write = || -> io::Result<()> {
            sort.finish(|item| {
                let id = serde_json::from_slice::<ManifestKey<'_>>(&item.text)?.id.to_string();
                match &last {
                    Some((last, _)) if last.key == item.key && last.text == item.text => {
                        self.counts.repeated += 1;
                        return Ok(());
                    }
                    Some((last, last_id))
                        if last.key == item.key
                            && *last_id != id
                            && last.order >> LINE_BITS != item.order >> LINE_BITS =>
                    {
                        self.counts.left_out += 1;
                        if self.counts.left_out <= MAX_REPORTED_LINES {
                            let path = String::from_utf8_lossy(&item.key);
                            let path = path.split('\0').next().unwrap_or_default();
                            let path = printable(path);
                            let _ = writeln!(
                                self.warnings,
                                "warning: {path}: is of two URLs; the first one counts"
                            );
                        }
                        return Ok(());
                    }
                    _ => {}
                }
                self.counts.rows += 1;
                sink.line(&item.text)?;
                last = Some((item, id));
                Ok(())
            })?;
            sink.finish()
        };
        write().map_err(ReplayError::Unwritten)?;
        Ok(self.counts)
    }

    /// Returns a consumer of sorted items that passes the first item of each key to `take` and counts the others. Items that
    /// have the same place in the list but different URLs are noted in `clashes`.
    fn deduplicate<'a>(
        &'a mut self,
        clashes: &'a mut Clashes,
        mut take: impl FnMut(&mut MergeCounts, &SortItem) -> io::Result<()> + 'a,
    ) -> impl FnMut(SortItem) -> io::Result<()> + 'a {
        let mut last: Option<SortItem> = None;
        move |item| {
            if let Some(last) = &last {
                if last.key == item.key {
                    self.counts.repeated += 1;
                    return Ok(());
                }
                clashes.note(last, &item);
            }
            self.counts.rows += 1;
            take(&mut self.counts, &item)?;
            last = Some(item);
            Ok(())
        }
    }

    fn report_clashes(&mut self, clashes: &Clashes) {
        self.counts.clashing = clashes.count();
        if let Some(text) = clashes.first_warning() {
            let _ = writeln!(self.warnings, "warning: {text}");
        }
    }

    fn leave_out(&mut self, name: &str, line: u64, why: &str) {
        self.counts.left_out += 1;
        if self.counts.left_out <= MAX_REPORTED_LINES {
            let _ = writeln!(self.warnings, "warning: {name}:{line}: {why}");
        }
    }
}

/// The sort key of a record: the place of its entry in the list, and the listed text. Records with equal keys are of the
/// same entry. Secrets are masked, because not every report contains them.
fn entry_key(index: u64, source: &str, listed: &str) -> Vec<u8> {
    let (source, listed) = (masked_field(source), masked_field(listed));
    [&index.to_be_bytes()[..], source.as_bytes(), &[KEY_SEPARATOR], listed.as_bytes()].concat()
}

/// Separates the source from the listed text in a key.
const KEY_SEPARATOR: u8 = 0;

/// The sort order among records of one entry, of which the lowest counts: the record that got furthest, and among equals
/// the last one.
fn preference(outcome: Outcome, is_not_started: bool, number: u64) -> u64 {
    let rank: u64 = match outcome {
        Outcome::Ok => 0,
        Outcome::Unchanged => 1,
        Outcome::Duplicate => 2,
        Outcome::Skipped => 3,
        Outcome::Invalid => 4,
        Outcome::Failed if !is_not_started => 5,
        Outcome::Failed => 6,
    };
    rank << 56 | (MAX_RECORD_NUMBER - number.min(MAX_RECORD_NUMBER))
}

/// The highest record number, and the mask of its bits in a preference.
const MAX_RECORD_NUMBER: u64 = (1 << 56) - 1;

/// The record number in a preference.
fn number_of(preference: u64) -> u64 {
    MAX_RECORD_NUMBER - (preference & MAX_RECORD_NUMBER)
}

fn outcome_of(text: &str) -> Option<Outcome> {
    serde_json::from_value(text.into()).ok()
}

/// Redacts the secrets in a cell of a report.
fn redact_cell<'a>(column: &[u8], cell: &'a [u8]) -> Cow<'a, [u8]> {
    let redacted = str::from_utf8(cell).map(|text| table::redact_cell(column, text));
    match redacted {
        Ok(Cow::Owned(redacted)) => Cow::Owned(redacted.into_bytes()),
        // A report is UTF-8.
        Ok(Cow::Borrowed(_)) | Err(_) => Cow::Borrowed(cell),
    }
}

fn csv_line(row: impl IntoIterator<Item = impl AsRef<[u8]>>) -> io::Result<Vec<u8>> {
    let mut builder = csv::WriterBuilder::new();
    builder.terminator(csv::Terminator::CRLF).buffer_capacity(1024);
    let mut writer = builder.from_writer(Vec::new());
    writer.write_record(row)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The fields of a manifest line that it is sorted and compared by.
#[derive(Deserialize)]
struct ManifestKey<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// In an archive, the offset of the member in bytes.
    #[serde(default)]
    offset: Option<u64>,
}

impl ManifestKey<'_> {
    fn sort_key(&self) -> Vec<u8> {
        let mut key = self.path.as_bytes().to_vec();
        key.push(0);
        key.extend(self.offset.map(u64::to_be_bytes).unwrap_or_default());
        key
    }
}

/// Where merged records go.
struct RunSink<W: Write> {
    files: ReportFiles,
    /// Standard output, if there are no files.
    out: Option<Buffered<W>>,
}

impl<W: Write> RunSink<W> {
    fn row(&mut self, record: &Record) -> io::Result<()> {
        self.files.row(record)?;
        let Some(out) = &mut self.out else { return Ok(()) };
        jsonl::row(record, &mut out.lines)?;
        if out.is_full() { write_out(out) } else { Ok(()) }
    }

    fn finish(mut self, summary: Option<&Summary>) -> io::Result<()> {
        self.files.finish(summary)?;
        let Some(out) = &mut self.out else { return Ok(()) };
        if let Some(summary) = summary {
            jsonl::total(summary, &mut out.lines)?;
        }
        write_out(out)
    }
}

/// Where merged lines go.
struct LineSink<W: Write> {
    files: Vec<AtomicFile>,
    /// Standard output, if there are no files.
    out: Option<Buffered<W>>,
}

impl<W: Write> LineSink<W> {
    fn create(documents: &[ReportFile], sources: &[Source], out: W) -> Result<Self, ReplayError> {
        let files = documents.iter().map(|document| AtomicFile::create(&document.path, sources));
        let files: Vec<_> = files.collect::<io::Result<_>>().map_err(creation_error)?;
        let out = files.is_empty().then(|| Buffered::new(out));
        Ok(Self { files, out })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        for file in &mut self.files {
            file.lines().extend_from_slice(line);
            file.write_if_full()?;
        }
        let Some(out) = &mut self.out else { return Ok(()) };
        out.lines.extend_from_slice(line);
        if out.is_full() { write_out(out) } else { Ok(()) }
    }

    fn finish(self) -> io::Result<()> {
        self.files.into_iter().try_for_each(AtomicFile::finish)?;
        self.out.map_or(Ok(()), |mut out| write_out(&mut out))
    }
}

fn write_out(out: &mut Buffered<impl Write>) -> io::Result<()> {
    out.write_out().map_err(|error| cannot_write_output(&error))
}

fn creation_error(error: io::Error) -> ReplayError {
    match error.kind() {
        io::ErrorKind::InvalidInput => ReplayError::Unreadable(error),
        _ => ReplayError::Unwritten(error),
    }
}

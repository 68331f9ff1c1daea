//! Report files (`--report FILE`): writes each of them in its format, record by record or at the end.

use std::io;

use super::aggregate::Aggregate;
use super::atomic_file::AtomicFile;
use super::har::HarArchive;
use super::{csv, html, jsonl, keep_first, markdown};
use crate::model::{Record, Summary};
use crate::plan::{ReportFile, ReportFormat, ReportSubject, Source};

/// The report files of a run. However long it is, at most 10,000 of its records and 1,000 of its failures are kept in memory.
#[derive(Debug)]
pub struct ReportFiles {
    open: Vec<OpenReport>,
    /// The data for the formats that are written at the end; `None` if no file has such a format.
    aggregate: Option<Aggregate>,
}

#[derive(Debug)]
struct OpenReport {
    file: AtomicFile,
    format: ReportWriter,
}

/// The format of a report file, and its state.
#[derive(Debug)]
enum ReportWriter {
    Html,
    Har(HarArchive),
    Csv,
    Jsonl,
    Markdown,
}

impl ReportFiles {
    /// No files.
    pub fn none() -> Self {
        Self { open: Vec::new(), aggregate: None }
    }

    /// Creates the files, under temporary names until they are complete.
    ///
    /// # Errors
    /// `InvalidInput` if one would replace one of `sources` or has no format for runs, else those of creating it. They
    /// name the file.
    pub fn create(files: &[ReportFile], sources: &[Source]) -> io::Result<Self> {
        let open = files.iter().map(|file| OpenReport::new(file, sources));
        let open = open.collect::<io::Result<Vec<_>>>()?;
        let is_written_at_end =
            |open: &OpenReport| matches!(open.format, ReportWriter::Html | ReportWriter::Markdown);
        let aggregate = open.iter().any(is_written_at_end).then(Aggregate::default);
        Ok(Self { open, aggregate })
    }

    /// Adds a record to all of them.
    ///
    /// # Errors
    /// The first one. The record is still written to the other files.
    pub(crate) fn row(&mut self, record: &Record) -> io::Result<()> {
        if let Some(aggregate) = &mut self.aggregate {
            aggregate.add(record);
        }
        first_error(self.open.iter_mut().map(|open| open.row(record)))
    }

    /// Completes and renames all of them. `summary`: `None` for a saved run that was cut off.
    ///
    /// # Errors
    /// The first one; it names the file, which is as it was before. The other files are still completed.
    pub(crate) fn finish(&mut self, summary: Option<&Summary>) -> io::Result<()> {
        let aggregate = self.aggregate.take().unwrap_or_default();
        first_error(self.open.drain(..).map(|open| open.finish(&aggregate, summary)))
    }
}

/// Ensures that a report file has a format for its subject.
///
/// # Errors
/// `InvalidInput`; it names the file and says what to do.
pub(crate) fn ensure_format_fits(file: &ReportFile, subject: ReportSubject) -> io::Result<()> {
    let Some(why) = file.kind.unfit_for(subject) else { return Ok(()) };
    let complaint = format!("{}: {why}", file.path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, complaint))
}

fn first_error(results: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut first = Ok(());
    results.for_each(|next| keep_first(&mut first, next));
    first
}

impl OpenReport {
    fn new(report: &ReportFile, sources: &[Source]) -> io::Result<Self> {
        ensure_format_fits(report, ReportSubject::Run)?;
        let mut file = AtomicFile::create(&report.path, sources)?;
        let format = match report.kind {
            ReportFormat::Html => ReportWriter::Html,
            ReportFormat::Har => ReportWriter::Har(HarArchive::default()),
            ReportFormat::Csv => {
                csv::head(file.lines());
                ReportWriter::Csv
            }
            ReportFormat::Json => unreachable!("only a comparison is one document"),
            ReportFormat::Jsonl => ReportWriter::Jsonl,
            ReportFormat::Markdown => ReportWriter::Markdown,
        };
        Ok(Self { file, format })
    }

    fn row(&mut self, record: &Record) -> io::Result<()> {
        let out = self.file.lines();
        match &mut self.format {
            ReportWriter::Html | ReportWriter::Markdown => return Ok(()),
            ReportWriter::Har(archive) => archive.row(record, out)?,
            ReportWriter::Csv => csv::row(record, out)?,
            ReportWriter::Jsonl => jsonl::row(record, out)?,
        }
        self.file.write_if_full()
    }

    fn finish(mut self, aggregate: &Aggregate, summary: Option<&Summary>) -> io::Result<()> {
        let out = self.file.lines();
        match (&mut self.format, summary) {
            (ReportWriter::Html, _) => html::page(aggregate, summary, out)?,
            (ReportWriter::Markdown, _) => markdown::page(aggregate, summary, out)?,
            (ReportWriter::Har(archive), _) => archive.end(out)?,
            (ReportWriter::Jsonl, Some(summary)) => jsonl::total(summary, out)?,
            (ReportWriter::Jsonl, None) | (ReportWriter::Csv, _) => {}
        }
        self.file.finish()
    }
}

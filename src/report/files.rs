//! The reports that are files of their own: what each of them hears, and when it is whole.

use std::io;

use super::aggregate::Aggregate;
use super::atomic_file::AtomicFile;
use super::har::HarArchive;
use super::{csv, html, jsonl, keep_first, markdown};
use crate::model::{Record, Summary};
use crate::plan::{ReportFile, ReportFormat, ReportSubject, Source};

/// The reports that were asked for. Whatever the length of the run, they keep 10,000 rows at most.
#[derive(Debug)]
pub struct ReportFiles {
    open: Vec<OpenReport>,
    /// What is known of the run, where one of them is made at the end.
    fold: Option<Aggregate>,
}

#[derive(Debug)]
struct OpenReport {
    place: AtomicFile,
    form: ReportWriter,
}

/// What a report is, and what it has to remember of its beginning.
#[derive(Debug)]
enum ReportWriter {
    Html,
    Har(HarArchive),
    Csv,
    Jsonl,
    Markdown,
}

impl ReportFiles {
    /// None.
    pub fn none() -> Self {
        Self { open: Vec::new(), fold: None }
    }

    /// Opens a file beside the place of each report; it takes its place when the report is whole.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if one would replace one of `sources` or cannot be made of a run, else those of
    /// opening it; they name the file.
    pub fn create(asked: &[ReportFile], sources: &[Source]) -> io::Result<Self> {
        let open = asked.iter().map(|document| OpenReport::new(document, sources));
        let open = open.collect::<io::Result<Vec<_>>>()?;
        let made_at_the_end =
            |open: &OpenReport| matches!(open.form, ReportWriter::Html | ReportWriter::Markdown);
        let fold = open.iter().any(made_at_the_end).then(Aggregate::default);
        Ok(Self { open, fold })
    }

    /// Tells all of them of a record.
    ///
    /// # Errors
    /// The first that there is; the others have heard of it all the same.
    pub(crate) fn row(&mut self, record: &Record) -> io::Result<()> {
        if let Some(fold) = &mut self.fold {
            fold.add(record);
        }
        first_error(self.open.iter_mut().map(|open| open.row(record)))
    }

    /// Makes all of them whole. A saved run that was cut off has no summary.
    ///
    /// # Errors
    /// The first that there is; it names the file, which is as it was before. The others are whole all the same.
    pub(crate) fn finish(&mut self, summary: Option<&Summary>) -> io::Result<()> {
        let fold = self.fold.take().unwrap_or_default();
        first_error(self.open.drain(..).map(|open| open.finish(&fold, summary)))
    }
}

/// Makes sure that there is such a report of this.
///
/// # Errors
/// Of the kind `InvalidInput`; they name the file, and say what to do.
pub(crate) fn ensure_it_fits(document: &ReportFile, reported: ReportSubject) -> io::Result<()> {
    let Some(why) = document.kind.unfit_for(reported) else { return Ok(()) };
    let complaint = format!("{}: {why}", document.path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, complaint))
}

fn first_error(results: impl Iterator<Item = io::Result<()>>) -> io::Result<()> {
    let mut first = Ok(());
    results.for_each(|next| keep_first(&mut first, next));
    first
}

impl OpenReport {
    fn new(document: &ReportFile, sources: &[Source]) -> io::Result<Self> {
        ensure_it_fits(document, ReportSubject::Run)?;
        let mut place = AtomicFile::open(&document.path, sources)?;
        let form = match document.kind {
            ReportFormat::Html => ReportWriter::Html,
            ReportFormat::Har => ReportWriter::Har(HarArchive::default()),
            ReportFormat::Csv => {
                csv::head(&mut place.waiting);
                ReportWriter::Csv
            }
            ReportFormat::Json => unreachable!("one document is made of comparisons alone"),
            ReportFormat::Jsonl => ReportWriter::Jsonl,
            ReportFormat::Markdown => ReportWriter::Markdown,
        };
        Ok(Self { place, form })
    }

    fn row(&mut self, record: &Record) -> io::Result<()> {
        let page = &mut self.place.waiting;
        match &mut self.form {
            ReportWriter::Html | ReportWriter::Markdown => return Ok(()),
            ReportWriter::Har(archive) => archive.row(record, page)?,
            ReportWriter::Csv => csv::row(record, page)?,
            ReportWriter::Jsonl => jsonl::row(record, page)?,
        }
        self.place.write_if_full()
    }

    fn finish(mut self, fold: &Aggregate, summary: Option<&Summary>) -> io::Result<()> {
        let page = &mut self.place.waiting;
        match (&mut self.form, summary) {
            (ReportWriter::Html, _) => html::page(fold, summary, page)?,
            (ReportWriter::Markdown, _) => markdown::page(fold, summary, page)?,
            (ReportWriter::Har(archive), _) => archive.end(page)?,
            (ReportWriter::Jsonl, Some(summary)) => jsonl::total(summary, page)?,
            (ReportWriter::Jsonl, None) | (ReportWriter::Csv, _) => {}
        }
        self.place.finish()
    }
}

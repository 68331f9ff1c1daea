//! Reports of a comparison: files of their own, made at its end or of a saved one. What a saved one says is taken for
//! nothing but text.

mod csv;
mod figures;
mod html;
mod markdown;

use std::io;

use super::result::Comparison;
use crate::plan::{ReportFile, ReportFormat, ReportSubject, Source};
use crate::report::atomic_file::AtomicFile;
use crate::report::files::ensure_it_fits;
use crate::report::keep_first;
use crate::units::human_bytes;

pub use figures::{FIGURES, MetricGroup, MetricRow, probability};

/// Fewer runs than this have no interval of the wall time.
const RUNS_FOR_INTERVALS: usize = 6;

/// The reports that were asked for.
#[derive(Debug)]
pub struct ComparisonReports(Vec<(AtomicFile, ReportFormat)>);

impl ComparisonReports {
    /// Opens a file beside the place of each report; it takes its place when the report is whole.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if one would replace one of `sources` or cannot be made of a comparison, else those of
    /// opening it; they name the file.
    pub fn create(asked: &[ReportFile], sources: &[Source]) -> io::Result<Self> {
        let open = |document: &ReportFile| {
            ensure_it_fits(document, ReportSubject::Comparison)?;
            Ok((AtomicFile::open(&document.path, sources)?, document.kind))
        };
        asked.iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// The first that there is; it names the file, which is as it was before. The others are whole all the same.
    pub fn finish(self, comparison: &Comparison) -> io::Result<()> {
        let mut first = Ok(());
        for (place, kind) in self.0 {
            keep_first(&mut first, written(place, kind, comparison));
        }
        first
    }
}

fn written(mut place: AtomicFile, kind: ReportFormat, comparison: &Comparison) -> io::Result<()> {
    let page = &mut place.waiting;
    match kind {
        ReportFormat::Html => html::page(comparison, page)?,
        ReportFormat::Csv => csv::page(comparison, page)?,
        ReportFormat::Json => json(comparison, page)?,
        ReportFormat::Jsonl => jsonl(comparison, page)?,
        ReportFormat::Markdown => markdown::page(comparison, page)?,
        ReportFormat::Har => unreachable!("an archive is made of runs alone"),
    }
    place.finish()
}

fn json(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *page, comparison)?;
    page.push(b'\n');
    Ok(())
}

/// The table to paste.
pub(crate) fn table(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    markdown::page(comparison, page)
}

/// What a comparison is of, a sentence each.
pub fn head(comparison: &Comparison) -> [String; 2] {
    let Comparison { subject, targets, bytes, runs, warmup, seed, .. } = comparison;
    let bytes = human_bytes(*bytes);
    [
        format!("Compared on {subject}."),
        format!(
            "{targets} URLs, {bytes}; {runs} runs each after {warmup} to warm up, in {runs} blocks \
             of random order (seed {seed}). Figures are medians over runs."
        ),
    ]
}

/// What has to be known to read the figures right, a sentence each, without its end.
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut remarks = comparison.notes.clone();
    if comparison.runs < RUNS_FOR_INTERVALS {
        remarks.push("an interval of the wall time needs 6 runs, one of the speed-up 4".to_owned());
    }
    remarks
}

/// Why something that was saved is no comparison that can be told of; `None` if it is one.
pub(crate) fn flaw(comparison: &Comparison) -> Option<&'static str> {
    let count = comparison.contestants.len();
    if count == 0 {
        return Some("it has no contestants");
    }
    if comparison.samples.iter().any(|sample| sample.contestant >= count) {
        return Some("it has a run of a contestant that it does not have");
    }
    if comparison.pairs.iter().any(|pair| pair.first >= count || pair.second >= count) {
        return Some("it has a pair of a contestant that it does not have");
    }
    None
}

/// Reads a saved comparison.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Comparison, String> {
    let comparison: Comparison = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match flaw(&comparison) {
        Some(flaw) => Err(flaw.to_owned()),
        None => Ok(comparison),
    }
}

/// The comparison as one line of JSON.
fn jsonl(comparison: &Comparison, page: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *page, comparison)?;
    page.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;

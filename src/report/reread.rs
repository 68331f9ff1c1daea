//! A run or a comparison that was saved, reported again.

use std::io::{self, Write};

use super::comparison::{self, ComparisonFiles};
use super::document::Documents;
use super::fold::Fold;
use super::markdown;
use super::saved::{Reading, Reread, RereadError};
use crate::plan::Rereport;
use crate::record::Comparison;

/// Reads a saved run or comparison and writes the reports that are asked for, or a table to `out` if none is. Bad lines
/// are told to `words`.
///
/// # Errors
/// If it cannot be read, or a report cannot be written.
pub fn rereport(
    asked: &Rereport,
    out: &mut impl Write,
    words: &mut impl Write,
) -> Result<Reread, RereadError> {
    let mut reading = Reading::of(&asked.source)?;
    match reading.comparison(words)? {
        Some(comparison) => retell(asked, &comparison, out)?,
        None => replay(asked, &mut reading, out, words)?,
    }
    Ok(reading.reread)
}

/// Reports a comparison.
fn retell(
    asked: &Rereport,
    comparison: &Comparison,
    out: &mut impl Write,
) -> Result<(), RereadError> {
    let sources = std::slice::from_ref(&asked.source);
    let files = ComparisonFiles::create(&asked.documents, sources).map_err(not_opened)?;
    files.finish(comparison).map_err(RereadError::Unwritten)?;
    if !asked.documents.is_empty() {
        return Ok(());
    }
    let mut page = Vec::new();
    comparison::table(comparison, &mut page).map_err(RereadError::Unwritten)?;
    out.write_all(&page).and_then(|()| out.flush()).map_err(RereadError::Unwritten)
}

/// Reports a run.
fn replay(
    asked: &Rereport,
    reading: &mut Reading,
    out: &mut impl Write,
    words: &mut impl Write,
) -> Result<(), RereadError> {
    let sources = std::slice::from_ref(&asked.source);
    let mut documents = Documents::create(&asked.documents, sources).map_err(not_opened)?;
    let mut table = asked.documents.is_empty().then(Fold::default);
    while let Some(record) = reading.record(words)? {
        if let Some(fold) = &mut table {
            fold.add(&record);
        }
        documents.row(&record).map_err(RereadError::Unwritten)?;
    }
    reading.tell_of_the_rest(words);
    let summary = reading.summary.as_ref();
    documents.finish(summary).map_err(RereadError::Unwritten)?;
    let Some(fold) = table else { return Ok(()) };
    let mut page = Vec::new();
    markdown::page(&fold, summary, &mut page).map_err(RereadError::Unwritten)?;
    out.write_all(&page).and_then(|()| out.flush()).map_err(RereadError::Unwritten)
}

fn not_opened(error: io::Error) -> RereadError {
    match error.kind() {
        io::ErrorKind::InvalidInput => RereadError::Unreadable(error),
        _ => RereadError::Unwritten(error),
    }
}

//! `fetch report`: writes reports of a saved run or comparison.

use std::io::{self, Write};

use super::{CommandError, conclude};
use crate::compare::Comparison;
use crate::compare::export::{self, ComparisonReports};
use crate::exit::{Exit, ExitStatus};
use crate::plan::ReportCommand;
use crate::report::aggregate::Aggregate;
use crate::report::files::ReportFiles;
use crate::report::markdown;
use crate::report::replay::{ReplayError, ReplayReport, ReplayResult};

impl ExitStatus for ReplayReport {
    fn exit(&self) -> Exit {
        if self.bad_lines > 0 { Exit::SomeFailed } else { Exit::Ok }
    }
}

impl ExitStatus for ReplayError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unreadable(_) => Exit::Usage,
            Self::Unwritten(error) => error.exit(),
        }
    }
}

impl CommandError for ReplayError {
    fn output_error(&self) -> Option<&io::Error> {
        match self {
            Self::Unwritten(error) => Some(error),
            Self::Unreadable(_) => None,
        }
    }
}

pub(super) fn execute(command: &ReportCommand) -> Exit {
    conclude(&report(command, &mut io::stdout(), &mut io::stderr()))
}

/// Reads a saved run or comparison and writes the reports that are asked for, or a table to `out` if none is. Bad lines
/// are told to `words`.
///
/// # Errors
/// If it cannot be read, or a report cannot be written.
pub fn report(
    asked: &ReportCommand,
    out: &mut impl Write,
    words: &mut impl Write,
) -> Result<ReplayReport, ReplayError> {
    let mut reading = ReplayResult::of(&asked.source)?;
    match reading.comparison()? {
        Some(text) => {
            let comparison =
                export::parse(&text).map_err(|reason| reading.not_a_comparison(&text, &reason))?;
            reading.end_comparison(words)?;
            report_comparison(asked, &comparison, out)?;
        }
        None => report_run(asked, &mut reading, out, words)?,
    }
    Ok(reading.reread)
}

/// Reports a comparison.
fn report_comparison(
    asked: &ReportCommand,
    comparison: &Comparison,
    out: &mut impl Write,
) -> Result<(), ReplayError> {
    let sources = std::slice::from_ref(&asked.source);
    let files = ComparisonReports::create(&asked.documents, sources).map_err(not_opened)?;
    files.finish(comparison).map_err(ReplayError::Unwritten)?;
    if !asked.documents.is_empty() {
        return Ok(());
    }
    let mut page = Vec::new();
    export::table(comparison, &mut page).map_err(ReplayError::Unwritten)?;
    out.write_all(&page).and_then(|()| out.flush()).map_err(ReplayError::Unwritten)
}

/// Reports a run.
fn report_run(
    asked: &ReportCommand,
    reading: &mut ReplayResult,
    out: &mut impl Write,
    words: &mut impl Write,
) -> Result<(), ReplayError> {
    let sources = std::slice::from_ref(&asked.source);
    let mut documents = ReportFiles::create(&asked.documents, sources).map_err(not_opened)?;
    let mut table = asked.documents.is_empty().then(Aggregate::default);
    while let Some(record) = reading.record(words)? {
        if let Some(fold) = &mut table {
            fold.add(&record);
        }
        documents.row(&record).map_err(ReplayError::Unwritten)?;
    }
    reading.replay_summary(words);
    let summary = reading.summary.as_ref();
    documents.finish(summary).map_err(ReplayError::Unwritten)?;
    let Some(fold) = table else { return Ok(()) };
    let mut page = Vec::new();
    markdown::page(&fold, summary, &mut page).map_err(ReplayError::Unwritten)?;
    out.write_all(&page).and_then(|()| out.flush()).map_err(ReplayError::Unwritten)
}

fn not_opened(error: io::Error) -> ReplayError {
    match error.kind() {
        io::ErrorKind::InvalidInput => ReplayError::Unreadable(error),
        _ => ReplayError::Unwritten(error),
    }
}

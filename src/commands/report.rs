//! `fetch report`: converts a saved run or comparison.

use std::io::{self, Write};

use super::{CommandError, conclude};
use crate::compare::Comparison;
use crate::compare::export::{self, ComparisonReports};
use crate::exit::{Exit, ExitStatus};
use crate::plan::ReportCommand;
use crate::report::aggregate::Aggregate;
use crate::report::files::ReportFiles;
use crate::report::replay::{ReplayError, ReplayReport, ReplayResult};
use crate::report::{cannot_write_output, markdown};
use crate::streams::{stderr, stdout};

impl ExitStatus for ReplayReport {
    fn exit(&self) -> Exit {
        if self.bad_lines > 0 || self.is_empty() { Exit::SomeFailed } else { Exit::Ok }
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
    conclude(&report(command, &mut stdout(), &mut stderr()))
}

/// Reads a saved run or comparison and writes the report files that were asked for, or a Markdown table to `out` if there
/// are none. Invalid lines are reported to `warnings`.
///
/// # Errors
/// If it cannot be read, or a report cannot be written.
pub fn report(
    command: &ReportCommand,
    out: &mut impl Write,
    warnings: &mut impl Write,
) -> Result<ReplayReport, ReplayError> {
    let mut saved = ReplayResult::of(&command.source)?;
    match saved.comparison()? {
        Some(text) => {
            let comparison =
                export::parse(&text).map_err(|reason| saved.not_a_comparison(&text, &reason))?;
            saved.end_comparison(warnings)?;
            report_comparison(command, &comparison, out)?;
        }
        None => report_run(command, &mut saved, out, warnings)?,
    }
    Ok(saved.reread)
}

fn report_comparison(
    command: &ReportCommand,
    comparison: &Comparison,
    out: &mut impl Write,
) -> Result<(), ReplayError> {
    let sources = std::slice::from_ref(&command.source);
    let files = ComparisonReports::create(&command.documents, sources).map_err(create_error)?;
    files.finish(comparison).map_err(ReplayError::Unwritten)?;
    if !command.documents.is_empty() {
        return Ok(());
    }
    let mut page = Vec::new();
    export::markdown::page(comparison, &mut page).map_err(ReplayError::Unwritten)?;
    print(&page, out)
}

fn print(page: &[u8], out: &mut impl Write) -> Result<(), ReplayError> {
    let printed = out.write_all(page).and_then(|()| out.flush());
    printed.map_err(|error| ReplayError::Unwritten(cannot_write_output(&error)))
}

fn report_run(
    command: &ReportCommand,
    saved: &mut ReplayResult,
    out: &mut impl Write,
    warnings: &mut impl Write,
) -> Result<(), ReplayError> {
    let sources = std::slice::from_ref(&command.source);
    let mut files = ReportFiles::create(&command.documents, sources).map_err(create_error)?;
    let mut table = command.documents.is_empty().then(Aggregate::default);
    while let Some(record) = saved.record(warnings)? {
        if let Some(aggregate) = &mut table {
            aggregate.add(&record);
        }
        files.row(&record).map_err(ReplayError::Unwritten)?;
    }
    saved.report_end(warnings);
    if saved.reread.is_empty() {
        return Ok(());
    }
    let summary = saved.summary.as_ref();
    files.finish(summary).map_err(ReplayError::Unwritten)?;
    let Some(aggregate) = table else { return Ok(()) };
    let mut page = Vec::new();
    markdown::page(&aggregate, summary, &mut page).map_err(ReplayError::Unwritten)?;
    print(&page, out)
}

fn create_error(error: io::Error) -> ReplayError {
    match error.kind() {
        io::ErrorKind::InvalidInput => ReplayError::Unreadable(error),
        _ => ReplayError::Unwritten(error),
    }
}

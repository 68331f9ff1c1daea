//! `fetch compare`: runs a comparison, prints it and writes its report files.

use std::io::{self, Write};

use console::Term;

use super::{CommandError, conclude, fail_without_handlers};
use crate::compare::{self, CompareError, CompareOutcome, Comparison, Options, export};
use crate::engine::CancelToken;
use crate::exit::{Exit, ExitStatus};
use crate::model::StopCause;
use crate::plan::{OutputFormat, Timeouts};
use crate::report::cannot_write_output;
use crate::signals::cancel_on_signals;
use crate::streams::stdout;

impl ExitStatus for Comparison {
    fn exit(&self) -> Exit {
        if self.comparable { Exit::Ok } else { Exit::SomeFailed }
    }
}

impl ExitStatus for CompareError {
    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unfinished(_) => Exit::Unfinished,
            Self::Fatal(_) => Exit::Fatal,
            Self::Unwritten(error) => error.exit(),
        }
    }
}

impl CommandError for CompareError {
    fn output_error(&self) -> Option<&io::Error> {
        match self {
            Self::Unwritten(error) => Some(error),
            Self::Usage(_) | Self::Unfinished(_) | Self::Fatal(_) => None,
        }
    }
}

pub(super) fn execute(options: &Options) -> Exit {
    let cancel = CancelToken::default();
    if let Err(error) = cancel_on_signals(&cancel, Timeouts::GRACE) {
        return fail_without_handlers(&error);
    }
    let result = compare(options, &cancel, &mut stdout());
    let exit = conclude(&result);
    match (&result, cancel.cause()) {
        // What cannot be written is more serious than a signal.
        (Err(CompareError::Unwritten(_)), _) => exit,
        (_, Some(StopCause::Interrupted)) => Exit::Interrupted,
        (_, Some(StopCause::Terminated)) => Exit::Terminated,
        (_, Some(StopCause::HungUp)) => Exit::HungUp,
        _ => exit,
    }
}

/// Runs a comparison, prints it to `out` and writes its report files. `cancel` ends it after the current run.
///
/// # Errors
/// If there are too few runs, or the comparison cannot be written. The report files are written even if `out` cannot be.
fn compare(
    options: &Options,
    cancel: &CancelToken,
    out: &mut impl Write,
) -> Result<Comparison, CompareError> {
    let outcome = compare::compare(options, &|| cancel.cause().is_some())?;
    let CompareOutcome { comparison, files } = outcome;
    let printed = print(&comparison, options.format, out);
    files.finish(&comparison).map_err(CompareError::Unwritten)?;
    printed.map_err(CompareError::Unwritten)?;
    Ok(comparison)
}

fn print(comparison: &Comparison, format: OutputFormat, out: &mut impl Write) -> io::Result<()> {
    let mut page = Vec::new();
    match format {
        OutputFormat::Text => {
            page.extend_from_slice(compare::table(comparison, width()).as_bytes())
        }
        OutputFormat::Csv => export::csv::page(comparison, &mut page)?,
        OutputFormat::Jsonl => export::jsonl(comparison, &mut page)?,
    }
    out.write_all(&page).and_then(|()| out.flush()).map_err(|error| cannot_write_output(&error))
}

/// The number of columns of the terminal; 80 if there is no terminal.
fn width() -> usize {
    let columns = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    columns.filter(|columns| *columns > 0).unwrap_or(80)
}

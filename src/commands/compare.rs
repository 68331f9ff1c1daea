//! `fetch compare`: runs the comparison, prints it and writes its report files.

use std::io::{self, BufWriter, Write};

use super::{conclude, print_error};
use crate::compare::{self, CompareError, CompareFormat, CompareOutcome, Comparison, Options};
use crate::engine::CancelToken;
use crate::exit::{Exit, ExitStatus};
use crate::model::StopCause;
use crate::signals::cancel_on_signals;

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
        }
    }
}

pub(super) fn execute(options: &Options) -> Exit {
    let cancel = CancelToken::default();
    if let Err(error) = cancel_on_signals(&cancel) {
        print_error(&format!("cannot install signal handlers: {error}"));
        return Exit::Fatal;
    }
    let compared = compare::compare(options, &|| cancel.cause().is_some());
    let signal = match cancel.cause() {
        Some(StopCause::Interrupted) => Some(Exit::Interrupted),
        Some(StopCause::Terminated) => Some(Exit::Terminated),
        _ => None,
    };
    let CompareOutcome { comparison, files } = match compared {
        Ok(compared) => compared,
        Err(error) => {
            let code = signal.unwrap_or(error.exit());
            print_error(&error.into_inner());
            return code;
        }
    };
    let printed = print(&comparison, options.format);
    if let Err(error) = files.finish(&comparison) {
        print_error(&format!("cannot write the report: {error}"));
        return Exit::Fatal;
    }
    match printed {
        Ok(()) => signal.unwrap_or(comparison.exit()),
        error => conclude(&error),
    }
}

fn print(comparison: &Comparison, format: CompareFormat) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match format {
        CompareFormat::Text => out.write_all(compare::table(comparison).as_bytes())?,
        CompareFormat::Json => {
            serde_json::to_writer(&mut out, comparison)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

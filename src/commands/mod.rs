//! The commands of the program: each takes its options and returns an exit code.

mod child;
pub mod compare;
mod completions;
pub mod dry_run;
pub mod fetch;
mod help;
pub mod report;
mod serve;
pub mod verify;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::cli::{Command, UsageOutput, UsageStream};
use crate::exit::{Exit, ExitStatus};
use crate::signals::survive_file_size_limit;
use crate::streams::{stderr, stdout};

/// Carries out a command, prints its error if there is one, and returns the exit code.
pub fn execute(command: Command) -> Exit {
    survive_file_size_limit();
    match command {
        Command::Fetch(plan) => fetch::execute(&plan),
        Command::DryRun { plan, options } => dry_run::execute(&plan, &options),
        Command::Verify(options) => verify::execute(&options),
        Command::Report(command) => report::execute(&command),
        Command::Serve(options) => serve::execute(options),
        Command::Compare(options) => compare::execute(&options),
        Command::Completions(completions) => completions::execute(&completions),
        Command::Help(page) => conclude(&help::show(&page)),
        Command::Child => child::execute(),
    }
}

/// Prints help or a usage error, and returns its exit code. A reader that has gone is no error.
pub fn print_usage(usage: &UsageOutput) -> ExitCode {
    let _ = match usage.to {
        UsageStream::Stdout => stdout().write_all(usage.text.as_bytes()),
        UsageStream::Stderr => stderr().write_all(usage.text.as_bytes()),
    };
    usage.code.into()
}

/// An error that ends a command.
trait CommandError: Display + ExitStatus {
    /// Why standard output could not be written, if that is the error.
    fn output_error(&self) -> Option<&io::Error>;
}

impl CommandError for anyhow::Error {
    fn output_error(&self) -> Option<&io::Error> {
        self.root_cause().downcast_ref()
    }
}

impl CommandError for io::Error {
    fn output_error(&self) -> Option<&io::Error> {
        Some(self)
    }
}

/// The exit code of what a command came to. An error is printed, unless the reader of standard output has closed it:
/// that is no fault, whatever the command.
fn conclude<T: ExitStatus, E: CommandError>(result: &Result<T, E>) -> Exit {
    if let Err(error) = result {
        match error.output_error() {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => {}
            _ => print_error(error),
        }
    }
    result.exit()
}

/// Prints an error that ends the program. Standard error that cannot be written is no reason to fail.
fn print_error(error: &dyn Display) {
    print_line("error", &format!("{error:#}"));
}

/// Prints something that the user should look at, but that stops nothing.
fn print_warning(text: &str) {
    print_line("warning", text);
}

fn print_line(level: &str, text: &str) {
    // In one piece, so that lines of several threads and processes are not mixed.
    let _ = stderr().write_all(format!("{level}: {text}\n").as_bytes());
}

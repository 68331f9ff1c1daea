//! The commands of the program: each takes its options and returns an exit code.

mod child;
pub mod compare;
mod completions;
pub mod dry_run;
pub mod fetch;
mod help;
mod measure;
mod merge;
pub mod report;
mod serve;
mod split;
pub mod verify;
mod version;

use std::env;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::anyhow;

use crate::cli::{self, Command, UsageOutput, UsageStream};
use crate::exit::{Exit, ExitStatus};
use crate::input::OpenError;
use crate::plan::{ColorChoice, FailedExit, Plan};
use crate::redaction::{redacted_text, show_secrets};
use crate::signals::survive_file_size_limit;
use crate::streams::{self, stderr, stdin, stdout};
use crate::text::{io_message, without_os_codes};

/// Carries out a command, prints its error if there is one, and returns the exit code.
pub fn execute(command: Command) -> Exit {
    survive_file_size_limit();
    if command.shows_secrets() {
        show_secrets();
    }
    match command {
        Command::Fetch(plan) => fetch::execute(&plan),
        Command::DryRun { plan, options } => dry_run::execute(&plan, &options),
        Command::Verify(options) => verify::execute(&options),
        Command::Report(command) => report::execute(&command),
        Command::Split(command) => split::execute(&command),
        Command::Merge(command) => merge::execute(&command),
        Command::Serve(options) => serve::execute(options),
        Command::Compare(options) => compare::execute(&options),
        Command::Completions(completions) => completions::execute(&completions),
        Command::Version(page) => version::execute(&page),
        Command::Help(page) => conclude(&help::show(&page)),
        Command::Child => child::execute(),
        Command::Measure(text) => measure::execute(&text),
    }
}

/// Whether messages are coloured on a stream, as `--color` says.
fn colours(choice: ColorChoice, is_terminal: bool) -> bool {
    let variable = |name| env::var_os(name).unwrap_or_default();
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal && variable("NO_COLOR").is_empty() && variable("TERM") != "dumb"
        }
    }
}

/// The value of `--color`, once it is known.
static COLOR: OnceLock<ColorChoice> = OnceLock::new();

/// Prints help or a usage error, and returns its exit code. A closed pipe is no error.
pub fn print_usage(usage: &UsageOutput) -> ExitCode {
    let _ = match (usage.to, usage.text.split_once(": ")) {
        (UsageStream::Stdout, _) => stdout().write_all(usage.text.as_bytes()),
        (UsageStream::Stderr, Some((level @ "error", text))) => {
            print_line(level, text.trim_end_matches('\n'));
            Ok(())
        }
        (UsageStream::Stderr, _) => stderr().write_all(usage.text.as_bytes()),
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

/// Prints the error of a command, if there is one, and returns the exit code. A closed pipe on standard output is not printed,
/// whatever the command.
fn conclude<T: ExitStatus, E: CommandError>(result: &Result<T, E>) -> Exit {
    if let Err(error) = result {
        match error.output_error() {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => {}
            _ => print_error(error),
        }
    }
    result.exit()
}

/// Prints that signals cannot be handled, and returns the exit code.
fn fail_without_handlers(error: &io::Error) -> Exit {
    let reason = io_message(error);
    print_error(&format!("cannot install signal handlers: {reason}; see ulimit -n and ulimit -u"));
    Exit::Fatal
}

/// The warning if there is nothing to fetch. `listed` is the number of entries in the lists, those of other shards included.
fn no_urls_warning(plan: &Plan, listed: u64) -> String {
    match plan.shard.filter(|_| listed > 0) {
        Some(shard) => format!("no URLs in shard {shard}"),
        None => "no URLs in the input".to_owned(),
    }
}

/// The exit code of a run of this plan: with `--exit-zero`, failed URLs are no failure of the program.
fn exit_of_run(exit: Exit, plan: &Plan) -> Exit {
    match (exit, plan.failed_exit) {
        (Exit::SomeFailed, FailedExit::Zero) => Exit::Ok,
        (exit, _) => exit,
    }
}

/// The error about a source that cannot be opened, with the command that was meant, if the name is similar to one.
fn open_error(error: OpenError) -> anyhow::Error {
    match &error {
        OpenError::Missing { name } => match cli::similar_command(name) {
            Some(command) => anyhow!("{name}: no such file; did you mean '{command}'?"),
            None => error.into(),
        },
        _ => error.into(),
    }
}

/// The maximum number of bytes that options may take from standard input.
const MAX_INPUT_BYTES: u64 = 4 << 20;

/// Reads options from standard input, to its end.
///
/// # Errors
/// Those of the system, or if it is too long.
pub fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stdin().take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_INPUT_BYTES {
        true => Err(io::Error::other("larger than 4 MiB")),
        false => Ok(bytes),
    }
}

/// Asks a question on the terminal, and reads an answer that is not shown.
///
/// # Errors
/// If there is no terminal; [`ErrorKind::Interrupted`] on Ctrl-C.
pub fn ask(question: &str) -> io::Result<String> {
    streams::ask_on_terminal(question)
}

/// Prints an error that ends the program. That standard error cannot be written is no reason to fail.
fn print_error(error: &dyn Display) {
    print_line("error", &format!("{error:#}"));
}

/// Prints something that the user should look at, but that stops nothing.
pub fn print_warning(text: &str) {
    print_line("warning", text);
}

/// Prints what the user may want to know or do next.
fn print_note(text: &str) {
    print_line("note", text);
}

fn print_line(level: &str, text: &str) {
    let choice = COLOR.get().copied().unwrap_or(ColorChoice::Auto);
    let (on, off) = match (colours(choice, stderr().is_terminal()), level) {
        (false, _) => ("", ""),
        (true, "error") => ("\u{1b}[1;31m", "\u{1b}[0m"),
        (true, "warning") => ("\u{1b}[1;33m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[1m", "\u{1b}[0m"),
    };
    let text = without_os_codes(&redacted_text(text));
    // In one write, so that lines of several threads and processes are not mixed.
    let _ = stderr().write_all(format!("{on}{level}:{off} {text}\n").as_bytes());
}

//! What can be typed, and its translation to a plan. Validates, does nothing: opens no file, makes no request. The
//! only room that knows the argument parser.

mod arguments;
mod decision;
mod numbers;
mod pins;
mod proxy;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use crate::plan::Plan;
use crate::serve;
use arguments::{Arguments, Subcommands};

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// Fetch what is listed.
    Fetch(Box<Plan>),
    /// Run the local origin.
    Serve(serve::Options),
    /// Print a completion script.
    Completions(Completions),
}

/// The completion script of one shell.
#[derive(Debug)]
pub struct Completions(Shell);

impl Completions {
    /// Writes the script.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        // The generator panics where it cannot write, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(self.0, &mut Arguments::command(), "fetch", &mut script);
        out.write_all(&script)
    }
}

/// A text to print instead of doing anything: help that was asked for, or what is wrong with the words typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The text, its last newline included.
    pub text: String,
    /// Where it goes.
    pub to: Stream,
    /// The exit code: 0 for help, 2 for a mistake.
    pub code: u8,
}

/// One of the two streams that a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<clap::Error> for Usage {
    fn from(error: clap::Error) -> Self {
        let (to, code) = if error.use_stderr() { (Stream::Stderr, 2) } else { (Stream::Stdout, 0) };
        Self { text: error.render().to_string(), to, code }
    }
}

/// Reads the words of a command line, the program's name first.
///
/// # Errors
/// The text to print instead, help and version included.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    stdin_is_terminal: bool,
) -> Result<Command, Usage> {
    let Arguments { subcommand, fetch } = Arguments::try_parse_from(words)?;
    match subcommand {
        Some(Subcommands::Serve(serve)) => Ok(Command::Serve(decision::origin(serve))),
        Some(Subcommands::Completions { shell }) => Ok(Command::Completions(Completions(shell))),
        None => decision::plan(fetch, stdin_is_terminal)
            .map(|plan| Command::Fetch(Box::new(plan)))
            .map_err(|complaint| mistake(complaint).into()),
    }
}

fn mistake(complaint: String) -> clap::Error {
    Arguments::command().error(ErrorKind::ValueValidation, complaint)
}

#[cfg(test)]
mod tests;

//! `fetch help`: shows a page of the manual, on a terminal through a pager.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::{Command, Stdio};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::HelpPage;
use crate::streams::stdout;

/// Exit codes of a shell that cannot run a command (POSIX, 2.8.2).
const NOT_RUN: [i32; 2] = [126, 127];

/// Prints `page`. A page for people goes through a pager if standard output is a terminal.
///
/// # Errors
/// Those of writing it: `BrokenPipe` if the reader has closed the pipe.
pub(super) fn show(page: &HelpPage) -> io::Result<()> {
    match page {
        HelpPage::Text(text) if stdout().is_terminal() => show_in_pager(text, env::var_os("PAGER")),
        HelpPage::Text(text) | HelpPage::ManPage(text) => print(text),
    }
}

fn print(text: &str) -> io::Result<()> {
    stdout().write_all(text.as_bytes())
}

/// Shows a text through the pager that the `PAGER` variable names. If that cannot be run, the text is printed.
fn show_in_pager(text: &str, variable: Option<OsString>) -> io::Result<()> {
    let Some(mut pager) = pager_command(variable) else { return print(text) };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    // Ctrl-C is for the pager. If it ended this process, the shell and the pager would both read the terminal.
    let _interrupts = signal(SignalKind::interrupt())?;
    let mut pager = match pager.stdin(Stdio::piped()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return print(text),
        pager => pager?,
    };
    let written = pager.stdin.take().expect("it is piped").write_all(text.as_bytes());
    let ended = pager.wait()?;
    if ended.code().is_some_and(|code| NOT_RUN.contains(&code)) {
        return print(text);
    }
    written
}

/// The command of the pager: the value of the variable, `less` if it is not set, none if it is empty.
fn pager_command(variable: Option<OsString>) -> Option<Command> {
    let Some(command) = variable else {
        let mut less = Command::new("less");
        // Quit if it fits on one screen, pass colors through, leave the text on the screen.
        less.arg("-FRX");
        return Some(less);
    };
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(&command);
    (!command.is_empty()).then_some(shell)
}

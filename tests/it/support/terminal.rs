//! A run on a terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::processes::send;
use super::program;
use nix::sys::signal::Signal;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A pseudoterminal with this number of columns: the end of the test, and the end for a program. No other program inherits
/// them, so that reading fails once the program has closed its end.
pub fn pseudoterminal(columns: u16) -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let own = openpt(flags).unwrap();
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let path = ptsname(&own, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program_end =
        rustix::fs::open(OsStr::from_bytes(path.as_bytes()), flags, Mode::empty()).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&own, size).unwrap();
    (own.into(), program_end)
}

/// Reads all that is shown on a terminal, until no program has it open: then reading fails.
pub fn shown_on(mut terminal: File) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut shown = Vec::new();
        let _ = terminal.read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    })
}

/// A program whose standard output and standard error are one terminal.
pub struct Terminal {
    child: Child,
    shown: Arc<(Mutex<Shown>, Condvar)>,
}

/// What the terminal has received.
#[derive(Default)]
struct Shown {
    text: String,
    /// Whether no process has the terminal open.
    is_closed: bool,
}

impl Terminal {
    /// Starts `fetch` with these words on a terminal with this number of columns.
    pub fn of_fetch<'a>(columns: u16, words: impl IntoIterator<Item = &'a str>) -> Self {
        let (terminal, end) = pseudoterminal(columns);
        let mut command = program();
        command.args(words).arg("--no-config").env("TERM", "xterm");
        command.stdin(Stdio::null()).stdout(end.try_clone().unwrap()).stderr(end);
        let child = command.spawn().unwrap();
        // The command holds the other end of the terminal.
        drop(command);
        let shown = Arc::<(Mutex<Shown>, Condvar)>::default();
        let seen = Arc::clone(&shown);
        thread::spawn(move || watch(terminal, &seen));
        Self { child, shown }
    }

    /// Waits until this text has been shown; colours are ignored.
    pub fn wait_for(&self, text: &str) {
        let (shown, changed) = &*self.shown;
        let shown = shown.lock().unwrap();
        let is_missing =
            |shown: &mut Shown| !shown.is_closed && !without_colours(&shown.text).contains(text);
        let patience = Duration::from_secs(120);
        let (shown, _) = changed.wait_timeout_while(shown, patience, is_missing).unwrap();
        let seen = without_colours(&shown.text);
        assert!(seen.contains(text), "no {text:?} in {seen:?}");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Waits for the end of the program. Returns all that was shown, and the exit code.
    pub fn seen(mut self) -> (String, Option<i32>) {
        let code = self.child.wait().unwrap().code();
        let (shown, changed) = &*self.shown;
        let shown = changed.wait_while(shown.lock().unwrap(), |shown| !shown.is_closed).unwrap();
        (shown.text.clone(), code)
    }
}

/// Collects what is shown, until no program has the terminal open: then reading fails.
fn watch(mut terminal: File, shown: &(Mutex<Shown>, Condvar)) {
    let (mut pending, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = terminal.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..length]);
        // The last character may not have arrived as a whole.
        let complete = match std::str::from_utf8(&pending) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text: Vec<u8> = pending.drain(..complete).collect();
        shown.0.lock().unwrap().text.push_str(std::str::from_utf8(&text).unwrap());
        shown.1.notify_all();
    }
    shown.0.lock().unwrap().is_closed = true;
    shown.1.notify_all();
}

/// The text without the sequences that set colours.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.split_once('m') {
            Some((code, rest))
                if code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') =>
            {
                plain.push_str(rest);
            }
            _ => plain.extend(["\u{1b}[", piece]),
        }
    }
    plain
}

//! The standard streams of the process, as the commands use them. A stream that is non-blocking, because another
//! process has made it so, is waited for. What cannot be written to stderr is dropped: it is no reason to fail.
//!
//! Nobody may be reading stdout or stderr. Once the run is to end ([`end_by`]), writing to a stream that takes nothing
//! is given up.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

/// Bytes that a pipe or a socket takes without blocking if it is writable at all (`PIPE_BUF` of Linux).
const PIECE: usize = 4096;

/// How often a wait looks whether it is to be given up.
const TICK: Duration = Duration::from_millis(100);

/// How long a stream must have taken nothing when it is given up.
const SILENCE: Duration = Duration::from_secs(1);

/// From when on a stream that takes nothing is given up; unset while the run goes on.
static ENDS: OnceLock<Instant> = OnceLock::new();

/// From this moment on, writing to a stream that takes nothing is given up. The first call counts.
pub(crate) fn end_by(moment: Instant) {
    let _ = ENDS.set(moment);
}

/// Standard input.
pub(crate) fn stdin() -> Stdin {
    Stdin
}

/// Waits until standard input, a pipe, is closed at its other end. What comes over the pipe wakes nobody.
pub(crate) fn wait_until_stdin_is_closed() {
    // A hang-up is always reported.
    while wait(io::stdin().as_fd(), PollFlags::empty(), None).is_ok_and(|closed| !closed) {}
}

/// Standard output. It has no buffer.
pub(crate) fn stdout() -> Stdout {
    Stdout
}

/// Standard error. Writing to it always succeeds.
pub(crate) fn stderr() -> Stderr {
    Stderr
}

/// See [`stdin`].
#[derive(Debug)]
pub(crate) struct Stdin;

/// See [`stdout`].
#[derive(Debug)]
pub(crate) struct Stdout;

/// See [`stderr`].
#[derive(Debug)]
pub(crate) struct Stderr;

impl Read for Stdin {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let stream = io::stdin();
        loop {
            match rustix::io::read(stream.as_fd(), &mut *into) {
                Err(Errno::AGAIN) => {
                    wait(stream.as_fd(), PollFlags::IN, None)?;
                }
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        static GIVEN_UP: AtomicBool = AtomicBool::new(false);
        write(io::stdout().as_fd(), bytes, &GIVEN_UP)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        static GIVEN_UP: AtomicBool = AtomicBool::new(false);
        // The part that was not written is dropped as well.
        Ok(write(io::stderr().as_fd(), bytes, &GIVEN_UP).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stdout {
    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

impl Stderr {
    /// Whether it is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}

/// The maximum length of an answer that is typed on a terminal, bytes.
const LONGEST_ANSWER: usize = 4096;

/// Asks a question on the terminal of the process, whatever its standard streams are, and reads an answer that is not
/// shown.
///
/// # Errors
/// If there is no terminal, or its input ends; [`ErrorKind::Interrupted`] on Ctrl-C.
pub(crate) fn ask_on_terminal(question: &str) -> io::Result<String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| io::Error::other("there is no terminal"))?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // Ctrl-C is read as a byte, since a process that it ended would leave the terminal as it is.
    silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    // First, because what was typed before is thrown away.
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let answer = terminal.write_all(question.as_bytes()).and_then(|()| read_answer(&terminal));
    tcsetattr(&terminal, OptionalActions::Drain, &before)?;
    terminal.write_all(b"\n")?;
    answer
}

/// Reads an answer as it is typed, key by key. Ctrl-D ends it like Enter, unless nothing was typed.
fn read_answer(mut keys: impl Read) -> io::Result<String> {
    let (mut answer, mut key) = (Vec::new(), [0]);
    loop {
        keys.read_exact(&mut key)?;
        match key[0] {
            b'\r' | b'\n' => break,
            0x03 => return Err(ErrorKind::Interrupted.into()),
            0x04 if answer.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
            0x04 => break,
            0x08 | 0x7f => {
                // A character may have several bytes.
                while answer.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            0x15 => answer.clear(),
            key if key < b' ' => {}
            _ if answer.len() >= LONGEST_ANSWER => return Err(ErrorKind::FileTooLarge.into()),
            key => answer.push(key),
        }
    }
    String::from_utf8(answer).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

/// Whether standard output and standard error are one file, pipe or terminal.
pub(crate) fn stdout_is_stderr() -> bool {
    let identity = |stream: BorrowedFd<'_>| {
        let file = fstat(stream).ok()?;
        Some((file.st_dev, file.st_ino, file.st_rdev))
    };
    let stdout = identity(io::stdout().as_fd());
    stdout.is_some() && stdout == identity(io::stderr().as_fd())
}

/// Writes bytes, or the first of them. A reader that has gone, has hung up or is given up is a broken pipe; `given_up`
/// remembers that.
fn write(stream: BorrowedFd<'_>, bytes: &[u8], given_up: &AtomicBool) -> io::Result<usize> {
    let kind = FileType::from_raw_mode(fstat(stream)?.st_mode);
    let may_block = matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice);
    let piece = if may_block { whole_lines(bytes) } else { bytes };
    loop {
        if may_block {
            wait_until_it_takes(stream, given_up)?;
        }
        match rustix::io::write(stream, piece) {
            Err(Errno::AGAIN) => wait_until_it_takes(stream, given_up)?,
            Err(Errno::INTR) => {}
            // A terminal that has hung up.
            Err(Errno::IO) if kind == FileType::CharacterDevice => {
                return Err(ErrorKind::BrokenPipe.into());
            }
            written => return Ok(written?),
        }
    }
}

/// The lines at the beginning that a pipe takes at once; if the first one is longer, its beginning.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let Some(piece) = bytes.get(..PIECE) else { return bytes };
    match piece.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => &piece[..=newline],
        None => piece,
    }
}

fn wait_until_it_takes(stream: BorrowedFd<'_>, given_up: &AtomicBool) -> io::Result<()> {
    let begun = Instant::now();
    while !wait(stream, PollFlags::OUT, Some(TICK))? {
        let is_silent = given_up.load(Relaxed) || begun.elapsed() >= SILENCE;
        if is_silent && ENDS.get().is_some_and(|end| *end <= Instant::now()) {
            given_up.store(true, Relaxed);
            return Err(ErrorKind::BrokenPipe.into());
        }
    }
    Ok(())
}

/// Waits until the stream is ready, or has an error to report; `false` if it is not within `most`.
fn wait(stream: BorrowedFd<'_>, event: PollFlags, most: Option<Duration>) -> io::Result<bool> {
    let most = most.and_then(|most| Timespec::try_from(most).ok());
    match poll(&mut [PollFd::from_borrowed_fd(stream, event)], most.as_ref()) {
        Err(Errno::INTR) => Ok(false),
        ready => Ok(ready? > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_given_whole_lines_of_at_most_a_piece() {
        assert_eq!(whole_lines(b"one\ntwo"), b"one\ntwo");
        let lines = [&[b'a'; 3000][..], b"\n", &[b'b'; 3000], b"\n"].concat();
        assert_eq!(whole_lines(&lines).len(), 3001);
        assert_eq!(whole_lines(&[b'a'; 10_000]).len(), PIECE);
    }
    #[test]
    fn an_answer_is_typed_key_by_key() {
        let answer = |keys: &[u8]| read_answer(keys);
        assert_eq!(answer(b"secret\n").unwrap(), "secret");
        assert_eq!(answer("gr\u{fc}\u{7f}\u{fc}n x\r".as_bytes()).unwrap(), "gr\u{fc}n x");
        assert_eq!(answer(b"\x7f\x08ab\x15cd\x1b\n").unwrap(), "cd");
        assert_eq!(answer(b"\n").unwrap(), "");
        assert_eq!(answer(b"ab\x04").unwrap(), "ab");
        assert_eq!(answer(b"a\x7f\x04").unwrap_err().kind(), ErrorKind::UnexpectedEof);
        for (keys, kind) in [
            (&b"a\x03"[..], ErrorKind::Interrupted),
            (b"\x04", ErrorKind::UnexpectedEof),
            (b"abc", ErrorKind::UnexpectedEof),
            (b"\xff\n", ErrorKind::InvalidData),
            (&[b'a'; 5000], ErrorKind::FileTooLarge),
        ] {
            assert_eq!(answer(keys).unwrap_err().kind(), kind);
        }
    }
}

//! The standard streams of the process, as the commands use them. If another process has made a stream non-blocking, reads
//! and writes wait until it is ready. Output to stderr that cannot be written is dropped, because it is no reason to fail.
//!
//! The reader of stdout or stderr may have stopped reading. From the time set by [`end_by`] on, writing to a stream that
//! accepts no bytes is given up.

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

/// The number of bytes that a writable pipe or socket accepts without blocking (`PIPE_BUF` of Linux).
const MAX_WRITE_BYTES: usize = 4096;

/// The interval at which a wait checks whether to give up.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a stream must have accepted no bytes before it is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time from which stalled streams are given up; unset while the run goes on.
static GIVE_UP_FROM: OnceLock<Instant> = OnceLock::new();

/// Sets the time from which writing to a stream that accepts no bytes is given up. Only the first call has an effect.
pub(crate) fn end_by(moment: Instant) {
    let _ = GIVE_UP_FROM.set(moment);
}

/// Standard input.
pub(crate) fn stdin() -> Stdin {
    Stdin
}

/// Waits until standard input, a pipe, is closed at its other end. Data in the pipe does not end the wait.
pub(crate) fn wait_until_stdin_is_closed() {
    // `poll` reports a hang-up even if no event is requested.
    while wait(io::stdin().as_fd(), PollFlags::empty(), None).is_ok_and(|closed| !closed) {}
}

/// Standard output, unbuffered.
pub(crate) fn stdout() -> Stdout {
    Stdout
}

/// Standard error. Writing to it always succeeds.
pub(crate) fn stderr() -> Stderr {
    Stderr
}

/// Standard input; see [`stdin`].
#[derive(Debug)]
pub(crate) struct Stdin;

/// Standard output; see [`stdout`].
#[derive(Debug)]
pub(crate) struct Stdout;

/// Standard error; see [`stderr`].
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
        // If the write fails, the bytes are dropped.
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

/// The maximum length of an answer that is typed on a terminal, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;

/// Asks a question on the controlling terminal of the process, independent of its standard streams, and reads an answer
/// without echo.
///
/// # Errors
/// If there is no terminal, or its input ends; [`ErrorKind::Interrupted`] on Ctrl-C.
pub(crate) fn ask_on_terminal(question: &str) -> io::Result<String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| io::Error::other("there is no terminal"))?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // Ctrl-C is read as a byte: as a signal it could end the process before the terminal is restored.
    silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Before the question is written, because this discards what was typed earlier.
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
            _ if answer.len() >= MAX_ANSWER_BYTES => return Err(ErrorKind::FileTooLarge.into()),
            key => answer.push(key),
        }
    }
    String::from_utf8(answer).map_err(|_| io::Error::new(ErrorKind::InvalidData, "not UTF-8"))
}

/// Whether standard output and standard error are the same file, pipe or terminal.
pub(crate) fn stdout_is_stderr() -> bool {
    let identity = |stream: BorrowedFd<'_>| {
        let file = fstat(stream).ok()?;
        Some((file.st_dev, file.st_ino, file.st_rdev))
    };
    let stdout = identity(io::stdout().as_fd());
    stdout.is_some() && stdout == identity(io::stderr().as_fd())
}

/// Writes bytes, or only the first of them, and returns their number. Fails with a broken pipe if the reader has closed the
/// stream or hung up, or the stream is given up, which sets `given_up`.
fn write(stream: BorrowedFd<'_>, bytes: &[u8], given_up: &AtomicBool) -> io::Result<usize> {
    let kind = FileType::from_raw_mode(fstat(stream)?.st_mode);
    let may_block = matches!(kind, FileType::Fifo | FileType::Socket | FileType::CharacterDevice);
    let piece = if may_block { whole_lines(bytes) } else { bytes };
    loop {
        if may_block {
            wait_until_writable(stream, given_up)?;
        }
        match rustix::io::write(stream, piece) {
            Err(Errno::AGAIN) => wait_until_writable(stream, given_up)?,
            Err(Errno::INTR) => {}
            // A terminal that has hung up.
            Err(Errno::IO) if kind == FileType::CharacterDevice => {
                return Err(ErrorKind::BrokenPipe.into());
            }
            written => return Ok(written?),
        }
    }
}

/// The first complete lines that fit into one write to a pipe; if the first line does not fit, its beginning.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let Some(piece) = bytes.get(..MAX_WRITE_BYTES) else { return bytes };
    match piece.iter().rposition(|byte| *byte == b'\n') {
        Some(newline) => &piece[..=newline],
        None => piece,
    }
}

/// Waits until the stream is writable, or gives it up.
fn wait_until_writable(stream: BorrowedFd<'_>, given_up: &AtomicBool) -> io::Result<()> {
    let begun = Instant::now();
    while !wait(stream, PollFlags::OUT, Some(CHECK_INTERVAL))? {
        let is_stalled = given_up.load(Relaxed) || begun.elapsed() >= STALL_TIMEOUT;
        if is_stalled && GIVE_UP_FROM.get().is_some_and(|end| *end <= Instant::now()) {
            given_up.store(true, Relaxed);
            return Err(ErrorKind::BrokenPipe.into());
        }
    }
    Ok(())
}

/// Waits until the stream is ready or has an error to report; `false` after the timeout or an interruption.
fn wait(stream: BorrowedFd<'_>, event: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut [PollFd::from_borrowed_fd(stream, event)], timeout.as_ref()) {
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
        assert_eq!(whole_lines(&[b'a'; 10_000]).len(), MAX_WRITE_BYTES);
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

//! The lesson: what is compared if nothing is named. Its pages come from the local origin, in a process of its own,
//! so that serving them costs no sample anything.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// The sizes of its 15 pages, in bytes.
const PAGES: [u64; 15] = [
    189_658, 195_629, 242_087, 335_213, 143_121, 170_746, 194_867, 160_215, 344_283, 431_421,
    327_230, 491_525, 183_878, 62_420, 322_886,
];

/// How long each of them takes to begin.
const LATENCY: &str = "100ms";

/// What it is, in words.
pub(super) const SUBJECT: &str = "the lesson: 15 pages from a local origin, 100 ms of latency";

/// Transfers at a time, if nothing else is said.
pub(super) const JOBS: usize = 5;

/// The origin, as long as this value lives. It leaves when its standard input ends, so not even a parent that is
/// killed leaves it behind.
pub(super) struct BuiltinWorkload {
    origin: Child,
    base: String,
}

impl BuiltinWorkload {
    /// Starts the origin.
    ///
    /// # Errors
    /// If it does not come to listen.
    pub(super) fn start(program: &Path) -> anyhow::Result<Self> {
        let mut origin = Command::new(program)
            .args(["serve", "--port", "0", "--latency", LATENCY, "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the local origin")?;
        let stdout = origin.stdout.take().expect("it is piped");
        let mut lesson = Self { origin, base: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("the local origin says nothing")?;
        match line.trim_end().strip_prefix("Listening on ") {
            Some(base) => lesson.base = base.to_owned(),
            None => bail!("the local origin does not come to listen"),
        }
        Ok(lesson)
    }

    /// Its pages as words of a command line.
    pub(super) fn words(&self) -> impl Iterator<Item = OsString> {
        PAGES.iter().map(|bytes| format!("{}/bytes/{bytes}", self.base).into())
    }
}

impl Drop for BuiltinWorkload {
    fn drop(&mut self) {
        let _ = self.origin.kill();
        let _ = self.origin.wait();
    }
}

//! The built-in workload: 15 pages from a local server. The server is a process of its own, so that its CPU time is not
//! part of a sample.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use crate::temporary_file;

/// Sizes of the pages, in bytes.
const PAGES: [u64; 15] = [
    189_658, 195_629, 242_087, 335_213, 143_121, 170_746, 194_867, 160_215, 344_283, 431_421,
    327_230, 491_525, 183_878, 62_420, 322_886,
];

/// Latency of each page.
const LATENCY: &str = "100ms";

/// The name of the workload in saved comparisons.
pub(super) const SUBJECT: &str = "the lesson: 15 pages from a local origin, 100 ms of latency";

/// Default number of jobs.
pub(super) const JOBS: usize = 5;

/// The running server. It exits when its standard input ends, so that it ends even if this process is killed.
pub(super) struct BuiltinWorkload {
    origin: Child,
    base: String,
}

impl BuiltinWorkload {
    /// Starts the server.
    ///
    /// # Errors
    /// If it does not start to listen.
    pub(super) fn start(program: &Path) -> anyhow::Result<Self> {
        let mut origin = Command::new(program)
            .args(["serve", "--port", "0", "--latency", LATENCY, "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the local server")?;
        let stdout = origin.stdout.take().expect("it is piped");
        let mut workload = Self { origin, base: String::new() };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("the local server failed to start")?;
        match line.trim_end().strip_prefix("Listening on ") {
            Some(base) => workload.base = base.to_owned(),
            None => bail!("the local server failed to start"),
        }
        Ok(workload)
    }

    /// The URLs of its pages, as command-line arguments.
    pub(super) fn arguments(&self) -> impl Iterator<Item = OsString> {
        self.urls().map(OsString::from)
    }

    /// Writes the URLs of its pages to a file, one per line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn url_list(&self) -> anyhow::Result<NamedTempFile> {
        let mut file = temporary_file::named("fetch-urls-")?;
        file.write_all((self.urls().collect::<Vec<_>>().join("\n") + "\n").as_bytes())
            .context("cannot write a temporary file")?;
        Ok(file)
    }

    /// The process ID of the server.
    pub(super) fn process(&self) -> u32 {
        self.origin.id()
    }

    fn urls(&self) -> impl Iterator<Item = String> {
        PAGES.iter().map(|bytes| format!("{}/bytes/{bytes}", self.base))
    }
}

impl Drop for BuiltinWorkload {
    fn drop(&mut self) {
        let _ = self.origin.kill();
        let _ = self.origin.wait();
    }
}

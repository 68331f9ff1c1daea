//! `fetch verify`: compares everything that the manifest of a directory or of archives lists with its entry, and lists files
//! that it does not list. What is missing or changed is marked in the manifest, unless `--no-mark` is given, so that the next
//! run fetches it again. Sends no request. Memory holds the compact index of names and a bounded number of files.

mod row;

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{CommandError, conclude, print_warning};
use crate::exit::{Exit, ExitStatus};
use crate::plan::{MarkMode, OutputFormat, Verbosity, VerifyOptions};
use crate::report::printable;
use crate::store::{FileEntry, ManifestEntry, OpenMode, SavedBodies, SavedFolderError};
use crate::streams::stdout;
pub use row::Totals;
use row::{VerifiedFile, VerifiedState};

/// Files that may be compared before the one that is printed next.
const AHEAD: usize = 1024;

/// Why a directory could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such directory, it has no manifest, or another run is using it.
    #[error(transparent)]
    NothingSaved(SavedFolderError),
    /// The directory cannot be used.
    #[error(transparent)]
    Unusable(SavedFolderError),
    /// The manifest or the directory cannot be read.
    #[error("cannot read the saved files: {0}")]
    Unreadable(io::Error),
    /// The manifest cannot be written.
    #[error("cannot update the manifest: {0}")]
    ManifestUpdate(io::Error),
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    ThreadStart(io::Error),
    /// The report cannot be written.
    #[error("cannot write output: {0}")]
    Output(io::Error),
}

impl From<SavedFolderError> for VerifyError {
    fn from(error: SavedFolderError) -> Self {
        match error {
            SavedFolderError::Unusable { ref reason, .. } => match reason.kind() {
                io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => {
                    Self::NothingSaved(error)
                }
                _ => Self::Unusable(error),
            },
            SavedFolderError::Objects(ref reason) if !reason.is_usage() => Self::Unusable(error),
            _ => Self::NothingSaved(error),
        }
    }
}

impl ExitStatus for Totals {
    fn exit(&self) -> Exit {
        match self {
            _ if self.unreadable > 0 => Exit::Fatal,
            _ if self.missing + self.changed > 0 => Exit::SomeFailed,
            _ => Exit::Ok,
        }
    }
}

impl ExitStatus for VerifyError {
    fn exit(&self) -> Exit {
        match self {
            Self::NothingSaved(_) => Exit::Usage,
            // Files are left that were not compared.
            Self::Output(error) if error.exit() == Exit::Ok => Exit::Unfinished,
            Self::Unusable(_)
            | Self::Unreadable(_)
            | Self::ManifestUpdate(_)
            | Self::ThreadStart(_)
            | Self::Output(_) => Exit::Fatal,
        }
    }
}

impl CommandError for VerifyError {
    fn output_error(&self) -> Option<&io::Error> {
        match self {
            Self::Output(error) => Some(error),
            Self::NothingSaved(_)
            | Self::Unusable(_)
            | Self::Unreadable(_)
            | Self::ManifestUpdate(_)
            | Self::ThreadStart(_) => None,
        }
    }
}

pub(super) fn execute(options: &VerifyOptions) -> Exit {
    let mut out = BufWriter::new(stdout());
    let result = verify(options, &mut out, print_warning);
    // Drops what the buffer still holds: writing has failed, and is not to be tried again.
    let _ = out.into_parts();
    conclude(&result)
}

/// Verifies a directory and prints the result to `out`: its files in the order of the manifest, then extra files in the
/// order of names. `notice` prints warnings. A file that cannot be read does not end the verification.
///
/// # Errors
/// If the verification cannot continue; what was found before is printed.
pub fn verify(
    options: &VerifyOptions,
    out: &mut impl Write,
    mut notice: impl FnMut(&str),
) -> Result<Totals, VerifyError> {
    let purpose = match options.marking {
        MarkMode::On => OpenMode::Repair,
        MarkMode::Off => OpenMode::Look,
    };
    let saved = SavedBodies::open(&options.dir, purpose, |text| notice(&printable(text)))?;
    let totals = Totals { bad_lines: saved.bad_lines(), ..Totals::default() };
    let mut report =
        VerifyReport { options, saved: &saved, out, totals, awaiting_rename: HashSet::new() };
    report.listed()?;
    report.extras(notice)?;
    report.saved.finish().map_err(VerifyError::ManifestUpdate)?;
    report.conclude().map_err(VerifyError::Output)?;
    Ok(report.totals)
}

struct VerifyReport<'a, W> {
    options: &'a VerifyOptions,
    saved: &'a SavedBodies,
    out: &'a mut W,
    totals: Totals,
    /// Temporary names of complete files, which the next run renames.
    awaiting_rename: HashSet<String>,
}

/// A file name, its entry, and the channel for the result.
type FileTask = (String, Option<ManifestEntry<'static>>, SyncSender<VerifiedFile>);

impl<W: Write> VerifyReport<'_, W> {
    /// Verifies the files of the manifest: one thread reads it, several compare files, this one prints. The results are
    /// printed in the order of the manifest, since their channels arrive in that order.
    fn listed(&mut self) -> Result<(), VerifyError> {
        let (saved, jobs) = (self.saved, self.options.jobs());
        thread::scope(|scope| {
            let (tasks, queue) = sync_channel(jobs);
            let (pending_rows, rows) = sync_channel(AHEAD);
            let queue = Arc::new(Mutex::new(queue));
            for _ in 0..jobs {
                let queue = Arc::clone(&queue);
                let compare = move || compare(saved, &queue);
                let started = thread::Builder::new().spawn_scoped(scope, compare);
                started.map_err(VerifyError::ThreadStart)?;
            }
            drop(queue);
            let read = move || read(saved, &tasks, &pending_rows);
            let reader = thread::Builder::new().spawn_scoped(scope, read);
            let reader = reader.map_err(VerifyError::ThreadStart)?;
            // On an error the receiver is dropped: the other threads can send nothing more, and end.
            self.rows(rows)?;
            reader.join().expect("it does not panic").map_err(VerifyError::Unreadable)
        })
    }

    fn rows(&mut self, rows: Receiver<Receiver<VerifiedFile>>) -> Result<(), VerifyError> {
        while let Some(row) = self.next(&rows).map_err(VerifyError::Output)? {
            let row = self.next(&row).map_err(VerifyError::Output)?;
            self.mark_and_print(row.expect("every entry has a row"))?;
        }
        Ok(())
    }

    /// The next item; while there is none, the output is flushed.
    fn next<T>(&mut self, from: &Receiver<T>) -> io::Result<Option<T>> {
        match from.try_recv() {
            Ok(next) => Ok(Some(next)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.out.flush()?;
                Ok(from.recv().ok())
            }
        }
    }

    fn mark_and_print(&mut self, row: VerifiedFile) -> Result<(), VerifyError> {
        if let (Some(mark), MarkMode::On) = (row.mark, self.options.marking) {
            self.saved.mark(&row.path, mark).map_err(VerifyError::ManifestUpdate)?;
            self.totals.marked += 1;
        }
        self.awaiting_rename.extend(row.under.clone());
        self.print(&row).map_err(VerifyError::Output)
    }

    fn extras(&mut self, mut notice: impl FnMut(&str)) -> Result<(), VerifyError> {
        for listed in self.saved.extras().map_err(VerifyError::Unreadable)? {
            match listed {
                Ok(FileEntry { name, .. }) if self.awaiting_rename.contains(&name) => {}
                Ok(FileEntry { name, bytes }) => {
                    self.print(&VerifiedFile::extra(name, bytes)).map_err(VerifyError::Output)?;
                }
                Err(error) => {
                    self.totals.unreadable += 1;
                    notice(&printable(&format!("{}: {error}", self.options.dir.display())));
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, row: &VerifiedFile) -> io::Result<()> {
        self.totals.add(row);
        match (self.options.form, self.options.verbosity) {
            (OutputFormat::Jsonl, _) => row.as_json(self.out),
            (_, Verbosity::Verbose | Verbosity::Trace) => row.as_text(self.out),
            (_, Verbosity::Normal) if row.state != VerifiedState::Ok => row.as_text(self.out),
            (_, Verbosity::Quiet) if row.state.is_failure() => row.as_text(self.out),
            _ => Ok(()),
        }
    }

    fn conclude(&mut self) -> io::Result<()> {
        match (self.options.form, self.options.verbosity) {
            (OutputFormat::Jsonl, _) => self.totals.as_json(self.out)?,
            (_, Verbosity::Quiet) => {}
            _ => self.totals.as_text(self.out)?,
        }
        self.out.flush()
    }
}

impl VerifyOptions {
    fn jobs(&self) -> usize {
        let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(processors).get()
    }
}

/// Sends the entries of the manifest, until the receiver is gone.
fn read(
    saved: &SavedBodies,
    tasks: &SyncSender<FileTask>,
    pending_rows: &SyncSender<Receiver<VerifiedFile>>,
) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
    saved.each(|path, entry| {
        let (reply, row) = sync_channel(1);
        pending_rows.send(row).map_err(|_| gone())?;
        tasks.send((path.to_owned(), entry, reply)).map_err(|_| gone())
    })
}

/// Compares files, until the queue is closed.
fn compare(saved: &SavedBodies, queue: &Mutex<Receiver<FileTask>>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok((path, entry, reply)) = next() {
        // The report may have ended.
        let _ = reply.send(VerifiedFile::of(saved, path, entry));
    }
}

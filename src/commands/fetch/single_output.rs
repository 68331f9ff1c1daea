//! `--output`: the body of the one URL, as a file of any name or on standard output.
//!
//! The body is saved as with `--dir`, in a directory of its own, and moved to its place when it is complete and verified.
//! The directory of a file stays beside it while the body is incomplete, so that the same command continues it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::model::{Failure, Outcome, Record, RecordError, StopCause};
use crate::plan::{
    ExistingPolicy, ForeignFilePolicy, NameSource, NamingScheme, Plan, SaveOptions, SingleOutput,
};
use crate::report::{OutputKind, ensure_replaceable, written_path};
use crate::streams::{stderr, stdout};
use crate::text::io_message;

/// Where the body is saved until it is complete, and where it goes then.
#[derive(Debug)]
pub(super) struct PendingOutput {
    to: Place,
    folder: WorkFolder,
}

/// Where the body goes.
#[derive(Debug)]
enum Place {
    Stdout,
    /// A new file, or one that is replaced, by the name that was given.
    File(PathBuf),
    /// A pipe or a device.
    Special(PathBuf),
}

/// The directory that the body is saved in.
#[derive(Debug)]
enum WorkFolder {
    /// Beside the file.
    Beside(PathBuf),
    Temporary(TempDir),
}

impl WorkFolder {
    fn path(&self) -> &Path {
        match self {
            Self::Beside(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

/// Removes the directory, unless it has an incomplete body that the same command continues.
impl Drop for PendingOutput {
    fn drop(&mut self) {
        let WorkFolder::Beside(path) = &self.folder else { return };
        let is_partial = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        };
        if fs::read_dir(path).is_ok_and(|mut entries| !entries.any(is_partial)) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

impl PendingOutput {
    /// Makes the plan save the body, if it goes to a single output. `None` if it does not.
    ///
    /// # Errors
    /// `InvalidInput` if the output is an input of the run or a directory, else those of the file system.
    pub(super) fn prepare(plan: &mut Plan) -> io::Result<Option<Self>> {
        let Some(output) = plan.output.clone() else { return Ok(None) };
        let temporary = || {
            let folder = tempfile::Builder::new().prefix("fetch-").tempdir();
            folder.map(WorkFolder::Temporary)
        };
        let (to, folder) = match output.path.clone() {
            None => (Place::Stdout, temporary()?),
            Some(path) => match ensure_replaceable(&path, &plan.inputs())? {
                OutputKind::Special => (Place::Special(path), temporary()?),
                OutputKind::New | OutputKind::Replaced => {
                    let folder = WorkFolder::Beside(work_folder(&path));
                    (Place::File(path), folder)
                }
            },
        };
        plan.keep = Some(save_options(&output, folder.path()));
        Ok(Some(Self { to, folder }))
    }

    /// Moves the body of a record to its place, if it is complete. The record then has the name that was given; if the
    /// body cannot be moved, the record is a failure and the error is returned with it.
    pub(super) fn publish(&self, record: &Record) -> (Record, io::Result<()>) {
        let mut record = record.clone();
        if let (WorkFolder::Temporary(_), Some(error)) = (&self.folder, &mut record.error)
            && let Some(message) = error.without_part.take()
        {
            error.message = message;
        }
        let is_complete =
            matches!(record.outcome, Outcome::Ok | Outcome::Unchanged | Outcome::Skipped);
        let Some(saved) = record.path.take().filter(|_| is_complete) else {
            return (record, Ok(()));
        };
        let moved = self.move_to_place(&self.folder.path().join(saved));
        match &moved {
            Ok(()) => {
                record.outcome = Outcome::Ok;
                record.path = self.path().map(|path| path.display().to_string());
            }
            Err(error) => {
                record.outcome = Outcome::Failed;
                let failure = match error.kind() {
                    ErrorKind::BrokenPipe => Failure::Cancelled(StopCause::ReaderGone),
                    _ => Failure::Disk(io_message(error)),
                };
                record.error = Some(RecordError::from(&failure));
            }
        }
        (record, moved)
    }

    fn path(&self) -> Option<&Path> {
        match &self.to {
            Place::Stdout => None,
            Place::File(path) | Place::Special(path) => Some(path),
        }
    }

    fn move_to_place(&self, saved: &Path) -> io::Result<()> {
        let copy = |mut to: &mut dyn io::Write| io::copy(&mut File::open(saved)?, &mut to);
        let moved = match &self.to {
            Place::Stdout => copy(&mut stdout()).and_then(|_| end_line_of_terminal(saved)),
            Place::File(path) => fs::rename(saved, written_path(path)),
            Place::Special(path) => OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|mut file| copy(&mut file))
                .map(drop),
        };
        let place = self.path().map_or("standard output".into(), |path| path.to_string_lossy());
        moved.map_err(|error| match (&self.to, error.kind()) {
            (Place::Stdout, ErrorKind::BrokenPipe) => error,
            (_, kind) => {
                io::Error::new(kind, format!("cannot write {place}: {}", io_message(&error)))
            }
        })
    }
}

/// Ends the line of a terminal that a body was written to, so that the record begins on the next one.
fn end_line_of_terminal(body: &Path) -> io::Result<()> {
    if !stdout().is_terminal() || !stderr().is_terminal() {
        return Ok(());
    }
    let mut last = Vec::new();
    let mut body = File::open(body)?;
    let length = body.metadata()?.len();
    body.seek(SeekFrom::Start(length.saturating_sub(1)))?;
    body.read_to_end(&mut last)?;
    if matches!(last[..], [] | [b'\n']) { Ok(()) } else { stderr().write_all(b"\n") }
}

/// How a run would save the body; `None` if the body does not go to a regular file, because then no part of it is kept.
///
/// # Errors
/// `InvalidInput` if the output is an input of the run or a directory.
pub(crate) fn predicted_save_options(plan: &Plan) -> io::Result<Option<SaveOptions>> {
    let Some(output) = &plan.output else { return Ok(None) };
    let Some(path) = &output.path else { return Ok(None) };
    Ok(match ensure_replaceable(path, &plan.inputs())? {
        OutputKind::Special => None,
        OutputKind::New | OutputKind::Replaced => Some(save_options(output, &work_folder(path))),
    })
}

/// How a body is saved in this directory.
fn save_options(output: &SingleOutput, dir: &Path) -> SaveOptions {
    SaveOptions {
        dir: dir.to_owned(),
        names: NamingScheme::Flat,
        named_by: NameSource::List,
        // A body that a killed run has completed but not moved may be out of date.
        again: ExistingPolicy::Refresh,
        foreign: ForeignFilePolicy::Stays,
        durability: output.durability,
        min_free: output.min_free,
        patience: Duration::ZERO,
    }
}

/// The directory that the body of a file is saved in: hidden, beside the file.
fn work_folder(path: &Path) -> PathBuf {
    let path = written_path(path);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".fetch");
    path.with_file_name(name)
}

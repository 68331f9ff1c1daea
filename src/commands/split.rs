//! `fetch split`: splits a list into files, one for each shard.

mod shard_files;

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;

use super::{CommandError, conclude, fail_without_handlers, print_warning};
use crate::exit::{Exit, ExitStatus};
use crate::input::{OpenError, ReadError, open_sections};
use crate::model::Entry;
use crate::plan::{SplitCommand, shard_of};
use crate::redaction::redacted_name;
use crate::report::printable;
use crate::resource_usage::raise_fd_limit;
use crate::signals::exit_on_signals;
use crate::streams::stdout;
use crate::text::counted;
use crate::units::grouped;
use shard_files::{ShardFiles, ShardNames};

/// Descriptors for other files than those of the shards.
const OTHER_FILES: u64 = 32;

/// Why a list was not split.
#[derive(Debug, thiserror::Error)]
enum SplitError {
    /// What was asked for cannot be done: an unreadable list, existing files that are not replaced.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// A file cannot be written.
    #[error("{0:#}")]
    Fatal(anyhow::Error),
    /// Standard output cannot be written.
    #[error("cannot write output: {0}")]
    Unwritten(#[from] io::Error),
}

impl From<ReadError> for SplitError {
    fn from(error: ReadError) -> Self {
        Self::Usage(error.into())
    }
}

impl ExitStatus for SplitError {
    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Fatal(_) => Exit::Fatal,
            Self::Unwritten(error) => error.exit(),
        }
    }
}

impl CommandError for SplitError {
    fn output_error(&self) -> Option<&io::Error> {
        match self {
            Self::Unwritten(error) => Some(error),
            Self::Usage(_) | Self::Fatal(_) => None,
        }
    }
}

/// The files of a split, once there are any, until they are complete.
type SharedFiles = Mutex<Option<ShardFiles>>;

pub(super) fn execute(command: &SplitCommand) -> Exit {
    let files = Arc::new(SharedFiles::default());
    let own = Arc::clone(&files);
    if let Err(error) = exit_on_signals(move || discard(&own)) {
        return fail_without_handlers(&error);
    }
    let result = split(command, &files);
    // Deletes the files of a split that failed.
    drop(lock(&files).take());
    conclude(&result)
}

/// Deletes the files of a split that is not complete. Waits for a split that is renaming its files.
fn discard(files: &SharedFiles) {
    let mut files = lock(files);
    drop(files.take());
    // The mutex stays locked, so that no file is created before the process exits.
    mem::forget(files);
}

fn lock(files: &SharedFiles) -> MutexGuard<'_, Option<ShardFiles>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splits a list, and prints the numbers of entries.
fn split(command: &SplitCommand, files: &SharedFiles) -> Result<(), SplitError> {
    ensure_descriptors(command)?;
    let list = open_sections(&command.source, &command.lists);
    let mut list = list.map_err(|error| SplitError::Usage(open_error(error)))?;
    let mut names = Some(ShardNames::of(command, list.is_parquet()));
    let mut invalid = 0_u64;
    list.read(|section, coding| {
        let mut files = lock(files);
        let Some(files) = &mut *files else {
            let names = names.take().expect("the files are created once");
            *files = Some(ShardFiles::create(command, names, coding, section.text)?);
            return Ok(());
        };
        let Some(entry) = section.entry else { return Ok(()) };
        invalid += u64::from(matches!(entry, Entry::Invalid(_)));
        files.add(shard_of(entry, command.by, command.shards), section.text)
    })?;
    let (entries, least, most) = {
        // Locked until all files are renamed, so that a signal finds none or all of them renamed.
        let mut files = lock(files);
        let files = files.take().expect("what is before the first entry is a section");
        let counts = files.entries().fold((0, u64::MAX, 0), |(all, least, most), own| {
            (all + own, least.min(own), most.max(own))
        });
        files.finish()?;
        counts
    };
    if entries == 0 {
        print_warning("no URLs in the input");
    }
    let mut text = format!("Split {} entries", grouped(entries));
    if invalid > 0 {
        text += &format!(" ({} invalid)", grouped(invalid));
    }
    let files = counted(command.shards.get().into(), "file");
    let dir = command.dir.display().to_string();
    text += &format!(" into {files} in {}", printable(&dir));
    text += &format!(": {} to {} in each\n", grouped(least), grouped(most));
    Ok(stdout().write_all(text.as_bytes())?)
}

/// The error about a list that cannot be opened.
fn open_error(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Missing { name } if name.contains("://") => anyhow!(
            "{}: no such file; fetch split reads files and stdin, not URLs: curl URL | fetch split - -n N -d DIR",
            redacted_name(&name)
        ),
        OpenError::Missing { name } => anyhow!("{}: no such file", redacted_name(&name)),
        error => error.into(),
    }
}

/// Ensures that all files can be open at once.
fn ensure_descriptors(command: &SplitCommand) -> Result<(), SplitError> {
    let wanted = u64::from(command.shards.get()) + OTHER_FILES;
    let limit = raise_fd_limit(wanted);
    if limit >= wanted {
        return Ok(());
    }
    Err(SplitError::Usage(anyhow!(
        "{} files cannot be open at once (the limit is {limit}); raise it with ulimit -n",
        command.shards
    )))
}

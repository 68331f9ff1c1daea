//! Turns file system errors into failures of a target: what, where, and what to do about it.

use std::io::{self, ErrorKind};

use super::dir::{PathError, is_full};
use super::work_dir::WorkDir;
use crate::model::Failure;
use crate::text::io_message;
use crate::units::human_bytes;

/// Ends the message about a file that fetch did not save.
pub(super) const NOT_OURS: &str =
    "already exists and was not saved by fetch; use --overwrite to replace it";

/// Ends the message about a directory or device that has the name of a file.
pub(super) const NOT_A_FILE: &str = "exists and is not a regular file; move it away";

/// The message if even the longest mark does not make a name unique.
pub(super) const NO_FREE_NAME: &str = "no free file name";

/// Ends the message about a full disk.
const MAKE_ROOM: &str = "free some space, then run the same command again";

impl WorkDir {
    /// The failure of a target whose file cannot be written. `missing` is the number of bytes still to write, 0 if
    /// unknown.
    pub(super) fn io_failure(&self, name: &str, error: &io::Error, missing: u64) -> Failure {
        let dir = self.dir.display();
        if is_full(error) {
            let free = self.folder.free().unwrap_or(0);
            let need = match missing.saturating_sub(free) {
                0 => format!("cannot write '{name}'"),
                missing => format!("'{name}' needs {} more", human_bytes(missing)),
            };
            return Failure::Disk(format!("no space left in {dir}: {need}; {MAKE_ROOM}"));
        }
        match error.kind() {
            ErrorKind::InvalidFilename | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                Failure::Name(format!("{dir}/{name}: {}", io_message(error)))
            }
            kind if name.contains('/') && concerns_one_folder(kind) => {
                let advice = "make its directory writable, or move it away";
                Failure::Name(format!("{dir}/{name}: {}; {advice}", io_message(error)))
            }
            _ => Failure::Disk(format!("{dir}/{name}: {}", io_message(error))),
        }
    }

    /// The failure of a target whose manifest entry cannot be written. No other target's can be either.
    pub(super) fn manifest_failure(&self, name: &str, error: &io::Error, missing: u64) -> Failure {
        if is_full(error) || error.kind() == ErrorKind::InvalidInput {
            return self.io_failure(name, error, missing);
        }
        let dir = self.dir.display();
        Failure::Disk(format!("{dir}/.fetch/manifest.jsonl: {}", io_message(error)))
    }

    /// The failure of a target whose body would reduce the free space below `--min-free`.
    pub(super) fn low_space(&self, name: &str, missing: u64, free: u64, least: u64) -> Failure {
        let dir = self.dir.display();
        let (missing, free, least) = (human_bytes(missing), human_bytes(free), human_bytes(least));
        Failure::Disk(format!(
            "not enough disk space in {dir}: {free} free, '{name}' needs {missing} more, --min-free is {least}; {MAKE_ROOM}"
        ))
    }

    /// The failure of a target whose name cannot be opened in the directory.
    pub(super) fn path_failure(&self, name: &str, why: PathError) -> Failure {
        match why {
            PathError::Disk(_, error) => self.io_failure(name, &error, 0),
            other => Failure::Name(format!("{}: {other}", self.dir.display())),
        }
    }

    /// The failure of a target whose name belongs to something that fetch did not save.
    pub(super) fn name_conflict(&self, name: &str, what: &str) -> Failure {
        let dir = self.dir.display();
        Failure::Name(format!("{dir}/{name} {what}"))
    }
}

/// Whether an error about a file in a subdirectory says nothing of files in other ones: the subdirectory is read-only,
/// was removed or replaced, or is a mount of its own that has gone.
fn concerns_one_folder(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::TooManyLinks
    )
}

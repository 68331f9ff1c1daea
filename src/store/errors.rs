//! What the file system refuses, as a failure of the target: what, where, and what to do about it.

use std::io::{self, ErrorKind};

use super::dir::{PathError, is_full};
use super::work_dir::WorkDir;
use crate::model::Failure;
use crate::units::human_bytes;

/// What is said of a file that has a name which it should not have.
pub(super) const NOT_OURS: &str = "was not saved by fetch; move it away, or write --overwrite";

/// What to do where there is too little room.
const MAKE_ROOM: &str = "make room, then run the same command again";

impl WorkDir {
    /// The failure of a target whose file cannot be written; `wanted` is how many bytes it still needs,
    /// where that is known.
    pub(super) fn fault(&self, name: &str, error: &io::Error, wanted: u64) -> Failure {
        let dir = self.dir.display();
        if is_full(error) {
            let free = self.folder.free().unwrap_or(0);
            let need = match wanted.saturating_sub(free) {
                0 => format!("{name} cannot be written"),
                missing => format!("{name} needs {} more", human_bytes(missing)),
            };
            return Failure::Disk(format!("no room in {dir}: {need}; {MAKE_ROOM}"));
        }
        match error.kind() {
            ErrorKind::InvalidFilename | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
                Failure::Name(format!("{dir}/{name}: {error}"))
            }
            _ => Failure::Disk(format!("{dir}/{name}: {error}")),
        }
    }

    /// The failure of a target whose body would leave less free than must stay free.
    pub(super) fn too_little_free(
        &self,
        name: &str,
        wanted: u64,
        free: u64,
        least: u64,
    ) -> Failure {
        let dir = self.dir.display();
        let (wanted, free, least) = (human_bytes(wanted), human_bytes(free), human_bytes(least));
        Failure::Disk(format!(
            "too little room in {dir}: {free} are free, {name} needs {wanted} more, and {least} must stay free (--min-free); {MAKE_ROOM}"
        ))
    }

    /// The failure of a target that has no place in the folder.
    pub(super) fn no_seat(&self, name: &str, why: PathError) -> Failure {
        match why {
            PathError::Disk(_, error) => self.fault(name, &error, 0),
            other => Failure::Name(format!("{}: {other}", self.dir.display())),
        }
    }

    /// The failure of a target whose name is that of a file which is not ours.
    pub(super) fn in_the_way(&self, name: &str, what: &str) -> Failure {
        let dir = self.dir.display();
        Failure::Name(format!("{dir}/{name} is there, and {what}"))
    }
}

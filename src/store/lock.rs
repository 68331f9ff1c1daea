//! Locks a directory, so that one process at a time saves to it.

use std::fs::{File, TryLockError};
use std::io;

use cap_std::fs::{Dir, OpenOptions};

/// The name of the lock file. It is never removed: a process that removed it would let two others lock two files of
/// that name.
const NAME: &str = "lock";

/// The lock of a directory. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("in use by another fetch process")]
    Busy,
    /// The lock file cannot be opened, or its file system does not support locks.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock in `dir`, the `.fetch` directory, without waiting.
    ///
    /// # Errors
    /// [`LockError::Busy`] if another process holds it, [`LockError::Io`] if it cannot be taken.
    pub fn take(dir: &Dir) -> Result<Self, LockError> {
        let file = dir.open_with(NAME, OpenOptions::new().create(true).write(true))?.into_std();
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Busy),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let lock = Lock::take(&dir).unwrap();
        assert!(matches!(Lock::take(&dir), Err(LockError::Busy)));
        drop(lock);
        assert!(Lock::take(&dir).is_ok(), "the file that is left locks nobody out");
    }

    #[test]
    fn a_lock_that_cannot_be_opened_is_not_called_busy() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(NAME)).unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        assert!(matches!(Lock::take(&dir), Err(LockError::Io(_))));
    }
}

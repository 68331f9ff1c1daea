//! One run at a time saves to a folder.

use std::fs::{File, TryLockError};
use std::io;

use cap_std::fs::{Dir, OpenOptions};

/// The file that is locked. It stays when the lock is gone: who removed it would let two runs in.
const NAME: &str = "lock";

/// The right to save to a folder. The system takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run has it.
    #[error("in use by another fetch process")]
    Busy,
    /// The lock's file cannot be opened, or its file system knows no locks.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock in `dir`, the folder of bookkeeping, without waiting.
    ///
    /// # Errors
    /// [`LockError::Busy`] if another run has it, [`LockError::Io`] if that cannot be known.
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

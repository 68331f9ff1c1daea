//! Locks a directory, so that one process at a time saves to it.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions};

use super::manifest::ensure_regular;

/// The name of the lock file. It is never removed: a process that removed it would let two others lock two files of
/// that name.
const NAME: &str = "lock";

/// How long a holder is waited for that may be ending: a process that a killed run was starting holds its descriptors until
/// it has become another program.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the lock is tried meanwhile.
const TICK: Duration = Duration::from_millis(20);

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
    /// Takes the lock in `dir`, the `.fetch` directory. Waits a moment for a holder that is ending.
    ///
    /// # Errors
    /// [`LockError::Busy`] if another process holds it, [`LockError::Io`] if it cannot be taken.
    pub fn take(dir: &Dir) -> Result<Self, LockError> {
        ensure_regular(dir, NAME)?;
        let file = dir.open_with(NAME, OpenOptions::new().create(true).write(true))?.into_std();
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(TICK),
                Err(TryLockError::WouldBlock) => return Err(LockError::Busy),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
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

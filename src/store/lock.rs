//! Locks a directory, so that one process at a time saves to it.

use std::fs::{File, TryLockError};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions};

use super::failpoint;
use super::lock_file::{self, LockFile, LockFileError};
use super::manifest::ensure_regular;

/// The name of the lock file. It is never removed: a process that removed it would let two others lock two files of
/// that name.
const NAME: &str = "lock";

/// How long a holder is waited for that may be ending: a process that a killed run was starting holds its descriptors until
/// it has become another program.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the lock is tried meanwhile.
const TICK: Duration = Duration::from_millis(20);

/// The lock of a directory. The system releases it when the process ends, however it ends; on a file system without
/// `flock` it is a file, which a later run takes over if it is left.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    fallback: Option<LockFile>,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another process holds the lock.
    #[error("in use by another fetch process")]
    Busy,
    /// A lock file exists, on a file system without `flock`, and its process may be running.
    #[error("{0}")]
    Held(String),
    /// The lock file cannot be opened, or created on a file system that does not support locks.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock in `dir`, the `.fetch` directory. Waits a moment for a holder that is ending.
    ///
    /// # Errors
    /// [`LockError::Busy`] or [`LockError::Held`] if another process holds it, [`LockError::Io`] if it cannot be taken.
    pub(super) fn take(dir: &Dir) -> Result<Self, LockError> {
        ensure_regular(dir, NAME)?;
        let file = dir.open_with(NAME, OpenOptions::new().create(true).write(true))?.into_std();
        let locked = failpoint::check(FLOCK).map_err(TryLockError::Error);
        match locked.and_then(|()| lock_patiently(&file)) {
            Ok(()) => Ok(Self { _file: file, fallback: None }),
            Err(TryLockError::WouldBlock) => Err(LockError::Busy),
            Err(TryLockError::Error(error)) if means_no_locks(&error) => {
                let fallback = LockFile::take(dir).map_err(|error| match error {
                    LockFileError::Held(holder) => LockError::Held(holder),
                    LockFileError::Io(error) => LockError::Io(error),
                })?;
                Ok(Self { _file: file, fallback: Some(fallback) })
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Whether it is a file that stays if this process is killed, for lack of `flock`.
    pub(super) fn is_a_file(&self) -> bool {
        self.fallback.is_some()
    }
}

/// Locks `file`, for as long as [`PATIENCE`] if it is held.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(TICK),
            locked => return locked,
        }
    }
}

/// The failpoint of every `flock`.
const FLOCK: &str = "flock";

/// The name of the file that is the lock where there is no `flock`.
pub(super) const FALLBACK: &str = lock_file::NAME;

/// Waits until no process has `file` locked.
///
/// # Errors
/// If it cannot be locked, though its file system supports locks.
pub(super) fn wait_until_unlocked(file: &File) -> io::Result<()> {
    match failpoint::check(FLOCK).and_then(|()| file.lock()) {
        // The lock file waits for child processes too.
        Err(error) if means_no_locks(&error) => Ok(()),
        locked => locked.and_then(|()| file.unlock()),
    }
}

/// Locks `file`, in `dir`, with others, for a child process.
///
/// # Errors
/// If it cannot be locked.
pub(super) fn share(dir: &Dir, file: &File) -> io::Result<()> {
    match failpoint::check(FLOCK).and_then(|()| file.lock_shared()) {
        Err(error) if means_no_locks(&error) => lock_file::add_child(dir),
        locked => locked,
    }
}

/// `ENOSYS`, `EOPNOTSUPP`, and `ENOLCK`, which is how NFS says that its server has no locks.
fn means_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;

    let without = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOLCK];
    Errno::from_io_error(error).is_some_and(|error| without.contains(&error))
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

//! System calls on directories that `cap_std` does not offer, by platform.

use std::fs::File;
use std::io;

use cap_std::fs::Dir;

/// Renames within a directory, unless the new name exists: then the error is `AlreadyExists`.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn rename_exclusively(folder: &Dir, from: &str, to: &str) -> io::Result<()> {
    use rustix::fs::{RenameFlags, renameat_with};

    Ok(renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn rename_exclusively(_: &Dir, _: &str, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Allocates blocks for `bytes`, which are not 0, and leaves the length as it is.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};

    match retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        reserved => Ok(reserved?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn free(folder: &Dir) -> io::Result<u64> {
    let space = rustix::fs::fstatvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Waits until the entries of a directory are on the disk.
pub(super) fn sync(folder: &Dir) -> io::Result<()> {
    // The handle is for lookups only: to be synced, the directory has to be opened for reading.
    match folder.open(".")?.sync_all() {
        // Some network file systems cannot.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

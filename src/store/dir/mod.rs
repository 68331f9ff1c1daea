//! The directory that files are saved to. It and the directories below it are accessed through open handles only, one
//! component of a name at a time, and no step follows a symbolic link: whatever a name says, nothing outside is
//! touched.

mod file;
mod partial_file;
mod sys;
mod walk;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, OnceLock};

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use thiserror::Error;

use crate::store::failpoint;
use crate::text::io_message;

pub(super) use file::{DirFile, FileKind, PlaceResult};
pub(super) use partial_file::{PartialFile, is_full};
pub(crate) use walk::FileEntry;
pub(super) use walk::WalkFiles;

/// The name of the subdirectory for the manifest and the lock.
const BOOKKEEPING: &str = ".fetch";

/// The directory that files are saved to, held open: a rename or a symbolic link put in its place later changes
/// nothing.
#[derive(Debug)]
pub(super) struct SaveDir {
    root: Arc<Dir>,
    /// Device and inode of `.fetch`, once it was opened.
    bookkeeping: OnceLock<(u64, u64)>,
}

/// What to do if the directory is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    /// Create it and its parents.
    Create,
    /// Return an error.
    Refuse,
}

/// Why a file name cannot be opened.
#[derive(Debug, Error)]
pub(super) enum PathError {
    /// It is empty, absolute, has an empty, `.` or `..` component or a NUL, or is that of `.fetch`.
    #[error("{0:?} is not a valid file name")]
    Name(String),
    /// A directory of it is a symbolic link, which may lead outside, or give one file two names.
    #[error("refusing to follow the symbolic link {0:?}")]
    Outside(String),
    /// A directory of it is a file or a device.
    #[error("{0:?} exists and is not a directory; move it away")]
    Taken(String),
    /// A directory of it can be neither opened nor created.
    #[error("cannot create directory {:?}: {}", .0, io_message(.1))]
    Disk(String, #[source] io::Error),
}

impl SaveDir {
    /// Opens the directory. `path` itself may be, or lead through, symbolic links.
    ///
    /// # Errors
    /// If it is missing and may not be created, is not a directory, or cannot be opened.
    pub(super) fn open(path: &Path, missing: IfMissing) -> io::Result<Self> {
        if missing == IfMissing::Create {
            fs::create_dir_all(path)?;
        }
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { root: Arc::new(root), bookkeeping: OnceLock::new() })
    }

    /// Opens the subdirectory `.fetch`, created if missing. Must be called before the first [`SaveDir::file`]: from
    /// then on `.fetch` is recognized under every other name that the file system may have for it, such as `FETCH~1`.
    ///
    /// # Errors
    /// If it is not a directory (a symbolic link is none), or can be neither opened nor created.
    pub(super) fn bookkeeping(&self) -> io::Result<Dir> {
        let dir = open_or_make(&self.root, BOOKKEEPING)?;
        let _ = self.bookkeeping.set(identity(&dir)?);
        Ok(dir)
    }

    /// Opens the subdirectory `.fetch`; `None` if it is missing.
    ///
    /// # Errors
    /// If it is not a directory, or cannot be opened.
    pub(super) fn bookkeeping_if_there(&self) -> io::Result<Option<Dir>> {
        let dir = match self.root.open_dir_nofollow(BOOKKEEPING) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let _ = self.bookkeeping.set(identity(&dir)?);
        Ok(Some(dir))
    }

    /// Waits until `.fetch` and its entries are on the disk.
    ///
    /// # Errors
    /// If a directory cannot be written.
    pub(super) fn sync(&self, bookkeeping: &Dir) -> io::Result<()> {
        sys::sync(bookkeeping)?;
        sys::sync(&self.root)
    }

    /// Opens the parent directory of a file, created if missing, and returns the file's [`DirFile`]. `name` is a
    /// relative path with `/`. No symbolic link is followed, not even to a directory that is within.
    ///
    /// # Errors
    /// See [`PathError`].
    pub(super) fn file(&self, name: &str) -> Result<DirFile, PathError> {
        self.file_by(name, open_or_make)
    }

    /// Like [`SaveDir::file`], but creates nothing; `None` if a directory of the name is missing.
    ///
    /// # Errors
    /// See [`PathError`].
    pub(super) fn file_if_exists(&self, name: &str) -> Result<Option<DirFile>, PathError> {
        match self.file_by(name, Dir::open_dir_nofollow) {
            Err(PathError::Disk(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    fn file_by<'a>(
        &self,
        name: &'a str,
        open: impl Fn(&Dir, &'a str) -> io::Result<Dir>,
    ) -> Result<DirFile, PathError> {
        if !name.split('/').all(is_plain) || is_bookkeeping(name) {
            return Err(PathError::Name(name.to_owned()));
        }
        let mut parent = Arc::clone(&self.root);
        for (slash, _) in name.match_indices('/') {
            let above = &name[..slash];
            let dir = open(&parent, last(above)).map_err(|error| why_not(&parent, above, error))?;
            if Arc::ptr_eq(&parent, &self.root) && self.is_the_bookkeeping(&dir) {
                return Err(PathError::Name(name.to_owned()));
            }
            parent = Arc::new(dir);
        }
        Ok(DirFile::new(Arc::clone(&self.root), parent, name))
    }

    /// All regular files in the directory and below, except those in `.fetch`. Reads one directory at a time, while the
    /// iterator advances, and sorts its entries by the bytes of their names. Memory: the names of one directory per
    /// level.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn files(&self) -> io::Result<WalkFiles> {
        WalkFiles::of(&self.root)
    }

    /// Whether the directory has no entry other than `.fetch`.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        for entry in self.root.entries()? {
            if entry?.file_name() != BOOKKEEPING {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes available to this user on the file system of the directory.
    ///
    /// # Errors
    /// If the file system does not report it.
    pub(super) fn free(&self) -> io::Result<u64> {
        sys::free(&self.root)
    }

    fn is_the_bookkeeping(&self, dir: &Dir) -> bool {
        self.bookkeeping.get().is_some_and(|known| identity(dir).is_ok_and(|this| this == *known))
    }
}

/// Opens a subdirectory, created if missing. A symbolic link is not a directory.
fn open_or_make(parent: &Dir, component: &str) -> io::Result<Dir> {
    match parent.open_dir_nofollow(component) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    if component != BOOKKEEPING {
        failpoint::check("mkdir")?;
    }
    match parent.create_dir(component) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => parent.open_dir_nofollow(component),
    }
}

/// The reason why the last component of `path` could not be opened as a directory.
fn why_not(parent: &Dir, path: &str, error: io::Error) -> PathError {
    match parent.symlink_metadata(last(path)) {
        Ok(there) if there.is_symlink() => PathError::Outside(path.to_owned()),
        Ok(there) if !there.is_dir() => PathError::Taken(path.to_owned()),
        _ => PathError::Disk(path.to_owned(), error),
    }
}

/// Whether a component names an entry of its directory, by the rules of this platform.
fn is_plain(component: &str) -> bool {
    let mut parts = Path::new(component).components();
    let first = parts.next();
    parts.next().is_none()
        && matches!(first, Some(Component::Normal(plain)) if plain == component)
        && !component.contains('\0')
}

/// Whether the first component of a name is `.fetch`, in any case, as some file systems ignore it.
fn is_bookkeeping(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(BOOKKEEPING))
}

fn identity(dir: &Dir) -> io::Result<(u64, u64)> {
    dir.dir_metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

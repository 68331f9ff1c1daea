//! The folder that files are saved to. All work goes through a handle of it and of folders below it, one component
//! of a name at a time, and no step follows a symbolic link: whatever a name says, nothing outside is touched.

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

use crate::text::io_message;

pub use file::{DirFile, FileKind, PlaceResult};
pub use partial_file::{PartialFile, is_full};
pub use walk::{FileEntry, WalkFiles};

/// The name of the folder for bookkeeping, within the folder.
const BOOKKEEPING: &str = ".fetch";

/// The folder that files are saved to, held open: a rename or a symbolic link put in its place later changes nothing.
#[derive(Debug)]
pub struct SaveDir {
    root: Arc<Dir>,
    /// Device and inode of the bookkeeping, once it was opened.
    bookkeeping: OnceLock<(u64, u64)>,
}

/// What to do when the folder is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Make it, and the folders above it.
    Create,
    /// That is an error.
    Refuse,
}

/// Why there is no place for a file of this name.
#[derive(Debug, Error)]
pub enum PathError {
    /// Empty, absolute, with an empty, `.` or `..` component, with NUL, or the bookkeeping.
    #[error("{0:?} is not a valid file name")]
    Name(String),
    /// A folder of the name is a symbolic link: it may lead outside, or make one file of two names.
    #[error("refusing to follow the symbolic link {0:?}")]
    Outside(String),
    /// A folder of the name is a file or a device.
    #[error("{0:?} exists and is not a directory; move it away")]
    Taken(String),
    /// A folder of the name can be neither opened nor made.
    #[error("cannot create directory {:?}: {}", .0, io_message(.1))]
    Disk(String, #[source] io::Error),
}

impl SaveDir {
    /// Opens the folder. `path` itself may be, or lead through, symbolic links.
    ///
    /// # Errors
    /// If it is not there and is not to be made, is not a folder, or cannot be opened.
    pub fn open(path: &Path, missing: IfMissing) -> io::Result<Self> {
        if missing == IfMissing::Create {
            fs::create_dir_all(path)?;
        }
        let root = Dir::open_ambient_dir(path, ambient_authority())?;
        Ok(Self { root: Arc::new(root), bookkeeping: OnceLock::new() })
    }

    /// The folder `.fetch` within, made when missing. Open it before the first [`Folder::seat`]: from then on it is
    /// known under every other name that the file system may have for it, such as `FETCH~1`.
    ///
    /// # Errors
    /// If it is not a folder (a symbolic link is none), or can be neither opened nor made.
    pub fn bookkeeping(&self) -> io::Result<Dir> {
        let dir = open_or_make(&self.root, BOOKKEEPING)?;
        let _ = self.bookkeeping.set(identity(&dir)?);
        Ok(dir)
    }

    /// The same where it is there already.
    ///
    /// # Errors
    /// If it is not a folder, or cannot be opened.
    pub fn bookkeeping_if_there(&self) -> io::Result<Option<Dir>> {
        let dir = match self.root.open_dir_nofollow(BOOKKEEPING) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        let _ = self.bookkeeping.set(identity(&dir)?);
        Ok(Some(dir))
    }

    /// Waits until the bookkeeping, and what is named in it, would be found after a loss of power.
    ///
    /// # Errors
    /// If a folder cannot be written.
    pub fn sync(&self, bookkeeping: &Dir) -> io::Result<()> {
        sys::sync(bookkeeping)?;
        sys::sync(&self.root)
    }

    /// The place of the file of this name: a relative path with `/`. Makes the folders of the name; for a bare name
    /// there is nothing to do. No symbolic link is followed, not even to a folder that is within.
    ///
    /// # Errors
    /// See [`NoSeat`].
    pub fn seat(&self, name: &str) -> Result<DirFile, PathError> {
        self.seat_by(name, open_or_make)
    }

    /// The same where the folders of the name are there already; `None` where they are not, so that nothing can be.
    ///
    /// # Errors
    /// See [`NoSeat`].
    pub fn seat_if_there(&self, name: &str) -> Result<Option<DirFile>, PathError> {
        match self.seat_by(name, Dir::open_dir_nofollow) {
            Err(PathError::Disk(_, error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    fn seat_by<'a>(
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

    /// All regular files in the folder and below, except the bookkeeping: read folder by folder as it is asked for,
    /// sorted by the bytes of the names within each. In memory are the names of one folder at each depth.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn files(&self) -> io::Result<WalkFiles> {
        WalkFiles::of(&self.root)
    }

    /// Whether there is nothing in the folder but the bookkeeping.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        for entry in self.root.entries()? {
            if entry?.file_name() != BOOKKEEPING {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes that are free to this user on the file system of the folder; `u64::MAX` where the platform does not tell.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn free(&self) -> io::Result<u64> {
        sys::free(&self.root)
    }

    fn is_the_bookkeeping(&self, dir: &Dir) -> bool {
        self.bookkeeping.get().is_some_and(|known| identity(dir).is_ok_and(|this| this == *known))
    }
}

/// Opens a folder by one component. A symbolic link is not a folder.
fn open_or_make(parent: &Dir, component: &str) -> io::Result<Dir> {
    match parent.open_dir_nofollow(component) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match parent.create_dir(component) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => parent.open_dir_nofollow(component),
    }
}

/// Why the last component of `path` could not be opened as a folder.
fn why_not(parent: &Dir, path: &str, error: io::Error) -> PathError {
    match parent.symlink_metadata(last(path)) {
        Ok(there) if there.is_symlink() => PathError::Outside(path.to_owned()),
        Ok(there) if !there.is_dir() => PathError::Taken(path.to_owned()),
        _ => PathError::Disk(path.to_owned(), error),
    }
}

/// Whether a component names an entry of its folder, by the rules of this platform.
fn is_plain(component: &str) -> bool {
    let mut parts = Path::new(component).components();
    let first = parts.next();
    parts.next().is_none()
        && matches!(first, Some(Component::Normal(plain)) if plain == component)
        && !component.contains('\0')
}

/// Whether a name begins with the folder for bookkeeping, on file systems that ignore case too.
fn is_bookkeeping(name: &str) -> bool {
    name.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(BOOKKEEPING))
}

fn identity(dir: &Dir) -> io::Result<(u64, u64)> {
    dir.dir_metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

//! One file of the save directory: its open parent directory, its final name, and the name of its partial file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;
use std::time::SystemTime;

use cap_fs_ext::{DirExt, FollowSymlinks, MetadataExt, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};

use super::{PartialFile, sys};
use crate::model::OverwriteRule;
use crate::naming;
use crate::store::failpoint;

/// One file. Each method looks up a single name in an open directory and follows no symbolic link.
#[derive(Debug)]
pub(crate) struct DirFile {
    root: Arc<Dir>,
    parent: Arc<Dir>,
    /// Relative to the save directory.
    name: Box<str>,
    /// The name of the partial file in the parent directory.
    part: Box<str>,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// Its length in bytes.
        bytes: u64,
        /// When its content last changed; `None` if the file system does not record it.
        modified: Option<SystemTime>,
    },
    /// A directory, a symbolic link or a device.
    Other,
}

/// The result of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceResult {
    /// The file has its final name.
    Done,
    /// Something that may not be overwritten has the name; the partial file still exists.
    Taken,
}

impl DirFile {
    pub(super) fn new(root: Arc<Dir>, parent: Arc<Dir>, name: &str) -> Self {
        let part = naming::part_of(super::last(name)).into();
        Self { root, parent, name: name.into(), part }
    }

    /// Renames the partial file to that of another file in the same directory, and returns that file. `name` is
    /// relative to the save directory. A partial file that exists there is overwritten.
    ///
    /// # Errors
    /// `AlreadyExists` if something other than a regular file has the name of the partial file there; any error of the
    /// rename.
    pub(crate) fn move_part_to(&self, name: &str) -> io::Result<Self> {
        let there = Self::new(Arc::clone(&self.root), Arc::clone(&self.parent), name);
        if there.part_kind()? == FileKind::Other {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        failpoint::check("move")?;
        self.parent.rename(&*self.part, &self.parent, &*there.part)?;
        Ok(there)
    }

    /// What has the final name.
    ///
    /// # Errors
    /// If the file system does not report it.
    pub(crate) fn kind(&self) -> io::Result<FileKind> {
        self.kind_of(self.base())
    }

    /// What has the partial name.
    ///
    /// # Errors
    /// If the file system does not report it.
    pub(crate) fn part_kind(&self) -> io::Result<FileKind> {
        self.kind_of(&self.part)
    }

    /// Creates an empty partial file. A regular file that is left over is unlinked first, not truncated: a process that
    /// has it open, or another name of it, keeps its content.
    ///
    /// # Errors
    /// `AlreadyExists` if something other than a regular file has the name; any error of creating the file.
    pub(crate) fn create_part(&self) -> io::Result<PartialFile> {
        match self.create_new_part() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        self.clear_part()?;
        self.create_new_part()
    }

    fn create_new_part(&self) -> io::Result<PartialFile> {
        failpoint::check("create")?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).follow(FollowSymlinks::No);
        let file = self.parent.open_with(&*self.part, &options)?;
        Ok(PartialFile::new(file.into_std()))
    }

    /// Opens the existing partial file, positioned at its end. `None` if it is shorter than `at_least` bytes, is not a
    /// regular file, has another name too, or is missing: it is not ours to continue then.
    ///
    /// # Errors
    /// If the file exists and cannot be opened.
    pub(crate) fn reopen_part(&self, at_least: u64) -> io::Result<Option<PartialFile>> {
        // Checked before opening, for opening a device can have effects.
        if !matches!(self.part_kind()?, FileKind::File { bytes, .. } if bytes >= at_least) {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).follow(FollowSymlinks::No).nonblock(true);
        let file = self.parent.open_with(&*self.part, &options)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() != 1 || metadata.len() < at_least {
            return Ok(None);
        }
        let mut file = file.into_std();
        file.seek(SeekFrom::End(0))?;
        Ok(Some(PartialFile::new(file)))
    }

    /// Removes a partial file that is left over, unless it is not a regular file.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn clear_part(&self) -> io::Result<()> {
        if let FileKind::File { .. } = self.part_kind()? {
            self.remove_part()?;
            failpoint::hit("removed");
        }
        Ok(())
    }

    /// Opens the file under the final name for reading.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a regular file.
    pub(crate) fn open_file(&self) -> io::Result<File> {
        self.open_to_read(self.base())
    }

    /// Opens the partial file for reading.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a regular file.
    pub(crate) fn open_part(&self) -> io::Result<File> {
        self.open_to_read(&self.part)
    }

    fn open_to_read(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).follow(FollowSymlinks::No).nonblock(true);
        let file = self.parent.open_with(name, &options)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file.into_std())
    }

    /// Removes the partial file. A missing one is no error.
    ///
    /// # Errors
    /// If it cannot be removed, e.g. because it is a directory.
    pub(crate) fn remove_part(&self) -> io::Result<()> {
        failpoint::check("remove")?;
        match self.parent.remove_file_or_symlink(&*self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the partial and the final name are of one file: it was linked to its final name, and its partial name
    /// not removed.
    ///
    /// # Errors
    /// If the file system does not report it.
    pub(crate) fn has_both_names(&self) -> io::Result<bool> {
        let part = self.parent.symlink_metadata(&*self.part)?;
        match self.parent.symlink_metadata(self.base()) {
            Ok(found) => Ok((part.dev(), part.ino()) == (found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the partial file its final name, atomically. For [`OverwriteRule::Nothing`] the file system is asked not
    /// to replace an existing file. On a file system that cannot, the file is linked to its final name and then
    /// unlinked from the partial one; if that has no hard links either, the name is looked up first, and a file that is
    /// created in between is overwritten.
    ///
    /// # Errors
    /// If there is no partial file, or it cannot be renamed.
    pub(crate) fn place(&self, over: OverwriteRule) -> io::Result<PlaceResult> {
        failpoint::check("rename")?;
        match over {
            OverwriteRule::Nothing => self.place_over_nothing(),
            OverwriteRule::File => self.place_over_anything(),
        }
    }

    fn place_over_anything(&self) -> io::Result<PlaceResult> {
        match self.rename() {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(PlaceResult::Taken),
            renamed => renamed.map(|()| PlaceResult::Done),
        }
    }

    fn place_over_nothing(&self) -> io::Result<PlaceResult> {
        let mut placed = sys::rename_exclusively(&self.parent, &self.part, self.base());
        if placed.as_ref().is_err_and(means_no_such_way) {
            placed = self.link();
        }
        if placed.as_ref().is_err_and(means_no_such_way) {
            placed = self.look_and_rename();
        }
        match placed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(PlaceResult::Taken),
            placed => placed.map(|()| PlaceResult::Done),
        }
    }

    pub(super) fn link(&self) -> io::Result<()> {
        self.parent.hard_link(&*self.part, &self.parent, self.base())?;
        // The file has its name. A partial name that stays has a second link, and is therefore neither continued nor
        // written to.
        let _ = self.remove_part();
        Ok(())
    }

    pub(super) fn look_and_rename(&self) -> io::Result<()> {
        match self.kind()? {
            FileKind::Nothing => self.rename(),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&self) -> io::Result<()> {
        self.parent.rename(&*self.part, &self.parent, self.base())
    }

    /// Waits until the final name is on the disk: syncs the parent directory and each one above it up to the save
    /// directory, whoever created them.
    ///
    /// # Errors
    /// If a directory cannot be written, or is no longer where it was.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        sys::sync(&self.parent)?;
        if Arc::ptr_eq(&self.parent, &self.root) {
            return Ok(());
        }
        sys::sync(&self.root)?;
        let mut above: Vec<_> = self.name.split('/').collect();
        above.truncate(above.len() - 2);
        let mut folder = Arc::clone(&self.root);
        for component in above {
            folder = Arc::new(folder.open_dir_nofollow(component)?);
            sys::sync(&folder)?;
        }
        Ok(())
    }

    fn kind_of(&self, name: &str) -> io::Result<FileKind> {
        match self.parent.symlink_metadata(name) {
            Ok(there) if there.is_file() => {
                let modified = there.modified().ok().map(|time| time.into_std());
                Ok(FileKind::File { bytes: there.len(), modified })
            }
            Ok(_) => Ok(FileKind::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileKind::Nothing),
            Err(error) => Err(error),
        }
    }

    fn base(&self) -> &str {
        super::last(&self.name)
    }
}

/// `EINVAL`, `ENOSYS`, `EOPNOTSUPP`, and `EPERM`, which is how Linux says that a file system has no hard links.
fn means_no_such_way(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};

    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

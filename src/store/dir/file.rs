//! The place of one file: its folder, its final name, and its name while it is unfinished.

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

/// The place of one file. Each step looks up a single name in a held folder and follows no symbolic link.
#[derive(Debug)]
pub struct DirFile {
    root: Arc<Dir>,
    parent: Arc<Dir>,
    /// From the root.
    name: Box<str>,
    /// In the parent.
    part: Box<str>,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing.
    Nothing,
    /// A regular file.
    File {
        /// Its length.
        bytes: u64,
        /// When its content last changed; `None` where the file system does not keep it.
        modified: Option<SystemTime>,
    },
    /// A folder, a symbolic link, a device.
    Other,
}

/// What became of a file that was to be placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceResult {
    /// It has its final name.
    Done,
    /// Something that it may not replace has the name; the part is still there.
    Taken,
}

impl DirFile {
    pub(super) fn new(root: Arc<Dir>, parent: Arc<Dir>, name: &str) -> Self {
        let part = naming::part_of(super::last(name)).into();
        Self { root, parent, name: name.into(), part }
    }

    /// Moves the part to the place of another file in the same folder: `name` is from the root. A part that is left over
    /// there is replaced.
    ///
    /// # Errors
    /// `AlreadyExists` if something else than a regular file has the unfinished name there; if there is no part, or it
    /// cannot be renamed.
    pub fn moved_to(&self, name: &str) -> io::Result<Self> {
        let there = Self::new(Arc::clone(&self.root), Arc::clone(&self.parent), name);
        if there.part()? == FileKind::Other {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.parent.rename(&*self.part, &self.parent, &*there.part)?;
        Ok(there)
    }

    /// What stands under the final name.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn found(&self) -> io::Result<FileKind> {
        self.found_under(self.base())
    }

    /// What stands under the unfinished name.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn part(&self) -> io::Result<FileKind> {
        self.found_under(&self.part)
    }

    /// A new and empty part. A regular file that is left over loses its name first: whoever has that file open, or has
    /// another name for it, keeps it as it is.
    ///
    /// # Errors
    /// `AlreadyExists` if something else than a regular file has the name; if the file cannot be made.
    pub fn create_part(&self) -> io::Result<PartialFile> {
        match self.create_new_part() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        self.clear_part()?;
        self.create_new_part()
    }

    fn create_new_part(&self) -> io::Result<PartialFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).follow(FollowSymlinks::No);
        let file = self.parent.open_with(&*self.part, &options)?;
        Ok(PartialFile::new(file.into_std()))
    }

    /// The part that is there, at its end. `None` if it is shorter than `at_least` bytes, is no regular file, has
    /// another name too, or is not there: then what it holds is not ours to continue.
    ///
    /// # Errors
    /// If the file is there and cannot be opened.
    pub fn reopen_part(&self, at_least: u64) -> io::Result<Option<PartialFile>> {
        // Looked at first, for opening a device can have effects.
        if !matches!(self.part()?, FileKind::File { bytes, .. } if bytes >= at_least) {
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

    /// Removes a part that is left over. What is no regular file stays.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn clear_part(&self) -> io::Result<()> {
        if let FileKind::File { .. } = self.part()? {
            self.remove_part()?;
            failpoint::pass("removed");
        }
        Ok(())
    }

    /// The file under the final name, to be read.
    ///
    /// # Errors
    /// If it cannot be opened, or is no regular file.
    pub fn open_file(&self) -> io::Result<File> {
        self.open_to_read(self.base())
    }

    /// The file under the unfinished name, to be read.
    ///
    /// # Errors
    /// If it cannot be opened, or is no regular file.
    pub fn open_part(&self) -> io::Result<File> {
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

    /// Removes the part. That there is none is fine.
    ///
    /// # Errors
    /// If it cannot be removed, as a folder.
    pub fn remove_part(&self) -> io::Result<()> {
        match self.parent.remove_file_or_symlink(&*self.part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the part and the file under the final name are one: a second name was given and the first one not taken
    /// back.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn has_both_names(&self) -> io::Result<bool> {
        let part = self.parent.symlink_metadata(&*self.part)?;
        match self.parent.symlink_metadata(self.base()) {
            Ok(found) => Ok((part.dev(), part.ino()) == (found.dev(), found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives the part its final name, at once for everyone who looks. For [`Over::Nothing`] the file system is asked
    /// not to replace; one that cannot is given a second name for the file and the first one is taken back; where there
    /// are no second names either, the name is looked up first, and what comes between is replaced.
    ///
    /// # Errors
    /// If there is no part, or it cannot be renamed.
    pub fn place(&self, over: OverwriteRule) -> io::Result<PlaceResult> {
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
        // The file has its name. A part that stays is never continued, having two names, and never written to.
        let _ = self.remove_part();
        Ok(())
    }

    pub(super) fn look_and_rename(&self) -> io::Result<()> {
        match self.found()? {
            FileKind::Nothing => self.rename(),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn rename(&self) -> io::Result<()> {
        self.parent.rename(&*self.part, &self.parent, self.base())
    }

    /// Waits until the final name is on the disk: syncs the folder of the file and each one above it up to the root,
    /// whoever made them.
    ///
    /// # Errors
    /// If a folder cannot be written, or is no longer where it was.
    pub fn sync_folder(&self) -> io::Result<()> {
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

    fn found_under(&self, name: &str) -> io::Result<FileKind> {
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

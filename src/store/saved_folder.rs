//! Compares a saved directory with its manifest: the last entry about each name, and the file that has the name. Never
//! removes a file, writes to none but the manifest, and reads none outside the directory.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;

use super::dir::{DirFile, FileEntry, FileKind, IfMissing, PathError, PlaceResult, SaveDir};
use super::each_entry;
use super::entry::{EntryKind, ManifestEntry, Mark, SavedEntry};
use super::lock::{Lock, LockError};
use super::manifest::{Manifest, ManifestLine};
use super::name_index::{IndexedOwner, NameCheck, NameIndex, NameKey};
use crate::digest::Digest;
use crate::model::OverwriteRule;
use crate::naming;
use crate::text::io_message;

/// A saved directory, locked. Threads may share it.
#[derive(Debug)]
pub(crate) struct SavedFolder {
    folder: SaveDir,
    manifest: Manifest,
    names: NameIndex,
    bad_lines: u64,
    mode: OpenMode,
    /// `None` if the directory cannot be locked and is opened read-only.
    _lock: Option<Lock>,
}

/// Why a saved directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SavedFolderError {
    /// It is missing, or is not a directory.
    #[error("{}: {}; {}", dir.display(), io_message(reason), expected_path(dir))]
    NoFolder {
        /// The directory.
        dir: PathBuf,
        /// The system error.
        reason: io::Error,
    },
    /// It has no manifest.
    #[error("no manifest in {} (.fetch/manifest.jsonl); was it created with fetch --dir?", .0.display())]
    NoManifest(PathBuf),
    /// Another process saves to it.
    #[error("{} is in use by another fetch process", .0.display())]
    Busy(PathBuf),
    /// A lock file is in it, and whether its process still runs is not known.
    #[error("{}", super::lock_advice(dir, bookkeeping, holder))]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The directory that has the lock file.
        bookkeeping: PathBuf,
        /// The process.
        holder: String,
    },
    /// It is in an object store, which cannot be used.
    #[error(transparent)]
    Objects(#[from] super::StoreError),
    /// It cannot be read or written.
    #[error("{}: {}", dir.display(), io_message(reason))]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// The system error.
        reason: io::Error,
    },
}

/// What a path that is no directory should have been.
fn expected_path(path: &Path) -> String {
    match super::archive::prefix_of(path) {
        Some(prefix) => {
            format!("use the prefix of the archives: fetch verify {}", prefix.display())
        }
        None => "expected the directory of --dir, or the prefix of --warc or --tar".to_owned(),
    }
}

/// The result of checking a saved file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileCheck {
    /// Its state.
    pub state: FileState,
    /// The length of the existing file; `None` if there is none, or it was not looked at.
    pub bytes: Option<u64>,
    /// What was compared besides the length: a digest, or an ETag; `None`: the length only.
    pub by: Option<&'static str>,
    /// A remark about it.
    pub message: Option<String>,
    /// The name of the partial file, relative to the directory, if it still has that one.
    pub under: Option<String>,
}

/// The state of a saved file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileState {
    /// It is unchanged.
    Whole,
    /// It is missing.
    Missing,
    /// Its length or digest differs.
    Changed,
    /// It is complete, but somebody else's file has its name.
    Displaced,
    /// Its name is invalid: fetch did not write this entry.
    Nameless,
}

/// How a directory is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// To read it.
    Look,
    /// To complete renames that a killed run did not make, and to mark files that must be fetched again, too.
    Repair,
}

impl SavedFolder {
    /// Opens the directory at `dir`. Calls `notice` with a warning about each invalid line of its manifest. With
    /// [`OpenMode::Look`] the directory may be read-only.
    ///
    /// # Errors
    /// See [`SavedFolderError`].
    pub(crate) fn open(
        dir: &Path,
        mode: OpenMode,
        notice: impl FnMut(&str),
    ) -> Result<Self, SavedFolderError> {
        let unusable = |reason| SavedFolderError::Unusable { dir: dir.to_owned(), reason };
        let folder =
            SaveDir::open(dir, IfMissing::Refuse).map_err(|reason| match reason.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    SavedFolderError::NoFolder { dir: dir.to_owned(), reason }
                }
                _ => unusable(reason),
            })?;
        let (bookkeeping, manifest) = open_manifest(&folder)
            .map_err(unusable)?
            .ok_or_else(|| SavedFolderError::NoManifest(dir.to_owned()))?;
        let lock = match (Lock::take(&bookkeeping), mode) {
            (Ok(lock), _) => Some(lock),
            (Err(LockError::Busy), _) => return Err(SavedFolderError::Busy(dir.to_owned())),
            (Err(LockError::Held(holder)), _) => {
                let bookkeeping = dir.join(".fetch");
                return Err(SavedFolderError::Held { dir: dir.to_owned(), bookkeeping, holder });
            }
            (Err(LockError::Io(reason)), OpenMode::Look)
                if reason.kind() != ErrorKind::InvalidInput =>
            {
                None
            }
            (Err(LockError::Io(reason)), _) => return Err(unusable(reason)),
        };
        let manifest = match mode {
            OpenMode::Look => manifest,
            OpenMode::Repair => Manifest::open(&bookkeeping).map_err(unusable)?.0,
        };
        let (names, bad_lines) = index_last_entries(dir, &manifest, notice).map_err(unusable)?;
        Ok(Self { folder, manifest, names, bad_lines, mode, _lock: lock })
    }

    /// The number of invalid lines in the manifest.
    pub(crate) fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// Calls `visit` with each name and the last entry about it (`None` if it is incomplete), in the order in which the
    /// entries were written, until it returns an error. Names that fetch could not give to its file are left out.
    ///
    /// # Errors
    /// If the manifest cannot be read, and what `visit` returns.
    pub(crate) fn each(
        &self,
        visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        each_last(&self.manifest, &self.names, visit)
    }

    /// The result of checking a saved file.
    ///
    /// # Errors
    /// If it exists and cannot be read, or a complete file cannot be renamed.
    pub(crate) fn compare(&self, saved: &SavedEntry<'_>) -> io::Result<FileCheck> {
        let file = match self.folder.file_if_exists(&saved.path) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(FileCheck::plain(FileState::Missing)),
            Err(PathError::Disk(_, error)) => return Err(error),
            Err(why) => return Ok(FileCheck::path_error(&why)),
        };
        match self.check_unrenamed(saved, &file)? {
            Some(check) => Ok(check),
            None => check_file(file.kind()?, || file.open_file(), saved),
        }
    }

    /// Whether there is no file of this name, as far as can be seen.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        match self.folder.file_if_exists(name) {
            Ok(None) => true,
            Ok(Some(file)) => matches!(file.kind(), Ok(FileKind::Nothing)),
            Err(_) => false,
        }
    }

    /// Checks a file that is complete under its partial name, for lack of a rename. `None` if there is none, or if the
    /// file under the final name is complete as well.
    fn check_unrenamed(
        &self,
        saved: &SavedEntry<'_>,
        file: &DirFile,
    ) -> io::Result<Option<FileCheck>> {
        let part = file.part_kind()?;
        if !matches!(part, FileKind::File { bytes, .. } if bytes == saved.bytes) {
            return Ok(None);
        }
        let whole = check_file(part, || file.open_part(), saved)?;
        if whole.state != FileState::Whole {
            return Ok(None);
        }
        let over = if saved.replaces { OverwriteRule::File } else { OverwriteRule::Nothing };
        let is_free = file.kind()? == FileKind::Nothing || over == OverwriteRule::File;
        if is_free && self.mode == OpenMode::Look {
            let message = Some("complete; will be renamed by the next run".to_owned());
            let under = Some(naming::part_of(&saved.path));
            return Ok(Some(FileCheck { message, under, ..whole }));
        }
        if is_free && file.place(over)? == PlaceResult::Done {
            return Ok(Some(whole));
        }
        let there = check_file(file.kind()?, || file.open_file(), saved)?;
        if there.state == FileState::Whole {
            return Ok(None);
        }
        let message = "a file that was not saved by fetch has this name; move it away";
        let check = FileCheck::changed(there.bytes, message.to_owned());
        Ok(Some(FileCheck { state: FileState::Displaced, ..check }))
    }

    /// The files that the manifest does not know. Continues after an error.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn extras(&self) -> io::Result<impl Iterator<Item = io::Result<FileEntry>>> {
        let files = self.folder.files()?;
        Ok(files.filter_map(|listed| {
            let knows = listed.and_then(|listed| Ok((self.knows(&listed.name)?, listed)));
            match knows {
                Ok((true, _)) => None,
                Ok((false, listed)) => Some(Ok(listed)),
                Err(error) => Some(Err(error)),
            }
        }))
    }

    fn knows(&self, name: &str) -> io::Result<bool> {
        if let Some(IndexedOwner::Recorded { check, at }) = self.names.get(&key(name)) {
            if check == NameCheck::of(name) {
                return Ok(true);
            }
            // While a new version is partial, the one that it will overwrite still has the name.
            let replaced = |entry| matches!(entry, ManifestEntry::Partial(it) if it.path == name && it.replaces);
            if self.manifest.read(at).is_ok_and(replaced) {
                return Ok(true);
            }
        }
        let Some(whole) = name.strip_suffix(naming::PART_SUFFIX) else { return Ok(false) };
        let owner = self.names.get(&key(whole));
        Ok(
            matches!(owner, Some(IndexedOwner::Recorded { check, .. }) if check == NameCheck::of(name)),
        )
    }

    /// Records in the manifest that the file of this name must be fetched again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(crate) fn mark(&self, path: &str, mark: Mark) -> io::Result<()> {
        self.manifest.append(&ManifestEntry::marked(path, mark)).map(drop)
    }
}

impl FileCheck {
    pub(super) fn plain(state: FileState) -> Self {
        Self { state, bytes: None, by: None, message: None, under: None }
    }

    fn path_error(why: &PathError) -> Self {
        let state = match why {
            PathError::Name(_) => FileState::Nameless,
            PathError::Outside(_) => FileState::Changed,
            PathError::Taken(_) | PathError::Disk(..) => FileState::Missing,
        };
        Self { message: Some(why.to_string()), ..Self::plain(state) }
    }

    pub(super) fn changed(bytes: Option<u64>, message: String) -> Self {
        Self { bytes, message: Some(message), ..Self::plain(FileState::Changed) }
    }
}

/// Compares an existing file with its entry. The file is opened only if there is a digest to compare.
fn check_file(
    found: FileKind,
    open: impl FnOnce() -> io::Result<File>,
    saved: &SavedEntry<'_>,
) -> io::Result<FileCheck> {
    let bytes = match found {
        FileKind::Nothing => return Ok(FileCheck::plain(FileState::Missing)),
        FileKind::Other => return Ok(FileCheck::changed(None, "not a regular file".to_owned())),
        FileKind::File { bytes, .. } => bytes,
    };
    if bytes != saved.bytes {
        let message = format!("size {bytes}, expected {}", saved.bytes);
        return Ok(FileCheck::changed(Some(bytes), message));
    }
    let digest = saved.version().digest.and_then(|text| text.parse::<Digest>().ok());
    let by = digest.map(|digest| digest.algorithm().name());
    if let Some(digest) = digest
        && Digest::of_reader(digest.algorithm(), open()?)? != digest
    {
        let message = format!("{} mismatch", digest.algorithm().name());
        return Ok(FileCheck::changed(Some(bytes), message));
    }
    Ok(FileCheck { bytes: Some(bytes), by, ..FileCheck::plain(FileState::Whole) })
}

/// The `.fetch` directory and its manifest, as they are; `None` if there is none.
fn open_manifest(folder: &SaveDir) -> io::Result<Option<(Dir, Manifest)>> {
    let Some(bookkeeping) = folder.bookkeeping_if_there()? else { return Ok(None) };
    let manifest = Manifest::look(&bookkeeping)?;
    Ok(manifest.map(|manifest| (bookkeeping, manifest)))
}

/// Calls `visit` with each name of the index and the last entry about it.
///
/// # Errors
/// If the manifest cannot be read, and what `visit` returns.
pub(super) fn each_last(
    manifest: &Manifest,
    names: &NameIndex,
    mut visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
) -> io::Result<()> {
    manifest.visit(|line: ManifestLine<'_>| {
        let Ok(summary) = line.summary else { return Ok(()) };
        let owner = names.get(&key(&summary.path));
        if !matches!(owner, Some(IndexedOwner::Recorded { at, .. }) if at == line.at) {
            return Ok(());
        }
        match manifest.read(line.at) {
            Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
            entry => visit(&summary.path, entry.ok()),
        }
    })
}

/// Finds the last line about each name, and counts the invalid ones.
///
/// # Errors
/// If the manifest cannot be read.
pub(super) fn index_last_entries(
    dir: &Path,
    manifest: &Manifest,
    mut notice: impl FnMut(&str),
) -> io::Result<(NameIndex, u64)> {
    let mut names = NameIndex::new();
    let bad = each_entry(
        dir,
        manifest,
        |text| notice(&text),
        |at, summary| {
            // The check is not that of a URL here, but of the name that the entry expects to exist.
            let expected = match summary.kind {
                EntryKind::Saved | EntryKind::Marked => NameCheck::of(&*summary.path),
                EntryKind::Partial => NameCheck::of(naming::part_of(&summary.path)),
                EntryKind::Archived | EntryKind::Appended => return Ok(()),
                EntryKind::Dropped => return names.set(&key(&summary.path), IndexedOwner::Folder),
            };
            names.set(&key(&summary.path), IndexedOwner::Recorded { check: expected, at })
        },
    )?;
    Ok((names, bad))
}

fn key(name: &str) -> NameKey {
    NameKey::of(&naming::key(name))
}

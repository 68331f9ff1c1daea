//! What earlier runs have saved, for `fetch verify`: a directory, or archives.

use std::io;
use std::path::Path;

use super::archive::SavedArchive;
use super::dir::FileEntry;
use super::entry::{ManifestEntry, Mark};
#[cfg(feature = "object-store")]
use super::objects::{SavedObjectArchives, SavedObjects};
use super::saved_folder::{FileCheck, FileState, OpenMode, SavedFolder, SavedFolderError};
#[cfg(not(feature = "object-store"))]
use crate::object_access::ObjectError;
use crate::plan::ObjectUrl;

/// What earlier runs have saved, locked. Threads may share it.
#[derive(Debug)]
pub(crate) enum SavedBodies {
    /// The files of a directory.
    Folder(SavedFolder),
    /// Archives.
    Archive(Box<SavedArchive>),
    /// The objects of a store.
    #[cfg(feature = "object-store")]
    Objects(Box<SavedObjects>),
    /// Archives in a store.
    #[cfg(feature = "object-store")]
    ObjectArchives(Box<SavedObjectArchives>),
}

impl SavedBodies {
    /// Opens the directory at `path`, or the archives of this prefix. Calls `notice` with a warning about each invalid line
    /// of the manifest.
    ///
    /// # Errors
    /// See [`SavedFolderError`].
    pub(crate) fn open(
        path: &Path,
        mode: OpenMode,
        mut notice: impl FnMut(&str),
    ) -> Result<Self, SavedFolderError> {
        if let Some(url) = ObjectUrl::of(path) {
            return open_objects(&url, path, mode, notice);
        }
        match SavedFolder::open(path, mode, &mut notice) {
            Ok(folder) => Ok(Self::Folder(folder)),
            Err(error @ (SavedFolderError::NoFolder { .. } | SavedFolderError::NoManifest(_))) => {
                let archive = SavedArchive::open(path, mode, notice)?;
                archive.map(|archive| Self::Archive(Box::new(archive))).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The number of invalid lines in the manifest.
    pub(crate) fn bad_lines(&self) -> u64 {
        match self {
            Self::Folder(folder) => folder.bad_lines(),
            Self::Archive(archive) => archive.bad_lines(),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => objects.bad_lines(),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(archives) => archives.bad_lines(),
        }
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
        match self {
            Self::Folder(folder) => folder.each(visit),
            Self::Archive(archive) => archive.each(visit),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => objects.each(visit),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(archives) => archives.each(visit),
        }
    }

    /// The result of checking a saved body; an entry about anything else is not examined.
    ///
    /// # Errors
    /// If it exists and cannot be read, or a complete file cannot be renamed.
    pub(crate) fn compare(&self, entry: &ManifestEntry<'_>) -> io::Result<FileCheck> {
        match (self, entry) {
            (Self::Folder(folder), ManifestEntry::Saved(saved)) => folder.compare(saved),
            (Self::Archive(archive), ManifestEntry::Archived(entry)) => archive.compare(entry),
            #[cfg(feature = "object-store")]
            (Self::Objects(objects), ManifestEntry::Saved(saved)) => Ok(objects.compare(saved)),
            #[cfg(feature = "object-store")]
            (Self::ObjectArchives(archives), ManifestEntry::Archived(entry)) => {
                Ok(archives.compare(entry))
            }
            _ => Ok(FileCheck::plain(FileState::Nameless)),
        }
    }

    /// Whether there is no file of this name, as far as can be seen.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.is_missing(name),
            Self::Archive(archive) => archive.is_missing(name),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => objects.is_missing(name),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(archives) => archives.is_missing(name),
        }
    }

    /// The files that the manifest of a directory does not know, and what stands in archives behind what theirs knows. Continues
    /// after an error.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn extras(
        &self,
    ) -> io::Result<Box<dyn Iterator<Item = io::Result<FileEntry>> + '_>> {
        match self {
            Self::Folder(folder) => Ok(Box::new(folder.extras()?)),
            // Beside archives there may be anything.
            Self::Archive(archive) => Ok(Box::new(archive.extras().into_iter())),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => Ok(Box::new(objects.extras().into_iter().map(Ok))),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(_) => Ok(Box::new(std::iter::empty())),
        }
    }

    /// Records in the manifest that the body of this name must be fetched again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(crate) fn mark(&self, path: &str, mark: Mark) -> io::Result<()> {
        match self {
            Self::Folder(folder) => folder.mark(path, mark),
            Self::Archive(archive) => archive.mark(path, mark),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => objects.mark(path, mark),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(archives) => archives.mark(path, mark),
        }
    }

    /// Writes what was recorded and is not written yet.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(crate) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Folder(_) | Self::Archive(_) => Ok(()),
            #[cfg(feature = "object-store")]
            Self::Objects(objects) => objects.finish(),
            #[cfg(feature = "object-store")]
            Self::ObjectArchives(archives) => archives.finish(),
        }
    }
}

#[cfg(feature = "object-store")]
fn open_objects(
    url: &ObjectUrl,
    path: &Path,
    mode: OpenMode,
    mut notice: impl FnMut(&str),
) -> Result<SavedBodies, SavedFolderError> {
    if let Some(objects) = SavedObjects::open(url, mode, &mut notice)? {
        return Ok(SavedBodies::Objects(Box::new(objects)));
    }
    let archives = SavedObjectArchives::open(url, mode, notice)?;
    let none = || SavedFolderError::NoManifest(path.to_owned());
    archives.map(|archives| SavedBodies::ObjectArchives(Box::new(archives))).ok_or_else(none)
}

#[cfg(not(feature = "object-store"))]
fn open_objects(
    url: &ObjectUrl,
    _: &Path,
    _: OpenMode,
    _: impl FnMut(&str),
) -> Result<SavedBodies, SavedFolderError> {
    Err(super::StoreError::Objects(ObjectError::Unbuilt(url.to_string())).into())
}

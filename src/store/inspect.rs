//! Inspects a directory for a dry run: predicts the claims of a run without creating, locking or writing anything.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::archive::OpenArchive;
use super::dir::{DirFile, FileKind, IfMissing, SaveDir};
use super::entry::SavedEntry;
use super::errors::NOT_OURS;
use super::manifest::Manifest;
use super::{FolderDestination, OpenFolder, Store, StoreError, object_places};
use crate::digest::ExpectedDigests;
use crate::model::Failure;
use crate::plan::{ForeignFilePolicy, ObjectUrl, Saving};

impl Store {
    /// Opens what bodies are saved in read-only. Returns warnings about its manifest too. The store is for claims only;
    /// they are the ones that a run would make.
    ///
    /// # Errors
    /// If it cannot be read. A missing directory is no error.
    pub(crate) fn inspect(
        saving: Saving<'_>,
        expected: &Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let expected = Arc::clone(expected);
        match saving {
            Saving::Nothing => Ok((Self::discard(), Vec::new())),
            Saving::Directory(options) if let Some(url) = ObjectUrl::of(&options.dir) => {
                object_places::open(&url, options, expected, None)
            }
            Saving::Directory(options) => {
                let (folder, manifest) = open_read_only(&options.dir)
                    .map_err(|reason| StoreError::Unusable { dir: options.dir.clone(), reason })?;
                let (open, notices) = OpenFolder::load(options, expected, folder, manifest, None)?;
                Ok((Self(Arc::new(FolderDestination(Arc::new(open)))), notices))
            }
            Saving::Archive(options) if let Some(url) = ObjectUrl::of(&options.prefix) => {
                object_places::open_archives(&url, options, expected, None)
            }
            Saving::Archive(options) => {
                let (open, notices) = OpenArchive::inspect(options, expected)?;
                Ok((Self(Arc::new(open)), notices))
            }
        }
    }
}

impl OpenFolder {
    pub(super) fn is_dry(&self) -> bool {
        self.lock.is_none()
    }

    /// The file that will have the final name once a recorded rename is completed.
    pub(super) fn predicted_claim(
        &self,
        name: &str,
        saved: &SavedEntry<'_>,
        file: &DirFile,
    ) -> Result<FileKind, Failure> {
        let part = file.part_kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))?;
        let there = file.kind().map_err(|error| self.work_dir.io_failure(name, &error, 0))?;
        match (part, there) {
            (FileKind::File { bytes, .. }, _) if bytes != saved.bytes => Ok(there),
            (FileKind::File { .. }, FileKind::File { .. })
                if !saved.replaces && self.options.foreign == ForeignFilePolicy::Stays =>
            {
                Err(self.work_dir.name_conflict(name, NOT_OURS))
            }
            (FileKind::File { .. }, FileKind::Nothing | FileKind::File { .. }) => Ok(part),
            _ => Ok(there),
        }
    }
}

/// Opens the directory and its manifest read-only. A missing directory counts as an empty one.
fn open_read_only(dir: &Path) -> io::Result<(SaveDir, Manifest)> {
    let folder = match SaveDir::open(dir, IfMissing::Refuse) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let nowhere = tempfile::tempdir()?;
            return Ok((SaveDir::open(nowhere.path(), IfMissing::Refuse)?, Manifest::empty()?));
        }
        folder => folder?,
    };
    let manifest = match folder.bookkeeping_if_there()? {
        Some(bookkeeping) => Manifest::look(&bookkeeping)?,
        None => None,
    };
    Ok((folder, manifest.map_or_else(Manifest::empty, Ok)?))
}

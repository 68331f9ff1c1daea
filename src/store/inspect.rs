//! A look at a folder: what a run would make of it, told without making, locking or writing anything in it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::dir::{DirFile, FileKind, IfMissing, SaveDir};
use super::entry::SavedEntry;
use super::errors::NOT_OURS;
use super::manifest::Manifest;
use super::{OpenFolder, Store, StoreError, StoreKind};
use crate::digest::ExpectedDigests;
use crate::model::Failure;
use crate::plan::{ForeignFilePolicy, SaveOptions};

impl Store {
    /// Looks at the folder that was asked for, if one was, as it is now; also what was odd about its manifest. The
    /// store is for claims alone; they are those that a run would make.
    ///
    /// # Errors
    /// If it cannot be read. That it is not there is fine.
    pub fn inspect(
        keep: Option<&SaveOptions>,
        wanted: &Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let Some(keep) = keep else { return Ok((Self::discard(), Vec::new())) };
        let (folder, manifest) = looked_at(&keep.dir)
            .map_err(|reason| StoreError::Unusable { dir: keep.dir.clone(), reason })?;
        let (open, notices) = OpenFolder::read(keep, Arc::clone(wanted), folder, manifest, None)?;
        Ok((Self(StoreKind::Directory(Arc::new(open))), notices))
    }
}

impl OpenFolder {
    pub(super) fn is_dry(&self) -> bool {
        self.lock.is_none()
    }

    /// What will stand under the final name of a file that was saved, once a rename that was written down and did not
    /// come about is made up for.
    pub(super) fn predicted_claim(
        &self,
        name: &str,
        saved: &SavedEntry<'_>,
        seat: &DirFile,
    ) -> Result<FileKind, Failure> {
        let part = seat.part().map_err(|error| self.work_dir.fault(name, &error, 0))?;
        let there = seat.found().map_err(|error| self.work_dir.fault(name, &error, 0))?;
        match (part, there) {
            (FileKind::File { bytes, .. }, _) if bytes != saved.bytes => Ok(there),
            (FileKind::File { .. }, FileKind::File { .. })
                if !saved.replaces && self.keep.foreign == ForeignFilePolicy::Stays =>
            {
                Err(self.work_dir.in_the_way(name, NOT_OURS))
            }
            (FileKind::File { .. }, FileKind::Nothing | FileKind::File { .. }) => Ok(part),
            _ => Ok(there),
        }
    }
}

/// The folder and its manifest, to be read alone. A folder that is not there is looked at as one that is empty.
fn looked_at(dir: &Path) -> io::Result<(SaveDir, Manifest)> {
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

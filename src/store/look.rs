//! A look at a folder: what a run would make of it, told without making, locking or writing anything in it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::Saved;
use super::folder::{Folder, Found, Missing, Seat};
use super::manifest::Manifest;
use super::{Open, Store, StoreError};
use crate::plan::Keep;
use crate::record::Failure;

/// The manifest's name in the folder of bookkeeping.
const MANIFEST: &str = "manifest.jsonl";

impl Store {
    /// Looks at the folder that was asked for, if one was, as it is now; also what was odd about its manifest. The
    /// store is for claims alone; they are those that a run would make.
    ///
    /// # Errors
    /// If it cannot be read. That it is not there is fine.
    pub fn look(keep: Option<&Keep>) -> Result<(Self, Vec<String>), StoreError> {
        let Some(keep) = keep else { return Ok((Self::nowhere(), Vec::new())) };
        let (folder, manifest) = looked_at(&keep.dir)
            .map_err(|reason| StoreError::Unusable { dir: keep.dir.clone(), reason })?;
        let (open, notices) = Open::read(keep, folder, manifest, None)?;
        Ok((Self(Some(Arc::new(open))), notices))
    }
}

impl Open {
    pub(super) fn only_looks(&self) -> bool {
        self.lock.is_none()
    }

    /// What will stand under the final name of a file that was saved, once a rename that was written down and did not
    /// come about is made up for.
    pub(super) fn foreseen(
        &self,
        name: &str,
        saved: &Saved<'_>,
        seat: &Seat,
    ) -> Result<Found, Failure> {
        let part = seat.part().map_err(|error| self.fault(name, &error, 0))?;
        let there = seat.found().map_err(|error| self.fault(name, &error, 0))?;
        match (part, there) {
            (Found::File { bytes, .. }, _) if bytes != saved.bytes => Ok(there),
            (Found::File { .. }, Found::File { .. }) if !saved.replaces => {
                Err(self.in_the_way(name, "was not saved by fetch; move it away"))
            }
            (Found::File { .. }, Found::Nothing | Found::File { .. }) => Ok(part),
            _ => Ok(there),
        }
    }
}

/// The folder, and a copy of its manifest that has no name: whoever reads a manifest mends its last line, which another
/// run may be in the middle of. A folder that is not there is looked at as one that is empty.
fn looked_at(dir: &Path) -> io::Result<(Folder, Manifest)> {
    let scratch = tempfile::tempdir()?;
    let nowhere = Folder::open(scratch.path(), Missing::Refuse)?;
    let copy = nowhere.bookkeeping()?;
    let folder = match Folder::open(dir, Missing::Refuse) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => nowhere,
        folder => folder?,
    };
    let original = match folder.bookkeeping_if_there()?.map(|dir| dir.open(MANIFEST)) {
        Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        original => original.and_then(Result::ok),
    };
    if let Some(original) = original {
        let mut original: File = original.into_std();
        io::copy(&mut original, &mut copy.create(MANIFEST)?.into_std())?;
    }
    let (manifest, _) = Manifest::open(&copy)?;
    Ok((folder, manifest))
}

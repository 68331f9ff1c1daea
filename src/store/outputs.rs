//! Output files in the save directory (`--report`, `--failed`): their names are claimed before the first target claims
//! one, so that no body replaces them, and they replace no body.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{IndexedOwner, NameCheck, NameKey, OpenFolder, Store, set_owner};
use crate::naming;
use crate::store::entry::ManifestEntry;
use crate::text::io_message;

/// Why an output file cannot be written in the save directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// It is in `.fetch`.
    #[error("cannot write {}: it is in the .fetch directory of saved files; name another file", .0.display())]
    Bookkeeping(PathBuf),
    /// Its name is that of a partial file.
    #[error("cannot write {}: names in .part are for partial files; name another file", .0.display())]
    Partial(PathBuf),
    /// The manifest has an entry about its name, or about names below it.
    #[error("cannot write {}: the name belongs to a saved file; name another file", .0.display())]
    Saved(PathBuf),
    /// The manifest cannot be read.
    #[error("cannot write {}: {}", path.display(), io_message(reason))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system error.
        reason: io::Error,
    },
}

impl Store {
    /// Claims the names of these files, as far as they are in the save directory. Their paths are free of symbolic
    /// links. Must be called before the first [`claim`](Self::claim).
    ///
    /// # Errors
    /// If one is that of a saved file, or of a file that fetch needs.
    pub(crate) fn claim_outputs(&self, paths: &[PathBuf]) -> Result<(), OutputError> {
        self.0.claim_outputs(paths)
    }
}

impl OpenFolder {
    pub(super) fn claim_output(&self, path: &Path) -> Result<(), OutputError> {
        // A name that is not UTF-8 is none that fetch gives.
        let Some(name) = self.name_within(path).and_then(Path::to_str) else { return Ok(()) };
        if name.split('/').next().is_some_and(|first| first.eq_ignore_ascii_case(".fetch")) {
            return Err(OutputError::Bookkeeping(path.to_owned()));
        }
        if name.to_ascii_lowercase().ends_with(naming::PART_SUFFIX) {
            return Err(OutputError::Partial(path.to_owned()));
        }
        let unreadable = |reason| OutputError::Unreadable { path: path.to_owned(), reason };
        let mut names = self.names();
        match names.get(&NameKey::of(&naming::key(name))) {
            Some(IndexedOwner::Recorded { at, .. }) => {
                match self.name_view().entry(at).map_err(unreadable)? {
                    Some(ManifestEntry::Dropped(_)) | None => {}
                    Some(_) => return Err(OutputError::Saved(path.to_owned())),
                }
            }
            Some(IndexedOwner::Folder) => return Err(OutputError::Saved(path.to_owned())),
            Some(IndexedOwner::Listed { .. }) | None => {}
        }
        // The check is that of no target, so the index is never used.
        let owner = IndexedOwner::Listed { check: NameCheck::of("output"), index: 0 };
        set_owner(&mut names, name, owner).map_err(unreadable)
    }

    /// The path relative to the save directory, whatever name that goes by; `None` if it is not below it.
    fn name_within<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        let root = identity(&self.options.dir)?;
        let above = path.ancestors().skip(1).find(|above| identity(above) == Some(root))?;
        path.strip_prefix(above).ok()
    }
}

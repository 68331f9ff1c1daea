//! Compares the manifest of archives in an object store with a listing of them, for `fetch verify`. No archive is read.

use std::collections::HashMap;
use std::io;

use super::archives::{ListedArchive, list};
use super::lease::Lease;
use super::marks::PendingMarks;
use super::{read_manifest, take_lease};
use crate::object_access::{PATIENCE, Remote};
use crate::plan::ObjectUrl;
use crate::store::StoreError;
use crate::store::archive::SavedArchive;
use crate::store::entry::{ArchivedEntry, ManifestEntry, Mark};
use crate::store::manifest::Manifest;
use crate::store::saved_folder::{FileCheck, FileState, OpenMode};

/// The manifest and the archives of one prefix in an object store. Threads may share it.
#[derive(Debug)]
pub(crate) struct SavedObjectArchives {
    remote: Remote,
    manifest: SavedArchive,
    listed: HashMap<String, ListedArchive>,
    /// The ETags that the store returned when the archives were put.
    etags: HashMap<String, String>,
    marks: PendingMarks,
    /// `None` if nothing is written.
    _lease: Option<Lease>,
}

impl SavedObjectArchives {
    /// Reads the manifest of archives of this prefix, and lists them; `None` if there is no manifest. Calls `notice` with a
    /// warning about each invalid line of it.
    ///
    /// # Errors
    /// If another run writes them, or the store cannot be used.
    pub(in crate::store) fn open(
        url: &ObjectUrl,
        mode: OpenMode,
        notice: impl FnMut(&str),
    ) -> Result<Option<Self>, StoreError> {
        if url.prefix.is_empty() {
            return Ok(None);
        }
        let (remote, stem) = Remote::open_beside(url, PATIENCE)?;
        let local = |reason| StoreError::Unusable { dir: url.to_string().into(), reason };
        let manifest = Manifest::empty().map_err(local)?;
        let (manifest, next) = read_manifest(&remote, manifest)?;
        if next == 0 {
            return Ok(None);
        }
        let lease = match mode {
            OpenMode::Look => None,
            OpenMode::Repair => Some(take_lease(&remote)?),
        };
        let listed = list(&remote, &stem)?;
        let (mut etags, mut found) = (HashMap::new(), Vec::new());
        let read = manifest.visit_lines(|_, _, line| {
            let entry = line.and_then(|line| serde_json::from_slice(line).ok());
            if let Some(ManifestEntry::Appended(entry)) = entry
                && let Some(etag) = entry.object_etag
            {
                found.push((entry.path.into_owned(), etag.into_owned()));
            }
            Ok(())
        });
        read.map_err(local)?;
        etags.extend(found);
        let manifest = SavedArchive::of_stored(&stem, manifest, notice).map_err(local)?;
        let marks = PendingMarks::new(next);
        Ok(Some(Self { remote, manifest, listed, etags, marks, _lease: lease }))
    }

    /// See [`SavedArchive::bad_lines`].
    pub(in crate::store) fn bad_lines(&self) -> u64 {
        self.manifest.bad_lines()
    }

    /// See [`SavedArchive::each`].
    ///
    /// # Errors
    /// If the manifest cannot be read, and what `visit` returns.
    pub(in crate::store) fn each(
        &self,
        visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.manifest.each(visit)
    }

    /// Compares the entry of a body with the listing: whether its archive is long enough, and still has the ETag that the store
    /// returned when it was put.
    pub(in crate::store) fn compare(&self, entry: &ArchivedEntry<'_>) -> FileCheck {
        let name = &*entry.saved.path;
        let Some(listed) = self.listed.get(name) else {
            return FileCheck::plain(FileState::Missing);
        };
        if entry.offset.saturating_add(entry.length) > listed.bytes {
            let message = Some(format!("the archive has {} bytes", listed.bytes));
            return FileCheck { message, ..FileCheck::plain(FileState::Missing) };
        }
        let both = self.etags.get(name).zip(listed.etag.as_ref());
        let unquoted = |etag: &str| etag.trim_matches('"').to_owned();
        match both {
            Some((known, now)) if unquoted(known) != unquoted(now) => {
                FileCheck::changed(None, "the archive is another one".to_owned())
            }
            both => FileCheck {
                bytes: Some(entry.saved.bytes),
                by: both.map(|_| "etag"),
                ..FileCheck::plain(FileState::Whole)
            },
        }
    }

    /// Whether the archive of the body with this name is missing.
    pub(in crate::store) fn is_missing(&self, name: &str) -> bool {
        let archive = name.split_once(':').map_or(name, |(archive, _)| archive);
        !self.listed.contains_key(archive)
    }

    /// Records that a body must be fetched again.
    ///
    /// # Errors
    /// If the entry cannot be serialized.
    pub(in crate::store) fn mark(&self, path: &str, mark: Mark) -> io::Result<()> {
        self.marks.add(path, mark)
    }

    /// Puts the marks into the manifest.
    ///
    /// # Errors
    /// If the store does not take them.
    pub(in crate::store) fn finish(&self) -> io::Result<()> {
        self.marks.put(&self.remote)
    }
}

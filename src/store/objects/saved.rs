//! Compares the manifest in an object store with a listing of the objects, for `fetch verify`. No saved object is read.

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;

use futures_util::TryStreamExt;
use object_store::ObjectMeta;

use super::marks::PendingMarks;
use super::{Lease, read_manifest, take_lease, unusable};
use crate::naming;
use crate::object_access::{ObjectFault, PATIENCE, Remote};
use crate::plan::ObjectUrl;
use crate::store::StoreError;
use crate::store::dir::FileEntry;
use crate::store::entry::{ManifestEntry, Mark, SavedEntry};
use crate::store::manifest::Manifest;
use crate::store::name_index::{NameIndex, NameKey};
use crate::store::saved_folder::{FileCheck, FileState, OpenMode, each_last, index_last_entries};
use crate::sync::lock;

/// What the names of fetch's own objects begin with.
const OWN_PREFIX: &str = ".fetch/";

/// The manifest and the objects of a place in an object store. Threads may share it.
#[derive(Debug)]
pub(crate) struct SavedObjects {
    remote: Remote,
    manifest: Manifest,
    names: NameIndex,
    bad_lines: u64,
    /// The objects with an entry.
    listed: HashMap<NameKey, ListedObject>,
    /// The objects without an entry.
    extras: Mutex<Vec<FileEntry>>,
    marks: PendingMarks,
    /// `None` if nothing is written.
    _lease: Option<Lease>,
}

/// What a listing says of an object.
#[derive(Debug)]
struct ListedObject {
    bytes: u64,
    /// The key of its ETag.
    etag: Option<NameKey>,
}

impl SavedObjects {
    /// Reads the manifest at this URL, and lists the objects there; `None` if nothing was saved there. Calls `notice` with a
    /// warning about each invalid line of the manifest.
    ///
    /// # Errors
    /// If another run saves there, or the store cannot be used.
    pub(crate) fn open(
        url: &ObjectUrl,
        mode: OpenMode,
        notice: impl FnMut(&str),
    ) -> Result<Option<Self>, StoreError> {
        let remote = Remote::open(url, PATIENCE)?;
        let lease = match mode {
            OpenMode::Look => None,
            OpenMode::Repair => Some(take_lease(&remote)?),
        };
        let local = |reason| StoreError::Unusable { dir: url.to_string().into(), reason };
        let manifest = Manifest::empty().map_err(local)?;
        let (manifest, next) = read_manifest(&remote, manifest)?;
        let dir = url.to_string();
        let (names, bad_lines) =
            index_last_entries(dir.as_ref(), &manifest, notice).map_err(local)?;
        if names.is_empty() && bad_lines == 0 {
            return Ok(None);
        }
        let objects = list(&remote)?;
        let (mut listed, mut extras) = (HashMap::new(), Vec::new());
        for object in objects {
            let Some(name) = remote.name(&object.location) else { continue };
            let key = NameKey::of(&naming::key(name));
            if names.get(&key).is_some() {
                let etag = object.e_tag.as_deref().map(etag_key);
                listed.insert(key, ListedObject { bytes: object.size, etag });
            } else if !name.starts_with(OWN_PREFIX) {
                extras.push(FileEntry { name: name.to_owned(), bytes: object.size });
            }
        }
        extras.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let (extras, marks) = (Mutex::new(extras), PendingMarks::new(next));
        Ok(Some(Self { remote, manifest, names, bad_lines, listed, extras, marks, _lease: lease }))
    }

    /// The number of invalid lines in the manifest.
    pub(crate) fn bad_lines(&self) -> u64 {
        self.bad_lines
    }

    /// Calls `visit` with each name and the last entry about it.
    ///
    /// # Errors
    /// If the manifest cannot be read, and what `visit` returns.
    pub(crate) fn each(
        &self,
        visit: impl FnMut(&str, Option<ManifestEntry<'static>>) -> io::Result<()>,
    ) -> io::Result<()> {
        each_last(&self.manifest, &self.names, visit)
    }

    /// Compares an entry with the listing: by size, and by the ETag that the store returned when the object was put.
    pub(crate) fn compare(&self, saved: &SavedEntry<'_>) -> FileCheck {
        let Some(listed) = self.listed.get(&NameKey::of(&naming::key(&saved.path))) else {
            return FileCheck::plain(FileState::Missing);
        };
        let known = saved.object_etag.as_deref().map(etag_key);
        let is_replaced = matches!((known, listed.etag), (Some(known), Some(now)) if known != now);
        let is_whole = listed.bytes == saved.bytes && !is_replaced;
        let state = if is_whole { FileState::Whole } else { FileState::Changed };
        let by = known.and(listed.etag).map(|_| "etag");
        FileCheck { bytes: Some(listed.bytes), by, ..FileCheck::plain(state) }
    }

    /// Whether there is no object of this name.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        !self.listed.contains_key(&NameKey::of(&naming::key(name)))
    }

    /// Takes the objects that are not in the manifest: only the first call returns them.
    pub(crate) fn extras(&self) -> Vec<FileEntry> {
        std::mem::take(&mut *lock(&self.extras))
    }

    /// Records that the body of this name must be fetched again.
    ///
    /// # Errors
    /// If the entry cannot be serialized.
    pub(crate) fn mark(&self, path: &str, mark: Mark) -> io::Result<()> {
        self.marks.add(path, mark)
    }

    /// Puts the marks into the manifest.
    ///
    /// # Errors
    /// If the store does not take them.
    pub(crate) fn finish(&self) -> io::Result<()> {
        self.marks.put(&self.remote)
    }
}

fn etag_key(etag: &str) -> NameKey {
    NameKey::of(etag.trim_matches('"'))
}

fn list(remote: &Remote) -> Result<Vec<ObjectMeta>, StoreError> {
    let task_remote = remote.clone();
    let listed = remote.wait(async move {
        task_remote.store.list(task_remote.root()).try_collect().await.map_err(ObjectFault::from)
    });
    listed.map_err(|fault| unusable(remote, fault))
}

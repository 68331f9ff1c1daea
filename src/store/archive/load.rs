//! Opens archives: locks them, reads their manifest, and cuts what a killed run has left.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::Deserialize;

use super::cdxj::RunLines;
use super::spool_folder::SpoolFolder;
use super::tar::{self, key_of_member};
#[cfg(feature = "object-store")]
use super::writer::StoredArchives;
use super::writer::{ArchiveNames, ArchiveWriter, Current, names_of};
use super::{OpenArchive, payload_key, saved_key};
use crate::digest::{Algorithm, ExpectedDigests};
use crate::plan::{ArchiveFormat, ArchiveOptions};
use crate::store::entry::{EntryKind, HexSha256, ManifestEntry};
use crate::store::lock::{Lock, LockError};
use crate::store::manifest::{BadManifestLine, Manifest, TailState};
use crate::store::name_index::{IndexedOwner, NameCheck, NameIndex};
use crate::store::{MAX_NOTICES, StoreError, lock};

/// The fields of a manifest entry that are needed to load it.
#[derive(Debug, Deserialize)]
pub(super) struct EntryFacts<'a> {
    /// The kind of entry.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// The name of the archive.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// Identifies the target, if the entry is about one.
    pub target: Option<HexSha256>,
    /// The byte of the archive at which its unit begins.
    #[serde(default)]
    pub offset: u64,
    /// The length of the unit in bytes.
    #[serde(default)]
    pub length: u64,
    /// The name of the body in a tar archive.
    #[serde(borrow, default)]
    pub member: Option<Cow<'a, str>>,
    /// The record of a response, if there is one.
    pub record: Option<RecordFacts>,
}

/// The fields of a response record that are needed to load its entry.
#[derive(Debug, Deserialize)]
pub(super) struct RecordFacts {
    payload: HexSha256,
    bytes: u64,
    is_whole: bool,
    is_revisit: bool,
}

/// The index of a manifest, and the state of its archives.
#[derive(Debug)]
pub(super) struct LoadedManifest {
    pub index: NameIndex,
    /// The actual lengths of archives.
    pub lengths: HashMap<String, u64>,
    /// The archive that can be continued; `None` if there is none.
    pub current: Option<Current>,
    /// The highest number of an archive.
    pub newest: Option<u64>,
    pub bad_lines: u64,
    /// Archives that are shorter than the manifest says, each with the end of its last complete unit.
    lost: HashMap<String, u64>,
    /// The end of the last unit of each archive.
    pub ends: HashMap<String, u64>,
}

/// Whether an entry counts only if its unit is in its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Entries whose unit is missing are ignored.
    Required,
    /// All entries count.
    Any,
}

/// The folder with the manifest and the lock of archives.
pub(super) fn bookkeeping_of(names: &ArchiveNames) -> PathBuf {
    names.beside("fetch")
}

/// Reads a manifest. Calls `notice` with a warning about each of the first invalid lines.
///
/// # Errors
/// If it cannot be read.
pub(super) fn load(
    names: &ArchiveNames,
    manifest: &Manifest,
    presence: Presence,
    mut notice: impl FnMut(String),
) -> io::Result<LoadedManifest> {
    let (lengths, current, newest, bad_lines, lost, ends) = Default::default();
    let index = NameIndex::new();
    let mut loaded = LoadedManifest { index, lengths, current, newest, bad_lines, lost, ends };
    let path = bookkeeping_of(names).join("manifest.jsonl");
    manifest.visit_lines(|number, at, line| {
        let facts = line.ok_or(BadManifestLine::TooLong).and_then(|line| {
            serde_json::from_slice::<EntryFacts<'_>>(line).map_err(BadManifestLine::from)
        });
        match facts {
            Ok(facts) => loaded.add(names, manifest, presence, at, &facts),
            Err(reason) => {
                loaded.bad_lines += 1;
                if loaded.bad_lines <= MAX_NOTICES {
                    let path = path.display();
                    notice(format!("{path}:{number}: ignoring invalid entry ({reason})"));
                }
                Ok(())
            }
        }
    })?;
    Ok(loaded)
}

impl LoadedManifest {
    fn add(
        &mut self,
        names: &ArchiveNames,
        manifest: &Manifest,
        presence: Presence,
        at: u64,
        facts: &EntryFacts<'_>,
    ) -> io::Result<()> {
        if facts.kind == EntryKind::Marked {
            return self.apply_mark(manifest, at, facts);
        }
        if !matches!(facts.kind, EntryKind::Archived | EntryKind::Appended) {
            return Ok(());
        }
        if !facts.path.ends_with(names.extension) {
            let error = "the archives of this prefix are of another format; use another prefix";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        self.newest = self.newest.max(names.number(&facts.path));
        let end = facts.offset.saturating_add(facts.length);
        self.set_current(facts, end);
        if presence == Presence::Required && end > self.archive_length(names, &facts.path) {
            // A further unit would be appended in the place of the missing one.
            self.current = self.current.take().filter(|current| current.name != facts.path);
            let known = self.ends.get(&*facts.path).copied().unwrap_or(0);
            self.lost.entry(facts.path.clone().into_owned()).or_insert(known);
            return Ok(());
        }
        match self.ends.get_mut(&*facts.path) {
            Some(known) => *known = end.max(*known),
            None => drop(self.ends.insert(facts.path.clone().into_owned(), end)),
        }
        let owner =
            |bytes: &HexSha256| IndexedOwner::Recorded { check: NameCheck::of_hash(&bytes.0), at };
        if let Some(target) = &facts.target {
            self.index.set(&saved_key(target), owner(target))?;
        }
        let has_body =
            |record: &&RecordFacts| record.is_whole && !record.is_revisit && record.bytes > 0;
        match facts.record.as_ref().filter(has_body) {
            Some(record) => self.index.set(&payload_key(&record.payload), owner(&record.payload)),
            None => Ok(()),
        }
    }

    fn set_current(&mut self, facts: &EntryFacts<'_>, end: u64) {
        if self.lost.contains_key(&*facts.path) {
            return;
        }
        let bodies = u64::from(facts.kind == EntryKind::Archived);
        let current = match &mut self.current {
            Some(current) if current.name == facts.path => current,
            current => current.insert(Current::new(facts.path.clone().into_owned())),
        };
        current.length = current.length.max(end);
        current.bodies += bodies;
        current.keys.extend(facts.member.as_deref().and_then(key_of_member));
    }

    /// Applies a mark of `fetch verify`: the damaged body no longer counts as saved, and no other record refers to it. Nothing
    /// more is appended to its archive, since a program that reads it in sequence may stop at the damage.
    fn apply_mark(
        &mut self,
        manifest: &Manifest,
        at: u64,
        facts: &EntryFacts<'_>,
    ) -> io::Result<()> {
        let Some(target) = &facts.target else { return Ok(()) };
        // The name of a body begins with that of its archive.
        let is_marked = |current: &Current| {
            facts.path.strip_prefix(&current.name).is_some_and(|rest| rest.starts_with(':'))
                || facts.path == current.name
        };
        self.current = self.current.take().filter(|current| !is_marked(current));
        let key = saved_key(target);
        if let Some(IndexedOwner::Recorded { at, .. }) = self.index.get(&key)
            && let Ok(ManifestEntry::Archived(entry)) = manifest.read(at)
        {
            self.index.set(&payload_key(&entry.payload), IndexedOwner::Folder)?;
        }
        self.index.set(&key, IndexedOwner::Recorded { check: NameCheck::of_hash(&target.0), at })
    }

    fn archive_length(&mut self, names: &ArchiveNames, name: &str) -> u64 {
        if let Some(length) = self.lengths.get(name) {
            return *length;
        }
        let length = names.length(name).unwrap_or(0);
        self.lengths.insert(name.to_owned(), length);
        length
    }
}

impl OpenArchive {
    /// Opens and locks the archives of these options, reads their manifest, and removes what a killed run has left. Returns
    /// warnings too.
    ///
    /// # Errors
    /// If another process writes them, or they cannot be used.
    pub(in crate::store) fn open(
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
        digests: Vec<Algorithm>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: options.prefix.clone(), reason };
        let names = names_of(&options.prefix, options.format.extension()).map_err(unusable)?;
        let path = bookkeeping_of(&names);
        let is_new = !path.exists();
        if is_new {
            ensure_no_index(&names).map_err(unusable)?;
        }
        fs::create_dir_all(&path).map_err(unusable)?;
        let bookkeeping = Dir::open_ambient_dir(&path, ambient_authority()).map_err(unusable)?;
        let held = Lock::take(&bookkeeping).map_err(|error| match error {
            LockError::Busy => StoreError::BusyArchive(options.prefix.clone()),
            LockError::Held(holder) => {
                StoreError::Held { dir: options.prefix.clone(), bookkeeping: path.clone(), holder }
            }
            LockError::Io(reason) => unusable(reason),
        })?;
        let (manifest, tail) = Manifest::open(&bookkeeping).map_err(unusable)?;
        let mut notices = Vec::new();
        if held.is_a_file() {
            notices.push(format!(
                "{}: the file system has no locks; using the lock file {} instead",
                options.prefix.display(),
                lock::FALLBACK
            ));
        }
        if let TailState::CutOff(_) = tail {
            let path = path.display();
            notices.push(format!("{path}: ignoring the truncated last line of the manifest"));
        }
        let (mut open, more) = Self::load(options, expected, names, manifest).map_err(unusable)?;
        notices.extend(more);
        open.work.clear().map_err(unusable)?;
        for name in open.cut_lost().map_err(unusable)? {
            let path = open.names.path(&name);
            notices.push(format!(
                "{}: bytes that the manifest lists are missing; removed an incomplete record at its end",
                path.display()
            ));
        }
        if open.writer().cut_torn_tail().map_err(unusable)? {
            let name = open.writer().current().map(|current| current.name.clone());
            let path = open.names.path(&name.unwrap_or_default());
            notices.push(format!("{}: removed an incomplete record at its end", path.display()));
        }
        (open.lock, open.digests) = (Some(held), digests);
        Ok((open, notices))
    }

    /// Opens archives that are put into an object store once they are complete. `manifest` lists those of all runs; those of
    /// this run are written beside `options.prefix`. Returns warnings about the manifest too.
    ///
    /// # Errors
    /// If they cannot be used.
    #[cfg(feature = "object-store")]
    pub(in crate::store) fn open_stored(
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
        digests: Vec<Algorithm>,
        stored: StoredArchives,
        manifest: Manifest,
    ) -> io::Result<(Self, Vec<String>)> {
        let mut names = names_of(&options.prefix, options.format.extension())?;
        names.stored = Some(stored);
        let (mut open, notices) = Self::load(options, expected, names, manifest)?;
        open.digests = digests;
        Ok((open, notices))
    }

    /// Reads the manifest of archives, for claims only.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(in crate::store) fn inspect(
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: options.prefix.clone(), reason };
        let names = names_of(&options.prefix, options.format.extension()).map_err(unusable)?;
        let manifest = look(&bookkeeping_of(&names)).map_err(unusable)?;
        let manifest = manifest.map_or_else(Manifest::empty, Ok).map_err(unusable)?;
        Self::load(options, expected, names, manifest).map_err(unusable)
    }

    fn load(
        options: &ArchiveOptions,
        expected: Arc<ExpectedDigests>,
        names: ArchiveNames,
        manifest: Manifest,
    ) -> io::Result<(Self, Vec<String>)> {
        let mut notices = Vec::new();
        let mut loaded =
            load(&names, &manifest, Presence::Required, |notice| notices.push(notice))?;
        if names.stored.is_some() {
            // Nothing can be appended to an object.
            loaded.current = None;
        }
        let bookkeeping = bookkeeping_of(&names);
        let work = SpoolFolder::new(bookkeeping.join("work"), options.format, options.min_free);
        let writer = ArchiveWriter::new(names.clone(), loaded.current, loaded.newest);
        // An archive that cannot be put into the store must not be in the index, so that is made at the end.
        let has_index = options.format == ArchiveFormat::Warc && names.stored.is_none();
        let indexed = has_index.then(|| RunLines::new(manifest.length()));
        let open = Self {
            options: options.clone(),
            names,
            expected,
            digests: Vec::new(),
            work: Arc::new(work),
            manifest,
            bookkeeping,
            index: Mutex::new(loaded.index),
            lengths: loaded.lengths,
            lost: loaded.lost,
            writer: Mutex::new(writer),
            indexed: Mutex::new(indexed),
            unchecked: AtomicU64::new(0),
            lock: None,
        };
        Ok((open, notices))
    }
}

impl OpenArchive {
    /// Truncates archives that have lost their end after their last complete unit. Returns the names of those from which
    /// something was removed.
    fn cut_lost(&self) -> io::Result<Vec<String>> {
        let mut cut = Vec::new();
        for (name, end) in &self.lost {
            let path = self.names.path(name);
            let mut file = match OpenOptions::new().read(true).write(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let length = file.metadata()?.len();
            if length <= *end || tar::is_end(&file, *end, length)? {
                continue;
            }
            file.set_len(*end)?;
            if self.options.format == ArchiveFormat::Tar {
                file.seek(SeekFrom::End(0))?;
                file.write_all(&tar::END)?;
            }
            cut.push(name.clone());
        }
        Ok(cut)
    }
}

/// The manifest in this folder, read-only; `None` if there is none.
///
/// # Errors
/// If it cannot be read.
pub(super) fn look(bookkeeping: &Path) -> io::Result<Option<Manifest>> {
    match Dir::open_ambient_dir(bookkeeping, ambient_authority()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        folder => Manifest::look(&folder?),
    }
}

/// Fails if there is an index that fetch has not written.
fn ensure_no_index(names: &ArchiveNames) -> io::Result<()> {
    let path = names.beside("cdxj");
    match fs::symlink_metadata(&path) {
        Ok(_) => {
            let error = format!("{} was not written by fetch; move it away", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, error))
        }
        Err(_) => Ok(()),
    }
}

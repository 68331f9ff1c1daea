//! Saves response bodies: discards them, writes each to a file of a directory, or appends them to archives
//! (`archive/mod.rs`), beside a manifest that records what every file is. Makes no request and decides nothing about
//! requests. The destinations are behind one trait (`destination.rs`).
//!
//! In a directory a body is written to a partial file (`NAME.part`), then recorded in the manifest, then renamed, in this order. A run
//! may be killed between any two steps; the next run can tell from the manifest what it finds:
//!
//! - if the last entry about a name is `saved`, the file is complete: under its final name or, if it was not renamed
//!   yet, under the partial one;
//! - if it is `partial`, the partial file holds the beginning of the version that the entry identifies. If the entry
//!   lists byte ranges, only these ranges of the partial file are of that version;
//! - if there is no entry, a partial file is of no use.
//!
//! Therefore a partial file whose name has an entry is removed first, then its `partial` entry is written, and only
//! then is it created anew. A partial name belongs to one final name: a body that gets another final name than the one
//! it was begun for is moved to the partial name of that one first. A byte range is recorded only after it was written,
//! and an entry lists all ranges that earlier entries have listed since the partial file was created.

mod archive;
mod claim;
mod commit;
mod destination;
mod dir;
mod entry;
mod errors;
mod failpoint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod inspect;
mod late_digest;
mod lock;
mod lock_file;
mod manifest;
mod name_index;
mod names;
mod object_places;
#[cfg(feature = "object-store")]
mod objects;
mod outputs;
mod saved;
mod saved_folder;
mod sink;
mod work_dir;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::digest::{Algorithm, Digest, ExpectedDigests};
use crate::model::{Attempt, CapturedExchange, Failure, Job, Record, Target};
use crate::naming;
use crate::object_access::ObjectError;
use crate::plan::{Durability, NameSource, ObjectUrl, SaveOptions, Saving};
use crate::sync::lock;
use crate::text::io_message;
use archive::OpenArchive;
pub(crate) use claim::{Claim, ClaimResult, SkipReason, UndigestedFile};
pub(crate) use destination::Pending;
use destination::{Destination, Discard};
pub(crate) use dir::FileEntry;
use dir::{IfMissing, SaveDir};
use entry::EntrySummary;
pub(crate) use entry::{HexSha256, ManifestEntry, Mark, MarkReason, SavedEntry};
use lock::{Lock, LockError};
use manifest::{Manifest, TailState};
use name_index::{HashKind, IndexedOwner, NameCheck, NameIndex, NameKey};
use names::NameView;
use outputs::OutputError;
pub(crate) use saved::SavedBodies;
pub(crate) use saved_folder::{FileCheck, FileState, OpenMode, SavedFolderError};
pub(crate) use sink::{BodyInfo, BodyStart, Leftover, Sink, SinkState, WriteMode};
use work_dir::WorkDir;
pub(crate) use work_dir::{ChildStoreConfig, PartialRecorder};

/// Invalid lines of a manifest that are reported one by one.
const MAX_NOTICES: u64 = 5;

/// Where all bodies of a run go.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<dyn Destination>);

/// A directory to save into, with its manifest.
#[derive(Debug)]
struct OpenFolder {
    options: SaveOptions,
    expected: Arc<ExpectedDigests>,
    /// The digests that saved files must have in the manifest, the one to be reported first.
    digests: Vec<Algorithm>,
    work_dir: Arc<WorkDir>,
    manifest: Manifest,
    names: Mutex<NameIndex>,
    /// Whether the manifest had entries when it was opened.
    was_known: bool,
    /// Whether the directory was empty when it was opened. Then no existing file has to be looked for before a request
    /// is made; one that is created meanwhile is detected when the partial file is renamed.
    was_empty: bool,
    /// Files that were skipped although the manifest has no digest to compare with the expected one.
    unchecked: AtomicU64,
    /// `None` in a dry run, which may not write.
    lock: Option<Lock>,
}

/// Why a directory, a prefix of archives or a place in an object store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process saves to it.
    #[error("{} is in use by another fetch process; wait for it, or use another --dir", .0.display())]
    Busy(PathBuf),
    /// Another process writes these archives.
    #[error(
        "the archives {} are in use by another fetch process; wait for it, or use another prefix", .0.display()
    )]
    BusyArchive(PathBuf),
    /// A lock file is in it, and whether its process still runs is not known.
    #[error("{}", lock_advice(dir, bookkeeping, holder))]
    Held {
        /// The directory, or the prefix of archives.
        dir: PathBuf,
        /// The directory that has the lock file.
        bookkeeping: PathBuf,
        /// The process.
        holder: String,
    },
    /// It cannot be created, opened, read or written.
    #[error("cannot use {}: {}", dir.display(), io_message(reason))]
    Unusable {
        /// The directory, the prefix or the URL of the place.
        dir: PathBuf,
        /// The system error.
        reason: io::Error,
    },
    /// Another run saves to the same place in an object store.
    #[error(
        "{url} is in use by another fetch process ({holder}); wait for it, or use another place"
    )]
    ObjectsLeased {
        /// The place.
        url: String,
        /// The run.
        holder: String,
    },
    /// An object store cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectError),
}

impl StoreError {
    /// Whether the user has to change something about the directory, rather than the machine.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Busy(_)
            | Self::BusyArchive(_)
            | Self::Held { .. }
            | Self::ObjectsLeased { .. } => true,
            Self::Objects(error) => error.is_usage(),
            Self::Unusable { reason, .. } => {
                matches!(reason.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory)
            }
        }
    }
}

impl Store {
    /// A store that discards all bodies.
    pub(crate) fn discard() -> Self {
        Self(Arc::new(Discard))
    }

    /// Opens and locks what bodies are saved in, and reads its manifest. Returns warnings about the manifest too.
    /// `expected` are the digests that bodies must have, `digests` those to compute.
    ///
    /// # Errors
    /// If another process saves to it, or it cannot be used.
    pub(crate) fn open(
        saving: Saving<'_>,
        expected: &Arc<ExpectedDigests>,
        digests: &[Algorithm],
    ) -> Result<(Self, Vec<String>), StoreError> {
        let expected = Arc::clone(expected);
        match saving {
            Saving::Nothing => Ok((Self::discard(), Vec::new())),
            Saving::Directory(options) if let Some(url) = ObjectUrl::of(&options.dir) => {
                object_places::open(&url, options, expected, Some(recorded(digests)))
            }
            Saving::Directory(options) => {
                let (mut open, notices) = OpenFolder::open_for_saving(options, expected)?;
                open.digests = recorded(digests);
                Ok((Self(Arc::new(FolderDestination(Arc::new(open)))), notices))
            }
            Saving::Archive(options) if let Some(url) = ObjectUrl::of(&options.prefix) => {
                let digests = Some(recorded(digests));
                object_places::open_archives(&url, options, expected, digests)
            }
            Saving::Archive(options) => {
                let (open, notices) = OpenArchive::open(options, expected, recorded(digests))?;
                Ok((Self(Arc::new(open)), notices))
            }
        }
    }

    /// The number of files so far that were skipped although the manifest has no digest to compare with the expected
    /// one.
    pub(crate) fn unchecked(&self) -> u64 {
        self.0.unchecked()
    }

    /// Records that a target has failed for good. `exchange` is what its last attempt has brought, if that is in no
    /// archive yet.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn note_failure(
        &self,
        record: &Record,
        exchange: Option<Box<CapturedExchange>>,
    ) -> Result<(), Failure> {
        self.0.note_failure(record, exchange)
    }

    /// Drops what an attempt has brought that is of no use, as another one follows.
    pub(crate) fn drop_exchange(&self, exchange: Box<CapturedExchange>) {
        self.0.drop_exchange(exchange);
    }

    /// Completes what is written once, at the end of the run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        self.0.finish()
    }
}

/// The digests that a manifest entry has room for: SHA-256 and one other.
fn recorded(digests: &[Algorithm]) -> Vec<Algorithm> {
    let other = digests.iter().find(|algorithm| **algorithm != Algorithm::Sha256);
    let has_room =
        |algorithm: &&Algorithm| **algorithm == Algorithm::Sha256 || Some(*algorithm) == other;
    digests.iter().filter(has_room).copied().collect()
}

/// Saves bodies to the files of a directory.
#[derive(Debug)]
struct FolderDestination(Arc<OpenFolder>);

impl Destination for FolderDestination {
    fn claim(&self, target: &Target) -> ClaimResult {
        self.0.claim(target)
    }

    fn sink(&self, job: &Job) -> Sink {
        let recorder: Arc<OpenFolder> = Arc::clone(&self.0);
        Sink::to_file(&self.0.work_dir, recorder, job)
    }

    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        self.0.record_partial(body, begin, bytes)
    }

    fn enter(
        &self,
        job: &Job,
        attempt: &mut Attempt,
        _: &dyn Fn(&Attempt) -> Record,
    ) -> Result<Pending, Failure> {
        self.0.enter_body(job, attempt)
    }

    fn commit(
        &self,
        job: &Job,
        attempt: &Attempt,
        pending: Pending,
    ) -> Result<Option<Arc<str>>, Failure> {
        self.0.commit_body(job, attempt, pending)
    }

    fn add_digests(
        &self,
        file: UndigestedFile,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Digest>, Failure> {
        self.0.add_digests(file, is_cancelled)
    }

    fn claim_outputs(&self, paths: &[PathBuf]) -> Result<(), OutputError> {
        paths.iter().try_for_each(|path| self.0.claim_output(path))
    }

    fn unchecked(&self) -> u64 {
        self.0.unchecked.load(Relaxed)
    }

    fn child_config(&self) -> Option<ChildStoreConfig> {
        Some(self.0.work_dir.child_config())
    }
}

impl OpenFolder {
    /// Opens the directory for writing, and locks it.
    fn open_for_saving(
        options: &SaveOptions,
        expected: Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: options.dir.clone(), reason };
        let folder = SaveDir::open(&options.dir, IfMissing::Create).map_err(unusable)?;
        let bookkeeping = folder.bookkeeping().map_err(unusable)?;
        let lock = Lock::take(&bookkeeping).map_err(|error| match error {
            LockError::Busy => StoreError::Busy(options.dir.clone()),
            LockError::Held(holder) => StoreError::Held {
                dir: options.dir.clone(),
                bookkeeping: options.dir.join(".fetch"),
                holder,
            },
            LockError::Io(reason) => unusable(reason),
        })?;
        let (manifest, tail) = Manifest::open(&bookkeeping).map_err(unusable)?;
        if options.durability == Durability::Power {
            folder.sync(&bookkeeping).map_err(unusable)?;
        }
        let is_file = lock.is_a_file();
        let (open, mut notices) = Self::load(options, expected, folder, manifest, Some(lock))?;
        if is_file {
            notices.push(format!(
                "{}: the file system has no locks; using the lock file .fetch/{} instead",
                options.dir.display(),
                lock::FALLBACK
            ));
        }
        if let TailState::CutOff(_) = tail {
            notices.push(format!(
                "{}: ignoring the truncated last line of the manifest",
                options.dir.display()
            ));
        }
        Ok((open, notices))
    }

    /// Reads the manifest of an open directory. Returns warnings about it too.
    fn load(
        options: &SaveOptions,
        expected: Arc<ExpectedDigests>,
        folder: SaveDir,
        manifest: Manifest,
        lock: Option<Lock>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: options.dir.clone(), reason };
        let mut notices = Vec::new();
        let names = load_names(options, &manifest, &mut notices).map_err(unusable)?;
        let was_known = !names.is_empty();
        let was_empty = folder.is_empty().map_err(unusable)?;
        let work_dir = Arc::new(WorkDir::new(options, folder));
        let (options, names, unchecked) = (options.clone(), Mutex::new(names), AtomicU64::new(0));
        Ok((
            Self {
                options,
                expected,
                digests: Vec::new(),
                work_dir,
                manifest,
                names,
                was_known,
                was_empty,
                unchecked,
                lock,
            },
            notices,
        ))
    }

    fn names(&self) -> MutexGuard<'_, NameIndex> {
        lock(&self.names)
    }

    fn name_view(&self) -> NameView<'_> {
        NameView {
            options: &self.options,
            names: &self.names,
            manifest: &self.manifest,
            was_known: self.was_known,
        }
    }
}

/// Says who holds the lock file of `dir`, and how to remove one that was left.
fn lock_advice(dir: &Path, bookkeeping: &Path, holder: &str) -> String {
    let (dir, lock) = (dir.display(), bookkeeping.display());
    format!(
        "{dir} is in use by another fetch process ({holder}); wait for it, or use another --dir, or if that process \
         has ended remove {lock}/lock.held and {lock}/lock.takeover"
    )
}

/// The owner of each name, by the manifest.
fn load_names(
    options: &SaveOptions,
    manifest: &Manifest,
    notices: &mut Vec<String>,
) -> io::Result<NameIndex> {
    let mut names = NameIndex::new();
    let notice = |text| notices.push(text);
    each_entry(&options.dir, manifest, notice, |at, summary| {
        let recorded = IndexedOwner::Recorded { check: NameCheck::of_hash(&summary.id.0), at };
        set_owner(&mut names, &summary.path, recorded)?;
        if options.named_by == NameSource::Server {
            names.set(&url_key(&summary.id), recorded)?;
        }
        Ok(())
    })?;
    Ok(names)
}

/// Calls `visit` with every entry of the manifest of `dir` and the byte at which it starts. Calls `notice` with a
/// warning about each of the first invalid lines, and one with their number. Returns that number.
fn each_entry(
    dir: &Path,
    manifest: &Manifest,
    mut notice: impl FnMut(String),
    mut visit: impl FnMut(u64, &EntrySummary<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let (dir, mut bad) = (dir.display(), 0);
    manifest.visit(|line| match line.summary {
        Ok(summary) => visit(line.at, &summary),
        Err(reason) => {
            bad += 1;
            if bad <= MAX_NOTICES {
                let number = line.number;
                notice(format!(
                    "{dir}/.fetch/manifest.jsonl:{number}: ignoring invalid entry ({reason})"
                ));
            }
            Ok(())
        }
    })?;
    if bad > MAX_NOTICES {
        notice(format!("{dir}: {bad} invalid lines in the manifest"));
    }
    Ok(bad)
}

/// Sets the owner of a name, and marks the folders above it as folders.
fn set_owner(names: &mut NameIndex, name: &str, owner: IndexedOwner) -> io::Result<()> {
    let key = naming::key(name);
    for (slash, _) in key.match_indices('/') {
        names.set(&NameKey::of(&key[..slash]), IndexedOwner::Folder)?;
    }
    names.set(&NameKey::of(&key), owner)
}

/// The key under which the index finds a target by its URL.
fn url_key(id: &entry::HexSha256) -> NameKey {
    NameKey::of_hash(HashKind::Saved, &id.0)
}

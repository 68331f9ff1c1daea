//! Where bodies and bookkeeping go: nowhere, or a folder whose files are whole, beside a manifest that tells what each
//! one is. Fetches nothing and decides nothing about requests.
//!
//! A body is written under an unfinished name, entered in the manifest, and renamed, in this order. So whatever is
//! killed between two steps, the next run knows what it finds:
//!
//! - the last entry about a name is `saved`: the file is whole, under its final name or, if the rename is still to
//!   come, under the unfinished one;
//! - it is `partial`: what the unfinished name holds is a beginning of the version that the entry names; or, if the
//!   entry tells of spans, what it holds there is of that version, and all else that it holds is of no use;
//! - there is none: an unfinished file is of no use.
//!
//! For that an unfinished file of a name that has an entry is removed first, then its `partial` entry is written, and
//! only then it is made anew. An unfinished name belongs to one final name: what is finished under another one than it
//! was begun for gets the unfinished name of that one first. Bytes are entered as a span only after they were written,
//! and an entry tells of all spans that earlier ones have told of since the file was made.

mod claim;
mod commit;
mod dir;
mod entry;
mod errors;
mod failpoint;
mod inspect;
mod lock;
mod manifest;
mod name_index;
mod saved_folder;
mod sink;
mod work_dir;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::digest::ExpectedDigests;
use crate::naming;
use crate::plan::{Durability, NameSource, NamingScheme, SaveOptions};
use crate::sync::lock;
use crate::text::io_message;
pub use claim::{Claim, SkipReason};
pub use dir::FileEntry;
use dir::{IfMissing, SaveDir};
use entry::EntrySummary;
pub use entry::{HexSha256, ManifestEntry, MarkReason, SavedEntry};
use lock::{Lock, LockError};
use manifest::{Manifest, TailState};
use name_index::{IndexedOwner, NameCheck, NameIndex, NameKey};
pub use saved_folder::{FileCheck, FileState, OpenMode, SavedFolder, SavedFolderError};
pub use sink::{BodyInfo, BodyStart, Leftover, Sink, SinkState, WriteMode};
use work_dir::WorkDir;
pub use work_dir::{ChildStoreConfig, PartialRecorder};

/// How many bad lines of a manifest are told one by one.
const TOLD: u64 = 5;

/// Where bodies go.
#[derive(Debug, Clone)]
pub struct Store(StoreKind);

#[derive(Debug, Clone)]
enum StoreKind {
    Discard,
    Directory(Arc<OpenFolder>),
    /// To the folder of another process, unfinished.
    Child(Arc<work_dir::ChildStore>),
}

/// A folder to save into.
#[derive(Debug)]
struct OpenFolder {
    keep: SaveOptions,
    wanted: Arc<ExpectedDigests>,
    work_dir: Arc<WorkDir>,
    manifest: Manifest,
    names: Mutex<NameIndex>,
    /// Whether the manifest told of anything when it was opened.
    was_known: bool,
    /// Whether it was empty when it was opened: then nothing is in the way, or has come since and is met at the end.
    was_empty: bool,
    /// Files that were skipped though nothing is known of what they must hash to.
    unchecked: AtomicU64,
    /// `None` where nothing may be written.
    lock: Option<Lock>,
}

/// Why there is no saving to a folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another run saves to it.
    #[error("{} is in use by another fetch process; wait for it, or use another --dir", .0.display())]
    Busy(PathBuf),
    /// It cannot be made, or not be used.
    #[error("cannot use directory {}: {}", dir.display(), io_message(reason))]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: io::Error,
    },
}

impl Store {
    /// Nowhere: bodies are thrown away.
    pub fn discard() -> Self {
        Self(StoreKind::Discard)
    }

    /// Opens the folder that was asked for, if one was, and reads what it holds; also what was odd about that. `wanted`
    /// is what bodies must hash to.
    ///
    /// # Errors
    /// If another run saves to it, or it cannot be used.
    pub fn open(
        keep: Option<&SaveOptions>,
        wanted: &Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let Some(keep) = keep else { return Ok((Self::discard(), Vec::new())) };
        let (open, notices) = OpenFolder::to_save(keep, Arc::clone(wanted))?;
        Ok((Self(StoreKind::Directory(Arc::new(open))), notices))
    }

    /// Files so far that were skipped though the manifest does not know the digest that they must have.
    pub fn unchecked(&self) -> u64 {
        self.local().map_or(0, |open| open.unchecked.load(Relaxed))
    }

    /// The folder with its books, where they are here.
    fn local(&self) -> Option<&Arc<OpenFolder>> {
        match &self.0 {
            StoreKind::Directory(open) => Some(open),
            StoreKind::Discard | StoreKind::Child(_) => None,
        }
    }
}

impl OpenFolder {
    /// The folder, locked and ready to be written to.
    fn to_save(
        keep: &SaveOptions,
        wanted: Arc<ExpectedDigests>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: keep.dir.clone(), reason };
        let folder = SaveDir::open(&keep.dir, IfMissing::Create).map_err(unusable)?;
        let bookkeeping = folder.bookkeeping().map_err(unusable)?;
        let lock = Lock::take(&bookkeeping).map_err(|error| match error {
            LockError::Busy => StoreError::Busy(keep.dir.clone()),
            LockError::Io(reason) => unusable(reason),
        })?;
        let (manifest, tail) = Manifest::open(&bookkeeping).map_err(unusable)?;
        if keep.durability == Durability::Power {
            folder.sync(&bookkeeping).map_err(unusable)?;
        }
        let (open, mut notices) = Self::read(keep, wanted, folder, manifest, Some(lock))?;
        if let TailState::CutOff(_) = tail {
            notices.push(format!(
                "{}: ignoring the truncated last line of the manifest",
                keep.dir.display()
            ));
        }
        Ok((open, notices))
    }

    /// The folder with all that its manifest tells, and what was odd about that.
    fn read(
        keep: &SaveOptions,
        wanted: Arc<ExpectedDigests>,
        folder: SaveDir,
        manifest: Manifest,
        lock: Option<Lock>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: keep.dir.clone(), reason };
        let mut notices = Vec::new();
        let names = known(keep, &manifest, &mut notices).map_err(unusable)?;
        let was_known = !names.is_empty();
        let was_empty = folder.is_empty().map_err(unusable)?;
        let work_dir = Arc::new(WorkDir::new(keep, folder));
        let (keep, names, unchecked) = (keep.clone(), Mutex::new(names), AtomicU64::new(0));
        Ok((
            Self { keep, wanted, work_dir, manifest, names, was_known, was_empty, unchecked, lock },
            notices,
        ))
    }

    fn names(&self) -> MutexGuard<'_, NameIndex> {
        lock(&self.names)
    }

    /// Whether targets are looked up by what they are too, because their name does not tell.
    fn looks_up_targets(&self) -> bool {
        self.keep.named_by == NameSource::Server || self.keep.names == NamingScheme::Index
    }
}

/// Who has which name, by the manifest.
fn known(
    keep: &SaveOptions,
    manifest: &Manifest,
    notices: &mut Vec<String>,
) -> io::Result<NameIndex> {
    let mut names = NameIndex::new();
    let notice = |text| notices.push(text);
    each_entry(&keep.dir, manifest, notice, |at, brief| {
        let recorded = IndexedOwner::Recorded { check: NameCheck::of(brief.id.0), at };
        enter(&mut names, &brief.path, recorded)?;
        if keep.named_by == NameSource::Server {
            names.set(&by_url(&brief.id), recorded)?;
        }
        Ok(())
    })?;
    Ok(names)
}

/// Shows every entry of the manifest of `dir` to `visit`, with the byte at which it starts. Tells of the first lines that
/// are none, and how many they are.
fn each_entry(
    dir: &Path,
    manifest: &Manifest,
    mut notice: impl FnMut(String),
    mut visit: impl FnMut(u64, &EntrySummary<'_>) -> io::Result<()>,
) -> io::Result<u64> {
    let (dir, mut bad) = (dir.display(), 0);
    manifest.visit(|line| match line.brief {
        Ok(brief) => visit(line.at, &brief),
        Err(reason) => {
            bad += 1;
            if bad <= TOLD {
                let number = line.number;
                notice(format!(
                    "{dir}/.fetch/manifest.jsonl:{number}: ignoring invalid entry ({reason})"
                ));
            }
            Ok(())
        }
    })?;
    if bad > TOLD {
        notice(format!("{dir}: {bad} invalid lines in the manifest"));
    }
    Ok(bad)
}

/// Gives a name to its holder, and the folders above it to nobody else.
fn enter(names: &mut NameIndex, name: &str, holder: IndexedOwner) -> io::Result<()> {
    let key = naming::key(name);
    for (slash, _) in key.match_indices('/') {
        names.set(&NameKey::of(&key[..slash]), IndexedOwner::Folder)?;
    }
    names.set(&NameKey::of(&key), holder)
}

/// The key of a target by its URL: no name has a colon.
fn by_url(id: &entry::HexSha256) -> NameKey {
    NameKey::of(&format!("url:{id}"))
}

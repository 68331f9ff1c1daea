//! Where bodies and bookkeeping go: nowhere, or a folder whose files are whole, beside a manifest that tells what each
//! one is. Fetches nothing and decides nothing about requests.
//!
//! A body is written under an unfinished name, entered in the manifest, and renamed, in this order. So whatever is
//! killed between two steps, the next run knows what it finds:
//!
//! - the last entry about a name is `saved`: the file is whole, under its final name or, if the rename is still to
//!   come, under the unfinished one;
//! - it is `partial`: what the unfinished name holds is a beginning of the version that the entry names;
//! - there is none: an unfinished file is of no use.
//!
//! For that an unfinished file of a name that has an entry is removed first, then its `partial` entry is written, and
//! only then it is made anew. An unfinished name belongs to one final name: what is finished under another one than it
//! was begun for gets the unfinished name of that one first.

mod claim;
mod desk;
mod entry;
mod failpoint;
mod fault;
mod folder;
mod index;
mod keeping;
mod lock;
mod look;
mod manifest;
mod sink;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::plan::{Keep, NamedBy, Names};
use crate::policy::naming;
pub use claim::{Claim, Settled};
pub use desk::{Bookkeeper, Commission};
use desk::{Books, Desk};
use folder::{Folder, Missing};
use index::{Check, Holder, Index, Key};
use lock::{Lock, LockError};
pub use manifest::Entered;
use manifest::{BadLine, Manifest, Tail};
pub use sink::{Begin, Left, Ready, Sink};

/// How many bad lines of a manifest are told one by one.
const TOLD: u64 = 5;

/// Where bodies go.
#[derive(Debug, Clone)]
pub struct Store(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Nowhere,
    Folder(Arc<Open>),
    /// To the folder of another process, unfinished.
    Child(Arc<desk::Child>),
}

/// A folder to save into.
#[derive(Debug)]
struct Open {
    keep: Keep,
    desk: Arc<Desk>,
    manifest: Manifest,
    names: Mutex<Index>,
    /// Whether the manifest told of anything when it was opened.
    was_known: bool,
    /// Whether it was empty when it was opened: then nothing is in the way, or has come since and is met at the end.
    was_empty: bool,
    /// `None` where nothing may be written.
    lock: Option<Lock>,
}

/// Why there is no saving to a folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another run saves to it.
    #[error("{}: another run is saving to this folder; wait for it, or name another --dir", .0.display())]
    Busy(PathBuf),
    /// It cannot be made, or not be used.
    #[error("{}: {reason}", dir.display())]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// The system's words.
        reason: std::io::Error,
    },
}

impl Store {
    /// Nowhere: bodies are thrown away.
    pub fn nowhere() -> Self {
        Self(Kind::Nowhere)
    }

    /// Opens the folder that was asked for, if one was, and reads what it holds; also what was odd about that.
    ///
    /// # Errors
    /// If another run saves to it, or it cannot be used.
    pub fn open(keep: Option<&Keep>) -> Result<(Self, Vec<String>), StoreError> {
        let Some(keep) = keep else { return Ok((Self::nowhere(), Vec::new())) };
        let (open, notices) = Open::open(keep)?;
        Ok((Self(Kind::Folder(Arc::new(open))), notices))
    }

    /// The folder with its books, where they are here.
    fn books(&self) -> Option<&Arc<Open>> {
        match &self.0 {
            Kind::Folder(open) => Some(open),
            Kind::Nowhere | Kind::Child(_) => None,
        }
    }
}

impl Deref for Open {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Open {
    fn open(keep: &Keep) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: keep.dir.clone(), reason };
        let folder = Folder::open(&keep.dir, Missing::Create).map_err(unusable)?;
        let bookkeeping = folder.bookkeeping().map_err(unusable)?;
        let lock = Lock::take(&bookkeeping).map_err(|error| match error {
            LockError::Busy => StoreError::Busy(keep.dir.clone()),
            LockError::Io(reason) => unusable(reason),
        })?;
        let (manifest, tail) = Manifest::open(&bookkeeping).map_err(unusable)?;
        let (open, mut notices) = Self::read(keep, folder, manifest, Some(lock))?;
        if let Tail::CutOff(_) = tail {
            notices.push(format!(
                "{}: the last line of the manifest was torn and is left out",
                keep.dir.display()
            ));
        }
        Ok((open, notices))
    }

    /// The folder with all that its manifest tells, and what was odd about that.
    fn read(
        keep: &Keep,
        folder: Folder,
        manifest: Manifest,
        lock: Option<Lock>,
    ) -> Result<(Self, Vec<String>), StoreError> {
        let unusable = |reason| StoreError::Unusable { dir: keep.dir.clone(), reason };
        let mut notices = Vec::new();
        let names = known(keep, &manifest, &mut notices).map_err(unusable)?;
        let was_known = !names.is_empty();
        let was_empty = folder.is_empty().map_err(unusable)?;
        let desk = Arc::new(Desk::new(keep, folder));
        let (keep, names) = (keep.clone(), Mutex::new(names));
        Ok((Self { keep, desk, manifest, names, was_known, was_empty, lock }, notices))
    }

    fn names(&self) -> MutexGuard<'_, Index> {
        self.names.lock().expect("no holder panics")
    }

    /// Whether targets are looked up by what they are too, because their name does not tell.
    fn looks_up_targets(&self) -> bool {
        self.keep.named_by == NamedBy::Server || self.keep.names == Names::Index
    }
}

/// Who has which name, by the manifest.
fn known(keep: &Keep, manifest: &Manifest, notices: &mut Vec<String>) -> std::io::Result<Index> {
    let mut names = match keep.names {
        Names::Hash => Index::in_file()?,
        Names::Flat | Names::Tree | Names::Index => Index::in_memory(),
    };
    let mut bad = 0;
    manifest.visit(|line| {
        let brief = match line.brief {
            Ok(brief) => brief,
            Err(reason) => {
                bad += 1;
                if bad <= TOLD {
                    notices.push(bad_line(keep, line.number, &reason));
                }
                return Ok(());
            }
        };
        let recorded = Holder::Recorded { check: Check::of(brief.id.0), at: line.at };
        enter(&mut names, &brief.path, recorded)?;
        if keep.named_by == NamedBy::Server {
            names.set(&by_url(&brief.id), recorded)?;
        }
        Ok(())
    })?;
    if bad > TOLD {
        notices.push(format!("{}: {bad} bad lines in the manifest", keep.dir.display()));
    }
    Ok(names)
}

fn bad_line(keep: &Keep, number: u64, reason: &BadLine) -> String {
    let dir = keep.dir.display();
    format!("{dir}/.fetch/manifest.jsonl:{number}: {reason}; the line is left out")
}

/// Gives a name to its holder, and the folders above it to nobody else.
fn enter(names: &mut Index, name: &str, holder: Holder) -> std::io::Result<()> {
    let key = naming::key(name);
    for (slash, _) in key.match_indices('/') {
        names.set(&Key::of(&key[..slash]), Holder::Folder)?;
    }
    names.set(&Key::of(&key), holder)
}

/// The key of a target by its URL: no name has a colon.
fn by_url(id: &entry::Sha256) -> Key {
    Key::of(&format!("url:{id}"))
}

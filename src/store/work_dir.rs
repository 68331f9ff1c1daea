//! Where bodies are written before they are whole, and who keeps the books about it: this process or its parent.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::dir::{IfMissing, SaveDir};
use super::{BodyStart, OpenFolder, Store, StoreKind, failpoint, manifest};
use crate::model::Failure;
use crate::plan::{Durability, SaveOptions};

/// The folder as far as unfinished files go.
#[derive(Debug)]
pub struct WorkDir {
    pub dir: PathBuf,
    pub durability: Durability,
    pub min_free: Option<u64>,
    pub folder: SaveDir,
}

impl WorkDir {
    pub fn new(keep: &SaveOptions, folder: SaveDir) -> Self {
        let SaveOptions { dir, durability, min_free, .. } = keep.clone();
        Self { dir, durability, min_free, folder }
    }
}

/// Who knows what was begun.
#[derive(Debug, Clone)]
pub enum PartialLog {
    /// The manifest, which is here.
    Local(Arc<OpenFolder>),
    /// The parent of this process.
    Parent(Arc<dyn PartialRecorder>),
}

/// The parent of a process that writes unfinished files.
pub trait PartialRecorder: Debug + Send + Sync {
    /// The body of the job that this process carries out is about to be written, `bytes` of it so far. Where it is
    /// written from its first byte on, what was left over is gone, and this has to be known before the file is made.
    ///
    /// # Errors
    /// If it cannot be known.
    fn record_partial(&self, begin: &BodyStart, bytes: u64) -> Result<(), Failure>;
}

/// A child process that writes unfinished files. While it lives, no other run begins to save to the folder.
#[derive(Debug)]
pub struct ChildStore {
    pub desk: Arc<WorkDir>,
    pub parent: Arc<dyn PartialRecorder>,
    _at_work: File,
}

/// All that a child process needs to write unfinished files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildStoreConfig {
    dir: OsString,
    durability: Durability,
    min_free: Option<u64>,
}

impl Store {
    /// What a child process needs to write unfinished files; `None` if bodies go nowhere.
    pub fn child_config(&self) -> Option<ChildStoreConfig> {
        let StoreKind::Directory(open) = &self.0 else { return None };
        let WorkDir { dir, durability, min_free, .. } = &*open.desk;
        let dir = dir.clone().into_os_string();
        Some(ChildStoreConfig { dir, durability: *durability, min_free: *min_free })
    }

    /// The folder of a child process whose `parent` keeps the books.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn for_child(
        commission: ChildStoreConfig,
        parent: Arc<dyn PartialRecorder>,
    ) -> io::Result<Self> {
        failpoint::in_child();
        let ChildStoreConfig { dir, durability, min_free } = commission;
        let dir = PathBuf::from(dir);
        let folder = SaveDir::open(&dir, IfMissing::Refuse)?;
        let at_work = manifest::at_work(&folder.bookkeeping()?)?;
        let desk = Arc::new(WorkDir { dir, durability, min_free, folder });
        Ok(Self(StoreKind::Child(Arc::new(ChildStore { desk, parent, _at_work: at_work }))))
    }
}

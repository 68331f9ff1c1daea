//! The working directory of partial files, and what a child process needs to write there.

use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::archive::{ChildArchive, ChildArchiveConfig};
use super::destination::Destination;
use super::dir::{IfMissing, SaveDir};
use super::sink::{BodyInfo, BodyStart, Sink};
use super::{Store, failpoint, manifest};
use crate::model::{Failure, Job};
use crate::plan::{Durability, SaveOptions};

/// The part of the output directory that a writer of partial files needs.
#[derive(Debug)]
pub(super) struct WorkDir {
    pub dir: PathBuf,
    pub durability: Durability,
    pub min_free: Option<u64>,
    pub folder: SaveDir,
}

impl WorkDir {
    pub(super) fn new(options: &SaveOptions, folder: SaveDir) -> Self {
        let SaveOptions { dir, durability, min_free, .. } = options.clone();
        Self { dir, durability, min_free, folder }
    }
}

/// Records partial downloads: in the manifest of this process, or in that of the parent process.
pub(crate) trait PartialRecorder: Debug + Send + Sync {
    /// Records that `body` is about to be written, or that a segment of it has been, with `bytes` of it there so far.
    /// Returns once the entry is in the manifest: a file that is written from its first byte on replaces what an
    /// earlier run left, so the entry has to come before the file.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    fn record_partial(&self, body: &BodyInfo, begin: &BodyStart, bytes: u64)
    -> Result<(), Failure>;
}

/// The store of a child process, which writes partial files only. It holds a shared lock, so that no other run starts
/// to save to the directory while the child lives.
#[derive(Debug)]
struct ChildStore {
    work_dir: Arc<WorkDir>,
    recorder: Arc<dyn PartialRecorder>,
    _at_work: File,
}

impl Destination for ChildStore {
    fn sink(&self, job: &Job) -> Sink {
        Sink::to_file(&self.work_dir, Arc::clone(&self.recorder), job)
    }

    fn record_partial(
        &self,
        body: &BodyInfo,
        begin: &BodyStart,
        bytes: u64,
    ) -> Result<(), Failure> {
        self.recorder.record_partial(body, begin, bytes)
    }
}

/// Serializable settings of a child's store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ChildStoreConfig {
    /// It writes partial files of this directory.
    Directory { dir: OsString, durability: Durability, min_free: Option<u64> },
    /// It gathers bodies for archives.
    Archive(ChildArchiveConfig),
}

impl WorkDir {
    /// The settings of a child's store.
    pub(super) fn child_config(&self) -> ChildStoreConfig {
        ChildStoreConfig::Directory {
            dir: self.dir.clone().into_os_string(),
            durability: self.durability,
            min_free: self.min_free,
        }
    }
}

impl Store {
    /// The settings of a child's store; `None` if bodies are discarded.
    pub(crate) fn child_config(&self) -> Option<ChildStoreConfig> {
        self.0.child_config()
    }

    /// Opens the store of a child process. `recorder` reaches the manifest, which the parent writes.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub(crate) fn for_child(
        config: ChildStoreConfig,
        recorder: Arc<dyn PartialRecorder>,
    ) -> io::Result<Self> {
        failpoint::in_child();
        match config {
            ChildStoreConfig::Directory { dir, durability, min_free } => {
                let dir = PathBuf::from(dir);
                let folder = SaveDir::open(&dir, IfMissing::Refuse)?;
                let at_work = manifest::mark_running(&folder.bookkeeping()?)?;
                let work_dir = Arc::new(WorkDir { dir, durability, min_free, folder });
                Ok(Self(Arc::new(ChildStore { work_dir, recorder, _at_work: at_work })))
            }
            ChildStoreConfig::Archive(config) => Ok(Self(Arc::new(ChildArchive::open(config)?))),
        }
    }
}

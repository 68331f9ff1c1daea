//! The store of a child process in a run with archives: it spools bodies, and its parent appends them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::{Deserialize, Serialize};

use super::sink;
use super::spool_folder::SpoolFolder;
use crate::model::Job;
use crate::plan::ArchiveFormat;
use crate::store::destination::Destination;
use crate::store::manifest;
use crate::store::sink::Sink;

/// The settings of a [`ChildArchive`], as its parent sends them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChildArchiveConfig {
    work: OsString,
    bookkeeping: OsString,
    format: ArchiveFormat,
    min_free: Option<u64>,
}

impl ChildArchiveConfig {
    /// The settings for these folders.
    pub(in crate::store) fn new(work: &SpoolFolder, bookkeeping: &Path) -> Self {
        Self {
            work: work.path.clone().into_os_string(),
            bookkeeping: bookkeeping.to_owned().into_os_string(),
            format: work.format,
            min_free: work.min_free,
        }
    }
}

/// The store of a child process. It holds a shared lock, so that no other run clears the spool folder while the child lives.
#[derive(Debug)]
pub(crate) struct ChildArchive {
    work: Arc<SpoolFolder>,
    _running: File,
}

impl ChildArchive {
    /// Opens the spool folder.
    ///
    /// # Errors
    /// If the folder of the manifest cannot be opened or locked.
    pub(crate) fn open(config: ChildArchiveConfig) -> io::Result<Self> {
        let ChildArchiveConfig { work, bookkeeping, format, min_free } = config;
        let work = Arc::new(SpoolFolder::new(PathBuf::from(work), format, min_free));
        let bookkeeping = Dir::open_ambient_dir(bookkeeping, ambient_authority())?;
        Ok(Self { work, _running: manifest::mark_running(&bookkeeping)? })
    }
}

impl Destination for ChildArchive {
    fn sink(&self, job: &Job) -> Sink {
        sink(&self.work, job)
    }
}

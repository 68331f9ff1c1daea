//! The spool folder, `PREFIX.fetch/work`, for bodies that are not archived yet, and what all captures share.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
#[cfg(feature = "object-store")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::gzip::CompressorPool;
use crate::model::Failure;
use crate::plan::ArchiveFormat;
use crate::store::dir::is_full;
use crate::text::io_message;
use crate::units::human_bytes;

/// The default for the encoded bytes of a body that are kept in memory.
const DEFAULT_MEMORY_BYTES: usize = 1 << 20;

/// Ends the message about a full disk.
const MAKE_ROOM: &str = "free some space, then run the same command again";

/// The spool folder, shared by all captures.
#[derive(Debug)]
pub(in crate::store) struct SpoolFolder {
    /// Its path.
    pub path: PathBuf,
    /// The format of the archives.
    pub format: ArchiveFormat,
    /// Bytes that must stay free in the file system.
    pub min_free: Option<u64>,
    /// Encoded bytes of a body that are kept in memory; a longer one is kept in a file.
    pub(super) max_in_memory: usize,
    /// Compressors that can be used again.
    pub(super) compressors: CompressorPool,
    /// The number of the next file.
    next_file: AtomicU64,
}

impl SpoolFolder {
    /// The folder at `path`, which exists or is created with the first file.
    pub(in crate::store) fn new(
        path: PathBuf,
        format: ArchiveFormat,
        min_free: Option<u64>,
    ) -> Self {
        let (compressors, next_file) = Default::default();
        Self { path, format, min_free, max_in_memory: DEFAULT_MEMORY_BYTES, compressors, next_file }
    }

    /// Sets the encoded bytes of a body that are kept in memory.
    #[cfg(feature = "object-store")]
    pub(in crate::store) fn with_memory(self, max_in_memory: usize) -> Self {
        Self { max_in_memory, ..self }
    }

    /// Removes the folder with the files that a killed run has left.
    ///
    /// # Errors
    /// If it exists and cannot be removed.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Creates a spool file. Returns its name too.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn create(&self) -> io::Result<(File, String)> {
        let name = format!("{}-{}", process::id(), self.next_file.fetch_add(1, Relaxed));
        let create = || OpenOptions::new().write(true).create_new(true).open(self.path.join(&name));
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.path)?;
                create()
            }
            created => created,
        };
        Ok((file?, name))
    }

    /// Opens the file of this name to read it.
    ///
    /// # Errors
    /// If that fails, or it is not the name of a spool file.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path_of(name)?)
    }

    /// Removes the file of this name. If that fails, the next run does it.
    pub(super) fn remove(&self, name: &str) {
        if let Ok(path) = self.path_of(name) {
            let _ = fs::remove_file(path);
        }
    }

    /// The path of the file of this name, which is validated: it may have come from another process.
    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = |byte: u8| byte.is_ascii_digit() || byte == b'-';
        match name.bytes().all(is_plain) && !name.is_empty() {
            true => Ok(self.path.join(name)),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Fails if `wanted` further bytes would reduce the free space below `--min-free`.
    ///
    /// # Errors
    /// [`Failure::Disk`].
    pub(super) fn ensure_enough_stays_free(&self, wanted: u64) -> Result<(), Failure> {
        let Some(least) = self.min_free else { return Ok(()) };
        let parent = self.path.parent().unwrap_or(&self.path);
        let space = rustix::fs::statvfs(parent).map_err(|error| failure(parent, &error.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free.saturating_sub(wanted) >= least {
            return Ok(());
        }
        let (free, wanted, least) = (human_bytes(free), human_bytes(wanted), human_bytes(least));
        Err(Failure::Disk(format!(
            "not enough disk space for {}: {free} free, a body needs {wanted} more, --min-free is {least}; {MAKE_ROOM}",
            parent.display()
        )))
    }

    /// The failure of a target because of a local file; `name` says for what, and is appended to the path of this folder.
    #[cfg(feature = "object-store")]
    pub(in crate::store) fn failure_of(&self, name: &str, error: &io::Error) -> Failure {
        failure(&self.path.join(name), error)
    }

    /// The failure of a target whose body cannot be spooled.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        failure(&self.path, error)
    }
}

/// A spool file that is removed when this is dropped.
#[cfg(feature = "object-store")]
#[derive(Debug)]
pub(in crate::store) struct SpooledFile {
    work: Arc<SpoolFolder>,
    name: String,
}

#[cfg(feature = "object-store")]
impl SpooledFile {
    /// The file of this name.
    pub(in crate::store) fn new(work: &Arc<SpoolFolder>, name: String) -> Self {
        Self { work: Arc::clone(work), name }
    }

    /// Opens it to read it.
    ///
    /// # Errors
    /// If that fails.
    pub(in crate::store) fn open(&self) -> io::Result<File> {
        self.work.open(&self.name)
    }
}

#[cfg(feature = "object-store")]
impl Drop for SpooledFile {
    fn drop(&mut self) {
        self.work.remove(&self.name);
    }
}

/// The failure of a target because of an error at this path.
pub(super) fn failure(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match is_full(error) {
        true => Failure::Disk(format!("no space left: cannot write '{path}'; {MAKE_ROOM}")),
        false => Failure::Disk(format!("{path}: {}", io_message(error))),
    }
}
